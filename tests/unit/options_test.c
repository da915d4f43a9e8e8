/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   MALLOC_CONF is read as jemalloc reads it: keys, types, ranges, prefixes, and the exact
 *         words of each complaint, which scripts look for.
 * Method: tables of strings; the complaints in a child, whole.
 */
#include "alloc/options.h"
#include "tests/support/dies.h"
#include "tests/support/suite.h"

#include <string.h>

/* Debug builds abort at the first complaint unless told not to. */
static void start(void) {
    al_options_reset();
    al_options.abort_conf = false;
}

static void parse(const char *conf) {
    start();
    ck_assert_msg(al_options_parse("test", conf), "not valid: %s", conf);
}

START_TEST(valid_strings_set_what_they_say) {
    parse("prof:true,lg_prof_sample:12,prof_prefix:/tmp/a.b");
    ck_assert(al_options.prof);
    ck_assert_uint_eq(al_options.lg_prof_sample, 12);
    ck_assert_str_eq(al_options.prof_prefix, "/tmp/a.b");
    parse("narenas:0x10,dirty_decay_ms:-1,tcache:false");
    ck_assert_uint_eq(al_options.narenas, 16);
    ck_assert_int_eq(al_options.dirty_decay_ms, -1);
    ck_assert(!al_options.tcache);
    parse("narenas:010"); /* octal, as strtoumax reads it */
    ck_assert_uint_eq(al_options.narenas, 8);
    parse("lg_prof_interval:-1,prof_accum:true,prof_final:true,prof_leak:true");
    ck_assert_int_eq(al_options.lg_prof_interval, -1);
    ck_assert(al_options.prof_accum && al_options.prof_final && al_options.prof_leak);
    parse("zero_realloc:abort");
    parse("metadata_thp:auto,dss:primary,thp:never,percpu_arena:percpu");
    parse("");
}
END_TEST

START_TEST(the_later_of_two_wins) {
    parse("lg_prof_sample:3,lg_prof_sample:4");
    ck_assert_uint_eq(al_options.lg_prof_sample, 4);
}
END_TEST

/* Each row, with its own default, its smallest and its largest value. */
START_TEST(every_key_takes_a_value_of_its_type) {
    char conf[256];

    for (size_t idx = 0; idx < al_option_count; idx++) {
        const struct al_option_row *const row = &al_option_rows[idx];
        switch (row->type) {
        case AL_OPTION_TYPE_BOOL:
            snprintf(conf, sizeof(conf), "%s:true", row->key);
            break;
        case AL_OPTION_TYPE_WORD:
            snprintf(conf, sizeof(conf), "%s:%s", row->key, al_option_word(row, 0));
            break;
        case AL_OPTION_TYPE_TEXT:
            snprintf(conf, sizeof(conf), "%s:%s", row->key,
                     row->check == AL_OPTION_RATIO  ? "0.5"
                     : row->check == AL_OPTION_LIST ? "1-16:2"
                                                    : "J");
            break;
        case AL_OPTION_TYPE_SSIZE:
        case AL_OPTION_TYPE_I64:
            snprintf(conf, sizeof(conf), "%s:%lld", row->key, (long long)row->max_signed);
            break;
        default:
            snprintf(conf, sizeof(conf), "%s:%llu", row->key,
                     (unsigned long long)row->min_unsigned);
            break;
        }
        parse(conf);
    }
}
END_TEST

static const char *conf_of_child;

static void parse_in_child(void) {
    start();
    (void)al_options_parse("test", conf_of_child);
}

static const struct {
    const char *conf;
    const char *words;
} complaints[] = {
    {"nonsense:true", "<jemalloc>: Invalid conf pair: nonsense:true\n"},
    {"prof:maybe", "<jemalloc>: Invalid conf value: prof:maybe\n"},
    {"prof:True", "<jemalloc>: Invalid conf value: prof:True\n"},
    {"lg_prof_sample:x", "<jemalloc>: Invalid conf value: lg_prof_sample:x\n"},
    {"lg_prof_interval:64", "<jemalloc>: Out-of-range conf value: lg_prof_interval:64\n"},
    {"zero_realloc:maybe", "<jemalloc>: Invalid conf value: zero_realloc:maybe\n"},
    {"dirty_decay_ms:-2", "<jemalloc>: Out-of-range conf value: dirty_decay_ms:-2\n"},
};

START_TEST(each_complaint_has_its_words) {
    conf_of_child = complaints[_i].conf;
    assert_ends(parse_in_child, 0, complaints[_i].words);
}
END_TEST

START_TEST(a_bad_pair_spoils_no_other) {
    start();
    ck_assert(!al_options_parse("test", "lg_prof_sample:7,nonsense:1,tcache:false"));
    ck_assert_uint_eq(al_options.lg_prof_sample, 7);
    ck_assert(!al_options.tcache);
}
END_TEST

START_TEST(broken_strings_end_without_harm) {
    static const char *const broken[] = {"prof",  "prof:true,", ",",     "prof:true,,tcache:true",
                                         ":true", "prof true",  "a:b,c", "prof:true,narenas"};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(broken); idx++) {
        start();
        ck_assert_msg(!al_options_parse("test", broken[idx]), "accepted: %s", broken[idx]);
    }
}
END_TEST

START_TEST(keys_are_sorted_into_no_two_alike) {
    for (size_t a = 0; a < al_option_count; a++) {
        ck_assert_uint_gt(strlen(al_option_rows[a].help), 8);
        for (size_t b = a + 1; b < al_option_count; b++) {
            ck_assert_str_ne(al_option_rows[a].key, al_option_rows[b].key);
        }
    }
    ck_assert_uint_ge(al_option_count, 90);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("options");

    tcase_add_test(tcase, valid_strings_set_what_they_say);
    tcase_add_test(tcase, the_later_of_two_wins);
    tcase_add_test(tcase, every_key_takes_a_value_of_its_type);
    tcase_add_loop_test(tcase, each_complaint_has_its_words, 0, (int)AL_ARRAY_COUNT(complaints));
    tcase_add_test(tcase, a_bad_pair_spoils_no_other);
    tcase_add_test(tcase, broken_strings_end_without_harm);
    tcase_add_test(tcase, keys_are_sorted_into_no_two_alike);
    return suite_run(tcase, "options", 30);
}
