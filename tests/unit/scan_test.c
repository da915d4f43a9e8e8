/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   each step takes what it says, and one that fails leaves the scan where it was; none
 *         reads a byte past the end.
 * Method: tables of texts; the text lies at the end of a heap block of its own length, so that
 *         a sanitizer sees the byte behind it.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/scan.h"

#include <string.h>

/* A scan over a block that ends where the text does; free it by the pointer returned. */
static char *scan_of(struct sy_scan *scan, const char *text) {
    const size_t text_bytes = strlen(text);
    char *const block = malloc(text_bytes + (text_bytes == 0));

    ck_assert_ptr_nonnull(block);
    memcpy(block, text, text_bytes);
    *scan = (struct sy_scan){.at = block, .end = block + text_bytes};
    return block;
}

START_TEST(numbers_are_taken_whole_or_not_at_all) {
    static const struct {
        const char *text;
        bool is_hex;
        bool is_taken;
        uint64_t value;
        size_t left_bytes;
    } rows[] = {
        {"0", false, true, 0, 0},
        {"18446744073709551615 ", false, true, UINT64_MAX, 1},
        {"18446744073709551616", false, false, 0, 20},
        {"99999999999999999999999999", false, false, 0, 26},
        {"-1", false, false, 0, 2},
        {"", false, false, 0, 0},
        {" 1", false, false, 0, 2},
        {"12ab", false, true, 12, 2},
        {"0x12ab", true, true, 0x12ab, 0},
        {"ffffffffffffffff", true, true, UINT64_MAX, 0},
        {"0xFFFFFFFFFFFFFFFF:", true, true, UINT64_MAX, 1},
        {"10000000000000000", true, false, 0, 17},
        {"0x", true, false, 0, 2},
        {"0xg", true, false, 0, 3},
        {"", true, false, 0, 0},
    };

    for (size_t i = 0; i < SY_ARRAY_COUNT(rows); i++) {
        struct sy_scan scan;
        uint64_t value = 0;
        char *const block = scan_of(&scan, rows[i].text);
        const bool is_taken =
            rows[i].is_hex ? sy_scan_hex(&scan, &value) : sy_scan_decimal(&scan, &value);
        ck_assert_msg(is_taken == rows[i].is_taken, "\"%s\"", rows[i].text);
        ck_assert_msg(!is_taken || value == rows[i].value, "\"%s\"", rows[i].text);
        ck_assert_uint_eq((size_t)(scan.end - scan.at), rows[i].left_bytes);
        free(block);
    }
}
END_TEST

START_TEST(lines_are_what_is_between_newlines) {
    static const char *const want[] = {"one", "", "two"};
    struct sy_scan rest;
    struct sy_scan line;
    char *const block = scan_of(&rest, "one\n\ntwo");

    for (size_t i = 0; i < SY_ARRAY_COUNT(want); i++) {
        ck_assert(sy_scan_line(&rest, &line));
        ck_assert_uint_eq((size_t)(line.end - line.at), strlen(want[i]));
        ck_assert_mem_eq(line.at, want[i], strlen(want[i]));
    }
    ck_assert(!sy_scan_line(&rest, &line));
    free(block);
}
END_TEST

START_TEST(a_newline_at_the_end_begins_no_line) {
    struct sy_scan rest;
    struct sy_scan line;
    char *const block = scan_of(&rest, "\n");

    ck_assert(sy_scan_line(&rest, &line));
    ck_assert_ptr_eq(line.at, line.end);
    ck_assert(!sy_scan_line(&rest, &line));
    free(block);
}
END_TEST

START_TEST(words_end_at_blanks_and_tabs) {
    struct sy_scan scan;
    struct sy_scan word;
    char *const block = scan_of(&scan, " \ta  bc\t");

    ck_assert(sy_scan_word(&scan, &word));
    ck_assert_int_eq(word.end - word.at, 1);
    ck_assert(sy_scan_word(&scan, &word));
    ck_assert_int_eq(word.end - word.at, 2);
    const char *const before = scan.at;
    ck_assert(!sy_scan_word(&scan, &word));
    ck_assert_ptr_eq(scan.at, before);
    sy_scan_blanks(&scan);
    ck_assert_ptr_eq(scan.at, scan.end);
    free(block);
}
END_TEST

START_TEST(a_text_longer_than_the_rest_is_not_there) {
    struct sy_scan scan;
    char *const block = scan_of(&scan, "heap_v");

    ck_assert(!sy_scan_text(&scan, "heap_v2/"));
    ck_assert(!sy_scan_text(&scan, "heap-"));
    ck_assert(sy_scan_text(&scan, ""));
    ck_assert(sy_scan_text(&scan, "heap"));
    ck_assert_int_eq(scan.end - scan.at, 2);
    free(block);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("scan");

    tcase_add_test(tcase, numbers_are_taken_whole_or_not_at_all);
    tcase_add_test(tcase, lines_are_what_is_between_newlines);
    tcase_add_test(tcase, a_newline_at_the_end_begins_no_line);
    tcase_add_test(tcase, words_end_at_blanks_and_tabs);
    tcase_add_test(tcase, a_text_longer_than_the_rest_is_not_there);
    return suite_run(tcase, "scan", 30);
}
