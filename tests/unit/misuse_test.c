/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   debug builds see what release builds have no instruction for: a sized delete with the
 *         wrong size, and a block that goes back to its slab twice.
 * Method: a child each; in a release build the same calls must do no harm at once.
 */
#include "alloc/malloc.h"
#include "alloc/thread.h"
#include "tests/support/dies.h"
#include "tests/support/suite.h"

static void small_with_a_larger_size(void) {
    al_free_sized(al_malloc(100), 300);
}

static void small_with_a_smaller_size(void) {
    al_free_sized(al_malloc(100), 50);
}

static void large_with_another_size(void) {
    al_free_sized(al_malloc(300000), 600000);
}

static void aligned_with_another_alignment(void) {
    al_free_aligned_sized(al_aligned_alloc(64, 100), 4096, 100);
}

START_TEST(a_wrong_size_stops_debug_builds) {
    static void (*const runs[])(void) = {small_with_a_larger_size, small_with_a_smaller_size,
                                         large_with_another_size, aligned_with_another_alignment};

    if (al_is_debug) {
        assert_dies(runs[_i], "tally: freed with a size that is not the allocation's: 0xADDR\n");
    } else {
        assert_ends(runs[_i], 0, "");
    }
}
END_TEST

/* Any size from the requested to the usable one is right. */
START_TEST(a_right_size_never_stops) {
    for (size_t size = 1; size < 200000; size += 1 + size / 7) {
        void *const ptr = al_malloc(size);
        ck_assert_ptr_nonnull(ptr);
        al_free_sized(ptr, _i == 0 ? size : al_malloc_usable_size(ptr));
    }
}
END_TEST

/* Nor does the size that realloc was last asked for, though it may have given more, or kept more.
 */
START_TEST(the_size_of_a_resized_block_never_stops) {
    for (size_t from = 1; from < 150000; from += 1 + from / 9) {
        for (size_t to = 1; to < 150000; to += 1 + to / 9) {
            void *const ptr = al_realloc(al_malloc(from), to);
            ck_assert_ptr_nonnull(ptr);
            al_free_sized(ptr, _i == 0 ? to : al_malloc_usable_size(ptr));
        }
    }
}
END_TEST

START_TEST(null_may_be_freed_with_any_size) {
    al_free_sized(NULL, 17);
    al_free_aligned_sized(NULL, 3, 17);
    al_free(NULL);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("misuse");

    tcase_add_loop_test(tcase, a_wrong_size_stops_debug_builds, 0, 4);
    tcase_add_loop_test(tcase, a_right_size_never_stops, 0, 2);
    tcase_add_loop_test(tcase, the_size_of_a_resized_block_never_stops, 0, 2);
    tcase_add_test(tcase, null_may_be_freed_with_any_size);
    return suite_run(tcase, "misuse", 60);
}
