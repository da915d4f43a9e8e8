/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats_parts — bins first, then large allocations with the page layer's sums, in one taking of its
 * lock; then the free runs, some at a time.
 */
#include "alloc/stats_parts.h"

#include "alloc/arena.h"
#include "alloc/meta.h"
#include "alloc/os.h"
#include "alloc/thread.h"
#include "alloc/treap.h"

/* Free runs looked at between two takings of the lock. */
enum { SCAN_COUNT = 256 };

/* ---- bins ---- */

static void read_bin(struct al_arena *arena, unsigned class_idx, struct al_stats_bin *stats) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    struct al_bin *const bin = &arena->bins[class_idx];
    struct al_bin *const sampled = &arena->sampled[class_idx];
    struct al_bin_counts *const counts = &arena->bin_counts[class_idx];
    struct al_lock_stats sampled_lock;

    al_lock_take(&bin->lock, AL_RANK_BIN);
    stats->malloc_count = counts->taken_count;
    stats->flush_count = counts->flush_count;
    stats->fill_count = counts->fill_count;
    stats->slab_made_count = counts->slab_count;
    stats->used_count = bin->used_count;
    stats->slab_count = bin->slab_count;
    stats->nonfull_count = bin->listed_count;
    al_lock_stats_read_locked(&bin->lock, &stats->lock);
    al_lock_give(&bin->lock);

    al_lock_take(&sampled->lock, AL_RANK_BIN);
    stats->malloc_count += counts->sampled_count;
    stats->slab_made_count += counts->sampled_slab_count;
    stats->used_count += sampled->used_count;
    stats->slab_count += sampled->slab_count;
    stats->nonfull_count += sampled->listed_count;
    al_lock_stats_read_locked(&sampled->lock, &sampled_lock);
    al_lock_give(&sampled->lock);
    al_lock_stats_add(&stats->lock, &sampled_lock);

    stats->free_count = stats->malloc_count - stats->used_count;
    stats->request_count = atomic_load_explicit(&counts->past_request_count, memory_order_relaxed);
}

static void read_bins(struct al_arena *arena, struct al_stats_arena *sum,
                      struct al_stats_parts *parts) {
    sum->allocated_small_bytes = 0;
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        struct al_stats_bin *const stats = &parts->bins[class_idx - 1];
        read_bin(arena, class_idx, stats);
        sum->allocated_small_bytes += stats->used_count * al_class_bytes(class_idx);
        sum->nmalloc_small += stats->malloc_count;
        sum->ndalloc_small += stats->free_count;
    }
}

/* ---- the page layer ---- */

/* The bucket of a length in OS pages: 1, 2, 3, then four a doubling. */
static unsigned bucket_of(size_t pages) {
    AL_ASSERT(pages > 0);
    if (pages < 4) {
        return (unsigned)pages - 1;
    }
    const unsigned lg = 63 - (unsigned)__builtin_clzll((uint64_t)pages);
    const unsigned bucket = (lg - 2) * 4 + (unsigned)((pages - ((size_t)1 << lg)) >> (lg - 2)) + 3;
    return bucket < AL_STATS_EXTENT_COUNT ? bucket : AL_STATS_EXTENT_COUNT - 1;
}

static void add_granules(struct al_stats_extents *buckets, unsigned bucket, size_t granules) {
    AL_ASSERT(bucket < AL_STATS_EXTENT_COUNT);
    if (granules != 0) {
        buckets[bucket].count++;
        buckets[bucket].bytes += granules << AL_GRANULE_LG;
    }
}

/* A free run may be dirty here and clean there: it counts in each bucket it has bytes of. */
static void add_run_locked(const struct al_extent *extent, struct al_stats_parts *parts) {
    AL_ASSERT(al_extent_kind(extent) == AL_EXTENT_FREE);
    const uint32_t dirty = extent->free.stale_granules[AL_STALE_DIRTY];
    const uint32_t muzzy = extent->free.stale_granules[AL_STALE_MUZZY];
    const unsigned bucket = bucket_of(al_extent_bytes(extent) / AL_PAGE_BYTES);

    add_granules(parts->dirty, bucket, dirty);
    add_granules(parts->muzzy, bucket, muzzy);
    add_granules(parts->retained, bucket, extent->granules - dirty - muzzy);
}

static void read_free_runs(struct al_runs *runs, struct al_stats_parts *parts) {
    uint32_t granules = UINT32_MAX;
    uintptr_t base_addr = UINTPTR_MAX;
    uint32_t idx = 0;

    do { /* ends: the place in the order only goes down */
        al_lock_take(&runs->lock, AL_RANK_RUNS);
        for (int seen = 0; seen < SCAN_COUNT; seen++) {
            idx = al_treap_below(runs->root_idx, granules, base_addr);
            if (idx == 0) {
                break;
            }
            granules = al_extent_at(idx)->granules;
            base_addr = al_extent_at(idx)->base_addr;
            add_run_locked(al_extent_at(idx), parts);
        }
        al_lock_give(&runs->lock);
    } while (idx != 0);
}

static void read_large_locked(const struct al_runs *runs, struct al_stats_arena *sum,
                              struct al_stats_parts *parts) {
    al_lock_assert_held(&runs->lock);
    sum->nmalloc_large = 0;
    sum->ndalloc_large = 0;
    for (unsigned large_idx = 0; large_idx < AL_LARGE_CLASS_COUNT; large_idx++) {
        struct al_stats_large *const large = &parts->large[large_idx];
        large->malloc_count = runs->large[large_idx].malloc_count;
        large->free_count = runs->large[large_idx].free_count;
        sum->nmalloc_large += large->malloc_count;
        sum->ndalloc_large += large->free_count;
    }
    sum->allocated_large_bytes = runs->large_bytes;
}

/* ---- caches ---- */

static void read_threads(unsigned arena_idx, struct al_stats_arena *sum,
                         struct al_stats_parts *parts) {
    uint64_t requests[AL_CLASS_COUNT] = {0};
    const int64_t net_bytes = al_threads_arena_sum(arena_idx, requests);
    const size_t allocated_bytes = sum->allocated_small_bytes + sum->allocated_large_bytes;

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        parts->bins[class_idx - 1].request_count += requests[class_idx];
        sum->nrequests_small += parts->bins[class_idx - 1].request_count;
        sum->nfills_small += parts->bins[class_idx - 1].fill_count;
        sum->nflushes_small += parts->bins[class_idx - 1].flush_count;
    }
    if (sum->thread_count != 0 && net_bytes >= 0 && (uint64_t)net_bytes < allocated_bytes) {
        parts->cached_bytes = allocated_bytes - (size_t)net_bytes;
    }
}

static void read_process_locks(struct al_lock_stats *locks, bool is_reset) {
    al_extent_lock_stats(&locks[AL_STATS_LOCK_EXTENTS], is_reset);
    al_meta_lock_stats(&locks[AL_STATS_LOCK_META], is_reset);
    al_threads_lock_stats(&locks[AL_STATS_LOCK_THREADS], is_reset);
}

bool al_stats_parts_read(unsigned arena_idx, struct al_stats_arena *arena,
                         struct al_stats_parts *parts) {
    AL_ASSERT(arena != NULL && parts != NULL);
    *parts = (struct al_stats_parts){0};
    if (!al_stats_arena_read(arena_idx, arena)) {
        return false;
    }
    struct al_arena *const source = al_arena_at(arena_idx);
    struct al_runs *const runs = &source->runs;

    read_bins(source, arena, parts);
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    read_large_locked(runs, arena, parts);
    al_lock_stats_read_locked(&runs->lock, &parts->locks[AL_STATS_LOCK_RUNS]);
    al_lock_give(&runs->lock);
    const size_t allocated_bytes = arena->allocated_small_bytes + arena->allocated_large_bytes;
    if (arena->active_bytes < allocated_bytes) {
        arena->active_bytes = allocated_bytes; /* grown since it was read */
    }
    read_free_runs(runs, parts);
    read_threads(arena_idx, arena, parts);
    if (arena_idx == 0) {
        read_process_locks(parts->locks, false);
    }
    parts->uptime_ns = al_os_time_ns() - source->born_ns;
    return true;
}

/* ---- sums ---- */

void al_stats_arena_add(struct al_stats_arena *sum, const struct al_stats_arena *one) {
    AL_ASSERT(sum != one);
    sum->allocated_small_bytes += one->allocated_small_bytes;
    sum->allocated_large_bytes += one->allocated_large_bytes;
    sum->active_bytes += one->active_bytes;
    sum->retained_bytes += one->retained_bytes;
    sum->nmalloc_small += one->nmalloc_small;
    sum->ndalloc_small += one->ndalloc_small;
    sum->nrequests_small += one->nrequests_small;
    sum->nfills_small += one->nfills_small;
    sum->nflushes_small += one->nflushes_small;
    sum->nmalloc_large += one->nmalloc_large;
    sum->ndalloc_large += one->ndalloc_large;
    sum->thread_count += one->thread_count;
    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        sum->stale_bytes[stale] += one->stale_bytes[stale];
        sum->purged[stale].pass_count += one->purged[stale].pass_count;
        sum->purged[stale].call_count += one->purged[stale].call_count;
        sum->purged[stale].purged_bytes += one->purged[stale].purged_bytes;
    }
}

static void add_extents(struct al_stats_extents *sum, const struct al_stats_extents *one) {
    for (size_t idx = 0; idx < AL_STATS_EXTENT_COUNT; idx++) {
        sum[idx].count += one[idx].count;
        sum[idx].bytes += one[idx].bytes;
    }
}

void al_stats_parts_add(struct al_stats_parts *sum, const struct al_stats_parts *one) {
    AL_ASSERT(sum != one);
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(sum->bins); idx++) {
        struct al_stats_bin *const to = &sum->bins[idx];
        const struct al_stats_bin *const from = &one->bins[idx];
        to->malloc_count += from->malloc_count;
        to->free_count += from->free_count;
        to->request_count += from->request_count;
        to->flush_count += from->flush_count;
        to->fill_count += from->fill_count;
        to->slab_made_count += from->slab_made_count;
        to->used_count += from->used_count;
        to->slab_count += from->slab_count;
        to->nonfull_count += from->nonfull_count;
        al_lock_stats_add(&to->lock, &from->lock);
    }
    for (size_t idx = 0; idx < AL_LARGE_CLASS_COUNT; idx++) {
        sum->large[idx].malloc_count += one->large[idx].malloc_count;
        sum->large[idx].free_count += one->large[idx].free_count;
    }
    add_extents(sum->dirty, one->dirty);
    add_extents(sum->muzzy, one->muzzy);
    add_extents(sum->retained, one->retained);
    for (size_t idx = 0; idx < AL_STATS_LOCK_COUNT; idx++) {
        al_lock_stats_add(&sum->locks[idx], &one->locks[idx]);
    }
    sum->cached_bytes += one->cached_bytes;
    sum->uptime_ns = one->uptime_ns > sum->uptime_ns ? one->uptime_ns : sum->uptime_ns;
}

void al_stats_parts_reset_locks(void) {
    struct al_lock_stats locks[AL_STATS_LOCK_COUNT];

    for (unsigned idx = 0; idx < AL_ARENA_COUNT_MAX; idx++) {
        struct al_arena *const arena = al_arena_at(idx);
        for (unsigned class_idx = 1; arena != NULL && class_idx < AL_CLASS_COUNT; class_idx++) {
            al_lock_stats_reset(&arena->bins[class_idx].lock, AL_RANK_BIN);
            al_lock_stats_reset(&arena->sampled[class_idx].lock, AL_RANK_BIN);
        }
        if (arena != NULL) {
            al_lock_stats_reset(&arena->runs.lock, AL_RANK_RUNS);
        }
    }
    read_process_locks(locks, true);
}
