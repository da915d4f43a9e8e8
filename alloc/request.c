/* SPDX-License-Identifier: BSD-2-Clause
 *
 * request — decides by size, alignment and the map's entry who serves it, and keeps the two
 * books that every allocation outside the fast lists must be entered in: the thread's byte
 * counters and the sampler's countdown.
 */
#include "alloc/request.h"

#include "alloc/bits.h"
#include "alloc/control.h"
#include "alloc/fill.h"
#include "alloc/large.h"
#include "alloc/malloc_fast.h"
#include "alloc/sample.h"
#include "alloc/tcache_explicit.h"
#include "alloc/thread.h"

#include <string.h>

static _Atomic uint64_t zero_realloc_count;

void al_request_count_zero_realloc(void) {
    atomic_fetch_add_explicit(&zero_realloc_count, 1, memory_order_relaxed);
}

uint64_t al_request_zero_realloc_count(void) {
    return atomic_load_explicit(&zero_realloc_count, memory_order_relaxed);
}

/* ---- the books ---- */

static void count_malloc(struct al_tcache *cache, size_t bytes) {
    if (cache == NULL) {
        al_thread_count_uncached(bytes, 0);
        return;
    }
    atomic_store_explicit(&cache->large_malloc_bytes,
                          atomic_load_explicit(&cache->large_malloc_bytes, memory_order_relaxed) +
                              bytes,
                          memory_order_relaxed);
    cache->exact_allocated_bytes += bytes;
    al_tcache_visit(cache, bytes);
}

static void count_free(struct al_tcache *cache, size_t bytes) {
    if (cache == NULL) {
        al_thread_count_uncached(0, bytes);
        return;
    }
    atomic_store_explicit(&cache->large_free_bytes,
                          atomic_load_explicit(&cache->large_free_bytes, memory_order_relaxed) +
                              bytes,
                          memory_order_relaxed);
    cache->exact_freed_bytes += bytes;
    al_tcache_visit(cache, 0);
}

static void drop_record(struct al_tcache *cache, void *record) {
    /* A thread without a cache has no re-entry mark: what the hook allocates comes back here
     * without one either, and is never sampled.
     */
    al_tcache_sample_freed(cache, record);
}

/* ---- large ---- */

/* wanted_zeroed: NULL, or told whether the memory reads as zero: the caller wants it so. */
static void *large_malloc(struct al_tcache *cache, struct al_arena *arena, size_t size_bytes,
                          size_t align_bytes, bool *wanted_zeroed) {
    AL_ASSERT(al_is_pow2(align_bytes));
    bool is_zeroed = wanted_zeroed != NULL;
    void *ptr = NULL;

    if (cache != NULL && arena == cache->arena && align_bytes <= AL_GRANULE_BYTES &&
        size_bytes > AL_SMALL_MAX_BYTES && size_bytes <= AL_TCACHE_RUN_BYTES_MAX) {
        ptr = al_tcache_run_take(cache, size_bytes);
        is_zeroed = is_zeroed && ptr == NULL;
    }
    if (ptr == NULL) {
        ptr = al_large_malloc(arena, size_bytes, align_bytes, &is_zeroed);
    }
    if (ptr == NULL) {
        return NULL;
    }
    struct al_extent *const extent = al_large_extent(ptr, al_map_entry(ptr));
    const size_t usable_bytes = extent->large.usable_bytes;
    is_zeroed = al_fill_new(ptr, usable_bytes, is_zeroed);
    if (wanted_zeroed != NULL) {
        *wanted_zeroed = is_zeroed;
    }
    if (cache != NULL && al_tcache_draw(cache, usable_bytes)) {
        extent->large.record = al_tcache_sample(cache, ptr, size_bytes, usable_bytes);
    }
    count_malloc(cache, usable_bytes);
    return ptr;
}

/* is_cached: the thread may keep its run. */
static void large_free(struct al_tcache *cache, void *ptr, uint64_t entry, bool is_cached) {
    struct al_extent *const extent = al_large_extent(ptr, entry);
    const size_t usable_bytes = extent->large.usable_bytes;
    void *const record = extent->large.record;

    if (record != NULL) {
        extent->large.record = NULL;
        drop_record(cache, record);
    }
    if (is_cached && cache != NULL && al_map_entry_low(entry) == AL_MAP_LARGE &&
        al_tcache_run_give(cache, ptr, entry)) {
        return;
    }
    al_fill_old(ptr, usable_bytes);
    al_large_free(ptr, entry);
    count_free(cache, usable_bytes);
}

/* To sampler and counters a new size is a free and an allocation, or growing objects would
 * never be seen.
 */
static void large_resized(struct al_tcache *cache, struct al_extent *extent, size_t old_bytes,
                          size_t size_bytes) {
    AL_ASSERT(old_bytes > 0);
    const size_t new_bytes = extent->large.usable_bytes;
    void *const record = extent->large.record;

    if (new_bytes == old_bytes) {
        return;
    }
    if (new_bytes > old_bytes) {
        (void)al_fill_new((char *)extent->base_addr + old_bytes, new_bytes - old_bytes, false);
    }
    extent->large.record = NULL;
    if (record != NULL) {
        drop_record(cache, record);
    }
    if (cache != NULL && al_tcache_draw(cache, new_bytes)) {
        extent->large.record =
            al_tcache_sample(cache, (void *)extent->base_addr, size_bytes, new_bytes);
    }
    count_free(cache, old_bytes);
    count_malloc(cache, new_bytes);
}

/* ---- small, past the cache ---- */

/* Sampled by counting bytes: p = 1 - exp(-size / R), the same law the classes' countdowns
 * follow. */
static void *small_uncached(struct al_tcache *cache, struct al_arena *arena, unsigned class_idx,
                            size_t size_bytes, struct al_tcache_explicit *past) {
    const size_t usable_bytes = al_class_bytes(class_idx);
    void *block = NULL;

    if (cache != NULL && al_tcache_draw(cache, usable_bytes)) {
        block = al_bin_sampled_take(&arena->sampled[class_idx], class_idx);
        if (block != NULL) {
            const uint32_t slab_idx = al_map_entry_extent(al_map_entry(block));
            al_bin_sampled_set(block, slab_idx,
                               al_tcache_sample(cache, block, size_bytes, usable_bytes));
        }
    }
    if (block == NULL) {
        block = past != NULL ? al_tcache_explicit_take(past, arena, class_idx)
                             : al_bin_take_one(&arena->bins[class_idx], class_idx);
    }
    if (block != NULL) {
        (void)al_fill_new(block, usable_bytes, false);
        atomic_fetch_add_explicit(&arena->bin_counts[class_idx].past_request_count, 1,
                                  memory_order_relaxed);
        count_malloc(cache, usable_bytes);
    }
    return block;
}

/* ---- malloc ---- */

/* 0: it needs a run. */
static unsigned class_of(size_t size_bytes, size_t align_bytes) {
    return align_bytes <= AL_QUANTUM_BYTES && size_bytes <= AL_SMALL_MAX_BYTES
               ? al_class_of(size_bytes != 0 ? size_bytes : 1)
               : al_class_of_aligned(size_bytes, align_bytes);
}

static void *small_malloc(struct al_tcache *cache, unsigned class_idx, size_t size_bytes,
                          bool *is_zeroed) {
    AL_ASSERT(class_idx < AL_CLASS_COUNT);
    class_idx = class_idx != 0 ? class_idx : 1; /* malloc(0) */
    if (AL_UNLIKELY(cache == NULL)) {
        return small_uncached(NULL, al_arena_at(0), class_idx, size_bytes, NULL);
    }
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    void *block = bin->alloc;
    if (block != NULL) {
        bin->alloc = *(void **)block;
    } else {
        block = al_tcache_malloc_slow(cache, class_idx, size_bytes);
    }
    if (is_zeroed != NULL && block != NULL && cache->cold[class_idx].is_zeroed &&
        al_map_entry_is_slab(al_map_entry(block))) {
        *(void **)block = NULL;
        *is_zeroed = true;
    }
    return block;
}

void *al_request_malloc_aligned(size_t size_bytes, size_t align_bytes, bool *is_zeroed) {
    AL_ASSERT(al_is_pow2(align_bytes));
    struct al_tcache *const cache = al_thread_cache();
    const unsigned class_idx = class_of(size_bytes, align_bytes);

    if (class_idx != 0) {
        return small_malloc(cache, class_idx, size_bytes, is_zeroed);
    }
    if (cache == NULL) {
        al_init();
    }
    return large_malloc(cache, cache != NULL ? cache->arena : al_arena_at(0), size_bytes,
                        align_bytes, is_zeroed);
}

void *al_request_malloc(size_t size_bytes, bool *is_zeroed) {
    return al_request_malloc_aligned(size_bytes, 1, is_zeroed);
}

void *al_request_malloc_past(struct al_arena *arena, struct al_tcache_explicit *past,
                             size_t size_bytes, size_t align_bytes, bool *is_zeroed) {
    struct al_tcache *const cache = al_thread_cache();
    const unsigned class_idx = al_class_of_aligned(size_bytes, align_bytes);

    if (class_idx != 0) {
        return small_uncached(cache, arena, class_idx, size_bytes, past);
    }
    return large_malloc(cache, arena, size_bytes, align_bytes, is_zeroed);
}

/* ---- free ---- */

static void small_free_uncached(void *ptr, const struct al_extent *slab, uint32_t slab_idx) {
    al_bin_check_block(slab, ptr);
    al_fill_old(ptr, al_class_bytes(slab->class_idx));
    al_bin_push_remote(&al_arena_at(al_extent_arena(slab))->bins[slab->class_idx], slab_idx, ptr,
                       ptr, 1);
    al_thread_count_uncached(0, al_class_bytes(slab->class_idx));
}

static void small_free(struct al_tcache *cache, void *ptr, uint64_t entry) {
    const uint32_t slab_idx = al_map_entry_extent(entry);
    const struct al_extent *const slab = al_extent_at(slab_idx);

    if (cache == NULL) {
        small_free_uncached(ptr, slab, slab_idx);
    } else if (al_extent_arena(slab) == cache->arena->idx) {
        /* The first slow visit of a thread gave it its cache; or the table has two levels and
         * every free comes here.
         */
        struct al_tcache_bin *const bin = &cache->bins[slab->class_idx];
        al_bin_check_block(slab, ptr);
        if (bin->freed == ptr) {
            al_free_twice(ptr);
        }
        *(void **)ptr = bin->freed;
        bin->freed = ptr;
        if (--bin->room == 0) {
            al_tcache_free_slow(cache, slab->class_idx);
        }
    } else {
        al_tcache_free_remote(cache, ptr, slab_idx);
    }
}

static void sampled_free(struct al_tcache *cache, void *ptr, uint64_t entry) {
    const uint32_t slab_idx = al_map_entry_extent(entry);
    const struct al_extent *const slab = al_extent_at(slab_idx);
    struct al_arena *const arena = al_arena_at(al_extent_arena(slab));
    const size_t usable_bytes = al_class_bytes(slab->class_idx);

    drop_record(cache, al_bin_sampled_record(ptr, slab_idx));
    al_fill_old(ptr, usable_bytes);
    const unsigned class_idx = slab->class_idx;
    if (al_bin_sampled_give(&arena->sampled[class_idx], ptr, slab_idx)) {
        al_arena_sampled_idle(arena, class_idx);
    }
    count_free(cache, usable_bytes);
}

void al_request_free(void *ptr) {
    AL_ASSERT(ptr != NULL);
    struct al_tcache *const cache = al_thread_cache();
    const uint64_t entry = al_map_entry(ptr);

    if (((uintptr_t)ptr & (AL_QUANTUM_BYTES - 1)) != 0) {
        al_die_ptr("pointer that is not aligned as any allocation is", ptr);
    }
    if (al_map_entry_is_slab(entry)) {
        small_free(cache, ptr, entry);
    } else if (al_map_entry_low(entry) == AL_MAP_SAMPLED) {
        sampled_free(cache, ptr, entry);
    } else {
        large_free(cache, ptr, entry, true);
    }
}

void al_request_free_past(void *ptr, struct al_tcache_explicit *past) {
    AL_ASSERT(ptr != NULL);
    struct al_tcache *const cache = al_thread_cache();
    const uint64_t entry = al_map_entry(ptr);

    if (al_map_entry_low(entry) == AL_MAP_SAMPLED) {
        sampled_free(cache, ptr, entry);
        return;
    }
    if (!al_map_entry_is_slab(entry)) {
        large_free(cache, ptr, entry, false);
        return;
    }
    const struct al_extent *const slab = al_extent_at(al_map_entry_extent(entry));
    const unsigned class_idx = slab->class_idx;
    al_bin_check_block(slab, ptr);
    al_fill_old(ptr, al_class_bytes(class_idx));
    if (past != NULL) {
        al_tcache_explicit_give(past, ptr, class_idx);
    } else {
        *(void **)ptr = NULL;
        al_bin_flush(&al_arena_at(al_extent_arena(slab))->bins[class_idx],
                     (struct al_list){ptr, 1, false});
    }
    count_free(cache, al_class_bytes(class_idx));
}

/* ---- sizes ---- */

/* A small block that grows by little has probably grown before and will again: it gets a quarter
 * more than it had, so that a buffer that is filled by small steps is copied now and then, not each
 * time.
 */
enum { GROWTH_SHARE = 4 };

static bool entry_is_small(uint64_t entry) {
    return al_map_entry_is_slab(entry) || al_map_entry_low(entry) == AL_MAP_SAMPLED;
}

size_t al_request_usable_bytes(const void *ptr) {
    const uint64_t entry = al_map_entry(ptr);

    if (entry_is_small(entry)) {
        return al_class_bytes(al_extent_at(al_map_entry_extent(entry))->class_idx);
    }
    return al_large_extent(ptr, entry)->large.usable_bytes;
}

/* Whether an object of so many bytes may have been left by a realloc to the size: it leaves room to
 * grow, and a block that shrinks by less than 3/8 where it is.
 */
static bool may_be_resized(size_t usable_bytes, size_t size_bytes, size_t align_bytes) {
    const size_t roomy_max_bytes = AL_SMALL_MAX_BYTES + AL_SMALL_MAX_BYTES / GROWTH_SHARE;

    return align_bytes <= AL_QUANTUM_BYTES && al_is_pow2(align_bytes) &&
           usable_bytes <= roomy_max_bytes && size_bytes <= usable_bytes &&
           size_bytes > usable_bytes / 8 * 5;
}

void al_request_check_size(const void *ptr, size_t size_bytes, size_t align_bytes) {
    const size_t usable_bytes = al_request_usable_bytes(ptr);

    /* Any size from the requested to the usable one is right. */
    const unsigned class_idx = size_bytes > usable_bytes || !al_is_pow2(align_bytes)
                                   ? 0
                                   : al_class_of_aligned(size_bytes, align_bytes);
    const bool is_right = class_idx != 0 ? al_class_bytes(class_idx) == usable_bytes
                                         : size_bytes <= usable_bytes &&
                                               al_large_usable_bytes(size_bytes) == usable_bytes;
    if (!is_right && !may_be_resized(usable_bytes, size_bytes, align_bytes)) {
        al_die_ptr("freed with a size that is not the allocation's", ptr);
    }
}

/* ---- realloc ---- */

bool al_request_resize(void *ptr, size_t size_bytes, size_t align_bytes) {
    AL_ASSERT(ptr != NULL && al_is_pow2(align_bytes));
    const uint64_t entry = al_map_entry(ptr);

    if (entry_is_small(entry)) {
        const unsigned class_idx = al_extent_at(al_map_entry_extent(entry))->class_idx;
        return class_idx == class_of(size_bytes, align_bytes);
    }
    struct al_extent *const extent = al_large_extent(ptr, entry);
    const size_t old_bytes = extent->large.usable_bytes;
    bool ignored = false;
    if (size_bytes > AL_SIZE_MAX_BYTES || class_of(size_bytes, align_bytes) != 0) {
        return false; /* a smaller place exists for it */
    }
    if (al_large_usable_bytes(size_bytes) == old_bytes) {
        return true;
    }
    if (!al_large_resize(extent, size_bytes, &ignored)) {
        return false;
    }
    large_resized(al_thread_cache(), extent, old_bytes, size_bytes);
    return true;
}

/* Pages instead of bytes; NULL: not for this object. */
static void *realloc_by_move(void *ptr, size_t size_bytes) {
    struct al_tcache *const cache = al_thread_cache();
    const uint64_t entry = al_map_entry(ptr);

    if (size_bytes > AL_SIZE_MAX_BYTES || al_map_entry_low(entry) != AL_MAP_LARGE) {
        return NULL;
    }
    struct al_extent *const old = al_large_extent(ptr, entry);
    const size_t old_bytes = old->large.usable_bytes;
    void *const record = old->large.record;
    old->large.record = NULL;
    void *const moved =
        al_large_move(cache != NULL ? cache->arena : al_arena_at(0), ptr, entry, size_bytes);
    if (moved == NULL) {
        old->large.record = record;
        return NULL;
    }
    struct al_extent *const extent = al_large_extent(moved, al_map_entry(moved));
    extent->large.record = record;
    large_resized(cache, extent, old_bytes, size_bytes);
    return moved;
}

/* Whether a block stays where it is. One that shrinks by less than it may have been given too much
 * (a quarter, and up to the next class) does.
 */
static bool is_staying(unsigned class_idx, size_t size_bytes) {
    const size_t class_bytes = al_class_bytes(class_idx);

    return size_bytes <= class_bytes && size_bytes > class_bytes / 8 * 5;
}

static void *realloc_by_copy(void *ptr, size_t old_bytes, size_t size_bytes) {
    void *const copy = al_malloc_pop(size_bytes);
    void *const moved = copy != NULL ? copy : al_request_malloc(size_bytes, NULL);

    if (moved == NULL) {
        return NULL;
    }
    memcpy(moved, ptr, size_bytes < old_bytes ? size_bytes : old_bytes);
    al_free_fast(ptr);
    return moved;
}

static void *grow_by_copy(void *ptr, size_t old_bytes, size_t size_bytes) {
    const size_t roomy_bytes = old_bytes + old_bytes / GROWTH_SHARE;

    return realloc_by_copy(ptr, old_bytes, size_bytes < roomy_bytes ? roomy_bytes : size_bytes);
}

void *al_request_realloc(void *ptr, size_t size_bytes) {
    AL_ASSERT(ptr != NULL);
    if (((uintptr_t)ptr & (AL_QUANTUM_BYTES - 1)) != 0) {
        al_die_ptr("pointer that is not aligned as any allocation is", ptr);
    }
    const uint64_t entry = al_map_entry(ptr);
    if (al_map_entry_is_slab(entry)) { /* the class stands in the entry */
        const unsigned class_idx = al_map_entry_class(entry);
        const size_t old_bytes = al_class_bytes(class_idx);
        if (is_staying(class_idx, size_bytes) || class_idx == class_of(size_bytes, 1)) {
            return ptr;
        }
        return size_bytes > old_bytes ? grow_by_copy(ptr, old_bytes, size_bytes)
                                      : realloc_by_copy(ptr, old_bytes, size_bytes);
    }
    if (al_request_resize(ptr, size_bytes, 1)) {
        return ptr;
    }
    void *const moved_pages = realloc_by_move(ptr, size_bytes);
    if (moved_pages != NULL) {
        return moved_pages;
    }
    return realloc_by_copy(ptr, al_request_usable_bytes(ptr), size_bytes);
}
