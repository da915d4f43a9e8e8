/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi_expression — a stack machine whose values are terms: a register is carried along by name, so
 * that the result is a rule that holds for every frame at the address.
 *
 * Sums wrap, as in DWARF.
 */
#include "prof/cfi_expression.h"

enum { DEPTH_MAX = 8 };

struct stack {
    struct pf_cfi_term terms[DEPTH_MAX];
    uint32_t count;
    bool is_odd;
};

static void push(struct stack *stack, struct pf_cfi_term term) {
    if (stack->count == DEPTH_MAX) {
        stack->is_odd = true;
        return;
    }
    stack->terms[stack->count++] = term;
}

static struct pf_cfi_term pop(struct stack *stack) {
    if (stack->count == 0) {
        stack->is_odd = true;
        return (struct pf_cfi_term){PF_CFI_NUMBER, false, 0};
    }
    AL_ASSERT(stack->count <= DEPTH_MAX);
    return stack->terms[--stack->count];
}

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

static struct pf_cfi_term register_term(struct stack *stack, unsigned reg, int64_t offset,
                                        uintptr_t address) {
    switch (reg) {
    case PF_DWARF_RSP:
        return (struct pf_cfi_term){PF_CFI_OF_RSP, false, offset};
    case PF_DWARF_RBP:
        return (struct pf_cfi_term){PF_CFI_OF_RBP, false, offset};
    case PF_DWARF_RETURN_ADDRESS:
        return (struct pf_cfi_term){PF_CFI_NUMBER, false, (int64_t)(address + (uint64_t)offset)};
    default:
        stack->is_odd = true;
        return (struct pf_cfi_term){PF_CFI_NUMBER, false, 0};
    }
}

static void apply(struct stack *stack, uint8_t op) {
    const struct pf_cfi_term right = pop(stack);
    struct pf_cfi_term left = pop(stack);

    stack->is_odd = stack->is_odd || right.base != PF_CFI_NUMBER || right.is_deref ||
                    left.is_deref ||
                    (left.base != PF_CFI_NUMBER && op != OP_PLUS && op != OP_MINUS);
    switch (op) {
    case OP_AND:
        left.number &= right.number;
        break;
    case OP_MINUS:
        left.number = (int64_t)((uint64_t)left.number - (uint64_t)right.number);
        break;
    case OP_PLUS:
        left.number = (int64_t)((uint64_t)left.number + (uint64_t)right.number);
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

bool pf_cfi_expression(struct pf_dwarf from, uintptr_t address, struct pf_cfi_term *result) {
    struct stack stack = {.count = 0};
    struct pf_cfi_term term = {PF_CFI_NUMBER, false, 0};

    while (from.at < from.end && !stack.is_odd && !from.is_bad) {
        const uint8_t op = pf_dwarf_u8(&from);
        if (op >= OP_LIT0 && op <= OP_LIT31) {
            push(&stack, (struct pf_cfi_term){PF_CFI_NUMBER, false, op - OP_LIT0});
        } else if (op >= OP_BREG0 && op <= OP_BREG31) {
            push(&stack, register_term(&stack, op - OP_BREG0, pf_dwarf_sleb(&from), address));
        } else if (op == OP_CONST1U) {
            push(&stack, (struct pf_cfi_term){PF_CFI_NUMBER, false, pf_dwarf_u8(&from)});
        } else if (op == OP_CONST1S) {
            push(&stack, (struct pf_cfi_term){PF_CFI_NUMBER, false, (int8_t)pf_dwarf_u8(&from)});
        } else if (op == OP_PLUS_UCONST) {
            push(&stack, (struct pf_cfi_term){PF_CFI_NUMBER, false, (int64_t)pf_dwarf_uleb(&from)});
            apply(&stack, OP_PLUS);
        } else if (op == OP_DEREF) {
            term = pop(&stack);
            stack.is_odd = stack.is_odd || term.base == PF_CFI_NUMBER || term.is_deref;
            term.is_deref = true;
            push(&stack, term);
        } else {
            apply(&stack, op);
        }
    }
    *result = pop(&stack); /* what lies below it, as in DWARF, is nobody's */
    AL_ASSERT(from.at <= from.end && stack.count < DEPTH_MAX);
    return !stack.is_odd && !from.is_bad;
}
