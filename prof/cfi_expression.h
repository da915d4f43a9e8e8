/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi_expression — what the expressions of call frame information come to, where that can be said
 * without running the program: PLT stubs and functions that realign their stack.
 *
 * Owns:    nothing.
 * Threads: any, and signal handlers: no lock, no memory, no system call.
 * Fails:   false: not one of the forms of struct pf_cfi_term.
 * Source:  DWARF 5, 2.5 and 7.7.1.
 */
#ifndef PF_CFI_EXPRESSION_H
#define PF_CFI_EXPRESSION_H

#include "prof/dwarf.h"

/* A number, or what a register holds and a number; `is_deref`: what lies in memory there. */
struct pf_cfi_term {
    enum { PF_CFI_NUMBER, PF_CFI_OF_RSP, PF_CFI_OF_RBP } base;
    bool is_deref;
    int64_t number;
};

/* `address`: what the register of the return address stands for: where the frame is. */
bool pf_cfi_expression(struct pf_dwarf from, uintptr_t address, struct pf_cfi_term *result);

#endif
