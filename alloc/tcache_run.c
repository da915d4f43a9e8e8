/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_run — the large allocations a thread has freed last, kept for its next ones.
 *
 * A program that takes and gives a buffer of 100 KiB in a loop would pay two locks, a merge and a
 * split each time. Only the exact number of granules is served: the heap's best fit, which
 * decides how much memory a program needs, sees all else.
 *
 * An entry's map entry is AL_MAP_BUSY: to everybody else the object is free.
 */
#include "alloc/bits.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/sample.h"
#include "alloc/tcache_list.h"

enum {
    GRANULES_SUM_MAX = AL_TCACHE_RUN_BYTES_SUM_MAX / AL_GRANULE_BYTES,
    GRANULES_MAX = AL_TCACHE_RUN_BYTES_MAX / AL_GRANULE_BYTES,
    /* A look at decay and the profiler's triggers takes as long as the rest. */
    EVENT_BYTES = 512 * 1024,
};

static void evict(struct al_tcache *cache, struct al_tcache_run *run) {
    AL_ASSERT(run->granules != 0 && cache->run_granules >= run->granules);
    struct al_runs *const runs = &cache->arena->runs;
    const uint64_t hit_count = cache->run_hit_count;

    cache->run_granules -= run->granules;
    cache->run_hit_count = 0;
    run->granules = 0;
    if (hit_count != 0) {
        al_runs_count_hits(runs, al_extent_bytes(al_extent_at(run->extent_idx)), hit_count);
    }
    al_runs_give(runs, run->extent_idx, AL_RUNS_LARGE, true);
}

void al_tcache_run_flush(struct al_tcache *cache) {
    for (size_t at = 0; at < AL_TCACHE_RUN_COUNT; at++) {
        if (cache->runs[at].granules != 0) {
            evict(cache, &cache->runs[at]);
        }
    }
}

void al_tcache_run_trim(struct al_tcache *cache) {
    if (cache->run_hit_count == cache->run_trim_count && cache->run_granules != 0) {
        al_tcache_run_flush(cache);
    }
    cache->run_trim_count = cache->run_hit_count;
}

bool al_tcache_run_give(struct al_tcache *cache, void *ptr, uint64_t entry) {
    AL_ASSERT(al_map_entry_low(entry) == AL_MAP_LARGE);
    const uint32_t idx = al_map_entry_extent(entry);
    struct al_extent *const extent = al_extent_at(idx);
    struct al_tcache_run *slot = &cache->runs[cache->run_next % AL_TCACHE_RUN_COUNT];

    if (cache->mode != 0 || cache->arena->idx != al_extent_arena(extent) ||
        extent->granules > GRANULES_MAX || extent->large.record != NULL ||
        extent->base_addr != (uintptr_t)ptr || al_extent_kind(extent) != AL_EXTENT_LARGE) {
        return false;
    }
    /* From here a second free finds no object. */
    al_map_set((uintptr_t)ptr, 1, AL_MAP_BUSY);
    al_counter_add(&cache->large_free_bytes, extent->large.usable_bytes);
    for (size_t at = 0; slot->granules != 0 && at < AL_TCACHE_RUN_COUNT; at++) {
        slot = &cache->runs[at];
    }
    while (slot->granules != 0 || cache->run_granules + extent->granules > GRANULES_SUM_MAX) {
        struct al_tcache_run *const oldest = &cache->runs[cache->run_next++ % AL_TCACHE_RUN_COUNT];
        if (oldest->granules != 0) { /* once round at most: then the cache is empty */
            evict(cache, oldest);
            slot = oldest;
        }
    }
    *slot = (struct al_tcache_run){.extent_idx = idx, .granules = extent->granules};
    cache->run_granules += extent->granules;
    return true;
}

void *al_tcache_run_take(struct al_tcache *cache, size_t size_bytes) {
    AL_ASSERT(size_bytes > AL_SMALL_MAX_BYTES && size_bytes <= AL_TCACHE_RUN_BYTES_MAX);
    const uint32_t granules = (uint32_t)((size_bytes + AL_GRANULE_BYTES - 1) >> AL_GRANULE_LG);
    size_t at = 0;

    while (cache->runs[at].granules != granules) {
        if (++at == AL_TCACHE_RUN_COUNT) {
            return NULL;
        }
    }
    struct al_extent *const extent = al_extent_at(cache->runs[at].extent_idx);
    void *const ptr = (void *)extent->base_addr;
    cache->runs[at].granules = 0;
    cache->run_granules -= granules;
    cache->run_hit_count++;
    AL_ASSERT(extent->large.record == NULL && extent->granules == granules);
    AL_ASSERT(al_map_entry_low(al_map_entry(ptr)) == AL_MAP_BUSY);
    extent->large.usable_bytes = al_round_up(size_bytes, AL_PAGE_BYTES);
    al_map_set((uintptr_t)ptr, 1, al_map_entry_make(cache->runs[at].extent_idx, AL_MAP_LARGE));
    return ptr;
}

void *al_tcache_run_malloc(struct al_tcache *cache, size_t size_bytes) {
    AL_ASSERT(cache->run_granules <= GRANULES_SUM_MAX);
    const size_t usable_bytes = al_round_up(size_bytes, AL_PAGE_BYTES);

    /* One that is to be sampled, or whose countdown is old, goes the long way. */
    if (usable_bytes >= cache->large_countdown || cache->large_epoch != al_sample_epoch()) {
        return NULL;
    }
    void *const ptr = al_tcache_run_take(cache, size_bytes);
    if (ptr == NULL) {
        return NULL;
    }
    cache->large_countdown -= usable_bytes; /* never drawn: 2^64 bytes from the end */
    al_counter_add(&cache->large_malloc_bytes, usable_bytes);
    cache->event_bytes += usable_bytes;
    if (AL_UNLIKELY(cache->event_bytes >= EVENT_BYTES)) {
        al_tcache_visit(cache, 0);
    }
    return ptr;
}
