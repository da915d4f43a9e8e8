/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_count — how many bytes a thread has allocated and freed, read off its lists; and the
 * walk that checks them.
 */
#include "alloc/class.h"
#include "alloc/tcache_list.h"

uint64_t al_tcache_allocated_bytes(const struct al_tcache *cache, bool is_own) {
    uint64_t sum = atomic_load_explicit(&cache->large_malloc_bytes, memory_order_relaxed);

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        uint64_t count =
            atomic_load_explicit(&cache->cold[class_idx].malloc_count, memory_order_relaxed);
        if (is_own) {
            count -= al_list_length(cache->bins[class_idx].alloc);
        }
        sum += count * al_class_bytes(class_idx);
    }
    return sum;
}

uint64_t al_tcache_freed_bytes(const struct al_tcache *cache, bool is_own) {
    uint64_t sum = atomic_load_explicit(&cache->large_free_bytes, memory_order_relaxed);

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        uint64_t count =
            atomic_load_explicit(&cache->cold[class_idx].free_count, memory_order_relaxed);
        if (is_own) {
            count += al_tcache_freed_count(&cache->bins[class_idx]);
        }
        sum += count * al_class_bytes(class_idx);
    }
    return sum;
}

void al_tcache_take_counts(struct al_tcache *cache, uint64_t *allocated_bytes,
                           uint64_t *freed_bytes) {
    AL_ASSERT(cache->mode == 0);
    *allocated_bytes = atomic_load_explicit(&cache->large_malloc_bytes, memory_order_relaxed);
    *freed_bytes = atomic_load_explicit(&cache->large_free_bytes, memory_order_relaxed);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const struct al_tcache_bin *const bin = &cache->bins[class_idx];
        struct al_tcache_cold *const cold = &cache->cold[class_idx];
        const uint64_t size_bytes = al_class_bytes(class_idx);
        const uint64_t kept_count = al_list_length(bin->alloc);
        const uint64_t freed_count = al_tcache_freed_count(bin);
        const uint64_t request_count =
            atomic_load_explicit(&cold->malloc_count, memory_order_relaxed) - kept_count;
        *allocated_bytes += request_count * size_bytes;
        if (request_count != 0) {
            atomic_fetch_add_explicit(&cache->arena->bin_counts[class_idx].past_request_count,
                                      request_count, memory_order_relaxed);
        }
        *freed_bytes +=
            (atomic_load_explicit(&cold->free_count, memory_order_relaxed) + freed_count) *
            size_bytes;
        /* What lies in `alloc` will be taken, what lies in `freed` was given, by somebody else: the
         * new thread's counts begin at zero either way.
         */
        atomic_store_explicit(&cold->malloc_count, kept_count, memory_order_relaxed);
        atomic_store_explicit(&cold->free_count, 0 - freed_count, memory_order_relaxed);
    }
    atomic_store_explicit(&cache->large_malloc_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&cache->large_free_bytes, 0, memory_order_relaxed);
    cache->exact_allocated_bytes = 0;
    cache->exact_freed_bytes = 0;
}

void al_tcache_check(const struct al_tcache *cache) {
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const struct al_tcache_bin *const bin = &cache->bins[class_idx];
        const struct al_tcache_cold *const cold = &cache->cold[class_idx];
        AL_CHECK(al_list_length(bin->freed) == al_tcache_freed_count(bin),
                 "internal: tcache I1: freed list");
        AL_CHECK(al_list_length(cold->rest) == cold->rest_count &&
                     (cold->is_pending || cold->rest == NULL) &&
                     (!cold->is_pending || al_list_length(bin->alloc) < cold->countdown),
                 "internal: tcache I2: rest list");
        AL_CHECK(cache->mode == 0 || (bin->alloc == NULL && bin->room == 1),
                 "internal: tcache I3: mode");
        AL_CHECK(
            al_list_length(cold->hidden) == cold->hidden_count &&
                (cold->hidden == NULL || (cache->mode != 0 && (cache->mode & AL_TCACHE_OFF) == 0)),
            "internal: tcache I4: hidden list");
    }
}
