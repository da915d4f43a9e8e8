/* SPDX-License-Identifier: BSD-2-Clause
 *
 * arena_pool — the arena's slabs and large allocations are found by a walk over all descriptors: a
 * list of them would cost every program something at each slab, and pools are few.
 *
 * Nobody else may be inside while that goes on. Who uses objects keeps out by contract; those who
 * look after arenas now and then (threads' slow visits, the background thread, mallctl) ask
 * al_arena_enter.
 */
#include "alloc/arena_pool.h"

#include "alloc/arena.h"
#include "alloc/large.h"
#include "alloc/map.h"
#include "alloc/purge.h"
#include "alloc/slab.h"
#include "alloc/tcache.h"
#include "alloc/thread.h"

#include <errno.h>

/* ---- samples ---- */

static void drop_record(void **record) {
    AL_ASSERT(record != NULL);
    void *const dropped = *record;

    *record = NULL;
    if (dropped != NULL) {
        al_tcache_sample_freed(al_thread_cache(), dropped);
    }
}

static void drop_slab_records(struct al_extent *slab) {
    AL_ASSERT(al_extent_kind(slab) == AL_EXTENT_SAMPLED);
    for (uint32_t slot = 0; slot < slab->slab.slot_count; slot++) {
        drop_record(&slab->slab.records[slot]);
    }
}

/* ---- everything an arena holds ---- */

/* The bins forget their slabs, and stocks their lists: the slabs are given up one by one. */
static void clear_bin(struct al_bin *bin) {
    al_lock_take(&bin->lock, AL_RANK_BIN);
    for (size_t list = 0; list < AL_BIN_LIST_COUNT; list++) {
        bin->list_idx[list] = 0;
    }
    atomic_store(&bin->pending_idx, 0);
    atomic_store(&bin->queue_idx, 0);
    bin->slab_count = 0;
    bin->used_count = 0;
    bin->listed_count = 0;
    al_lock_give(&bin->lock);
}

static void clear_bins(struct al_arena *arena) {
    AL_ASSERT(!arena->is_auto);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        al_stock_clear(&arena->stocks[class_idx]);
        clear_bin(&arena->bins[class_idx]);
        clear_bin(&arena->sampled[class_idx]);
    }
    atomic_store(&arena->runs.has_remote, false);
}

/* One that a thread keeps for its next is not: its map entry is nobody's. */
static bool is_large(const struct al_extent *extent) {
    const unsigned kind = al_extent_kind(extent);

    return (kind == AL_EXTENT_LARGE || kind == AL_EXTENT_HUGE) &&
           al_map_entry_low(al_map_entry((const void *)extent->base_addr)) == AL_MAP_LARGE;
}

static void give_up(struct al_arena *arena, uint32_t idx) {
    struct al_extent *const extent = al_extent_at(idx);
    const unsigned kind = al_extent_kind(extent);

    if (kind == AL_EXTENT_SLAB || kind == AL_EXTENT_SAMPLED) {
        if (kind == AL_EXTENT_SAMPLED) {
            drop_slab_records(extent);
        } else {
            atomic_store(&extent->slab.remote, 0);
        }
        al_slab_destroy(&arena->runs, idx);
    } else if (is_large(extent)) {
        void *const ptr = (void *)extent->base_addr;
        drop_record(&extent->large.record);
        al_large_free(ptr, al_map_entry(ptr));
    }
}

static void give_up_all(struct al_arena *arena) {
    const uint32_t count = al_extent_count();

    for (uint32_t idx = 1; idx < count; idx++) {
        if (al_extent_arena(al_extent_at(idx)) == arena->idx) {
            give_up(arena, idx);
        }
    }
}

/* ---- reset and destroy ---- */

static struct al_arena *pool_at(unsigned arena_idx) {
    struct al_arena *const arena = arena_idx < AL_ARENA_COUNT_MAX ? al_arena_at(arena_idx) : NULL;

    return arena != NULL && !arena->is_auto ? arena : NULL;
}

static size_t allocated_bytes(unsigned arena_idx) {
    struct al_stats_arena stats;

    return al_stats_arena_read(arena_idx, &stats)
               ? stats.allocated_small_bytes + stats.allocated_large_bytes
               : 0;
}

static void empty(struct al_arena *arena) {
    al_tcache_leave_arena(arena);
    al_arena_drain(arena, true);
    /* What is given up counts as freed by nobody: threads' sums must still say what lives. */
    const size_t dropped_bytes = allocated_bytes(arena->idx);
    clear_bins(arena);
    give_up_all(arena);
    al_thread_count_uncached(0, dropped_bytes);
}

int al_arena_reset(unsigned arena_idx) {
    struct al_arena *const arena = pool_at(arena_idx);

    if (arena == NULL || !al_arena_close(arena)) {
        return EFAULT;
    }
    empty(arena);
    al_arena_open(arena);
    return 0;
}

int al_arena_destroy(unsigned arena_idx, struct al_stats_arena *sums,
                     struct al_stats_parts *parts) {
    struct al_arena *const arena = pool_at(arena_idx);

    if (arena == NULL || atomic_load(&arena->thread_count) != 0 || !al_arena_close(arena)) {
        return EFAULT;
    }
    empty(arena);
    al_purge_release(&arena->runs);
    if (sums != NULL && parts != NULL) {
        (void)al_stats_parts_read(arena_idx, sums, parts);
    }
    al_arena_retire(arena);
    return 0;
}
