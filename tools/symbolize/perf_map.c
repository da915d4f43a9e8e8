/* SPDX-License-Identifier: BSD-2-Clause
 *
 * perf_map — compilers reuse memory: what is written later stands for what was there before.
 */
#include "tools/symbolize/perf_map.h"

#include "tools/symbolize/scan.h"

#include <stdlib.h>
#include <string.h>

/* Code that one start may overlap backwards: more is looked for nowhere. */
enum { OVERLAP_COUNT_MAX = 64 };

/* "START SIZE name": the name is the rest of the line. */
static bool parse_line(struct sy_perf_map *map, struct sy_scan line, uint32_t order) {
    uint64_t start_addr = 0;
    uint64_t code_bytes = 0;

    if (!sy_scan_hex(&line, &start_addr)) {
        return false;
    }
    sy_scan_blanks(&line);
    if (!sy_scan_hex(&line, &code_bytes) || start_addr + code_bytes < start_addr) {
        return false;
    }
    sy_scan_blanks(&line);
    if (line.at == line.end) {
        return false;
    }
    map->codes[map->code_count++] = (struct sy_perf_code){.start_addr = start_addr,
                                                          .limit_addr = start_addr + code_bytes,
                                                          .name = line.at,
                                                          .order = order};
    return true;
}

static int compare_codes(const void *a_ptr, const void *b_ptr) {
    const struct sy_perf_code *const a = a_ptr;
    const struct sy_perf_code *const b = b_ptr;
    if (a->start_addr != b->start_addr) {
        return a->start_addr > b->start_addr ? 1 : -1;
    }
    return (a->order > b->order) - (a->order < b->order);
}

static bool parse(struct sy_perf_map *map, struct sy_error *err) {
    struct sy_scan rest = {.at = map->input.data, .end = map->input.data + map->input.data_bytes};
    struct sy_scan line;

    for (uint32_t order = 1; sy_scan_line(&rest, &line); order++) {
        struct sy_perf_code *const codes =
            sy_grown(map->codes, &map->code_cap, (size_t)map->code_count + 1, sizeof(*map->codes));
        if (codes == NULL) {
            return sy_fail_memory(err);
        }
        map->codes = codes;
        if (line.at == line.end) {
            continue;
        }
        /* The last line may be half written: the program may live. */
        const bool is_whole = line.end < map->input.data + map->input.data_bytes;
        if (!parse_line(map, line, order) && is_whole) {
            return sy_fail(err, "line %u: is not \"START SIZE name\" in hex", (unsigned)order);
        }
        map->input.data[line.end - map->input.data] = '\0';
    }
    if (map->code_count > 0) {
        qsort(map->codes, map->code_count, sizeof(*map->codes), compare_codes);
    }
    return true;
}

bool sy_perf_map_read(struct sy_perf_map *map, const char *path, struct sy_error *err) {
    *map = (struct sy_perf_map){0};
    if (!sy_input_read(&map->input, path, err)) {
        return false;
    }
    if (!parse(map, err)) {
        sy_perf_map_fini(map);
        return false;
    }
    return true;
}

void sy_perf_map_fini(struct sy_perf_map *map) {
    free(map->codes);
    sy_input_fini(&map->input);
    *map = (struct sy_perf_map){0};
}

const char *sy_perf_map_find(const struct sy_perf_map *map, uint64_t addr) {
    uint32_t low = 0;
    uint32_t high = map->code_count;
    const struct sy_perf_code *best = NULL;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (map->codes[mid].start_addr <= addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (uint32_t left = OVERLAP_COUNT_MAX; low > 0 && left > 0; left--) {
        const struct sy_perf_code *const code = &map->codes[--low];
        if (addr < code->limit_addr && (best == NULL || code->order > best->order)) {
            best = code;
        }
    }
    return best != NULL ? best->name : NULL;
}
