/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi — how to step from an address to its caller, worked out from the call frame information that
 * every object carries for exceptions (.eh_frame).
 *
 * Owns:    nothing: it reads what the loader mapped.
 * Threads: any, and signal handlers: no lock, no memory, no system call.
 * Fails:   PF_STEP_OTHER: something rarer than a walk needs; another unwinder must do it.
 * Source:  DWARF 5, 6.4.
 */
#ifndef PF_CFI_H
#define PF_CFI_H

#include "prof/cfi_entry.h"

/* Where the canonical frame address (CFA) is: the stack pointer as the caller will have it. */
enum pf_step {
    PF_STEP_NONE,      /* no information here: hand-written code, or made at run time */
    PF_STEP_END,       /* the outermost frame: there is no caller */
    PF_STEP_RSP,       /* rsp + cfa_offset */
    PF_STEP_RBP,       /* rbp + cfa_offset */
    PF_STEP_RBP_DEREF, /* what lies at rbp + cfa_offset: a function that realigned its stack */
    PF_STEP_SIGNAL,    /* a signal's return code: the interrupted registers lie at rsp */
    PF_STEP_OTHER,
};

/* Where the caller's rbp is. */
enum pf_saved { PF_SAVED_SAME, PF_SAVED_AT_CFA, PF_SAVED_AT_RBP };

/* The return address is always the word below the CFA. */
struct pf_rule {
    enum pf_step step;
    enum pf_saved rbp;
    int32_t cfa_offset;
    int32_t rbp_offset; /* from the CFA, or from rbp */
};

/* The rule at `address`, which is in `object`. For a caller that is the return address less one:
 * a call may be the last instruction of its function.
 */
struct pf_rule pf_cfi_rule(const struct pf_object *object, uintptr_t address);

#endif
