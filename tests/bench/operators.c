/* SPDX-License-Identifier: BSD-2-Clause
 *
 * operators — operator new and delete, with and without the size.
 *
 * Question: what does a replacement cost through C++'s names? Does delete gain by the size?
 * Unit:     an operation is a new with its delete; low and high are block sizes.
 * Honest:   in a program of its own, work_cxx: the C++ library needs memory at start, which is
 *           not to be seen in the rows that are C.
 */
#include "tests/bench/operators.h"
#include "tests/bench/work.h"

/* Replacement by the operators of C++; `end` is a delete, with or without the size. */
static void run_operators(struct work *work, void (*end)(void *, size_t)) {
    const struct work_case *const shape = work->shape;
    struct work_slot *const slots = work_table(shape->live * sizeof(*slots));
    uint64_t random = 23;

    work_start();
    for (uint64_t turn = 0; turn < work->count; turn++) {
        struct work_slot *const slot = &slots[work_below(&random, shape->live)];
        if (slot->block != NULL) {
            work_read(&work->books, slot->block, slot->size_bytes);
            end(slot->block, slot->size_bytes);
        }
        slot->size_bytes = work_between(&random, shape->low, shape->high);
        slot->block = operators_new(slot->size_bytes);
        work_write(&work->books, slot->block, slot->size_bytes);
    }
    work_stop(work->count);
    for (size_t idx = 0; idx < shape->live; idx++) {
        if (slots[idx].block != NULL) {
            work_read(&work->books, slots[idx].block, slots[idx].size_bytes);
            end(slots[idx].block, slots[idx].size_bytes);
        }
    }
}

static void run_new(struct work *work) {
    run_operators(work, operators_delete);
}

static void run_new_sized(struct work *work) {
    run_operators(work, operators_delete_sized);
}

const struct work_case work_operators[] = {
    {"new_delete", run_new, 16, 256, 10000},
    {"sized_delete", run_new_sized, 16, 256, 10000},
    {NULL, NULL, 0, 0, 0},
};
