/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi — makes a rule of an entry's row, where it has one of the handful of forms that compilers
 * write; what is in none of them is PF_STEP_OTHER.
 */
#include "prof/cfi.h"

#include "prof/cfi_expression.h"
#include "prof/cfi_program.h"

#include <string.h>

static const struct pf_rule other = {.step = PF_STEP_OTHER};

static bool is_small(int64_t offset) {
    return offset == (int32_t)offset;
}

/* Where the CFA is. PF_STEP_OTHER: nowhere a rule can say. */
static struct pf_rule cfa_rule(const struct pf_cfi_row *row, uintptr_t address) {
    struct pf_cfi_term term = {row->cfa_register == PF_DWARF_RSP ? PF_CFI_OF_RSP : PF_CFI_OF_RBP,
                               false, row->cfa_offset};

    if (row->is_cfa_expression) {
        if (!pf_cfi_expression(row->cfa_expression, address, &term)) {
            return other;
        }
    } else if (row->cfa_register != PF_DWARF_RSP && row->cfa_register != PF_DWARF_RBP) {
        return other;
    }
    if (!is_small(term.number) || term.base == PF_CFI_NUMBER ||
        (term.is_deref && term.base != PF_CFI_OF_RBP)) {
        return other;
    }
    return (struct pf_rule){
        .step = term.is_deref                ? PF_STEP_RBP_DEREF
                : term.base == PF_CFI_OF_RSP ? PF_STEP_RSP
                                             : PF_STEP_RBP,
        .cfa_offset = (int32_t)term.number,
    };
}

/* Adds to `rule` where rbp is. False: nowhere a rule can say. */
static bool add_rbp(struct pf_rule *rule, const struct pf_cfi_row *row, uintptr_t address) {
    struct pf_cfi_term term = {PF_CFI_OF_RBP, false, row->rbp.offset};

    switch (row->rbp.how) {
    case PF_CFI_SAME:
    case PF_CFI_UNDEFINED:
        rule->rbp = PF_SAVED_SAME;
        return true;
    case PF_CFI_AT_CFA:
        rule->rbp = PF_SAVED_AT_CFA;
        break;
    case PF_CFI_EXPRESSION:
        rule->rbp = PF_SAVED_AT_RBP;
        if (!pf_cfi_expression(row->rbp.expression, address, &term) || term.base != PF_CFI_OF_RBP ||
            term.is_deref) {
            return false;
        }
        break;
    case PF_CFI_ODD:
    default:
        return false;
    }
    rule->rbp_offset = (int32_t)term.number;
    return is_small(term.number);
}

static struct pf_rule rule_of(const struct pf_cfi_row *row, uintptr_t address) {
    if (row->is_odd) {
        return other;
    }
    if (row->ra.how == PF_CFI_UNDEFINED) {
        return (struct pf_rule){.step = PF_STEP_END};
    }
    struct pf_rule rule = cfa_rule(row, address);
    if (row->ra.how != PF_CFI_AT_CFA || row->ra.offset != -(int64_t)sizeof(uintptr_t) ||
        !add_rbp(&rule, row, address)) {
        return other;
    }
    return rule;
}

/* mov $15, %rax; syscall: rt_sigreturn, which finds the registers where the kernel left them. */
static struct pf_rule signal_rule(const struct pf_object *object, uintptr_t address) {
    static const uint8_t code[] = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};
    const uintptr_t start = address + 1; /* a return address less one, just before it */

    return object->high - start >= sizeof(code) &&
                   memcmp((const void *)start, code, sizeof(code)) == 0
               ? (struct pf_rule){.step = PF_STEP_SIGNAL}
               : other;
}

struct pf_rule pf_cfi_rule(const struct pf_object *object, uintptr_t address) {
    struct pf_cfi_entry entry;

    switch (pf_cfi_entry_find(&entry, object, address)) {
    case PF_CFI_ENTRY_FOUND:
        break;
    case PF_CFI_ENTRY_NONE:
        return (struct pf_rule){.step = PF_STEP_NONE};
    case PF_CFI_ENTRY_OTHER:
    default:
        return other;
    }
    if (entry.is_signal) {
        return signal_rule(object, address);
    }
    const struct pf_cfi_row row = pf_cfi_program_run(&entry, address);
    return rule_of(&row, address);
}
