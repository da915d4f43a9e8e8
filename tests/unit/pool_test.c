/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   pieces are zeroed, aligned and nobody else's, whoever takes them; without memory there is
 *         none, and what was taken stays; the child of a fork takes its own.
 * Method: pieces of random sizes, all written to and all looked at in the end.
 */
#include "prof/pool.h"

#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
    BLOCK_BYTES = 1 << 20,
    ALIGN_BYTES = 16,
    PIECE_COUNT = 2000,
    PIECE_BYTES_MAX = 5000,
    THREAD_COUNT = 4,
};

struct taker {
    uint8_t *pieces[PIECE_COUNT];
    size_t sizes[PIECE_COUNT];
    uint8_t mark;
};

static bool is_all(const uint8_t *bytes, size_t count, uint8_t value) {
    for (size_t idx = 0; idx < count; idx++) {
        if (bytes[idx] != value) {
            return false;
        }
    }
    return true;
}

/* Marks each piece; a piece that overlaps another one is not zero when it is taken, or has another
 * one's mark in the end.
 */
static void *take(void *arg) {
    struct taker *const taker = arg;
    uint64_t state = taker->mark * UINT64_C(0x9E3779B97F4A7C15);

    for (int idx = 0; idx < PIECE_COUNT; idx++) {
        const size_t bytes = 1 + (suite_random(&state) >> 8) % PIECE_BYTES_MAX;
        uint8_t *const piece = pf_pool_take(bytes);
        ck_assert_ptr_nonnull(piece);
        ck_assert_uint_eq((uintptr_t)piece % ALIGN_BYTES, 0);
        ck_assert(is_all(piece, bytes, 0));
        memset(piece, taker->mark, bytes);
        taker->pieces[idx] = piece;
        taker->sizes[idx] = bytes;
    }
    return NULL;
}

static void assert_kept(const struct taker *taker) {
    for (int idx = 0; idx < PIECE_COUNT; idx++) {
        ck_assert(is_all(taker->pieces[idx], taker->sizes[idx], taker->mark));
    }
}

START_TEST(threads_take_pieces_of_their_own) {
    static struct taker takers[THREAD_COUNT];
    pthread_t threads[THREAD_COUNT];
    const size_t before = pf_pool_bytes();
    size_t taken = 0;

    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        takers[idx].mark = (uint8_t)(idx + 1);
        ck_assert_int_eq(pthread_create(&threads[idx], NULL, take, &takers[idx]), 0);
    }
    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
    }
    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        assert_kept(&takers[idx]);
        for (int piece = 0; piece < PIECE_COUNT; piece++) {
            taken += takers[idx].sizes[piece];
        }
    }
    const size_t grown = pf_pool_bytes() - before;
    ck_assert_uint_eq(grown % BLOCK_BYTES, 0);
    ck_assert_uint_gt(grown + BLOCK_BYTES, taken);
    ck_assert_uint_lt(grown, taken + taken / 2); /* little is lost where blocks end */
}
END_TEST

START_TEST(the_largest_piece_is_a_block_less_one_byte) {
    uint8_t *const first = pf_pool_take(BLOCK_BYTES - 1);
    uint8_t *const second = pf_pool_take(BLOCK_BYTES - 1);

    ck_assert(first != NULL && second != NULL);
    ck_assert(is_all(first, BLOCK_BYTES - 1, 0) && is_all(second, BLOCK_BYTES - 1, 0));
    memset(first, 1, BLOCK_BYTES - 1);
    ck_assert(is_all(second, BLOCK_BYTES - 1, 0));
}
END_TEST

static void run_out(void) {
    struct rlimit limit;

    CHILD_CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    uint8_t *const piece = pf_pool_take(1000);
    CHILD_CHECK(piece != NULL);
    memset(piece, 7, 1000);
    const rlim_t usual = limit.rlim_cur;
    limit.rlim_cur = 0;
    CHILD_CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    const size_t bytes = pf_pool_bytes();
    size_t taken = 0;
    while (pf_pool_take(4096) != NULL) {
        taken += 4096;
        CHILD_CHECK(taken < BLOCK_BYTES);
    }
    CHILD_CHECK(pf_pool_take(BLOCK_BYTES / 2) == NULL);
    CHILD_CHECK(pf_pool_bytes() == bytes);
    CHILD_CHECK(is_all(piece, 1000, 7));
    limit.rlim_cur = usual;
    CHILD_CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHILD_CHECK(pf_pool_take(4096) != NULL);
    CHILD_CHECK(pf_pool_bytes() == bytes + BLOCK_BYTES);
}

START_TEST(without_memory_there_is_no_piece) {
    assert_ends(run_out, 0, "");
}
END_TEST

/* As fork does it: the lock is held while the process is copied. */
static void run_fork(void) {
    uint8_t *const before = pf_pool_take(100);
    int status = 0;

    pf_pool_fork_prepare();
    const pid_t child = fork();
    if (child == 0) {
        pf_pool_fork_child();
        uint8_t *const own = pf_pool_take(100);
        CHILD_CHECK(own != NULL && own != before && is_all(own, 100, 0));
        _exit(0);
    }
    pf_pool_fork_parent();
    CHILD_CHECK(pf_pool_take(100) != NULL);
    CHILD_CHECK(waitpid(child, &status, 0) == child && status == 0);
}

START_TEST(parent_and_child_of_a_fork_go_on) {
    assert_ends(run_fork, 0, "");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("pool");

    tcase_add_test(tcase, threads_take_pieces_of_their_own);
    tcase_add_test(tcase, the_largest_piece_is_a_block_less_one_byte);
    tcase_add_test(tcase, without_memory_there_is_no_piece);
    tcase_add_test(tcase, parent_and_child_of_a_fork_go_on);
    return suite_run(tcase, "pool", 60);
}
