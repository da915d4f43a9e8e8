/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats_parts — one arena in full: by size class, by length of free runs, by lock.
 *
 * Owns:    nothing; the counters live with what they count.
 * Threads: any; takes the arena's locks one after the other, each for one class, or for some free
 *          runs at a time. What other threads do meanwhile is in some numbers and not in others,
 *          but for the equations below, which the reading itself brings about.
 * Fails:   false: there is no such arena.
 * Equations: small.allocated = sum over the bins of used_count x size; of a bin, malloc_count -
 *          free_count = used_count; nmalloc and ndalloc, small and large, are sums over the
 * classes; allocated <= active.
 */
#ifndef AL_STATS_PARTS_H
#define AL_STATS_PARTS_H

#include "alloc/base.h"
#include "alloc/class.h"
#include "alloc/lock.h"
#include "alloc/stats.h"

/* Buckets of free runs by length, as jemalloc's page classes: the largest that fits. */
enum { AL_STATS_EXTENT_COUNT = 200 };

/* Blocks in threads' caches count as used: they are out of the arena. */
struct al_stats_bin {
    uint64_t malloc_count, free_count; /* blocks out of the arena, and back */
    uint64_t request_count;            /* allocations by programs */
    uint64_t flush_count, fill_count;
    uint64_t slab_made_count;
    uint64_t used_count;
    uint64_t slab_count;
    uint64_t nonfull_count;
    struct al_lock_stats lock;
};

struct al_stats_large {
    uint64_t malloc_count, free_count;
};

struct al_stats_extents {
    size_t count, bytes;
};

enum al_stats_lock {
    AL_STATS_LOCK_RUNS,
    /* Of the whole process; shown with arena 0. */
    AL_STATS_LOCK_EXTENTS,
    AL_STATS_LOCK_META,
    AL_STATS_LOCK_THREADS,
    AL_STATS_LOCK_COUNT,
};

struct al_stats_parts {
    struct al_stats_bin bins[AL_CLASS_COUNT - 1]; /* bins[k]: class k + 1 */
    struct al_stats_large large[AL_LARGE_CLASS_COUNT];
    struct al_stats_extents dirty[AL_STATS_EXTENT_COUNT];
    struct al_stats_extents muzzy[AL_STATS_EXTENT_COUNT];
    struct al_stats_extents retained[AL_STATS_EXTENT_COUNT]; /* clean: without pages */
    struct al_lock_stats locks[AL_STATS_LOCK_COUNT];
    size_t cached_bytes; /* about what the arena's threads hold in caches */
    uint64_t uptime_ns;
};

/* Both views of one arena, from one reading. */
bool al_stats_parts_read(unsigned arena_idx, struct al_stats_arena *arena,
                         struct al_stats_parts *parts);

/* Sums. */
void al_stats_arena_add(struct al_stats_arena *sum, const struct al_stats_arena *one);
void al_stats_parts_add(struct al_stats_parts *sum, const struct al_stats_parts *one);

/* Sets back what the locks of all arenas have counted. */
void al_stats_parts_reset_locks(void);

#endif
