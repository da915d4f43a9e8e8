/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   free memory goes from dirty to muzzy to clean as its decay times say; nothing dirty is
 * out of reach; without opt.retain the address space goes, too; a refusal is not asked again.
 * Method: a heap of its own; steps of purging by hand, walked by al_runs_check after each.
 */
#include "alloc/malloc.h"
#include "alloc/map.h"
#include "alloc/options.h"
#include "alloc/os.h"
#include "alloc/purge.h"
#include "tests/support/suite.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEAP_IDX_FIRST = 1000 };

static struct al_runs runs;

static void setup(void) {
    static uint32_t heap_idx = HEAP_IDX_FIRST;

    al_free(al_malloc(1)); /* the map is there */
    al_runs_init(&runs, heap_idx++, (const ssize_t[AL_STALE_COUNT]){-1, 0});
}

static size_t stale(enum al_stale kind) {
    al_runs_check(&runs);
    return runs.stale_granules[kind];
}

/* A run in use whose every page has been written to. */
static uint32_t take(uint32_t granules) {
    const uint32_t idx = al_extent_take();
    bool ignored = false;

    ck_assert_uint_ne(idx, 0);
    ck_assert(al_runs_take(&runs, idx, granules, 1, AL_RUNS_LARGE, &ignored));
    struct al_extent *const extent = al_extent_at(idx);
    al_map_set(extent->base_addr, granules, al_map_entry_make(idx, AL_MAP_LARGE));
    memset((void *)extent->base_addr, 0x5a, al_extent_bytes(extent));
    return idx;
}

START_TEST(dirty_becomes_muzzy_and_muzzy_clean) {
    al_runs_give(&runs, take(10), AL_RUNS_LARGE, true);
    al_purge_set_decay_ms(&runs, AL_STALE_MUZZY, -1);
    ck_assert_uint_eq(stale(AL_STALE_DIRTY), 10);
    al_purge_set_decay_ms(&runs, AL_STALE_DIRTY, 0);
    ck_assert_uint_eq(stale(AL_STALE_DIRTY), 0);
    ck_assert_uint_eq(stale(AL_STALE_MUZZY), 10);
    ck_assert_uint_eq(runs.purged[AL_STALE_DIRTY].purged_granules, 10);

    /* What may still hold something must not be taken for zero. */
    const uint32_t idx = al_extent_take();
    bool is_zeroed = true;
    ck_assert(al_runs_take(&runs, idx, 4, 1, AL_RUNS_LARGE, &is_zeroed));
    ck_assert(!is_zeroed);
    al_map_set(al_extent_at(idx)->base_addr, 4, al_map_entry_make(idx, AL_MAP_LARGE));
    ck_assert_uint_eq(stale(AL_STALE_MUZZY), 6);
    al_runs_give(&runs, idx, AL_RUNS_LARGE, true);
    ck_assert_uint_eq(stale(AL_STALE_MUZZY), 10);

    al_purge_set_decay_ms(&runs, AL_STALE_MUZZY, 0);
    ck_assert_uint_eq(stale(AL_STALE_MUZZY), 0);
    ck_assert_uint_eq(runs.purged[AL_STALE_MUZZY].purged_granules, 10);
}
END_TEST

/* Time is given by hand: a second of decay, looked at in the middle and after its end. */
START_TEST(time_moves_both_kinds_on) {
    al_purge_set_decay_ms(&runs, AL_STALE_DIRTY, 1000);
    al_purge_set_decay_ms(&runs, AL_STALE_MUZZY, 1000);
    al_runs_give(&runs, take(200), AL_RUNS_LARGE, true);
    al_purge(&runs, false);
    for (unsigned kind = AL_STALE_DIRTY; kind <= AL_STALE_MUZZY; kind++) {
        const uint64_t earlier_ns = UINT64_C(2000000000);
        ck_assert_uint_eq(stale(kind), 200);
        runs.decay[kind].epoch_ns -= earlier_ns; /* as if the step had begun two seconds ago */
        al_purge(&runs, false);
        runs.decay[kind].epoch_ns -= earlier_ns;
        al_purge(&runs, false);
        ck_assert_uint_eq(stale(kind), 0);
    }
    ck_assert_uint_eq(al_purge_due_ns(&runs), UINT64_MAX);
}
END_TEST

/* A thread that takes and gives a run all the time moves the curve on each time. */
START_TEST(what_is_freed_puts_no_pass_off) {
    enum { EARLIER_NS = 20000000, LOOKED_NS = 40000000 };

    al_purge_set_decay_ms(&runs, AL_STALE_DIRTY, 1000);
    al_runs_give(&runs, take(200), AL_RUNS_LARGE, true);
    al_runs_give(&runs, take(1), AL_RUNS_LARGE, true);
    runs.decay[AL_STALE_DIRTY].epoch_ns -= EARLIER_NS; /* the step ended some 15 ms ago */
    runs.decay[AL_STALE_DIRTY].looked_ns -= LOOKED_NS;
    al_runs_give(&runs, take(1), AL_RUNS_LARGE, true);
    ck_assert_uint_le(al_purge_due_ns(&runs), al_os_time_ns());
    al_purge(&runs, false);
    ck_assert_uint_gt(al_purge_due_ns(&runs), al_os_time_ns() - EARLIER_NS / 2);
}
END_TEST

/* A run loses its upper end first, and no more of it than must go. */
START_TEST(a_run_is_purged_in_part) {
    const uint32_t idx = take(20480); /* 320 MiB: more than may stay beside nothing in use */
    const uintptr_t base_addr = al_extent_at(idx)->base_addr;

    al_purge_set_decay_ms(&runs, AL_STALE_DIRTY, 1000000);
    al_runs_give(&runs, idx, AL_RUNS_LARGE, true);
    const size_t dirty = stale(AL_STALE_DIRTY);
    ck_assert_uint_gt(dirty, 15000);
    ck_assert_uint_le(dirty, 16384);
    ck_assert_uint_eq(al_map_entry_low(al_map_entry((const void *)base_addr)), AL_MAP_FREE_DIRTY);
    const uintptr_t last_addr = base_addr + ((uintptr_t)20479 << AL_GRANULE_LG);
    ck_assert_uint_eq(al_map_entry_low(al_map_entry((const void *)last_addr)), AL_MAP_FREE_CLEAN);
}
END_TEST

/* Hundreds of clean runs, each larger than the dirty one. */
START_TEST(a_dirty_run_behind_many_clean_ones_is_found) {
    enum { RUN_COUNT = 700 };
    static uint32_t clean[RUN_COUNT];

    for (int n = 0; n < RUN_COUNT; n++) {
        clean[n] = take(3);
        (void)take(1);
    }
    const uint32_t dirty = take(2);
    (void)take(1);
    for (int n = 0; n < RUN_COUNT; n++) {
        al_runs_give(&runs, clean[n], AL_RUNS_LARGE, false);
    }
    al_runs_give(&runs, dirty, AL_RUNS_LARGE, true);
    ck_assert_uint_eq(stale(AL_STALE_DIRTY), 2);
    al_purge(&runs, true);
    ck_assert_uint_eq(stale(AL_STALE_DIRTY), 0);
}
END_TEST

START_TEST(without_retain_address_space_goes_back) {
    const bool was_retained = al_options.retain;
    const uint32_t idx = take(50);
    const uintptr_t base_addr = al_extent_at(idx)->base_addr;
    unsigned char is_resident = 0;

    al_options.retain = false;
    al_runs_give(&runs, idx, AL_RUNS_LARGE, true);
    al_purge(&runs, true);
    al_options.retain = was_retained;
    al_runs_check(&runs);
    ck_assert_uint_eq(runs.mapped_granules, 0);
    ck_assert_uint_eq(runs.free_granules, 0);
    ck_assert_int_eq(mincore((void *)base_addr, (size_t)sysconf(_SC_PAGESIZE), &is_resident), -1);
    ck_assert_uint_eq(al_extent_at(take(50))->granules, 50); /* and can be had again */
}
END_TEST

/* The kernel takes no locked page. */
START_TEST(a_refusal_is_not_asked_for_again) {
    const uint32_t idx = take(8);
    const struct al_extent *const extent = al_extent_at(idx);
    void *const base = (void *)extent->base_addr;
    const size_t bytes = al_extent_bytes(extent);

    /* A limit of this machine; or a sanitizer, whose mlock does nothing. */
    if (mlock(base, bytes) != 0 || madvise(base, 1, MADV_DONTNEED) == 0) {
        return;
    }
    al_runs_give(&runs, idx, AL_RUNS_LARGE, true);
    al_purge_set_decay_ms(&runs, AL_STALE_DIRTY, 0);
    const uint64_t call_count = runs.purged[AL_STALE_DIRTY].call_count;
    ck_assert_uint_eq(call_count, 1);
    ck_assert_uint_eq(stale(AL_STALE_DIRTY), 8);
    ck_assert_uint_gt(al_purge_due_ns(&runs), 0); /* later, not at once */
    al_purge(&runs, false);
    ck_assert_uint_eq(runs.purged[AL_STALE_DIRTY].call_count, call_count);
    ck_assert_int_eq(munlock(base, bytes), 0);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("purge");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, dirty_becomes_muzzy_and_muzzy_clean);
    tcase_add_test(tcase, time_moves_both_kinds_on);
    tcase_add_test(tcase, what_is_freed_puts_no_pass_off);
    tcase_add_test(tcase, a_run_is_purged_in_part);
    tcase_add_test(tcase, a_dirty_run_behind_many_clean_ones_is_found);
    tcase_add_test(tcase, without_retain_address_space_goes_back);
    tcase_add_test(tcase, a_refusal_is_not_asked_for_again);
    return suite_run(tcase, "purge", 60);
}
