/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   each descriptor has one index and one place for good, is nobody's twice, comes again
 * before a new one is made, and none to be had is an answer like any other. Method: more
 * descriptors than two blocks hold; threads that mark what they hold; a kernel without memory.
 */
#include "alloc/extent.h"
#include "alloc/os.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MANY_COUNT = 3 * AL_EXTENT_BLOCK_COUNT,
    THREAD_COUNT = 4,
    TURN_COUNT = 20000,
    HELD_COUNT = 16,
};

/* Where all tests run in one process, others have left as many unused. */
static uint32_t taken[2 * MANY_COUNT];

/* Who holds a descriptor: 0, nobody. */
static _Atomic uint8_t holder[16 * AL_EXTENT_BLOCK_COUNT];

static void setup(void) {
    al_extent_init();
    (void)al_os_fail_after(0, false);
}

START_TEST(each_index_is_one_place_for_good) {
    for (size_t n = 0; n < MANY_COUNT; n++) {
        taken[n] = al_extent_take();
        struct al_extent *const extent = al_extent_at(taken[n]);
        ck_assert_uint_ne(taken[n], 0);
        ck_assert_uint_lt(taken[n], al_extent_count());
        ck_assert_uint_eq((uintptr_t)extent % AL_CACHE_LINE_BYTES, 0);
        ck_assert_uint_eq(al_extent_kind(extent), AL_EXTENT_BUSY);
        extent->base_addr = taken[n]; /* its own name: two of one place would be seen below */
    }
    for (size_t n = 0; n < MANY_COUNT; n++) {
        const struct al_extent *const extent = al_extent_at(taken[n]);
        ck_assert_uint_eq(extent->base_addr, taken[n]);
        if (taken[n] % AL_EXTENT_BLOCK_COUNT != 0) {
            ck_assert_ptr_eq(extent, al_extent_at(taken[n] - 1) + 1);
        }
    }
    for (size_t n = 0; n < MANY_COUNT; n++) {
        al_extent_give(taken[n]);
    }
}
END_TEST

START_TEST(what_was_given_back_comes_first) {
    for (size_t n = 0; n < HELD_COUNT; n++) {
        taken[n] = al_extent_take();
    }
    const uint32_t count = al_extent_count();
    for (size_t n = 0; n < HELD_COUNT; n++) {
        al_extent_give(taken[n]);
        ck_assert_uint_eq(al_extent_kind(al_extent_at(taken[n])), AL_EXTENT_NONE);
    }
    for (size_t n = HELD_COUNT; n-- > 0;) {
        ck_assert_uint_eq(al_extent_take(), taken[n]);
    }
    ck_assert_uint_eq(al_extent_count(), count);
    for (size_t n = 0; n < HELD_COUNT; n++) {
        al_extent_give(taken[n]);
    }
}
END_TEST

START_TEST(without_memory_for_another_block_there_is_none) {
    size_t taken_count = 0;

    (void)al_os_fail_after(1, true);
    for (;; taken_count++) { /* ends: what room there is runs out */
        ck_assert_uint_lt(taken_count, AL_ARRAY_COUNT(taken));
        taken[taken_count] = al_extent_take();
        if (taken[taken_count] == 0) {
            break;
        }
    }
    const uint32_t count = al_extent_count();
    ck_assert_uint_eq(al_extent_take(), 0);
    ck_assert_uint_eq(al_extent_count(), count);
    ck_assert_uint_eq(count % AL_EXTENT_BLOCK_COUNT, 0); /* all there are in whole blocks */
    if (taken_count > 0) {
        al_extent_give(taken[--taken_count]); /* one is back, and goes again */
        ck_assert_uint_eq(al_extent_take(), taken[taken_count]);
        taken_count++;
    }
    (void)al_os_fail_after(0, false);
    taken[taken_count] = al_extent_take();
    ck_assert_uint_eq(taken[taken_count], count);
    ck_assert_uint_eq(al_extent_count(), count + 1);
    for (size_t n = 0; n <= taken_count; n++) {
        al_extent_give(taken[n]);
    }
}
END_TEST

/* Two blocks may be made at the same time: one of them is lost, no index is. */
static void *take_and_give(void *arg) {
    const uint8_t name = *(const uint8_t *)arg;
    uint32_t held[HELD_COUNT * 64] = {0};
    uint64_t random = suite_seed(9) + name;

    for (int turn = 0; turn < TURN_COUNT; turn++) {
        uint32_t *const slot = &held[suite_random(&random) % AL_ARRAY_COUNT(held)];
        if (*slot == 0) {
            *slot = al_extent_take();
            if (*slot == 0 || atomic_exchange(&holder[*slot], name) != 0) {
                return arg;
            }
        } else {
            if (atomic_exchange(&holder[*slot], 0) != name) {
                return arg;
            }
            al_extent_give(*slot);
            *slot = 0;
        }
    }
    for (size_t n = 0; n < AL_ARRAY_COUNT(held); n++) {
        if (held[n] != 0) {
            atomic_store(&holder[held[n]], 0);
            al_extent_give(held[n]);
        }
    }
    return NULL;
}

START_TEST(no_descriptor_is_two_threads) {
    static uint8_t names[THREAD_COUNT] = {1, 2, 3, 4};
    pthread_t threads[THREAD_COUNT];

    for (size_t n = 0; n < THREAD_COUNT; n++) {
        ck_assert_int_eq(pthread_create(&threads[n], NULL, take_and_give, &names[n]), 0);
    }
    for (size_t n = 0; n < THREAD_COUNT; n++) {
        void *wrong = NULL;
        ck_assert_int_eq(pthread_join(threads[n], &wrong), 0);
        ck_assert_ptr_null(wrong);
    }
}
END_TEST

START_TEST(parent_and_child_of_a_fork_both_go_on) {
    int status = -1;

    al_extent_fork_prepare();
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        al_extent_fork_child();
        _exit(al_extent_take() != 0 ? 0 : 1);
    }
    al_extent_fork_parent();
    const uint32_t idx = al_extent_take();
    ck_assert_uint_ne(idx, 0);
    al_extent_give(idx);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(its_fields_are_told_apart) {
    const uint32_t idx = al_extent_take();
    struct al_extent *const extent = al_extent_at(idx);

    for (unsigned kind = AL_EXTENT_NONE; kind <= AL_EXTENT_BUSY; kind++) {
        al_extent_set_kind(extent, kind);
        al_extent_set_arena(extent, 4093 - kind);
        ck_assert_uint_eq(al_extent_kind(extent), kind);
        ck_assert_uint_eq(al_extent_arena(extent), 4093 - kind);
    }
    extent->granules = UINT32_MAX; /* 64 TiB: more than 32 bits of bytes */
    ck_assert_uint_eq(al_extent_bytes(extent), (size_t)UINT32_MAX << AL_GRANULE_LG);
    al_extent_give(idx);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("extent");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, each_index_is_one_place_for_good);
    tcase_add_test(tcase, what_was_given_back_comes_first);
    tcase_add_test(tcase, without_memory_for_another_block_there_is_none);
    tcase_add_test(tcase, no_descriptor_is_two_threads);
    tcase_add_test(tcase, parent_and_child_of_a_fork_both_go_on);
    tcase_add_test(tcase, its_fields_are_told_apart);
    return suite_run(tcase, "extent", 60);
}
