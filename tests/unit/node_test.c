/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the rules of mallctl, each type and each kind of access: what is copied, what is refused,
 *         and what a refused call leaves as it was.
 * Method: rows made here over a value of their own; buffers with bytes around them.
 */
#include "ctl/node.h"

#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

static const struct ct_args no_args = {.path = "made"};

static union ct_value stored;
static int get_err, set_err;
static unsigned get_count, set_count;
static bool had_value;

static int get(const struct ct_args *args, union ct_value *out) {
    ck_assert_str_eq(args->path, "made");
    get_count++;
    if (get_err == 0) {
        *out = stored;
    }
    return get_err;
}

static int set(const struct ct_args *args, const union ct_value *in) {
    ck_assert_str_eq(args->path, "made");
    set_count++;
    had_value = in != NULL;
    if (set_err == 0 && in != NULL) {
        stored = *in;
    }
    return set_err;
}

static struct ct_node row(enum ct_type type, unsigned access) {
    memset(&stored, 0, sizeof(stored));
    get_err = set_err = 0;
    get_count = set_count = 0;
    had_value = false;
    return (struct ct_node){
        .path = "made", .type = type, .access = access, .get = get, .set = set, .help = "A row."};
}

static const struct {
    enum ct_type type;
    size_t bytes;
} types[] = {
    {CT_BOOL, 1}, {CT_U32, 4},  {CT_SIZE, 8},    {CT_SSIZE, 8},
    {CT_U64, 8},  {CT_TEXT, 8}, {CT_POINTER, 8},
};

START_TEST(types_have_their_sizes) {
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(types); idx++) {
        ck_assert_uint_eq(ct_type_bytes(types[idx].type), types[idx].bytes);
    }
    ck_assert_uint_eq(ct_type_bytes(CT_NONE), 0);
    ck_assert_uint_eq(ct_type_bytes(CT_RAW), 0);
}
END_TEST

/* Every length from 0 to more than any type has. */
START_TEST(reads_copy_what_fits) {
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(types); idx++) {
        const size_t type_bytes = types[idx].bytes;
        for (size_t asked_bytes = 0; asked_bytes < 12; asked_bytes++) {
            const struct ct_node node = row(types[idx].type, CT_R);
            const size_t fits_bytes = asked_bytes < type_bytes ? asked_bytes : type_bytes;
            unsigned char old[16];
            size_t old_bytes = asked_bytes;
            memset(&stored, 0x01, sizeof(stored));
            memset(old, 0xee, sizeof(old));
            ck_assert_int_eq(ct_node_call(&node, &no_args, old, &old_bytes, NULL, 0),
                             asked_bytes == type_bytes ? 0 : EINVAL);
            ck_assert_uint_eq(old_bytes, fits_bytes);
            for (size_t at = 0; at < sizeof(old); at++) {
                ck_assert_uint_eq(old[at], at < fits_bytes ? 0x01 : 0xee);
            }
        }
    }
}
END_TEST

START_TEST(writes_need_the_length_of_the_type) {
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(types); idx++) {
        for (size_t new_bytes = 0; new_bytes < 12; new_bytes++) {
            const struct ct_node node = row(types[idx].type, CT_RW);
            const bool is_right = new_bytes == types[idx].bytes;
            unsigned char new_value[16];
            memset(new_value, 0x01, sizeof(new_value));
            ck_assert_int_eq(ct_node_call(&node, &no_args, NULL, NULL, new_value, new_bytes),
                             is_right ? 0 : EINVAL);
            ck_assert_uint_eq(set_count, is_right);
            ck_assert_int_eq(memcmp(&stored, new_value, types[idx].bytes) == 0, is_right);
            if (is_right && types[idx].bytes < sizeof(stored)) { /* no more than the type */
                ck_assert_uint_eq(((unsigned char *)&stored)[types[idx].bytes], 0);
            }
        }
    }
}
END_TEST

START_TEST(access_is_checked_before_lengths) {
    const struct ct_node read_only = row(CT_U64, CT_R);
    const struct ct_node write_only = row(CT_U64, CT_W);
    uint64_t value = 5;
    size_t value_bytes = 3;

    ck_assert_int_eq(ct_node_call(&read_only, &no_args, NULL, NULL, &value, 8), EPERM);
    ck_assert_int_eq(ct_node_call(&read_only, &no_args, NULL, NULL, &value, 3), EPERM);
    ck_assert_int_eq(ct_node_call(&read_only, &no_args, NULL, NULL, NULL, 3), EPERM);
    ck_assert_int_eq(ct_node_call(&write_only, &no_args, &value, &value_bytes, NULL, 0), EPERM);
    ck_assert_uint_eq(value_bytes, 3);
    value_bytes = 8;
    ck_assert_int_eq(ct_node_call(&write_only, &no_args, &value, &value_bytes, &value, 8), EPERM);
    ck_assert_int_eq(ct_node_call(&write_only, &no_args, NULL, &value_bytes, &value, 8), EPERM);
    ck_assert_uint_eq(value, 5);
    ck_assert_uint_eq(get_count, 0);
    ck_assert_uint_eq(set_count, 0);
}
END_TEST

START_TEST(calls_take_no_arguments) {
    const struct ct_node call = row(CT_NONE, CT_CALL);
    const struct ct_node any = row(CT_NONE, CT_CALL | CT_ANY);
    uint64_t value = 5;
    size_t value_bytes = 8;

    ck_assert_int_eq(ct_node_call(&call, &no_args, &value, &value_bytes, NULL, 0), EPERM);
    ck_assert_int_eq(ct_node_call(&call, &no_args, NULL, NULL, &value, 8), EPERM);
    ck_assert_int_eq(ct_node_call(&call, &no_args, NULL, NULL, NULL, 8), EPERM);
    ck_assert_uint_eq(set_count, 0);
    ck_assert_int_eq(ct_node_call(&call, &no_args, NULL, NULL, NULL, 0), 0);
    ck_assert_int_eq(ct_node_call(&any, &no_args, &value, &value_bytes, &value, 3), 0);
    ck_assert_uint_eq(set_count, 2);
    ck_assert(!had_value);
    set_err = EFAULT;
    ck_assert_int_eq(ct_node_call(&call, &no_args, NULL, NULL, NULL, 0), EFAULT);
}
END_TEST

/* Old 1, new 2. Returns the error; what was read is in *shown. */
static int exchange(unsigned access, size_t old_bytes, uint64_t *shown) {
    const struct ct_node node = row(CT_U64, access);
    const uint64_t new_value = 2;

    stored.u64 = 1;
    *shown = 0;
    return ct_node_call(&node, &no_args, shown, &old_bytes, &new_value, sizeof(new_value));
}

START_TEST(reading_and_writing_in_one_call) {
    uint64_t shown;

    ck_assert_int_eq(exchange(CT_RW, 8, &shown), 0);
    ck_assert_uint_eq(shown, 1);
    ck_assert_uint_eq(stored.u64, 2);
    ck_assert_int_eq(exchange(CT_RW, 4, &shown), EINVAL);
    ck_assert_uint_eq(shown, 1);
    ck_assert_uint_eq(stored.u64, 1); /* left as it was */
    ck_assert_int_eq(exchange(CT_RW | CT_WRITE_ANYWAY, 4, &shown), EINVAL);
    ck_assert_uint_eq(shown, 1);
    ck_assert_uint_eq(stored.u64, 2);
    ck_assert_int_eq(exchange(CT_RW | CT_WRITE_FIRST, 8, &shown), 0);
    ck_assert_uint_eq(shown, 2);
    ck_assert_int_eq(exchange(CT_RW | CT_EITHER, 8, &shown), EPERM);
    ck_assert_uint_eq(stored.u64, 1);
    ck_assert_uint_eq(get_count + set_count, 0);
}
END_TEST

START_TEST(errors_of_functions_come_out) {
    const struct ct_node node = row(CT_U64, CT_RW);
    const uint64_t new_value = 2;
    uint64_t shown = 7;
    size_t shown_bytes = 4; /* wrong, but the function speaks first */

    get_err = EAGAIN;
    ck_assert_int_eq(ct_node_call(&node, &no_args, &shown, &shown_bytes, &new_value, 8), EAGAIN);
    ck_assert_uint_eq(shown, 7);
    ck_assert_uint_eq(shown_bytes, 4);
    ck_assert_uint_eq(set_count, 0); /* no write after a read that failed */
    get_err = 0;
    set_err = ENOENT;
    shown_bytes = 8;
    ck_assert_int_eq(ct_node_call(&node, &no_args, &shown, &shown_bytes, &new_value, 8), ENOENT);
    ck_assert_uint_eq(set_count, 1);
    set_err = 0;
    ck_assert_int_eq(ct_node_call(&node, &no_args, NULL, NULL, &new_value, 8),
                     0); /* no lock left */
}
END_TEST

START_TEST(strict_rows_do_nothing_at_a_wrong_length) {
    const struct ct_node node = row(CT_U32, CT_RW | CT_STRICT);
    uint32_t shown = 7;
    size_t shown_bytes = 8;

    ck_assert_int_eq(ct_node_call(&node, &no_args, &shown, &shown_bytes, NULL, 0), EINVAL);
    ck_assert_uint_eq(shown_bytes, 0);
    ck_assert_uint_eq(shown, 7);
    ck_assert_int_eq(ct_node_call(&node, &no_args, NULL, NULL, NULL, 0), EINVAL);
    ck_assert_uint_eq(get_count, 0);
    shown_bytes = 4;
    ck_assert_int_eq(ct_node_call(&node, &no_args, &shown, &shown_bytes, NULL, 0), 0);
    ck_assert_uint_eq(get_count, 1);
}
END_TEST

static int look_up(const struct ct_args *args, union ct_value *out) {
    if (args->query == NULL) {
        return ENOENT;
    }
    out->u32 = (uint32_t)args->query->size + 1;
    return 0;
}

/* The new value is a pointer's size, whatever the type that is read. */
START_TEST(queries_are_steered_by_the_new_value) {
    struct ct_node node = row(CT_U32, CT_RW | CT_QUERY);
    const size_t asked = 41;
    uint32_t shown = 0;
    size_t shown_bytes = 4;

    node.get = look_up;
    node.set = NULL;
    ck_assert_int_eq(ct_node_call(&node, &no_args, &shown, &shown_bytes, &asked, 8), 0);
    ck_assert_uint_eq(shown, 42);
    ck_assert_int_eq(ct_node_call(&node, &no_args, &shown, &shown_bytes, &asked, 4), EINVAL);
    ck_assert_int_eq(ct_node_call(&node, &no_args, &shown, &shown_bytes, NULL, 0), ENOENT);
}
END_TEST

static int see_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    ck_assert_str_eq(args->path, "made");
    ck_assert_uint_eq(*buffers->old_bytes, 3);
    ck_assert_uint_eq(buffers->new_bytes, 99);
    *buffers->old_bytes = 17;
    return EFAULT;
}

START_TEST(raw_rows_see_the_buffers) {
    struct ct_node node = row(CT_RAW, 0);
    char any[4] = {0};
    size_t any_bytes = 3;

    node.raw = see_raw;
    ck_assert_int_eq(ct_node_call(&node, &no_args, any, &any_bytes, any, 99), EFAULT);
    ck_assert_uint_eq(any_bytes, 17);
    node.access = CT_UNLOCKED;
    any_bytes = 3;
    ck_assert_int_eq(ct_node_call(&node, &no_args, any, &any_bytes, any, 99), EFAULT);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("node");

    tcase_add_test(tcase, types_have_their_sizes);
    tcase_add_test(tcase, reads_copy_what_fits);
    tcase_add_test(tcase, writes_need_the_length_of_the_type);
    tcase_add_test(tcase, access_is_checked_before_lengths);
    tcase_add_test(tcase, calls_take_no_arguments);
    tcase_add_test(tcase, reading_and_writing_in_one_call);
    tcase_add_test(tcase, errors_of_functions_come_out);
    tcase_add_test(tcase, strict_rows_do_nothing_at_a_wrong_length);
    tcase_add_test(tcase, queries_are_steered_by_the_new_value);
    tcase_add_test(tcase, raw_rows_see_the_buffers);
    return suite_run(tcase, "node", 20);
}
