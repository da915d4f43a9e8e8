/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_list — what the files of the thread cache share: its lists and counters, one step.
 *
 * Threads: the cache's own thread, but for the counters' readers.
 */
#ifndef AL_TCACHE_LIST_H
#define AL_TCACHE_LIST_H

#include "alloc/tcache.h"

AL_INLINE void *al_list_next(const void *block) {
    return *(void *const *)block;
}

AL_INLINE void al_counter_add(_Atomic uint64_t *counter, uint64_t more) {
    /* One writer: a plain addition that readers may see before or after, never torn. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

AL_INLINE uint32_t al_list_length(const void *block) {
    uint32_t count = 0;

    for (; block != NULL; block = al_list_next(block)) {
        count++;
    }
    return count;
}

AL_INLINE uint32_t al_tcache_freed_count(const struct al_tcache_bin *bin) {
    return bin->flim - bin->room;
}

/* Blocks a freed list has room for to begin with. */
uint32_t al_tcache_flim_start(unsigned class_idx);

/* The most it may hold, if the thread has set nothing else. */
uint32_t al_tcache_cap_usual(unsigned class_idx);

/* Takes the alloc list away: the blocks not yet allocated, and their share of the counts. And the
 * freed list, which enters the counts.
 */
struct al_list al_tcache_uninstall(struct al_tcache *cache, unsigned class_idx);
struct al_list al_tcache_take_freed(struct al_tcache *cache, unsigned class_idx);

/* To the next cache that wants blocks of the class, else to their slabs. May be empty. */
void al_tcache_pass_on(struct al_tcache *cache, unsigned class_idx, struct al_list list);

/* Empties bins nobody has visited for long, and lets them start small again. */
void al_tcache_trim(struct al_tcache *cache);

/* Sends an open batch of remote frees to its slab; an empty one goes nowhere. */
void al_tcache_send_home(struct al_tcache *cache, struct al_tcache_remote *batch);

#endif
