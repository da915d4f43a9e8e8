/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi — finds an address's entry by the sorted table of .eh_frame_hdr and runs its program.
 *
 * Only three registers matter for a walk of calls: the stack pointer, rbp and the return address.
 * Compilers describe them in a handful of forms; what is in none of them is PF_STEP_OTHER.
 */
#include "prof/cfi.h"

#include <string.h>

enum {
    RBP = 6, /* the psABI's numbers */
    RSP = 7,
    RETURN_ADDRESS = 16,
    REMEMBERED_MAX = 8,
    EXPRESSION_DEPTH_MAX = 8,
    ULEB_BITS_MAX = 63,
};

/* ---- reading ---- */

/* Bytes still to be read. Past the end everything is 0, and `is_bad` is set. */
struct reader {
    const uint8_t *at, *end;
    bool is_bad;
};

static bool has(struct reader *from, size_t bytes) {
    if ((size_t)(from->end - from->at) < bytes) {
        from->is_bad = true;
        from->at = from->end;
        return false;
    }
    return true;
}

/* `bytes`: 1, 2, 4 or 8, little-endian. */
static uint64_t read_fixed(struct reader *from, size_t bytes) {
    uint64_t value = 0;

    if (has(from, bytes)) {
        memcpy(&value, from->at, bytes);
        from->at += bytes;
    }
    return value;
}

static uint8_t read_u8(struct reader *from) {
    return (uint8_t)read_fixed(from, 1);
}

static uint32_t read_u32(struct reader *from) {
    return (uint32_t)read_fixed(from, sizeof(uint32_t));
}

static uint64_t read_leb(struct reader *from, bool is_signed) {
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte = 0;

    do {
        byte = read_u8(from);
        if (shift <= ULEB_BITS_MAX) {
            value |= (uint64_t)(byte & 0x7f) << shift;
        }
        shift += 7;
    } while ((byte & 0x80) != 0 && !from->is_bad);
    if (is_signed && (byte & 0x40) != 0 && shift <= ULEB_BITS_MAX) {
        value |= UINT64_MAX << shift;
    }
    return value;
}

static uint64_t read_uleb(struct reader *from) {
    return read_leb(from, false);
}

static int64_t read_sleb(struct reader *from) {
    return (int64_t)read_leb(from, true);
}

static struct reader read_block(struct reader *from) {
    const uint64_t bytes = read_uleb(from);
    struct reader block = {from->at, from->at, false};

    if (has(from, bytes)) {
        from->at += bytes;
        block.end = from->at;
    }
    return block;
}

/* A pointer in one of the encodings of the LSB's table 10-5; only those that need no base but the
 * place they stand at.
 */
enum {
    ENCODING_OMIT = 0xff,
    ENCODING_FORM = 0x0f,
    ENCODING_ABSOLUTE = 0x00,
    ENCODING_UDATA2 = 0x02,
    ENCODING_UDATA4 = 0x03,
    ENCODING_UDATA8 = 0x04,
    ENCODING_SDATA2 = 0x0a,
    ENCODING_SDATA4 = 0x0b,
    ENCODING_SDATA8 = 0x0c,
    ENCODING_BASE = 0x70,
    ENCODING_PCREL = 0x10,
    ENCODING_DATAREL = 0x30,
};

static uint64_t read_form(struct reader *from, uint8_t form) {
    switch (form) {
    case ENCODING_UDATA2:
        return read_fixed(from, sizeof(uint16_t));
    case ENCODING_SDATA2:
        return (uint64_t)(int16_t)read_fixed(from, sizeof(int16_t));
    case ENCODING_UDATA4:
        return read_u32(from);
    case ENCODING_SDATA4:
        return (uint64_t)(int32_t)read_u32(from);
    case ENCODING_ABSOLUTE:
    case ENCODING_UDATA8:
    case ENCODING_SDATA8:
        return read_fixed(from, sizeof(uint64_t));
    default:
        from->is_bad = true;
        return 0;
    }
}

static uint64_t read_pointer(struct reader *from, uint8_t encoding) {
    const uint64_t place = (uintptr_t)from->at;
    const uint64_t value = read_form(from, encoding & ENCODING_FORM);

    if ((encoding & ENCODING_BASE) == ENCODING_PCREL) {
        return place + value;
    }
    from->is_bad = from->is_bad || (encoding & ENCODING_BASE) != 0;
    return value;
}

/* ---- the table of .eh_frame_hdr ---- */

struct header {
    uint8_t version, frame_encoding, count_encoding, table_encoding;
    int32_t frame_offset;
    uint32_t count;
    struct {
        int32_t address, entry; /* from the header's own address */
    } rows[];                   /* ascending by address */
};

enum {
    HEADER_VERSION = 1,
    TABLE_ENCODING = ENCODING_DATAREL | ENCODING_SDATA4,
    FRAME_ENCODING = ENCODING_PCREL | ENCODING_SDATA4,
};

/* As every linker writes it; anything else is left to others. */
static bool is_usual(const struct header *header) {
    return header->version == HEADER_VERSION && header->frame_encoding == FRAME_ENCODING &&
           header->count_encoding == ENCODING_UDATA4 && header->table_encoding == TABLE_ENCODING;
}

/* The last entry that begins at or before `address`. NULL: there is none. */
static const uint8_t *find_entry(const struct header *header, uintptr_t address) {
    const int64_t wanted = (int64_t)(address - (uintptr_t)header);
    uint32_t low = 0;
    uint32_t high = header->count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (header->rows[middle].address <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : (const uint8_t *)header + header->rows[low - 1].entry;
}

/* ---- entries ---- */

/* Of a CIE, which many entries share. */
struct common {
    struct reader program;
    uint64_t code_align;
    int64_t data_align;
    uint8_t pointer_encoding;
    bool is_signal;
    bool has_augmentation;
};

/* A reader of the record at `at`, behind its length. */
static struct reader open_record(const uint8_t *at) {
    struct reader record = {at, at + sizeof(uint32_t), false};
    const uint32_t bytes = read_u32(&record);

    record.is_bad = bytes == UINT32_MAX; /* the 64-bit form, which nobody writes */
    record.end = record.at + (record.is_bad ? 0 : bytes);
    return record;
}

static void read_augmentation(struct common *common, const char *letters, struct reader *from) {
    struct reader data = read_block(from);

    for (; *letters != '\0' && !data.is_bad; letters++) {
        switch (*letters) {
        case 'R':
            common->pointer_encoding = read_u8(&data);
            break;
        case 'L':
            (void)read_u8(&data);
            break;
        case 'P':
            (void)read_form(&data, read_u8(&data) & ENCODING_FORM);
            break;
        case 'S':
            common->is_signal = true;
            break;
        case 'B':
            break; /* of other processors */
        default:
            data.is_bad = true;
            break;
        }
    }
    from->is_bad = from->is_bad || data.is_bad;
}

/* False: of a form that is not known here. */
static bool read_common(struct common *common, const uint8_t *at) {
    struct reader from = open_record(at);
    const bool is_cie = read_u32(&from) == 0;
    const uint8_t version = read_u8(&from);
    const char *const letters = (const char *)from.at;

    while (read_u8(&from) != 0 && !from.is_bad) {
    }
    if (!is_cie || from.is_bad || (version != 1 && version != 3)) {
        return false;
    }
    *common = (struct common){.pointer_encoding = ENCODING_ABSOLUTE};
    common->code_align = read_uleb(&from);
    common->data_align = read_sleb(&from);
    const uint64_t return_register = version == 1 ? read_u8(&from) : read_uleb(&from);
    if (letters[0] == 'z') {
        common->has_augmentation = true;
        read_augmentation(common, letters + 1, &from);
    } else if (letters[0] != '\0') {
        return false;
    }
    common->program = from;
    return !from.is_bad && return_register == RETURN_ADDRESS;
}

/* ---- programs ---- */

/* Where a register of the caller's is. */
struct saved {
    enum { SAME, AT_CFA, AT_EXPRESSION, UNDEFINED, ODD } how;
    int64_t offset;
    struct reader expression;
};

struct row {
    uint64_t cfa_register;
    int64_t cfa_offset;
    struct reader cfa_expression;
    bool is_cfa_expression;
    struct saved rbp, ra;
    bool is_odd; /* the stack pointer is not the CFA, or it was too much for us */
};

struct machine {
    const struct common *common;
    struct row row, first; /* `first`: as the CIE's program left it */
    struct row remembered[REMEMBERED_MAX];
    uint32_t remembered_count;
    uintptr_t address, target;
};

static struct saved *saved_of(struct machine *machine, uint64_t reg) {
    switch (reg) {
    case RBP:
        return &machine->row.rbp;
    case RETURN_ADDRESS:
        return &machine->row.ra;
    default:
        return NULL;
    }
}

static void save(struct machine *machine, uint64_t reg, struct saved saved) {
    struct saved *const slot = saved_of(machine, reg);

    if (slot != NULL) {
        *slot = saved;
    } else if (reg == RSP) {
        machine->row.is_odd = true;
    }
}

static void restore(struct machine *machine, uint64_t reg) {
    struct saved *const slot = saved_of(machine, reg);

    if (slot != NULL) {
        *slot = reg == RBP ? machine->first.rbp : machine->first.ra;
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

static int64_t factored(const struct machine *machine, int64_t value) {
    return value * machine->common->data_align;
}

static void advance(struct machine *machine, uint64_t units) {
    machine->address += units * machine->common->code_align;
}

/* Instructions that define where the CFA is. False: `code` is none of them. */
static bool run_cfa(struct machine *machine, uint8_t code, struct reader *from) {
    uint64_t reg = 0;

    switch (code) {
    case CFA_DEF_CFA:
        reg = read_uleb(from);
        set_cfa(machine, reg, (int64_t)read_uleb(from));
        return true;
    case CFA_DEF_CFA_SF:
        reg = read_uleb(from);
        set_cfa(machine, reg, factored(machine, read_sleb(from)));
        return true;
    case CFA_DEF_CFA_REGISTER:
        set_cfa(machine, read_uleb(from), machine->row.cfa_offset);
        return true;
    case CFA_DEF_CFA_OFFSET:
        machine->row.cfa_offset = (int64_t)read_uleb(from);
        return true;
    case CFA_DEF_CFA_OFFSET_SF:
        machine->row.cfa_offset = factored(machine, read_sleb(from));
        return true;
    case CFA_DEF_CFA_EXPRESSION:
        machine->row.cfa_expression = read_block(from);
        machine->row.is_cfa_expression = true;
        return true;
    default:
        return false;
    }
}

/* Instructions that say where a register is. False: `code` is none of them. */
static bool run_saved(struct machine *machine, uint8_t code, struct reader *from) {
    if (code < CFA_OFFSET_EXTENDED || (code > CFA_REGISTER && code < CFA_EXPRESSION) ||
        (code > CFA_VAL_EXPRESSION && code != CFA_GNU_NEGATIVE_OFFSET)) {
        return false;
    }
    const uint64_t reg = read_uleb(from);
    struct saved saved = {.how = ODD};
    switch (code) {
    case CFA_RESTORE_EXTENDED:
        restore(machine, reg);
        return true;
    case CFA_OFFSET_EXTENDED:
        saved =
            (struct saved){.how = AT_CFA, .offset = factored(machine, (int64_t)read_uleb(from))};
        break;
    case CFA_OFFSET_EXTENDED_SF:
        saved = (struct saved){.how = AT_CFA, .offset = factored(machine, read_sleb(from))};
        break;
    case CFA_GNU_NEGATIVE_OFFSET:
        saved =
            (struct saved){.how = AT_CFA, .offset = -factored(machine, (int64_t)read_uleb(from))};
        break;
    case CFA_UNDEFINED:
        saved.how = UNDEFINED;
        break;
    case CFA_SAME_VALUE:
        saved.how = SAME;
        break;
    case CFA_EXPRESSION:
        saved = (struct saved){.how = AT_EXPRESSION, .expression = read_block(from)};
        break;
    case CFA_VAL_EXPRESSION:
        (void)read_block(from);
        break;
    case CFA_VAL_OFFSET_SF:
        (void)read_sleb(from);
        break;
    case CFA_REGISTER:
    case CFA_VAL_OFFSET:
        (void)read_uleb(from);
        break;
    default:
        return false;
    }
    save(machine, reg, saved);
    return true;
}

static void run_one(struct machine *machine, uint8_t code, struct reader *from) {
    switch (code) {
    case CFA_NOP:
        break;
    case CFA_SET_LOC:
        machine->address = read_pointer(from, machine->common->pointer_encoding);
        break;
    case CFA_ADVANCE_LOC1:
        advance(machine, read_u8(from));
        break;
    case CFA_ADVANCE_LOC2:
        advance(machine, read_fixed(from, sizeof(uint16_t)));
        break;
    case CFA_ADVANCE_LOC4:
        advance(machine, read_u32(from));
        break;
    case CFA_REMEMBER_STATE:
        remember(machine);
        break;
    case CFA_RESTORE_STATE:
        recall(machine);
        break;
    case CFA_GNU_ARGS_SIZE:
        (void)read_uleb(from);
        break;
    default:
        if (!run_cfa(machine, code, from) && !run_saved(machine, code, from)) {
            machine->row.is_odd = true;
        }
        break;
    }
}

/* Runs up to the row that holds at the machine's target. */
static void run(struct machine *machine, struct reader from) {
    while (from.at < from.end && machine->address <= machine->target && !machine->row.is_odd) {
        const uint8_t code = read_u8(&from);
        switch (code & CFA_HIGH) {
        case CFA_ADVANCE_LOC:
            advance(machine, code & CFA_LOW);
            break;
        case CFA_OFFSET:
            save(machine, code & CFA_LOW,
                 (struct saved){.how = AT_CFA,
                                .offset = factored(machine, (int64_t)read_uleb(&from))});
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

/* ---- expressions ---- */

/* A number, or what a register holds and a number; `is_deref`: what lies there. */
struct term {
    enum { NUMBER, OF_RSP, OF_RBP } base;
    bool is_deref;
    int64_t number;
};

struct stack {
    struct term terms[EXPRESSION_DEPTH_MAX];
    uint32_t count;
    bool is_odd;
};

static void push(struct stack *stack, struct term term) {
    if (stack->count == EXPRESSION_DEPTH_MAX) {
        stack->is_odd = true;
        return;
    }
    stack->terms[stack->count++] = term;
}

static struct term pop(struct stack *stack) {
    if (stack->count == 0) {
        stack->is_odd = true;
        return (struct term){NUMBER, false, 0};
    }
    return stack->terms[--stack->count];
}

/* DWARF 5, 7.7.1. */
enum {
    OP_DEREF = 0x06,
    OP_CONST1U = 0x08,
    OP_CONST1S = 0x09,
    OP_AND = 0x1a,
    OP_MINUS = 0x1c,
    OP_PLUS = 0x22,
    OP_PLUS_UCONST = 0x23,
    OP_SHL = 0x24,
    OP_GE = 0x2a,
    OP_LIT0 = 0x30,
    OP_LIT31 = 0x4f,
    OP_BREG0 = 0x70,
    OP_BREG31 = 0x8f,
    SHIFT_MAX = 63,
};

static struct term register_term(struct stack *stack, unsigned reg, int64_t offset,
                                 uintptr_t address) {
    switch (reg) {
    case RSP:
        return (struct term){OF_RSP, false, offset};
    case RBP:
        return (struct term){OF_RBP, false, offset};
    case RETURN_ADDRESS:
        return (struct term){NUMBER, false, (int64_t)address + offset};
    default:
        stack->is_odd = true;
        return (struct term){NUMBER, false, 0};
    }
}

static void apply(struct stack *stack, uint8_t op) {
    const struct term right = pop(stack);
    struct term left = pop(stack);

    stack->is_odd = stack->is_odd || right.base != NUMBER || right.is_deref || left.is_deref ||
                    (left.base != NUMBER && op != OP_PLUS && op != OP_MINUS);
    switch (op) {
    case OP_AND:
        left.number &= right.number;
        break;
    case OP_MINUS:
        left.number -= right.number;
        break;
    case OP_PLUS:
        left.number += right.number;
        break;
    case OP_GE:
        left.number = left.number >= right.number ? 1 : 0;
        break;
    case OP_SHL:
        left.number = (int64_t)((uint64_t)left.number << ((uint64_t)right.number & SHIFT_MAX));
        break;
    default:
        stack->is_odd = true;
        break;
    }
    push(stack, left);
}

/* What it comes to. False: not one of the forms of struct term. */
static bool evaluate(struct reader from, uintptr_t address, struct term *result) {
    struct stack stack = {.count = 0};
    struct term term = {NUMBER, false, 0};

    while (from.at < from.end && !stack.is_odd && !from.is_bad) {
        const uint8_t op = read_u8(&from);
        if (op >= OP_LIT0 && op <= OP_LIT31) {
            push(&stack, (struct term){NUMBER, false, op - OP_LIT0});
        } else if (op >= OP_BREG0 && op <= OP_BREG31) {
            push(&stack, register_term(&stack, op - OP_BREG0, read_sleb(&from), address));
        } else if (op == OP_CONST1U) {
            push(&stack, (struct term){NUMBER, false, read_u8(&from)});
        } else if (op == OP_CONST1S) {
            push(&stack, (struct term){NUMBER, false, (int8_t)read_u8(&from)});
        } else if (op == OP_PLUS_UCONST) {
            push(&stack, (struct term){NUMBER, false, (int64_t)read_uleb(&from)});
            apply(&stack, OP_PLUS);
        } else if (op == OP_DEREF) {
            term = pop(&stack);
            stack.is_odd = stack.is_odd || term.base == NUMBER || term.is_deref;
            term.is_deref = true;
            push(&stack, term);
        } else {
            apply(&stack, op);
        }
    }
    *result = pop(&stack);
    return !stack.is_odd && !from.is_bad;
}

/* ---- rules ---- */

static const struct pf_rule other = {.step = PF_STEP_OTHER};

static bool is_small(int64_t offset) {
    return offset == (int32_t)offset;
}

/* Where the CFA is. PF_STEP_OTHER: nowhere a rule can say. */
static struct pf_rule cfa_rule(const struct row *row, uintptr_t address) {
    struct term term = {row->cfa_register == RSP ? OF_RSP : OF_RBP, false, row->cfa_offset};

    if (row->is_cfa_expression) {
        if (!evaluate(row->cfa_expression, address, &term)) {
            return other;
        }
    } else if (row->cfa_register != RSP && row->cfa_register != RBP) {
        return other;
    }
    if (!is_small(term.number) || term.base == NUMBER || (term.is_deref && term.base != OF_RBP)) {
        return other;
    }
    return (struct pf_rule){
        .step = term.is_deref         ? PF_STEP_RBP_DEREF
                : term.base == OF_RSP ? PF_STEP_RSP
                                      : PF_STEP_RBP,
        .cfa_offset = (int32_t)term.number,
    };
}

/* Adds to `rule` where rbp is. False: nowhere a rule can say. */
static bool add_rbp(struct pf_rule *rule, const struct row *row, uintptr_t address) {
    struct term term = {OF_RBP, false, row->rbp.offset};

    switch (row->rbp.how) {
    case SAME:
    case UNDEFINED:
        rule->rbp = PF_SAVED_SAME;
        return true;
    case AT_CFA:
        rule->rbp = PF_SAVED_AT_CFA;
        break;
    case AT_EXPRESSION:
        rule->rbp = PF_SAVED_AT_RBP;
        if (!evaluate(row->rbp.expression, address, &term) || term.base != OF_RBP ||
            term.is_deref) {
            return false;
        }
        break;
    case ODD:
    default:
        return false;
    }
    rule->rbp_offset = (int32_t)term.number;
    return is_small(term.number);
}

static struct pf_rule rule_of(const struct row *row, uintptr_t address) {
    if (row->is_odd) {
        return other;
    }
    if (row->ra.how == UNDEFINED) {
        return (struct pf_rule){.step = PF_STEP_END};
    }
    struct pf_rule rule = cfa_rule(row, address);
    if (row->ra.how != AT_CFA || row->ra.offset != -(int64_t)sizeof(uintptr_t) ||
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
    AL_ASSERT(address >= object->low && address < object->high);
    const struct header *const header = (const void *)object->header;
    struct common common;

    /* Without: a static program, which hands its tables to libgcc as it starts. */
    if (header == NULL || !is_usual(header)) {
        return other;
    }
    const uint8_t *const entry = find_entry(header, address);
    if (entry == NULL) {
        return (struct pf_rule){.step = PF_STEP_NONE};
    }
    struct reader from = open_record(entry);
    const uint8_t *const cie_offset_at = from.at;
    if (!read_common(&common, cie_offset_at - read_u32(&from))) {
        return other;
    }
    const uintptr_t start = read_pointer(&from, common.pointer_encoding);
    const uint64_t bytes = read_form(&from, common.pointer_encoding & ENCODING_FORM);
    if (common.has_augmentation) {
        (void)read_block(&from);
    }
    if (from.is_bad) {
        return other;
    }
    if (address - start >= bytes) { /* between two functions that have entries */
        return (struct pf_rule){.step = PF_STEP_NONE};
    }
    if (common.is_signal) {
        return signal_rule(object, address);
    }
    struct machine machine = {.common = &common, .address = start, .target = address};
    run(&machine, common.program);
    machine.first = machine.row;
    run(&machine, from);
    return rule_of(&machine.row, address);
}
