/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what one cache gives up another one takes, block for block: lists are whole and in
 *         order, there are never too many, and what nobody wants goes back to its slabs.
 * Method: lists of known blocks of an arena of its own; then threads that give and take at once,
 *         and a count of every block in the end.
 */
#include "alloc/stock.h"

#include "alloc/class.h"
#include "tests/support/own_cache.h"
#include "tests/support/suite.h"

#include <pthread.h>

enum { CLASS_IDX = 4, LIST_COUNT = 40, THREAD_COUNT = 4, TURN_COUNT = 20000 };

static struct al_stock *stock_of(const struct al_tcache *cache, unsigned class_idx) {
    return &cache->arena->stocks[class_idx];
}

/* Writes the blocks of a list down; the list must have as many as it says. */
static void write_down(struct al_list list, void **blocks) {
    void *block = list.head;

    for (uint32_t idx = 0; idx < list.count; idx++) {
        ck_assert_ptr_nonnull(block);
        blocks[idx] = block;
        block = *(void **)block;
    }
    ck_assert_ptr_null(block);
}

static void assert_list_is(struct al_list list, void *const *blocks, uint32_t count) {
    void *found[LIST_COUNT * 4];

    ck_assert_uint_eq(list.count, count);
    write_down(list, found);
    for (uint32_t idx = 0; idx < count; idx++) {
        ck_assert_ptr_eq(found[idx], blocks[idx]);
    }
}

static void give_back(const struct al_tcache *cache, unsigned class_idx, struct al_list list) {
    al_bin_flush(&cache->arena->bins[class_idx], list);
}

START_TEST(the_last_list_given_is_taken_first_and_whole) {
    struct al_tcache *const cache = own_cache_new();
    struct al_stock *const stock = stock_of(cache, CLASS_IDX);
    void *blocks[AL_STOCK_LIST_COUNT_MAX][LIST_COUNT];

    for (uint32_t nth = 0; nth < AL_STOCK_LIST_COUNT_MAX; nth++) {
        const struct al_list list = own_cache_list(cache, CLASS_IDX, LIST_COUNT - nth);
        write_down(list, blocks[nth]);
        ck_assert(al_stock_give(stock, CLASS_IDX, list));
    }
    for (uint32_t nth = AL_STOCK_LIST_COUNT_MAX; nth-- > 0;) {
        const struct al_list list = al_stock_take(stock, LIST_COUNT);
        assert_list_is(list, blocks[nth], LIST_COUNT - nth);
        ck_assert(!list.is_zeroed);
        give_back(cache, CLASS_IDX, list);
    }
    ck_assert_uint_eq(al_stock_take(stock, 1).count, 0);
    own_cache_end();
}
END_TEST

START_TEST(a_list_too_many_stays_with_its_giver) {
    struct al_tcache *const cache = own_cache_new();
    struct al_stock *const stock = stock_of(cache, CLASS_IDX);
    void *blocks[LIST_COUNT];

    for (uint32_t nth = 0; nth < AL_STOCK_LIST_COUNT_MAX; nth++) {
        ck_assert(al_stock_give(stock, CLASS_IDX, own_cache_list(cache, CLASS_IDX, 1)));
    }
    const struct al_list list = own_cache_list(cache, CLASS_IDX, LIST_COUNT);
    write_down(list, blocks);
    ck_assert(!al_stock_give(stock, CLASS_IDX, list));
    assert_list_is(list, blocks, LIST_COUNT);
    ck_assert_uint_eq(stock->block_count, AL_STOCK_LIST_COUNT_MAX);
    give_back(cache, CLASS_IDX, list);
    own_cache_end(); /* the drain takes the four home */
}
END_TEST

/* Each class, with lists that just fill it, and one block more. */
START_TEST(a_class_never_holds_more_bytes_than_it_may) {
    struct al_tcache *const cache = own_cache_new();

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx += 5) {
        struct al_stock *const stock = stock_of(cache, class_idx);
        const uint32_t fitting = (uint32_t)(AL_STOCK_BYTES_MAX / al_class_bytes(class_idx));
        const struct al_list more = own_cache_list(cache, class_idx, fitting + 1);
        ck_assert(!al_stock_give(stock, class_idx, more));
        give_back(cache, class_idx, more);
        ck_assert(al_stock_give(stock, class_idx, own_cache_list(cache, class_idx, fitting)));
        ck_assert_uint_eq(stock->block_count, fitting);
        const struct al_list one = own_cache_list(cache, class_idx, 1);
        ck_assert(!al_stock_give(stock, class_idx, one));
        give_back(cache, class_idx, one);
        al_stock_flush(stock, &cache->arena->bins[class_idx]);
        ck_assert_uint_eq(own_cache_bin_used(cache, class_idx), 0);
    }
    own_cache_end();
}
END_TEST

/* `_i` blocks are wanted of a list of 40: from 20 on it is not worth cutting. */
START_TEST(a_list_is_cut_when_it_is_more_than_twice_what_is_wanted) {
    struct al_tcache *const cache = own_cache_new();
    struct al_stock *const stock = stock_of(cache, CLASS_IDX);
    const uint32_t want = (uint32_t)_i;
    const bool is_cut = LIST_COUNT > 2 * want;
    void *blocks[LIST_COUNT];

    const struct al_list list = own_cache_list(cache, CLASS_IDX, LIST_COUNT);
    write_down(list, blocks);
    ck_assert(al_stock_give(stock, CLASS_IDX, list));
    const struct al_list taken = al_stock_take(stock, want);
    assert_list_is(taken, blocks, is_cut ? want : LIST_COUNT);
    const struct al_list rest = al_stock_take(stock, LIST_COUNT);
    assert_list_is(rest, blocks + taken.count, LIST_COUNT - taken.count);
    ck_assert_uint_eq(stock->block_count, 0);
    give_back(cache, CLASS_IDX, taken);
    if (is_cut) {
        give_back(cache, CLASS_IDX, rest);
    }
    own_cache_end();
}
END_TEST

START_TEST(idle_is_what_nobody_took_between_two_looks) {
    struct al_tcache *const cache = own_cache_new();
    struct al_stock *const stock = stock_of(cache, CLASS_IDX);

    ck_assert(!al_stock_is_idle(stock)); /* there is nothing */
    ck_assert(al_stock_give(stock, CLASS_IDX, own_cache_list(cache, CLASS_IDX, 3)));
    ck_assert(al_stock_give(stock, CLASS_IDX, own_cache_list(cache, CLASS_IDX, 3)));
    ck_assert(!al_stock_is_idle(stock));
    give_back(cache, CLASS_IDX, al_stock_take(stock, 3));
    ck_assert(!al_stock_is_idle(stock));
    ck_assert(al_stock_is_idle(stock));
    give_back(cache, CLASS_IDX, al_stock_take(stock, 3));
    ck_assert(!al_stock_is_idle(stock));
    own_cache_end();
}
END_TEST

START_TEST(a_drain_takes_idle_lists_home_and_all_when_asked) {
    struct al_tcache *const cache = own_cache_new();
    struct al_stock *const stock = stock_of(cache, CLASS_IDX);

    for (int all = 0; all <= 1; all++) {
        ck_assert(al_stock_give(stock, CLASS_IDX, own_cache_list(cache, CLASS_IDX, 5)));
        ck_assert(al_stock_give(stock, CLASS_IDX, own_cache_list(cache, CLASS_IDX, 7)));
        give_back(cache, CLASS_IDX, al_stock_take(stock, 7)); /* it is not quiet */
        al_arena_drain(cache->arena, all == 1);
        ck_assert_uint_eq(stock->block_count, all == 1 ? 0 : 5);
        ck_assert_uint_eq(own_cache_bin_used(cache, CLASS_IDX), all == 1 ? 0 : 5);
        al_arena_drain(cache->arena, false);
        ck_assert_uint_eq(stock->block_count, 0);
        ck_assert_uint_eq(cache->arena->bins[CLASS_IDX].slab_count, 0);
    }
    own_cache_end();
}
END_TEST

/* What each thread does with one arena: no block may be in two hands, none may be lost. */
static void *give_and_take(void *arg) {
    struct al_arena *const arena = arg;
    struct al_stock *const stock = &arena->stocks[CLASS_IDX];
    struct al_bin *const bin = &arena->bins[CLASS_IDX];

    for (uint32_t turn = 0; turn < TURN_COUNT; turn++) {
        struct al_list list = al_stock_take(stock, 1 + turn % 7);
        if (list.count == 0) {
            list = al_bin_fill(bin, CLASS_IDX, 1 + turn % 11);
        }
        uint32_t count = 0;
        for (void **block = list.head; block != NULL; block = *block) {
            block[1] = &count; /* whose it is */
            count++;
        }
        for (void **block = list.head; block != NULL; block = *block) {
            ck_assert_ptr_eq(block[1], &count);
        }
        ck_assert_uint_eq(count, list.count);
        if (!al_stock_give(stock, CLASS_IDX, list)) {
            al_bin_flush(bin, list);
        }
        if (turn % 64 == 0 && al_stock_is_idle(stock)) {
            al_stock_flush(stock, bin);
        }
    }
    return NULL;
}

START_TEST(threads_lose_no_block_and_share_none) {
    struct al_tcache *const cache = own_cache_new();
    pthread_t threads[THREAD_COUNT];

    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        ck_assert_int_eq(pthread_create(&threads[idx], NULL, give_and_take, cache->arena), 0);
    }
    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
    }
    ck_assert_uint_eq(own_cache_bin_used(cache, CLASS_IDX),
                      stock_of(cache, CLASS_IDX)->block_count);
    own_cache_end();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("stock");

    tcase_add_test(tcase, the_last_list_given_is_taken_first_and_whole);
    tcase_add_test(tcase, a_list_too_many_stays_with_its_giver);
    tcase_add_test(tcase, a_class_never_holds_more_bytes_than_it_may);
    tcase_add_loop_test(tcase, a_list_is_cut_when_it_is_more_than_twice_what_is_wanted, 1, 42);
    tcase_add_test(tcase, idle_is_what_nobody_took_between_two_looks);
    tcase_add_test(tcase, a_drain_takes_idle_lists_home_and_all_when_asked);
    tcase_add_test(tcase, threads_lose_no_block_and_share_none);
    return suite_run(tcase, "stock", 30);
}
