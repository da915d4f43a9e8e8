/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   every request gets a block of the size, place and arena it asked for; changing the size
 * keeps the bytes and the counters true; a size that could have made the block is right, another is
 * not. Method: sizes around every class and the two kinds of large block; each block carries a
 * pattern, and the thread's counters are held against the usable sizes after each step.
 */
#include "alloc/arena.h"
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/extent.h"
#include "alloc/malloc.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/request.h"
#include "tests/support/dies.h"
#include "tests/support/no_hooks.h"
#include "tests/support/suite.h"

#include <string.h>

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    STEP_COUNT = 4000,
    HELD_COUNT = 60,
    RATE_LG = 19,
};

static void setup(void) {
    al_init();
    (void)al_os_fail_after(0, false);
    al_sample_set(false, RATE_LG);
    al_free(al_malloc(1)); /* the thread has a cache */
}

static uint64_t live_bytes(void) {
    return al_thread_allocated_bytes() - al_thread_deallocated_bytes();
}

static unsigned char byte_at(size_t at, unsigned seed) {
    return (unsigned char)(at * 31 + at / 251 + seed);
}

/* All bytes of a small block, some of a large one, the last always. */
static size_t step_of(size_t bytes) {
    return bytes <= 64 * KIB ? 1 : bytes / 4096;
}

static void fill(unsigned char *ptr, size_t bytes, unsigned seed) {
    for (size_t at = 0; at < bytes; at += step_of(bytes)) {
        ptr[at] = byte_at(at, seed);
    }
}

/* Whether the first `kept` bytes of what was filled as `bytes` are there. */
static bool is_filled(const unsigned char *ptr, size_t bytes, size_t kept, unsigned seed) {
    for (size_t at = 0; at < kept; at += step_of(bytes)) {
        if (ptr[at] != byte_at(at, seed)) {
            return false;
        }
    }
    return true;
}

/* ---- malloc ---- */

static void check_usable(const void *ptr, size_t size_bytes, size_t align_bytes) {
    ck_assert_ptr_nonnull(ptr);
    ck_assert_uint_eq((uintptr_t)ptr % align_bytes, 0);
    ck_assert_uint_eq((uintptr_t)ptr % AL_QUANTUM_BYTES, 0);
    ck_assert_uint_eq(al_request_usable_bytes(ptr), al_good_size(size_bytes, align_bytes));
    ck_assert_uint_ge(al_request_usable_bytes(ptr), size_bytes);
}

/* `_i` is half of lg of the alignment. */
START_TEST(a_block_is_as_large_and_aligned_as_asked) {
    static const size_t sizes[] = {0,      1,    15,      16,           17,       100,     1024,
                                   1025,   4096, 4097,    16384,        65535,    65536,   65537,
                                   100000, MIB,  8 * MIB, 32 * MIB - 1, 32 * MIB, 40 * MIB};
    const size_t align_bytes = (size_t)1 << 2 * _i;
    const uint64_t before_bytes = live_bytes();

    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        bool is_zeroed = false;
        unsigned char *const ptr = al_request_malloc_aligned(sizes[n], align_bytes, &is_zeroed);
        check_usable(ptr, sizes[n], align_bytes);
        for (size_t at = 0; is_zeroed && at < sizes[n]; at += step_of(sizes[n])) {
            ck_assert_uint_eq(ptr[at], 0);
        }
        const size_t usable_bytes = al_request_usable_bytes(ptr);
        memset(ptr, 1, usable_bytes < 128 * KIB ? usable_bytes : 128 * KIB);
        ck_assert_uint_eq(live_bytes() - before_bytes, al_request_usable_bytes(ptr));
        al_request_free(ptr);
        ck_assert_uint_eq(live_bytes(), before_bytes);
    }
}
END_TEST

START_TEST(an_arena_of_choice_serves_past_the_cache) {
    static const size_t sizes[] = {0, 1, 1000, 65536, 65537, 3 * MIB, 33 * MIB};
    unsigned arena_idx = 0;

    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    struct al_arena *const arena = al_arena_at(arena_idx);
    const uint64_t before_bytes = live_bytes();
    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        for (size_t align_bytes = 1; align_bytes <= 64 * KIB; align_bytes *= 8) {
            unsigned found_idx = 0;
            bool is_zeroed = false;
            void *const ptr =
                al_request_malloc_past(arena, NULL, sizes[n], align_bytes, &is_zeroed);
            check_usable(ptr, sizes[n], align_bytes);
            ck_assert_int_eq(al_arena_lookup(ptr, &found_idx), 0);
            ck_assert_uint_eq(found_idx, arena_idx);
            ck_assert_uint_eq(live_bytes() - before_bytes, al_request_usable_bytes(ptr));
            al_request_free_past(ptr, NULL);
            ck_assert_uint_eq(live_bytes(), before_bytes);
            ck_assert_uint_eq(arena->runs.free_granules, arena->runs.mapped_granules);
        }
    }
    ck_assert_uint_eq(arena->runs.huge_bytes, 0);
}
END_TEST

START_TEST(what_no_machine_has_is_refused) {
    static const size_t sizes[][2] = {{SIZE_MAX, 1},           {AL_SIZE_MAX_BYTES + 1, 1},
                                      {AL_SIZE_MAX_BYTES, 1},  {AL_SIZE_MAX_BYTES, 4096},
                                      {1, (size_t)1 << 63},    {SIZE_MAX, (size_t)1 << 63},
                                      {SIZE_MAX - 4095, 16384}};
    const uint64_t before_bytes = live_bytes();

    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        bool is_zeroed = false;
        ck_assert_ptr_null(al_request_malloc_aligned(sizes[n][0], sizes[n][1], &is_zeroed));
        ck_assert_ptr_null(
            al_request_malloc_past(al_arena_at(0), NULL, sizes[n][0], sizes[n][1], &is_zeroed));
    }
    unsigned char *const ptr = al_request_malloc(100, NULL);
    fill(ptr, 100, 1);
    ck_assert_ptr_null(al_request_realloc(ptr, SIZE_MAX));
    ck_assert_ptr_null(al_request_realloc(ptr, AL_SIZE_MAX_BYTES));
    ck_assert(!al_request_resize(ptr, SIZE_MAX, 1));
    ck_assert(is_filled(ptr, 100, 100, 1));
    al_request_free(ptr);
    unsigned char *const large = al_request_malloc(2 * MIB, NULL);
    ck_assert_ptr_null(al_request_realloc(large, SIZE_MAX));
    ck_assert_ptr_null(al_request_realloc(large, AL_SIZE_MAX_BYTES));
    ck_assert(!al_request_resize(large, SIZE_MAX, 1));
    ck_assert(!al_request_resize(large, AL_SIZE_MAX_BYTES, 1));
    al_request_free(large);
    ck_assert_uint_eq(live_bytes(), before_bytes);
}
END_TEST

/* ---- realloc ---- */

/* realloc, with all that it promises. */
static unsigned char *check_realloc(unsigned char *ptr, size_t old_bytes, size_t size_bytes) {
    const uint64_t other_bytes = live_bytes() - al_request_usable_bytes(ptr);

    fill(ptr, old_bytes, (unsigned)size_bytes);
    unsigned char *const moved = al_request_realloc(ptr, size_bytes);
    ck_assert_ptr_nonnull(moved);
    const size_t usable_bytes = al_request_usable_bytes(moved);
    ck_assert_uint_ge(usable_bytes, size_bytes);
    /* At most a quarter too much, and what the next class is larger. */
    ck_assert_uint_le(usable_bytes, size_bytes + size_bytes * 5 / 8 + AL_PAGE_BYTES);
    ck_assert(is_filled(moved, old_bytes, old_bytes < size_bytes ? old_bytes : size_bytes,
                        (unsigned)size_bytes));
    ck_assert_uint_eq(live_bytes(), other_bytes + usable_bytes);
    al_request_check_size(moved, size_bytes, 1);
    return moved;
}

/* From every size around a class to every other such. */
START_TEST(every_change_between_classes_keeps_the_bytes) {
    const uint64_t before_bytes = live_bytes();

    for (unsigned from = 1; from < AL_CLASS_COUNT; from += 3) {
        for (unsigned to = 1; to < AL_CLASS_COUNT; to++) {
            const size_t from_bytes = al_class_bytes(from) - from % 2;
            const size_t to_bytes = al_class_bytes(to) - to % 3;
            unsigned char *ptr = al_request_malloc(from_bytes, NULL);
            ptr = check_realloc(ptr, from_bytes, to_bytes);
            al_request_free(ptr);
        }
    }
    ck_assert_uint_eq(live_bytes(), before_bytes);
}
END_TEST

/* Through all kinds: slabs, runs, mappings of their own, and back. */
START_TEST(a_block_goes_through_all_kinds) {
    static const size_t sizes[] = {1,       65536,    65537,    100,      70000,    2 * MIB,
                                   3 * MIB, 31 * MIB, 33 * MIB, 50 * MIB, 34 * MIB, 33 * MIB - 1,
                                   2 * MIB, 40 * MIB, 10,       0,        20};
    const uint64_t before_bytes = live_bytes();
    unsigned char *ptr = al_request_malloc(16, NULL);
    size_t old_bytes = 16;

    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        ptr = check_realloc(ptr, old_bytes, sizes[n]);
        old_bytes = sizes[n];
    }
    al_request_free(ptr);
    ck_assert_uint_eq(live_bytes(), before_bytes);
}
END_TEST

START_TEST(a_block_that_grows_by_little_is_copied_seldom) {
    unsigned char *ptr = al_request_malloc(16, NULL);
    unsigned copy_count = 0;

    for (size_t bytes = 17; bytes <= AL_SMALL_MAX_BYTES; bytes++) {
        unsigned char *const moved = al_request_realloc(ptr, bytes);
        ck_assert_ptr_nonnull(moved);
        ck_assert_uint_ge(al_request_usable_bytes(moved), bytes);
        copy_count += moved != ptr;
        ptr = moved;
    }
    ck_assert_uint_le(copy_count, 50); /* by a quarter each: ln(4096) / ln(5/4) is 37 */
    al_request_free(ptr);
}
END_TEST

/* Down to five eighths a block stays; below, its memory is worth a copy. */
START_TEST(a_block_that_shrinks_by_little_stays) {
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const size_t class_bytes = al_class_bytes(class_idx);
        unsigned char *ptr = al_request_malloc(class_bytes, NULL);
        for (size_t bytes = class_bytes; bytes > class_bytes / 8 * 5; bytes--) {
            ck_assert_ptr_eq(al_request_realloc(ptr, bytes), ptr);
        }
        ptr = check_realloc(ptr, class_bytes / 2, class_bytes / 4 + 1);
        ck_assert_uint_lt(al_request_usable_bytes(ptr), class_bytes / 2 + AL_QUANTUM_BYTES);
        al_request_free(ptr);
    }
}
END_TEST

static unsigned char *held[HELD_COUNT];
static size_t held_bytes[HELD_COUNT];

static size_t random_bytes(uint64_t *random) {
    const uint64_t word = suite_random(random);

    return (word >> 8) % (word % 64 == 0   ? 40 * (size_t)MIB
                          : word % 16 == 0 ? 3 * (size_t)MIB
                          : word % 4 == 0  ? 90000
                                           : 2000);
}

/* `_i`: 1, every allocation is sampled. */
START_TEST(random_changes_keep_bytes_and_counters) {
    uint64_t random = suite_seed(17) + (uint64_t)_i;
    const uint64_t before_bytes = live_bytes();
    const uint64_t sampled_count = atomic_load(&test_sample_count);
    const uint64_t freed_count = atomic_load(&test_sample_freed_count);

    al_sample_set(_i == 1, _i == 1 ? 0 : RATE_LG);
    for (int step = 0; step < STEP_COUNT; step++) {
        const size_t n = suite_random(&random) % HELD_COUNT;
        const size_t size_bytes = random_bytes(&random);
        if (held[n] == NULL) {
            held[n] = al_request_malloc_aligned(size_bytes, (size_t)1 << step % 13, NULL);
            ck_assert_ptr_nonnull(held[n]);
        } else if (step % 5 == 0) {
            al_request_free(held[n]);
            held[n] = NULL;
        } else {
            held[n] = check_realloc(held[n], held_bytes[n], size_bytes);
        }
        held_bytes[n] = size_bytes;
    }
    for (size_t n = 0; n < HELD_COUNT; n++) {
        if (held[n] != NULL) {
            al_request_free(held[n]);
            held[n] = NULL;
        }
    }
    al_sample_set(false, RATE_LG);
    ck_assert_uint_eq(live_bytes(), before_bytes);
    ck_assert_uint_eq(atomic_load(&test_sample_count) - sampled_count,
                      atomic_load(&test_sample_freed_count) - freed_count);
    ck_assert_int_eq(atomic_load(&test_sample_count) != sampled_count, _i == 1);
}
END_TEST

/* ---- in place ---- */

/* True: as large as a fresh one; false: as it was. */
static void check_resize(size_t from_bytes, size_t to_bytes, size_t align_bytes) {
    unsigned char *const ptr = al_request_malloc_aligned(from_bytes, align_bytes, NULL);

    ck_assert_ptr_nonnull(ptr);
    const size_t old_bytes = al_request_usable_bytes(ptr);
    const uint64_t other_bytes = live_bytes() - old_bytes;
    if (al_request_resize(ptr, to_bytes, align_bytes)) {
        check_usable(ptr, to_bytes, align_bytes);
    } else {
        ck_assert_uint_eq(al_request_usable_bytes(ptr), old_bytes);
        ck_assert_uint_ne(old_bytes, al_good_size(to_bytes, align_bytes));
    }
    ck_assert_uint_eq(live_bytes(), other_bytes + al_request_usable_bytes(ptr));
    al_request_free(ptr);
}

START_TEST(resizing_in_place_does_all_or_nothing) {
    static const size_t sizes[] = {0,
                                   1,
                                   16,
                                   17,
                                   1024,
                                   5000,
                                   65536,
                                   65537,
                                   69632,
                                   100000,
                                   MIB,
                                   2 * MIB,
                                   31 * MIB,
                                   32 * MIB,
                                   40 * MIB,
                                   SIZE_MAX,
                                   AL_SIZE_MAX_BYTES};
    for (size_t align_bytes = 1; align_bytes <= 256 * KIB; align_bytes *= 16) {
        for (size_t from = 0; from + 2 < AL_ARRAY_COUNT(sizes); from++) {
            for (size_t to = 0; to < AL_ARRAY_COUNT(sizes); to++) {
                check_resize(sizes[from], sizes[to], align_bytes);
            }
        }
    }
}
END_TEST

/* ---- no memory ---- */

START_TEST(a_realloc_without_memory_keeps_the_block) {
    static const size_t sizes[][2] = {
        {100, 3 * MIB}, {MIB, 64 * MIB}, {2 * MIB, 31 * MIB}, {33 * MIB, 80 * MIB}};
    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        unsigned char *ptr = al_request_malloc(sizes[n][0], NULL);
        fill(ptr, sizes[n][0], 5);
        const uint64_t before_bytes = live_bytes();
        unsigned char *moved = NULL;
        for (uint64_t nth = 1; moved == NULL; nth++) { /* ends: there are few calls */
            ck_assert_uint_lt(nth, 20);
            (void)al_os_fail_after(nth, true);
            moved = al_request_realloc(ptr, sizes[n][1]);
            (void)al_os_fail_after(0, false);
            if (moved == NULL) {
                ck_assert(is_filled(ptr, sizes[n][0], sizes[n][0], 5));
                ck_assert_uint_eq(live_bytes(), before_bytes);
                ck_assert_uint_eq(al_request_usable_bytes(ptr), al_good_size(sizes[n][0], 1));
            }
        }
        ck_assert(is_filled(moved, sizes[n][0], sizes[n][0], 5));
        al_request_free(moved);
    }
}
END_TEST

/* ---- sizes that are checked ---- */

START_TEST(every_size_that_could_have_made_a_block_is_right) {
    for (size_t bytes = 0; bytes <= 3 * (size_t)AL_SMALL_MAX_BYTES; bytes += 1 + bytes / 200) {
        for (size_t align_bytes = 1; align_bytes <= 64 * KIB; align_bytes *= 4) {
            void *const ptr = al_request_malloc_aligned(bytes, align_bytes, NULL);
            al_request_check_size(ptr, bytes, align_bytes);
            al_request_free(ptr);
        }
    }
}
END_TEST

/* realloc may leave more than a fresh block has: what was asked for is still its size. */
START_TEST(the_size_a_realloc_asked_for_is_right) {
    for (size_t from = 1; from <= 70000; from += 1 + from / 40) {
        for (size_t to = from / 2 + 1; to <= from * 2; to += 1 + from / 20) {
            void *const ptr = al_request_realloc(al_request_malloc(from, NULL), to);
            al_request_check_size(ptr, to, 1);
            void *const again = al_request_realloc(ptr, to + 1);
            al_request_check_size(again, to + 1, 1);
            al_request_free(again);
        }
    }
}
END_TEST

static size_t wrong_from, wrong_to, wrong_align;

static void check_wrong_size(void) {
    al_request_check_size(al_request_malloc(wrong_from, NULL), wrong_to, wrong_align);
}

START_TEST(other_sizes_are_wrong) {
    static const size_t wrong[][3] = {{100, 113, 1},       {100, 60, 1},
                                      {100, 0, 1},         {1, 17, 1},
                                      {65536, 65537, 1},   {65536, 32768, 1},
                                      {200000, 100000, 1}, {200000, 300000, 1},
                                      {40 * MIB, MIB, 1},  {40 * MIB, 41 * MIB, 1},
                                      {100, SIZE_MAX, 1},  {200000, SIZE_MAX, 1},
                                      {100, 100, 4096},    {100, 100, 3},
                                      {100, 100, 0}};

    wrong_from = wrong[_i][0];
    wrong_to = wrong[_i][1];
    wrong_align = wrong[_i][2];
    assert_dies(check_wrong_size,
                "tally: freed with a size that is not the allocation's: 0xADDR\n");
}
END_TEST

START_TEST(reallocs_to_nothing_are_counted) {
    const uint64_t count = al_request_zero_realloc_count();

    al_request_count_zero_realloc();
    al_request_count_zero_realloc();
    ck_assert_uint_eq(al_request_zero_realloc_count(), count + 2);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("request");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_loop_test(tcase, a_block_is_as_large_and_aligned_as_asked, 0, 11);
    tcase_add_test(tcase, an_arena_of_choice_serves_past_the_cache);
    tcase_add_test(tcase, what_no_machine_has_is_refused);
    tcase_add_test(tcase, every_change_between_classes_keeps_the_bytes);
    tcase_add_test(tcase, a_block_goes_through_all_kinds);
    tcase_add_test(tcase, a_block_that_grows_by_little_is_copied_seldom);
    tcase_add_test(tcase, a_block_that_shrinks_by_little_stays);
    tcase_add_loop_test(tcase, random_changes_keep_bytes_and_counters, 0, 2);
    tcase_add_test(tcase, resizing_in_place_does_all_or_nothing);
    tcase_add_test(tcase, a_realloc_without_memory_keeps_the_block);
    tcase_add_test(tcase, every_size_that_could_have_made_a_block_is_right);
    tcase_add_test(tcase, the_size_a_realloc_asked_for_is_right);
    tcase_add_loop_test(tcase, other_sizes_are_wrong, 0, 15);
    tcase_add_test(tcase, reallocs_to_nothing_are_counted);
    return suite_run(tcase, "request", 60);
}
