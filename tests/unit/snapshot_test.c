/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   statistics are those of the last epoch and stand still until the next; the special
 *         arenas are the sum of all and the sum of what was destroyed.
 * Method: arenas with a known number of blocks, read through the snapshot itself; an arena that
 *         never was, made of numbers, is buried twice.
 */
#include "ctl/snapshot.h"

#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/os.h"
#include "ctl/node.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

enum { LARGE_BYTES = 1 << 20 };

/* Without a cache, of that arena. */
static int flags_of(unsigned arena_idx) {
    return (int)(arena_idx + 1) << 20 | 1 << 8;
}

static uint64_t refresh(void) {
    ct_lock_take();
    const uint64_t epoch = ct_snapshot_refresh();
    ct_lock_give();
    return epoch;
}

static size_t large_bytes_of(size_t arena_idx) {
    ct_lock_take();
    const struct ct_arena *const arena = ct_snapshot_arena(arena_idx);
    const size_t bytes = arena != NULL ? arena->sums.allocated_large_bytes : SIZE_MAX;
    ct_lock_give();
    return bytes;
}

START_TEST(epochs_count_up) {
    const uint64_t first = refresh();

    ck_assert_uint_ge(first, 1);
    for (uint64_t more = 1; more < 5; more++) {
        ck_assert_uint_eq(refresh(), first + more);
        ck_assert_uint_eq(ct_snapshot_epoch(), first + more);
    }
    (void)large_bytes_of(0); /* a read is no epoch */
    ck_assert_uint_eq(ct_snapshot_epoch(), first + 4);
}
END_TEST

START_TEST(numbers_stand_still_between_epochs) {
    unsigned arena_idx = 0;

    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    (void)refresh();
    ck_assert_uint_eq(large_bytes_of(arena_idx), 0);
    void *const block = al_mallocx(LARGE_BYTES, flags_of(arena_idx));
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq(large_bytes_of(arena_idx), 0);
    (void)refresh();
    ck_assert_uint_eq(large_bytes_of(arena_idx), LARGE_BYTES);
    al_dallocx(block, 1 << 8);
    ck_assert_uint_eq(large_bytes_of(arena_idx), LARGE_BYTES);
    (void)refresh();
    ck_assert_uint_eq(large_bytes_of(arena_idx), 0);
}
END_TEST

START_TEST(arenas_made_after_the_epoch_are_not_there_yet) {
    unsigned arena_idx = 0;

    (void)refresh();
    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    ck_assert(!ct_snapshot_has_arena(arena_idx));
    ck_assert(!ct_snapshot_has_arena(al_arena_count()));
    ck_assert(!ct_snapshot_has_arena(AL_ARENA_COUNT_MAX));
    ck_assert(!ct_snapshot_has_arena(CT_ARENAS_DESTROYED + 1));
    ck_assert(!ct_snapshot_has_arena(SIZE_MAX));
    (void)refresh();
    ck_assert(ct_snapshot_has_arena(0));
    ck_assert(ct_snapshot_has_arena(arena_idx));
    ck_assert(ct_snapshot_has_arena(CT_ARENAS_ALL));
}
END_TEST

static uint64_t slabs_of(const struct ct_arena *arena) {
    uint64_t count = 0;

    for (size_t bin = 0; bin < AL_ARRAY_COUNT(arena->parts.bins); bin++) {
        count += arena->parts.bins[bin].slab_count;
    }
    return count;
}

START_TEST(all_is_the_sum) {
    unsigned arena_idx[2] = {0};
    void *blocks[2][50];

    for (size_t arena = 0; arena < 2; arena++) {
        ck_assert_int_eq(al_arena_create(&arena_idx[arena]), 0);
        for (size_t idx = 0; idx < 50; idx++) {
            blocks[arena][idx] =
                al_mallocx(idx == 0 ? LARGE_BYTES : 100 * idx, flags_of(arena_idx[arena]));
            ck_assert_ptr_nonnull(blocks[arena][idx]);
        }
    }
    (void)refresh();
    ct_lock_take();
    size_t small_bytes = 0;
    size_t large_bytes = 0;
    size_t active_pages = 0;
    size_t mapped_bytes = 0;
    size_t base_bytes = 0;
    uint64_t slab_count = 0;
    for (size_t idx = 0; idx < AL_ARENA_COUNT_MAX; idx++) {
        const struct ct_arena *const one = ct_snapshot_arena(idx);
        if (one != NULL) {
            small_bytes += one->sums.allocated_small_bytes;
            large_bytes += one->sums.allocated_large_bytes;
            active_pages += one->active_pages;
            mapped_bytes += one->mapped_bytes;
            base_bytes += one->base_bytes;
            slab_count += slabs_of(one);
        }
    }
    const struct ct_arena *const all = ct_snapshot_arena(CT_ARENAS_ALL);
    const struct ct_process *const process = ct_snapshot_process();
    ck_assert_ptr_nonnull(all);
    ck_assert_uint_ge(large_bytes, (size_t)2 * LARGE_BYTES);
    ck_assert_uint_gt(small_bytes, 2 * 49 * 2400);
    ck_assert_uint_eq(all->sums.allocated_small_bytes, small_bytes);
    ck_assert_uint_eq(all->sums.allocated_large_bytes, large_bytes);
    ck_assert_uint_eq(all->active_pages, active_pages);
    ck_assert_uint_eq(all->mapped_bytes, mapped_bytes);
    ck_assert_uint_eq(all->base_bytes, base_bytes);
    ck_assert_uint_gt(slab_count, 0);
    ck_assert_uint_eq(slabs_of(all), slab_count);
    ck_assert_uint_eq(base_bytes, process->sums.metadata_bytes);
    ck_assert_uint_eq(process->sums.allocated_bytes, small_bytes + large_bytes);
    ck_assert_uint_eq(process->sums.active_bytes, active_pages * AL_PAGE_BYTES);
    ck_assert_uint_eq(process->sums.mapped_bytes, mapped_bytes);
    ct_lock_give();
    for (size_t arena = 0; arena < 2; arena++) {
        for (size_t idx = 0; idx < 50; idx++) {
            al_dallocx(blocks[arena][idx], 1 << 8);
        }
    }
}
END_TEST

static uint64_t destroyed_large_count(void) {
    ct_lock_take();
    const struct ct_arena *const destroyed = ct_snapshot_arena(CT_ARENAS_DESTROYED);
    const uint64_t count = destroyed != NULL ? destroyed->sums.nmalloc_large : 0;
    ct_lock_give();
    return count;
}

START_TEST(what_is_buried_adds_up) {
    static struct al_stats_parts parts;
    const struct al_stats_arena sums = {
        .nmalloc_large = 7,
        .purged[AL_STALE_DIRTY].purged_bytes = 3 * AL_PAGE_BYTES,
    };
    const uint64_t count_before = destroyed_large_count();

    parts.large[2].malloc_count = 7;
    ct_lock_take();
    ct_snapshot_bury(&sums, &parts);
    const struct ct_arena *const destroyed = ct_snapshot_arena(CT_ARENAS_DESTROYED);
    ck_assert_ptr_nonnull(destroyed);
    const uint64_t purged_before = destroyed->purged_pages[AL_STALE_DIRTY];
    const uint64_t part_before = destroyed->parts.large[2].malloc_count;
    ct_snapshot_bury(&sums, &parts);
    ck_assert_uint_eq(destroyed->purged_pages[AL_STALE_DIRTY], purged_before + 3);
    ck_assert_uint_eq(destroyed->parts.large[2].malloc_count, part_before + 7);
    ct_lock_give();
    ck_assert_uint_eq(destroyed_large_count(), count_before + 14);
    (void)refresh(); /* an epoch takes nothing away */
    ck_assert_uint_eq(destroyed_large_count(), count_before + 14);
}
END_TEST

START_TEST(a_destroyed_arena_is_buried) {
    const uint64_t count_before = destroyed_large_count();
    unsigned arena_idx = 0;

    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    for (int count = 0; count < 3; count++) {
        ck_assert_ptr_nonnull(al_mallocx(LARGE_BYTES, flags_of(arena_idx)));
    }
    (void)refresh();
    ck_assert(ct_snapshot_has_arena(arena_idx));
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), 0);
    ck_assert_uint_eq(destroyed_large_count(), count_before + 3);
    (void)refresh();
    ck_assert(!ct_snapshot_has_arena(arena_idx));
}
END_TEST

START_TEST(locks_count_anew_after_a_reset) {
    for (int count = 0; count < 1000; count++) {
        ct_lock_take();
        ct_lock_give();
    }
    (void)refresh();
    ct_lock_take();
    const uint64_t many_count = ct_snapshot_process()->locks[CT_LOCK_CTL].take_count;
    ct_snapshot_reset_locks();
    ck_assert_uint_eq(ct_snapshot_process()->locks[CT_LOCK_CTL].take_count, many_count);
    (void)ct_snapshot_refresh(); /* what was reset is seen with the next epoch */
    const struct al_lock_stats after = ct_snapshot_process()->locks[CT_LOCK_CTL];
    ct_lock_give();
    ck_assert_uint_ge(many_count, 1000);
    ck_assert_uint_le(after.take_count, 1);
    ck_assert_uint_eq(after.wait_ns, 0);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("snapshot");

    al_init();
    tcase_add_test(tcase, epochs_count_up);
    tcase_add_test(tcase, numbers_stand_still_between_epochs);
    tcase_add_test(tcase, arenas_made_after_the_epoch_are_not_there_yet);
    tcase_add_test(tcase, all_is_the_sum);
    tcase_add_test(tcase, what_is_buried_adds_up);
    tcase_add_test(tcase, a_destroyed_arena_is_buried);
    tcase_add_test(tcase, locks_count_anew_after_a_reset);
    return suite_run(tcase, "snapshot", 20);
}
