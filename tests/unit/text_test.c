/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   numbers and words come out right and never past the end of the buffer.
 * Method: against snprintf, at every buffer length.
 */
#include "alloc/bits.h"
#include "alloc/text.h"
#include "tests/support/suite.h"

#include <inttypes.h>
#include <string.h>

static const uint64_t values[] = {0,          1,         9,          10,         15,
                                  16,         255,       256,        999999999,  1e18,
                                  UINT32_MAX, INT64_MAX, UINT64_MAX, 1ull << 63, 0xdeadbeef};

START_TEST(numbers_are_written_as_printf_would) {
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(values); idx++) {
        char have[80];
        char want[80];
        struct al_text text;
        al_text_init(&text, have, sizeof(have));
        al_text_u64(&text, values[idx]);
        al_text_str(&text, " ");
        al_text_i64(&text, (int64_t)values[idx]);
        al_text_str(&text, " ");
        al_text_hex(&text, values[idx]);
        snprintf(want, sizeof(want), "%" PRIu64 " %" PRId64 " 0x%" PRIx64, values[idx],
                 (int64_t)values[idx], values[idx]);
        ck_assert_str_eq(have, want);
        ck_assert(!text.is_cut);
        ck_assert_uint_eq(text.len_bytes, strlen(want));
    }
}
END_TEST

START_TEST(a_short_buffer_cuts_and_says_so) {
    char guarded[64];

    for (size_t cap = 1; cap < 40; cap++) {
        struct al_text text;
        memset(guarded, '#', sizeof(guarded));
        al_text_init(&text, guarded, cap);
        al_text_str(&text, "address ");
        al_text_hex(&text, UINT64_MAX);
        al_text_u64(&text, UINT64_MAX);
        ck_assert(text.is_cut);
        ck_assert_uint_lt(text.len_bytes, cap);
        ck_assert_int_eq(guarded[text.len_bytes], '\0');
        for (size_t at = cap; at < sizeof(guarded); at++) {
            ck_assert_int_eq(guarded[at], '#');
        }
    }
}
END_TEST

START_TEST(bits_round_as_they_say) {
    ck_assert(!al_is_pow2(0) && al_is_pow2(1) && al_is_pow2(1ull << 63) && !al_is_pow2(12));
    for (uint64_t value = 1; value < 5000; value += 7) {
        ck_assert_uint_eq(al_round_up(value, 64) % 64, 0);
        ck_assert_uint_lt(al_round_up(value, 64) - value, 64);
        ck_assert_uint_lt(value - al_round_down(value, 64), 64);
        ck_assert_uint_eq(al_div_up(value, 9), (value + 8) / 9);
        ck_assert_uint_le(1ull << al_lg_floor(value), value);
        ck_assert_uint_gt(2ull << al_lg_floor(value), value);
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("text");

    tcase_add_test(tcase, numbers_are_written_as_printf_would);
    tcase_add_test(tcase, a_short_buffer_cuts_and_says_so);
    tcase_add_test(tcase, bits_round_as_they_say);
    return suite_run(tcase, "text", 30);
}
