/* SPDX-License-Identifier: BSD-2-Clause
 *
 * table — a stack becomes a row of small numbers once; the rest is additions.
 */
#include "tools/jeprof/table.h"

#include "tools/jeprof/progress.h"
#include "tools/symbolize/intern.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* As deep as the allocator's own frames are looked for (Jeprof::Read::visible_ids). */
enum { ALLOCATOR_DEPTH_MAX = 16 };

/* The names of a location, in `names` of the table. */
struct span {
    uint32_t start;
    uint32_t count;
};

struct answer {
    uint32_t number;
    uint32_t flags;
};

struct sums {
    double flat;
    double cumulative;
    uint32_t seen_stack; /* number + 1 of the stack that last added: once a stack */
};

struct table {
    const struct sy_profile *profile;
    struct sy_intern texts; /* the lines of names as they are written */
    uint32_t *names;        /* text ids, innermost first */
    size_t name_cap;
    size_t name_count;
    struct span *spans; /* by location */
    struct answer *answers;
    struct sums *sums;
    double total;
    uint64_t stack_count;
};

static bool say(const char *what) {
    fprintf(stderr, "jeprof: %s\n", what);
    return false;
}

static bool say_memory(void) {
    return say("no memory for this many names");
}

static bool add_name(struct table *table, char *line) {
    for (char *at = line + 2; *at != '\0'; at++) {
        const unsigned char c = (unsigned char)*at;
        *at = (c < ' ' && c != '\t') || c == 0x7f ? '?' : *at;
    }
    uint32_t *const names =
        sy_grown(table->names, &table->name_cap, table->name_count + 1, sizeof(*names));
    if (names == NULL) {
        return false;
    }
    table->names = names;
    names[table->name_count] = sy_intern_put_text(&table->texts, line);
    return names[table->name_count++] != SY_NONE;
}

static bool add_function(struct table *table, const char *function) {
    char *line = NULL;
    if (asprintf(&line, "F\t%s", function) < 0) {
        return false;
    }
    /* A tab in a name would be the end of the field. */
    for (char *at = strchr(line + 2, '\t'); at != NULL; at = strchr(at, '\t')) {
        *at = '?';
    }
    const bool is_ok = add_name(table, line);
    free(line);
    return is_ok;
}

static bool add_place(struct table *table, const struct sy_location *location) {
    const char *const path =
        sy_profile_text(table->profile, table->profile->binaries[location->binary_idx].path_id);
    char *line = NULL;
    if (asprintf(&line, "B\t%s\t0x%" PRIx64, path, location->offset) < 0) {
        return false;
    }
    const bool is_ok = add_name(table, line);
    free(line);
    return is_ok;
}

static bool name_places(struct table *table, struct sy_symbols *symbols,
                        struct jp_progress *progress) {
    const uint32_t count = table->profile->locations.count;
    struct sy_frame frames[SY_FRAMES_MAX];

    table->spans = calloc((size_t)count + 1, sizeof(*table->spans));
    for (uint32_t id = 0; table->spans != NULL && id < count; id++) {
        const struct sy_location location = *sy_profile_location(table->profile, id);
        jp_progress_tell(progress, id, count);
        const size_t frame_count = sy_symbols_lookup(symbols, table->profile, &location, frames);
        table->spans[id].start = (uint32_t)table->name_count;
        for (size_t idx = 0; idx < frame_count; idx++) {
            if (!add_function(table, frames[idx].function)) {
                return say_memory();
            }
        }
        if (frame_count == 0 && !add_place(table, &location)) {
            return say_memory();
        }
        table->spans[id].count = (uint32_t)table->name_count - table->spans[id].start;
    }
    jp_progress_end(progress);
    return table->spans != NULL || say_memory();
}

static bool ask(struct table *table, FILE *in, FILE *out) {
    const uint32_t count = table->texts.count;

    fputs("tally-names 1\n", out);
    for (uint32_t id = 0; id < count; id++) {
        fprintf(out, "%s\n", sy_intern_text(&table->texts, id));
    }
    fputs("?\n", out);
    if (fflush(out) != 0) {
        return say("cannot write the names");
    }
    table->answers = calloc((size_t)count + 1, sizeof(*table->answers));
    table->sums = calloc((size_t)count + 1, sizeof(*table->sums));
    if (table->answers == NULL || table->sums == NULL) {
        return say_memory();
    }
    for (uint32_t id = 0; id < count; id++) {
        struct answer *const answer = &table->answers[id];
        if (fscanf(in, "%" SCNu32 " %" SCNu32, &answer->number, &answer->flags) != 2 ||
            answer->number >= count) {
            return say("the front end and its helper are of different versions");
        }
    }
    return true;
}

static uint32_t flags_of(const struct table *table, uint32_t location_id) {
    const struct span span = table->spans[location_id];
    uint32_t flags = 0;
    for (uint32_t at = 0; at < span.count; at++) {
        flags |= table->answers[table->names[span.start + at]].flags;
    }
    return flags;
}

/* How many of a stack's places, from the leaf, are the allocator's. */
static size_t allocator_depth(const struct table *table, const uint32_t *ids, size_t id_count) {
    const size_t most = id_count < ALLOCATOR_DEPTH_MAX ? id_count : ALLOCATOR_DEPTH_MAX;
    for (size_t at = most; at > 0; at--) {
        if (flags_of(table, ids[at - 1]) & JP_FLAG_ALLOCATOR) {
            return at;
        }
    }
    return 0;
}

static bool is_shown(const struct table *table, const struct jp_table_options *options,
                     const uint32_t *ids, size_t id_count) {
    uint32_t flags = 0;
    for (size_t at = 0; at < id_count; at++) {
        flags |= flags_of(table, ids[at]);
    }
    return (flags & JP_FLAG_IGNORE) == 0 && (!options->is_focused || (flags & JP_FLAG_FOCUS) != 0);
}

static void add_stack(struct table *table, uint32_t stack_id, const uint32_t *ids, size_t id_count,
                      double value) {
    bool is_leaf = true;

    for (size_t at = 0; at < id_count; at++) {
        const struct span span = table->spans[ids[at]];
        for (uint32_t idx = 0; idx < span.count; idx++) {
            const struct answer answer = table->answers[table->names[span.start + idx]];
            if (answer.flags & JP_FLAG_HIDDEN) {
                continue;
            }
            struct sums *const sums = &table->sums[answer.number];
            sums->flat += is_leaf ? value : 0;
            sums->cumulative += sums->seen_stack != stack_id + 1 ? value : 0;
            sums->seen_stack = stack_id + 1;
            is_leaf = false;
        }
    }
    if (!is_leaf) {
        table->total += value;
        table->stack_count++;
    }
}

static void sum(struct table *table, const struct jp_table_options *options) {
    const struct sy_profile *const profile = table->profile;

    for (uint32_t stack_id = 0; stack_id < profile->stacks.count; stack_id++) {
        size_t stack_bytes = 0;
        const uint32_t *ids = sy_intern_get(&profile->stacks, stack_id, &stack_bytes);
        size_t id_count = stack_bytes / sizeof(*ids);
        const double value = profile->values[stack_id][options->value];
        const size_t hidden_count = allocator_depth(table, ids, id_count);
        ids += hidden_count;
        id_count -= hidden_count;
        if (value != 0 && is_shown(table, options, ids, id_count)) {
            add_stack(table, stack_id, ids, id_count, value);
        }
    }
}

static bool put_sums(const struct table *table, FILE *out) {
    for (uint32_t number = 0; number < table->texts.count; number++) {
        const struct sums *const sums = &table->sums[number];
        if (sums->seen_stack != 0) {
            fprintf(out, "T\t%" PRIu32 "\t%.6f\t%.6f\n", number, sums->flat, sums->cumulative);
        }
    }
    fprintf(out, "Z\t%.6f\t%" PRIu64 "\n", table->total, table->stack_count);
    return (fflush(out) == 0 && ferror(out) == 0) || say("cannot write the sums");
}

bool jp_table_write(FILE *in, FILE *out, const struct sy_profile *profile,
                    struct sy_symbols *symbols, const struct jp_table_options *options) {
    struct table table = {.profile = profile};
    struct jp_progress progress = {.is_shown = options->is_progress};
    bool is_ok = name_places(&table, symbols, &progress) && ask(&table, in, out);

    if (is_ok) {
        sum(&table, options);
        is_ok = put_sums(&table, out);
    }
    sy_intern_fini(&table.texts);
    free(table.names);
    free(table.spans);
    free(table.answers);
    free(table.sums);
    return is_ok;
}
