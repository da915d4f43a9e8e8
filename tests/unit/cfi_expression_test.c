/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   an expression comes to what a debugger would compute, whatever the registers hold; what
 *         cannot be said of a register and a number is refused; no byte beyond it is read.
 * Method: hand-assembled expressions, whole, cut at every byte, and random ones.
 */
#include "prof/cfi_expression.h"

#include "tests/support/guarded.h"
#include "tests/support/suite.h"

/* DWARF 5, 7.7.1; LIT and BREG take their number, a BREG's offset follows. */
#define DEREF       0x06
#define CONST1U     0x08
#define CONST1S     0x09
#define AND         0x1a
#define MINUS       0x1c
#define PLUS        0x22
#define PLUS_UCONST 0x23
#define SHL         0x24
#define GE          0x2a
#define LIT(n)      (0x30 + (n))
#define BREG(n)     (0x70 + (n))
#define RBP         PF_DWARF_RBP
#define RSP         PF_DWARF_RSP
#define RIP         PF_DWARF_RETURN_ADDRESS

enum { EXPRESSION_BYTES_MAX = 24, RANDOM_COUNT = 200000 };

static struct guarded memory;

static void make_memory(void) {
    memory = guarded_make(GUARDED_PAGE_BYTES);
}

static void free_memory(void) {
    guarded_free(&memory);
}

static bool evaluate(const uint8_t *bytes, size_t count, uintptr_t address,
                     struct pf_cfi_term *term) {
    const uint8_t *const at = guarded_put_end(&memory, bytes, count);

    return pf_cfi_expression((struct pf_dwarf){at, at + count, false}, address, term);
}

/* What every linker writes for a jump of the PLT: 8 bytes more are pushed from its byte 11 on. */
START_TEST(a_jump_of_a_plt) {
    const uint8_t bytes[] = {BREG(RSP), 8,  BREG(RIP), 0,   LIT(15), AND,
                             LIT(11),   GE, LIT(3),    SHL, PLUS};

    for (uintptr_t address = 0x401020; address < 0x401040; address++) {
        struct pf_cfi_term term;
        ck_assert(evaluate(bytes, sizeof(bytes), address, &term));
        ck_assert(term.base == PF_CFI_OF_RSP && !term.is_deref);
        ck_assert_int_eq(term.number, address % 16 >= 11 ? 16 : 8);
    }
}
END_TEST

START_TEST(a_realigned_stack) {
    const uint8_t bytes[] = {BREG(RBP), 0x78 /* -8 */, DEREF};
    struct pf_cfi_term term;

    ck_assert(evaluate(bytes, sizeof(bytes), 0, &term));
    ck_assert(term.base == PF_CFI_OF_RBP && term.is_deref);
    ck_assert_int_eq(term.number, -8);
}
END_TEST

struct row {
    uint8_t bytes[EXPRESSION_BYTES_MAX];
    size_t count;
    int base; /* -1: refused */
    bool is_deref;
    int64_t number;
};

/* The last of its bytes is never 0. */
#define BYTES(...) .bytes = {__VA_ARGS__}, .count = sizeof((const uint8_t[]){__VA_ARGS__})

static const struct row rows[] = {
    {BYTES(LIT(31)), PF_CFI_NUMBER, false, 31},
    {BYTES(CONST1U, 0xff), PF_CFI_NUMBER, false, 255},
    {BYTES(CONST1S, 0xff), PF_CFI_NUMBER, false, -1},
    {BYTES(LIT(1), PLUS_UCONST, 0x80, 0x01), PF_CFI_NUMBER, false, 129},
    {BYTES(BREG(RSP), 0x10, LIT(3), MINUS), PF_CFI_OF_RSP, false, 13},
    {BYTES(BREG(RBP), 0x10, PLUS_UCONST, 0x08), PF_CFI_OF_RBP, false, 24},
    {BYTES(BREG(RSP), 0x10, DEREF), PF_CFI_OF_RSP, true, 16},
    {BYTES(LIT(6), LIT(3), AND), PF_CFI_NUMBER, false, 2},
    {BYTES(CONST1S, 0xff, LIT(0), GE), PF_CFI_NUMBER, false, 0},
    {BYTES(LIT(1), CONST1U, 0x43, SHL), PF_CFI_NUMBER, false, 8}, /* by 67: modulo 64 */
    {BYTES(LIT(9), LIT(5)), PF_CFI_NUMBER, false, 5},             /* the top is the result */
    {BYTES(LIT(1), LIT(2), LIT(3), LIT(4), LIT(5), LIT(6), LIT(7), LIT(8)), PF_CFI_NUMBER, false,
     8},
    /* What cannot be said of one register and a number. */
    {BYTES(BREG(0), 0x01), -1, false, 0},
    {BYTES(BREG(10), 0x01), -1, false, 0},
    {BYTES(BREG(RSP), 0x01, BREG(RBP), 0x01, PLUS), -1, false, 0},
    {BYTES(LIT(1), BREG(RSP), 0x01, PLUS), -1, false, 0}, /* nobody writes it */
    {BYTES(BREG(RSP), 0x01, LIT(15), AND), -1, false, 0},
    {BYTES(LIT(15), DEREF), -1, false, 0},
    {BYTES(BREG(RSP), 0x01, DEREF, DEREF), -1, false, 0},
    {BYTES(BREG(RSP), 0x01, DEREF, PLUS_UCONST, 0x08), -1, false, 0},
    {BYTES(BREG(RSP), 0x01, LIT(1), BREG(RSP), 0x01, DEREF, PLUS), -1, false, 0},
    /* Operations that are not known, and stacks that run over or dry. */
    {BYTES(LIT(1), LIT(1), 0x21 /* or */), -1, false, 0},
    {BYTES(0x03 /* addr */, 1, 2, 3, 4, 5, 6, 7, 8), -1, false, 0},
    {BYTES(LIT(1), 0x96 /* nop */), -1, false, 0},
    {BYTES(LIT(1), LIT(2), LIT(3), LIT(4), LIT(5), LIT(6), LIT(7), LIT(8), LIT(9)), -1, false, 0},
    {BYTES(LIT(1), PLUS), -1, false, 0},
    {BYTES(DEREF), -1, false, 0},
    {BYTES(PLUS_UCONST, 0x01), -1, false, 0},
};

START_TEST(each_operation_and_each_refusal) {
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(rows); idx++) {
        const struct row *const row = &rows[idx];
        struct pf_cfi_term term;
        const bool is_known = evaluate(row->bytes, row->count, 0, &term);
        ck_assert_msg(is_known == (row->base >= 0), "row %zu", idx);
        if (is_known) {
            ck_assert_msg((int)term.base == row->base && term.is_deref == row->is_deref &&
                              term.number == row->number,
                          "row %zu: base %d, number %lld", idx, (int)term.base,
                          (long long)term.number);
        }
    }
}
END_TEST

START_TEST(nothing_is_refused) {
    struct pf_cfi_term term;

    ck_assert(!evaluate(NULL, 0, 0, &term));
}
END_TEST

/* Each operand that is cut off is missed. */
START_TEST(cut_operands_are_refused) {
    const uint8_t bytes[][3] = {
        {BREG(RSP), 0x80}, {LIT(1), CONST1U}, {LIT(1), CONST1S}, {LIT(1), PLUS_UCONST, 0x80}};
    const size_t counts[] = {2, 2, 2, 3};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(counts); idx++) {
        struct pf_cfi_term term;
        ck_assert_msg(!evaluate(bytes[idx], counts[idx], 0, &term), "row %zu", idx);
    }
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(rows); idx++) {
        for (size_t count = 0; count < rows[idx].count; count++) {
            struct pf_cfi_term term;
            (void)evaluate(rows[idx].bytes, count, 0, &term);
        }
    }
}
END_TEST

/* Sums wrap: sanitizers watch. */
START_TEST(sums_wrap) {
    const uint8_t bytes[] = {BREG(RIP), 0x01, PLUS_UCONST, 0xff,        0xff, 0xff,
                             0xff,      0xff, 0xff,        0xff,        0xff, 0x7f,
                             CONST1S,   0x80, MINUS,       PLUS_UCONST, 0x7f};
    struct pf_cfi_term term;

    ck_assert(evaluate(bytes, sizeof(bytes), UINTPTR_MAX, &term));
    ck_assert(term.base == PF_CFI_NUMBER);
    ck_assert_int_eq(term.number, INT64_MIN + 128 + 127 - 1);
}
END_TEST

/* Mostly operations that are known, so that deep stacks come about. */
START_TEST(random_expressions_read_nothing_else) {
    static const uint8_t known[] = {DEREF,  CONST1U,     CONST1S,  AND, MINUS,
                                    PLUS,   PLUS_UCONST, SHL,      GE,  LIT(1),
                                    LIT(9), BREG(RSP),   BREG(RBP)};
    uint64_t state = suite_seed(2);
    size_t known_count = 0;

    for (int round = 0; round < RANDOM_COUNT; round++) {
        uint8_t bytes[EXPRESSION_BYTES_MAX];
        const size_t count = suite_random(&state) % (sizeof(bytes) + 1);
        struct pf_cfi_term term;
        for (size_t idx = 0; idx < count; idx++) {
            const uint64_t random = suite_random(&state) >> 8;
            bytes[idx] =
                random % 8 == 0 ? (uint8_t)(random >> 8) : known[(random >> 8) % sizeof(known)];
        }
        if (evaluate(bytes, count, (uintptr_t)suite_random(&state), &term)) {
            ck_assert(term.base == PF_CFI_NUMBER || term.base == PF_CFI_OF_RSP ||
                      term.base == PF_CFI_OF_RBP);
            ck_assert(!term.is_deref || term.base != PF_CFI_NUMBER);
            known_count++;
        }
    }
    ck_assert_uint_gt(known_count, 0);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("cfi_expression");

    tcase_add_checked_fixture(tcase, make_memory, free_memory);
    tcase_add_test(tcase, a_jump_of_a_plt);
    tcase_add_test(tcase, a_realigned_stack);
    tcase_add_test(tcase, each_operation_and_each_refusal);
    tcase_add_test(tcase, nothing_is_refused);
    tcase_add_test(tcase, cut_operands_are_refused);
    tcase_add_test(tcase, sums_wrap);
    tcase_add_test(tcase, random_expressions_read_nothing_else);
    return suite_run(tcase, "cfi_expression", 60);
}
