/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the heap of runs gives the best fit, merges what touches, grows and shrinks in place, and
 *         knows which memory reads as zero.
 * Method: a heap of its own, taken from and given to by hand; every step ends in al_runs_check.
 */
#include "alloc/bits.h"
#include "alloc/malloc.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/purge.h"
#include "alloc/runs.h"
#include "tests/support/suite.h"

#include <string.h>
#include <sys/mman.h>

enum {
    HEAP_IDX_FIRST = 100,
    HOLE_COUNT = 3,
    GROWTH_GRANULES = 256, /* what a heap asks the kernel for: 4 MiB */
    SKEWED_COUNT = 8,
};

static struct al_runs runs;

/* A number of its own each time: runs of one heap merge, and what an earlier test left behind
 * belongs to a heap that is gone.
 */
static void setup(void) {
    static uint32_t heap_idx = HEAP_IDX_FIRST;

    al_free(al_malloc(1)); /* the map is there */
    al_runs_init(&runs, heap_idx++, (const ssize_t[AL_STALE_COUNT]){-1, 0});
}

/* Stands in for mmap (--wrap): while is_skewing, places are a page beyond a granule, as kernels
 * give them that align to nothing but pages (Linux before 6.7).
 */
static bool is_skewing;

void *__real_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset) {
    if (!is_skewing || addr != NULL || bytes % AL_GRANULE_BYTES != 0) {
        return __real_mmap(addr, bytes, prot, flags, fd, offset);
    }
    char *const ptr =
        __real_mmap(NULL, bytes + 2 * (size_t)AL_GRANULE_BYTES, prot, flags, fd, offset);
    if (ptr == MAP_FAILED) {
        return ptr;
    }
    const uintptr_t skewed = al_round_up((uintptr_t)ptr, AL_GRANULE_BYTES) + AL_PAGE_BYTES;
    const size_t lead_bytes = skewed - (uintptr_t)ptr;
    ck_assert_int_eq(munmap(ptr, lead_bytes), 0);
    ck_assert_int_eq(munmap((void *)(skewed + bytes), 2 * (size_t)AL_GRANULE_BYTES - lead_bytes),
                     0);
    return (void *)skewed;
}

/* A run in use; its descriptor's index. */
static uint32_t take(uint32_t granules, uint32_t align_granules, bool *is_zeroed) {
    const uint32_t idx = al_extent_take();
    bool ignored = false;

    ck_assert_uint_ne(idx, 0);
    ck_assert(al_runs_take(&runs, idx, granules, align_granules, AL_RUNS_LARGE,
                           is_zeroed != NULL ? is_zeroed : &ignored));
    struct al_extent *const extent = al_extent_at(idx);
    ck_assert_uint_eq(extent->granules, granules);
    ck_assert_uint_eq(extent->base_addr % ((uintptr_t)align_granules << AL_GRANULE_LG), 0);
    al_map_set(extent->base_addr, granules, al_map_entry_make(idx, AL_MAP_LARGE));
    al_runs_check(&runs);
    return idx;
}

static void give(uint32_t idx) {
    al_runs_give(&runs, idx, AL_RUNS_LARGE, true);
    al_runs_check(&runs);
}

static uintptr_t base_of(uint32_t idx) {
    return al_extent_at(idx)->base_addr;
}

START_TEST(what_touches_merges_in_any_order) {
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {2, 1, 0}, {1, 2, 0}, {2, 0, 1}};
    uint32_t idx[3];

    for (int n = 0; n < 3; n++) {
        idx[n] = take(4, 1, NULL);
    }
    const uintptr_t base = base_of(idx[0]);
    ck_assert_uint_eq(base_of(idx[2]), base + 8 * (uintptr_t)AL_GRANULE_BYTES);
    for (int n = 0; n < 3; n++) {
        give(idx[orders[_i][n]]);
    }
    ck_assert_uint_eq(runs.free_granules, runs.mapped_granules);
    ck_assert_uint_eq(base_of(take(12, 1, NULL)), base);
}
END_TEST

/* Holes of 9, 5 and 3 granules between runs in use. */
START_TEST(the_best_fit_is_taken) {
    static const uint32_t sizes[HOLE_COUNT] = {9, 5, 3};
    uint32_t holes[HOLE_COUNT];
    uintptr_t bases[HOLE_COUNT];

    for (int n = 0; n < HOLE_COUNT; n++) {
        holes[n] = take(sizes[n], 1, NULL);
        bases[n] = base_of(holes[n]);
        (void)take(1, 1, NULL);
    }
    for (int n = 0; n < HOLE_COUNT; n++) {
        give(holes[n]);
    }
    ck_assert_uint_eq(base_of(take(4, 1, NULL)), bases[1]);
    ck_assert_uint_eq(base_of(take(3, 1, NULL)), bases[2]);
    ck_assert_uint_eq(base_of(take(6, 1, NULL)), bases[0]);
    /* What is left of the holes, 3 and 1, fits these. */
    ck_assert_uint_eq(base_of(take(3, 1, NULL)), bases[0] + 6 * (uintptr_t)AL_GRANULE_BYTES);
    ck_assert_uint_eq(base_of(take(1, 1, NULL)), bases[1] + 4 * (uintptr_t)AL_GRANULE_BYTES);
}
END_TEST

START_TEST(of_equal_runs_the_lowest_is_taken) {
    uint32_t low = take(2, 1, NULL);
    (void)take(1, 1, NULL);
    uint32_t high = take(2, 1, NULL);
    (void)take(1, 1, NULL);
    const uintptr_t low_base = base_of(low) < base_of(high) ? base_of(low) : base_of(high);

    give(high);
    give(low);
    ck_assert_uint_eq(base_of(take(2, 1, NULL)), low_base);
}
END_TEST

START_TEST(alignment_wastes_nothing_for_good) {
    for (uint32_t align = 1; align <= 64; align *= 2) {
        const uint32_t idx = take(3, align, NULL);
        give(idx);
    }
    ck_assert_uint_eq(runs.free_granules, runs.mapped_granules);
}
END_TEST

START_TEST(a_run_grows_into_its_free_neighbour) {
    const uint32_t idx = take(4, 1, NULL);
    const uint32_t next = take(4, 1, NULL);
    const uint32_t wall = take(1, 1, NULL);
    bool is_zeroed = false;

    ck_assert(!al_runs_extend(&runs, al_extent_at(idx), 1, &is_zeroed));
    give(next);
    ck_assert(!al_runs_extend(&runs, al_extent_at(idx), 5, &is_zeroed));
    ck_assert(al_runs_extend(&runs, al_extent_at(idx), 3, &is_zeroed));
    ck_assert_uint_eq(al_extent_at(idx)->granules, 7);
    al_map_set(base_of(idx), 7, al_map_entry_make(idx, AL_MAP_LARGE));
    al_runs_check(&runs);
    ck_assert(al_runs_trim(&runs, al_extent_at(idx), 6));
    al_runs_check(&runs);
    ck_assert_uint_eq(al_extent_at(idx)->granules, 1);
    give(idx);
    give(wall);
    ck_assert_uint_eq(runs.free_granules, runs.mapped_granules);
}
END_TEST

START_TEST(zero_is_promised_only_of_zero) {
    bool is_zeroed = false;
    const uint32_t fresh = take(8, 1, &is_zeroed);
    const uintptr_t base = base_of(fresh);

    ck_assert(is_zeroed);
    memset((void *)base, 0x5a, 8 * (size_t)AL_GRANULE_BYTES);
    give(fresh);
    const uint32_t used = take(8, 1, &is_zeroed);
    ck_assert_uint_eq(base_of(used), base);
    ck_assert(!is_zeroed);
    give(used);
    al_purge(&runs, true);
    al_runs_check(&runs);
    ck_assert_uint_eq(runs.stale_granules[AL_STALE_DIRTY], 0);
    const uint32_t purged = take(8, 1, &is_zeroed);
    ck_assert_uint_eq(base_of(purged), base);
    ck_assert(is_zeroed);
    for (size_t at = 0; at < 8 * (size_t)AL_GRANULE_BYTES; at += 512) {
        ck_assert_int_eq(((const char *)base)[at], 0);
    }
}
END_TEST

START_TEST(without_decay_freed_memory_goes_at_once) {
    al_purge_set_decay_ms(&runs, AL_STALE_DIRTY, 0);
    const uint32_t idx = take(100, 1, NULL);
    memset((void *)base_of(idx), 1, 100 * (size_t)AL_GRANULE_BYTES);
    give(idx);
    ck_assert_uint_eq(runs.stale_granules[AL_STALE_DIRTY], 0);
    ck_assert_uint_gt(runs.purged[AL_STALE_DIRTY].call_count, 0);
}
END_TEST

START_TEST(random_takes_and_gives_lose_nothing) {
    uint64_t random = suite_seed(77);
    uint32_t held[200] = {0};
    size_t held_granules = 0;

    for (int step = 0; step < 4000; step++) {
        uint32_t *const slot = &held[suite_random(&random) % 200];
        if (*slot != 0) {
            held_granules -= al_extent_at(*slot)->granules;
            al_runs_give(&runs, *slot, AL_RUNS_LARGE, (step & 1) != 0);
            *slot = 0;
        } else {
            const uint32_t granules = 1 + (uint32_t)(suite_random(&random) % 60);
            *slot = al_extent_take();
            bool is_zeroed = false;
            ck_assert(al_runs_take(&runs, *slot, granules, 1U << (suite_random(&random) % 4),
                                   AL_RUNS_LARGE, &is_zeroed));
            al_map_set(base_of(*slot), granules, al_map_entry_make(*slot, AL_MAP_LARGE));
            held_granules += granules;
        }
        if (step % 100 == 0) {
            al_runs_check(&runs);
        }
        ck_assert_uint_eq(runs.mapped_granules - runs.free_granules, held_granules);
    }
}
END_TEST

/* Of every size around what is asked for at a time: none may be asked for without end. */
START_TEST(a_kernel_that_aligns_to_pages_gives_whole_granules) {
    uint32_t held[SKEWED_COUNT];
    size_t held_granules = 0;

    is_skewing = true;
    for (uint32_t n = 0; n < SKEWED_COUNT; n++) {
        held[n] = take(GROWTH_GRANULES - SKEWED_COUNT / 2 + n, 1, NULL);
        held_granules += al_extent_at(held[n])->granules;
        ck_assert_uint_lt(runs.mapped_granules, held_granules + (n + 1) * GROWTH_GRANULES);
    }
    is_skewing = false;
    for (uint32_t n = 0; n < SKEWED_COUNT; n++) {
        give(held[n]);
    }
    ck_assert_uint_eq(runs.free_granules, runs.mapped_granules);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("runs");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_loop_test(tcase, what_touches_merges_in_any_order, 0, 6);
    tcase_add_test(tcase, the_best_fit_is_taken);
    tcase_add_test(tcase, of_equal_runs_the_lowest_is_taken);
    tcase_add_test(tcase, alignment_wastes_nothing_for_good);
    tcase_add_test(tcase, a_run_grows_into_its_free_neighbour);
    tcase_add_test(tcase, zero_is_promised_only_of_zero);
    tcase_add_test(tcase, without_decay_freed_memory_goes_at_once);
    tcase_add_test(tcase, random_takes_and_gives_lose_nothing);
    tcase_add_test(tcase, a_kernel_that_aligns_to_pages_gives_whole_granules);
    return suite_run(tcase, "runs", 60);
}
