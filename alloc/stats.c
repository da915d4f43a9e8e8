/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats — reads arenas one lock at a time, then the threads' sums.
 */
#include "alloc/stats.h"

#include "alloc/arena.h"
#include "alloc/control.h"
#include "alloc/meta.h"
#include "alloc/request.h"
#include "alloc/thread.h"

static size_t granule_bytes(size_t granules) {
    return granules << AL_GRANULE_LG;
}

/* Blocks out of slabs, those in caches included, and slabs' memory, from the bins. */
static void read_bins(struct al_arena *arena, struct al_stats_arena *stats) {
    AL_ASSERT(arena != NULL && stats != NULL);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        struct al_bin *const bins[] = {&arena->bins[class_idx], &arena->sampled[class_idx]};
        for (size_t which = 0; which < AL_ARRAY_COUNT(bins); which++) {
            al_lock_take(&bins[which]->lock, AL_RANK_BIN);
            stats->allocated_small_bytes += bins[which]->used_count * al_class_bytes(class_idx);
            al_lock_give(&bins[which]->lock);
        }
    }
}

bool al_stats_arena_read(unsigned arena_idx, struct al_stats_arena *stats) {
    AL_ASSERT(stats != NULL);
    *stats = (struct al_stats_arena){0};
    if (arena_idx >= AL_ARENA_COUNT_MAX || al_arena_at(arena_idx) == NULL) {
        return false;
    }
    struct al_arena *const arena = al_arena_at(arena_idx);
    struct al_runs *const runs = &arena->runs;

    read_bins(arena, stats);
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    stats->allocated_large_bytes = runs->large_bytes;
    stats->active_bytes =
        granule_bytes(runs->mapped_granules - runs->free_granules) + runs->huge_bytes;
    size_t clean_granules = runs->free_granules;
    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        const struct al_purge_counts *const purged = &runs->purged[stale];
        clean_granules -= runs->stale_granules[stale];
        stats->stale_bytes[stale] = granule_bytes(runs->stale_granules[stale]);
        stats->decay_ms[stale] = runs->decay[stale].decay_ms;
        stats->purged[stale] = (struct al_stats_purge){purged->pass_count, purged->call_count,
                                                       granule_bytes(purged->purged_granules)};
    }
    stats->retained_bytes = granule_bytes(clean_granules);
    stats->nmalloc_large = runs->large_malloc_count;
    stats->ndalloc_large = runs->large_free_count;
    al_lock_give(&runs->lock);
    stats->thread_count = atomic_load(&arena->thread_count);
    return true;
}

size_t al_stats_address_bytes(void) {
    return atomic_load_explicit(&al_runs_total_bytes, memory_order_relaxed);
}

void al_stats_read(struct al_stats *stats) {
    AL_ASSERT(stats != NULL);
    uint64_t allocated_bytes = 0;
    uint64_t freed_bytes = 0;
    size_t stale_bytes = 0;

    *stats = (struct al_stats){0};
    /* Threads first: what they allocate meanwhile may only make `active` larger. */
    al_threads_sum(&allocated_bytes, &freed_bytes);
    for (unsigned idx = 0; idx < al_arena_count(); idx++) {
        struct al_stats_arena arena;
        if (al_stats_arena_read(idx, &arena)) {
            stats->active_bytes += arena.active_bytes;
            stats->retained_bytes += arena.retained_bytes;
            stale_bytes += arena.stale_bytes[AL_STALE_DIRTY] + arena.stale_bytes[AL_STALE_MUZZY];
        }
    }
    stats->allocated_bytes = allocated_bytes > freed_bytes ? allocated_bytes - freed_bytes : 0;
    if (stats->allocated_bytes > stats->active_bytes) {
        stats->allocated_bytes = stats->active_bytes; /* torn by frees between the two reads */
    }
    /* The map's entries, 8 bytes a granule, are books as well. */
    stats->metadata_bytes =
        al_meta_bytes() +
        ((stats->active_bytes + stats->retained_bytes + stale_bytes) >> AL_GRANULE_LG) *
            sizeof(uint64_t);
    stats->resident_bytes = stats->active_bytes + stale_bytes + stats->metadata_bytes;
    stats->mapped_bytes = stats->resident_bytes;
    stats->zero_realloc_count = al_request_zero_realloc_count();
}
