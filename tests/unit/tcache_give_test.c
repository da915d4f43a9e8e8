/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what leaves a cache goes on whole: a flush leaves nothing, a trim leaves what is in use,
 * an ended thread's cache keeps little and the next cache of the arena finds the rest. Method:
 * caches filled in every place there is; the bins' counts of blocks in use tell what is still with
 * somebody.
 */
#include "alloc/tcache.h"

#include "alloc/malloc.h"
#include "tests/support/own_cache.h"
#include "tests/support/suite.h"

#include <string.h>

enum {
    TRIM_TICKS = 64,
    QUIET_TICKS = 512,
    TRIM_CLASS_COUNT = 13, /* looked at by one */
    TRIMS_ROUND = (AL_CLASS_COUNT - 1) / TRIM_CLASS_COUNT + 1,
    PARKED_BYTES_MAX = 2048,
    START_BYTES = 1024,
    BLOCK_COUNT = 600,
};

static void *blocks[BLOCK_COUNT];

static uint32_t length(const void *block) {
    uint32_t count = 0;

    for (; block != NULL; block = *(void *const *)block) {
        count++;
    }
    return count;
}

/* Takes and gives so much of a class that its lists have grown. */
static void use(unsigned class_idx, size_t count) {
    const size_t size_bytes = al_class_bytes(class_idx);

    for (size_t idx = 0; idx < count; idx++) {
        blocks[idx] = memset(al_malloc(size_bytes), 1, size_bytes);
    }
    for (size_t idx = 0; idx < count; idx++) {
        al_free(blocks[idx]);
    }
}

static void use_all(void) {
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const size_t many = 200000 / al_class_bytes(class_idx);
        use(class_idx, many < BLOCK_COUNT ? many + 1 : BLOCK_COUNT);
    }
}

static uint64_t cached_blocks(const struct al_tcache *cache, unsigned class_idx) {
    return own_cache_bin_used(cache, class_idx) - cache->arena->stocks[class_idx].block_count;
}

START_TEST(a_flush_leaves_nothing_anywhere) {
    static const uint32_t modes[] = {0, AL_TCACHE_EXACT, AL_TCACHE_OFF};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(modes); idx++) {
        struct al_tcache *const other = own_cache_new();
        void *const foreign = al_malloc(100);
        struct al_tcache *const cache = own_cache_new();
        al_tcache_set_mode(cache, modes[idx]);
        use_all();
        al_free(al_malloc(100000));
        al_free(foreign);
        al_tcache_flush(cache);
        for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
            ck_assert_ptr_null(cache->bins[class_idx].alloc);
            ck_assert_ptr_null(cache->bins[class_idx].freed);
            ck_assert_ptr_null(cache->cold[class_idx].rest);
            ck_assert_ptr_null(cache->cold[class_idx].hidden);
            ck_assert_uint_eq(cached_blocks(cache, class_idx), 0);
        }
        ck_assert_uint_eq(cache->arena->runs.large_bytes, 0);
        al_tcache_flush(other);
        ck_assert_uint_eq(own_cache_bin_used(other, al_class_of(100)), 0);
    }
    own_cache_end();
}
END_TEST

START_TEST(an_ended_threads_cache_keeps_little) {
    struct al_tcache *const cache = own_cache_new();

    use_all();
    ck_assert_uint_gt(cache->grown_bytes, 0);
    al_tcache_shrink(cache);
    al_tcache_check(cache);
    ck_assert_uint_eq(cache->grown_bytes, 0);
    ck_assert_uint_eq(cache->volume_bytes, 0);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const struct al_tcache_bin *const bin = &cache->bins[class_idx];
        const size_t size_bytes = al_class_bytes(class_idx);
        const size_t start = START_BYTES / size_bytes > 1 ? START_BYTES / size_bytes : 1;
        ck_assert_uint_eq(bin->flim, start);
        ck_assert_uint_le(length(bin->alloc) * size_bytes, PARKED_BYTES_MAX);
        ck_assert_uint_lt(length(bin->freed), start);
        ck_assert_uint_ge(bin->room, 1);
        ck_assert_uint_eq(cached_blocks(cache, class_idx), length(bin->alloc) + length(bin->freed));
    }
    use_all(); /* it goes on as any cache */
    own_cache_end();
}
END_TEST

/* `_i` blocks lie in the freed list, and more than may stay in the other one; a sample may come
 * behind its end.
 */
START_TEST(a_short_freed_list_stays_and_a_long_or_cut_list_goes) {
    enum { CLASS_IDX = 4, SIZE_BYTES = 64, KEPT_COUNT = PARKED_BYTES_MAX / SIZE_BYTES };
    struct al_tcache *const cache = own_cache_new();
    struct al_tcache_bin *const bin = &cache->bins[CLASS_IDX];
    struct al_tcache_cold *const cold = &cache->cold[CLASS_IDX];
    const uint32_t freed_count = (uint32_t)_i;

    for (int turn = 0; turn < 3; turn++) {
        const uint32_t count = turn == 0 ? KEPT_COUNT + 1 : KEPT_COUNT;
        struct al_list list = own_cache_list(cache, CLASS_IDX, freed_count);
        for (uint32_t idx = 0; idx < freed_count; idx++) {
            void *const next = *(void **)list.head;
            al_free(list.head);
            list.head = next;
        }
        bin->alloc = own_cache_list(cache, CLASS_IDX, count).head;
        cold->is_pending = turn == 2;
        cold->countdown = count + 1;
        al_tcache_shrink(cache);
        al_tcache_check(cache);
        ck_assert(!cold->is_pending);
        ck_assert_uint_eq(cold->countdown, turn == 0 ? 2 * count + 1 : count + 1);
        ck_assert_uint_eq(length(bin->alloc), turn == 1 ? KEPT_COUNT : 0);
        ck_assert_uint_eq(length(bin->freed), freed_count);
        ck_assert_uint_eq(bin->room, START_BYTES / SIZE_BYTES - freed_count);
        al_tcache_flush(cache);
    }
    own_cache_end();
}
END_TEST

/* What one gives up the next one of the arena takes: not a block comes from a slab. */
START_TEST(the_next_cache_takes_the_list_whole) {
    enum { CLASS_IDX = 4, COUNT = 200 };
    struct al_tcache *const cache = own_cache_new();
    const struct al_bin *const bin = &cache->arena->bins[CLASS_IDX];

    use(CLASS_IDX, COUNT);
    al_tcache_shrink(cache);
    const uint32_t stocked_count = cache->arena->stocks[CLASS_IDX].block_count;
    ck_assert_uint_ge(stocked_count, COUNT / 4);
    const uint64_t used_before = bin->used_count;
    (void)own_cache_beside(cache);
    void *const block = al_malloc(al_class_bytes(CLASS_IDX));
    ck_assert_uint_lt(cache->arena->stocks[CLASS_IDX].block_count, stocked_count);
    ck_assert_uint_eq(bin->used_count, used_before);
    al_free(block);
    own_cache_end();
}
END_TEST

/* ---- trims ---- */

static void trim_round(struct al_tcache *cache) {
    for (unsigned turn = 0; turn < TRIMS_ROUND; turn++) {
        cache->tick |= TRIM_TICKS - 1;
        al_tcache_visit(cache, 0);
    }
}

START_TEST(a_trim_empties_what_is_quiet_and_nothing_else) {
    enum { BUSY_IDX = 4, QUIET_IDX = 20 };
    struct al_tcache *const cache = own_cache_new();
    const struct al_tcache_bin *const quiet = &cache->bins[QUIET_IDX];

    use(BUSY_IDX, BLOCK_COUNT);
    use(QUIET_IDX, BLOCK_COUNT);
    trim_round(cache);
    ck_assert_uint_gt(cached_blocks(cache, QUIET_IDX), 0); /* not yet */
    ck_assert_uint_gt(quiet->flim, START_BYTES / al_class_bytes(QUIET_IDX));
    cache->tick += QUIET_TICKS;
    use(BUSY_IDX, BLOCK_COUNT);
    const uint64_t busy_before = cached_blocks(cache, BUSY_IDX);
    const uint32_t flim_before = cache->bins[BUSY_IDX].flim;
    trim_round(cache);
    ck_assert_uint_eq(cached_blocks(cache, BUSY_IDX), busy_before);
    ck_assert_uint_eq(cache->bins[BUSY_IDX].flim, flim_before);
    ck_assert_uint_eq(cached_blocks(cache, QUIET_IDX), 0);
    ck_assert_uint_eq(quiet->flim, START_BYTES / al_class_bytes(QUIET_IDX));
    ck_assert_uint_eq(quiet->room, quiet->flim);
    al_tcache_check(cache);
    own_cache_end();
}
END_TEST

START_TEST(a_trim_takes_home_what_lies_about_in_the_arena) {
    enum { CLASS_IDX = 30 };
    struct al_tcache *const cache = own_cache_new();
    struct al_arena *const arena = cache->arena;

    ck_assert(
        al_stock_give(&arena->stocks[CLASS_IDX], CLASS_IDX, own_cache_list(cache, CLASS_IDX, 9)));
    void *const block = al_malloc(al_class_bytes(CLASS_IDX));
    ck_assert_uint_gt(arena->bins[CLASS_IDX].slab_count, 0);
    struct al_tcache *const away = own_cache_new();
    al_free(block); /* from another arena */
    al_tcache_flush(away);
    own_cache_use(cache);
    cache->tick += QUIET_TICKS;
    trim_round(cache); /* a first look at the stock */
    trim_round(cache);
    ck_assert_uint_eq(arena->stocks[CLASS_IDX].block_count, 0);
    ck_assert_uint_eq(arena->bins[CLASS_IDX].used_count, 0);
    ck_assert_uint_eq(arena->bins[CLASS_IDX].slab_count, 0);
    own_cache_end();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("tcache_give");

    tcase_add_test(tcase, a_flush_leaves_nothing_anywhere);
    tcase_add_test(tcase, an_ended_threads_cache_keeps_little);
    tcase_add_loop_test(tcase, a_short_freed_list_stays_and_a_long_or_cut_list_goes, 0, 16);
    tcase_add_test(tcase, the_next_cache_takes_the_list_whole);
    tcase_add_test(tcase, a_trim_empties_what_is_quiet_and_nothing_else);
    tcase_add_test(tcase, a_trim_takes_home_what_lies_about_in_the_arena);
    return suite_run(tcase, "tcache_give", 30);
}
