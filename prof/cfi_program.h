/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi_program — runs the instructions of an entry up to an address.
 *
 * Owns:    nothing.
 * Threads: any, and signal handlers: no lock, no memory, no system call.
 * Fails:   `is_odd`: an instruction that is not known, or more remembered rows than are kept.
 * Source:  DWARF 5, 6.4.2 and 7.24, and two instructions of GNU's.
 */
#ifndef PF_CFI_PROGRAM_H
#define PF_CFI_PROGRAM_H

#include "prof/cfi_entry.h"

/* Where a register of the caller's is. */
struct pf_cfi_saved {
    enum {
        PF_CFI_SAME,       /* where it was */
        PF_CFI_AT_CFA,     /* in memory, at CFA + offset */
        PF_CFI_EXPRESSION, /* in memory, where the expression says */
        PF_CFI_UNDEFINED,
        PF_CFI_ODD, /* anywhere else */
    } how;
    int64_t offset;
    struct pf_dwarf expression;
};

/* Where the canonical frame address is, and what was saved beside it. */
struct pf_cfi_row {
    uint64_t cfa_register;
    int64_t cfa_offset;
    struct pf_dwarf cfa_expression;
    bool is_cfa_expression; /* then register and offset say nothing */
    struct pf_cfi_saved rbp, ra;
    bool is_odd; /* nothing else here holds: the stack pointer is not the CFA, or it was too much */
};

/* The row that holds at `address`, which is in the entry. */
struct pf_cfi_row pf_cfi_program_run(const struct pf_cfi_entry *entry, uintptr_t address);

#endif
