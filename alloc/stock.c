/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stock — a short stack of lists, behind a lock of its own: a bin that is filled from its slabs
 * does not keep it waiting.
 */
#include "alloc/stock.h"

#include "alloc/class.h"

enum { LONG_LIST_FACTOR = 2, BLOCK_COUNT_MAX = UINT16_MAX };

static uint16_t list_count(const struct al_stock *stock) {
    return atomic_load_explicit(&stock->list_count, memory_order_relaxed);
}

static void set_list_count_locked(struct al_stock *stock, uint16_t count) {
    al_lock_assert_held(&stock->lock);
    atomic_store_explicit(&stock->list_count, count, memory_order_relaxed);
}

bool al_stock_give(struct al_stock *stock, unsigned class_idx, struct al_list list) {
    AL_ASSERT(list.head != NULL && list.count > 0);
    const size_t size_bytes = al_class_bytes(class_idx);
    bool is_given = false;

    if (list_count(stock) == AL_STOCK_LIST_COUNT_MAX || list.count > BLOCK_COUNT_MAX) {
        return false;
    }
    al_lock_take(&stock->lock, AL_RANK_STOCK);
    const uint16_t count = list_count(stock);
    const size_t sum = (size_t)stock->block_count + list.count;
    if (count < AL_STOCK_LIST_COUNT_MAX && sum <= BLOCK_COUNT_MAX &&
        sum * size_bytes <= AL_STOCK_BYTES_MAX) {
        stock->heads[count] = list.head;
        stock->counts[count] = (uint16_t)list.count;
        stock->block_count = (uint16_t)sum;
        set_list_count_locked(stock, (uint16_t)(count + 1));
        is_given = true;
    }
    al_lock_give(&stock->lock);
    return is_given;
}

static struct al_list pop_locked(struct al_stock *stock, uint16_t count) {
    al_lock_assert_held(&stock->lock);
    AL_ASSERT(count > 0);
    const struct al_list list = {stock->heads[count - 1], stock->counts[count - 1], false};

    stock->block_count = (uint16_t)(stock->block_count - list.count);
    set_list_count_locked(stock, (uint16_t)(count - 1));
    return list;
}

/* Keeps what is behind the first `want` blocks, which the caller is about to use anyway. */
static void cut_locked(struct al_stock *stock, uint16_t count, struct al_list *list,
                       uint32_t want) {
    al_lock_assert_held(&stock->lock);
    void *last = list->head;

    for (uint32_t idx = 1; idx < want; idx++) {
        last = *(void **)last;
    }
    stock->heads[count - 1] = *(void **)last;
    stock->counts[count - 1] = (uint16_t)(list->count - want);
    stock->block_count = (uint16_t)(stock->block_count + list->count - want);
    set_list_count_locked(stock, count);
    *(void **)last = NULL;
    list->count = want;
}

struct al_list al_stock_take(struct al_stock *stock, uint32_t want) {
    AL_ASSERT(want > 0);
    struct al_list list = {NULL, 0, false};

    if (list_count(stock) == 0) {
        return list;
    }
    al_lock_take(&stock->lock, AL_RANK_STOCK);
    const uint16_t count = list_count(stock);
    if (count != 0) {
        list = pop_locked(stock, count);
        stock->is_quiet = false;
        if (list.count > LONG_LIST_FACTOR * want) {
            cut_locked(stock, count, &list, want);
        }
    }
    al_lock_give(&stock->lock);
    return list;
}

bool al_stock_is_idle(struct al_stock *stock) {
    if (list_count(stock) == 0) {
        return false;
    }
    al_lock_take(&stock->lock, AL_RANK_STOCK);
    const bool is_idle = stock->is_quiet && list_count(stock) != 0;
    stock->is_quiet = true;
    al_lock_give(&stock->lock);
    return is_idle;
}

void al_stock_clear(struct al_stock *stock) {
    al_lock_take(&stock->lock, AL_RANK_STOCK);
    stock->block_count = 0;
    set_list_count_locked(stock, 0);
    al_lock_give(&stock->lock);
}

void al_stock_flush(struct al_stock *stock, struct al_bin *bin) {
    struct al_list list = {NULL, 0, false};

    do { /* ends: others may give meanwhile, but no more than this thread takes */
        list = al_stock_take(stock, UINT32_MAX / LONG_LIST_FACTOR);
        if (list.count != 0) {
            al_bin_flush(bin, list);
        }
    } while (list.count != 0);
}
