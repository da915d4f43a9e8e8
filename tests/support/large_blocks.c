/* SPDX-License-Identifier: BSD-2-Clause
 *
 * large_blocks — one arena a test, and what its books must say.
 */
#include "tests/support/large_blocks.h"

#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/large.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/purge.h"
#include "alloc/runs.h"

#include <check.h>
#include <string.h>

struct al_arena *large_arena;

void large_setup(void) {
    unsigned arena_idx = 0;

    al_init();
    (void)al_os_fail_after(0, false);
    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    large_arena = al_arena_at(arena_idx);
    al_purge_set_decay_ms(&large_arena->runs, AL_STALE_DIRTY, -1);
}

uint64_t large_entry(const void *ptr) {
    return al_map_entry(ptr);
}

struct al_extent *large_extent(const void *ptr) {
    return al_large_extent(ptr, large_entry(ptr));
}

unsigned char *large_take_aligned(size_t size_bytes, size_t align_bytes, bool *is_zeroed) {
    bool ignored = false;

    return al_large_malloc(large_arena, size_bytes, align_bytes,
                           is_zeroed != NULL ? is_zeroed : &ignored);
}

unsigned char *large_take(size_t size_bytes) {
    unsigned char *const ptr = large_take_aligned(size_bytes, 1, NULL);

    ck_assert_ptr_nonnull(ptr);
    return ptr;
}

void large_give(void *ptr) {
    al_large_free(ptr, large_entry(ptr));
}

void large_mark(unsigned char *ptr, size_t bytes) {
    for (size_t at = 0; at < bytes; at += AL_PAGE_BYTES) {
        const uint64_t word = at * 2654435761U + 1;
        memcpy(ptr + at, &word, sizeof(word));
    }
}

bool large_is_marked(const unsigned char *ptr, size_t bytes) {
    for (size_t at = 0; at < bytes; at += AL_PAGE_BYTES) {
        const uint64_t word = at * 2654435761U + 1;
        if (memcmp(ptr + at, &word, sizeof(word)) != 0) {
            return false;
        }
    }
    return true;
}

void large_expect_empty(void) {
    const struct al_runs *const runs = &large_arena->runs;

    al_runs_check(&large_arena->runs);
    ck_assert_uint_eq(runs->large_bytes, 0);
    ck_assert_uint_eq(runs->huge_bytes, 0);
    ck_assert_uint_eq(runs->large_malloc_count, runs->large_free_count);
    ck_assert_uint_eq(runs->free_granules, runs->mapped_granules);
}

void large_check(const unsigned char *ptr, size_t usable_bytes) {
    const struct al_extent *const extent = large_extent(ptr);
    const bool is_huge = al_extent_kind(extent) == AL_EXTENT_HUGE;

    ck_assert(is_huge || al_extent_kind(extent) == AL_EXTENT_LARGE);
    ck_assert_uint_eq(extent->base_addr, (uintptr_t)ptr);
    ck_assert_uint_eq(extent->large.usable_bytes, usable_bytes);
    ck_assert_uint_ge(al_extent_bytes(extent), usable_bytes);
    ck_assert_uint_lt(al_extent_bytes(extent) - usable_bytes, AL_GRANULE_BYTES);
    ck_assert_uint_eq(al_extent_arena(extent), large_arena->idx);
    ck_assert_uint_eq(al_map_entry_low(large_entry(ptr)), AL_MAP_LARGE);
    for (size_t at = AL_GRANULE_BYTES; !is_huge && at < al_extent_bytes(extent);
         at += AL_GRANULE_BYTES) {
        ck_assert_uint_eq(al_map_entry_low(large_entry(ptr + at)), AL_MAP_LARGE_INTERIOR);
        ck_assert_uint_eq(al_map_entry_extent(large_entry(ptr + at)),
                          al_map_entry_extent(large_entry(ptr)));
    }
}
