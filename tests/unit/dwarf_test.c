/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   numbers are read as DWARF writes them, and what is not there is never read.
 * Method: the standard's own examples, every number written and read again, and bytes that end
 *         where memory does.
 */
#include "prof/dwarf.h"

#include "tests/support/guarded.h"
#include "tests/support/suite.h"

enum { LEB_BYTES_MAX = 10, RANDOM_COUNT = 20000 };

static struct guarded memory;

static void make_memory(void) {
    memory = guarded_make(GUARDED_PAGE_BYTES);
}

static void free_memory(void) {
    guarded_free(&memory);
}

static struct pf_dwarf reader_of(const void *bytes, size_t count) {
    const uint8_t *const at = guarded_put_end(&memory, bytes, count);

    return (struct pf_dwarf){at, at + count, false};
}

static size_t write_uleb(uint8_t *out, uint64_t value) {
    size_t count = 0;

    do {
        out[count++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
    return count;
}

static size_t write_sleb(uint8_t *out, int64_t value) {
    size_t count = 0;

    for (;;) { /* until the rest is all sign */
        const uint8_t byte = (uint8_t)(value & 0x7f);
        value >>= 7;
        if ((value == 0 && (byte & 0x40) == 0) || (value == -1 && (byte & 0x40) != 0)) {
            out[count++] = byte;
            return count;
        }
        out[count++] = byte | 0x80;
    }
}

START_TEST(fixed_numbers_are_little_endian) {
    const uint8_t bytes[] = {0x81, 0x02, 0x03, 0x84, 0x05, 0x06, 0x07, 0x88};
    struct pf_dwarf from = reader_of(bytes, 8);

    ck_assert_uint_eq(pf_dwarf_fixed(&from, 8), UINT64_C(0x8807060584030281));
    ck_assert(from.at == from.end && !from.is_bad);
    from = reader_of(bytes, 8);
    ck_assert_uint_eq(pf_dwarf_u8(&from), 0x81);
    ck_assert_uint_eq(pf_dwarf_fixed(&from, 2), 0x0302);
    ck_assert_uint_eq(pf_dwarf_u32(&from), 0x07060584);
    ck_assert(from.at == from.end - 1 && !from.is_bad);
}
END_TEST

/* DWARF 5, figures 22 and 23. */
START_TEST(leb_examples_of_the_standard) {
    static const struct {
        uint8_t bytes[2];
        uint8_t count;
        bool is_signed;
        int64_t value;
    } rows[] = {
        {{0x02}, 1, false, 2},           {{0x7f}, 1, false, 127},
        {{0x80, 0x01}, 2, false, 128},   {{0x81, 0x01}, 2, false, 129},
        {{0xb9, 0x64}, 2, false, 12857}, {{0x02}, 1, true, 2},
        {{0x7e}, 1, true, -2},           {{0xff, 0x00}, 2, true, 127},
        {{0x81, 0x7f}, 2, true, -127},   {{0x80, 0x01}, 2, true, 128},
        {{0x80, 0x7f}, 2, true, -128},   {{0x81, 0x01}, 2, true, 129},
        {{0xff, 0x7e}, 2, true, -129},
    };

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(rows); idx++) {
        struct pf_dwarf from = reader_of(rows[idx].bytes, rows[idx].count);
        const int64_t value =
            rows[idx].is_signed ? pf_dwarf_sleb(&from) : (int64_t)pf_dwarf_uleb(&from);
        ck_assert_msg(value == rows[idx].value && from.at == from.end && !from.is_bad,
                      "row %zu: %lld", idx, (long long)value);
    }
}
END_TEST

static void read_back(uint64_t value) {
    uint8_t bytes[LEB_BYTES_MAX + 1];
    struct pf_dwarf from = reader_of(bytes, write_uleb(bytes, value));

    ck_assert_uint_eq(pf_dwarf_uleb(&from), value);
    ck_assert(from.at == from.end && !from.is_bad);
    from = reader_of(bytes, write_sleb(bytes, (int64_t)value));
    ck_assert_int_eq(pf_dwarf_sleb(&from), (int64_t)value);
    ck_assert(from.at == from.end && !from.is_bad);
}

START_TEST(every_leb_that_is_written_is_read) {
    uint64_t state = suite_seed(1);

    for (unsigned bit = 0; bit < 64; bit++) {
        read_back(UINT64_C(1) << bit);
        read_back((UINT64_C(1) << bit) - 1);
        read_back(0 - (UINT64_C(1) << bit));
    }
    for (int round = 0; round < RANDOM_COUNT; round++) {
        read_back(suite_random(&state) >> (suite_random(&state) % 64));
    }
}
END_TEST

/* A linker may pad a number, and bits above the 64th are lost. */
START_TEST(leb_may_be_longer_than_it_must) {
    uint8_t bytes[64];
    struct pf_dwarf from;

    memset(bytes, 0x80, sizeof(bytes));
    bytes[0] = 0x85;
    bytes[sizeof(bytes) - 1] = 0x00;
    from = reader_of(bytes, sizeof(bytes));
    ck_assert_uint_eq(pf_dwarf_uleb(&from), 5);
    ck_assert(from.at == from.end && !from.is_bad);
    memset(bytes, 0xff, sizeof(bytes));
    bytes[sizeof(bytes) - 1] = 0x7f;
    from = reader_of(bytes, sizeof(bytes));
    ck_assert_uint_eq(pf_dwarf_uleb(&from), UINT64_MAX);
    from = reader_of(bytes, sizeof(bytes));
    ck_assert_int_eq(pf_dwarf_sleb(&from), -1);
    ck_assert(from.at == from.end && !from.is_bad);
}
END_TEST

START_TEST(what_is_missing_is_bad_and_stays_so) {
    uint8_t bytes[LEB_BYTES_MAX];

    memset(bytes, 0xff, sizeof(bytes));
    for (size_t count = 0; count < sizeof(bytes); count++) {
        struct pf_dwarf from = reader_of(bytes, count);
        (void)pf_dwarf_uleb(&from);
        ck_assert(from.is_bad && from.at == from.end);
        from = reader_of(bytes, count);
        (void)pf_dwarf_sleb(&from);
        ck_assert(from.is_bad && from.at == from.end);
        from = reader_of(bytes, count < 8 ? count : 7);
        ck_assert_uint_eq(pf_dwarf_fixed(&from, 8), 0);
        ck_assert(from.is_bad && from.at == from.end);
        ck_assert_uint_eq(pf_dwarf_u8(&from), 0);
        ck_assert(from.is_bad);
    }
}
END_TEST

START_TEST(a_block_is_what_its_count_says) {
    const uint8_t bytes[] = {3, 'a', 'b', 'c', 'd'};
    struct pf_dwarf from = reader_of(bytes, sizeof(bytes));
    const struct pf_dwarf block = pf_dwarf_block(&from);

    ck_assert(block.end - block.at == 3 && *block.at == 'a' && !block.is_bad);
    ck_assert_uint_eq(pf_dwarf_u8(&from), 'd');
    ck_assert(!from.is_bad);
    from = reader_of(bytes, 3); /* says three, has two */
    const struct pf_dwarf cut = pf_dwarf_block(&from);
    ck_assert(cut.at == cut.end && from.is_bad && from.at == from.end);
    const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0};
    from = reader_of(huge, sizeof(huge));
    const struct pf_dwarf beyond = pf_dwarf_block(&from);
    ck_assert(beyond.at == beyond.end && from.is_bad);
}
END_TEST

START_TEST(pointers_in_every_form) {
    static const struct {
        uint8_t form;
        uint8_t count;
        uint64_t value;
    } rows[] = {
        {PF_DWARF_ABSOLUTE, 8, UINT64_C(0xfffefdfcfbfaf9f8)},
        {PF_DWARF_UDATA2, 2, 0xf9f8},
        {PF_DWARF_UDATA4, 4, 0xfbfaf9f8},
        {PF_DWARF_UDATA8, 8, UINT64_C(0xfffefdfcfbfaf9f8)},
        {PF_DWARF_SDATA2, 2, UINT64_C(0xfffffffffffff9f8)},
        {PF_DWARF_SDATA4, 4, UINT64_C(0xfffffffffbfaf9f8)},
        {PF_DWARF_SDATA8, 8, UINT64_C(0xfffefdfcfbfaf9f8)},
    };
    const uint8_t bytes[] = {0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(rows); idx++) {
        struct pf_dwarf from = reader_of(bytes, rows[idx].count);
        const uintptr_t place = (uintptr_t)from.at;
        ck_assert_uint_eq(pf_dwarf_form(&from, rows[idx].form), rows[idx].value);
        ck_assert(from.at == from.end && !from.is_bad);
        from = reader_of(bytes, rows[idx].count);
        ck_assert_uint_eq(pf_dwarf_pointer(&from, rows[idx].form), rows[idx].value);
        from = reader_of(bytes, rows[idx].count);
        ck_assert_uint_eq(pf_dwarf_pointer(&from, rows[idx].form | PF_DWARF_PCREL),
                          place + rows[idx].value);
        ck_assert(from.at == from.end && !from.is_bad);
    }
}
END_TEST

/* Forms and bases that there are, and that need what is not at hand here. */
START_TEST(pointers_of_other_encodings_are_bad) {
    const uint8_t bytes[16] = {0};

    for (unsigned encoding = 0; encoding < 0x100; encoding++) {
        const unsigned form = encoding & PF_DWARF_FORM;
        const unsigned base = encoding & ~(unsigned)PF_DWARF_FORM;
        const bool is_known =
            (form == 0 || (form >= 2 && form <= 4) || (form >= 10 && form <= 12)) &&
            (base == 0 || base == PF_DWARF_PCREL);
        struct pf_dwarf from = reader_of(bytes, sizeof(bytes));
        (void)pf_dwarf_pointer(&from, (uint8_t)encoding);
        ck_assert_msg(from.is_bad != is_known, "encoding %#x", encoding);
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("dwarf");

    tcase_add_checked_fixture(tcase, make_memory, free_memory);
    tcase_add_test(tcase, fixed_numbers_are_little_endian);
    tcase_add_test(tcase, leb_examples_of_the_standard);
    tcase_add_test(tcase, every_leb_that_is_written_is_read);
    tcase_add_test(tcase, leb_may_be_longer_than_it_must);
    tcase_add_test(tcase, what_is_missing_is_bad_and_stays_so);
    tcase_add_test(tcase, a_block_is_what_its_count_says);
    tcase_add_test(tcase, pointers_in_every_form);
    tcase_add_test(tcase, pointers_of_other_encodings_are_bad);
    return suite_run(tcase, "dwarf", 60);
}
