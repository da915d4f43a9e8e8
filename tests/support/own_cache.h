/* SPDX-License-Identifier: BSD-2-Clause
 *
 * own_cache — thread caches of arenas that nobody else uses, in the place of the calling thread's:
 * what a test sees in them it has done itself.
 *
 * Threads: one at a time; the caches are the calling thread's until own_cache_end.
 * Fails:   the running Check test, if an arena cannot be made or is not empty in the end.
 */
#ifndef TESTS_OWN_CACHE_H
#define TESTS_OWN_CACHE_H

#include "alloc/tcache.h"

enum { OWN_CACHE_COUNT_MAX = 16 };

/* An empty cache of a new arena, unsampled, in mode 0. al_malloc and al_free use it from now on. */
struct al_tcache *own_cache_new(void);

/* One more for the arena of `other`. */
struct al_tcache *own_cache_beside(const struct al_tcache *other);

void own_cache_use(struct al_tcache *cache);

/* Every allocation has been freed: flushes the caches, sees that no slab and no run of their
 * arenas is in use, and gives the thread its own cache back.
 */
void own_cache_end(void);

/* Blocks of the class that the bins of the cache's arena count as in use: live ones and cached. */
uint64_t own_cache_bin_used(const struct al_tcache *cache, unsigned class_idx);

/* A list of `count` blocks of the class from the bin of the cache's arena. */
struct al_list own_cache_list(const struct al_tcache *cache, unsigned class_idx, uint32_t count);

#endif
