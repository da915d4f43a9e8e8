/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   slow visits count: each byte is told upward once, trims come in their turn, a hook that
 *         runs is not run again, and arenas without threads are looked after by the others'.
 * Method: visits made by hand; hooks of our own that see what is told.
 */
#include "alloc/tcache.h"

#include "alloc/hooks.h"
#include "alloc/malloc.h"
#include "tests/support/own_cache.h"
#include "tests/support/suite.h"

#include <errno.h>

enum { EVENT_BYTES = 256 * 1024, TRIM_TICKS = 64, CLASS_IDX = 4 };

static struct {
    uint64_t call_count;
    uint64_t bytes;
    uint32_t deepest; /* re-entry marks seen */
    bool is_visiting;
} told;

static void *on_sample(const struct al_sampled *sampled) {
    (void)sampled;
    return NULL;
}

static void on_freed(void *record) {
    (void)record;
}

static void on_allocated(uint64_t bytes) {
    told.call_count++;
    told.bytes += bytes;
    told.deepest = al_self->reentry > told.deepest ? al_self->reentry : told.deepest;
    if (told.is_visiting) { /* as a hook that allocates does */
        al_tcache_visit(al_self, EVENT_BYTES);
    }
    errno = EDOM;
}

static void on_thread(void **slot) {
    (void)slot;
}

static void on_fork(void) {
}

const struct al_hooks al_hooks = {
    .sample = on_sample,
    .sample_freed = on_freed,
    .allocated = on_allocated,
    .thread_started = on_thread,
    .thread_ended = on_thread,
    .fork_prepare = on_fork,
    .fork_parent = on_fork,
    .fork_child = on_fork,
};

static struct al_tcache *begin(void) {
    told.call_count = 0;
    told.bytes = 0;
    told.deepest = 0;
    told.is_visiting = false;
    return own_cache_new();
}

START_TEST(each_byte_is_told_once_in_pieces_of_256_kib) {
    struct al_tcache *const cache = begin();
    uint64_t random = suite_seed(23);
    uint64_t bytes = 0;

    errno = 77;
    for (int visit = 0; visit < 20000; visit++) {
        const size_t more = suite_random(&random) % 2000;
        const uint64_t calls_before = told.call_count;
        bytes += more;
        const bool is_due = bytes - told.bytes >= EVENT_BYTES;
        al_tcache_visit(cache, more);
        ck_assert_uint_eq(told.call_count, calls_before + (is_due ? 1 : 0));
        ck_assert_uint_eq(told.bytes + cache->event_bytes, bytes);
        ck_assert_uint_lt(cache->event_bytes, EVENT_BYTES);
    }
    ck_assert_uint_gt(told.call_count, 10);
    ck_assert_int_eq(errno, 77);
    ck_assert_uint_eq(told.deepest, 1);
    ck_assert_uint_eq(cache->reentry, 0);
    own_cache_end();
}
END_TEST

START_TEST(a_hook_that_allocates_is_not_told_of_it_meanwhile) {
    struct al_tcache *const cache = begin();

    told.is_visiting = true;
    al_tcache_visit(cache, EVENT_BYTES);
    ck_assert_uint_eq(told.call_count, 1);
    ck_assert_uint_eq(told.bytes, EVENT_BYTES);
    ck_assert_uint_eq(cache->event_bytes, EVENT_BYTES); /* it comes with the next visit */
    told.is_visiting = false;
    al_tcache_visit(cache, 0);
    ck_assert_uint_eq(told.call_count, 2);
    ck_assert_uint_eq(told.bytes, 2 * EVENT_BYTES);
    own_cache_end();
}
END_TEST

/* Each 64th visit looks at the next classes, and none does while a hook runs. */
START_TEST(trims_come_in_their_turn) {
    struct al_tcache *const cache = begin();

    for (uint32_t visit = 1; visit <= 10 * TRIM_TICKS; visit++) {
        const uint32_t next_before = cache->gc_next;
        al_tcache_visit(cache, 0);
        ck_assert_uint_eq(cache->tick, visit);
        ck_assert((cache->gc_next != next_before) == (visit % TRIM_TICKS == 0));
    }
    cache->reentry++;
    const uint32_t next_before = cache->gc_next;
    for (uint32_t visit = 1; visit <= TRIM_TICKS; visit++) {
        al_tcache_visit(cache, EVENT_BYTES);
    }
    ck_assert_uint_eq(cache->gc_next, next_before);
    ck_assert_uint_eq(told.call_count, 0);
    cache->reentry--;
    own_cache_end();
}
END_TEST

/* A block that another arena's thread gave back, and a list between two caches. */
static struct al_arena *leave_things(struct al_tcache *cache) {
    void *const block = al_malloc(al_class_bytes(CLASS_IDX));
    struct al_arena *const arena = cache->arena;

    ck_assert(
        al_stock_give(&arena->stocks[CLASS_IDX], CLASS_IDX, own_cache_list(cache, CLASS_IDX, 5)));
    al_tcache_flush(cache);
    struct al_tcache *const away = own_cache_new();
    al_free(block);
    al_tcache_flush(away);
    ck_assert_uint_eq(arena->bins[CLASS_IDX].used_count, 6);
    return arena;
}

START_TEST(an_arena_with_threads_looks_after_itself) {
    struct al_arena *const arena = leave_things(begin());

    for (int turn = 0; turn < 3; turn++) {
        al_tcache_tend(arena);
        ck_assert_uint_eq(arena->bins[CLASS_IDX].used_count, 6);
    }
    atomic_fetch_sub(&arena->thread_count, 1);
    al_tcache_tend(arena);
    ck_assert_uint_eq(arena->bins[CLASS_IDX].used_count, 5); /* the stock was looked at once */
    al_tcache_tend(arena);
    ck_assert_uint_eq(arena->bins[CLASS_IDX].used_count, 0);
    atomic_fetch_add(&arena->thread_count, 1);
    own_cache_end();
}
END_TEST

START_TEST(an_arena_without_threads_is_looked_after_by_the_others) {
    enum { EVENT_COUNT = 2 * OWN_CACHE_COUNT_MAX * 10 };
    struct al_arena *const arena = leave_things(begin());
    int events = 0;

    atomic_fetch_sub(&arena->thread_count, 1);
    for (; arena->bins[CLASS_IDX].used_count != 0 && events < EVENT_COUNT; events++) {
        al_tcache_visit(al_self, EVENT_BYTES);
    }
    ck_assert_uint_eq(arena->bins[CLASS_IDX].used_count, 0);
    ck_assert_uint_eq(arena->stocks[CLASS_IDX].block_count, 0);
    atomic_fetch_add(&arena->thread_count, 1);
    own_cache_end();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("tcache_age");

    tcase_add_test(tcase, each_byte_is_told_once_in_pieces_of_256_kib);
    tcase_add_test(tcase, a_hook_that_allocates_is_not_told_of_it_meanwhile);
    tcase_add_test(tcase, trims_come_in_their_turn);
    tcase_add_test(tcase, an_arena_with_threads_looks_after_itself);
    tcase_add_test(tcase, an_arena_without_threads_is_looked_after_by_the_others);
    return suite_run(tcase, "tcache_age", 30);
}
