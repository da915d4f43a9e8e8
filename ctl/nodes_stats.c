/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes_stats — stats.arenas.<i>.* and stats.background_thread.*: one function a group, which
 * finds its number by the last word of the row's name.
 *
 * Arena 4096 is the sum of all. A page here is the OS page, as in jemalloc.
 */
#include "alloc/background.h"
#include "alloc/control.h"
#include "alloc/os.h"
#include "ctl/nodes.h"

#include <errno.h>
#include <string.h>

static const char *last_word(const struct ct_args *args) {
    AL_ASSERT(strrchr(args->path, '.') != NULL);
    return strrchr(args->path, '.') + 1;
}

static void add(struct al_stats_arena *sum, const struct al_stats_arena *one) {
    AL_ASSERT(sum != one);
    sum->active_bytes += one->active_bytes;
    sum->retained_bytes += one->retained_bytes;
    sum->thread_count += one->thread_count;
    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        sum->stale_bytes[stale] += one->stale_bytes[stale];
        sum->purged[stale].pass_count += one->purged[stale].pass_count;
        sum->purged[stale].call_count += one->purged[stale].call_count;
        sum->purged[stale].purged_bytes += one->purged[stale].purged_bytes;
        sum->decay_ms[stale] = al_arenas_decay_ms_get((enum al_stale)stale);
    }
}

static bool read_arena(const struct ct_args *args, struct al_stats_arena *stats) {
    AL_ASSERT(args->mib_count >= 3);
    if (args->mib[2] != CT_ARENAS_ALL) {
        return al_stats_arena_read((unsigned)args->mib[2], stats);
    }
    *stats = (struct al_stats_arena){0};
    for (unsigned idx = 0; idx < al_arena_count(); idx++) {
        struct al_stats_arena one;
        if (al_stats_arena_read(idx, &one)) {
            add(stats, &one);
        }
    }
    return true;
}

int ct_stats_arena_size_get(const struct ct_args *args, union ct_value *out) {
    struct al_stats_arena stats;
    const char *const word = last_word(args);

    if (!read_arena(args, &stats)) {
        return ENOENT;
    }
    const struct {
        const char *word;
        size_t value;
    } values[] = {
        {"pactive", stats.active_bytes / AL_PAGE_BYTES},
        {"pdirty", stats.stale_bytes[AL_STALE_DIRTY] / AL_PAGE_BYTES},
        {"pmuzzy", stats.stale_bytes[AL_STALE_MUZZY] / AL_PAGE_BYTES},
        {"retained", stats.retained_bytes},
    };
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(values); idx++) {
        if (strcmp(values[idx].word, word) == 0) {
            out->size = values[idx].value;
            return 0;
        }
    }
    return ENOENT;
}

/* {dirty,muzzy}_{npurge,nmadvise,purged}. */
int ct_stats_arena_purge_get(const struct ct_args *args, union ct_value *out) {
    struct al_stats_arena stats;
    const char *const word = last_word(args);
    const enum al_stale stale = word[0] == 'm' ? AL_STALE_MUZZY : AL_STALE_DIRTY;

    if (!read_arena(args, &stats)) {
        return ENOENT;
    }
    const struct al_stats_purge *const purged = &stats.purged[stale];
    const char *const what = strchr(word, '_') + 1;
    out->u64 = strcmp(what, "npurge") == 0     ? purged->pass_count
               : strcmp(what, "nmadvise") == 0 ? purged->call_count
                                               : purged->purged_bytes / AL_PAGE_BYTES;
    return 0;
}

int ct_stats_arena_decay_get(const struct ct_args *args, union ct_value *out) {
    struct al_stats_arena stats;

    if (!read_arena(args, &stats)) {
        return ENOENT;
    }
    out->ssize = stats.decay_ms[last_word(args)[0] == 'm' ? AL_STALE_MUZZY : AL_STALE_DIRTY];
    return 0;
}

int ct_stats_arena_threads_get(const struct ct_args *args, union ct_value *out) {
    struct al_stats_arena stats;

    if (!read_arena(args, &stats)) {
        return ENOENT;
    }
    out->u32 = stats.thread_count;
    return 0;
}

/* num_threads is a size_t, num_runs and run_interval are uint64_t: one width. */
int ct_stats_background_get(const struct ct_args *args, union ct_value *out) {
    struct al_background_stats stats;
    const char *const word = last_word(args);

    al_background_stats_read(&stats);
    out->u64 = strcmp(word, "num_runs") == 0       ? stats.run_count
               : strcmp(word, "run_interval") == 0 ? stats.interval_ns
                                                   : stats.thread_count;
    return 0;
}
