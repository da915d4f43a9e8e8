/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the tree of free runs finds the best fit, keeps order under any inserts and removals,
 * stays shallow, and its check sees a tree that is not one. Method: random operations beside an
 * array that is searched from end to end; trees broken by hand.
 */
#include "alloc/extent.h"
#include "alloc/treap.h"
#include "tests/support/dies.h"
#include "tests/support/suite.h"

#include <stdlib.h>

enum {
    RUN_COUNT = 600,
    DEEP_COUNT = 3900, /* nearly a block of descriptors */
    STEP_COUNT = 20000,
    STEPS_PER_CHECK = 100,
    GRANULES_MAX = 40, /* few sizes: many runs are told apart by address alone */
};

/* The book: descriptors by slot, and whether they are in the tree. */
static uint32_t runs[RUN_COUNT];
static bool is_in[RUN_COUNT];
static uint32_t root;
static uint64_t random_state;

static void setup(void) {
    al_extent_init();
    root = 0;
    random_state = suite_seed(4242);
}

static struct al_extent *run_new(uint32_t *idx, uint32_t granules, uintptr_t base_addr) {
    *idx = al_extent_take();
    ck_assert_uint_ne(*idx, 0);
    struct al_extent *const extent = al_extent_at(*idx);
    extent->granules = granules;
    extent->base_addr = base_addr;
    return extent;
}

static bool is_below(const struct al_extent *extent, uint32_t granules, uintptr_t base_addr) {
    return extent->granules < granules ||
           (extent->granules == granules && extent->base_addr < base_addr);
}

/* The first in order with at least `granules`, by looking at all. */
static uint32_t slow_best_fit(uint32_t granules) {
    uint32_t best = 0;

    for (int slot = 0; slot < RUN_COUNT; slot++) {
        const struct al_extent *const extent = al_extent_at(runs[slot]);
        if (is_in[slot] && extent->granules >= granules &&
            (best == 0 ||
             is_below(extent, al_extent_at(best)->granules, al_extent_at(best)->base_addr))) {
            best = runs[slot];
        }
    }
    return best;
}

static uint32_t slow_below(uint32_t granules, uintptr_t base_addr) {
    uint32_t best = 0;

    for (int slot = 0; slot < RUN_COUNT; slot++) {
        const struct al_extent *const extent = al_extent_at(runs[slot]);
        if (is_in[slot] && is_below(extent, granules, base_addr) &&
            (best == 0 ||
             !is_below(extent, al_extent_at(best)->granules, al_extent_at(best)->base_addr))) {
            best = runs[slot];
        }
    }
    return best;
}

static uintptr_t random_base(void) {
    return (uintptr_t)(suite_random(&random_state) % (1U << 20)) << AL_GRANULE_LG;
}

/* From the largest down, as often as there are runs in it. */
static void check_walk(size_t count) {
    uint32_t idx = al_treap_previous(root, 0);

    al_treap_check(root);
    for (; count > 0; count--) {
        ck_assert_uint_ne(idx, 0);
        const struct al_extent *const extent = al_extent_at(idx);
        idx = al_treap_previous(root, idx);
        ck_assert_uint_eq(idx, slow_below(extent->granules, extent->base_addr));
    }
    ck_assert_uint_eq(idx, 0);
}

START_TEST(random_operations_agree_with_an_array) {
    size_t count = 0;

    for (int slot = 0; slot < RUN_COUNT; slot++) {
        (void)run_new(&runs[slot], 1, 0);
        is_in[slot] = false;
    }
    for (int step = 0; step < STEP_COUNT; step++) {
        const size_t slot = suite_random(&random_state) % RUN_COUNT;
        struct al_extent *const extent = al_extent_at(runs[slot]);
        if (is_in[slot]) {
            al_treap_remove(&root, runs[slot]);
            count--;
        } else {
            extent->granules = 1 + (uint32_t)(suite_random(&random_state) % GRANULES_MAX);
            do { /* ends: places are a thousand times as many as runs */
                extent->base_addr = random_base() + (slot << (AL_GRANULE_LG + 20));
            } while (extent->base_addr == 0);
            al_treap_insert(&root, runs[slot]);
            count++;
        }
        is_in[slot] = !is_in[slot];
        const uint32_t granules = 1 + (uint32_t)(suite_random(&random_state) % GRANULES_MAX);
        ck_assert_uint_eq(al_treap_best_fit(root, granules), slow_best_fit(granules));
        const uintptr_t base_addr = random_base();
        ck_assert_uint_eq(al_treap_below(root, granules, base_addr),
                          slow_below(granules, base_addr));
        if (step % STEPS_PER_CHECK == 0) {
            check_walk(count);
        }
    }
    for (int slot = 0; slot < RUN_COUNT; slot++) {
        if (is_in[slot]) {
            al_treap_remove(&root, runs[slot]);
        }
    }
    ck_assert_uint_eq(root, 0);
}
END_TEST

START_TEST(an_empty_tree_has_nothing) {
    ck_assert_uint_eq(al_treap_best_fit(0, 1), 0);
    ck_assert_uint_eq(al_treap_best_fit(0, UINT32_MAX), 0);
    ck_assert_uint_eq(al_treap_previous(0, 0), 0);
    ck_assert_uint_eq(al_treap_below(0, UINT32_MAX, UINTPTR_MAX), 0);
    al_treap_check(0);
}
END_TEST

/* A fit is one of at least the size; above the largest there is none. */
START_TEST(fits_at_the_edges_of_size) {
    uint32_t small = 0;
    uint32_t whole = 0;

    (void)run_new(&small, 1, AL_GRANULE_BYTES);
    (void)run_new(&whole, UINT32_MAX, AL_GRANULE_BYTES);
    al_treap_insert(&root, small);
    ck_assert_uint_eq(al_treap_best_fit(root, 1), small);
    ck_assert_uint_eq(al_treap_best_fit(root, 2), 0);
    al_treap_insert(&root, whole);
    ck_assert_uint_eq(al_treap_best_fit(root, 2), whole);
    ck_assert_uint_eq(al_treap_best_fit(root, UINT32_MAX), whole);
    ck_assert_uint_eq(al_treap_previous(root, 0), whole);
    ck_assert_uint_eq(al_treap_previous(root, whole), small);
    ck_assert_uint_eq(al_treap_previous(root, small), 0);
}
END_TEST

/* The shape is the keys' and the descriptors', not the history's. */
START_TEST(any_order_of_inserts_makes_one_shape) {
    uint32_t left[RUN_COUNT];
    uint32_t right[RUN_COUNT];
    uint32_t first_root = 0;

    for (int slot = 0; slot < RUN_COUNT; slot++) {
        (void)run_new(&runs[slot], 1 + (uint32_t)slot % 7, (uintptr_t)(slot + 1) << AL_GRANULE_LG);
        al_treap_insert(&first_root, runs[slot]);
    }
    for (int slot = 0; slot < RUN_COUNT; slot++) {
        left[slot] = al_extent_at(runs[slot])->free.left_idx;
        right[slot] = al_extent_at(runs[slot])->free.right_idx;
    }
    for (int slot = RUN_COUNT; slot-- > 0;) {
        al_treap_insert(&root, runs[slot]);
    }
    /* Half of them leave and come back. */
    for (int slot = 0; slot < RUN_COUNT; slot += 2) {
        al_treap_remove(&root, runs[slot]);
    }
    for (int slot = RUN_COUNT - 2; slot >= 0; slot -= 2) {
        al_treap_insert(&root, runs[slot]);
    }
    ck_assert_uint_eq(root, first_root);
    for (int slot = 0; slot < RUN_COUNT; slot++) {
        ck_assert_uint_eq(al_extent_at(runs[slot])->free.left_idx, left[slot]);
        ck_assert_uint_eq(al_extent_at(runs[slot])->free.right_idx, right[slot]);
    }
}
END_TEST

static unsigned depth_of(uint32_t idx) {
    if (idx == 0) {
        return 0;
    }
    const unsigned left = depth_of(al_extent_at(idx)->free.left_idx);
    const unsigned right = depth_of(al_extent_at(idx)->free.right_idx);
    return 1 + (left > right ? left : right);
}

/* _i: 0 rising, 1 falling, 2 all of one size. In a plain tree the depth would be their number. */
START_TEST(sorted_inserts_stay_shallow) {
    for (uint32_t n = 0; n < DEEP_COUNT; n++) {
        uint32_t idx = 0;
        const uint32_t rank = _i == 1 ? DEEP_COUNT - n : n + 1;
        (void)run_new(&idx, _i == 2 ? 1 : rank, (uintptr_t)rank << AL_GRANULE_LG);
        al_treap_insert(&root, idx);
    }
    al_treap_check(root);
    ck_assert_uint_ge(depth_of(root), 12); /* lg of their number */
    ck_assert_uint_le(depth_of(root), 60); /* 2 ln of it is 17 */
}
END_TEST

static void make_three(uint32_t idx[3]) {
    for (uint32_t n = 0; n < 3; n++) {
        (void)run_new(&idx[n], n + 1, AL_GRANULE_BYTES);
        al_treap_insert(&root, idx[n]);
    }
}

static void check_swapped_children(void) {
    uint32_t idx[3];

    make_three(idx);
    /* Whatever the shape, the root's key passes its largest child's, and that of the middle. */
    al_extent_at(root)->granules = al_extent_at(root)->granules == 3 ? 1 : 4;
    al_extent_at(root)->base_addr = 0;
    al_treap_check(root);
}

static void check_turned_edge(void) {
    uint32_t idx[3];

    make_three(idx);
    /* A leaf on top: order holds, priorities do not. */
    uint32_t leaf = idx[0];
    const uint32_t old_root = root;
    for (uint32_t n = 0; n < 3; n++) {
        if (al_extent_at(idx[n])->free.left_idx == 0 && al_extent_at(idx[n])->free.right_idx == 0) {
            leaf = idx[n];
        }
    }
    al_treap_remove(&root, leaf);
    const bool is_after = !is_below(al_extent_at(leaf), al_extent_at(old_root)->granules,
                                    al_extent_at(old_root)->base_addr);
    /* Only a leaf at an end of the order can be put on top of all others. */
    al_extent_at(leaf)->granules = is_after ? 9 : 1;
    al_extent_at(leaf)->base_addr = 0;
    al_extent_at(leaf)->free.left_idx = is_after ? old_root : 0;
    al_extent_at(leaf)->free.right_idx = is_after ? 0 : old_root;
    al_treap_check(leaf);
}

START_TEST(the_check_sees_what_is_no_treap) {
    assert_dies(check_swapped_children, "tally: internal: runs I1: treap order\n");
    assert_dies(check_turned_edge, "tally: internal: runs I1: treap priorities\n");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("treap");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, random_operations_agree_with_an_array);
    tcase_add_test(tcase, an_empty_tree_has_nothing);
    tcase_add_test(tcase, fits_at_the_edges_of_size);
    tcase_add_test(tcase, any_order_of_inserts_makes_one_shape);
    tcase_add_loop_test(tcase, sorted_inserts_stay_shallow, 0, 3);
    tcase_add_test(tcase, the_check_sees_what_is_no_treap);
    return suite_run(tcase, "treap", 60);
}
