/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a created arena is a pool: reset and destroy give up all that is in it, whatever it is,
 * and nothing of other arenas. Method: small, large, huge and sampled objects, freed ones on their
 * way home, ended threads' caches; the arena's numbers before and after; a million objects go in a
 * bounded number of lock takings.
 */
#include "alloc/arena_pool.h"
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/thread.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { TCACHE_NONE = 1 << 8 };

static int in_arena(unsigned arena_idx) {
    return (int)((arena_idx + 1) << 20) | TCACHE_NONE;
}

static unsigned make_arena(void) {
    return ctl_unsigned("arenas.create");
}

static size_t allocated(unsigned arena_idx) {
    ctl_refresh();
    return ctl_size(ctl_name("stats.arenas.%u.small.allocated", arena_idx)) +
           ctl_size(ctl_name("stats.arenas.%u.large.allocated", arena_idx));
}

/* Every kind of object there is. */
static void fill(unsigned arena_idx, void **last) {
    static const size_t sizes[] = {1, 16, 100, 4096, 65536, 70000, 1 << 20, 40 << 20};

    for (size_t idx = 0; idx < sizeof(sizes) / sizeof(sizes[0]); idx++) {
        for (int n = 0; n < 20 && (n < 1 || sizes[idx] < 1 << 20); n++) {
            *last = al_mallocx(sizes[idx], in_arena(arena_idx));
            ck_assert_ptr_nonnull(*last);
            memset(*last, 1, sizes[idx] < 4096 ? sizes[idx] : 4096);
        }
    }
}

START_TEST(reset_frees_all_of_one_arena) {
    const unsigned pool = make_arena();
    const unsigned other = make_arena();
    void *last = NULL;

    fill(other, &last);
    const size_t other_bytes = allocated(other);
    for (int round = 0; round < 3; round++) {
        fill(pool, &last);
        ck_assert_uint_eq(allocated(pool), other_bytes);
        ck_assert_int_eq(ctl_do(ctl_name("arena.%u.reset", pool)), 0);
        ck_assert_uint_eq(allocated(pool), 0);
        ck_assert_uint_eq(ctl_size(ctl_name("stats.arenas.%u.pactive", pool)), 0);
        ck_assert_uint_eq(allocated(other), other_bytes);
    }
    al_audit_all();
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", pool)), 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", other)), 0);
}
END_TEST

START_TEST(a_destroyed_arena_is_gone_and_its_index_is_used_again) {
    const unsigned pool = make_arena();
    void *last = NULL;
    char name[128];

    fill(pool, &last);
    ctl_refresh();
    const size_t mapped = ctl_size("stats.mapped") + ctl_size("stats.retained");
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", pool)), 0);
    ctl_refresh();
    ck_assert_uint_lt(ctl_size("stats.mapped") + ctl_size("stats.retained") + (40 << 20), mapped);
    ck_assert_ptr_null(al_mallocx(100, in_arena(pool)));
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.reset", pool)), EFAULT);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", pool)), EFAULT);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.purge", pool)), EFAULT);
    snprintf(name, sizeof(name), "%s", ctl_name("stats.arenas.%u.pactive", pool));
    ck_assert_int_eq(ctl_do(name), ENOENT);
    /* Its counters went to the destroyed ones. */
    ck_assert_uint_gt(ctl_size("stats.arenas.4097.small.nmalloc"), 80);
    ck_assert_uint_eq(ctl_size("stats.arenas.4097.small.nmalloc"),
                      ctl_size("stats.arenas.4097.small.ndalloc"));
    ck_assert_uint_eq(ctl_size("stats.arenas.4097.small.allocated"), 0);
    ck_assert_uint_eq(make_arena(), pool);
    fill(pool, &last);
    al_audit_all();
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", pool)), 0);
}
END_TEST

START_TEST(who_may_not_be_given_up_says_so) {
    const unsigned pool = make_arena();
    unsigned zero = 0;
    unsigned bound = pool;

    ck_assert_int_eq(ctl_do("arena.0.reset"), EFAULT);
    ck_assert_int_eq(ctl_do("arena.0.destroy"), EFAULT);
    ck_assert_int_eq(ctl_do("arena.4096.reset"), EFAULT);
    ck_assert_int_eq(ctl_do("arena.4096.destroy"), EFAULT);
    ck_assert_int_eq(ctl_do("arena.4097.destroy"), EFAULT);
    ck_assert_int_eq(ctl_write("thread.arena", &bound, sizeof(bound)), 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", pool)), EFAULT);
    al_free(al_malloc(100));
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.reset", pool)),
                     0); /* the caller's cache is emptied */
    al_free(al_malloc(100));
    ck_assert_int_eq(ctl_write("thread.arena", &zero, sizeof(zero)), 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", pool)), 0);
}
END_TEST

static void *free_all(void *arg) {
    void **const ptrs = arg;

    for (size_t idx = 0; ptrs[idx] != NULL; idx++) {
        al_free(ptrs[idx]);
    }
    return NULL;
}

static void *use_arena(void *arg) {
    ck_assert_int_eq(ctl_write("thread.arena", arg, sizeof(unsigned)), 0);
    for (size_t size_bytes = 1; size_bytes < 200000; size_bytes *= 2) {
        al_free(al_malloc(size_bytes));
    }
    return NULL;
}

/* What ended threads left: batches on their way home, and caches of the arena's own. */
START_TEST(threads_that_have_ended_hold_nothing) {
    unsigned pool = make_arena();
    void *ptrs[41] = {NULL};
    pthread_t thread;

    for (int round = 0; round < 4; round++) {
        for (size_t idx = 0; idx < 40; idx++) {
            ptrs[idx] = al_mallocx(48 + 16 * (idx % 7), in_arena(pool));
            ck_assert_ptr_nonnull(ptrs[idx]);
        }
        ck_assert_int_eq(pthread_create(&thread, NULL, free_all, ptrs), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(pthread_create(&thread, NULL, use_arena, &pool), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert_int_eq(
            ctl_do(ctl_name(round % 2 == 0 ? "arena.%u.reset" : "arena.%u.destroy", pool)), 0);
        if (round % 2 == 1) {
            pool = make_arena();
        }
    }
    ck_assert_int_eq(ctl_do("arena.4096.purge"), 0);
    al_audit_all();
}
END_TEST

START_TEST(samples_go_with_their_objects) {
    const size_t rate_lg = 0;
    const size_t usual_lg = 19;
    bool is_on = true;
    void *last = NULL;
    const unsigned pool = make_arena();

    ck_assert_int_eq(ctl_write("prof.reset", &rate_lg, sizeof(rate_lg)), 0);
    ck_assert_int_eq(ctl_write("prof.active", &is_on, sizeof(is_on)), 0);
    fill(pool, &last);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.reset", pool)), 0);
    ck_assert_uint_eq(allocated(pool), 0);
    fill(pool, &last);
    is_on = false;
    ck_assert_int_eq(ctl_write("prof.active", &is_on, sizeof(is_on)), 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", pool)), 0);
    ck_assert_int_eq(ctl_write("prof.reset", &usual_lg, sizeof(usual_lg)), 0);
    al_audit_all();
}
END_TEST

/* The work is that of the slabs: their lock is taken once or so for each, not for each object. */
START_TEST(a_million_objects_cost_as_much_as_their_slabs) {
    enum { COUNT = 1000000 };
    const unsigned pool = make_arena();
    char ops_name[128];

    for (int n = 0; n < COUNT; n++) {
        ck_assert_ptr_nonnull(al_mallocx(64, in_arena(pool)));
    }
    snprintf(ops_name, sizeof(ops_name), "%s",
             ctl_name("stats.arenas.%u.mutexes.extents_dirty.num_ops", pool));
    ck_assert_uint_ge(allocated(pool), (size_t)COUNT * 64);
    const size_t slab_count = ctl_size(ctl_name("stats.arenas.%u.bins.3.curslabs", pool));
    const size_t before = ctl_size(ops_name);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.reset", pool)), 0);
    ck_assert_uint_eq(allocated(pool), 0);
    const size_t takings = ctl_size(ops_name) - before;
    ck_assert_uint_ge(slab_count, COUNT / 256);
    ck_assert_uint_lt(takings, 4 * slab_count + 4096);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", pool)), 0);
}
END_TEST

static _Atomic bool is_done;

static void *tend(void *arg) {
    while (!is_done) {
        ck_assert_int_eq(ctl_do("arena.4096.decay"), 0);
        for (int n = 0; n < 50; n++) {
            al_free(al_malloc(100000));
        }
    }
    return arg;
}

/* Threads that purge whatever arena comes along, while arenas come and go. */
START_TEST(arenas_end_while_others_look_after_them) {
    pthread_t threads[3];
    void *last = NULL;

    is_done = false;
    for (size_t idx = 0; idx < 3; idx++) {
        ck_assert_int_eq(pthread_create(&threads[idx], NULL, tend, NULL), 0);
    }
    for (int round = 0; round < 60; round++) {
        const unsigned pool = make_arena();
        fill(pool, &last);
        ck_assert_int_eq(ctl_do(ctl_name("arena.%u.reset", pool)), 0);
        fill(pool, &last);
        ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", pool)), 0);
    }
    is_done = true;
    for (size_t idx = 0; idx < 3; idx++) {
        ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
    }
    al_audit_all();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("arena_pool");

    tcase_add_test(tcase, reset_frees_all_of_one_arena);
    tcase_add_test(tcase, a_destroyed_arena_is_gone_and_its_index_is_used_again);
    tcase_add_test(tcase, who_may_not_be_given_up_says_so);
    tcase_add_test(tcase, threads_that_have_ended_hold_nothing);
    tcase_add_test(tcase, samples_go_with_their_objects);
    tcase_add_test(tcase, a_million_objects_cost_as_much_as_their_slabs);
    tcase_add_test(tcase, arenas_end_while_others_look_after_them);
    return suite_run(tcase, "arena_pool", 60);
}
