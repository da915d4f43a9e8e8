/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   equal strings get one number, different ones different numbers, in order of first
 *         sight, for any bytes and through every growth.
 * Method: 20,000 random strings, many of them prefixes of each other or with NULs inside,
 *         against an array that is searched from its start; the unit's own check as it grows.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/intern.h"

#include <string.h>

enum { STRING_BYTES_MAX = 24, DISTINCT_COUNT = 2000, PUT_COUNT = 20000 };

struct string {
    char bytes[STRING_BYTES_MAX];
    size_t byte_count;
};

static struct string seen[DISTINCT_COUNT];

/* The position of a string among those seen, from its start; `seen_count` if it is new. */
static uint32_t shadow_of(const struct string *string, uint32_t seen_count) {
    uint32_t at = 0;

    while (at < seen_count && (seen[at].byte_count != string->byte_count ||
                               memcmp(seen[at].bytes, string->bytes, string->byte_count) != 0)) {
        at++;
    }
    return at;
}

START_TEST(equal_strings_have_one_number) {
    struct sy_intern intern;
    uint64_t state = suite_seed(11);
    uint32_t seen_count = 0;

    sy_intern_init(&intern);
    for (int i = 0; i < PUT_COUNT && seen_count < DISTINCT_COUNT; i++) {
        struct string string = {.byte_count = suite_random(&state) % STRING_BYTES_MAX};
        for (size_t at = 0; at < string.byte_count; at++) {
            string.bytes[at] = (char)(suite_random(&state) % 2);
        }
        const uint32_t want = shadow_of(&string, seen_count);
        ck_assert_uint_eq(sy_intern_put(&intern, string.bytes, string.byte_count), want);
        if (want == seen_count) {
            seen[seen_count++] = string;
        }
        if (i % 997 == 0) {
            ck_assert(sy_intern_check(&intern));
        }
    }
    ck_assert_uint_eq(intern.count, seen_count);
    for (uint32_t id = 0; id < seen_count; id++) {
        size_t byte_count = 0;
        const char *const copy = sy_intern_get(&intern, id, &byte_count);
        ck_assert_uint_eq(byte_count, seen[id].byte_count);
        ck_assert(memcmp(copy, seen[id].bytes, byte_count) == 0);
        ck_assert_int_eq(copy[byte_count], '\0');
        ck_assert_uint_eq((uintptr_t)copy % 8, 0);
    }
    ck_assert(sy_intern_check(&intern));
    sy_intern_fini(&intern);
}
END_TEST

START_TEST(texts_are_bytes_without_their_end) {
    struct sy_intern intern;

    sy_intern_init(&intern);
    ck_assert_uint_eq(sy_intern_put_text(&intern, ""), 0);
    ck_assert_uint_eq(sy_intern_put_text(&intern, "a"), 1);
    ck_assert_uint_eq(sy_intern_put(&intern, "a", 1), 1);
    ck_assert_uint_eq(sy_intern_put(&intern, "a", 2), 2);
    ck_assert_str_eq(sy_intern_text(&intern, 1), "a");
    sy_intern_fini(&intern);
    ck_assert_uint_eq(intern.count, 0);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("intern");

    tcase_add_test(tcase, equal_strings_have_one_number);
    tcase_add_test(tcase, texts_are_bytes_without_their_end);
    return suite_run(tcase, "intern", 60);
}
