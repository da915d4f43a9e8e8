/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi_program — a machine of three registers.
 *
 * Only the stack pointer, rbp and the return address matter for a walk of calls; where other
 * registers were saved is read over.
 */
#include "prof/cfi_program.h"

enum { REMEMBERED_MAX = 8 };

struct machine {
    const struct pf_cfi_entry *entry;
    struct pf_cfi_row row, first; /* `first`: as the CIE's program left it */
    struct pf_cfi_row remembered[REMEMBERED_MAX];
    uint32_t remembered_count;
    uintptr_t address, target;
};

static struct pf_cfi_saved *saved_of(struct machine *machine, uint64_t reg) {
    switch (reg) {
    case PF_DWARF_RBP:
        return &machine->row.rbp;
    case PF_DWARF_RETURN_ADDRESS:
        return &machine->row.ra;
    default:
        return NULL;
    }
}

static void save(struct machine *machine, uint64_t reg, struct pf_cfi_saved saved) {
    struct pf_cfi_saved *const slot = saved_of(machine, reg);

    if (slot != NULL) {
        *slot = saved;
    } else if (reg == PF_DWARF_RSP) {
        machine->row.is_odd = true;
    }
}

static void restore(struct machine *machine, uint64_t reg) {
    struct pf_cfi_saved *const slot = saved_of(machine, reg);

    if (slot != NULL) {
        *slot = reg == PF_DWARF_RBP ? machine->first.rbp : machine->first.ra;
    }
}

static void set_cfa(struct machine *machine, uint64_t reg, int64_t offset) {
    machine->row.cfa_register = reg;
    machine->row.cfa_offset = offset;
    machine->row.is_cfa_expression = false;
}

static void remember(struct machine *machine) {
    if (machine->remembered_count == REMEMBERED_MAX) {
        machine->row.is_odd = true;
        return;
    }
    machine->remembered[machine->remembered_count++] = machine->row;
}

static void recall(struct machine *machine) {
    if (machine->remembered_count == 0) {
        machine->row.is_odd = true;
        return;
    }
    AL_ASSERT(machine->remembered_count <= REMEMBERED_MAX);
    machine->row = machine->remembered[--machine->remembered_count];
}

/* DWARF 5, 7.24; two of GNU's. The first three carry an operand in their low six bits. */
enum {
    CFA_HIGH = 0xc0,
    CFA_LOW = 0x3f,
    CFA_ADVANCE_LOC = 0x40,
    CFA_OFFSET = 0x80,
    CFA_RESTORE = 0xc0,
    CFA_NOP = 0x00,
    CFA_SET_LOC = 0x01,
    CFA_ADVANCE_LOC1 = 0x02,
    CFA_ADVANCE_LOC2 = 0x03,
    CFA_ADVANCE_LOC4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05,
    CFA_RESTORE_EXTENDED = 0x06,
    CFA_UNDEFINED = 0x07,
    CFA_SAME_VALUE = 0x08,
    CFA_REGISTER = 0x09,
    CFA_REMEMBER_STATE = 0x0a,
    CFA_RESTORE_STATE = 0x0b,
    CFA_DEF_CFA = 0x0c,
    CFA_DEF_CFA_REGISTER = 0x0d,
    CFA_DEF_CFA_OFFSET = 0x0e,
    CFA_DEF_CFA_EXPRESSION = 0x0f,
    CFA_EXPRESSION = 0x10,
    CFA_OFFSET_EXTENDED_SF = 0x11,
    CFA_DEF_CFA_SF = 0x12,
    CFA_DEF_CFA_OFFSET_SF = 0x13,
    CFA_VAL_OFFSET = 0x14,
    CFA_VAL_OFFSET_SF = 0x15,
    CFA_VAL_EXPRESSION = 0x16,
    CFA_GNU_ARGS_SIZE = 0x2e,
    CFA_GNU_NEGATIVE_OFFSET = 0x2f,
};

/* What the bytes say may be anything, so products wrap. */
static int64_t factored(const struct machine *machine, int64_t value) {
    return (int64_t)((uint64_t)value * (uint64_t)machine->entry->data_align);
}

static int64_t negative(uint64_t value) {
    return (int64_t)(0 - value);
}

static void advance(struct machine *machine, uint64_t units) {
    machine->address += units * machine->entry->code_align;
}

/* Instructions that define where the CFA is. False: `code` is none of them. */
static bool run_cfa(struct machine *machine, uint8_t code, struct pf_dwarf *from) {
    uint64_t reg = 0;

    switch (code) {
    case CFA_DEF_CFA:
        reg = pf_dwarf_uleb(from);
        set_cfa(machine, reg, (int64_t)pf_dwarf_uleb(from));
        return true;
    case CFA_DEF_CFA_SF:
        reg = pf_dwarf_uleb(from);
        set_cfa(machine, reg, factored(machine, pf_dwarf_sleb(from)));
        return true;
    case CFA_DEF_CFA_REGISTER:
        set_cfa(machine, pf_dwarf_uleb(from), machine->row.cfa_offset);
        return true;
    case CFA_DEF_CFA_OFFSET:
        machine->row.cfa_offset = (int64_t)pf_dwarf_uleb(from);
        return true;
    case CFA_DEF_CFA_OFFSET_SF:
        machine->row.cfa_offset = factored(machine, pf_dwarf_sleb(from));
        return true;
    case CFA_DEF_CFA_EXPRESSION:
        machine->row.cfa_expression = pf_dwarf_block(from);
        machine->row.is_cfa_expression = true;
        return true;
    default:
        return false;
    }
}

/* Instructions that say where a register is. False: `code` is none of them. */
static bool run_saved(struct machine *machine, uint8_t code, struct pf_dwarf *from) {
    if (code < CFA_OFFSET_EXTENDED || (code > CFA_REGISTER && code < CFA_EXPRESSION) ||
        (code > CFA_VAL_EXPRESSION && code != CFA_GNU_NEGATIVE_OFFSET)) {
        return false;
    }
    const uint64_t reg = pf_dwarf_uleb(from);
    struct pf_cfi_saved saved = {.how = PF_CFI_ODD};
    switch (code) {
    case CFA_RESTORE_EXTENDED:
        restore(machine, reg);
        return true;
    case CFA_OFFSET_EXTENDED:
        saved = (struct pf_cfi_saved){.how = PF_CFI_AT_CFA,
                                      .offset = factored(machine, (int64_t)pf_dwarf_uleb(from))};
        break;
    case CFA_OFFSET_EXTENDED_SF:
        saved = (struct pf_cfi_saved){.how = PF_CFI_AT_CFA,
                                      .offset = factored(machine, pf_dwarf_sleb(from))};
        break;
    case CFA_GNU_NEGATIVE_OFFSET:
        saved = (struct pf_cfi_saved){.how = PF_CFI_AT_CFA,
                                      .offset = factored(machine, negative(pf_dwarf_uleb(from)))};
        break;
    case CFA_UNDEFINED:
        saved.how = PF_CFI_UNDEFINED;
        break;
    case CFA_SAME_VALUE:
        saved.how = PF_CFI_SAME;
        break;
    case CFA_EXPRESSION:
        saved = (struct pf_cfi_saved){.how = PF_CFI_EXPRESSION, .expression = pf_dwarf_block(from)};
        break;
    case CFA_VAL_EXPRESSION:
        (void)pf_dwarf_block(from);
        break;
    case CFA_VAL_OFFSET_SF:
        (void)pf_dwarf_sleb(from);
        break;
    case CFA_REGISTER:
    case CFA_VAL_OFFSET:
        (void)pf_dwarf_uleb(from);
        break;
    default:
        return false;
    }
    save(machine, reg, saved);
    return true;
}

static void run_one(struct machine *machine, uint8_t code, struct pf_dwarf *from) {
    switch (code) {
    case CFA_NOP:
        break;
    case CFA_SET_LOC:
        machine->address = pf_dwarf_pointer(from, machine->entry->pointer_encoding);
        break;
    case CFA_ADVANCE_LOC1:
        advance(machine, pf_dwarf_u8(from));
        break;
    case CFA_ADVANCE_LOC2:
        advance(machine, pf_dwarf_fixed(from, sizeof(uint16_t)));
        break;
    case CFA_ADVANCE_LOC4:
        advance(machine, pf_dwarf_u32(from));
        break;
    case CFA_REMEMBER_STATE:
        remember(machine);
        break;
    case CFA_RESTORE_STATE:
        recall(machine);
        break;
    case CFA_GNU_ARGS_SIZE:
        (void)pf_dwarf_uleb(from);
        break;
    default:
        if (!run_cfa(machine, code, from) && !run_saved(machine, code, from)) {
            machine->row.is_odd = true;
        }
        break;
    }
}

/* Runs up to the row that holds at the machine's target. */
static void run(struct machine *machine, struct pf_dwarf from) {
    AL_ASSERT(from.at <= from.end && machine->remembered_count <= REMEMBERED_MAX);
    while (from.at < from.end && machine->address <= machine->target && !machine->row.is_odd) {
        const uint8_t code = pf_dwarf_u8(&from);
        switch (code & CFA_HIGH) {
        case CFA_ADVANCE_LOC:
            advance(machine, code & CFA_LOW);
            break;
        case CFA_OFFSET:
            save(machine, code & CFA_LOW,
                 (struct pf_cfi_saved){.how = PF_CFI_AT_CFA,
                                       .offset = factored(machine, (int64_t)pf_dwarf_uleb(&from))});
            break;
        case CFA_RESTORE:
            restore(machine, code & CFA_LOW);
            break;
        default:
            run_one(machine, code, &from);
            break;
        }
        machine->row.is_odd = machine->row.is_odd || from.is_bad;
    }
}

struct pf_cfi_row pf_cfi_program_run(const struct pf_cfi_entry *entry, uintptr_t address) {
    AL_ASSERT(address - entry->start < entry->bytes);
    struct machine machine = {.entry = entry, .address = entry->start, .target = address};

    run(&machine, entry->common);
    machine.first = machine.row;
    run(&machine, entry->program);
    return machine.row;
}
