/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   an address's entry is found wherever it lies in its function and nowhere else; a form
 *         that is not known is refused; whatever the bytes say, nothing outside the object is read.
 * Method: objects assembled by hand, with pages on both sides that cannot be read; each field of
 *         them bent on purpose, then all of them at random.
 */
#include "prof/cfi_entry.h"

#include "tests/support/eh_frame.h"
#include "tests/support/suite.h"

enum { RANDOM_COUNT = 100000, CHANGES_MAX = 4 };

static const uint8_t nops[] = {0, 0, 0};

/* With a hole from 0x140 to 0x180, and nothing before 0x100. */
static const struct eh_frame_function functions[] = {
    {0x100, 0x40, nops, 1},
    {0x180, 0x80, nops, 2},
    {0x200, 0x01, nops, 3},
};

static struct eh_frame made;

static void make(const struct eh_frame_common *common) {
    const struct eh_frame_common usual = {0};

    eh_frame_make(&made, common != NULL ? common : &usual, functions, AL_ARRAY_COUNT(functions));
}

static enum pf_cfi_found find(struct pf_cfi_entry *entry, uint32_t offset) {
    return pf_cfi_entry_find(entry, &made.object, made.code + offset);
}

/* The found of an address that has an entry, after something was bent. */
static enum pf_cfi_found find_any(void) {
    struct pf_cfi_entry entry;

    return find(&entry, functions[0].offset);
}

START_TEST(every_address_finds_its_own_entry) {
    make(NULL);
    for (uint32_t offset = 0; offset < 0x300; offset++) {
        struct pf_cfi_entry entry;
        const struct eh_frame_function *own = NULL;
        for (size_t idx = 0; idx < AL_ARRAY_COUNT(functions); idx++) {
            own = offset - functions[idx].offset < functions[idx].bytes ? &functions[idx] : own;
        }
        const enum pf_cfi_found found = find(&entry, offset);
        ck_assert_msg(found == (own != NULL ? PF_CFI_ENTRY_FOUND : PF_CFI_ENTRY_NONE), "offset %#x",
                      offset);
        if (own != NULL) {
            ck_assert_uint_eq(entry.start, made.code + own->offset);
            ck_assert_uint_eq(entry.bytes, own->bytes);
            ck_assert_int_eq(entry.program.end - entry.program.at, (long)own->program_bytes);
            ck_assert_int_eq(entry.common.end - entry.common.at, 5);
            ck_assert(!entry.program.is_bad && !entry.common.is_bad && !entry.is_signal);
            ck_assert_uint_eq(entry.code_align, 1);
            ck_assert_int_eq(entry.data_align, -8);
        }
    }
    eh_frame_free(&made);
}
END_TEST

START_TEST(an_object_of_no_functions_has_no_entries) {
    const struct eh_frame_common usual = {0};

    eh_frame_make(&made, &usual, functions, 0);
    ck_assert_int_eq(find_any(), PF_CFI_ENTRY_NONE);
    eh_frame_free(&made);
}
END_TEST

START_TEST(augmentations_that_are_known) {
    const uint8_t zplr[] = {PF_DWARF_PCREL | PF_DWARF_SDATA4, 1, 2, 3, 4, PF_DWARF_UDATA4,
                            PF_DWARF_PCREL | PF_DWARF_SDATA4};
    const uint8_t zr[] = {PF_DWARF_PCREL | PF_DWARF_SDATA4};
    const struct eh_frame_common rows[] = {
        {.letters = "zPLR", .data = zplr, .data_bytes = sizeof(zplr)},
        {.letters = "zRS", .data = zr, .data_bytes = sizeof(zr)},
        {.letters = "zRB", .data = zr, .data_bytes = sizeof(zr)},
        {.letters = "zR", .version = 3},
        {.letters = "", .encoding = PF_DWARF_UDATA8},
        {.letters = "z", .data = zr, .data_bytes = 0, .encoding = PF_DWARF_UDATA8},
    };

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(rows); idx++) {
        struct pf_cfi_entry entry;
        make(&rows[idx]);
        ck_assert_msg(find(&entry, functions[1].offset) == PF_CFI_ENTRY_FOUND, "row %zu", idx);
        ck_assert_uint_eq(entry.start, made.code + functions[1].offset);
        ck_assert_int_eq(entry.is_signal,
                         rows[idx].letters[0] == 'z' && strchr(rows[idx].letters, 'S') != NULL);
        ck_assert_int_eq(entry.program.end - entry.program.at, 2);
        eh_frame_free(&made);
    }
}
END_TEST

START_TEST(addresses_in_every_form) {
    static const uint8_t encodings[] = {
        PF_DWARF_ABSOLUTE,
        PF_DWARF_UDATA8,
        PF_DWARF_SDATA8,
        PF_DWARF_PCREL | PF_DWARF_SDATA8,
        PF_DWARF_PCREL | PF_DWARF_SDATA4,
    };

    for (size_t idx = 0; idx < sizeof(encodings); idx++) {
        struct pf_cfi_entry entry;
        const struct eh_frame_common common = {.data = &encodings[idx],
                                               .data_bytes = 1,
                                               .encoding = encodings[idx] != 0 ? encodings[idx]
                                                                               : PF_DWARF_UDATA8};
        make(&common);
        ck_assert_msg(find(&entry, functions[2].offset) == PF_CFI_ENTRY_FOUND, "row %zu", idx);
        ck_assert_uint_eq(entry.start, made.code + functions[2].offset);
        ck_assert_uint_eq(entry.bytes, functions[2].bytes);
        eh_frame_free(&made);
    }
}
END_TEST

START_TEST(entries_of_another_form_are_refused) {
    const uint8_t leb_pointer[] = {0x01}, omitted[] = {0xff}, indirect[] = {0x9b};
    const uint8_t data[] = {PF_DWARF_PCREL | PF_DWARF_SDATA4, 0, 0, 0};
    const struct eh_frame_common rows[] = {
        {.version = 2},
        {.version = 4},
        {.return_register = PF_DWARF_RSP},
        {.letters = "eh"},
        {.letters = "R"},
        {.letters = "zRX", .data = data, .data_bytes = sizeof(data)},
        {.letters = "zRP", .data = data, .data_bytes = 2},
        {.letters = "zRL", .data = data, .data_bytes = 1},
        {.data = leb_pointer, .data_bytes = 1},
        {.data = omitted, .data_bytes = 1},
        {.data = indirect, .data_bytes = 1},
    };

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(rows); idx++) {
        make(&rows[idx]);
        ck_assert_msg(find_any() == PF_CFI_ENTRY_OTHER, "row %zu", idx);
        eh_frame_free(&made);
    }
}
END_TEST

START_TEST(a_header_of_another_form_is_refused) {
    make(NULL);
    for (size_t idx = 0; idx < 4; idx++) {
        made.header[idx] ^= 2;
        ck_assert_msg(find_any() == PF_CFI_ENTRY_OTHER, "byte %zu", idx);
        made.header[idx] ^= 2;
    }
    ck_assert_int_eq(find_any(), PF_CFI_ENTRY_FOUND);
    made.object.header = NULL;
    ck_assert_int_eq(find_any(), PF_CFI_ENTRY_OTHER);
    eh_frame_free(&made);
}
END_TEST

static void put_u32(uint8_t *at, uint32_t value) {
    memcpy(at, &value, sizeof(value));
}

/* Each length and distance that leads out of the object. */
START_TEST(what_leads_out_of_the_object_is_refused) {
    static const uint32_t values[] = {0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, 0x10000};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(values); idx++) {
        make(NULL);
        put_u32(made.header + 8, values[idx]); /* how many rows */
        ck_assert_msg(find_any() == PF_CFI_ENTRY_OTHER, "count %#x", values[idx]);
        eh_frame_free(&made);
        make(NULL);
        put_u32(made.header + EH_FRAME_HEADER_BYTES + 4, values[idx]); /* where the entry is */
        ck_assert_msg(find_any() != PF_CFI_ENTRY_FOUND, "row %#x", values[idx]);
        eh_frame_free(&made);
        make(NULL);
        put_u32(made.entries[0], values[idx]); /* its length */
        ck_assert_msg(find_any() == PF_CFI_ENTRY_OTHER, "length %#x", values[idx]);
        eh_frame_free(&made);
        make(NULL);
        put_u32(made.entries[0] + 4, values[idx]); /* its CIE */
        ck_assert_msg(find_any() == PF_CFI_ENTRY_OTHER, "distance %#x", values[idx]);
        eh_frame_free(&made);
        make(NULL);
        put_u32(made.common, values[idx]); /* the CIE's length */
        ck_assert_msg(find_any() == PF_CFI_ENTRY_OTHER, "CIE of %#x", values[idx]);
        eh_frame_free(&made);
    }
}
END_TEST

START_TEST(a_cie_is_no_entry_and_an_entry_no_cie) {
    make(NULL);
    put_u32(made.header + EH_FRAME_HEADER_BYTES + 4, (uint32_t)(made.common - made.header));
    ck_assert_int_eq(find_any(), PF_CFI_ENTRY_OTHER);
    eh_frame_free(&made);
    make(NULL);
    put_u32(made.entries[1] + 4, (uint32_t)(made.entries[1] + 4 - made.entries[0]));
    struct pf_cfi_entry entry;
    ck_assert_int_eq(find(&entry, functions[1].offset), PF_CFI_ENTRY_OTHER);
    eh_frame_free(&made);
}
END_TEST

START_TEST(records_that_are_cut_are_refused) {
    make(NULL);
    const size_t bytes = (size_t)(made.memory.high - made.entries[2]) - sizeof(uint32_t);
    eh_frame_free(&made);
    for (size_t cut = 0; cut + sizeof(nops) < bytes; cut++) {
        struct pf_cfi_entry entry;
        make(NULL);
        put_u32(made.entries[2], (uint32_t)cut);
        ck_assert_msg(find(&entry, functions[2].offset) == PF_CFI_ENTRY_OTHER, "%zu bytes", cut);
        eh_frame_free(&made);
    }
}
END_TEST

/* An object whose last bytes are missing: the loader maps whole pages, a damaged file fewer. */
START_TEST(objects_that_end_early_are_refused_or_read_within) {
    make(NULL);
    const uintptr_t end = made.object.high;
    for (uintptr_t high = made.code + functions[0].offset + 1; high < end; high++) {
        struct pf_cfi_entry entry;
        made.object.high = high;
        const enum pf_cfi_found found = find(&entry, functions[0].offset);
        if (found == PF_CFI_ENTRY_FOUND) {
            ck_assert_uint_le((uintptr_t)entry.program.end, high);
            ck_assert_uint_le((uintptr_t)entry.common.end, high);
        }
    }
    eh_frame_free(&made);
}
END_TEST

static void change(uint64_t *state) {
    uint8_t *const low = made.header;
    const size_t bytes = (size_t)(made.memory.high - low);

    for (uint64_t left = 1 + suite_random(state) % CHANGES_MAX; left > 0; left--) {
        low[(suite_random(state) >> 8) % bytes] = (uint8_t)(suite_random(state) >> 8);
    }
}

START_TEST(random_damage_reads_nothing_else) {
    uint64_t state = suite_seed(4);
    uint8_t good[1024];
    int counts[3] = {0};

    make(NULL);
    const size_t bytes = (size_t)(made.memory.high - made.header);
    ck_assert_uint_le(bytes, sizeof(good));
    memcpy(good, made.header, bytes);
    for (int round = 0; round < RANDOM_COUNT; round++) {
        struct pf_cfi_entry entry;
        const uint32_t offset = (uint32_t)(suite_random(&state) >> 8) % 0x300;
        change(&state);
        const enum pf_cfi_found found = find(&entry, offset);
        counts[found]++;
        if (found == PF_CFI_ENTRY_FOUND) {
            ck_assert(made.code + offset - entry.start < entry.bytes);
            ck_assert(entry.program.at <= entry.program.end && !entry.program.is_bad);
            ck_assert((uintptr_t)entry.program.at >= made.object.low);
            ck_assert((uintptr_t)entry.program.end <= made.object.high);
            ck_assert((uintptr_t)entry.common.at >= made.object.low);
            ck_assert((uintptr_t)entry.common.end <= made.object.high);
        }
        memcpy(made.header, good, bytes);
    }
    ck_assert(counts[0] > 0 && counts[1] > 0 && counts[2] > 0);
    eh_frame_free(&made);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("cfi_entry");

    tcase_add_test(tcase, every_address_finds_its_own_entry);
    tcase_add_test(tcase, an_object_of_no_functions_has_no_entries);
    tcase_add_test(tcase, augmentations_that_are_known);
    tcase_add_test(tcase, addresses_in_every_form);
    tcase_add_test(tcase, entries_of_another_form_are_refused);
    tcase_add_test(tcase, a_header_of_another_form_is_refused);
    tcase_add_test(tcase, what_leads_out_of_the_object_is_refused);
    tcase_add_test(tcase, a_cie_is_no_entry_and_an_entry_no_cie);
    tcase_add_test(tcase, records_that_are_cut_are_refused);
    tcase_add_test(tcase, objects_that_end_early_are_refused_or_read_within);
    tcase_add_test(tcase, random_damage_reads_nothing_else);
    return suite_run(tcase, "cfi_entry", 60);
}
