/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   config.* tells what this build has, and nothing changes it; epoch counts refreshes.
 * Method: through mallctl; what a row claims of an option is asked of the options themselves.
 */
#include "alloc/options.h"
#include "ctl/nodes.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>

static bool read_bool(const char *name) {
    bool value = false;
    size_t value_bytes = sizeof(value);

    ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == 0, "%s", name);
    return value;
}

static uint64_t read_epoch(void) {
    uint64_t epoch = 0;
    size_t epoch_bytes = sizeof(epoch);

    ck_assert_int_eq(mallctl("epoch", &epoch, &epoch_bytes, NULL, 0), 0);
    return epoch;
}

static bool is_effective(const char *key) {
    for (size_t idx = 0; idx < al_option_count; idx++) {
        if (strcmp(al_option_rows[idx].key, key) == 0) {
            return al_option_rows[idx].is_effective;
        }
    }
    return false;
}

START_TEST(what_is_built_in_is_told) {
    static const char *const have[] = {
        "config.fill",        "config.opt_safety_checks", "config.prof",  "config.prof_frameptr",
        "config.prof_libgcc", "config.prof_libunwind",    "config.stats", "config.xmalloc",
    };
    static const char *const lack[] = {"config.cache_oblivious", "config.lazy_lock",
                                       "config.utrace"};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(have); idx++) {
        ck_assert_msg(read_bool(have[idx]), "%s", have[idx]);
    }
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(lack); idx++) {
        ck_assert_msg(!read_bool(lack[idx]), "%s", lack[idx]);
    }
    ck_assert_int_eq(read_bool("config.debug"), al_is_debug);
    const char *conf = NULL;
    size_t conf_bytes = sizeof(conf);
    ck_assert_int_eq(mallctl("config.malloc_conf", &conf, &conf_bytes, NULL, 0), 0);
    ck_assert_str_eq(conf, "");
}
END_TEST

/* A program that reads config.<x> then sets opt.<y>: the option must do what it says. */
START_TEST(options_do_what_config_says) {
    ck_assert_int_eq(read_bool("config.fill"), is_effective("junk") && is_effective("zero"));
    ck_assert_int_eq(read_bool("config.prof"), is_effective("prof"));
    ck_assert_int_eq(read_bool("config.prof_libunwind"), is_effective("prof_unwinder"));
    ck_assert_int_eq(read_bool("config.xmalloc"), is_effective("xmalloc"));
    ck_assert_int_eq(read_bool("config.utrace"), is_effective("utrace"));
}
END_TEST

START_TEST(nothing_of_it_can_be_written) {
    for (size_t idx = 0; idx < ct_nodes_config_count; idx++) {
        const struct ct_node *const node = &ct_nodes_config[idx];
        union ct_value value = {.u64 = 0};
        size_t value_bytes = ct_type_bytes(node->type);
        if (strcmp(node->path, "epoch") == 0) {
            continue;
        }
        ck_assert_int_eq(strncmp(node->path, "config.", 7), 0);
        ck_assert_int_eq(mallctl(node->path, &value, &value_bytes, NULL, 0), 0);
        const union ct_value before = value;
        value.u64 = ~value.u64;
        ck_assert_msg(ctl_write(node->path, &value, value_bytes) == EPERM, "%s", node->path);
        ck_assert_int_eq(mallctl(node->path, &value, &value_bytes, NULL, 0), 0);
        ck_assert_int_eq(memcmp(&value, &before, value_bytes), 0);
    }
}
END_TEST

START_TEST(an_epoch_is_a_refresh) {
    ctl_refresh();
    const uint64_t before = read_epoch();
    const uint64_t zero = 0;

    ck_assert_uint_eq(read_epoch(), before); /* to read is not to refresh */
    ck_assert_int_eq(ctl_write("epoch", &zero, sizeof(zero)), 0);
    ck_assert_uint_eq(read_epoch(), before + 1); /* whatever was written */
    ck_assert_int_eq(ctl_write("epoch", &zero, sizeof(uint32_t)), EINVAL);
    ck_assert_uint_eq(read_epoch(), before + 1);
    ctl_refresh();
    ck_assert_uint_eq(read_epoch(), before + 2);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("nodes_config");

    tcase_add_test(tcase, what_is_built_in_is_told);
    tcase_add_test(tcase, options_do_what_config_says);
    tcase_add_test(tcase, nothing_of_it_can_be_written);
    tcase_add_test(tcase, an_epoch_is_a_refresh);
    return suite_run(tcase, "nodes_config", 60);
}
