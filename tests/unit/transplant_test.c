/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a taken run gets the pages of free runs: all that fit, none that another one needs, none
 * if the kernel refuses; who wants zeroes gets zeroes; the books stay right. Method: a heap of its
 * own, walked by al_runs_check after each step; what is resident, by mincore.
 */
#include "alloc/malloc.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/purge.h"
#include "alloc/thread.h"
#include "alloc/transplant.h"
#include "tests/support/suite.h"

#include <string.h>
#include <sys/mman.h>

enum { UNIT = 512 * 1024 / AL_GRANULE_BYTES, HEAP_IDX = 1000, PAGES_MAX = 16 * 1024 };

static struct al_runs runs;

static uint32_t take(uint32_t granules) {
    const uint32_t idx = al_extent_take();
    bool ignored = false;

    ck_assert_uint_ne(idx, 0);
    ck_assert(al_runs_take(&runs, idx, granules, 1, AL_RUNS_LARGE, &ignored));
    return idx;
}

static bool can_move(void) {
    return al_os_is_linux(6, 17);
}

static void publish(uint32_t idx) {
    const struct al_extent *const run = al_extent_at(idx);

    al_map_set(run->base_addr, run->granules, al_map_entry_make(idx, AL_MAP_LARGE));
}

static void setup(void) {
    al_free(al_malloc(1)); /* the map is there */
    al_runs_init(&runs, HEAP_IDX, (const ssize_t[AL_STALE_COUNT]){-1, 0});
    /* One clean run that all others are cut from, in order. */
    const uint32_t idx = take(100 * UNIT);
    publish(idx);
    al_runs_give(&runs, idx, AL_RUNS_LARGE, false);
    publish(take(1));
}

static uint32_t take_dirty(uint32_t granules) {
    const uint32_t idx = take(granules);

    publish(idx);
    memset((void *)al_extent_at(idx)->base_addr, 0x5a, al_extent_bytes(al_extent_at(idx)));
    return idx;
}

static void give(uint32_t idx) {
    al_runs_give(&runs, idx, AL_RUNS_LARGE, true);
    al_runs_check(&runs);
}

static size_t resident_bytes(uint32_t idx) {
    static unsigned char pages[PAGES_MAX];
    const struct al_extent *const run = al_extent_at(idx);
    size_t count = 0;

    ck_assert_uint_le(al_extent_bytes(run), (size_t)PAGES_MAX * AL_PAGE_BYTES);
    ck_assert_int_eq(mincore((void *)run->base_addr, al_extent_bytes(run), pages), 0);
    for (size_t page = 0; page < al_extent_bytes(run) / AL_PAGE_BYTES; page++) {
        count += pages[page] & 1;
    }
    return count * AL_PAGE_BYTES;
}

/* A dirty free run of `dirty` granules that cannot merge with what is taken next, and a clean run
 * of `granules`, taken and not yet published.
 */
static uint32_t donor_and_clean(uint32_t dirty, uint32_t granules) {
    const uint32_t donor = take_dirty(dirty);

    publish(take(1)); /* stays between the two */
    give(donor);
    ck_assert_uint_eq(runs.stale_granules[AL_STALE_DIRTY], dirty);
    return take(granules);
}

START_TEST(a_clean_run_gets_the_pages_of_a_dirty_one) {
    const uint32_t idx = donor_and_clean(8 * UNIT, 12 * UNIT);

    ck_assert_uint_eq(resident_bytes(idx), 0);
    ck_assert_int_eq(al_transplant(&runs, al_extent_at(idx)),
                     can_move() ? AL_OS_MOVED : AL_OS_STAYED);
    publish(idx);
    al_runs_check(&runs);
    ck_assert_uint_eq(resident_bytes(idx), can_move() ? (size_t)8 * 512 * 1024 : 0);
    ck_assert_uint_eq(runs.stale_granules[AL_STALE_DIRTY], can_move() ? 0 : 8 * UNIT);

    /* What the donor was reads as zero from now on, and is said to. */
    const uint32_t again = al_extent_take();
    bool is_zeroed = false;
    ck_assert(al_runs_take(&runs, again, 8 * UNIT, 1, AL_RUNS_LARGE, &is_zeroed));
    publish(again);
    const char *const bytes = (const char *)al_extent_at(again)->base_addr;
    for (size_t at = 0; is_zeroed && at < al_extent_bytes(al_extent_at(again)); at += 512) {
        ck_assert_int_eq(bytes[at], 0);
    }
    ck_assert(is_zeroed || !can_move());
}
END_TEST

START_TEST(only_what_fits_is_taken) {
    const uint32_t idx = donor_and_clean(60 * UNIT, 5 * UNIT);
    const enum al_os_moved moved = al_transplant(&runs, al_extent_at(idx));

    publish(idx);
    al_runs_check(&runs);
    ck_assert_int_eq(moved, can_move() ? AL_OS_MOVED : AL_OS_STAYED);
    if (can_move()) { /* ends and what lies outside of whole units stay clean */
        ck_assert_uint_ge(resident_bytes(idx), (size_t)3 * 512 * 1024);
        ck_assert_uint_lt(resident_bytes(idx), al_extent_bytes(al_extent_at(idx)));
        ck_assert_uint_eq(runs.stale_granules[AL_STALE_DIRTY],
                          60 * UNIT - (resident_bytes(idx) >> AL_GRANULE_LG));
    }
}
END_TEST

START_TEST(several_donors_fill_one_run) {
    uint32_t donors[4];

    for (size_t at = 0; at < 4; at++) {
        donors[at] = take_dirty(2 * UNIT + (uint32_t)at);
        publish(take(1));
    }
    for (size_t at = 0; at < 4; at++) {
        give(donors[at]);
    }
    const uint32_t idx = take(20 * UNIT);
    ck_assert_int_eq(al_transplant(&runs, al_extent_at(idx)),
                     can_move() ? AL_OS_MOVED : AL_OS_STAYED);
    publish(idx);
    al_runs_check(&runs);
    ck_assert_uint_eq(resident_bytes(idx), can_move() ? (size_t)8 * 512 * 1024 : 0);
}
END_TEST

START_TEST(too_little_is_left_alone) {
    const uint32_t small = donor_and_clean(UNIT - 1, 8 * UNIT);

    ck_assert_int_eq(al_transplant(&runs, al_extent_at(small)), AL_OS_STAYED);
    publish(small);
    give(small);
    give(take_dirty(8 * UNIT));
    publish(take(8 * UNIT));         /* the dirty one itself */
    const uint32_t idx = take(UNIT); /* holds no whole unit between its ends */
    ck_assert_int_eq(al_transplant(&runs, al_extent_at(idx)), AL_OS_STAYED);
    publish(idx);
    al_runs_check(&runs);
}
END_TEST

START_TEST(a_refusal_changes_nothing_and_is_the_last) {
    const uint32_t idx = donor_and_clean(8 * UNIT, 9 * UNIT);

    (void)al_os_fail_after(1, false);
    ck_assert_int_eq(al_transplant(&runs, al_extent_at(idx)), AL_OS_STAYED);
    ck_assert_uint_eq(al_os_fail_after(0, false), can_move() ? 1 : 0);
    ck_assert_int_eq(al_transplant(&runs, al_extent_at(idx)), AL_OS_STAYED);
    ck_assert_uint_eq(al_os_fail_after(0, false), 0);
    publish(idx);
    al_runs_check(&runs);
    ck_assert_uint_eq(runs.stale_granules[AL_STALE_DIRTY], 8 * UNIT);
    ck_assert_uint_eq(resident_bytes(idx), 0);
}
END_TEST

START_TEST(calloc_gets_zeroes_malloc_the_pages) {
    enum { BLOCK_BYTES = 24 << 20 };
    char *const first = al_malloc(BLOCK_BYTES);
    size_t sum = 0;

    memset(first, 0x5a, BLOCK_BYTES);
    al_free(al_malloc(1 << 20));
    char *const wall = al_malloc(1 << 20);
    al_free(first);
    char *const zeroed = al_calloc(1, BLOCK_BYTES);
    for (size_t at = 0; at < BLOCK_BYTES; at++) {
        sum += zeroed[at] != 0;
    }
    ck_assert_uint_eq(sum, 0);
    al_free(zeroed);
    al_free(wall);
    al_audit_all();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("transplant");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, a_clean_run_gets_the_pages_of_a_dirty_one);
    tcase_add_test(tcase, only_what_fits_is_taken);
    tcase_add_test(tcase, several_donors_fill_one_run);
    tcase_add_test(tcase, too_little_is_left_alone);
    tcase_add_test(tcase, a_refusal_changes_nothing_and_is_the_last);
    tcase_add_test(tcase, calloc_gets_zeroes_malloc_the_pages);
    return suite_run(tcase, "transplant", 60);
}
