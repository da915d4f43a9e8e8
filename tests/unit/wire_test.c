/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what the encoding allows is read, what it does not is refused, at every cut.
 * Method: a table of encodings; each good one again at every shorter length, in a heap block of
 *         that length.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/wire.h"

#include <string.h>

enum { BYTES_MAX = 16 };

struct row {
    uint8_t bytes[BYTES_MAX];
    size_t byte_count;
    enum sy_wire_step step;
    uint32_t number;
    uint64_t value; /* of numbers; of bytes their count */
};

static const struct row rows[] = {
    {{0x08, 0x00}, 2, SY_WIRE_FIELD, 1, 0},
    {{0x08, 0x96, 0x01}, 3, SY_WIRE_FIELD, 1, 150},
    {{0x08, 0x80, 0x80, 0x00}, 4, SY_WIRE_FIELD, 1, 0},
    {{0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
     11,
     SY_WIRE_FIELD,
     2,
     UINT64_MAX},
    {{0x11, 1, 2, 0, 0, 0, 0, 0, 0x80}, 9, SY_WIRE_FIELD, 2, UINT64_C(0x8000000000000201)},
    {{0x1d, 1, 2, 0, 0x80}, 5, SY_WIRE_FIELD, 3, 0x80000201},
    {{0x22, 3, 'a', 0, 'b'}, 5, SY_WIRE_FIELD, 4, 3},
    {{0x22, 0}, 2, SY_WIRE_FIELD, 4, 0},
    /* The last field number there is. */
    {{0xf8, 0xff, 0xff, 0xff, 0x0f, 0x05}, 6, SY_WIRE_FIELD, (1u << 29) - 1, 5},
};

static const struct row bad_rows[] = {
    {{0x00, 0x01}, 2, SY_WIRE_BAD, 0, 0},                         /* field 0 */
    {{0x0b}, 1, SY_WIRE_BAD, 0, 0},                               /* a group */
    {{0x0c}, 1, SY_WIRE_BAD, 0, 0},                               /* a group's end */
    {{0x0e, 0}, 2, SY_WIRE_BAD, 0, 0},                            /* types that do not exist */
    {{0x0f, 0}, 2, SY_WIRE_BAD, 0, 0},                            /* … */
    {{0x80, 0x80, 0x80, 0x80, 0x10, 0}, 6, SY_WIRE_BAD, 0, 0},    /* field 2^29 */
    {{0x22, 0x80, 0x80, 0x80, 0x80, 0x08}, 6, SY_WIRE_BAD, 0, 0}, /* 2^31 bytes of none */
    {{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 11, SY_WIRE_BAD, 0, 0},
    {{0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
     12,
     SY_WIRE_BAD,
     0,
     0},
    /* A length of 2^64 - 1, which added to a pointer goes backwards. */
    {{0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 11, SY_WIRE_BAD, 0, 0},
};

/* The step for the first `byte_count` bytes. */
static enum sy_wire_step step_of(const uint8_t *bytes, size_t byte_count, struct sy_wire *wire,
                                 struct sy_wire_field *field) {
    uint8_t *const block = malloc(byte_count + (byte_count == 0));

    ck_assert_ptr_nonnull(block);
    memcpy(block, bytes, byte_count);
    *wire = (struct sy_wire){.at = block, .end = block + byte_count};
    const enum sy_wire_step step = sy_wire_next(wire, field);
    if (step == SY_WIRE_FIELD) {
        ck_assert_ptr_eq(wire->at, wire->end);
    }
    free(block);
    return step;
}

START_TEST(each_type_is_read) {
    for (size_t i = 0; i < SY_ARRAY_COUNT(rows); i++) {
        struct sy_wire wire;
        struct sy_wire_field field;
        ck_assert_int_eq(step_of(rows[i].bytes, rows[i].byte_count, &wire, &field), SY_WIRE_FIELD);
        ck_assert_uint_eq(field.number, rows[i].number);
        const uint64_t bytes_count =
            field.is_bytes ? (uint64_t)(field.bytes.end - field.bytes.at) : field.value;
        ck_assert_uint_eq(bytes_count, rows[i].value);
    }
}
END_TEST

START_TEST(a_field_that_is_cut_off_is_bad) {
    for (size_t i = 0; i < SY_ARRAY_COUNT(rows); i++) {
        for (size_t byte_count = 0; byte_count < rows[i].byte_count; byte_count++) {
            struct sy_wire wire;
            struct sy_wire_field field;
            ck_assert_int_eq(step_of(rows[i].bytes, byte_count, &wire, &field),
                             byte_count == 0 ? SY_WIRE_END : SY_WIRE_BAD);
        }
    }
}
END_TEST

START_TEST(what_the_encoding_does_not_allow_is_bad) {
    for (size_t i = 0; i < SY_ARRAY_COUNT(bad_rows); i++) {
        struct sy_wire wire;
        struct sy_wire_field field;
        ck_assert_msg(step_of(bad_rows[i].bytes, bad_rows[i].byte_count, &wire, &field) ==
                          SY_WIRE_BAD,
                      "row %zu", i);
    }
}
END_TEST

START_TEST(a_packed_list_ends_where_its_bytes_do) {
    static const uint8_t list[] = {0x01, 0x96, 0x01, 0x00};
    static const uint64_t want[] = {1, 150, 0};
    struct sy_wire wire = {.at = list, .end = list + sizeof(list)};
    uint64_t value = 0;

    for (size_t i = 0; i < SY_ARRAY_COUNT(want); i++) {
        ck_assert_int_eq(sy_wire_varint(&wire, &value), SY_WIRE_FIELD);
        ck_assert_uint_eq(value, want[i]);
    }
    ck_assert_int_eq(sy_wire_varint(&wire, &value), SY_WIRE_END);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("wire");

    tcase_add_test(tcase, each_type_is_read);
    tcase_add_test(tcase, a_field_that_is_cut_off_is_bad);
    tcase_add_test(tcase, what_the_encoding_does_not_allow_is_bad);
    tcase_add_test(tcase, a_packed_list_ends_where_its_bytes_do);
    return suite_run(tcase, "wire", 30);
}
