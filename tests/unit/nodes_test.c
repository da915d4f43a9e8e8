/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the whole table of rows is one that names can be looked up in, each row says what it is
 *         and can do what its access promises, and opt.* shows the options as they stand.
 * Method: every row and every option; options are set in the process and read through mallctl.
 */
#include "ctl/nodes.h"

#include "alloc/malloc.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>

/* Bytes of the first `depth` components; 0: it has fewer. */
static size_t prefix_bytes(const char *path, size_t depth) {
    const char *at = path;

    for (size_t component = 0; component < depth; component++) {
        if (*at == '\0') {
            return 0;
        }
        at += *at == '.' && component > 0;
        at += strcspn(at, ".");
    }
    return (size_t)(at - path);
}

static bool begins_with(const char *path, const char *prefix, size_t bytes) {
    return strncmp(path, prefix, bytes) == 0 && (path[bytes] == '.' || path[bytes] == '\0');
}

START_TEST(paths_are_unique_and_sorted) {
    ck_assert_uint_gt(ct_node_count(), 300);
    for (size_t idx = 1; idx < ct_node_count(); idx++) {
        const char *const path = ct_node_at(idx)->path;
        ck_assert_msg(strcmp(ct_node_at(idx - 1)->path, path) < 0, "%s", path);
        /* No name is the beginning of another one. */
        const char *const before = ct_node_at(idx - 1)->path;
        ck_assert_msg(!begins_with(path, before, strlen(before)), "%s", path);
    }
}
END_TEST

/* A MIB's number is the first row with the same beginning: such rows must be neighbours. */
START_TEST(rows_that_begin_alike_are_neighbours) {
    for (size_t idx = 1; idx < ct_node_count(); idx++) {
        const char *const path = ct_node_at(idx)->path;
        for (size_t depth = 1; prefix_bytes(path, depth) != 0 && depth <= CT_MIB_MAX; depth++) {
            const size_t bytes = prefix_bytes(path, depth);
            if (begins_with(ct_node_at(idx - 1)->path, path, bytes)) {
                continue;
            }
            for (size_t other = 0; other + 1 < idx; other++) {
                ck_assert_msg(!begins_with(ct_node_at(other)->path, path, bytes), "%s and %s",
                              ct_node_at(other)->path, path);
            }
        }
    }
}
END_TEST

START_TEST(rows_say_what_they_are) {
    for (size_t idx = 0; idx < ct_node_count(); idx++) {
        const struct ct_node *const node = ct_node_at(idx);
        ck_assert_msg(node->help != NULL && strlen(node->help) > 8, "%s", node->path);
        ck_assert_msg(node->help[strlen(node->help) - 1] == '.', "%s", node->path);
    }
    for (size_t idx = 0; idx < al_option_count; idx++) {
        const struct ct_node node = ct_option_node(&al_option_rows[idx]);
        ck_assert_msg(node.help != NULL && strlen(node.help) > 8, "opt.%s", node.path);
    }
}
END_TEST

START_TEST(rows_can_do_what_their_access_promises) {
    for (size_t idx = 0; idx < ct_node_count(); idx++) {
        const struct ct_node *const node = ct_node_at(idx);
        const bool is_query = (node->access & CT_QUERY) != 0;
        ck_assert_msg((node->access & (CT_RW | CT_CALL)) != 0, "%s", node->path);
        ck_assert_msg((node->type == CT_RAW) == (node->raw != NULL), "%s", node->path);
        if (node->type == CT_RAW) {
            continue;
        }
        ck_assert_msg((node->type == CT_NONE) == ((node->access & CT_CALL) != 0), "%s", node->path);
        ck_assert_msg((node->get != NULL) == ((node->access & CT_R) != 0), "%s", node->path);
        const bool sets = (node->access & (CT_W | CT_CALL)) != 0 && !is_query;
        ck_assert_msg((node->set != NULL) == sets, "%s", node->path);
    }
}
END_TEST

static void assert_reads(const char *key, const void *want, size_t bytes) {
    char name[128];
    union ct_value value = {.u64 = ~UINT64_C(0)};
    size_t value_bytes = bytes;

    snprintf(name, sizeof(name), "opt.%s", key);
    ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == 0, "%s", name);
    ck_assert_msg(memcmp(&value, want, bytes) == 0, "%s", name);
}

static void assert_reads_text(const char *key, const char *want) {
    char name[128];
    const char *text = "?";
    size_t text_bytes = sizeof(text);

    snprintf(name, sizeof(name), "opt.%s", key);
    ck_assert_msg(mallctl(name, &text, &text_bytes, NULL, 0) == 0, "%s", name);
    ck_assert_msg((text == NULL) == (want == NULL), "%s", name);
    ck_assert_msg(want == NULL || strcmp(text, want) == 0, "%s: %s", name, text);
}

/* narenas 0 stands for a number that is found out; ratios are shown in jemalloc's fixed point. */
static bool is_shown_as_it_is(const struct al_option_row *row) {
    return row->is_node && row->check != AL_OPTION_RATIO && strcmp(row->key, "narenas") != 0;
}

START_TEST(options_are_shown_as_they_stand) {
    size_t seen_count = 0;

    for (size_t idx = 0; idx < al_option_count; idx++) {
        const struct al_option_row *const row = &al_option_rows[idx];
        const void *const field = (const char *)&al_options + row->offset_bytes;
        if (!is_shown_as_it_is(row)) {
            continue;
        }
        seen_count++;
        if (row->type == AL_OPTION_TYPE_WORD) {
            assert_reads_text(row->key, al_option_word(row, *(const uint32_t *)field));
        } else if (row->type == AL_OPTION_TYPE_TEXT) {
            assert_reads_text(row->key, *(const char *const *)field);
        } else {
            assert_reads(row->key, field, ct_type_bytes(ct_option_node(row).type));
        }
    }
    ck_assert_uint_gt(seen_count, 50);
}
END_TEST

/* Not the defaults only: a number, a truth, a word and a text that were set are what is read. */
START_TEST(options_that_were_set_are_shown) {
    const struct al_options saved = al_options;
    const bool yes = true;
    const bool no = false;
    const ssize_t decay_ms = 4711;
    const unsigned three = 3;
    const uint32_t ratio = 5 << 16 | 1 << 15; /* 5.5 */

    ck_assert(al_options_parse("test", "xmalloc:true,dirty_decay_ms:4711,narenas:3,"
                                       "zero_realloc:alloc,prof_prefix:here"));
    assert_reads("xmalloc", &yes, sizeof(yes));
    assert_reads("dirty_decay_ms", &decay_ms, sizeof(decay_ms));
    assert_reads("narenas", &three, sizeof(three));
    assert_reads_text("zero_realloc", "alloc");
    assert_reads_text("prof_prefix", "here");
    ck_assert(al_options_parse("test", "xmalloc:false"));
    assert_reads("xmalloc", &no, sizeof(no));
    al_options.hpa_dirty_mult = "5.5";
    assert_reads("hpa_dirty_mult", &ratio, sizeof(ratio));
    al_options.narenas = 0;
    unsigned count = 0;
    size_t count_bytes = sizeof(count);
    ck_assert_int_eq(mallctl("opt.narenas", &count, &count_bytes, NULL, 0), 0);
    ck_assert_uint_gt(count, 0); /* as many as there are, not the 0 that asks for them */
    al_options = saved;
}
END_TEST

START_TEST(options_without_a_node_are_not_there) {
    char name[128];

    for (size_t idx = 0; idx < al_option_count; idx++) {
        size_t mib[CT_MIB_MAX];
        size_t mib_count = CT_MIB_MAX;
        snprintf(name, sizeof(name), "opt.%s", al_option_rows[idx].key);
        ck_assert_msg(mallctlnametomib(name, mib, &mib_count) ==
                          (al_option_rows[idx].is_node ? 0 : ENOENT),
                      "%s", name);
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("nodes");

    al_free(al_malloc(1)); /* the options have been read */
    tcase_add_test(tcase, paths_are_unique_and_sorted);
    tcase_add_test(tcase, rows_that_begin_alike_are_neighbours);
    tcase_add_test(tcase, rows_say_what_they_are);
    tcase_add_test(tcase, rows_can_do_what_their_access_promises);
    tcase_add_test(tcase, options_are_shown_as_they_stand);
    tcase_add_test(tcase, options_that_were_set_are_shown);
    tcase_add_test(tcase, options_without_a_node_are_not_there);
    return suite_run(tcase, "nodes", 60);
}
