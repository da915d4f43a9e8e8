/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi_entry — an address's entry (FDE) in an object's .eh_frame, and what it shares with others
 * (CIE), found by the sorted table of .eh_frame_hdr.
 *
 * Owns:    nothing: it reads what the loader mapped.
 * Threads: any, and signal handlers: no lock, no memory, no system call.
 * Fails:   PF_CFI_ENTRY_OTHER: of a form that is not known here.
 * Rules:   (I1) whatever the bytes say, nothing outside the object is read.
 *          (I2) when found: `start` <= address < `start` + `bytes`.
 * Source:  the Linux Standard Base 5.0, 10.6 (.eh_frame, .eh_frame_hdr).
 */
#ifndef PF_CFI_ENTRY_H
#define PF_CFI_ENTRY_H

#include "prof/dwarf.h"

/* An object that is mapped, as _dl_find_object tells it. */
struct pf_object {
    uintptr_t low, high;   /* its addresses: [low, high) */
    const uint8_t *header; /* .eh_frame_hdr; NULL: it has none */
};

struct pf_cfi_entry {
    uintptr_t start;        /* of the function */
    uint64_t bytes;         /* of the function */
    struct pf_dwarf common; /* the CIE's instructions, and behind them the FDE's own */
    struct pf_dwarf program;
    uint64_t code_align;
    int64_t data_align;
    uint8_t pointer_encoding;
    bool is_signal;
};

enum pf_cfi_found {
    PF_CFI_ENTRY_FOUND,
    PF_CFI_ENTRY_NONE, /* the object says nothing of this address */
    PF_CFI_ENTRY_OTHER,
};

/* `address` is in `object`. Only if found is `entry` complete. */
enum pf_cfi_found pf_cfi_entry_find(struct pf_cfi_entry *entry, const struct pf_object *object,
                                    uintptr_t address);

#endif
