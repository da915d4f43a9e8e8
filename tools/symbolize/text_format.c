/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_format — two grammars, one reader: both are lines of counts and lines of addresses.
 *
 * The map stands at the end but is needed first, so it is looked for before anything else.
 */
#include "tools/symbolize/text_format.h"

#include "prof/format.h"
#include "tools/symbolize/maps.h"
#include "tools/symbolize/scan.h"

#include <math.h>
#include <string.h>

/* gperftools' sampler before it wrote its interval: TCMALLOC_SAMPLE_PARAMETER's default. */
static const double interval_unstated_bytes = 131072;

struct text_reader {
    struct sy_load *load;
    struct sy_error *err;
    uint32_t line_number;
    bool is_in_stack; /* an "@" line was read: what follows is a stack's and not the head's */
    uint32_t stack_line_number; /* of the "@" line that still waits for its counts; 0 without */
    uint32_t location_ids[SY_STACK_FRAMES_MAX];
    uint32_t location_count;
};

void sy_text_unsample(double *objects, double *bytes, double interval_bytes) {
    /* At one byte a sample everything is seen; the formula would add 0.03 % to 8-byte objects. */
    if (interval_bytes <= 1 || *objects <= 0 || *bytes <= 0) {
        return;
    }
    const double scale = 1 / -expm1(-(*bytes / *objects) / interval_bytes);
    *objects *= scale;
    *bytes *= scale;
}

bool sy_text_is(const char *data, size_t data_bytes) {
    struct sy_scan scan = {.at = data, .end = data + data_bytes};
    return sy_scan_text(&scan, PF_FORMAT_HEADER) || sy_scan_text(&scan, PF_FORMAT_ROWS_HEADER);
}

static bool fail_line(struct text_reader *reader, const char *what) {
    return sy_fail(reader->err, "line %u: %s; the file is damaged, take the dump again",
                   reader->line_number, what);
}

/* "N: B [AN: AB]" */
static bool scan_counts(struct sy_scan *scan, double values[SY_VALUE_COUNT]) {
    static const char *const separators[SY_VALUE_COUNT] = {":", "[", ":", "]"};

    for (int kind = 0; kind < SY_VALUE_COUNT; kind++) {
        uint64_t number = 0;
        sy_scan_blanks(scan);
        if (!sy_scan_decimal(scan, &number)) {
            return false;
        }
        values[kind] = (double)number;
        sy_scan_blanks(scan);
        if (!sy_scan_text(scan, separators[kind])) {
            return false;
        }
    }
    return true;
}

/* The addresses of one stack, each a return address: one less is inside the call. */
static bool read_addresses(struct text_reader *reader, struct sy_scan scan) {
    reader->location_count = 0;
    for (sy_scan_blanks(&scan); scan.at < scan.end; sy_scan_blanks(&scan)) {
        uint64_t addr = 0;
        if (!sy_scan_hex(&scan, &addr)) {
            return fail_line(reader, "a stack's address is not a number");
        }
        if (reader->location_count >= SY_STACK_FRAMES_MAX) {
            return fail_line(reader, "a stack is deeper than 4096 frames");
        }
        const uint32_t id = sy_load_locate(reader->load, addr - (addr != 0), SY_NONE);
        if (id == SY_NONE) {
            return sy_fail_memory(reader->err);
        }
        reader->location_ids[reader->location_count++] = id;
    }
    return true;
}

static bool add_stack(struct text_reader *reader, double values[SY_VALUE_COUNT]) {
    sy_text_unsample(&values[SY_INUSE_OBJECTS], &values[SY_INUSE_SPACE],
                     reader->load->interval_bytes);
    sy_text_unsample(&values[SY_ALLOC_OBJECTS], &values[SY_ALLOC_SPACE],
                     reader->load->interval_bytes);
    return sy_load_add(reader->load, reader->location_ids, reader->location_count, values,
                       reader->err);
}

/* heap_v2: "@ ADDR…", then "  t*: counts", then a line a thread. */
static bool read_v2_line(struct text_reader *reader, struct sy_scan scan) {
    double values[SY_VALUE_COUNT];
    uint64_t thread_uid = 0;

    if (sy_scan_text(&scan, "@")) {
        if (reader->stack_line_number != 0) {
            return fail_line(reader, "the stack before has no counts");
        }
        reader->stack_line_number = reader->line_number;
        reader->is_in_stack = true;
        return read_addresses(reader, scan);
    }
    sy_scan_blanks(&scan);
    const bool is_total = sy_scan_text(&scan, PF_FORMAT_ALL_THREADS);
    const bool is_thread =
        !is_total && sy_scan_text(&scan, "t") && sy_scan_decimal(&scan, &thread_uid);
    if ((!is_total && !is_thread) || !sy_scan_text(&scan, ":") || !scan_counts(&scan, values)) {
        return fail_line(reader, "neither a stack nor its counts");
    }
    /* The head's totals and the threads' shares are rounded on their own and never add up to the
     * stacks: but for a thread that was asked for they are checked for form and left alone.
     */
    if (is_thread) {
        const bool is_asked = reader->load->is_one_thread && thread_uid == reader->load->thread_uid;
        reader->load->is_thread_found |= is_asked;
        return !is_asked || !reader->is_in_stack || add_stack(reader, values);
    }
    if (reader->stack_line_number == 0) {
        return true;
    }
    reader->stack_line_number = 0;
    return reader->load->is_one_thread || add_stack(reader, values);
}

/* gperftools, Go: "N: B [AN: AB] @ ADDR…", with "#" lines for people. */
static bool read_row(struct text_reader *reader, struct sy_scan scan) {
    double values[SY_VALUE_COUNT];

    if (scan.at < scan.end && *scan.at == '#') {
        return true;
    }
    if (!scan_counts(&scan, values)) {
        return fail_line(reader, "not a row of counts");
    }
    if (reader->load->is_one_thread) {
        return true;
    }
    sy_scan_blanks(&scan);
    if (!sy_scan_text(&scan, "@")) {
        return fail_line(reader, "a row without its stack");
    }
    return read_addresses(reader, scan) && add_stack(reader, values);
}

/* What follows "@" in the head of the row form says how its counts were sampled. */
static bool read_rows_kind(struct text_reader *reader, struct sy_scan scan, bool is_pair_equal) {
    static const struct {
        const char *word;
        double divisor; /* of the period that follows; 0: exact, no period */
    } kinds[] = {{"heap_v2/", 1}, {"heapprofile", 0}, {"heap/", 2}, {"growth", 0}};
    uint64_t period_bytes = 0;

    sy_scan_blanks(&scan);
    if (scan.at == scan.end || !sy_scan_text(&scan, "@")) {
        reader->load->interval_bytes = is_pair_equal ? interval_unstated_bytes : 0;
        return true;
    }
    sy_scan_blanks(&scan);
    for (size_t i = 0; i < SY_ARRAY_COUNT(kinds); i++) {
        if (!sy_scan_text(&scan, kinds[i].word)) {
            continue;
        }
        if (kinds[i].divisor > 0 && !sy_scan_decimal(&scan, &period_bytes)) {
            return fail_line(reader, "the sampling interval is not a number");
        }
        reader->load->interval_bytes =
            kinds[i].divisor > 0 ? (double)period_bytes / kinds[i].divisor : 0;
        return true;
    }
    return fail_line(reader, "a kind of heap profile that is not known");
}

static bool read_head(struct text_reader *reader, struct sy_scan scan, bool *is_rows) {
    uint64_t interval_bytes = 0;
    double values[SY_VALUE_COUNT];

    *is_rows = sy_scan_text(&scan, PF_FORMAT_ROWS_HEADER);
    if (*is_rows) {
        if (!scan_counts(&scan, values)) {
            return fail_line(reader, "the totals are not numbers");
        }
        return read_rows_kind(reader, scan,
                              values[SY_INUSE_OBJECTS] == values[SY_ALLOC_OBJECTS] &&
                                  values[SY_INUSE_SPACE] == values[SY_ALLOC_SPACE]);
    }
    if (!sy_scan_text(&scan, PF_FORMAT_HEADER) || !sy_scan_decimal(&scan, &interval_bytes) ||
        scan.at != scan.end) {
        return fail_line(reader, "the sampling interval is not a number");
    }
    reader->load->interval_bytes = (double)interval_bytes;
    return true;
}

static bool read_body(struct text_reader *reader, const char *data, size_t data_bytes) {
    struct sy_scan rest = {.at = data, .end = data + data_bytes};
    struct sy_scan line;
    bool is_rows = false;

    for (reader->line_number = 1; sy_scan_line(&rest, &line); reader->line_number++) {
        if (reader->line_number == 1) {
            if (!read_head(reader, line, &is_rows)) {
                return false;
            }
        } else if (line.at == line.end) {
            continue; /* the empty line before the map */
        } else if (!(is_rows ? read_row(reader, line) : read_v2_line(reader, line))) {
            return false;
        }
    }
    if (reader->stack_line_number != 0) {
        return sy_fail(reader->err, "line %u: the stack has no counts; the file is truncated",
                       reader->stack_line_number);
    }
    return true;
}

static uint32_t count_lines(const char *data, size_t data_bytes) {
    uint32_t line_count = 0;
    for (size_t i = 0; i < data_bytes; i++) {
        line_count += data[i] == '\n';
    }
    return line_count;
}

bool sy_text_parse(struct sy_load *load, const char *data, size_t data_bytes,
                   struct sy_error *err) {
    static const char maps_line[] = "\n" PF_FORMAT_MAPS "\n";
    const size_t maps_line_bytes = sizeof(maps_line) - 1;
    struct text_reader reader; /* 16 KiB of one stack's ids */

    if (data[data_bytes - 1] != '\n') {
        return sy_fail(err, "its last line is cut off; the file is truncated, copy it or take the "
                            "dump again");
    }
    size_t body_bytes = data_bytes;
    const char *const maps = memmem(data, data_bytes, maps_line, maps_line_bytes);
    if (maps != NULL) {
        const char *const first = maps + maps_line_bytes;
        body_bytes = (size_t)(maps - data) + 1;
        const uint32_t line_number = count_lines(data, (size_t)(first - data)) + 1;
        if (!sy_maps_parse(load, first, (size_t)(data + data_bytes - first), line_number, err)) {
            return false;
        }
    } else {
        sy_warn(load->notes,
                "%s: has no " PF_FORMAT_MAPS " section, so its addresses stay without names; the "
                "file is truncated, or /proc was not readable where it was written",
                load->path);
    }
    reader.load = load;
    reader.err = err;
    reader.stack_line_number = 0;
    reader.is_in_stack = false;
    reader.location_count = 0;
    return read_body(&reader, data, body_bytes);
}
