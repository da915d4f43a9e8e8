/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dwarf — reads DWARF's numbers out of a range of bytes.
 *
 * Owns:    nothing: it reads what the loader mapped.
 * Threads: any, and signal handlers.
 * Fails:   what is not there reads as 0, and `is_bad` says so from then on.
 * Rules:   (I1) `at` <= `end`, and no byte at or past `end` is read.
 *          (I2) `is_bad` is never taken back, and comes with `at` == `end` where bytes were
 * missing. Source:  DWARF 5, 7.6 (LEB128); the Linux Standard Base 5.0, table 10-5 (encodings of
 * pointers); the x86-64 psABI, 3.6.2 (numbers of registers).
 */
#ifndef PF_DWARF_H
#define PF_DWARF_H

#include "alloc/base.h"

struct pf_dwarf {
    const uint8_t *at, *end;
    bool is_bad;
};

/* The only registers that a walk of calls needs. */
enum { PF_DWARF_RBP = 6, PF_DWARF_RSP = 7, PF_DWARF_RETURN_ADDRESS = 16 };

/* How a pointer is written: a form, and what it counts from. */
enum {
    PF_DWARF_FORM = 0x0f,
    PF_DWARF_ABSOLUTE = 0x00,
    PF_DWARF_UDATA2 = 0x02,
    PF_DWARF_UDATA4 = 0x03,
    PF_DWARF_UDATA8 = 0x04,
    PF_DWARF_SDATA2 = 0x0a,
    PF_DWARF_SDATA4 = 0x0b,
    PF_DWARF_SDATA8 = 0x0c,
    PF_DWARF_BASE = 0x70,
    PF_DWARF_PCREL = 0x10,
    PF_DWARF_DATAREL = 0x30,
};

/* `bytes`: 1, 2, 4 or 8, little-endian. */
uint64_t pf_dwarf_fixed(struct pf_dwarf *from, size_t bytes);

uint8_t pf_dwarf_u8(struct pf_dwarf *from);
uint32_t pf_dwarf_u32(struct pf_dwarf *from);

/* Bits above the 64th are lost. */
uint64_t pf_dwarf_uleb(struct pf_dwarf *from);
int64_t pf_dwarf_sleb(struct pf_dwarf *from);

/* The bytes behind a uleb that counts them. */
struct pf_dwarf pf_dwarf_block(struct pf_dwarf *from);

/* A number of a form alone, and a pointer: of the bases only none and PF_DWARF_PCREL, the place
 * where it stands. Any other makes `from` bad.
 */
uint64_t pf_dwarf_form(struct pf_dwarf *from, uint8_t form);
uint64_t pf_dwarf_pointer(struct pf_dwarf *from, uint8_t encoding);

#endif
