/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a parked cache goes to the next thread of its arena as it is, the last one first; there
 *         are never too many, and what nobody has come for in a second is emptied and used again.
 * Method: caches parked and adopted by hand; the time they have waited is set back.
 */
#include "alloc/tcache.h"

#include "alloc/malloc.h"
#include "tests/support/own_cache.h"
#include "tests/support/suite.h"

enum { CLASS_IDX = 4, SIZE_BYTES = 64, MORE_COUNT = 3 };

static struct al_tcache *caches[AL_ARENA_PARKED_MAX + MORE_COUNT];

/* Caches of one arena, with a block each in their lists. */
static struct al_arena *begin(void) {
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(caches); idx++) {
        caches[idx] = idx == 0 ? own_cache_new() : own_cache_beside(caches[0]);
        al_free(al_malloc(SIZE_BYTES));
    }
    return caches[0]->arena;
}

static void empty_pool(void) {
    while (al_tcache_reuse() != NULL) { /* as many as were parked and are not adopted */
    }
}

static void end(struct al_arena *arena) {
    while (al_tcache_adopt(arena) != NULL) {
    }
    empty_pool();
    own_cache_end();
}

static bool is_empty(const struct al_tcache *cache) {
    return cache->bins[CLASS_IDX].alloc == NULL && cache->bins[CLASS_IDX].freed == NULL;
}

START_TEST(the_last_one_parked_is_adopted_first_and_full) {
    struct al_arena *const arena = begin();

    ck_assert_ptr_null(al_tcache_adopt(arena));
    for (size_t idx = 0; idx < AL_ARENA_PARKED_MAX; idx++) {
        al_tcache_park(caches[idx]);
        ck_assert_uint_eq(arena->parked_count, idx + 1);
    }
    for (size_t idx = AL_ARENA_PARKED_MAX; idx-- > 0;) {
        struct al_tcache *const cache = al_tcache_adopt(arena);
        ck_assert_ptr_eq(cache, caches[idx]);
        ck_assert_ptr_null(cache->next);
        ck_assert(!is_empty(cache));
        al_tcache_check(cache);
    }
    ck_assert_ptr_null(al_tcache_adopt(arena));
    ck_assert_uint_eq(arena->parked_count, 0);
    ck_assert_uint_eq(atomic_load(&arena->parked_due_ns), UINT64_MAX);
    end(arena);
}
END_TEST

START_TEST(one_too_many_is_emptied_and_used_anew) {
    struct al_arena *const arena = begin();

    empty_pool();
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(caches); idx++) {
        al_tcache_park(caches[idx]);
    }
    ck_assert_uint_eq(arena->parked_count, AL_ARENA_PARKED_MAX);
    for (size_t nth = 0; nth < MORE_COUNT; nth++) {
        struct al_tcache *const cache = al_tcache_reuse();
        ck_assert_ptr_nonnull(cache);
        ck_assert(is_empty(cache));
        ck_assert_ptr_null(cache->next);
    }
    ck_assert_ptr_null(al_tcache_reuse());
    end(arena);
}
END_TEST

/* Runs are worth more in the heap, where any thread can have them. */
START_TEST(a_parked_cache_keeps_no_runs) {
    struct al_arena *const arena = begin();

    al_free(al_malloc(100000));
    struct al_tcache *const cache = al_self;
    ck_assert_uint_gt(cache->run_granules, 0);
    al_tcache_park(cache);
    ck_assert_uint_eq(cache->run_granules, 0);
    ck_assert_uint_eq(arena->runs.large_bytes, 0);
    end(arena);
}
END_TEST

/* The oldest have waited for long, the others have not: those alone are emptied. */
START_TEST(who_has_waited_for_long_is_emptied) {
    enum { OLD_COUNT = 3 };
    struct al_arena *const arena = begin();

    empty_pool();
    for (size_t idx = 0; idx < AL_ARENA_PARKED_MAX; idx++) {
        al_tcache_park(caches[idx]);
    }
    al_tcache_expire(arena); /* none has */
    ck_assert_uint_eq(arena->parked_count, AL_ARENA_PARKED_MAX);
    ck_assert_uint_gt(atomic_load(&arena->parked_due_ns), caches[0]->parked_ns);
    for (size_t idx = 0; idx < OLD_COUNT; idx++) {
        caches[idx]->parked_ns = 0;
    }
    atomic_store(&arena->parked_due_ns, 1000);
    al_tcache_expire(arena);
    ck_assert_uint_eq(arena->parked_count, AL_ARENA_PARKED_MAX - OLD_COUNT);
    for (size_t idx = 0; idx < AL_ARENA_PARKED_MAX; idx++) {
        ck_assert(is_empty(caches[idx]) == (idx < OLD_COUNT));
    }
    ck_assert_uint_gt(atomic_load(&arena->parked_due_ns), caches[OLD_COUNT]->parked_ns);
    for (size_t idx = AL_ARENA_PARKED_MAX; idx-- > OLD_COUNT;) {
        ck_assert_ptr_eq(al_tcache_adopt(arena), caches[idx]);
    }
    ck_assert_ptr_null(al_tcache_adopt(arena));
    end(arena);
}
END_TEST

/* A cache of the pool serves a thread of any arena; its counters begin at zero. */
START_TEST(an_emptied_cache_is_as_good_as_new) {
    struct al_arena *const arena = begin();
    struct al_tcache *const cache = al_self;
    uint64_t taken[2] = {0, 0};

    empty_pool();
    al_tcache_take_counts(cache, &taken[0], &taken[1]);
    al_tcache_park(cache);
    cache->parked_ns = 0;
    atomic_store(&arena->parked_due_ns, 1000);
    al_tcache_expire(arena);
    ck_assert_ptr_eq(al_tcache_reuse(), cache);
    const struct al_tcache *const other = own_cache_new();
    al_tcache_init(cache, other->arena, 0);
    ck_assert_uint_eq(al_tcache_allocated_bytes(cache, true), 0);
    ck_assert_uint_eq(al_tcache_freed_bytes(cache, true), 0);
    ck_assert_uint_eq(cache->grown_bytes, 0);
    al_tcache_check(cache);
    own_cache_use(cache);
    for (size_t size = 16; size <= AL_SMALL_MAX_BYTES; size *= 2) {
        void *const block = al_malloc(size);
        ck_assert_uint_eq(al_extent_arena(al_extent_at(al_map_entry_extent(al_map_entry(block)))),
                          other->arena->idx);
        al_free(block);
    }
    al_tcache_flush(cache);
    cache->arena = arena; /* as the books of this test have it */
    end(arena);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("tcache_park");

    tcase_add_test(tcase, the_last_one_parked_is_adopted_first_and_full);
    tcase_add_test(tcase, one_too_many_is_emptied_and_used_anew);
    tcase_add_test(tcase, a_parked_cache_keeps_no_runs);
    tcase_add_test(tcase, who_has_waited_for_long_is_emptied);
    tcase_add_test(tcase, an_emptied_cache_is_as_good_as_new);
    return suite_run(tcase, "tcache_park", 30);
}
