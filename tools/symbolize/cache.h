/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache — the names of a file's places, kept from one run to the next: debug information of some
 * 100 MB takes seconds to read, what was asked of it milliseconds.
 *
 * Owns:    the names, until sy_cache_close, which writes them to
 *          $XDG_CACHE_HOME/tally/jeprof/ (~/.cache), a file a binary.
 * Threads: none of its own; of several processes the last to close wins, whole files only.
 * Fails:   never: what cannot be read, is damaged, or is of another file, is no cache; what cannot
 *          be written is not kept. TALLY_JEPROF_CACHE=no turns it off.
 */
#ifndef SY_CACHE_H
#define SY_CACHE_H

#include "tools/symbolize/intern.h"
#include "tools/symbolize/scopes.h"

struct sy_cache_frame {
    uint32_t function_id;
    uint32_t file_id;
    uint32_t line;
};

struct sy_cache_place {
    uint32_t start; /* into frames */
    uint32_t count;
};

struct sy_cache {
    char *path; /* NULL: no cache */
    char *head; /* the line that says of which file and build it is */
    struct sy_intern texts;
    struct sy_intern offsets; /* uint64_t: the same numbers as places */
    struct sy_cache_place *places;
    size_t place_cap;
    struct sy_cache_frame *frames;
    size_t frame_cap;
    size_t frame_count;
    uint32_t added_count; /* since it was read */
};

/* The cache of the file at `binary`, as it is now: by path, size, time and build id. */
void sy_cache_open(struct sy_cache *cache, const char *binary, const char *build_id);
void sy_cache_close(struct sy_cache *cache);

/* 0: not known. Texts are valid until the next call. */
SY_NODISCARD size_t sy_cache_find(const struct sy_cache *cache, uint64_t offset,
                                  struct sy_frame frames[SY_FRAMES_MAX]);
void sy_cache_add(struct sy_cache *cache, uint64_t offset, const struct sy_frame *frames,
                  size_t frame_count);

#endif
