/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream — places first, then stacks.
 */
#include "tools/jeprof/stream.h"

#include <inttypes.h>
#include <time.h>

/* A byte that would end a field or a line, or confuse a terminal. */
static bool is_control(unsigned char c) {
    return c < ' ' || c == 0x7f;
}

static void put_field(FILE *out, const char *text) {
    fputc('\t', out);
    for (; *text != '\0'; text++) {
        fputc(is_control((unsigned char)*text) ? '?' : *text, out);
    }
}

static void put_location(FILE *out, const struct sy_profile *profile, struct sy_symbols *symbols,
                         uint32_t id) {
    struct sy_frame frames[SY_FRAMES_MAX];
    const struct sy_location location = *sy_profile_location(profile, id);
    const size_t frame_count = sy_symbols_lookup(symbols, profile, &location, frames);

    fprintf(out, "L\t%" PRIu32, id);
    put_field(out, sy_profile_text(profile, profile->binaries[location.binary_idx].path_id));
    fprintf(out, "\t0x%" PRIx64, location.offset);
    for (size_t idx = 0; idx < frame_count; idx++) {
        put_field(out, frames[idx].function);
        put_field(out, frames[idx].file);
        fprintf(out, "\t%" PRIu32, frames[idx].line);
    }
    fputc('\n', out);
}

static void put_stack(FILE *out, const struct sy_profile *profile, uint32_t stack_id) {
    size_t stack_bytes = 0;
    const uint32_t *const ids = sy_intern_get(&profile->stacks, stack_id, &stack_bytes);
    const double *const values = profile->values[stack_id];

    fprintf(out, "S\t%.6f\t%.6f\t%.6f\t%.6f\t", values[SY_INUSE_OBJECTS], values[SY_INUSE_SPACE],
            values[SY_ALLOC_OBJECTS], values[SY_ALLOC_SPACE]);
    for (size_t idx = 0; idx < stack_bytes / sizeof(*ids); idx++) {
        fprintf(out, idx == 0 ? "%" PRIu32 : " %" PRIu32, ids[idx]);
    }
    fputc('\n', out);
}

/* A line that rewrites itself, once a second. */
static void tell_progress(uint32_t done_count, uint32_t count, time_t *told) {
    const time_t now = time(NULL);

    if (*told == 0) {
        *told = now;
    }
    if (now > *told) {
        fprintf(stderr, "\rjeprof: looking up addresses: %u of %u", (unsigned)done_count,
                (unsigned)count);
        *told = now;
    }
}

bool jp_stream_write(FILE *out, const struct sy_profile *profile, struct sy_symbols *symbols,
                     bool is_progress) {
    const uint32_t location_count = profile->locations.count;
    time_t told = 0;
    const time_t start = time(NULL);

    fputs("tally-stacks 1\n", out);
    for (uint32_t id = 0; id < location_count; id++) {
        if (is_progress) {
            tell_progress(id, location_count, &told);
        }
        put_location(out, profile, symbols, id);
    }
    if (is_progress && told > start) {
        fputs("\r\033[K", stderr);
    }
    for (uint32_t stack_id = 0; stack_id < profile->stacks.count; stack_id++) {
        put_stack(out, profile, stack_id);
    }
    return fflush(out) == 0 && ferror(out) == 0;
}
