/* SPDX-License-Identifier: BSD-2-Clause
 *
 * calls — the other entry points: realloc, calloc, posix_memalign. C++'s are in operators.c.
 *
 * Question: what does a growing buffer cost by how it grows, a zeroed block by where it comes
 *           from, an aligned block by its alignment?
 * Unit:     an operation is one realloc, or one allocation with its free.
 * Honest:   a grown buffer is read at both ends of what it held before; a zeroed block is read
 *           before it is written, and written all over before it is freed; an alignment is looked
 *           at.
 */
#include "tests/bench/work.h"

#include <string.h>

enum { GROWING_COUNT = 8, MIB = 1 << 20 };

/* The next size of a buffer; each names a habit of programs. */
static size_t grow_by_16(size_t size_bytes) {
    return size_bytes + 16;
}

static size_t grow_by_half(size_t size_bytes) {
    return size_bytes + size_bytes / 2;
}

static size_t grow_by_mib(size_t size_bytes) {
    return size_bytes + MIB;
}

/* Grown to size_bytes; what it held is looked at, each new page and the end are written. */
static void regrow(struct work_books *books, struct work_slot *slot, size_t size_bytes) {
    char *const block = realloc(slot->block, size_bytes);

    if (block == NULL) {
        work_die("realloc said no");
    }
    work_read(books, block, slot->size_bytes);
    for (size_t at = slot->size_bytes; at < size_bytes; at += WORK_PAGE_BYTES) {
        block[at] = 1;
    }
    slot->block = block;
    slot->size_bytes = size_bytes;
    work_write(books, block, size_bytes);
}

/* Several buffers grow by turns, from low to high, so that none has the end of memory to itself. */
static void run_growth(struct work *work, size_t (*next)(size_t)) {
    const struct work_case *const shape = work->shape;
    struct work_slot slots[GROWING_COUNT] = {{0}};
    const size_t slot_count = shape->live;

    work_start();
    for (uint64_t turn = 0; turn < work->count; turn++) {
        struct work_slot *const slot = &slots[turn % slot_count];
        if (slot->block != NULL && next(slot->size_bytes) > shape->high) {
            work_empty_slot(&work->books, slot);
        }
        if (slot->block == NULL) {
            work_fill_slot(&work->books, slot, shape->low);
        } else {
            regrow(&work->books, slot, next(slot->size_bytes));
        }
    }
    work_stop(work->count);
    for (size_t idx = 0; idx < slot_count; idx++) {
        work_empty_slot(&work->books, &slots[idx]);
    }
}

static void run_realloc_small(struct work *work) {
    run_growth(work, grow_by_16);
}

static void run_realloc_half(struct work *work) {
    run_growth(work, grow_by_half);
}

static void run_realloc_large(struct work *work) {
    run_growth(work, grow_by_mib);
}

static char *make_zeroed(struct work_books *books, size_t size_bytes) {
    char *const block = calloc(1, size_bytes);

    if (block == NULL) {
        work_die("calloc said no");
    }
    /* Each page, and the last byte: a block is small, or its pages are what counts. */
    for (size_t at = 0; at < size_bytes; at += size_bytes < WORK_PAGE_BYTES ? 16 : 1024) {
        if (block[at] != 0) {
            work_die("calloc gave what is not zero");
        }
    }
    if (block[size_bytes - 1] != 0) {
        work_die("calloc gave what is not zero at the end");
    }
    work_write(books, block, size_bytes);
    return block;
}

/* Nothing is freed before the end: all memory is new. Live at once: count blocks. */
static void run_calloc_fresh(struct work *work) {
    const size_t size_bytes = work->shape->low;
    char **const blocks = work_table(work->count * sizeof(*blocks));

    work_start();
    for (uint64_t idx = 0; idx < work->count; idx++) {
        blocks[idx] = make_zeroed(&work->books, size_bytes);
    }
    work_stop(work->count);
    for (uint64_t idx = 0; idx < work->count; idx++) {
        work_drop(&work->books, blocks[idx], size_bytes);
    }
}

static void run_calloc_recycled(struct work *work) {
    const struct work_case *const shape = work->shape;
    char **const blocks = work_table(shape->live * sizeof(*blocks));
    uint64_t random = 17;

    for (size_t idx = 0; idx < shape->live; idx++) {
        blocks[idx] = make_zeroed(&work->books, shape->low);
    }
    work_start();
    for (uint64_t turn = 0; turn < work->count; turn++) {
        char **const block = &blocks[work_below(&random, shape->live)];
        work_read(&work->books, *block, shape->low);
        memset(*block, 0xa7, shape->low);
        free(*block);
        *block = make_zeroed(&work->books, shape->low);
    }
    work_stop(work->count);
    for (size_t idx = 0; idx < shape->live; idx++) {
        work_drop(&work->books, blocks[idx], shape->low);
    }
}

static char *make_aligned(struct work_books *books, size_t alignment, size_t size_bytes) {
    void *block = NULL;

    if (posix_memalign(&block, alignment, size_bytes) != 0) {
        work_die("posix_memalign said no");
    }
    if ((uintptr_t)block % alignment != 0) {
        work_die("posix_memalign gave what is not aligned");
    }
    work_write(books, block, size_bytes);
    return block;
}

/* Sizes of one to eight alignments. */
static void run_aligned(struct work *work) {
    const struct work_case *const shape = work->shape;
    struct work_slot *const slots = work_table(shape->live * sizeof(*slots));
    uint64_t random = 19;

    work_start();
    for (uint64_t turn = 0; turn < work->count; turn++) {
        struct work_slot *const slot = &slots[work_below(&random, shape->live)];
        work_empty_slot(&work->books, slot);
        slot->size_bytes = work_between(&random, shape->low, shape->high);
        slot->block = make_aligned(&work->books, shape->low, slot->size_bytes);
    }
    work_stop(work->count);
    for (size_t idx = 0; idx < shape->live; idx++) {
        work_empty_slot(&work->books, &slots[idx]);
    }
}

const struct work_case work_calls[] = {
    {"realloc_small_steps", run_realloc_small, 16, 4096, GROWING_COUNT},
    {"realloc_geometric", run_realloc_half, 64, MIB, GROWING_COUNT},
    {"realloc_large", run_realloc_large, MIB, 32 * MIB, 2},
    {"calloc_fresh_256", run_calloc_fresh, 256, 256, 0},
    {"calloc_fresh_1m", run_calloc_fresh, MIB, MIB, 0},
    {"calloc_recycled_256", run_calloc_recycled, 256, 256, 1000},
    {"calloc_recycled_64k", run_calloc_recycled, 65536, 65536, 50},
    {"aligned_64", run_aligned, 64, 512, 1000},
    {"aligned_4096", run_aligned, 4096, 32768, 500},
    {NULL, NULL, 0, 0, 0},
};
