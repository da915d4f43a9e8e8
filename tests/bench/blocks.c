/* SPDX-License-Identifier: BSD-2-Clause
 *
 * blocks — malloc and free of one thread, in the orders programs use.
 *
 * Question: what does a malloc and its free cost: freed at once, in batches (last in first out,
 *           first in first out, shuffled), and when a random one of many live blocks is replaced?
 * Unit:     an operation is a malloc with its free; low and high are block sizes.
 * Honest:   what is live at first is made before the clock starts; the last drain is not timed.
 */
#include "tests/bench/work.h"

enum { BATCH_COUNT = 1000 };

static void run_pair(struct work *work) {
    struct work_books *const books = &work->books;
    const size_t size_bytes = work->shape->low;

    work_start();
    for (uint64_t turn = 0; turn < work->count; turn++) {
        work_drop(books, work_make(books, size_bytes), size_bytes);
    }
    work_stop(work->count);
}

static void fill_batch(struct work *work, char **batch) {
    for (size_t idx = 0; idx < BATCH_COUNT; idx++) {
        batch[idx] = work_make(&work->books, work->shape->low);
    }
}

/* Makes a batch, frees it in the order given; over and over. */
static void run_batches(struct work *work, const size_t *order) {
    char *batch[BATCH_COUNT];
    uint64_t done = 0;

    work_start();
    while (done < work->count) {
        fill_batch(work, batch);
        for (size_t idx = 0; idx < BATCH_COUNT; idx++) {
            work_drop(&work->books, batch[order[idx]], work->shape->low);
        }
        done += BATCH_COUNT;
    }
    work_stop(done);
}

static void run_lifo(struct work *work) {
    size_t order[BATCH_COUNT];

    for (size_t idx = 0; idx < BATCH_COUNT; idx++) {
        order[idx] = BATCH_COUNT - 1 - idx;
    }
    run_batches(work, order);
}

static void run_fifo(struct work *work) {
    size_t order[BATCH_COUNT];

    for (size_t idx = 0; idx < BATCH_COUNT; idx++) {
        order[idx] = idx;
    }
    run_batches(work, order);
}

/* Fisher and Yates. One order for all batches: the allocator cannot know it. */
static void run_shuffled(struct work *work) {
    size_t order[BATCH_COUNT];
    uint64_t random = 7;

    for (size_t idx = 0; idx < BATCH_COUNT; idx++) {
        const size_t other = work_below(&random, idx + 1);
        order[idx] = order[other];
        order[other] = idx;
    }
    run_batches(work, order);
}

/* Keeps `live` blocks and replaces one at random each turn. */
static void run_replace(struct work *work) {
    const struct work_case *const shape = work->shape;
    struct work_books *const books = &work->books;
    struct work_slot *const slots = work_table(shape->live * sizeof(*slots));
    uint64_t random = 11;

    for (size_t idx = 0; idx < shape->live; idx++) {
        work_fill_slot(books, &slots[idx], work_between(&random, shape->low, shape->high));
    }
    work_start();
    for (uint64_t turn = 0; turn < work->count; turn++) {
        struct work_slot *const slot = &slots[work_below(&random, shape->live)];
        work_empty_slot(books, slot);
        work_fill_slot(books, slot, work_between(&random, shape->low, shape->high));
    }
    work_stop(work->count);
    for (size_t idx = 0; idx < shape->live; idx++) {
        work_empty_slot(books, &slots[idx]);
    }
}

/* Blocks of low to high bytes, all pages written; about `live` MiB of them at any time. */
static void run_large(struct work *work) {
    const struct work_case *const shape = work->shape;
    const size_t live_bytes_max = shape->live << 20;
    struct work_slot *const slots = work_table((live_bytes_max / shape->low + 1) * sizeof(*slots));
    size_t slot_count = 0;
    size_t live_bytes = 0;
    uint64_t random = 13;

    work_start();
    for (uint64_t turn = 0; turn < work->count; turn++) {
        const size_t size_bytes = work_between(&random, shape->low, shape->high);
        while (slot_count > 0 && live_bytes + size_bytes > live_bytes_max) {
            struct work_slot *const slot = &slots[work_below(&random, slot_count)];
            work_drop_pages(&work->books, slot->block, slot->size_bytes);
            live_bytes -= slot->size_bytes;
            *slot = slots[--slot_count];
        }
        slots[slot_count].block = work_make_pages(&work->books, size_bytes);
        slots[slot_count++].size_bytes = size_bytes;
        live_bytes += size_bytes;
    }
    work_stop(work->count);
    while (slot_count > 0) {
        slot_count--;
        work_drop_pages(&work->books, slots[slot_count].block, slots[slot_count].size_bytes);
    }
}

const struct work_case work_blocks[] = {
    {"pair_64", run_pair, 64, 64, 1},
    {"batch_lifo_64", run_lifo, 64, 64, 0},
    {"batch_fifo_64", run_fifo, 64, 64, 0},
    {"batch_random_64", run_shuffled, 64, 64, 0},
    {"replace_64_1k", run_replace, 64, 64, 1000},
    {"replace_64_10k", run_replace, 64, 64, 10000},
    {"replace_64_100k", run_replace, 64, 64, 100000},
    {"mixed_16_528_20k", run_replace, 16, 528, 20000},
    {"pair_1k", run_pair, 1024, 1024, 1},
    {"replace_1k_5k", run_replace, 1024, 1024, 5000},
    {"pair_8k", run_pair, 8192, 8192, 1},
    {"replace_8k_1k", run_replace, 8192, 8192, 1000},
    {"pair_100k", run_pair, 102400, 102400, 1},
    {"replace_100k_200", run_replace, 102400, 102400, 200},
    {"large_1m_30m", run_large, 1 << 20, 30 << 20, 100},
    {NULL, NULL, 0, 0, 0},
};
