/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the row at an address is what the instructions before it say, for every instruction there
 *         is; one that is not known makes the row odd; no byte beyond the program is read.
 * Method: hand-assembled programs: a row for each instruction, a function's rows at each of its
 *         addresses, every program cut at every byte, and random ones.
 */
#include "prof/cfi_program.h"

#include "tests/support/guarded.h"
#include "tests/support/suite.h"

/* DWARF 5, 7.24; the first three take an operand in their low six bits. */
#define ADVANCE(n)          (0x40 + (n))
#define OFFSET(reg)         (0x80 + (reg))
#define RESTORE(reg)        (0xc0 + (reg))
#define NOP                 0x00
#define SET_LOC             0x01
#define ADVANCE1            0x02
#define ADVANCE2            0x03
#define ADVANCE4            0x04
#define OFFSET_EXTENDED     0x05
#define RESTORE_EXTENDED    0x06
#define UNDEFINED           0x07
#define SAME_VALUE          0x08
#define REGISTER            0x09
#define REMEMBER            0x0a
#define RECALL              0x0b
#define DEF_CFA             0x0c
#define DEF_CFA_REGISTER    0x0d
#define DEF_CFA_OFFSET      0x0e
#define DEF_CFA_EXPRESSION  0x0f
#define EXPRESSION          0x10
#define OFFSET_EXTENDED_SF  0x11
#define DEF_CFA_SF          0x12
#define DEF_CFA_OFFSET_SF   0x13
#define VAL_OFFSET          0x14
#define VAL_OFFSET_SF       0x15
#define VAL_EXPRESSION      0x16
#define GNU_ARGS_SIZE       0x2e
#define GNU_NEGATIVE_OFFSET 0x2f
#define RBX                 3
#define RBP                 PF_DWARF_RBP
#define RSP                 PF_DWARF_RSP
#define RIP                 PF_DWARF_RETURN_ADDRESS

enum {
    PROGRAM_BYTES_MAX = 32,
    FUNCTION_BYTES = 0x40000,
    RANDOM_COUNT = 100000,
    REMEMBERED_MAX = 8,
};
static const uintptr_t start = 0x401000;

/* As gcc begins every entry: CFA = rsp + 8, the return address just below it. */
static const uint8_t usual[] = {DEF_CFA, RSP, 8, OFFSET(RIP), 1};

static struct guarded memory, common_memory;

static void make_memory(void) {
    memory = guarded_make(GUARDED_PAGE_BYTES);
    common_memory = guarded_make(GUARDED_PAGE_BYTES);
}

static void free_memory(void) {
    guarded_free(&memory);
    guarded_free(&common_memory);
}

static struct pf_dwarf put(const struct guarded *into, const uint8_t *bytes, size_t count) {
    const uint8_t *const at = guarded_put_end(into, bytes, count);

    return (struct pf_dwarf){at, at + count, false};
}

static struct pf_cfi_row run(const uint8_t *bytes, size_t count, uintptr_t address) {
    const struct pf_cfi_entry entry = {
        .start = start,
        .bytes = FUNCTION_BYTES,
        .common = put(&common_memory, usual, sizeof(usual)),
        .program = put(&memory, bytes, count),
        .code_align = 1,
        .data_align = -8,
        .pointer_encoding = PF_DWARF_UDATA4,
    };

    return pf_cfi_program_run(&entry, address);
}

struct expected {
    uint64_t cfa_register;
    int64_t cfa_offset;
    int rbp_how;
    int64_t rbp_offset;
    int ra_how;
    int64_t ra_offset;
};

static void assert_row(const struct pf_cfi_row *row, const struct expected *want,
                       const char *what) {
    ck_assert_msg(!row->is_odd, "%s: odd", what);
    ck_assert_msg(!row->is_cfa_expression && row->cfa_register == want->cfa_register &&
                      row->cfa_offset == want->cfa_offset,
                  "%s: CFA r%llu + %lld", what, (unsigned long long)row->cfa_register,
                  (long long)row->cfa_offset);
    ck_assert_msg((int)row->rbp.how == want->rbp_how &&
                      (row->rbp.how != PF_CFI_AT_CFA || row->rbp.offset == want->rbp_offset),
                  "%s: rbp %d, %lld", what, (int)row->rbp.how, (long long)row->rbp.offset);
    ck_assert_msg((int)row->ra.how == want->ra_how &&
                      (row->ra.how != PF_CFI_AT_CFA || row->ra.offset == want->ra_offset),
                  "%s: return address %d, %lld", what, (int)row->ra.how, (long long)row->ra.offset);
}

struct program {
    const char *what;
    uint8_t bytes[PROGRAM_BYTES_MAX];
    size_t count;
    struct expected want;
};

#define BYTES(...)          .bytes = {__VA_ARGS__}, .count = sizeof((const uint8_t[]){__VA_ARGS__})
#define CFA(reg, offset)    .cfa_register = (reg), .cfa_offset = (offset)
#define RBP_IS(how, offset) .rbp_how = (how), .rbp_offset = (offset)
#define RA_IS(how, offset)  .ra_how = (how), .ra_offset = (offset)
#define RA_USUAL            RA_IS(PF_CFI_AT_CFA, -8)

static const struct program programs[] = {
    {"nothing", .count = 0, .want = {CFA(RSP, 8), RA_USUAL}},
    {"nop", BYTES(NOP, NOP), .want = {CFA(RSP, 8), RA_USUAL}},
    {"def_cfa", BYTES(DEF_CFA, RBP, 0x90, 0x01), .want = {CFA(RBP, 144), RA_USUAL}},
    {"def_cfa_sf", BYTES(DEF_CFA_SF, RBX, 0x7e), .want = {CFA(RBX, 16), RA_USUAL}},
    {"def_cfa_register", BYTES(DEF_CFA_REGISTER, RBP), .want = {CFA(RBP, 8), RA_USUAL}},
    {"def_cfa_offset", BYTES(DEF_CFA_OFFSET, 0x80, 0x08), .want = {CFA(RSP, 1024), RA_USUAL}},
    {"def_cfa_offset_sf", BYTES(DEF_CFA_OFFSET_SF, 0x7d), .want = {CFA(RSP, 24), RA_USUAL}},
    {"a CFA that is an expression no longer", BYTES(DEF_CFA_EXPRESSION, 1, 0x30, DEF_CFA, RSP, 16),
     .want = {CFA(RSP, 16), RA_USUAL}},
    {"offset", BYTES(OFFSET(RBP), 2), .want = {CFA(RSP, 8), RBP_IS(PF_CFI_AT_CFA, -16), RA_USUAL}},
    {"offset_extended", BYTES(OFFSET_EXTENDED, RBP, 3),
     .want = {CFA(RSP, 8), RBP_IS(PF_CFI_AT_CFA, -24), RA_USUAL}},
    {"offset_extended_sf", BYTES(OFFSET_EXTENDED_SF, RBP, 0x7f),
     .want = {CFA(RSP, 8), RBP_IS(PF_CFI_AT_CFA, 8), RA_USUAL}},
    {"GNU_negative_offset_extended", BYTES(GNU_NEGATIVE_OFFSET, RBP, 4),
     .want = {CFA(RSP, 8), RBP_IS(PF_CFI_AT_CFA, 32), RA_USUAL}},
    {"restore", BYTES(OFFSET(RBP), 2, RESTORE(RBP)), .want = {CFA(RSP, 8), RA_USUAL}},
    {"restore_extended", BYTES(OFFSET(RBP), 2, RESTORE_EXTENDED, RBP),
     .want = {CFA(RSP, 8), RA_USUAL}},
    {"restore of the return address", BYTES(UNDEFINED, RIP, RESTORE(RIP)),
     .want = {CFA(RSP, 8), RA_USUAL}},
    {"undefined", BYTES(UNDEFINED, RIP), .want = {CFA(RSP, 8), RA_IS(PF_CFI_UNDEFINED, 0)}},
    {"same_value", BYTES(OFFSET(RBP), 2, SAME_VALUE, RBP), .want = {CFA(RSP, 8), RA_USUAL}},
    {"register", BYTES(REGISTER, RBP, RBX), .want = {CFA(RSP, 8), RBP_IS(PF_CFI_ODD, 0), RA_USUAL}},
    {"register: the return address", BYTES(REGISTER, RIP, RBX),
     .want = {CFA(RSP, 8), RA_IS(PF_CFI_ODD, 0)}},
    {"val_offset", BYTES(VAL_OFFSET, RBP, 2, DEF_CFA_OFFSET, 16),
     .want = {CFA(RSP, 16), RBP_IS(PF_CFI_ODD, 0), RA_USUAL}},
    {"val_offset_sf", BYTES(VAL_OFFSET_SF, RBP, 0x7e, DEF_CFA_OFFSET, 16),
     .want = {CFA(RSP, 16), RBP_IS(PF_CFI_ODD, 0), RA_USUAL}},
    {"val_expression", BYTES(VAL_EXPRESSION, RBP, 2, 0x77, 0x00, DEF_CFA_OFFSET, 16),
     .want = {CFA(RSP, 16), RBP_IS(PF_CFI_ODD, 0), RA_USUAL}},
    {"expression", BYTES(EXPRESSION, RBP, 2, 0x76, 0x00, DEF_CFA_OFFSET, 16),
     .want = {CFA(RSP, 16), RBP_IS(PF_CFI_EXPRESSION, 0), RA_USUAL}},
    {"other registers are read over",
     BYTES(OFFSET(RBX), 0x81, 0x01, OFFSET_EXTENDED, 0x80, 0x01, 5, EXPRESSION, 12, 1, 0x30,
           VAL_OFFSET, 13, 1, REGISTER, 14, 15, RESTORE(RBX), DEF_CFA_OFFSET, 32),
     .want = {CFA(RSP, 32), RA_USUAL}},
    {"GNU_args_size", BYTES(GNU_ARGS_SIZE, 0x80, 0x01, DEF_CFA_OFFSET, 16),
     .want = {CFA(RSP, 16), RA_USUAL}},
    {"remember, restore", BYTES(REMEMBER, DEF_CFA, RBP, 16, OFFSET(RBP), 2, RECALL),
     .want = {CFA(RSP, 8), RA_USUAL}},
    {"the innermost is restored first",
     BYTES(REMEMBER, DEF_CFA_OFFSET, 16, REMEMBER, DEF_CFA_OFFSET, 24, RECALL),
     .want = {CFA(RSP, 16), RA_USUAL}},
};

START_TEST(each_instruction) {
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(programs); idx++) {
        const struct program *const program = &programs[idx];
        const struct pf_cfi_row row = run(program->bytes, program->count, start);
        assert_row(&row, &program->want, program->what);
    }
}
END_TEST

START_TEST(expressions_are_kept_as_they_stand) {
    const uint8_t bytes[] = {DEF_CFA_EXPRESSION, 3,   0x76, 0x78, 0x06,
                             EXPRESSION,         RBP, 2,    0x76, 0x00};
    const struct pf_cfi_row row = run(bytes, sizeof(bytes), start);

    ck_assert(!row.is_odd && row.is_cfa_expression && row.rbp.how == PF_CFI_EXPRESSION);
    ck_assert_int_eq(row.cfa_expression.end - row.cfa_expression.at, 3);
    ck_assert_uint_eq(row.cfa_expression.at[0], 0x76);
    ck_assert_int_eq(row.rbp.expression.end - row.rbp.expression.at, 2);
    ck_assert_uint_eq(row.rbp.expression.at[1], 0x00);
}
END_TEST

/* From how far on an instruction holds: `bytes` advance by `distance`, then CFA = rsp + 16. */
static void assert_advance(const uint8_t *bytes, size_t count, uintptr_t distance) {
    const uint8_t then[] = {DEF_CFA_OFFSET, 16};
    uint8_t all[PROGRAM_BYTES_MAX];

    memcpy(all, bytes, count);
    memcpy(all + count, then, sizeof(then));
    ck_assert_int_eq(run(all, count + sizeof(then), start + distance - 1).cfa_offset, 8);
    ck_assert_int_eq(run(all, count + sizeof(then), start + distance).cfa_offset, 16);
    ck_assert_int_eq(run(all, count + sizeof(then), start + FUNCTION_BYTES - 1).cfa_offset, 16);
}

START_TEST(each_advance) {
    const uint8_t set_loc[] = {SET_LOC, 0x34, 0x12, 0x40, 0x00};

    assert_advance((const uint8_t[]){ADVANCE(1)}, 1, 1);
    assert_advance((const uint8_t[]){ADVANCE(0x3f)}, 1, 0x3f);
    assert_advance((const uint8_t[]){ADVANCE1, 0xff}, 2, 0xff);
    assert_advance((const uint8_t[]){ADVANCE2, 0x34, 0x12}, 3, 0x1234);
    assert_advance((const uint8_t[]){ADVANCE4, 0x56, 0x34, 0x01, 0x00}, 5, 0x13456);
    assert_advance((const uint8_t[]){ADVANCE(1), ADVANCE1, 2, ADVANCE(3)}, 4, 6);
    assert_advance(set_loc, sizeof(set_loc), 0x234);
}
END_TEST

START_TEST(advances_count_in_the_entrys_unit) {
    const uint8_t bytes[] = {ADVANCE(2), DEF_CFA_OFFSET, 16};
    const struct pf_cfi_entry entry = {
        .start = start,
        .bytes = FUNCTION_BYTES,
        .common = put(&common_memory, usual, sizeof(usual)),
        .program = put(&memory, bytes, sizeof(bytes)),
        .code_align = 4,
        .data_align = -8,
    };

    ck_assert_int_eq(pf_cfi_program_run(&entry, start + 7).cfa_offset, 8);
    ck_assert_int_eq(pf_cfi_program_run(&entry, start + 8).cfa_offset, 16);
}
END_TEST

/* push %rbp; mov %rsp, %rbp; ...; leave; ret; and a part behind the ret that has its frame still.
 */
START_TEST(a_functions_rows_at_each_address) {
    const uint8_t bytes[] = {
        ADVANCE(1), DEF_CFA_OFFSET, 16,       OFFSET(RBP), 2,   ADVANCE(3), DEF_CFA_REGISTER,
        RBP,        ADVANCE(20),    REMEMBER, DEF_CFA,     RSP, 8,          RESTORE(RBP),
        ADVANCE(1), RECALL,
    };
    const struct expected at_start = {CFA(RSP, 8), RA_USUAL};
    const struct expected pushed = {CFA(RSP, 16), RBP_IS(PF_CFI_AT_CFA, -16), RA_USUAL};
    const struct expected framed = {CFA(RBP, 16), RBP_IS(PF_CFI_AT_CFA, -16), RA_USUAL};

    for (uintptr_t offset = 0; offset < 40; offset++) {
        const struct pf_cfi_row row = run(bytes, sizeof(bytes), start + offset);
        char what[32];
        snprintf(what, sizeof(what), "byte %u", (unsigned)offset);
        assert_row(&row,
                   offset == 0 || offset == 24 ? &at_start
                   : offset < 4                ? &pushed
                                               : &framed,
                   what);
    }
}
END_TEST

START_TEST(what_is_not_known_is_odd) {
    static const uint8_t known[] = {0x2e, 0x2f};

    for (unsigned code = 0x17; code <= 0x3f; code++) {
        const uint8_t bytes[] = {(uint8_t)code, RBP, 0};
        const bool is_known = memchr(known, (int)code, sizeof(known)) != NULL;
        ck_assert_msg(run(bytes, sizeof(bytes), start).is_odd != is_known, "code %#x", code);
    }
}
END_TEST

/* The caller's stack pointer is the CFA: an entry that says otherwise is none for a walk. */
START_TEST(a_stack_pointer_of_its_own_is_odd) {
    ck_assert(run((const uint8_t[]){OFFSET(RSP), 2}, 2, start).is_odd);
    ck_assert(run((const uint8_t[]){VAL_OFFSET, RSP, 2}, 3, start).is_odd);
    ck_assert(run((const uint8_t[]){REGISTER, RSP, RBX}, 3, start).is_odd);
}
END_TEST

START_TEST(rows_are_remembered_up_to_a_bound) {
    uint8_t bytes[REMEMBERED_MAX + 1];

    memset(bytes, REMEMBER, sizeof(bytes));
    ck_assert(!run(bytes, REMEMBERED_MAX, start).is_odd);
    ck_assert(run(bytes, REMEMBERED_MAX + 1, start).is_odd);
    bytes[1] = RECALL;
    ck_assert(!run(bytes, 2, start).is_odd);
    ck_assert(run((const uint8_t[]){RECALL}, 1, start).is_odd);
    ck_assert(run((const uint8_t[]){REMEMBER, RECALL, RECALL}, 3, start).is_odd);
}
END_TEST

/* Cut between two instructions it is a shorter program; within one, odd. */
START_TEST(cut_programs_are_odd) {
    ck_assert(run((const uint8_t[]){DEF_CFA}, 1, start).is_odd);
    ck_assert(run((const uint8_t[]){DEF_CFA, RSP}, 2, start).is_odd);
    ck_assert(run((const uint8_t[]){DEF_CFA, RSP, 0x80}, 3, start).is_odd);
    ck_assert(run((const uint8_t[]){ADVANCE4, 0, 0, 0}, 4, start).is_odd);
    ck_assert(run((const uint8_t[]){OFFSET(RBP)}, 1, start).is_odd);
    ck_assert(run((const uint8_t[]){EXPRESSION, RBP, 2, 0x76}, 4, start).is_odd);
    ck_assert(run((const uint8_t[]){SET_LOC, 0, 0x10}, 3, start).is_odd);
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(programs); idx++) {
        for (size_t count = 0; count < programs[idx].count; count++) {
            (void)run(programs[idx].bytes, count, start);
        }
    }
}
END_TEST

/* Products and sums of the largest numbers wrap: sanitizers watch. */
START_TEST(huge_operands_wrap) {
    const uint8_t most[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    static const uint8_t codes[] = {OFFSET(RBP), DEF_CFA_OFFSET, DEF_CFA_OFFSET_SF,
                                    DEF_CFA_EXPRESSION, GNU_ARGS_SIZE};
    static const uint8_t codes_of_register[] = {
        OFFSET_EXTENDED, OFFSET_EXTENDED_SF, GNU_NEGATIVE_OFFSET, DEF_CFA,
        DEF_CFA_SF,      EXPRESSION,         VAL_EXPRESSION};
    uint8_t bytes[2 + sizeof(most)];

    for (size_t idx = 0; idx < sizeof(codes); idx++) {
        bytes[0] = codes[idx];
        memcpy(bytes + 1, most, sizeof(most));
        (void)run(bytes, 1 + sizeof(most), start);
    }
    for (size_t idx = 0; idx < sizeof(codes_of_register); idx++) {
        bytes[0] = codes_of_register[idx];
        bytes[1] = RBP;
        memcpy(bytes + 2, most, sizeof(most));
        (void)run(bytes, 2 + sizeof(most), start);
    }
}
END_TEST

START_TEST(random_programs_end_and_read_nothing_else) {
    uint64_t state = suite_seed(3);
    int even_count = 0;

    for (int round = 0; round < RANDOM_COUNT; round++) {
        uint8_t bytes[PROGRAM_BYTES_MAX];
        const size_t count = suite_random(&state) % (sizeof(bytes) + 1);
        for (size_t idx = 0; idx < count; idx++) {
            const uint64_t random = suite_random(&state) >> 8;
            bytes[idx] = (uint8_t)(random % 3 == 0 ? random >> 8 : (random >> 8) % 0x18);
        }
        const struct pf_cfi_row row =
            run(bytes, count, start + suite_random(&state) % FUNCTION_BYTES);
        even_count += row.is_odd ? 0 : 1;
    }
    ck_assert_int_gt(even_count, RANDOM_COUNT / 100);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("cfi_program");

    tcase_add_checked_fixture(tcase, make_memory, free_memory);
    tcase_add_test(tcase, each_instruction);
    tcase_add_test(tcase, expressions_are_kept_as_they_stand);
    tcase_add_test(tcase, each_advance);
    tcase_add_test(tcase, advances_count_in_the_entrys_unit);
    tcase_add_test(tcase, a_functions_rows_at_each_address);
    tcase_add_test(tcase, what_is_not_known_is_odd);
    tcase_add_test(tcase, a_stack_pointer_of_its_own_is_odd);
    tcase_add_test(tcase, rows_are_remembered_up_to_a_bound);
    tcase_add_test(tcase, cut_programs_are_odd);
    tcase_add_test(tcase, huge_operands_wrap);
    tcase_add_test(tcase, random_programs_end_and_read_nothing_else);
    return suite_run(tcase, "cfi_program", 60);
}
