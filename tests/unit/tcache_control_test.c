/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a thread asks about its cache and changes it by the calls that mallctl makes: sizes are
 *         brought into range, wrong texts change nothing, and a cache that is off says so.
 * Method: each test in a new thread, whose cache has been told nothing yet.
 */
#include "alloc/tcache_control.h"

#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>

static void in_thread(void *(*run)(void *)) {
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static size_t cap_of(size_t size_bytes) {
    size_t cap = 0;

    ck_assert_int_eq(al_thread_tcache_cap_get(size_bytes, &cap), 0);
    return cap;
}

static void *set_max(void *arg) {
    static const size_t asked[] = {1, 8, 9, 100, 1000, 1024, 5000, AL_SMALL_MAX_BYTES};
    const size_t usual_bytes = al_thread_tcache_max_bytes();

    ck_assert_uint_gt(usual_bytes, 0);
    ck_assert_uint_le(usual_bytes, AL_SMALL_MAX_BYTES);
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(asked); idx++) {
        ck_assert_int_eq(al_thread_tcache_set_max(asked[idx]), 0);
        const size_t max_bytes = al_thread_tcache_max_bytes();
        ck_assert_uint_eq(max_bytes, al_class_bytes(al_class_of(asked[idx])));
        if (max_bytes < AL_SMALL_MAX_BYTES) {
            ck_assert_uint_eq(cap_of(max_bytes + 1), 1); /* what is larger hardly stays */
        }
        ck_assert_uint_gt(cap_of(max_bytes), 1);
    }
    ck_assert_int_eq(al_thread_tcache_set_max(SIZE_MAX), 0);
    ck_assert_uint_eq(al_thread_tcache_max_bytes(), AL_SMALL_MAX_BYTES);
    ck_assert_int_eq(al_thread_tcache_set_max(0), 0);
    ck_assert_uint_eq(al_thread_tcache_max_bytes(), al_class_bytes(1));
    return arg;
}

START_TEST(the_largest_size_is_a_class) {
    in_thread(set_max);
}
END_TEST

static void *set_caps(void *arg) {
    static const char *const wrong[] = {"x", "1-", "1-2", "1-2:", "-:3", "64-64:7|", "64-64:7|x"};
    const size_t usual = cap_of(512);

    ck_assert_int_eq(al_thread_tcache_set_caps("64-64:7|1000-1024:20"), 0);
    ck_assert_uint_eq(cap_of(64), 7);
    ck_assert_uint_eq(cap_of(1024), 20);
    ck_assert_uint_eq(cap_of(512), usual);
    ck_assert_int_eq(al_thread_tcache_set_caps("64-64:9"), 0);
    ck_assert_uint_eq(cap_of(64), 9);
    ck_assert_uint_eq(cap_of(1024), 20);
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(wrong); idx++) {
        ck_assert_msg(al_thread_tcache_set_caps(wrong[idx]) == EINVAL, "%s", wrong[idx]);
        ck_assert_uint_eq(cap_of(64), 9);
    }
    return arg;
}

START_TEST(caps_are_set_by_ranges) {
    in_thread(set_caps);
}
END_TEST

static void *another(void *arg) {
    ck_assert_uint_ne(cap_of(64), 7);
    ck_assert_uint_ne(al_thread_tcache_max_bytes(), 512);
    return arg;
}

static void *set_then_start_another(void *arg) {
    ck_assert_int_eq(al_thread_tcache_set_max(512), 0);
    ck_assert_int_eq(al_thread_tcache_set_caps("64-64:7"), 0);
    in_thread(another);
    ck_assert_uint_eq(cap_of(64), 7);
    return arg;
}

/* Neither one that runs meanwhile, nor one that gets the cache of one that has ended. */
START_TEST(other_threads_keep_their_own) {
    in_thread(set_then_start_another);
    in_thread(another);
}
END_TEST

static void *ask_sizes(void *arg) {
    size_t cap = 77;

    ck_assert_uint_eq(cap_of(0), cap_of(1));
    ck_assert_uint_gt(cap_of(AL_SMALL_MAX_BYTES), 0);
    ck_assert_int_eq(al_thread_tcache_cap_get(AL_SMALL_MAX_BYTES + 1, &cap), EINVAL);
    ck_assert_int_eq(al_thread_tcache_cap_get(SIZE_MAX, &cap), EINVAL);
    ck_assert_uint_eq(cap, 77);
    return arg;
}

START_TEST(caps_are_those_of_small_sizes) {
    in_thread(ask_sizes);
}
END_TEST

static void *turn_off(void *arg) {
    al_thread_tcache_set_enabled(false);
    ck_assert_int_eq(al_thread_tcache_set_caps("64-64:7"), ENOENT);
    ck_assert_int_eq(al_thread_tcache_set_caps("x"), ENOENT);
    ck_assert_int_eq(al_thread_idle(), 0); /* nothing to give back is no error here */
    al_thread_tcache_set_enabled(true);
    ck_assert_uint_ne(cap_of(64), 7);
    ck_assert_int_eq(al_thread_tcache_set_caps("64-64:7"), 0);
    ck_assert_int_eq(al_thread_idle(), 0);
    ck_assert_uint_eq(cap_of(64), 7);
    return arg;
}

START_TEST(a_cache_that_is_off_takes_no_caps) {
    in_thread(turn_off);
}
END_TEST

static void *watch_peak(void *arg) {
    enum { LARGE_BYTES = 4 << 20 };

    ck_assert_int_eq(al_thread_peak_reset(), 0);
    ck_assert_uint_eq(al_thread_peak_bytes(), 0);
    void *const first = al_malloc(LARGE_BYTES);
    void *const second = al_malloc(LARGE_BYTES);
    ck_assert(first != NULL && second != NULL);
    const uint64_t both_bytes = al_thread_peak_bytes();
    ck_assert_uint_ge(both_bytes, 2 * LARGE_BYTES);
    al_free(first);
    ck_assert_uint_eq(al_thread_peak_bytes(), both_bytes); /* freed, but it was the most */
    ck_assert_int_eq(al_thread_peak_reset(), 0);
    ck_assert_uint_eq(al_thread_peak_bytes(), 0);
    al_free(second);
    ck_assert_uint_eq(al_thread_peak_bytes(), 0); /* never below */
    return arg;
}

START_TEST(the_peak_is_the_most_since_the_reset) {
    in_thread(watch_peak);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("tcache_control");

    tcase_add_test(tcase, the_largest_size_is_a_class);
    tcase_add_test(tcase, caps_are_set_by_ranges);
    tcase_add_test(tcase, other_threads_keep_their_own);
    tcase_add_test(tcase, caps_are_those_of_small_sizes);
    tcase_add_test(tcase, a_cache_that_is_off_takes_no_caps);
    tcase_add_test(tcase, the_peak_is_the_most_since_the_reset);
    return suite_run(tcase, "tcache_control", 20);
}
