/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a thread keeps the few large allocations it has freed last, no more than it may, gives
 *         them to requests of the same number of granules only, and counts each exactly.
 * Method: allocations of known sizes through a cache of an arena of its own.
 */
#include "alloc/tcache.h"

#include "alloc/bits.h"
#include "alloc/malloc.h"
#include "alloc/os.h"
#include "alloc/sample.h"
#include "tests/support/dies.h"
#include "tests/support/own_cache.h"
#include "tests/support/suite.h"

#include <string.h>

enum {
    GRANULE = AL_GRANULE_BYTES,
    SIZE_BYTES = 7 * GRANULE,
    SIZE_MIN_BYTES = AL_SMALL_MAX_BYTES + 1,
};

static uint32_t low_of(const void *ptr) {
    return al_map_entry_low(al_map_entry(ptr));
}

static uint32_t kept_granules(const struct al_tcache *cache) {
    uint32_t sum = 0;
    uint32_t count = 0;

    for (size_t idx = 0; idx < AL_TCACHE_RUN_COUNT; idx++) {
        sum += cache->runs[idx].granules;
        count += cache->runs[idx].granules != 0;
    }
    ck_assert_uint_eq(sum, cache->run_granules);
    ck_assert_uint_le(sum * GRANULE, AL_TCACHE_RUN_BYTES_SUM_MAX);
    ck_assert_uint_le(count, AL_TCACHE_RUN_COUNT);
    return sum;
}

/* `_i`: granules of the request, 5 to 32, the largest that is kept. */
START_TEST(the_same_number_of_granules_comes_back) {
    struct al_tcache *const cache = own_cache_new();
    const size_t most_bytes = (size_t)_i * GRANULE;
    char *const block = memset(al_malloc(most_bytes), 0x5a, most_bytes);

    al_free(block);
    ck_assert_uint_eq(kept_granules(cache), (uint32_t)_i);
    ck_assert_uint_eq(low_of(block), AL_MAP_BUSY);
    for (size_t size = most_bytes - GRANULE + 1; size <= most_bytes; size += 999) {
        char *const again = al_malloc(size);
        ck_assert_ptr_eq(again, block);
        ck_assert_uint_eq(al_malloc_usable_size(again), al_round_up(size, AL_PAGE_BYTES));
        ck_assert_uint_eq(kept_granules(cache), 0);
        ck_assert_uint_eq(low_of(block), AL_MAP_LARGE);
        memset(again, 0x5b, al_malloc_usable_size(again));
        al_free(again);
    }
    for (int more = -1; more <= 1; more += 2) { /* one granule fewer or more: another one's */
        const size_t size = most_bytes + (size_t)more * GRANULE;
        if (size < SIZE_MIN_BYTES) {
            continue;
        }
        char *const other = al_malloc(size);
        ck_assert_ptr_ne(other, block);
        ck_assert_uint_ge(kept_granules(cache), (uint32_t)_i);
        al_free(other);
        ck_assert_ptr_eq(al_malloc(most_bytes), block);
        al_free(block);
    }
    own_cache_end();
}
END_TEST

START_TEST(neither_their_number_nor_their_sum_outgrows_its_bound) {
    struct al_tcache *const cache = own_cache_new();
    uint64_t random = suite_seed(11);
    void *blocks[24];

    for (int round = 0; round < 200; round++) {
        const size_t count = 1 + suite_random(&random) % AL_ARRAY_COUNT(blocks);
        for (size_t idx = 0; idx < count; idx++) {
            const size_t size = SIZE_MIN_BYTES + suite_random(&random) % (512 * 1024);
            blocks[idx] = memset(al_malloc(size), 1, 100);
        }
        for (size_t idx = 0; idx < count; idx++) {
            al_free(blocks[idx]);
            (void)kept_granules(cache);
        }
    }
    ck_assert_uint_gt(kept_granules(cache), 0);
    own_cache_end();
}
END_TEST

START_TEST(what_is_too_large_or_foreign_or_unwanted_is_not_kept) {
    struct al_tcache *const first = own_cache_new();
    void *const large = al_malloc(AL_TCACHE_RUN_BYTES_MAX + 1);
    void *const theirs = al_malloc(SIZE_BYTES);
    struct al_tcache *const second = own_cache_new();

    al_free(large);
    al_free(theirs); /* by a cache of another arena */
    ck_assert_uint_eq(kept_granules(second), 0);
    for (uint32_t mode = AL_TCACHE_EXACT; mode <= AL_TCACHE_OFF; mode *= 2) {
        al_free(al_malloc(SIZE_BYTES));
        ck_assert_uint_eq(kept_granules(second), SIZE_BYTES / GRANULE);
        al_tcache_set_mode(second, mode);
        ck_assert_uint_eq(kept_granules(second), 0);
        al_free(al_malloc(SIZE_BYTES));
        ck_assert_uint_eq(kept_granules(second), 0);
        al_tcache_set_mode(second, 0);
    }
    own_cache_use(first);
    al_free(al_malloc(AL_TCACHE_RUN_BYTES_MAX + 1));
    ck_assert_uint_eq(kept_granules(first), 0);
    own_cache_end();
}
END_TEST

START_TEST(what_nobody_takes_between_two_trims_goes_back) {
    struct al_tcache *const cache = own_cache_new();

    al_free(al_malloc(SIZE_BYTES));
    al_free(al_malloc(SIZE_BYTES)); /* a hit */
    al_tcache_run_trim(cache);
    ck_assert_uint_eq(kept_granules(cache), SIZE_BYTES / GRANULE);
    al_tcache_run_trim(cache);
    ck_assert_uint_eq(kept_granules(cache), 0);
    ck_assert_uint_eq(cache->arena->runs.large_bytes, 0);
    own_cache_end();
}
END_TEST

/* Through hits, misses and evictions; calls too, when all has been given up. */
START_TEST(each_hit_is_counted_like_any_allocation) {
    struct al_tcache *const cache = own_cache_new();
    uint64_t random = suite_seed(13);
    uint64_t allocated_bytes = 0;
    uint64_t freed_bytes = 0;
    uint64_t call_count = 0;
    void *blocks[12] = {NULL};

    for (int step = 0; step < 4000; step++) {
        const size_t at = suite_random(&random) % AL_ARRAY_COUNT(blocks);
        if (blocks[at] == NULL) {
            const size_t size = SIZE_MIN_BYTES + suite_random(&random) % (9 * GRANULE);
            blocks[at] = al_malloc(size);
            allocated_bytes += al_malloc_usable_size(blocks[at]);
            call_count++;
        } else {
            freed_bytes += al_malloc_usable_size(blocks[at]);
            al_free(blocks[at]);
            blocks[at] = NULL;
        }
        ck_assert_uint_eq(al_tcache_allocated_bytes(cache, true), allocated_bytes);
        ck_assert_uint_eq(al_tcache_freed_bytes(cache, true), freed_bytes);
    }
    for (size_t at = 0; at < AL_ARRAY_COUNT(blocks); at++) {
        al_free(blocks[at]);
    }
    al_tcache_run_flush(cache);
    ck_assert_uint_eq(cache->arena->runs.large_malloc_count, call_count);
    ck_assert_uint_eq(cache->arena->runs.large_free_count, call_count);
    own_cache_end();
}
END_TEST

/* A countdown that ends is not passed over by a hit, and one that is old is drawn anew. */
START_TEST(a_hit_counts_down_to_the_next_sample) {
    struct al_tcache *const cache = own_cache_new();
    void *const block = al_malloc(SIZE_BYTES);

    al_sample_store(true, 40);
    al_free(block);
    ck_assert_ptr_null(al_tcache_run_malloc(cache, SIZE_BYTES)); /* another epoch */
    ck_assert(!al_tcache_draw(cache, 1));
    cache->large_countdown = 3 * SIZE_BYTES;
    for (int nth = 1; nth <= 2; nth++) {
        ck_assert_ptr_eq(al_tcache_run_malloc(cache, SIZE_BYTES), block);
        ck_assert_uint_eq(cache->large_countdown, (size_t)(3 - nth) * SIZE_BYTES);
        al_free(block);
    }
    ck_assert_ptr_null(al_tcache_run_malloc(cache, SIZE_BYTES)); /* the third is the sample */
    ck_assert_uint_eq(cache->large_countdown, SIZE_BYTES);
    al_sample_store(false, 19);
    own_cache_end();
}
END_TEST

START_TEST(a_kept_run_is_no_zeroed_memory) {
    (void)own_cache_new();
    for (int round = 0; round < 5; round++) {
        unsigned char *const block = al_calloc(1, SIZE_BYTES);
        for (size_t at = 0; at < SIZE_BYTES; at++) {
            ck_assert_int_eq(block[at], 0);
        }
        memset(block, 0xee, SIZE_BYTES);
        al_free(block);
    }
    own_cache_end();
}
END_TEST

/* ---- misuse ---- */

static void free_twice(void) {
    (void)own_cache_new();
    void *const block = al_malloc(SIZE_BYTES);

    al_free(block);
    al_free(block);
}

static void read_size_of_freed(void) {
    (void)own_cache_new();
    void *const block = al_malloc(SIZE_BYTES);

    al_free(block);
    (void)al_malloc_usable_size(block);
}

START_TEST(a_kept_run_is_free_to_everybody_else) {
    assert_dies(free_twice, "tally: pointer to memory that is already free: 0xADDR\n");
    assert_dies(read_size_of_freed, "tally: pointer to memory that is already free: 0xADDR\n");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("tcache_run");

    tcase_add_loop_test(tcase, the_same_number_of_granules_comes_back, 5, 33);
    tcase_add_test(tcase, neither_their_number_nor_their_sum_outgrows_its_bound);
    tcase_add_test(tcase, what_is_too_large_or_foreign_or_unwanted_is_not_kept);
    tcase_add_test(tcase, what_nobody_takes_between_two_trims_goes_back);
    tcase_add_test(tcase, each_hit_is_counted_like_any_allocation);
    tcase_add_test(tcase, a_hit_counts_down_to_the_next_sample);
    tcase_add_test(tcase, a_kept_run_is_no_zeroed_memory);
    tcase_add_test(tcase, a_kept_run_is_free_to_everybody_else);
    return suite_run(tcase, "tcache_run", 30);
}
