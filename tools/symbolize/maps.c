/* SPDX-License-Identifier: BSD-2-Clause
 *
 * maps — "START-END PERMS OFFSET DEV INODE   PATH", one mapping a line.
 *
 * The path is the rest of the line: it may hold blanks. The kernel writes a newline inside a
 * path as \012 and escapes nothing else.
 */
#include "tools/symbolize/maps.h"

#include "tools/symbolize/scan.h"

#include <string.h>

/* PATH_MAX, " (deleted)" and some air. */
enum { PATH_BYTES_MAX = 4096 + 64 };

struct map_line {
    struct sy_mapping where;
    bool is_program;
    char path[PATH_BYTES_MAX];
};

static bool copy_path(char *to, const char *from, size_t from_bytes) {
    size_t to_bytes = 0;

    if (from_bytes >= PATH_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < from_bytes; i++) {
        if (from_bytes - i >= 4 && memcmp(from + i, "\\012", 4) == 0) {
            to[to_bytes++] = '\n';
            i += 3;
        } else {
            to[to_bytes++] = from[i];
        }
    }
    to[to_bytes] = '\0';
    return true;
}

/* "r-xp 00001000 fe:00 123   PATH", from the permissions on. */
static bool parse_long(struct sy_scan *scan, struct map_line *line) {
    struct sy_scan word;

    if (!sy_scan_word(scan, &word) || word.end - word.at < 4) {
        return false;
    }
    line->is_program = word.at[2] == 'x';
    sy_scan_blanks(scan);
    if (!sy_scan_hex(scan, &line->where.file_offset)) {
        return false;
    }
    if (!sy_scan_word(scan, &word) || !sy_scan_word(scan, &word)) {
        return false;
    }
    sy_scan_blanks(scan);
    return copy_path(line->path, scan->at, (size_t)(scan->end - scan->at));
}

static bool parse_line(struct sy_scan scan, struct map_line *line) {
    line->where = (struct sy_mapping){0};
    if (!sy_scan_hex(&scan, &line->where.start_addr) || !sy_scan_text(&scan, "-") ||
        !sy_scan_hex(&scan, &line->where.limit_addr)) {
        return false;
    }
    if (sy_scan_text(&scan, ":")) {
        line->is_program = true;
        sy_scan_blanks(&scan);
        return copy_path(line->path, scan.at, (size_t)(scan.end - scan.at));
    }
    return parse_long(&scan, line);
}

bool sy_maps_parse(struct sy_load *load, const char *text, size_t text_bytes, uint32_t line_number,
                   struct sy_error *err) {
    struct sy_scan rest = {.at = text, .end = text + text_bytes};
    struct sy_scan scan;
    struct map_line line;

    for (; sy_scan_line(&rest, &scan); line_number++) {
        if (scan.at == scan.end) {
            continue;
        }
        if (!parse_line(scan, &line)) {
            return sy_fail(err, "line %u is not a mapping of /proc/PID/maps; the file is damaged",
                           line_number);
        }
        if (!sy_load_map(load, &line.where, line.path, "", line.is_program, err)) {
            return false;
        }
    }
    return sy_load_seal_maps(load, err);
}
