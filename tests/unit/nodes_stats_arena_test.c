/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   stats.arenas.<i>.bins, extents and dirty_* are the numbers of alloc/stats.h and
 *         stats_parts.h as they were at the last epoch, and count what a program did.
 * Method: a fresh arena, without caches, so that every number is known.
 */
#include "alloc/class.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/os.h"
#include "alloc/stats_parts.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <sys/types.h>

enum { BLOCK_COUNT = 300, BLOCK_BYTES = 112, FREED_COUNT = 100 };

static struct al_stats_arena sums;
static struct al_stats_parts parts;

static unsigned create(void) {
    unsigned arena_idx = 0;
    size_t arena_idx_bytes = sizeof(arena_idx);
    const ssize_t for_good_ms = -1;

    ck_assert_int_eq(mallctl("arenas.create", &arena_idx, &arena_idx_bytes, NULL, 0), 0);
    ck_assert_int_eq(ctl_write(ctl_name("arena.%u.dirty_decay_ms", arena_idx), &for_good_ms,
                               sizeof(for_good_ms)),
                     0);
    return arena_idx;
}

static int flags_of(unsigned arena_idx) {
    return (int)(arena_idx + 1) << 20 | 1 << 8; /* no cache */
}

/* "stats.arenas.<arena>.<kind>.<part>.<row>"; all are 8 bytes wide. */
static uint64_t read_part(unsigned arena_idx, const char *kind, unsigned part, const char *row) {
    char name[128];

    (void)snprintf(name, sizeof(name), "stats.arenas.%u.%s.%u.%s", arena_idx, kind, part, row);
    return ctl_size(name);
}

static uint64_t read_bin(unsigned arena_idx, const char *row) {
    return read_part(arena_idx, "bins", al_class_of(BLOCK_BYTES) - 1, row);
}

static void allocate(unsigned arena_idx, void **blocks) {
    for (size_t idx = 0; idx < BLOCK_COUNT; idx++) {
        blocks[idx] = al_mallocx(BLOCK_BYTES, flags_of(arena_idx));
        ck_assert_ptr_nonnull(blocks[idx]);
    }
}

static void release(unsigned arena_idx, void **blocks, size_t count) {
    for (size_t idx = 0; idx < count; idx++) {
        al_dallocx(blocks[idx], flags_of(arena_idx));
    }
}

START_TEST(bins_count_blocks_and_slabs) {
    const unsigned class_idx = al_class_of(BLOCK_BYTES);
    const unsigned slots = al_class_slab_slots(class_idx);
    const unsigned slab_count = (BLOCK_COUNT + slots - 1) / slots;
    const unsigned arena_idx = create();
    void *blocks[BLOCK_COUNT];

    allocate(arena_idx, blocks);
    ctl_refresh();
    ck_assert_uint_eq(read_bin(arena_idx, "nmalloc"), BLOCK_COUNT);
    ck_assert_uint_eq(read_bin(arena_idx, "ndalloc"), 0);
    ck_assert_uint_eq(read_bin(arena_idx, "curregs"), BLOCK_COUNT);
    ck_assert_uint_eq(read_bin(arena_idx, "curslabs"), slab_count);
    ck_assert_uint_eq(read_bin(arena_idx, "nslabs"), slab_count);
    ck_assert_uint_eq(read_bin(arena_idx, "nonfull_slabs"), BLOCK_COUNT % slots != 0);
    release(arena_idx, blocks, FREED_COUNT);
    ctl_refresh();
    ck_assert_uint_eq(read_bin(arena_idx, "nmalloc"), BLOCK_COUNT);
    ck_assert_uint_eq(read_bin(arena_idx, "ndalloc"), FREED_COUNT);
    ck_assert_uint_eq(read_bin(arena_idx, "curregs"), BLOCK_COUNT - FREED_COUNT);
    ck_assert_uint_eq(read_bin(arena_idx, "nreslabs"), 0);
    release(arena_idx, blocks + FREED_COUNT, BLOCK_COUNT - FREED_COUNT);
}
END_TEST

/* What other rows are has a truth elsewhere: the copy that alloc makes. */
START_TEST(rows_are_the_numbers_of_the_arena) {
    const unsigned arena_idx = create();
    void *blocks[BLOCK_COUNT];

    allocate(arena_idx, blocks);
    for (size_t pages = 1; pages < 40; pages++) {
        al_dallocx(al_mallocx((1 << 17) + pages * AL_PAGE_BYTES, flags_of(arena_idx)),
                   flags_of(arena_idx));
    }
    ctl_refresh();
    ck_assert(al_stats_parts_read(arena_idx, &sums, &parts));
    for (unsigned bin = 0; bin < AL_CLASS_COUNT - 1; bin++) {
        const struct al_stats_bin *const want = &parts.bins[bin];
        ck_assert_uint_eq(read_part(arena_idx, "bins", bin, "nmalloc"), want->malloc_count);
        ck_assert_uint_eq(read_part(arena_idx, "bins", bin, "ndalloc"), want->free_count);
        ck_assert_uint_eq(read_part(arena_idx, "bins", bin, "nrequests"), want->request_count);
        ck_assert_uint_eq(read_part(arena_idx, "bins", bin, "nfills"), want->fill_count);
        ck_assert_uint_eq(read_part(arena_idx, "bins", bin, "nflushes"), want->flush_count);
        ck_assert_uint_eq(read_part(arena_idx, "bins", bin, "curslabs"), want->slab_count);
    }
    size_t dirty_bytes = 0;
    for (unsigned bucket = 0; bucket < AL_STATS_EXTENT_COUNT; bucket++) {
        dirty_bytes += read_part(arena_idx, "extents", bucket, "dirty_bytes");
        ck_assert_uint_eq(read_part(arena_idx, "extents", bucket, "dirty_bytes"),
                          parts.dirty[bucket].bytes);
        ck_assert_uint_eq(read_part(arena_idx, "extents", bucket, "ndirty"),
                          parts.dirty[bucket].count);
        ck_assert_uint_eq(read_part(arena_idx, "extents", bucket, "nretained"),
                          parts.retained[bucket].count);
    }
    ck_assert_uint_gt(dirty_bytes, 0);
    ck_assert_uint_eq(dirty_bytes, sums.stale_bytes[AL_STALE_DIRTY]);
    release(arena_idx, blocks, BLOCK_COUNT);
}
END_TEST

START_TEST(purges_are_counted) {
    const unsigned arena_idx = create();

    al_dallocx(al_mallocx(1 << 20, flags_of(arena_idx)), flags_of(arena_idx));
    ctl_refresh();
    const size_t dirty = ctl_size(ctl_name("stats.arenas.%u.pdirty", arena_idx));
    ck_assert_uint_gt(dirty, 0);
    ck_assert_uint_eq(ctl_size(ctl_name("stats.arenas.%u.dirty_purged", arena_idx)), 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.purge", arena_idx)), 0);
    ctl_refresh();
    ck_assert_uint_eq(ctl_size(ctl_name("stats.arenas.%u.dirty_purged", arena_idx)), dirty);
    ck_assert_uint_ge(ctl_size(ctl_name("stats.arenas.%u.dirty_npurge", arena_idx)), 1);
    ck_assert_uint_ge(ctl_size(ctl_name("stats.arenas.%u.dirty_nmadvise", arena_idx)), 1);
    ck_assert_uint_eq(ctl_size(ctl_name("stats.arenas.%u.dirty_decay_ms", arena_idx)), SIZE_MAX);
}
END_TEST

START_TEST(nothing_moves_without_an_epoch) {
    const unsigned arena_idx = create();
    void *blocks[BLOCK_COUNT];

    ctl_refresh();
    const size_t allocated = ctl_size("stats.allocated");
    const size_t active = ctl_size("stats.active");
    allocate(arena_idx, blocks);
    ck_assert_uint_eq(read_bin(arena_idx, "nmalloc"), 0);
    ck_assert_uint_eq(read_bin(arena_idx, "curslabs"), 0);
    ck_assert_uint_eq(ctl_size("stats.allocated"), allocated);
    ck_assert_uint_eq(ctl_size("stats.active"), active);
    ctl_refresh();
    ck_assert_uint_eq(read_bin(arena_idx, "nmalloc"), BLOCK_COUNT);
    ck_assert_uint_eq(ctl_size("stats.allocated"), allocated + (size_t)BLOCK_COUNT * BLOCK_BYTES);
    ck_assert_uint_gt(ctl_size("stats.active"), active);
    release(arena_idx, blocks, BLOCK_COUNT);
}
END_TEST

START_TEST(what_there_is_none_of) {
    ck_assert_uint_eq(ctl_size("stats.arenas.0.abandoned_vm"), 0);
    ck_assert_uint_eq(ctl_size("stats.arenas.0.extent_avail"), 0);
    ck_assert_uint_gt(ctl_size("stats.arenas.0.base"), 0);
    ck_assert_int_eq(ctl_do("stats.arenas.0.bins.96.nmalloc"), ENOENT);
    ck_assert_int_eq(ctl_do("stats.arenas.0.extents.200.ndirty"), ENOENT);
    ck_assert_int_eq(ctl_do("stats.arenas.4000.bins.0.nmalloc"), ENOENT);
    const uint64_t any = 0;
    ck_assert_int_eq(ctl_write("stats.allocated", &any, sizeof(any)), EPERM);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("nodes_stats_arena");

    tcase_add_test(tcase, bins_count_blocks_and_slabs);
    tcase_add_test(tcase, rows_are_the_numbers_of_the_arena);
    tcase_add_test(tcase, purges_are_counted);
    tcase_add_test(tcase, nothing_moves_without_an_epoch);
    tcase_add_test(tcase, what_there_is_none_of);
    return suite_run(tcase, "nodes_stats_arena", 60);
}
