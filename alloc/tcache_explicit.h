/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_explicit — caches that a program makes and names in the flags of mallocx: for a pool, or
 * for work that moves between threads.
 *
 * Owns:    the blocks in it, of any arena; small classes only, larger objects pass by.
 * Threads: one at a time for each cache: that is the program's duty, as in jemalloc. Making and
 * giving up a cache: any (rank AL_RANK_EXPLICIT). Fails:   NULL: nothing cached.
 */
#ifndef AL_TCACHE_EXPLICIT_H
#define AL_TCACHE_EXPLICIT_H

#include "alloc/arena.h"
#include "alloc/base.h"

struct al_tcache_explicit;

/* Identifiers are 0 .. AL_TCACHE_EXPLICIT_MAX - 1: what the flags of mallocx have room for. */
enum { AL_TCACHE_EXPLICIT_MAX = 4094 };

/* NULL: there is no such cache. */
struct al_tcache_explicit *al_tcache_explicit_at(unsigned id);

/* A block of the class, from the cache or else from the arena; NULL: no memory. */
AL_NODISCARD void *al_tcache_explicit_take(struct al_tcache_explicit *cache, struct al_arena *arena,
                                           unsigned class_idx);

/* A block of a slab, of whatever arena. */
void al_tcache_explicit_give(struct al_tcache_explicit *cache, void *block, unsigned class_idx);

void al_tcache_explicit_fork_prepare(void);
void al_tcache_explicit_fork_parent(void);
void al_tcache_explicit_fork_child(void);

#endif
