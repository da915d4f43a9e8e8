/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   programs can tell which Tally this is, and which jemalloc's interface it has.
 * Method: the form of both texts, and the statistics that say them again.
 */
#include "ctl/mallctl.h"
#include "tests/support/suite.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* Past "1.20.3"; NULL: not three numbers. */
static const char *past_numbers(const char *text) {
    for (int part = 0; part < 3; part++) {
        if (part > 0 && *text++ != '.') {
            return NULL;
        }
        const char *const first = text;
        while (isdigit((unsigned char)*text)) {
            text++;
        }
        if (text == first || (*first == '0' && text != first + 1)) {
            return NULL;
        }
    }
    return text;
}

static const char *interface_version(void) {
    const char *text = NULL;
    size_t text_bytes = sizeof(const char *);

    ck_assert_int_eq(mallctl("version", (void *)&text, &text_bytes, NULL, 0), 0);
    ck_assert_uint_eq(text_bytes, sizeof(const char *));
    ck_assert_ptr_nonnull(text);
    return text;
}

START_TEST(tally_has_three_numbers) {
    const char *const rest = past_numbers(tally_version());

    ck_assert_ptr_nonnull(rest);
    ck_assert_msg(*rest == '\0' || *rest == '-', "%s", tally_version());
    ck_assert_ptr_eq(tally_version(), tally_version());
}
END_TEST

/* jemalloc's form: three numbers, a count of commits, the commit. Programs read two numbers of it.
 */
START_TEST(version_has_the_form_of_jemalloc) {
    const char *const rest = past_numbers(interface_version());

    ck_assert_ptr_nonnull(rest);
    ck_assert_msg(rest[0] == '-' && isdigit((unsigned char)rest[1]), "%s", interface_version());
    ck_assert_ptr_nonnull(strstr(rest, "-g"));
    ck_assert_int_eq(strncmp(interface_version(), "5.", 2), 0);
}
END_TEST

START_TEST(version_cannot_be_written) {
    const char *text = "9.9.9";

    ck_assert_int_eq(mallctl("version", NULL, NULL, (void *)&text, sizeof(const char *)), EPERM);
    ck_assert_str_ne(interface_version(), text);
}
END_TEST

static char printed[1 << 16];

static void keep(void *opaque, const char *text) {
    const size_t len_bytes = strlen(printed);

    (void)opaque;
    snprintf(printed + len_bytes, sizeof(printed) - len_bytes, "%s", text);
}

START_TEST(statistics_say_both) {
    char line[128];

    malloc_stats_print(keep, NULL, "J");
    snprintf(line, sizeof(line), "\"version\": \"%s\"", interface_version());
    ck_assert_ptr_nonnull(strstr(printed, line));
    snprintf(line, sizeof(line), "\"tally_version\": \"%s\"", tally_version());
    ck_assert_ptr_nonnull(strstr(printed, line));
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("version");

    tcase_add_test(tcase, tally_has_three_numbers);
    tcase_add_test(tcase, version_has_the_form_of_jemalloc);
    tcase_add_test(tcase, version_cannot_be_written);
    tcase_add_test(tcase, statistics_say_both);
    return suite_run(tcase, "version", 20);
}
