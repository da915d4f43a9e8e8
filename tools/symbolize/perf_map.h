/* SPDX-License-Identifier: BSD-2-Clause
 *
 * perf_map — names of code made at run time, from the file that just-in-time compilers write for
 * perf: lines of "START SIZE name", both numbers in hex.
 *
 * Owns:    the file's names, until sy_perf_map_fini.
 * Threads: none of its own.
 * Fails:   false and a line: the file cannot be read, or one of its lines.
 */
#ifndef SY_PERF_MAP_H
#define SY_PERF_MAP_H

#include "tools/symbolize/input.h"

struct sy_perf_code {
    uint64_t start_addr;
    uint64_t limit_addr;
    const char *name; /* in the input */
    uint32_t order;   /* of the line: of what overlaps the later holds */
};

struct sy_perf_map {
    struct sy_input input;
    struct sy_perf_code *codes; /* sorted by start_addr */
    size_t code_cap;
    uint32_t code_count;
};

/* Reads the file; the map may be all zeros before, and stays so on failure. */
SY_NODISCARD bool sy_perf_map_read(struct sy_perf_map *map, const char *path, struct sy_error *err);
void sy_perf_map_fini(struct sy_perf_map *map);

/* NULL: no code of the map is there. Valid until sy_perf_map_fini. */
const char *sy_perf_map_find(const struct sy_perf_map *map, uint64_t addr);

#endif
