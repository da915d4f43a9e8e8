/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   keys and values come out as text or JSON, nested, escaped, and whole at any length.
 * Method: every form written to a buffer and compared; texts of each length about the size of the
 *         printer's own line.
 */
#include "ctl/print.h"
#include "tests/support/suite.h"

#include <string.h>

enum { OUT_BYTES = 8192, LONGEST_BYTES = 1100 };

static char out[OUT_BYTES];
static size_t out_bytes;

static void keep(void *opaque, const char *text) {
    const size_t text_bytes = strlen(text);

    ck_assert_ptr_eq(opaque, out);
    ck_assert_uint_lt(out_bytes + text_bytes, sizeof(out));
    memcpy(out + out_bytes, text, text_bytes + 1);
    out_bytes += text_bytes;
}

static struct ct_printer start(bool is_json) {
    out[0] = '\0';
    out_bytes = 0;
    return (struct ct_printer){.write = keep, .opaque = out, .is_json = is_json};
}

static void put_all(struct ct_printer *printer) {
    ct_print_open(printer, "all", false);
    ct_print_u64(printer, "most", UINT64_MAX);
    ct_print_i64(printer, "least", INT64_MIN);
    ct_print_open(printer, "list", true);
    ct_print_u64(printer, NULL, 0);
    ct_print_bool(printer, NULL, true);
    ct_print_close(printer, true);
    ct_print_open(printer, "none", true);
    ct_print_close(printer, true);
    ct_print_bool(printer, "is", false);
    ct_print_close(printer, false);
    ct_print_str(printer, "last", "x");
}

START_TEST(json_nests) {
    struct ct_printer printer = start(true);

    put_all(&printer);
    ck_assert_str_eq(out, "\n\"all\": {"
                          "\n\t\"most\": 18446744073709551615,"
                          "\n\t\"least\": -9223372036854775808,"
                          "\n\t\"list\": ["
                          "\n\t\t0,"
                          "\n\t\ttrue"
                          "\n\t],"
                          "\n\t\"none\": ["
                          "\n\t],"
                          "\n\t\"is\": false"
                          "\n},"
                          "\n\"last\": \"x\"");
    ck_assert_uint_eq(printer.depth, 0);
}
END_TEST

START_TEST(text_nests) {
    struct ct_printer printer = start(false);

    put_all(&printer);
    ck_assert_str_eq(out, "all: \n"
                          "  most: 18446744073709551615\n"
                          "  least: -9223372036854775808\n"
                          "  list: \n"
                          "    - 0\n"
                          "    - true\n"
                          "  none: \n"
                          "  is: false\n"
                          "last: \"x\"\n");
    ck_assert_uint_eq(printer.depth, 0);
}
END_TEST

START_TEST(strings_are_escaped) {
    struct ct_printer printer = start(true);

    ct_print_str(&printer, "k", "a\"b\\c\n\t\x01 d\x7f\xc3\xa9");
    ck_assert_str_eq(out, "\n\"k\": \"a\\\"b\\\\c d\x7f\xc3\xa9\"");
    printer = start(true);
    ct_print_str(&printer, NULL, "");
    ck_assert_str_eq(out, "\n\"\"");
}
END_TEST

/* Lengths about one and two of the printer's lines; each character plain, or two of them. */
START_TEST(strings_of_any_length_are_whole) {
    static const char kinds[] = {'x', '"', '\\'};

    for (size_t len_bytes = 0; len_bytes < LONGEST_BYTES; len_bytes++) {
        for (size_t kind = 0; kind < sizeof(kinds); kind++) {
            const bool is_escaped = kinds[kind] != 'x';
            char value[LONGEST_BYTES];
            char wanted[3 + 2 * LONGEST_BYTES];
            size_t wanted_bytes = 0;
            struct ct_printer printer = start(true);
            memset(value, kinds[kind], len_bytes);
            value[len_bytes] = '\0';
            wanted[wanted_bytes++] = '\n';
            wanted[wanted_bytes++] = '"';
            for (size_t at = 0; at < len_bytes; at++) {
                wanted[wanted_bytes] = '\\';
                wanted[wanted_bytes + is_escaped] = kinds[kind];
                wanted_bytes += 1 + is_escaped;
            }
            wanted[wanted_bytes++] = '"';
            ct_print_str(&printer, NULL, value);
            ck_assert_uint_eq(out_bytes, wanted_bytes);
            ck_assert_int_eq(memcmp(out, wanted, wanted_bytes), 0);
        }
    }
}
END_TEST

START_TEST(sixteen_levels_fit) {
    enum { LEVELS = 15 }; /* and the value in the innermost */
    struct ct_printer printer = start(true);

    for (int level = 0; level < LEVELS; level++) {
        ct_print_open(&printer, level % 2 == 0 ? "k" : NULL, level % 2 == 0);
    }
    ct_print_u64(&printer, "v", 7);
    ck_assert_ptr_nonnull(strstr(out, "\n\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\"v\": 7"));
    for (int level = LEVELS; level-- > 0;) {
        ct_print_close(&printer, level % 2 == 0);
    }
    ck_assert_uint_eq(printer.depth, 0);
    ck_assert_str_eq(out + out_bytes - 5, "\n\t}\n]");
}
END_TEST

static unsigned said_count;

static void say(void *opaque, const char *text) {
    ck_assert_ptr_eq(opaque, &said_count);
    ck_assert_str_eq(text, "word");
    said_count++;
}

START_TEST(without_a_callback_it_goes_to_malloc_message) {
    struct ct_printer printer = {.opaque = &said_count};

    said_count = 0;
    malloc_message = say;
    ct_print_text(&printer, "word");
    malloc_message = NULL;
    ck_assert_uint_eq(said_count, 1);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("print");

    tcase_add_test(tcase, json_nests);
    tcase_add_test(tcase, text_nests);
    tcase_add_test(tcase, strings_are_escaped);
    tcase_add_test(tcase, strings_of_any_length_are_whole);
    tcase_add_test(tcase, sixteen_levels_fit);
    tcase_add_test(tcase, without_a_callback_it_goes_to_malloc_message);
    return suite_run(tcase, "print", 20);
}
