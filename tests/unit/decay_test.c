/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   freed memory may stay as the smoothstep curve says: all of it at first, half after half
 *         the time, none at the end, and never again more than before.
 * Method: a clock of our own; no memory is involved.
 */
#include "alloc/decay.h"
#include "tests/support/suite.h"

#include <limits.h>

enum { DECAY_MS = 10000, DIRTY_GRANULES = 100000 };

static const uint64_t step_ns = (uint64_t)DECAY_MS * 1000000 / AL_DECAY_STEP_COUNT;

START_TEST(the_curve_falls_from_all_to_nothing) {
    ck_assert_uint_eq(al_decay_keep_share(0), 1u << 24);
    ck_assert_uint_eq(al_decay_keep_share(AL_DECAY_STEP_COUNT), 0);
    ck_assert_uint_eq(al_decay_keep_share(AL_DECAY_STEP_COUNT / 2), 1u << 23);
    for (unsigned age = 0; age < AL_DECAY_STEP_COUNT; age++) {
        ck_assert_uint_ge(al_decay_keep_share(age), al_decay_keep_share(age + 1));
        /* Point symmetry: what has gone at one end is what is left at the other. */
        const uint32_t sum =
            al_decay_keep_share(age) + al_decay_keep_share(AL_DECAY_STEP_COUNT - age);
        ck_assert_uint_ge(sum, (1u << 24) - 1);
        ck_assert_uint_le(sum, 1u << 24);
    }
}
END_TEST

START_TEST(what_is_freed_once_goes_in_the_stated_time) {
    struct al_decay decay;
    size_t dirty = DIRTY_GRANULES;
    size_t last = SIZE_MAX;

    al_decay_init(&decay, DECAY_MS, 0);
    ck_assert_uint_eq(al_decay_allowed(&decay, dirty), dirty); /* fresh: all may stay */
    for (uint64_t step = 1; step <= AL_DECAY_STEP_COUNT + 1; step++) {
        ck_assert(al_decay_advance(&decay, step * step_ns, dirty));
        const size_t allowed = al_decay_allowed(&decay, dirty);
        ck_assert_uint_le(allowed, last);
        last = allowed;
        dirty = allowed < dirty ? allowed : dirty; /* purged */
        al_decay_purged(&decay, dirty);
        if (step == AL_DECAY_STEP_COUNT / 2) {
            ck_assert_uint_gt(dirty, DIRTY_GRANULES * 45 / 100);
            ck_assert_uint_lt(dirty, DIRTY_GRANULES * 55 / 100);
        }
    }
    ck_assert_uint_eq(dirty, 0);
}
END_TEST

START_TEST(time_counts_in_whole_steps) {
    struct al_decay decay;

    al_decay_init(&decay, DECAY_MS, 1000);
    ck_assert(!al_decay_advance(&decay, 1000 + step_ns - 1, 10));
    ck_assert(al_decay_advance(&decay, 1000 + step_ns, 10));
    ck_assert(!al_decay_advance(&decay, 1000 + step_ns + 1, 10));
    ck_assert(!al_decay_advance(&decay, 0, 10)); /* a clock that went back */
}
END_TEST

START_TEST(a_long_sleep_ends_all_of_it) {
    struct al_decay decay;

    al_decay_init(&decay, DECAY_MS, 0);
    ck_assert(al_decay_advance(&decay, step_ns, 5000));
    ck_assert(al_decay_advance(&decay, step_ns * 1000, 5000));
    ck_assert_uint_eq(al_decay_allowed(&decay, 5000), 0);
}
END_TEST

START_TEST(never_and_at_once_have_no_curve) {
    struct al_decay decay;

    al_decay_init(&decay, -1, 0);
    ck_assert(!al_decay_advance(&decay, UINT64_MAX, 5000));
    al_decay_init(&decay, 0, 0);
    ck_assert(!al_decay_advance(&decay, UINT64_MAX, 5000));
}
END_TEST

START_TEST(every_valid_time_has_steps) {
    static const ssize_t valid_ms[] = {1, 199, 200, 10000, AL_DECAY_MS_MAX};
    struct al_decay decay;

    for (size_t n = 0; n < AL_ARRAY_COUNT(valid_ms); n++) {
        ck_assert(al_decay_is_valid_ms(valid_ms[n]));
        al_decay_init(&decay, valid_ms[n], 0);
        ck_assert_uint_eq(decay.step_ns, (uint64_t)valid_ms[n] * 1000000 / AL_DECAY_STEP_COUNT);
        ck_assert_uint_ge(decay.step_ns, 1);
        ck_assert(al_decay_advance(&decay, UINT64_MAX, 5000));
    }
    ck_assert(al_decay_is_valid_ms(-1) && al_decay_is_valid_ms(0));
    ck_assert(!al_decay_is_valid_ms(-2) && !al_decay_is_valid_ms(AL_DECAY_MS_MAX + 1));
    ck_assert(!al_decay_is_valid_ms(SSIZE_MAX) && !al_decay_is_valid_ms((ssize_t)1 << 58));
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("decay");

    tcase_add_test(tcase, the_curve_falls_from_all_to_nothing);
    tcase_add_test(tcase, what_is_freed_once_goes_in_the_stated_time);
    tcase_add_test(tcase, time_counts_in_whole_steps);
    tcase_add_test(tcase, a_long_sleep_ends_all_of_it);
    tcase_add_test(tcase, never_and_at_once_have_no_curve);
    tcase_add_test(tcase, every_valid_time_has_steps);
    return suite_run(tcase, "decay", 30);
}
