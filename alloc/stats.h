/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats — how much memory there is, and who has it: a copy of the counters at one moment.
 *
 * Owns:    nothing; the counters live with what they count.
 * Threads: any; takes the locks of arenas one after the other.
 * Fails:   never.
 * Truth:   a thread's cached free blocks cannot be walked by another thread, so `allocated`
 *          counts them as allocated: too high by at most what caches hold (thread.h states
 *          the bound), never too low. The calling thread's own are exact.
 * Equations, held by tests: allocated <= active <= resident <= mapped,
 *          and active + dirty + retained is all address space our heaps hold.
 */
#ifndef AL_STATS_H
#define AL_STATS_H

#include "alloc/base.h"
#include "alloc/stale.h"

#include <sys/types.h>

struct al_stats_arena {
    size_t allocated_small_bytes;
    size_t allocated_large_bytes;
    size_t active_bytes;                   /* of slabs and large runs */
    size_t stale_bytes[AL_STALE_COUNT];    /* freed, not yet given back for good */
    size_t retained_bytes;                 /* address space without pages */
    uint64_t nmalloc_large, ndalloc_large; /* since start */
    /* Filled in by al_stats_parts_read alone. */
    uint64_t nmalloc_small, ndalloc_small, nrequests_small, nfills_small, nflushes_small;
    struct al_stats_purge {
        uint64_t pass_count; /* times that something was found to purge */
        uint64_t call_count; /* madvise or munmap */
        uint64_t purged_bytes;
    } purged[AL_STALE_COUNT]; /* since start */
    ssize_t decay_ms[AL_STALE_COUNT];
    unsigned thread_count; /* threads bound to it */
};

struct al_stats {
    size_t allocated_bytes;
    size_t active_bytes;
    size_t metadata_bytes;
    size_t resident_bytes;
    size_t mapped_bytes;
    size_t retained_bytes;
    uint64_t zero_realloc_count;
};

/* Sums over all arenas. */
void al_stats_read(struct al_stats *stats);

/* Address space that heaps hold now, purged or not; without a lock, for triggers. */
size_t al_stats_address_bytes(void);

/* One arena. False: there is no such arena. */
bool al_stats_arena_read(unsigned arena_idx, struct al_stats_arena *stats);

#endif
