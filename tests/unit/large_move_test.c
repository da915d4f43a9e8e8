/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a large block's pages move to a larger place without a copy and without losing a byte, as
 *         long as the kernel takes it; else all is as it was.
 * Method: arenas of their own, every pair of kinds of place; a kernel that refuses.
 */
#include "alloc/class.h"
#include "alloc/large.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/runs.h"
#include "tests/support/large_blocks.h"
#include "tests/support/suite.h"

#include <string.h>

enum {
    MIB = 1024 * 1024,
    MOVES_MAX = 16384, /* of large.c */
};

static unsigned char *move(unsigned char *ptr, size_t size_bytes) {
    return al_large_move(large_arena, ptr, large_entry(ptr), size_bytes);
}

/* From, to: runs and mappings of their own. */
START_TEST(pages_move_to_a_larger_place) {
    static const size_t sizes[][2] = {{1, 2}, {2, 31}, {20, 40}, {33, 64}, {31, 32}};
    const size_t from_bytes = sizes[_i][0] * MIB + 1;
    const size_t to_bytes = sizes[_i][1] * MIB + 1;
    unsigned char *const ptr = large_take(from_bytes);

    large_mark(ptr, from_bytes);
    unsigned char *const moved = move(ptr, to_bytes);
    if (!al_os_is_linux(5, 7)) {
        ck_assert_ptr_null(moved);
        large_give(ptr);
        return;
    }
    ck_assert_ptr_nonnull(moved);
    large_check(moved, to_bytes + AL_PAGE_BYTES - 1);
    ck_assert(large_is_marked(moved, from_bytes));
    memset(moved + to_bytes - MIB, 1, MIB);
    ck_assert_uint_ne(al_map_entry_low(large_entry(ptr)), AL_MAP_LARGE);
    ck_assert_uint_eq(large_arena->runs.large_malloc_count, 2);
    ck_assert_uint_eq(large_arena->runs.large_free_count, 1);
    al_runs_check(&large_arena->runs);
    large_give(moved);
    large_expect_empty();
}
END_TEST

START_TEST(small_or_shrinking_blocks_are_copied) {
    unsigned char *const small = large_take(MIB - AL_PAGE_BYTES);
    unsigned char *const large = large_take(2 * MIB);

    (void)al_os_fail_after(0, false);
    ck_assert_ptr_null(move(small, 4 * MIB));
    ck_assert_ptr_null(move(large, 2 * MIB - AL_PAGE_BYTES));
    ck_assert_ptr_null(move(large, AL_SIZE_MAX_BYTES));
    large_check(small, MIB - AL_PAGE_BYTES);
    large_check(large, 2 * MIB);
    large_give(small);
    large_give(large);
    large_expect_empty();
}
END_TEST

/* Each move of a run may split a mapping of the kernel's, of which a process has few. */
START_TEST(moves_of_runs_are_rationed) {
    unsigned char *ptr = large_take(MIB);
    int move_count = 0;

    for (unsigned char *moved = ptr; moved != NULL && move_count <= MOVES_MAX; move_count++) {
        moved = move(ptr, MIB);
        ptr = moved != NULL ? moved : ptr;
    }
    ck_assert_int_le(move_count, MOVES_MAX + 1);
    ck_assert_ptr_null(move(ptr, MIB));
    unsigned char *const huge = large_take(33 * MIB); /* one mapping stays one */
    large_mark(huge, 33 * MIB);
    unsigned char *const moved = move(huge, 40 * MIB);
    if (al_os_is_linux(5, 7)) {
        ck_assert_ptr_nonnull(moved);
        ck_assert(large_is_marked(moved, 33 * MIB));
    }
    large_give(moved != NULL ? moved : huge);
    large_give(ptr);
    large_expect_empty();
}
END_TEST

/* A kernel that refuses once is not asked again: not for runs, and not for mappings. The calls
 * before the move's own are one or two.
 */
START_TEST(after_a_refusal_all_is_copied) {
    unsigned char *const run = large_take(2 * MIB);
    unsigned char *const huge = large_take(33 * MIB);

    large_mark(huge, 33 * MIB);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        (void)al_os_fail_after(nth, false);
        ck_assert_ptr_null(move(huge, 40 * MIB));
        ck_assert(large_is_marked(huge, 33 * MIB));
        large_check(huge, 33 * MIB);
    }
    for (int turn = 0; turn < 3; turn++) {
        (void)al_os_fail_after(0, false);
        ck_assert_ptr_null(move(run, 4 * MIB));
        ck_assert_ptr_null(move(huge, 40 * MIB));
        ck_assert_uint_eq(al_os_fail_after(0, false), 0);
    }
    large_give(run);
    large_give(huge);
    large_expect_empty();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("large_move");

    tcase_add_checked_fixture(tcase, large_setup, NULL);
    tcase_add_loop_test(tcase, pages_move_to_a_larger_place, 0, 5);
    tcase_add_test(tcase, small_or_shrinking_blocks_are_copied);
    /* These two leave no moves to others: the process is another one, but for sanitizers. */
    tcase_add_test(tcase, moves_of_runs_are_rationed);
    tcase_add_test(tcase, after_a_refusal_all_is_copied);
    return suite_run(tcase, "large_move", 60);
}
