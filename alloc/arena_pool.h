/* SPDX-License-Identifier: BSD-2-Clause
 *
 * arena_pool — a created arena as a pool: everything in it given up at once.
 *
 * Owns:    nothing.
 * Threads: any; but nobody may use the arena's objects, its explicit caches must be flushed, and so
 * must the caches of threads that are bound to it or have freed its objects. That is jemalloc's
 *          contract. Caches of threads that have ended are taken care of.
 * Fails:   EFAULT: no such arena, or an automatic one; of destroying also: threads are bound to it.
 * Cost:    a slab or a large allocation some hundred nanoseconds, whatever is in it; a sampled
 * object as much as its free; and one look at each of the process's descriptors (64 bytes a slab).
 */
#ifndef AL_ARENA_POOL_H
#define AL_ARENA_POOL_H

#include "alloc/stats_parts.h"

int al_arena_reset(unsigned arena_idx);

/* Reset, and the address space goes back; the index is the next created arena's. What it has
 * counted until then is left in *sums and *parts, unless they are NULL.
 */
int al_arena_destroy(unsigned arena_idx, struct al_stats_arena *sums, struct al_stats_parts *parts);

#endif
