/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   rounding, divisions and scans are right at the edges of 64 bits, and the generator's
 * words are spread. Method: every power of two and its neighbours; for the generator the bits of
 * many words.
 */
#include "alloc/bits.h"
#include "tests/support/suite.h"

enum { WORD_COUNT = 4096 };

START_TEST(powers_of_two_and_their_neighbours) {
    const uint64_t power = UINT64_C(1) << _i;

    ck_assert(al_is_pow2(power));
    ck_assert_uint_eq(al_lg_floor(power), (unsigned)_i);
    ck_assert_uint_eq(al_lg_floor(power | (power - 1)), (unsigned)_i);
    if (_i > 1) {
        ck_assert(!al_is_pow2(power - 1));
        ck_assert(!al_is_pow2(power + 1));
        ck_assert_uint_eq(al_lg_floor(power - 1), (unsigned)_i - 1);
        ck_assert_uint_eq(al_lg_floor(power + 1), (unsigned)_i);
    }
}
END_TEST

START_TEST(zero_is_no_power) {
    ck_assert(!al_is_pow2(0));
    ck_assert(!al_is_pow2(UINT64_MAX));
}
END_TEST

START_TEST(rounding_keeps_multiples_and_never_passes_the_next) {
    const uint64_t unit = UINT64_C(1) << _i;

    for (uint64_t factor = 0; factor < 4; factor++) {
        if (factor != 0 && unit > UINT64_MAX / 8) {
            continue;
        }
        const uint64_t value = factor * unit;
        ck_assert_uint_eq(al_round_up(value, unit), value);
        ck_assert_uint_eq(al_round_down(value, unit), value);
        ck_assert_uint_eq(al_div_up(value, unit), factor);
        if (unit > 1 && unit < UINT64_MAX / 8) {
            ck_assert_uint_eq(al_round_up(value + 1, unit), value + unit);
            ck_assert_uint_eq(al_round_up(value + unit - 1, unit), value + unit);
            ck_assert_uint_eq(al_round_down(value + 1, unit), value);
            ck_assert_uint_eq(al_round_down(value + unit - 1, unit), value);
            ck_assert_uint_eq(al_div_up(value + 1, unit), factor + 1);
        }
    }
    ck_assert_uint_eq(al_round_down(UINT64_MAX, unit), UINT64_MAX - (unit - 1));
    ck_assert_uint_eq(al_round_up(UINT64_MAX - (unit - 1), unit), UINT64_MAX - (unit - 1));
}
END_TEST

/* Each bit is set in about half of the words: within 6 standard deviations (32 of 4,096). */
START_TEST(the_generators_bits_are_spread) {
    uint64_t state = 1;
    unsigned set_count[64] = {0};

    for (int word = 0; word < WORD_COUNT; word++) {
        const uint64_t bits = al_rng_next(&state);
        ck_assert_uint_ne(state, 0);
        for (int bit = 0; bit < 64; bit++) {
            set_count[bit] += bits >> bit & 1;
        }
    }
    for (int bit = 0; bit < 64; bit++) {
        ck_assert_uint_gt(set_count[bit], WORD_COUNT / 2 - 192);
        ck_assert_uint_lt(set_count[bit], WORD_COUNT / 2 + 192);
    }
}
END_TEST

/* The published generator: its first words from a state of 1. */
START_TEST(the_generator_is_xorshift64_star) {
    uint64_t state = 1;

    ck_assert_uint_eq(al_rng_next(&state), UINT64_C(5180492295206395165));
    ck_assert_uint_eq(state, UINT64_C(0x2000001));
    ck_assert_uint_eq(al_rng_next(&state), UINT64_C(12380297144915551517));
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("bits");

    tcase_add_loop_test(tcase, powers_of_two_and_their_neighbours, 0, 64);
    tcase_add_test(tcase, zero_is_no_power);
    tcase_add_loop_test(tcase, rounding_keeps_multiples_and_never_passes_the_next, 0, 64);
    tcase_add_test(tcase, the_generators_bits_are_spread);
    tcase_add_test(tcase, the_generator_is_xorshift64_star);
    return suite_run(tcase, "bits", 30);
}
