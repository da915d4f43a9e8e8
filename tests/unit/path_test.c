/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a name, whole or in part, becomes a MIB and back the row it names; what is no name is
 * refused. Method: every row there is; MIBs with every single number changed; short MIBs; names cut
 * and extended at each place.
 */
#include "ctl/path.h"

#include "alloc/control.h"
#include "alloc/options.h"
#include "ctl/nodes.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

/* The row's name with 0 for each index; false: it has an index that is never valid. */
static bool name_of(size_t row, char name[160]) {
    const char *path = ct_node_at(row)->path;
    char *to = name;

    for (; *path != '\0'; path++) {
        const bool is_index = path[0] == '<' && path[2] == '>';
        *to++ = is_index ? '0' : *path;
        path += is_index ? 2 : 0;
    }
    *to = '\0';
    return strncmp(name, "prof.stats.", 11) != 0;
}

static const struct ct_node *find(const size_t *mib, size_t mib_count) {
    static struct ct_node made;
    const struct ct_node *node = NULL;
    struct ct_args args;

    return ct_path_find(mib, mib_count, &args, &node, &made) == 0 ? node : NULL;
}

START_TEST(every_row_is_found_by_its_name) {
    char name[160];

    for (size_t row = 0; row < ct_node_count(); row++) {
        size_t mib[CT_MIB_MAX];
        size_t mib_count = CT_MIB_MAX;
        if (!name_of(row, name)) {
            ck_assert_int_eq(ct_path_to_mib(name, mib, &mib_count), ENOENT);
            continue;
        }
        ck_assert_msg(ct_path_to_mib(name, mib, &mib_count) == 0, "%s", name);
        ck_assert_msg(find(mib, mib_count) == ct_node_at(row), "%s", name);
        for (size_t shorter = 0; shorter < mib_count; shorter++) {
            ck_assert_ptr_null(find(mib, shorter));
        }
        mib[mib_count] = 0;
        ck_assert(mib_count == CT_MIB_MAX || find(mib, mib_count + 1) == NULL);
    }
}
END_TEST

/* Another number is another row, or none, and never the same one, but for indexes. */
START_TEST(a_wrong_number_finds_no_wrong_row) {
    static const size_t wrong[] = {0, 1, 17, 400, 5000, SIZE_MAX};
    char name[160];

    for (size_t row = 0; row < ct_node_count(); row++) {
        size_t mib[CT_MIB_MAX];
        size_t mib_count = CT_MIB_MAX;
        if (!name_of(row, name) || strpbrk(ct_node_at(row)->path, "<") != NULL) {
            continue;
        }
        ck_assert_int_eq(ct_path_to_mib(name, mib, &mib_count), 0);
        for (size_t at = 0; at < mib_count; at++) {
            for (size_t idx = 0; idx < AL_ARRAY_COUNT(wrong); idx++) {
                size_t changed[CT_MIB_MAX];
                memcpy(changed, mib, sizeof(changed));
                changed[at] = wrong[idx];
                const struct ct_node *const node = find(changed, mib_count);
                ck_assert_msg(wrong[idx] == mib[at] || node != ct_node_at(row), "%s", name);
            }
        }
    }
}
END_TEST

START_TEST(beginnings_give_beginnings) {
    size_t whole[CT_MIB_MAX];
    size_t part[CT_MIB_MAX];
    size_t whole_count = CT_MIB_MAX;
    size_t part_count = CT_MIB_MAX;

    ck_assert_int_eq(ct_path_to_mib("stats.arenas.0.bins.3.mutex.num_ops", whole, &whole_count), 0);
    ck_assert_uint_eq(whole_count, 7);
    ck_assert_uint_eq(whole[2], 0);
    ck_assert_uint_eq(whole[4], 3);
    ck_assert_int_eq(ct_path_to_mib("stats.arenas.0.bins", part, &part_count), 0);
    ck_assert_uint_eq(part_count, 4);
    ck_assert_mem_eq(part, whole, 4 * sizeof(size_t));
    part_count = 2; /* room for two */
    memset(part, 0xff, sizeof(part));
    ck_assert_int_eq(ct_path_to_mib("stats.arenas.0.bins.3.mutex.num_ops", part, &part_count), 0);
    ck_assert_uint_eq(part_count, 2);
    ck_assert_mem_eq(part, whole, 2 * sizeof(size_t));
    ck_assert_uint_eq(part[2], SIZE_MAX);
}
END_TEST

START_TEST(names_cut_or_extended_are_none) {
    char name[160];

    for (size_t row = 0; row < ct_node_count(); row++) {
        size_t mib[CT_MIB_MAX];
        size_t mib_count = CT_MIB_MAX;
        if (!name_of(row, name)) {
            continue;
        }
        const size_t name_bytes = strlen(name);
        strcpy(name + name_bytes, ".x");
        ck_assert_int_eq(ct_path_to_mib(name, mib, &mib_count), ENOENT);
        strcpy(name + name_bytes, ".");
        ck_assert_int_eq(ct_path_to_mib(name, mib, &mib_count), ENOENT);
        strcpy(name + name_bytes, "~");
        ck_assert_int_eq(ct_path_to_mib(name, mib, &mib_count), ENOENT);
    }
}
END_TEST

START_TEST(options_have_names_of_their_own) {
    size_t mib[CT_MIB_MAX];
    size_t mib_count = CT_MIB_MAX;
    char name[160];

    for (size_t idx = 0; idx < al_option_count; idx++) {
        snprintf(name, sizeof(name), "opt.%s", al_option_rows[idx].key);
        mib_count = CT_MIB_MAX;
        const int err = ct_path_to_mib(name, mib, &mib_count);
        ck_assert_msg(err == (al_option_rows[idx].is_node ? 0 : ENOENT), "%s", name);
        if (err == 0) {
            ck_assert_str_eq(find(mib, mib_count)->path, al_option_rows[idx].key);
        }
    }
    mib_count = CT_MIB_MAX;
    ck_assert_int_eq(ct_path_to_mib("opt.malloc_conf.env_var", mib, &mib_count), 0);
    ck_assert_uint_eq(mib_count, 3);
    mib_count = CT_MIB_MAX;
    ck_assert_int_eq(ct_path_to_mib("opt", mib, &mib_count), 0);
    ck_assert_ptr_null(find(mib, mib_count));
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("path");

    al_init();
    tcase_add_test(tcase, every_row_is_found_by_its_name);
    tcase_add_test(tcase, a_wrong_number_finds_no_wrong_row);
    tcase_add_test(tcase, beginnings_give_beginnings);
    tcase_add_test(tcase, names_cut_or_extended_are_none);
    tcase_add_test(tcase, options_have_names_of_their_own);
    return suite_run(tcase, "path", 60);
}
