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

AL_INLINE void *al_malloc_fast(size_t size_bytes) {
    if (AL_LIKELY(size_bytes <= AL_CLASS_FINE_MAX_BYTES)) {
        struct al_tcache_bin *const bin = &al_self->bins[al_class_of(size_bytes)];
        void *const block = bin->alloc;
        if (AL_LIKELY(block != NULL)) {
            bin->alloc = *(void **)block;
            return block;
        }
    }
    return al_malloc_slow(size_bytes);
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
