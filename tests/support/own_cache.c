/* SPDX-License-Identifier: BSD-2-Clause
 *
 * own_cache — static memory made into thread caches; al_self points to the one in use.
 */
#include "tests/support/own_cache.h"

#include "alloc/control.h"

#include <check.h>
#include <string.h>

static struct {
    struct al_tcache caches[OWN_CACHE_COUNT_MAX];
    int count;
    struct al_tcache *threads_own;
} made;

static struct al_tcache *make(struct al_arena *arena) {
    ck_assert_int_lt(made.count, OWN_CACHE_COUNT_MAX);
    if (made.count == 0) {
        made.threads_own = al_self;
    }
    struct al_tcache *const cache = &made.caches[made.count++];
    memset(cache, 0, sizeof(*cache));
    cache->rng = 4711;
    al_tcache_init(cache, arena, 0);
    atomic_fetch_add(&arena->thread_count, 1); /* others do not look after it */
    al_self = cache;
    return cache;
}

struct al_tcache *own_cache_new(void) {
    unsigned arena_idx = 0;

    al_init();
    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    return make(al_arena_at(arena_idx));
}

struct al_tcache *own_cache_beside(const struct al_tcache *other) {
    return make(other->arena);
}

void own_cache_use(struct al_tcache *cache) {
    al_self = cache;
}

static void assert_unused(struct al_arena *arena) {
    al_arena_drain(arena, true);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        al_bin_check(&arena->bins[class_idx], class_idx);
        al_bin_check(&arena->sampled[class_idx], class_idx);
        ck_assert_uint_eq(arena->bins[class_idx].used_count, 0);
        ck_assert_uint_eq(arena->bins[class_idx].slab_count, 0);
        ck_assert_uint_eq(arena->sampled[class_idx].used_count, 0);
        ck_assert_uint_eq(arena->stocks[class_idx].block_count, 0);
    }
    al_runs_check(&arena->runs);
    ck_assert_uint_eq(arena->runs.large_bytes, 0);
    ck_assert_uint_eq(arena->runs.large_malloc_count, arena->runs.large_free_count);
}

void own_cache_end(void) {
    for (int idx = 0; idx < made.count; idx++) {
        al_tcache_check(&made.caches[idx]);
        al_tcache_flush(&made.caches[idx]);
        al_tcache_check(&made.caches[idx]);
        ck_assert_uint_eq(made.caches[idx].run_granules, 0);
    }
    for (int idx = 0; idx < made.count; idx++) {
        atomic_store(&made.caches[idx].arena->thread_count, 0);
        assert_unused(made.caches[idx].arena);
    }
    al_self = made.threads_own;
    made.count = 0;
}

uint64_t own_cache_bin_used(const struct al_tcache *cache, unsigned class_idx) {
    al_bin_drain(&cache->arena->bins[class_idx]);
    return cache->arena->bins[class_idx].used_count;
}

struct al_list own_cache_list(const struct al_tcache *cache, unsigned class_idx, uint32_t count) {
    struct al_list list = {NULL, 0, false};

    while (list.count < count) {
        void *const block = al_bin_take_one(&cache->arena->bins[class_idx], class_idx);
        ck_assert_ptr_nonnull(block);
        *(void **)block = list.head;
        list.head = block;
        list.count++;
    }
    return list;
}
