/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   every size up to 64 KiB maps to the smallest class that holds it, with every alignment to
 *         the smallest that keeps it; slabs waste little and slots are found by their offsets.
 * Method: all sizes, all classes, all alignments; what is expected comes from the table in the
 *         header, written out here by its rules, or from a search over all classes.
 */
#include "alloc/bits.h"
#include "alloc/class.h"
#include "tests/support/suite.h"

/* The smallest class that holds a size and is a multiple of an alignment; 0: none. */
static unsigned slow_class_of(size_t size_bytes, size_t align_bytes) {
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const size_t class_bytes = al_class_bytes(class_idx);
        if (class_bytes >= size_bytes && class_bytes % align_bytes == 0) {
            return class_idx;
        }
    }
    return 0;
}

START_TEST(classes_are_those_of_the_table) {
    unsigned class_idx = 1;

    for (size_t bytes = 16; bytes <= 1024; bytes += 16) {
        ck_assert_uint_eq(al_class_bytes(class_idx++), bytes);
    }
    for (size_t doubling = 1024; doubling < 4096; doubling *= 2) {
        for (size_t step = 1; step <= 8; step++) {
            ck_assert_uint_eq(al_class_bytes(class_idx++), doubling + doubling / 8 * step);
        }
    }
    for (size_t doubling = 4096; doubling < 65536; doubling *= 2) {
        for (size_t step = 1; step <= 4; step++) {
            ck_assert_uint_eq(al_class_bytes(class_idx++), doubling + doubling / 4 * step);
        }
    }
    ck_assert_uint_eq(class_idx, AL_CLASS_COUNT);
}
END_TEST

START_TEST(every_size_gets_the_smallest_class) {
    ck_assert_uint_eq(al_class_of(0), 0);
    for (size_t bytes = 1; bytes <= AL_SMALL_MAX_BYTES; bytes++) {
        const unsigned class_idx = al_class_of(bytes);
        if (class_idx < 1 || class_idx >= AL_CLASS_COUNT || al_class_bytes(class_idx) < bytes ||
            (class_idx > 1 && al_class_bytes(class_idx - 1) >= bytes) ||
            (bytes > AL_CLASS_FINE_MAX_BYTES && al_class_of_coarse(bytes) != class_idx)) {
            ck_abort_msg("%zu bytes: class %u", bytes, class_idx);
        }
    }
}
END_TEST

START_TEST(a_class_is_its_own_sizes) {
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        ck_assert_uint_eq(al_class_of(al_class_bytes(class_idx)), class_idx);
        ck_assert_uint_eq(al_class_bytes(class_idx) % AL_QUANTUM_BYTES, 0);
    }
}
END_TEST

/* From 1 KiB on by an eighth, from 4 KiB on by a quarter: what a rounded-up size may waste. */
START_TEST(classes_rise_by_small_steps) {
    for (unsigned class_idx = 2; class_idx < AL_CLASS_COUNT; class_idx++) {
        const size_t below_bytes = al_class_bytes(class_idx - 1);
        const size_t step_bytes = al_class_bytes(class_idx) - below_bytes;
        ck_assert_uint_gt(step_bytes, 0);
        ck_assert_uint_le(step_bytes, below_bytes < 1024   ? 16
                                      : below_bytes < 4096 ? below_bytes / 8
                                                           : below_bytes / 4);
    }
}
END_TEST

/* Of an aligned request: an object is a whole number of units, so its size is rounded up first. */
static unsigned want_aligned(size_t size_bytes, size_t align_bytes) {
    if (align_bytes > AL_GRANULE_BYTES || size_bytes > AL_SMALL_MAX_BYTES) {
        return 0; /* needs a run */
    }
    return slow_class_of(al_round_up(size_bytes != 0 ? size_bytes : 1, align_bytes), align_bytes);
}

/* `_i`: lg of the alignment. A million comparisons: Check's own would take seconds. */
START_TEST(every_alignment_gets_the_smallest_class_that_keeps_it) {
    const size_t align_bytes = (size_t)1 << _i;

    for (size_t bytes = 0; bytes <= AL_SMALL_MAX_BYTES + 1; bytes++) {
        const unsigned class_idx = al_class_of_aligned(bytes, align_bytes);
        if (class_idx != want_aligned(bytes, align_bytes)) {
            ck_abort_msg("%zu bytes aligned to %zu: class %u", bytes, align_bytes, class_idx);
        }
        if (class_idx == 0 && align_bytes <= AL_GRANULE_BYTES && bytes <= AL_SMALL_MAX_BYTES) {
            ck_abort_msg("%zu bytes aligned to %zu: no class", bytes, align_bytes);
        }
    }
}
END_TEST

START_TEST(sizes_beyond_all_classes_need_a_run) {
    for (unsigned lg = 0; lg < 64; lg++) {
        ck_assert_uint_eq(al_class_of_aligned(AL_SMALL_MAX_BYTES + 1, (size_t)1 << lg), 0);
        ck_assert_uint_eq(al_class_of_aligned(AL_SIZE_MAX_BYTES, (size_t)1 << lg), 0);
        ck_assert_uint_eq(al_class_of_aligned(SIZE_MAX, (size_t)1 << lg), 0);
    }
}
END_TEST

/* A slab is at most 1/8 tail, and its slots fit the counters of a descriptor (16 bits) and the
 * count of a remote list.
 */
START_TEST(slabs_are_filled_by_their_slots) {
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const size_t slab_bytes = (size_t)al_class_slab_granules(class_idx) << AL_GRANULE_LG;
        const size_t used_bytes = al_class_slab_slots(class_idx) * al_class_bytes(class_idx);
        ck_assert(al_is_pow2(slab_bytes));
        ck_assert_uint_ge(al_class_slab_slots(class_idx), 4);
        ck_assert_uint_le(al_class_slab_slots(class_idx), 1024);
        ck_assert_uint_le(used_bytes, slab_bytes);
        ck_assert_uint_gt(used_bytes + al_class_bytes(class_idx), slab_bytes);
        ck_assert_uint_le(slab_bytes - used_bytes, slab_bytes / 8);
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("class");

    tcase_add_test(tcase, classes_are_those_of_the_table);
    tcase_add_test(tcase, every_size_gets_the_smallest_class);
    tcase_add_test(tcase, a_class_is_its_own_sizes);
    tcase_add_test(tcase, classes_rise_by_small_steps);
    tcase_add_loop_test(tcase, every_alignment_gets_the_smallest_class_that_keeps_it, 0, 17);
    tcase_add_test(tcase, sizes_beyond_all_classes_need_a_run);
    tcase_add_test(tcase, slabs_are_filled_by_their_slots);
    return suite_run(tcase, "class", 60);
}
