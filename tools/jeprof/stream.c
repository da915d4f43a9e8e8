/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream — places first, then stacks.
 */
#include "tools/jeprof/stream.h"

#include "tools/jeprof/progress.h"

#include <inttypes.h>

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

static bool is_empty(const double values[SY_VALUE_COUNT]) {
    return values[SY_INUSE_OBJECTS] == 0 && values[SY_INUSE_SPACE] == 0 &&
           values[SY_ALLOC_OBJECTS] == 0 && values[SY_ALLOC_SPACE] == 0;
}

static void put_stack(const struct jp_stream *stream, uint32_t stack_id) {
    FILE *const out = stream->out;
    size_t stack_bytes = 0;
    const uint32_t *const ids = sy_intern_get(&stream->profile->stacks, stack_id, &stack_bytes);
    const double *const values = stream->profile->values[stack_id];
    const struct sy_spread *const spread = &stream->profile->spreads[stack_id];

    fprintf(out, "S\t%.6f\t%.6f\t%.6f\t%.6f", values[SY_INUSE_OBJECTS], values[SY_INUSE_SPACE],
            values[SY_ALLOC_OBJECTS], values[SY_ALLOC_SPACE]);
    for (int kind = 0; stream->options.is_spread && kind < 2 * SY_VALUE_COUNT; kind++) {
        fprintf(out, "\t%.9g",
                kind < SY_VALUE_COUNT ? spread->variance[kind]
                                      : spread->weight_max[kind - SY_VALUE_COUNT]);
    }
    fputc('\t', out);
    for (size_t idx = 0; idx < stack_bytes / sizeof(*ids); idx++) {
        fprintf(out, idx == 0 ? "%" PRIu32 : " %" PRIu32, ids[idx]);
    }
    fputc('\n', out);
}

bool jp_stream_places(const struct jp_stream *stream) {
    const uint32_t location_count = stream->profile->locations.count;
    struct jp_progress progress = {.is_shown = stream->options.is_progress};

    fputs("tally-stacks 2\n", stream->out);
    for (uint32_t id = 0; id < location_count; id++) {
        jp_progress_tell(&progress, id, location_count);
        put_location(stream->out, stream->profile, stream->symbols, id);
    }
    jp_progress_end(&progress);
    return ferror(stream->out) == 0;
}

bool jp_stream_run(const struct jp_stream *stream, const char *path) {
    fputc('R', stream->out);
    put_field(stream->out, path);
    fputc('\n', stream->out);
    return ferror(stream->out) == 0;
}

bool jp_stream_stacks(const struct jp_stream *stream) {
    for (uint32_t stack_id = 0; stack_id < stream->profile->stacks.count; stack_id++) {
        if (!is_empty(stream->profile->values[stack_id])) {
            put_stack(stream, stack_id);
        }
    }
    return fflush(stream->out) == 0 && ferror(stream->out) == 0;
}
