/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   memory for our books is zero, a cache line's multiple, nobody else's, and counted as it
 * is handed out: none of it when there is none. Method: requests of all sizes marked with their
 * number and looked at again; a kernel that refuses each call in turn.
 */
#include "alloc/bits.h"
#include "alloc/meta.h"
#include "alloc/os.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PIECE_COUNT = 400,
    THREAD_COUNT = 4,
    BLOCK_BYTES = 256 * 1024, /* of meta.c */
    HUGE_BYTES = 3 * BLOCK_BYTES,
};

struct piece {
    unsigned char *ptr;
    size_t bytes;
};

static void setup(void) {
    (void)al_os_fail_after(0, false);
}

/* A piece whose every byte can be written and was zero, filled with `mark`; NULL: not so. */
static bool make_piece(struct piece *piece, size_t bytes, unsigned char mark) {
    piece->ptr = al_meta_alloc(bytes);
    piece->bytes = bytes;
    if (piece->ptr == NULL || (uintptr_t)piece->ptr % AL_CACHE_LINE_BYTES != 0) {
        return false;
    }
    for (size_t at = 0; at < bytes; at++) {
        if (piece->ptr[at] != 0) {
            return false;
        }
    }
    memset(piece->ptr, mark, bytes);
    return true;
}

static bool is_intact(const struct piece *piece, unsigned char mark) {
    for (size_t at = 0; at < piece->bytes; at++) {
        if (piece->ptr[at] != mark) {
            return false;
        }
    }
    return true;
}

/* Mostly small ones, some as large as a block and larger. */
static size_t random_bytes(uint64_t *random) {
    const uint64_t word = suite_random(random);

    return 1 + (word >> 8) % (word % 32 == 0 ? 2 * (size_t)BLOCK_BYTES : 4000);
}

START_TEST(pieces_are_zero_aligned_and_apart) {
    static struct piece pieces[PIECE_COUNT];
    uint64_t random = suite_seed(31);
    size_t used_bytes = al_meta_bytes();

    for (size_t n = 0; n < PIECE_COUNT; n++) {
        const size_t bytes = random_bytes(&random);
        ck_assert(make_piece(&pieces[n], bytes, (unsigned char)(n % 251 + 1)));
        used_bytes += al_round_up(bytes, AL_CACHE_LINE_BYTES);
        ck_assert_uint_eq(al_meta_bytes(), used_bytes);
    }
    for (size_t n = 0; n < PIECE_COUNT; n++) {
        ck_assert(is_intact(&pieces[n], (unsigned char)(n % 251 + 1)));
    }
}
END_TEST

START_TEST(what_others_mapped_is_counted_both_ways) {
    const size_t used_bytes = al_meta_bytes();

    al_meta_account(4096);
    ck_assert_uint_eq(al_meta_bytes(), used_bytes + 4096);
    al_meta_account(-4096);
    ck_assert_uint_eq(al_meta_bytes(), used_bytes);
}
END_TEST

/* The rest of the current block, however much it is. */
static void use_up(void) {
    (void)al_os_fail_after(1, true);
    for (size_t bytes = BLOCK_BYTES; bytes > 0; bytes /= 2) {
        while (al_meta_alloc(bytes) != NULL) { /* ends: a block is finite */
        }
    }
    (void)al_os_fail_after(0, false);
}

START_TEST(without_memory_nothing_is_counted) {
    static const size_t sizes[] = {1,           64,         BLOCK_BYTES / 4 - 64, BLOCK_BYTES / 4,
                                   BLOCK_BYTES, HUGE_BYTES, (size_t)1 << 60};

    use_up();
    const size_t used_bytes = al_meta_bytes();
    (void)al_os_fail_after(1, true);
    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        ck_assert_ptr_null(al_meta_alloc(sizes[n]));
        ck_assert_uint_eq(al_meta_bytes(), used_bytes);
    }
    (void)al_os_fail_after(0, false);
    ck_assert_ptr_null(al_meta_alloc((size_t)1 << 60)); /* what the kernel itself refuses */
    ck_assert_uint_eq(al_meta_bytes(), used_bytes);
    struct piece piece;
    for (size_t n = 0; n + 1 < AL_ARRAY_COUNT(sizes); n++) {
        ck_assert(make_piece(&piece, sizes[n], 7));
    }
}
END_TEST

/* The mapping of its own is refused: it comes out of a block all the same. */
START_TEST(one_refusal_is_not_the_end) {
    struct piece piece;

    use_up();
    (void)al_os_fail_after(1, false);
    ck_assert(make_piece(&piece, BLOCK_BYTES / 2, 7));
    ck_assert_uint_eq(al_os_fail_after(0, false), 2);
}
END_TEST

/* Small pieces share a block: the kernel is asked once for many. */
START_TEST(the_kernel_is_asked_for_blocks) {
    struct piece piece;

    use_up();
    (void)al_os_fail_after(0, false);
    for (size_t n = 0; n < BLOCK_BYTES / 1024; n++) {
        ck_assert(make_piece(&piece, 1024, 7));
    }
    ck_assert_uint_eq(al_os_fail_after(0, false), 1);
}
END_TEST

static void *make_pieces(void *arg) {
    const unsigned char mark = *(const unsigned char *)arg;
    struct piece pieces[PIECE_COUNT / 4];
    uint64_t random = suite_seed(32) + mark;

    for (size_t n = 0; n < AL_ARRAY_COUNT(pieces); n++) {
        if (!make_piece(&pieces[n], random_bytes(&random), mark)) {
            return arg;
        }
    }
    for (size_t n = 0; n < AL_ARRAY_COUNT(pieces); n++) {
        if (!is_intact(&pieces[n], mark)) {
            return arg;
        }
    }
    return NULL;
}

START_TEST(no_piece_is_two_threads) {
    static unsigned char marks[THREAD_COUNT] = {1, 2, 3, 4};
    pthread_t threads[THREAD_COUNT];

    for (size_t n = 0; n < THREAD_COUNT; n++) {
        ck_assert_int_eq(pthread_create(&threads[n], NULL, make_pieces, &marks[n]), 0);
    }
    for (size_t n = 0; n < THREAD_COUNT; n++) {
        void *wrong = NULL;
        ck_assert_int_eq(pthread_join(threads[n], &wrong), 0);
        ck_assert_ptr_null(wrong);
    }
}
END_TEST

START_TEST(parent_and_child_of_a_fork_both_go_on) {
    struct piece piece;
    int status = -1;

    al_meta_fork_prepare();
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        al_meta_fork_child();
        _exit(make_piece(&piece, 100, 7) ? 0 : 1);
    }
    al_meta_fork_parent();
    ck_assert(make_piece(&piece, 100, 7));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("meta");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, pieces_are_zero_aligned_and_apart);
    tcase_add_test(tcase, what_others_mapped_is_counted_both_ways);
    tcase_add_test(tcase, without_memory_nothing_is_counted);
    tcase_add_test(tcase, one_refusal_is_not_the_end);
    tcase_add_test(tcase, the_kernel_is_asked_for_blocks);
    tcase_add_test(tcase, no_piece_is_two_threads);
    tcase_add_test(tcase, parent_and_child_of_a_fork_both_go_on);
    return suite_run(tcase, "meta", 60);
}
