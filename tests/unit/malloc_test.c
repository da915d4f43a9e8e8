/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   every entry point keeps its contract: sizes, alignment, errno, counters, and what a
 *         realloc preserves.
 * Method: tables of edges, then random operations against a shadow heap, single and threaded.
 */
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/stats.h"
#include "alloc/thread.h"
#include "tests/support/shadow.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static const size_t sizes[] = {
    0,     1,     15,      16,      17,       1023, 1024, 1025, 4096,  4097,   16384,  65535, 65536,
    65537, 81920, 1 << 20, 4 << 20, 33 << 20, 8,    24,   2048, 32768, 131072, 262144, 40000};

START_TEST(usable_size_covers_the_request_and_is_what_nallocx_said) {
    void *const ptr = al_malloc(sizes[_i]);

    ck_assert_ptr_nonnull(ptr);
    ck_assert_uint_ge(al_malloc_usable_size(ptr), sizes[_i]);
    ck_assert_uint_eq(al_malloc_usable_size(ptr), al_nallocx(sizes[_i], 0));
    memset(ptr, 0x5a, al_malloc_usable_size(ptr));
    al_free(ptr);
}
END_TEST

START_TEST(every_alignment_is_kept) {
    for (size_t align = 1; align <= (size_t)64 << 20; align *= 2) {
        void *const ptr = al_aligned_alloc(align, sizes[_i]);
        ck_assert_ptr_nonnull(ptr);
        ck_assert_uint_eq((uintptr_t)ptr % align, 0);
        memset(ptr, 1, sizes[_i] < 4096 ? sizes[_i] : 4096);
        al_free(ptr);
    }
}
END_TEST

START_TEST(classes_are_monotonic_and_tight) {
    for (size_t size = 1; size <= AL_SMALL_MAX_BYTES; size++) {
        const unsigned class_idx = al_class_of(size);
        ck_assert_uint_ge(al_class_bytes(class_idx), size);
        ck_assert(class_idx == 1 || al_class_bytes(class_idx - 1) < size);
        ck_assert_uint_eq(al_class_bytes(class_idx) % 16, 0);
    }
    ck_assert_uint_eq(al_class_of(AL_SMALL_MAX_BYTES), AL_CLASS_COUNT - 1);
}
END_TEST

START_TEST(failure_says_so_as_documented) {
    void *out = &out;

    errno = 0;
    ck_assert_ptr_null(al_malloc(SIZE_MAX));
    ck_assert_int_eq(errno, ENOMEM);
    errno = 0;
    ck_assert_ptr_null(al_malloc((size_t)1 << 62));
    ck_assert_int_eq(errno, ENOMEM);
    errno = 0;
    ck_assert_ptr_null(al_calloc(SIZE_MAX / 2, 3));
    ck_assert_int_eq(errno, ENOMEM);
    errno = 0;
    ck_assert_ptr_null(al_aligned_alloc(24, 8));
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_ptr_null(al_aligned_alloc(0, 8));
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_int_eq(al_posix_memalign(&out, 4, 8), EINVAL);
    ck_assert_int_eq(al_posix_memalign(&out, 24, 8), EINVAL);
    ck_assert_int_eq(al_posix_memalign(&out, 16, SIZE_MAX), ENOMEM);
    ck_assert_ptr_eq(out, (void *)&out);
    ck_assert_int_eq(errno, 0);
    ck_assert_ptr_null(al_memalign(24, 8));
    ck_assert_ptr_null(al_valloc(SIZE_MAX));
    ck_assert_ptr_null(al_pvalloc(SIZE_MAX));
    ck_assert_ptr_null(al_mallocx(SIZE_MAX, 0));
    ck_assert_int_eq(errno, 0);
    ck_assert_uint_eq(al_nallocx(SIZE_MAX, 0), 0);
    void *const kept = al_malloc(100);
    ck_assert_ptr_null(al_realloc(kept, SIZE_MAX));
    ck_assert_int_eq(errno, ENOMEM);
    al_free(kept);
}
END_TEST

START_TEST(free_keeps_errno) {
    void *const small = al_malloc(10);
    void *const large = al_malloc(40 << 20);

    errno = 77;
    al_free(small);
    al_free(large);
    al_free(NULL);
    al_free_sized(NULL, 5);
    ck_assert_int_eq(errno, 77);
}
END_TEST

START_TEST(realloc_to_zero_frees) {
    ck_assert_ptr_null(al_realloc(al_malloc(10), 0));
    void *const ptr = al_realloc(NULL, 0);
    ck_assert_ptr_nonnull(ptr);
    al_free(ptr);
    ck_assert_uint_eq(al_malloc_usable_size(NULL), 0);
}
END_TEST

START_TEST(realloc_keeps_the_common_part_through_all_sizes) {
    unsigned char *ptr = NULL;
    size_t old = 0;

    for (size_t size = 1; size < (size_t)80 << 20; size += size / 3 + 1) {
        ptr = al_realloc(ptr, size);
        for (size_t at = 0; at < old; at += 997) {
            ck_assert_uint_eq(ptr[at], at % 251);
        }
        for (size_t at = 0; at < size; at += 997) {
            ptr[at] = (unsigned char)(at % 251);
        }
        old = size;
    }
    for (size_t size = old; size > 0; size = size * 2 / 3) {
        ptr = al_realloc(ptr, size);
        for (size_t at = 0; at < size; at += 997) {
            ck_assert_uint_eq(ptr[at], at % 251);
        }
    }
    al_free(ptr);
    al_audit_all();
}
END_TEST

START_TEST(thread_counters_are_exact_to_the_byte) {
    uint64_t allocated = al_thread_allocated_bytes();
    uint64_t freed = al_thread_deallocated_bytes();
    void *ptrs[3000];

    for (size_t idx = 0; idx < 3000; idx++) {
        ptrs[idx] = al_malloc(idx * 37 % 100000);
        allocated += al_malloc_usable_size(ptrs[idx]);
    }
    ck_assert_uint_eq(al_thread_allocated_bytes(), allocated);
    for (size_t idx = 0; idx < 3000; idx++) {
        freed += al_malloc_usable_size(ptrs[idx]);
        al_free(ptrs[idx]);
    }
    ck_assert_uint_eq(al_thread_deallocated_bytes(), freed);
    const uint64_t *const exact_allocated = al_thread_allocated_ptr();
    const uint64_t *const exact_freed = al_thread_deallocated_ptr();
    ck_assert_uint_eq(*exact_allocated, allocated);
    ck_assert_uint_eq(*exact_freed, freed);
    void *const one = al_malloc(50);
    ck_assert_uint_eq(*exact_allocated, allocated + 64);
    al_free(one);
    ck_assert_uint_eq(*exact_freed, freed + 64);
    void *const large = al_malloc(100000);
    ck_assert_uint_eq(*exact_allocated, allocated + 64 + 102400);
    al_free(large);
    al_audit_all();
}
END_TEST

START_TEST(statistics_keep_their_order) {
    struct al_stats before;
    struct al_stats after;

    al_stats_read(&before);
    char *const big = al_malloc(10 << 20);
    al_stats_read(&after);
    ck_assert_uint_ge(after.allocated_bytes, before.allocated_bytes + (10 << 20));
    ck_assert_uint_le(after.allocated_bytes, after.active_bytes);
    ck_assert_uint_le(after.active_bytes, after.resident_bytes);
    ck_assert_uint_le(after.resident_bytes, after.mapped_bytes);
    al_free(big);
    al_stats_read(&after);
    ck_assert_uint_le(after.allocated_bytes, before.allocated_bytes);
    ck_assert_int_eq(al_arena_purge(0), 0);
    struct al_stats_arena arena;
    ck_assert(al_stats_arena_read(0, &arena));
    ck_assert_uint_eq(arena.stale_bytes[AL_STALE_DIRTY], 0);
}
END_TEST

START_TEST(a_block_that_grows_by_steps_moves_now_and_then) {
    enum { STEP = 16, LAST = 4096, MOVES_MAX = 30 };
    char *block = al_malloc(STEP);
    int move_count = 0;

    for (size_t bytes = 2 * STEP; bytes <= LAST; bytes += STEP) {
        char *const moved = al_realloc(block, bytes);
        ck_assert_uint_ge(al_malloc_usable_size(moved), bytes);
        ck_assert_uint_le(al_malloc_usable_size(moved),
                          bytes + bytes / 2 + STEP); /* no more than that */
        move_count += moved != block;
        block = moved;
    }
    ck_assert_int_lt(move_count, MOVES_MAX);
    /* What shrinks a little stays; what shrinks by half becomes small. */
    ck_assert_ptr_eq(al_realloc(block, al_malloc_usable_size(block) / 4 * 3), block);
    block = al_realloc(block, LAST / 2);
    ck_assert_uint_lt(al_malloc_usable_size(block), LAST / 8 * 5);
    al_free(block);
}
END_TEST

START_TEST(random_operations_match_the_shadow_heap) {
    uint64_t random = suite_seed(20260701);

    shadow_run(&random, 200000, 3 << 20);
    ck_assert_uint_gt(shadow_count(), 2000);
    al_audit_all();
    shadow_clear();
    ck_assert_int_eq(al_thread_tcache_flush(), 0);
    ck_assert_int_eq(al_arena_decay(0), 0); /* what lies between caches goes home too */
    al_audit_all();
    struct al_stats_arena arena;
    ck_assert(al_stats_arena_read(0, &arena));
    ck_assert_uint_eq(arena.allocated_small_bytes, 0);
    ck_assert_uint_eq(arena.allocated_large_bytes, 0);
    ck_assert_uint_eq(arena.active_bytes, 0);
}
END_TEST

static void *shadow_thread(void *arg) {
    uint64_t random = (uint64_t)(uintptr_t)arg;

    shadow_run(&random, 20000, 300000);
    return NULL;
}

START_TEST(random_operations_match_across_threads) {
    const uint64_t seed = suite_seed(4711);

    for (uint64_t round = 0; round < 5; round++) {
        pthread_t threads[8];
        for (uint64_t idx = 0; idx < 8; idx++) {
            void *const arg = (void *)(uintptr_t)(seed * 1000 + round * 8 + idx + 1);
            ck_assert_int_eq(pthread_create(&threads[idx], NULL, shadow_thread, arg), 0);
        }
        for (size_t idx = 0; idx < 8; idx++) {
            ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
        }
        al_audit_all();
    }
    shadow_clear();
    al_audit_all();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("malloc");
    const int size_count = (int)(sizeof(sizes) / sizeof(sizes[0]));

    tcase_add_loop_test(tcase, usable_size_covers_the_request_and_is_what_nallocx_said, 0,
                        size_count);
    tcase_add_loop_test(tcase, every_alignment_is_kept, 0, size_count);
    tcase_add_test(tcase, classes_are_monotonic_and_tight);
    tcase_add_test(tcase, failure_says_so_as_documented);
    tcase_add_test(tcase, free_keeps_errno);
    tcase_add_test(tcase, realloc_to_zero_frees);
    tcase_add_test(tcase, realloc_keeps_the_common_part_through_all_sizes);
    tcase_add_test(tcase, thread_counters_are_exact_to_the_byte);
    tcase_add_test(tcase, statistics_keep_their_order);
    tcase_add_test(tcase, a_block_that_grows_by_steps_moves_now_and_then);
    tcase_add_test(tcase, random_operations_match_the_shadow_heap);
    tcase_add_test(tcase, random_operations_match_across_threads);
    return suite_run(tcase, "malloc", 120);
}
