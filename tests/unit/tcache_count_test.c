/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a thread's bytes are read off its lists exactly, whoever has the cache next begins at
 *         zero, and a broken list is found by the walk that looks for it.
 * Method: random operations beside a book; caches that change hands; lists broken by hand in a
 *         child that must die with the name of the invariant.
 */
#include "alloc/tcache.h"

#include "alloc/malloc.h"
#include "alloc/sample.h"
#include "tests/support/dies.h"
#include "tests/support/own_cache.h"
#include "tests/support/suite.h"

enum { LIVE_COUNT = 500, STEP_COUNT = 5000, OWNER_COUNT = 20, CLASS_IDX = 4, SIZE_BYTES = 64 };

static void *blocks[LIVE_COUNT];

/* One thread's life with the cache: what it allocates and frees, some of it others' before it. */
static void live(uint64_t *random, uint64_t *allocated_bytes, uint64_t *freed_bytes) {
    for (int step = 0; step < STEP_COUNT; step++) {
        const size_t at = suite_random(random) % LIVE_COUNT;
        const size_t size =
            suite_random(random) % 40 == 0 ? 100000 : 1 + suite_random(random) % 3000;
        if (blocks[at] == NULL) {
            blocks[at] = al_malloc(size);
            *allocated_bytes += al_malloc_usable_size(blocks[at]);
        } else {
            *freed_bytes += al_malloc_usable_size(blocks[at]);
            al_free(blocks[at]);
            blocks[at] = NULL;
        }
    }
}

START_TEST(each_owner_of_a_cache_counts_its_own) {
    struct al_tcache *const cache = own_cache_new();
    uint64_t random = suite_seed(17);

    al_sample_store(true, 14);
    for (int owner = 0; owner < OWNER_COUNT; owner++) {
        uint64_t allocated_bytes = 0;
        uint64_t freed_bytes = 0;
        uint64_t taken[2] = {0, 0};
        live(&random, &allocated_bytes, &freed_bytes);
        ck_assert_uint_eq(al_tcache_allocated_bytes(cache, true), allocated_bytes);
        ck_assert_uint_eq(al_tcache_freed_bytes(cache, true), freed_bytes);
        if (owner % 2 == 0) {
            al_tcache_shrink(cache); /* as at a thread's end */
        }
        al_tcache_take_counts(cache, &taken[0], &taken[1]);
        ck_assert_uint_eq(taken[0], allocated_bytes);
        ck_assert_uint_eq(taken[1], freed_bytes);
        ck_assert_uint_eq(al_tcache_allocated_bytes(cache, true), 0);
        ck_assert_uint_eq(al_tcache_freed_bytes(cache, true), 0);
        al_tcache_check(cache);
    }
    al_sample_store(false, 19);
    for (size_t at = 0; at < LIVE_COUNT; at++) {
        al_free(blocks[at]);
        blocks[at] = NULL;
    }
    own_cache_end();
}
END_TEST

/* Others cannot walk its lists: what lies in `alloc` counts as allocated, in `freed` as not. */
START_TEST(others_see_too_many_by_what_the_lists_hold) {
    struct al_tcache *const cache = own_cache_new();
    struct al_tcache_bin *const bin = &cache->bins[CLASS_IDX];

    for (size_t idx = 0; idx < 100; idx++) {
        blocks[idx] = al_malloc(SIZE_BYTES);
    }
    for (size_t idx = 0; idx < 100; idx++) {
        uint64_t kept_count = 0;
        al_free(blocks[idx]);
        blocks[idx] = NULL;
        for (const void *block = bin->alloc; block != NULL; block = *(void *const *)block) {
            kept_count++;
        }
        ck_assert_uint_eq(al_tcache_allocated_bytes(cache, false),
                          al_tcache_allocated_bytes(cache, true) + kept_count * SIZE_BYTES);
        ck_assert_uint_eq(al_tcache_freed_bytes(cache, false),
                          al_tcache_freed_bytes(cache, true) -
                              (uint64_t)(bin->flim - bin->room) * SIZE_BYTES);
    }
    own_cache_end();
}
END_TEST

/* ---- broken lists ---- */

static struct al_tcache *cache_in_use(void) {
    struct al_tcache *const cache = own_cache_new();

    blocks[0] = al_malloc(SIZE_BYTES);
    al_free(al_malloc(SIZE_BYTES));
    al_tcache_check(cache);
    return cache;
}

static void break_freed(void) {
    struct al_tcache *const cache = cache_in_use();

    cache->bins[CLASS_IDX].room--;
    al_tcache_check(cache);
}

static void break_rest(void) {
    struct al_tcache *const cache = cache_in_use();

    cache->cold[CLASS_IDX].rest = blocks[0];
    al_tcache_check(cache);
}

static void break_countdown(void) {
    struct al_tcache *const cache = cache_in_use();

    cache->cold[CLASS_IDX].is_pending = true;
    cache->cold[CLASS_IDX].countdown = 1; /* alloc holds more than none */
    al_tcache_check(cache);
}

static void break_mode(void) {
    struct al_tcache *const cache = cache_in_use();

    cache->mode = AL_TCACHE_EXACT;
    al_tcache_check(cache);
}

static void break_hidden(void) {
    struct al_tcache *const cache = cache_in_use();

    al_tcache_set_mode(cache, AL_TCACHE_EXACT);
    al_free(blocks[0]);
    cache->cold[CLASS_IDX].hidden_count++;
    al_tcache_check(cache);
}

static void break_off(void) {
    struct al_tcache *const cache = cache_in_use();

    al_tcache_set_mode(cache, AL_TCACHE_EXACT);
    al_free(blocks[0]);
    cache->mode |= AL_TCACHE_OFF;
    al_tcache_check(cache);
}

START_TEST(a_broken_list_is_named) {
    assert_dies(break_freed, "tally: internal: tcache I1: freed list\n");
    assert_dies(break_rest, "tally: internal: tcache I2: rest list\n");
    assert_dies(break_countdown, "tally: internal: tcache I2: rest list\n");
    assert_dies(break_mode, "tally: internal: tcache I3: mode\n");
    assert_dies(break_hidden, "tally: internal: tcache I4: hidden list\n");
    assert_dies(break_off, "tally: internal: tcache I4: hidden list\n");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("tcache_count");

    tcase_add_test(tcase, each_owner_of_a_cache_counts_its_own);
    tcase_add_test(tcase, others_see_too_many_by_what_the_lists_hold);
    tcase_add_test(tcase, a_broken_list_is_named);
    return suite_run(tcase, "tcache_count", 30);
}
