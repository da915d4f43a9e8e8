/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   large blocks have the size and place that was asked for, grow, shrink and move without
 *         losing a byte, merge when they are free, and leave their arena's books as they found
 * them. Method: arenas of their own; what an arena counts is held against what was done; a kernel
 * that refuses each call in turn.
 */
#include "alloc/class.h"
#include "alloc/large.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/runs.h"
#include "tests/support/dies.h"
#include "tests/support/large_blocks.h"
#include "tests/support/suite.h"

#include <string.h>

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    HELD_COUNT = 40,
    STEP_COUNT = 2500,
};

static bool is_zero(const unsigned char *ptr, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) {
        if (ptr[at] != 0) {
            return false;
        }
    }
    return true;
}

/* ---- birth and death ---- */

START_TEST(usable_sizes_are_whole_pages) {
    ck_assert_uint_eq(al_large_usable_bytes(0), AL_PAGE_BYTES);
    ck_assert_uint_eq(al_large_usable_bytes(1), AL_PAGE_BYTES);
    ck_assert_uint_eq(al_large_usable_bytes(AL_PAGE_BYTES), AL_PAGE_BYTES);
    ck_assert_uint_eq(al_large_usable_bytes(65537), 69632);
    ck_assert_uint_eq(al_large_usable_bytes(AL_SIZE_MAX_BYTES), AL_SIZE_MAX_BYTES);
    ck_assert_uint_eq(al_large_usable_bytes(AL_SIZE_MAX_BYTES - 1), AL_SIZE_MAX_BYTES);
}
END_TEST

/* `_i` is lg of the alignment. */
START_TEST(every_size_at_every_alignment) {
    static const size_t sizes[] = {0,        1,        4096,         65537,         100000,
                                   MIB,      4 * MIB,  5 * MIB + 1,  31 * MIB,      32 * MIB - 4097,
                                   32 * MIB, 33 * MIB, 40 * MIB + 7, 64 * MIB - 100};
    const size_t align_bytes = (size_t)1 << _i;

    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        const size_t usable_bytes = al_large_usable_bytes(sizes[n]);
        const bool is_huge = usable_bytes >= AL_HUGE_MIN_BYTES || align_bytes >= AL_HUGE_MIN_BYTES;
        bool is_zeroed = true;
        unsigned char *const ptr = large_take_aligned(sizes[n], align_bytes, &is_zeroed);
        ck_assert_ptr_nonnull(ptr);
        ck_assert_uint_eq((uintptr_t)ptr % align_bytes, 0);
        ck_assert_uint_eq((uintptr_t)ptr % AL_GRANULE_BYTES, 0);
        large_check(ptr, usable_bytes);
        ck_assert_int_eq(al_extent_kind(large_extent(ptr)) == AL_EXTENT_HUGE, is_huge);
        ck_assert_uint_eq(large_arena->runs.large_bytes, al_extent_bytes(large_extent(ptr)));
        ck_assert_uint_eq(large_arena->runs.huge_bytes,
                          is_huge ? al_extent_bytes(large_extent(ptr)) : 0);
        if (is_zeroed) {
            ck_assert_uint_eq(ptr[0] | ptr[usable_bytes - 1] | ptr[usable_bytes / 2], 0);
        }
        ptr[0] = 1;
        ptr[usable_bytes - 1] = 1;
        ptr[usable_bytes / 2] = 1;
        large_give(ptr);
        large_expect_empty();
    }
}
END_TEST

START_TEST(what_no_machine_has_changes_nothing) {
    static const size_t sizes[][2] = {
        {SIZE_MAX, 1},
        {AL_SIZE_MAX_BYTES + 1, 1},
        {AL_SIZE_MAX_BYTES, 1},
        {AL_SIZE_MAX_BYTES, AL_GRANULE_BYTES},
        {AL_SIZE_MAX_BYTES, (size_t)1 << 62},
        {1, (size_t)1 << 63},
        {1, (size_t)1 << 62},
        {(size_t)UINT32_MAX << AL_GRANULE_LG, 1}, /* 64 TiB: more granules than 32 bits */
        {((size_t)UINT32_MAX + 1) << AL_GRANULE_LG, 1},
        {((size_t)UINT32_MAX + 2) << AL_GRANULE_LG, 1},
        {(size_t)1 << 47, 1},
    };
    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        ck_assert_ptr_null(large_take_aligned(sizes[n][0], sizes[n][1], NULL));
        large_expect_empty();
    }
}
END_TEST

START_TEST(zero_is_promised_of_zero_only) {
    enum { BYTES = 3 * MIB };
    bool is_zeroed = true;
    unsigned char *ptr = large_take_aligned(BYTES, 1, &is_zeroed);

    ck_assert(is_zeroed);
    ck_assert(is_zero(ptr, BYTES));
    memset(ptr, 1, BYTES);
    large_give(ptr);
    for (int wants_zeroed = 0; wants_zeroed < 2; wants_zeroed++) {
        is_zeroed = wants_zeroed != 0;
        ptr = large_take_aligned(BYTES, 1, &is_zeroed);
        ck_assert(!is_zeroed || is_zero(ptr, BYTES));
        memset(ptr, 1, BYTES);
        large_give(ptr);
    }
    is_zeroed = true;
    ptr = large_take_aligned(40 * MIB, 1, &is_zeroed);
    ck_assert(is_zeroed);
    ck_assert(is_zero(ptr, 40 * MIB));
    large_give(ptr);
    large_expect_empty();
}
END_TEST

START_TEST(neighbours_that_are_free_are_one) {
    unsigned char *blocks[3];

    for (size_t n = 0; n < 3; n++) {
        blocks[n] = large_take(MIB);
        ck_assert_ptr_eq(blocks[n], blocks[0] + n * MIB);
    }
    large_give(blocks[0]);
    large_give(blocks[2]);
    al_runs_check(&large_arena->runs);
    large_give(blocks[1]);
    large_expect_empty();
    ck_assert_ptr_eq(large_take(3 * MIB), blocks[0]);
    large_give(blocks[0]);
    large_expect_empty();
}
END_TEST

/* ---- changing the size ---- */

static bool resize(unsigned char *ptr, size_t size_bytes, bool *is_zeroed) {
    bool ignored = false;

    return al_large_resize(large_extent(ptr), size_bytes, is_zeroed != NULL ? is_zeroed : &ignored);
}

START_TEST(a_block_grows_into_what_is_free_behind_it) {
    unsigned char *const ptr = large_take(MIB);
    unsigned char *const next = large_take(MIB);
    unsigned char *const wall = large_take(MIB);
    bool is_zeroed = true;

    large_mark(ptr, MIB);
    memset(next, 1, MIB);
    ck_assert(!resize(ptr, MIB + 1, NULL));
    large_give(next);
    ck_assert(!resize(ptr, 2 * MIB + 1, NULL));
    large_check(ptr, MIB);
    ck_assert(resize(ptr, MIB + 5, &is_zeroed));
    ck_assert(!is_zeroed || is_zero(ptr + MIB, AL_PAGE_BYTES));
    large_check(ptr, MIB + AL_PAGE_BYTES);
    al_runs_check(&large_arena->runs);
    ck_assert(resize(ptr, 2 * MIB, &is_zeroed));
    ck_assert(!is_zeroed);
    large_check(ptr, 2 * MIB);
    ck_assert(large_is_marked(ptr, MIB));
    ck_assert_uint_eq(large_arena->runs.large_bytes, 3 * MIB);
    large_give(ptr);
    large_give(wall);
    large_expect_empty();
}
END_TEST

START_TEST(what_is_added_of_fresh_memory_reads_as_zero) {
    unsigned char *const ptr = large_take(MIB); /* the rest of the mapping was never used */
    bool is_zeroed = false;

    memset(ptr, 1, MIB);
    ck_assert(resize(ptr, 2 * MIB, &is_zeroed));
    ck_assert(is_zeroed);
    ck_assert(is_zero(ptr + MIB, MIB));
    /* The end of a last granule that was shared with the object's own bytes: no promise. */
    ck_assert(resize(ptr, 2 * MIB + 1, &is_zeroed));
    ck_assert(resize(ptr, 2 * MIB + AL_GRANULE_BYTES + 1, &is_zeroed));
    ck_assert(!is_zeroed);
    large_check(ptr, 2 * MIB + AL_GRANULE_BYTES + AL_PAGE_BYTES);
    large_give(ptr);
    large_expect_empty();
}
END_TEST

START_TEST(a_block_that_shrinks_gives_its_end_away) {
    unsigned char *const ptr = large_take(2 * MIB);
    unsigned char *const wall = large_take(MIB);

    large_mark(ptr, 2 * MIB);
    ck_assert(resize(ptr, MIB + 1, NULL));
    large_check(ptr, MIB + AL_PAGE_BYTES);
    ck_assert(large_is_marked(ptr, MIB + AL_PAGE_BYTES));
    ck_assert(al_map_low_is_free(al_map_entry_low(large_entry(ptr + MIB + AL_GRANULE_BYTES))));
    al_runs_check(&large_arena->runs);
    ck_assert_uint_eq(large_arena->runs.large_bytes, 2 * MIB + AL_GRANULE_BYTES);
    unsigned char *const inside = large_take(MIB - AL_GRANULE_BYTES);
    ck_assert_ptr_eq(inside, ptr + MIB + AL_GRANULE_BYTES);
    ck_assert(resize(ptr, 0, NULL));
    large_check(ptr, AL_PAGE_BYTES);
    ck_assert(large_is_marked(ptr, AL_PAGE_BYTES));
    large_give(inside);
    large_give(ptr);
    large_give(wall);
    large_expect_empty();
}
END_TEST

/* Up and down inside of one granule: nothing is taken or given. */
START_TEST(pages_of_the_last_granule_are_the_blocks_own) {
    unsigned char *const ptr = large_take(5 * AL_GRANULE_BYTES - 3 * AL_PAGE_BYTES);
    bool is_zeroed = true;

    ck_assert(resize(ptr, 5 * AL_GRANULE_BYTES, &is_zeroed));
    ck_assert(!is_zeroed);
    large_check(ptr, 5 * (size_t)AL_GRANULE_BYTES);
    ck_assert(resize(ptr, 4 * AL_GRANULE_BYTES + 1, &is_zeroed));
    large_check(ptr, 4 * (size_t)AL_GRANULE_BYTES + AL_PAGE_BYTES);
    ck_assert_uint_eq(large_arena->runs.large_bytes, 5 * (size_t)AL_GRANULE_BYTES);
    large_give(ptr);
    large_expect_empty();
}
END_TEST

START_TEST(a_mapping_of_its_own_grows_and_shrinks) {
    unsigned char *const ptr = large_take(64 * MIB);
    bool is_zeroed = false;

    large_mark(ptr, 64 * MIB);
    ck_assert(resize(ptr, 40 * MIB + 1, NULL));
    large_check(ptr, 40 * MIB + AL_PAGE_BYTES);
    ck_assert_uint_eq(large_arena->runs.huge_bytes, 40 * MIB + AL_GRANULE_BYTES);
    ck_assert(!al_os_is_readable(ptr + 41 * (size_t)MIB));
    ck_assert(large_is_marked(ptr, 40 * MIB));
    /* The room that was given up is free, unless somebody was faster. */
    if (resize(ptr, 50 * MIB, &is_zeroed)) {
        ck_assert(!is_zeroed); /* bytes behind the old usable size were the object's */
        large_check(ptr, 50 * MIB);
        ck_assert(is_zero(ptr + 41 * (size_t)MIB, 9 * MIB));
        ck_assert(large_is_marked(ptr, 40 * MIB));
    }
    ck_assert(!resize(ptr, 32 * MIB - 4096, NULL)); /* the other kind */
    ck_assert(!resize(ptr, SIZE_MAX, NULL));
    ck_assert(!resize(ptr, AL_SIZE_MAX_BYTES, NULL));
    ck_assert(!resize(ptr, ((size_t)UINT32_MAX + 1) << AL_GRANULE_LG, NULL));
    ck_assert(resize(ptr, 32 * MIB, NULL));
    large_check(ptr, 32 * MIB);
    ck_assert_uint_eq(large_arena->runs.large_malloc_count - large_arena->runs.large_free_count, 1);
    large_give(ptr);
    large_expect_empty();
}
END_TEST

START_TEST(a_run_does_not_grow_to_a_mapping) {
    unsigned char *const ptr = large_take(MIB);

    ck_assert(!resize(ptr, 32 * MIB, NULL));
    ck_assert(!resize(ptr, SIZE_MAX, NULL));
    large_check(ptr, MIB);
    large_give(ptr);
    large_expect_empty();
}
END_TEST

/* ---- no memory ---- */

START_TEST(any_call_may_fail_and_nothing_is_half_done) {
    static const size_t sizes[][2] = {
        {100000, 1}, {4 * MIB, 1}, {5 * MIB, 2 * MIB}, {40 * MIB, 1}, {40 * MIB, 64 * MIB}};
    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        unsigned char *ptr = NULL;
        for (uint64_t nth = 1; ptr == NULL; nth++) { /* ends: there are few calls */
            ck_assert_uint_lt(nth, 20);
            (void)al_os_fail_after(nth, true);
            ptr = large_take_aligned(sizes[n][0], sizes[n][1], NULL);
            (void)al_os_fail_after(0, false);
            if (ptr == NULL) {
                large_expect_empty();
            }
        }
        large_check(ptr, al_large_usable_bytes(sizes[n][0]));
        (void)al_os_fail_after(1, true);
        if (al_extent_kind(large_extent(ptr)) == AL_EXTENT_HUGE) {
            ck_assert(!resize(ptr, sizes[n][0] + MIB, NULL));
            ck_assert(!resize(ptr, sizes[n][0] - MIB, NULL));
            large_check(ptr, al_large_usable_bytes(sizes[n][0]));
        }
        (void)al_os_fail_after(0, false);
        large_give(ptr);
        large_expect_empty();
    }
}
END_TEST

/* ---- misuse ---- */

static unsigned char *victim;

static void free_middle(void) {
    large_give(victim + AL_GRANULE_BYTES);
}

static void free_first_page(void) {
    large_give(victim + AL_QUANTUM_BYTES);
}

static void free_twice(void) {
    large_give(victim);
    large_give(victim);
}

static void free_static(void) {
    static unsigned char block[AL_GRANULE_BYTES];

    large_give(block);
}

START_TEST(misuse_is_named) {
    victim = large_take(MIB);
    assert_dies(free_middle, "tally: pointer into the middle of an allocation: 0xADDR\n");
    assert_dies(free_first_page, "tally: pointer into the middle of an allocation: 0xADDR\n");
    assert_dies(free_twice, "tally: pointer to memory that is already free: 0xADDR\n");
    assert_dies(free_static, "tally: pointer that was never allocated: 0xADDR\n");
    large_give(victim);
    victim = large_take(33 * MIB);
    assert_dies(free_first_page, "tally: pointer into the middle of an allocation: 0xADDR\n");
    assert_dies(free_middle, "tally: pointer that was never allocated: 0xADDR\n");
    assert_dies(free_twice, "tally: pointer that was never allocated: 0xADDR\n");
    large_give(victim);
    large_expect_empty();
}
END_TEST

/* ---- at random ---- */

static unsigned char *move(unsigned char *ptr, size_t size_bytes) {
    return al_large_move(large_arena, ptr, large_entry(ptr), size_bytes);
}

static struct {
    unsigned char *ptr;
    size_t usable_bytes;
} held[HELD_COUNT];

static void expect_sums(void) {
    size_t large_bytes = 0;
    size_t huge_bytes = 0;

    for (size_t n = 0; n < HELD_COUNT; n++) {
        if (held[n].ptr != NULL) {
            const struct al_extent *const extent = large_extent(held[n].ptr);
            large_bytes += al_extent_bytes(extent);
            huge_bytes += al_extent_kind(extent) == AL_EXTENT_HUGE ? al_extent_bytes(extent) : 0;
        }
    }
    ck_assert_uint_eq(large_arena->runs.large_bytes, large_bytes);
    ck_assert_uint_eq(large_arena->runs.huge_bytes, huge_bytes);
    ck_assert_uint_eq((large_arena->runs.mapped_granules - large_arena->runs.free_granules)
                          << AL_GRANULE_LG,
                      large_bytes - huge_bytes);
    al_runs_check(&large_arena->runs);
}

static size_t random_bytes(uint64_t *random) {
    const uint64_t word = suite_random(random);

    return 65537 + (word >> 8) % (word % 64 == 0  ? 50 * (size_t)MIB
                                  : word % 4 == 0 ? 6 * (size_t)MIB
                                                  : 400 * (size_t)KIB);
}

/* A word at both ends is what the block must keep. */
static void stamp(size_t n) {
    held[n].ptr[0] = (unsigned char)(n + 1);
    held[n].ptr[held[n].usable_bytes - 1] = (unsigned char)(n + 101);
}

static void random_step(size_t n, uint64_t *random) {
    const size_t size_bytes = random_bytes(random);

    if (held[n].ptr == NULL) {
        held[n].ptr = large_take_aligned(size_bytes, (size_t)1 << suite_random(random) % 18, NULL);
        ck_assert_ptr_nonnull(held[n].ptr);
    } else {
        ck_assert_uint_eq(held[n].ptr[0], n + 1);
        ck_assert_uint_eq(held[n].ptr[held[n].usable_bytes - 1], n + 101);
        unsigned char *moved = NULL;
        if (suite_random(random) % 2 == 0) {
            large_give(held[n].ptr);
            held[n].ptr = NULL;
            return;
        }
        if (!resize(held[n].ptr, size_bytes, NULL)) {
            moved = move(held[n].ptr, size_bytes);
            if (moved == NULL) {
                return;
            }
            ck_assert_uint_eq(moved[held[n].usable_bytes - 1], n + 101);
            held[n].ptr = moved;
        }
        ck_assert_uint_eq(held[n].ptr[0], n + 1);
    }
    held[n].usable_bytes = al_large_usable_bytes(size_bytes);
    large_check(held[n].ptr, held[n].usable_bytes);
    stamp(n);
}

START_TEST(random_sizes_lose_nothing) {
    uint64_t random = suite_seed(11);

    for (int step = 0; step < STEP_COUNT; step++) {
        random_step(suite_random(&random) % HELD_COUNT, &random);
        if (step % 16 == 0) {
            expect_sums();
        }
    }
    for (size_t n = 0; n < HELD_COUNT; n++) {
        if (held[n].ptr != NULL) {
            large_give(held[n].ptr);
            held[n].ptr = NULL;
        }
    }
    large_expect_empty();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("large");

    tcase_add_checked_fixture(tcase, large_setup, NULL);
    tcase_add_test(tcase, usable_sizes_are_whole_pages);
    tcase_add_loop_test(tcase, every_size_at_every_alignment, 0, 28);
    tcase_add_test(tcase, what_no_machine_has_changes_nothing);
    tcase_add_test(tcase, zero_is_promised_of_zero_only);
    tcase_add_test(tcase, neighbours_that_are_free_are_one);
    tcase_add_test(tcase, a_block_grows_into_what_is_free_behind_it);
    tcase_add_test(tcase, what_is_added_of_fresh_memory_reads_as_zero);
    tcase_add_test(tcase, a_block_that_shrinks_gives_its_end_away);
    tcase_add_test(tcase, pages_of_the_last_granule_are_the_blocks_own);
    tcase_add_test(tcase, a_mapping_of_its_own_grows_and_shrinks);
    tcase_add_test(tcase, a_run_does_not_grow_to_a_mapping);
    tcase_add_test(tcase, any_call_may_fail_and_nothing_is_half_done);
    tcase_add_test(tcase, misuse_is_named);
    tcase_add_test(tcase, random_sizes_lose_nothing);
    return suite_run(tcase, "large", 60);
}
