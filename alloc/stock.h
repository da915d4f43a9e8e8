/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stock — lists of free blocks of one class of one arena, given up by one thread's cache and taken
 * whole by the next: what one thread frees and another one allocates goes round without a look at
 * its slabs.
 *
 * Owns:    the blocks in its lists; to their slabs they are in use.
 * Threads: any; rank AL_RANK_STOCK, held for a few stores.
 * Fails:   give says false: it is full. take says 0 blocks: it is empty.
 * Bound:   AL_STOCK_LIST_COUNT_MAX lists and AL_STOCK_BYTES_MAX a class. What nobody took between
 * two looks (al_stock_is_idle) goes back to the slabs.
 */
#ifndef AL_STOCK_H
#define AL_STOCK_H

#include "alloc/bin.h"

enum {
    AL_STOCK_LIST_COUNT_MAX = 4,
    AL_STOCK_BYTES_MAX = 64 * 1024,
};

struct al_stock {
    AL_ALIGNED(AL_CACHE_LINE_BYTES) struct al_lock lock;

    /* Guarded by lock; list_count is also read without it, as a hint. */
    void *heads[AL_STOCK_LIST_COUNT_MAX];
    uint16_t counts[AL_STOCK_LIST_COUNT_MAX];
    _Atomic uint16_t list_count;
    uint16_t block_count;
    bool is_quiet; /* nothing was taken since the last look */
};
static_assert(sizeof(struct al_stock) == AL_CACHE_LINE_BYTES, "stocks never share a line");

/* False: no room for it; the list is still the caller's. */
AL_NODISCARD bool al_stock_give(struct al_stock *stock, unsigned class_idx, struct al_list list);

/* The list given last, cut if it is more than twice `want`. */
struct al_list al_stock_take(struct al_stock *stock, uint32_t want);

/* Whether there is something that nobody took since the last such question. */
bool al_stock_is_idle(struct al_stock *stock);

/* Forgets all lists: their slabs are given up. */
void al_stock_clear(struct al_stock *stock);

/* Sends all of it to the bin. */
void al_stock_flush(struct al_stock *stock, struct al_bin *bin);

#endif
