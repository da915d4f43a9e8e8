/* SPDX-License-Identifier: BSD-2-Clause
 *
 * malloc_fast — the few instructions that nearly every malloc and free consists of.
 *
 * Included by the entry points only. malloc: 13 instructions; free: 19, two of which catch a
 * block freed twice in a row. What they cost is held by ./dev bench --micro.
 */
#ifndef AL_MALLOC_FAST_H
#define AL_MALLOC_FAST_H

#include "alloc/base.h"
#include "alloc/class.h"
#include "alloc/map.h"
#include "alloc/tcache.h"

void *al_malloc_slow(size_t size_bytes);
void al_free_slow(void *ptr);
void al_free_full(struct al_tcache *cache, uint32_t bin_offset);
void al_free_twice(const void *ptr);

/* A block of the class if the list has one; else NULL. */
AL_INLINE void *al_tcache_pop(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    void *const block = bin->alloc;

    if (AL_LIKELY(block != NULL)) {
        bin->alloc = *(void **)block;
    }
    return block;
}

/* NULL: the slow path's turn. The finer classes come first and pay nothing for the others. */
AL_INLINE void *al_malloc_pop(size_t size_bytes) {
    if (AL_LIKELY(size_bytes <= AL_CLASS_FINE_MAX_BYTES)) {
        return al_tcache_pop(al_self, al_class_of(size_bytes));
    }
    if (size_bytes <= AL_SMALL_MAX_BYTES) {
        return al_tcache_pop(al_self, al_class_of_coarse(size_bytes));
    }
    return NULL;
}

AL_INLINE void *al_malloc_fast(size_t size_bytes) {
    void *const block = al_malloc_pop(size_bytes);

    return AL_LIKELY(block != NULL) ? block : al_malloc_slow(size_bytes);
}

AL_INLINE void al_free_fast(void *ptr) {
    struct al_tcache *const cache = al_self;
    const uint64_t offset = (uint64_t)al_map_low_fast(ptr) ^ cache->tag;

    if (AL_UNLIKELY(offset >= AL_TCACHE_BINS_END)) {
        al_free_slow(ptr);
        return;
    }
    struct al_tcache_bin *const bin = (struct al_tcache_bin *)((char *)cache + offset);
    void *const head = bin->freed;
    if (AL_UNLIKELY(head == ptr)) {
        al_free_twice(ptr);
        return;
    }
    *(void **)ptr = head;
    bin->freed = ptr;
    if (AL_UNLIKELY(--bin->room == 0)) {
        al_free_full(cache, (uint32_t)offset);
    }
}

#endif
