/* SPDX-License-Identifier: BSD-2-Clause
 *
 * thread — start-up, and the birth and death of thread caches.
 *
 * Owns:    the registry of caches, the pool of unused ones, the counters of ended threads.
 * Threads: rank AL_RANK_THREADS.
 *
 * A thread gets its cache with its first slow visit. When it ends, its cache is parked with
 * its arena, full as it is, for the next thread there; beyond AL_ARENA_PARKED_MAX it is
 * flushed and pooled. A thread that allocates after that (destructors that run after ours)
 * takes blocks one by one under the bin's lock: correct, slower, and it revives nothing. One
 * that allocates for the first time in its last destructors leaves its cache to the next thread
 * at the same address; until then it counts as a thread.
 */
#ifndef AL_THREAD_H
#define AL_THREAD_H

#include "alloc/base.h"
#include "alloc/lock.h"
#include "alloc/tcache.h"

/* The caller's cache, made if it has none yet. NULL: the thread is ending, or starting up, or
 * there is no memory for one: use arena 0 and no cache.
 */
struct al_tcache *al_thread_cache_slow(void);

AL_INLINE struct al_tcache *al_thread_cache(void) {
    struct al_tcache *const cache = al_self;

    return AL_LIKELY(cache != &al_null_tcache) ? cache : al_thread_cache_slow();
}

/* Sums over all threads there were. Live ones' cached blocks count as allocated. */
void al_threads_sum(uint64_t *allocated_bytes, uint64_t *freed_bytes);

/* What the live threads of an arena have requested, by class (added to requests[AL_CLASS_COUNT]),
 * and how many bytes they have allocated and not freed, less than nothing where they free what
 * others allocate.
 */
int64_t al_threads_arena_sum(unsigned arena_idx, uint64_t *requests);

/* Of the registry's lock, set back first if is_reset. */
void al_threads_lock_stats(struct al_lock_stats *stats, bool is_reset);

/* Counts for threads without a cache. */
void al_thread_count_uncached(size_t allocated_bytes, size_t freed_bytes);

/* For tests and audit builds: walks every structure there is. Only with one thread running. */
void al_audit_all(void);

#endif
