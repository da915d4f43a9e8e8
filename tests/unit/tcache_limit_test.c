/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a thread keeps no more of a class than it was told, says what that is, and knows its
 * peak. Method: a thread of its own each time; what it holds after many frees is what its arena has
 * out and the program has not.
 */
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/tcache_limit.h"
#include "alloc/thread.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { COUNT = 4000 };

/* Blocks of the class of 1,024 bytes that stay with the thread when all have been freed. */
static size_t kept_blocks(unsigned arena_idx) {
    static _Thread_local void *ptrs[COUNT];

    for (int round = 0; round < 20; round++) {
        for (size_t idx = 0; idx < COUNT; idx++) {
            ptrs[idx] = al_malloc(1024);
            ck_assert_ptr_nonnull(ptrs[idx]);
        }
        for (size_t idx = 0; idx < COUNT; idx++) {
            al_free(ptrs[idx]);
        }
    }
    ck_assert_int_eq(ctl_do("arena.4096.decay"), 0); /* what lies between caches goes home */
    ctl_refresh();
    return ctl_size(ctl_name("stats.arenas.%u.bins.63.curregs", arena_idx));
}

static unsigned own_arena(void) {
    const unsigned arena_idx = ctl_unsigned("arenas.create");

    ck_assert_int_eq(ctl_write("thread.arena", &arena_idx, sizeof(arena_idx)), 0);
    return arena_idx;
}

static void *keep_usual(void *arg) {
    *(size_t *)arg = kept_blocks(own_arena());
    return NULL;
}

static void *keep_few(void *arg) {
    const char *const caps = "1000-1024:20|8-16:1000";
    const unsigned arena_idx = own_arena();

    ck_assert_int_eq(
        ctl_write("thread.tcache.ncached_max.write", (const void *)&caps, sizeof(caps)), 0);
    *(size_t *)arg = kept_blocks(arena_idx);
    return NULL;
}

static void *keep_none(void *arg) {
    const size_t max_bytes = 1000;
    const unsigned arena_idx = own_arena();

    ck_assert_int_eq(ctl_write("thread.tcache.max", &max_bytes, sizeof(max_bytes)), 0);
    ck_assert_uint_eq(ctl_size("thread.tcache.max"), 1008); /* its class */
    *(size_t *)arg = kept_blocks(arena_idx);
    return NULL;
}

static size_t kept_by(void *(*run)(void *)) {
    pthread_t thread;
    size_t kept = 0;

    ck_assert_int_eq(pthread_create(&thread, NULL, run, &kept), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return kept;
}

START_TEST(a_thread_keeps_what_it_was_told) {
    const size_t usual = kept_by(keep_usual);

    ck_assert_uint_gt(usual, 60);
    ck_assert_uint_le(kept_by(keep_few), 2 * 20);
    ck_assert_uint_le(kept_by(keep_none), 4);
    ck_assert_uint_gt(kept_by(keep_usual), 60); /* the next thread begins anew */
}
END_TEST

static size_t cap_of(size_t size_bytes) {
    size_t cap = 0;
    size_t cap_bytes = sizeof(cap);

    ck_assert_int_eq(mallctl("thread.tcache.ncached_max.read_sizeclass", &cap, &cap_bytes,
                             &size_bytes, sizeof(size_bytes)),
                     0);
    return cap;
}

START_TEST(caps_are_read_and_written) {
    static const char *const wrong[] = {"",        "8",       "8-",          "8-16",
                                        "8-16:",   "8-16:x",  "x-9:1",       "16-8:1",
                                        "8-16:1|", "8-16:1,", "8-16:1|x-9:1"};
    const char *text = "8-128:100|256-512:20";
    const size_t usual = cap_of(200);

    ck_assert_int_eq(
        ctl_write("thread.tcache.ncached_max.write", (const void *)&text, sizeof(text)), 0);
    ck_assert_uint_eq(cap_of(1), 100);
    ck_assert_uint_eq(cap_of(128), 100);
    ck_assert_uint_eq(cap_of(200), usual);
    ck_assert_uint_eq(cap_of(256), 20);
    ck_assert_uint_eq(cap_of(512), 20);
    for (size_t idx = 0; idx < sizeof(wrong) / sizeof(wrong[0]); idx++) {
        ck_assert_msg(ctl_write("thread.tcache.ncached_max.write", (const void *)&wrong[idx],
                                sizeof(text)) == EINVAL,
                      "%s", wrong[idx]);
    }
    ck_assert_uint_eq(cap_of(128), 100);
    size_t size_bytes = 100000;
    size_t cap_bytes = sizeof(size_bytes);
    ck_assert_int_eq(mallctl("thread.tcache.ncached_max.read_sizeclass", &size_bytes, &cap_bytes,
                             &size_bytes, sizeof(size_bytes)),
                     EINVAL);
    ck_assert_int_eq(
        mallctl("thread.tcache.ncached_max.read_sizeclass", &size_bytes, &cap_bytes, NULL, 0),
        EINVAL);
}
END_TEST

static uint64_t peak(void) {
    return ctl_size("thread.peak.read");
}

START_TEST(the_peak_is_what_was_held_at_most) {
    ck_assert_int_eq(ctl_do("thread.peak.reset"), 0);
    const uint64_t before = peak();
    void *const ptr = al_malloc(10 << 20);

    ck_assert_uint_ge(peak(), before + (10 << 20));
    al_free(ptr);
    ck_assert_uint_ge(peak(), before + (10 << 20));
    ck_assert_int_eq(ctl_do("thread.peak.reset"), 0);
    ck_assert_uint_lt(peak(), 1 << 20);
    al_free(al_malloc(2 << 20)); /* seen without being asked */
    ck_assert_uint_ge(peak(), 2 << 20);
}
END_TEST

/* As options set it at start. Last: it changes what new lists may hold. */
START_TEST(options_hold_for_all_threads) {
    al_tcache_limit_boot(100, "200-300:7");
    ck_assert_uint_eq(al_tcache_limit_max_bytes(), 112);
    ck_assert_uint_eq(al_tcache_limit_of(7, 500), 500);
    ck_assert_uint_eq(al_tcache_limit_of(8, 500), 1);
    al_tcache_limit_boot(65536, "200-300:7");
    ck_assert_uint_eq(al_tcache_limit_of(16, 500), 7);
    ck_assert_uint_eq(al_tcache_limit_of(20, 500), 500);
    ck_assert_uint_eq(al_tcache_limit_max_bytes(), 65536);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("tcache_limit");

    tcase_add_test(tcase, a_thread_keeps_what_it_was_told);
    tcase_add_test(tcase, caps_are_read_and_written);
    tcase_add_test(tcase, the_peak_is_what_was_held_at_most);
    tcase_add_test(tcase, options_hold_for_all_threads);
    return suite_run(tcase, "tcache_limit", 60);
}
