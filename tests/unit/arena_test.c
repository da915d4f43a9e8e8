/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   arenas are made once each, in the order they are asked for, spread over threads, take
 * home what is theirs, and go through a fork with every lock. Method: a table started here with
 * four automatic arenas; what is where is read from the bins, the stocks and the page heaps.
 */
#include "alloc/arena.h"
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/extent.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/purge.h"
#include "alloc/runs.h"
#include "alloc/stock.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    AUTO_COUNT = 4,
    DIRTY_MS = 777,
    MUZZY_MS = 33,
    THREAD_COUNT = 4,
    CREATE_COUNT = 10,
    CLASS_A = 5,
    CLASS_B = 80,
    ROUND_COUNT = 1000,
};

static void boot(void) {
    static bool is_booted;

    if (!is_booted) {
        is_booted = true;
        al_extent_init();
        al_map_init();
        al_arena_boot(AUTO_COUNT, (const ssize_t[AL_STALE_COUNT]){DIRTY_MS, MUZZY_MS});
    }
    (void)al_os_fail_after(0, false);
}

static struct al_arena *create(void) {
    unsigned arena_idx = UINT_MAX;

    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    struct al_arena *const arena = al_arena_at(arena_idx);
    ck_assert_ptr_nonnull(arena);
    ck_assert_uint_eq(arena->idx, arena_idx);
    return arena;
}

/* A whole arena, new: empty bins of its own page heap. */
static void check_new(struct al_arena *arena) {
    ck_assert_uint_eq(arena->runs.arena_idx, arena->idx);
    ck_assert_uint_eq(arena->runs.mapped_granules, 0);
    ck_assert_uint_eq(atomic_load(&arena->thread_count), 0);
    ck_assert_uint_eq(arena->parked_count, 0);
    ck_assert_uint_eq(atomic_load(&arena->parked_due_ns), UINT64_MAX);
    ck_assert_uint_eq(al_purge_due_ns(&arena->runs), UINT64_MAX);
    for (unsigned class_idx = 0; class_idx < AL_CLASS_COUNT; class_idx++) {
        ck_assert_ptr_eq(arena->bins[class_idx].runs, &arena->runs);
        ck_assert_ptr_eq(arena->sampled[class_idx].runs, &arena->runs);
        ck_assert_uint_eq(arena->bins[class_idx].slab_count, 0);
    }
}

/* ---- the table ---- */

START_TEST(the_first_arena_is_there_from_the_start) {
    struct al_arena *const first = al_arena_at(0);

    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_eq(al_arena_get(0), first);
    ck_assert(first->is_auto);
    ck_assert_uint_eq(al_arena_auto_count(), AUTO_COUNT);
    ck_assert_uint_ge(al_arena_count(), AUTO_COUNT);
    ck_assert_int_eq(al_purge_decay_ms(&first->runs, AL_STALE_DIRTY), DIRTY_MS);
    ck_assert_int_eq(al_purge_decay_ms(&first->runs, AL_STALE_MUZZY), MUZZY_MS);
}
END_TEST

START_TEST(automatic_arenas_are_made_when_asked_for) {
    for (unsigned idx = 1; idx < AUTO_COUNT; idx++) {
        struct al_arena *const arena = al_arena_get(idx);
        ck_assert_ptr_nonnull(arena);
        ck_assert(arena->is_auto);
        ck_assert_uint_eq(arena->idx, idx);
        check_new(arena);
        ck_assert_ptr_eq(al_arena_get(idx), arena);
        ck_assert_ptr_eq(al_arena_at(idx), arena);
    }
    ck_assert_ptr_null(al_arena_get(AL_ARENA_COUNT_MAX - 1)); /* nobody made it */
    ck_assert_ptr_null(al_arena_get(AL_ARENA_COUNT_MAX));
    ck_assert_ptr_null(al_arena_get(UINT_MAX));
}
END_TEST

START_TEST(created_arenas_come_after_the_automatic_ones) {
    unsigned idx = al_arena_count();

    ck_assert_uint_ge(idx, AUTO_COUNT);
    for (int n = 0; n < CREATE_COUNT; n++, idx++) {
        struct al_arena *const arena = create();
        ck_assert_uint_eq(arena->idx, idx);
        ck_assert(!arena->is_auto);
        check_new(arena);
        ck_assert_uint_eq(al_arena_count(), idx + 1);
        ck_assert_ptr_eq(al_arena_get(idx), arena);
    }
}
END_TEST

START_TEST(an_arena_without_memory_leaves_a_hole) {
    unsigned arena_idx = UINT_MAX;
    int err = 0;

    (void)al_os_fail_after(1, true);
    while (err == 0) { /* ends: the metadata there is runs out */
        err = al_arena_create(&arena_idx);
    }
    const unsigned count = al_arena_count();
    ck_assert_int_eq(err, EAGAIN);
    ck_assert_ptr_null(al_arena_get(count - 1));
    (void)al_os_fail_after(0, false);
    ck_assert_ptr_null(al_arena_get(count - 1)); /* no arena is made for an index of that kind */
    ck_assert_uint_eq(create()->idx, count);
}
END_TEST

START_TEST(arenas_to_come_decay_as_is_set) {
    ck_assert_int_eq(al_arenas_decay_ms_set(AL_STALE_DIRTY, -2), EFAULT);
    ck_assert_int_eq(al_arenas_decay_ms_get(AL_STALE_DIRTY), DIRTY_MS);
    ck_assert_int_eq(al_arenas_decay_ms_set(AL_STALE_DIRTY, -1), 0);
    ck_assert_int_eq(al_arenas_decay_ms_set(AL_STALE_MUZZY, 0), 0);
    ck_assert_int_eq(al_arenas_decay_ms_get(AL_STALE_DIRTY), -1);
    ck_assert_int_eq(al_arenas_decay_ms_get(AL_STALE_MUZZY), 0);
    struct al_arena *const arena = create();
    ck_assert_int_eq(al_purge_decay_ms(&arena->runs, AL_STALE_DIRTY), -1);
    ck_assert_int_eq(al_purge_decay_ms(&arena->runs, AL_STALE_MUZZY), 0);
    ck_assert_int_eq(al_purge_decay_ms(&al_arena_at(0)->runs, AL_STALE_DIRTY), DIRTY_MS);
    ck_assert_int_eq(al_arenas_decay_ms_set(AL_STALE_DIRTY, DIRTY_MS), 0);
    ck_assert_int_eq(al_arenas_decay_ms_set(AL_STALE_MUZZY, MUZZY_MS), 0);
}
END_TEST

/* ---- threads ---- */

START_TEST(threads_go_where_the_fewest_are) {
    (void)create(); /* full of nobody, and never chosen */
    for (unsigned turn = 0; turn < 3 * AUTO_COUNT; turn++) {
        struct al_arena *const arena = al_arena_choose();
        ck_assert_ptr_nonnull(arena);
        ck_assert(arena->is_auto);
        ck_assert_uint_eq(arena->idx, turn % AUTO_COUNT); /* of equal ones the lowest */
        atomic_fetch_add(&arena->thread_count, 1);
    }
    atomic_fetch_sub(&al_arena_at(2)->thread_count, 1);
    ck_assert_uint_eq(al_arena_choose()->idx, 2);
    for (unsigned idx = 0; idx < AUTO_COUNT; idx++) {
        atomic_store(&al_arena_at(idx)->thread_count, 0);
    }
}
END_TEST

START_TEST(without_memory_threads_go_to_the_first) {
    unsigned arena_idx = 0;
    int err = 0;

    (void)al_os_fail_after(1, true);
    while (err == 0) { /* ends: the metadata there is runs out */
        err = al_arena_create(&arena_idx);
    }
    atomic_store(&al_arena_at(0)->thread_count, 7);
    const struct al_arena *const arena = al_arena_choose();
    (void)al_os_fail_after(0, false);
    ck_assert_ptr_nonnull(arena);
    /* Where all tests share a process the other one is there already. */
    ck_assert_uint_le(arena->idx, 1);
    ck_assert(arena->idx == 0 || al_arena_at(1) != NULL);
    atomic_store(&al_arena_at(0)->thread_count, 0);
}
END_TEST

static struct al_arena *seen[THREAD_COUNT];
static unsigned made[THREAD_COUNT][CREATE_COUNT];

static void *race(void *arg) {
    const size_t self = *(const size_t *)arg;

    seen[self] = al_arena_get(3);
    for (size_t n = 0; n < CREATE_COUNT; n++) {
        if (al_arena_create(&made[self][n]) != 0 || al_arena_at(made[self][n]) == NULL) {
            return arg;
        }
    }
    return NULL;
}

START_TEST(threads_that_race_agree) {
    static size_t selves[THREAD_COUNT] = {0, 1, 2, 3};
    pthread_t threads[THREAD_COUNT];

    for (size_t n = 0; n < THREAD_COUNT; n++) {
        ck_assert_int_eq(pthread_create(&threads[n], NULL, race, &selves[n]), 0);
    }
    for (size_t n = 0; n < THREAD_COUNT; n++) {
        void *wrong = NULL;
        ck_assert_int_eq(pthread_join(threads[n], &wrong), 0);
        ck_assert_ptr_null(wrong);
        ck_assert_ptr_eq(seen[n], al_arena_at(3));
    }
    for (size_t a = 0; a < THREAD_COUNT * CREATE_COUNT; a++) {
        for (size_t b = 0; b < a; b++) {
            ck_assert_uint_ne(made[a / CREATE_COUNT][a % CREATE_COUNT],
                              made[b / CREATE_COUNT][b % CREATE_COUNT]);
        }
    }
}
END_TEST

START_TEST(whoever_asks_for_the_next_sees_all) {
    enum { SEEN_MAX = 200 };
    bool is_seen[SEEN_MAX] = {false};

    (void)al_arena_get(1);
    (void)create();
    const unsigned count = al_arena_count();
    ck_assert_uint_lt(count, SEEN_MAX);
    for (unsigned n = 0; n < 2 * count; n++) {
        const struct al_arena *const arena = al_arena_next();
        if (arena != NULL) {
            is_seen[arena->idx] = true;
        }
    }
    for (unsigned idx = 0; idx < count; idx++) {
        ck_assert_int_eq(is_seen[idx], al_arena_at(idx) != NULL);
    }
}
END_TEST

/* ---- what comes home ---- */

static void *take_block(struct al_arena *arena, unsigned class_idx) {
    void *const block = al_bin_take_one(&arena->bins[class_idx], class_idx);

    ck_assert_ptr_nonnull(block);
    return block;
}

static void push_remote(struct al_arena *arena, unsigned class_idx, void *block) {
    (void)al_bin_push_remote(&arena->bins[class_idx], al_map_entry_extent(al_map_entry(block)),
                             block, block, 1);
}

START_TEST(what_others_freed_is_drained_from_every_bin) {
    struct al_arena *const arena = create();

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        void *const kept = take_block(arena, class_idx);
        push_remote(arena, class_idx, take_block(arena, class_idx));
        push_remote(arena, class_idx, kept);
        ck_assert_uint_eq(arena->bins[class_idx].used_count, 2);
    }
    ck_assert(atomic_load(&arena->runs.has_remote));
    al_arena_drain(arena, false);
    ck_assert(!atomic_load(&arena->runs.has_remote));
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        ck_assert_uint_eq(arena->bins[class_idx].used_count, 0);
        ck_assert_uint_eq(arena->bins[class_idx].slab_count, 0);
    }
    al_runs_check(&arena->runs);
    ck_assert_uint_eq(arena->runs.free_granules, arena->runs.mapped_granules);
}
END_TEST

static _Atomic(void *) mail; /* a block to push; NULL: it is pushed */
static _Atomic bool is_over;
static struct al_arena *drained;

static void *push_mail(void *arg) {
    while (!atomic_load(&is_over)) { /* ends with the test */
        void *const block = atomic_load(&mail);
        if (block != NULL) {
            push_remote(drained, CLASS_A, block);
            atomic_store(&mail, NULL);
        }
    }
    return arg;
}

/* Whoever drains just when a block is pushed, sees it now or the next time. */
START_TEST(nothing_is_pushed_past_a_drain) {
    pthread_t thread;

    drained = create();
    atomic_store(&is_over, false);
    ck_assert_int_eq(pthread_create(&thread, NULL, push_mail, NULL), 0);
    (void)take_block(drained, CLASS_A); /* the slab stays */
    for (int round = 0; round < ROUND_COUNT; round++) {
        atomic_store(&mail, take_block(drained, CLASS_A));
        while (atomic_load(&mail) != NULL) { /* ends: the other thread pushes */
            al_arena_drain(drained, false);
        }
        al_arena_drain(drained, false);
        ck_assert_uint_eq(drained->bins[CLASS_A].used_count, 1);
    }
    atomic_store(&is_over, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void give_stock(struct al_arena *arena, unsigned class_idx) {
    void *const block = take_block(arena, class_idx);

    *(void **)block = NULL;
    ck_assert(
        al_stock_give(&arena->stocks[class_idx], class_idx, (struct al_list){block, 1, false}));
}

/* What nobody took between two looks; or all. */
START_TEST(what_lies_between_caches_goes_home_in_time) {
    struct al_arena *const arena = create();

    give_stock(arena, CLASS_A);
    give_stock(arena, CLASS_B);
    al_arena_drain(arena, false);
    ck_assert_uint_eq(arena->bins[CLASS_A].used_count, 1);
    ck_assert_uint_eq(arena->bins[CLASS_B].used_count, 1);
    const struct al_list taken = al_stock_take(&arena->stocks[CLASS_A], 1);
    ck_assert_uint_eq(taken.count, 1);
    ck_assert(al_stock_give(&arena->stocks[CLASS_A], CLASS_A, taken));
    al_arena_drain(arena, false);
    ck_assert_uint_eq(arena->bins[CLASS_A].used_count, 1); /* somebody takes of it */
    ck_assert_uint_eq(arena->bins[CLASS_B].used_count, 0);
    give_stock(arena, CLASS_B);
    al_arena_drain(arena, true);
    ck_assert_uint_eq(arena->bins[CLASS_A].used_count, 0);
    ck_assert_uint_eq(arena->bins[CLASS_B].used_count, 0);
    ck_assert_uint_eq(arena->runs.free_granules, arena->runs.mapped_granules);
}
END_TEST

/* A run that was written to, and is free. */
static void make_dirty(struct al_arena *arena) {
    const uint32_t idx = al_extent_take();
    bool is_zeroed = false;

    ck_assert(al_runs_take(&arena->runs, idx, 10, 1, AL_RUNS_LARGE, &is_zeroed));
    struct al_extent *const extent = al_extent_at(idx);
    al_map_set(extent->base_addr, 10, al_map_entry_make(idx, AL_MAP_LARGE));
    memset((void *)extent->base_addr, 1, al_extent_bytes(extent));
    al_runs_give(&arena->runs, idx, AL_RUNS_LARGE, true);
}

START_TEST(a_tick_purges_what_is_due_and_nothing_else) {
    struct al_arena *const arena = create();

    al_arena_tick(arena); /* nothing is due, ever */
    al_purge_set_decay_ms(&arena->runs, AL_STALE_DIRTY, -1);
    al_purge_set_decay_ms(&arena->runs, AL_STALE_MUZZY, 0);
    make_dirty(arena);
    al_arena_tick(arena);
    ck_assert_uint_eq(arena->runs.stale_granules[AL_STALE_DIRTY], 10);
    al_purge_set_decay_ms(&arena->runs, AL_STALE_DIRTY, 3600000);
    al_arena_tick(arena);
    ck_assert_uint_eq(arena->runs.stale_granules[AL_STALE_DIRTY], 10);
    al_purge_set_decay_ms(&arena->runs, AL_STALE_DIRTY, 20);
    while (arena->runs.stale_granules[AL_STALE_DIRTY] != 0) { /* ends: time passes */
        al_arena_tick(arena);
    }
    al_runs_check(&arena->runs);
}
END_TEST

/* ---- fork ---- */

/* Each kind of lock of an arena is taken at once, and the heap serves. */
static bool works(struct al_arena *arena) {
    void *const block = al_bin_take_one(&arena->bins[CLASS_A], CLASS_A);
    void *const sampled = al_bin_sampled_take(&arena->sampled[CLASS_B], CLASS_B);
    unsigned arena_idx = 0;

    if (block == NULL || sampled == NULL) {
        return false;
    }
    *(void **)block = NULL;
    return al_stock_give(&arena->stocks[CLASS_A], CLASS_A, (struct al_list){block, 1, false}) &&
           al_arena_create(&arena_idx) == 0;
}

START_TEST(parent_and_child_of_a_fork_both_go_on) {
    struct al_arena *const arenas[] = {al_arena_at(0), create()};
    int status = -1;

    al_arenas_fork_prepare();
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        /* What is below the arenas has handlers of its own, and nobody holds it here. */
        al_arenas_fork_child();
        _exit(works(arenas[0]) && works(arenas[1]) ? 0 : 1);
    }
    ck_assert_uint_eq(atomic_load(&arenas[1]->bins[CLASS_A].lock.state), 1);
    ck_assert_uint_eq(atomic_load(&arenas[1]->sampled[CLASS_A].lock.state), 1);
    ck_assert_uint_eq(atomic_load(&arenas[1]->stocks[CLASS_A].lock.state), 1);
    ck_assert_uint_eq(atomic_load(&arenas[1]->runs.lock.state), 1);
    al_arenas_fork_parent();
    ck_assert(works(arenas[0]) && works(arenas[1]));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- the last ---- */

START_TEST(there_are_as_many_as_a_tag_can_name) {
    unsigned arena_idx = 0;
    unsigned last_idx = 0;

    while (al_arena_create(&arena_idx) == 0) { /* ends: indexes run out */
        ck_assert_uint_lt(arena_idx, AL_ARENA_COUNT_MAX);
        last_idx = arena_idx;
    }
    ck_assert_uint_eq(last_idx, AL_ARENA_COUNT_MAX - 1);
    ck_assert_uint_eq(al_arena_count(), AL_ARENA_COUNT_MAX);
    ck_assert_int_eq(al_arena_create(&arena_idx), EAGAIN);
    ck_assert_uint_eq(al_arena_count(), AL_ARENA_COUNT_MAX);
    struct al_arena *const last = al_arena_get(last_idx);
    void *const block = take_block(last, CLASS_A);
    ck_assert_uint_eq(al_map_entry_low(al_map_entry(block)), al_map_slab_low(last_idx, CLASS_A));
    ck_assert(al_map_entry_is_slab(al_map_entry(block)));
    ck_assert_uint_eq(al_map_entry_class(al_map_entry(block)), CLASS_A);
    push_remote(last, CLASS_A, block);
    al_arena_drain(last, true);
    al_arenas_fork_prepare(); /* more locks than can be remembered */
    al_arenas_fork_parent();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("arena");

    tcase_add_checked_fixture(tcase, boot, NULL);
    tcase_add_test(tcase, the_first_arena_is_there_from_the_start);
    tcase_add_test(tcase, automatic_arenas_are_made_when_asked_for);
    tcase_add_test(tcase, created_arenas_come_after_the_automatic_ones);
    tcase_add_test(tcase, an_arena_without_memory_leaves_a_hole);
    tcase_add_test(tcase, arenas_to_come_decay_as_is_set);
    tcase_add_test(tcase, threads_go_where_the_fewest_are);
    tcase_add_test(tcase, without_memory_threads_go_to_the_first);
    tcase_add_test(tcase, threads_that_race_agree);
    tcase_add_test(tcase, whoever_asks_for_the_next_sees_all);
    tcase_add_test(tcase, what_others_freed_is_drained_from_every_bin);
    tcase_add_test(tcase, nothing_is_pushed_past_a_drain);
    tcase_add_test(tcase, what_lies_between_caches_goes_home_in_time);
    tcase_add_test(tcase, a_tick_purges_what_is_due_and_nothing_else);
    tcase_add_test(tcase, parent_and_child_of_a_fork_both_go_on);
    tcase_add_test(tcase, there_are_as_many_as_a_tag_can_name);
    return suite_run(tcase, "arena", 60);
}
