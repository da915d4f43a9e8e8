/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dwarf — a reader that remembers that it was bad, so that whoever reads ten numbers asks once.
 */
#include "prof/dwarf.h"

enum { LEB_BITS = 7, LEB_SHIFT_MAX = 63, LEB_MORE = 0x80, LEB_SIGN = 0x40, LEB_MASK = 0x7f };

static bool has(struct pf_dwarf *from, size_t bytes) {
    AL_ASSERT(from->at <= from->end);
    if ((size_t)(from->end - from->at) < bytes) {
        from->is_bad = true;
        from->at = from->end;
        return false;
    }
    return true;
}

uint64_t pf_dwarf_fixed(struct pf_dwarf *from, size_t bytes) {
    AL_ASSERT(bytes == 1 || bytes == 2 || bytes == 4 || bytes == sizeof(uint64_t));
    uint64_t value = 0;

    if (has(from, bytes)) {
        for (size_t idx = 0; idx < bytes; idx++) {
            value |= (uint64_t)*from->at++ << (8 * idx);
        }
    }
    return value;
}

uint8_t pf_dwarf_u8(struct pf_dwarf *from) {
    return (uint8_t)pf_dwarf_fixed(from, 1);
}

uint32_t pf_dwarf_u32(struct pf_dwarf *from) {
    return (uint32_t)pf_dwarf_fixed(from, sizeof(uint32_t));
}

static uint64_t read_leb(struct pf_dwarf *from, bool is_signed) {
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte = 0;

    do { /* ends where the bytes do: what is missing reads as 0 */
        byte = pf_dwarf_u8(from);
        if (shift <= LEB_SHIFT_MAX) {
            value |= (uint64_t)(byte & LEB_MASK) << shift;
            shift += LEB_BITS;
        }
    } while ((byte & LEB_MORE) != 0);
    if (is_signed && (byte & LEB_SIGN) != 0 && shift <= LEB_SHIFT_MAX) {
        value |= UINT64_MAX << shift;
    }
    return value;
}

uint64_t pf_dwarf_uleb(struct pf_dwarf *from) {
    return read_leb(from, false);
}

int64_t pf_dwarf_sleb(struct pf_dwarf *from) {
    return (int64_t)read_leb(from, true);
}

struct pf_dwarf pf_dwarf_block(struct pf_dwarf *from) {
    const uint64_t bytes = pf_dwarf_uleb(from);
    struct pf_dwarf block = {from->at, from->at, false};

    if (has(from, bytes)) {
        from->at += bytes;
        block.end = from->at;
    }
    AL_ASSERT(block.at <= block.end && block.end <= from->end);
    return block;
}

uint64_t pf_dwarf_form(struct pf_dwarf *from, uint8_t form) {
    switch (form) {
    case PF_DWARF_UDATA2:
        return pf_dwarf_fixed(from, sizeof(uint16_t));
    case PF_DWARF_SDATA2:
        return (uint64_t)(int16_t)pf_dwarf_fixed(from, sizeof(int16_t));
    case PF_DWARF_UDATA4:
        return pf_dwarf_u32(from);
    case PF_DWARF_SDATA4:
        return (uint64_t)(int32_t)pf_dwarf_u32(from);
    case PF_DWARF_ABSOLUTE:
    case PF_DWARF_UDATA8:
    case PF_DWARF_SDATA8:
        return pf_dwarf_fixed(from, sizeof(uint64_t));
    default:
        from->is_bad = true;
        return 0;
    }
}

uint64_t pf_dwarf_pointer(struct pf_dwarf *from, uint8_t encoding) {
    const uint64_t place = (uintptr_t)from->at;
    const uint64_t value = pf_dwarf_form(from, encoding & PF_DWARF_FORM);
    const uint8_t base = encoding & (uint8_t)~PF_DWARF_FORM;

    if (base == PF_DWARF_PCREL) {
        return place + value;
    }
    from->is_bad = from->is_bad || base != 0;
    return value;
}
