/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what mallctl asks of the allocator is answered by arena and by address, nonsense is
 * refused with the error mallctl promises, and the table of sizes is jemalloc's where it says so.
 * Method: arenas of their own, filled by mallocx; the answers are held against the page heap and
 * the classes themselves.
 */
#include "alloc/arena.h"
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/decay.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/purge.h"
#include "alloc/runs.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    FLAG_NO_TCACHE = 1 << 8, /* MALLOCX_TCACHE_NONE */
    FLAG_ARENA_SHIFT = 20,   /* MALLOCX_ARENA */
};

static unsigned arena_idx;
static struct al_runs *runs;

static void setup(void) {
    al_init();
    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    runs = &al_arena_at(arena_idx)->runs;
    ck_assert_int_eq(al_arena_decay_ms_set(arena_idx, AL_STALE_DIRTY, -1), 0);
    ck_assert_int_eq(al_arena_decay_ms_set(arena_idx, AL_STALE_MUZZY, 0), 0);
}

static void *take(size_t size_bytes) {
    void *const ptr =
        al_mallocx(size_bytes, FLAG_NO_TCACHE | (int)(arena_idx + 1) << FLAG_ARENA_SHIFT);

    ck_assert_ptr_nonnull(ptr);
    memset(ptr, 1, size_bytes);
    return ptr;
}

static void give(void *ptr) {
    al_dallocx(ptr, FLAG_NO_TCACHE);
}

/* ---- whose an address is ---- */

START_TEST(each_object_has_an_arena) {
    static const size_t sizes[] = {1, 16, 1000, 65536, 65537, MIB, 40 * MIB};

    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        unsigned found_idx = UINT_MAX;
        void *const ptr = take(sizes[n]);
        ck_assert_int_eq(al_arena_lookup(ptr, &found_idx), 0);
        ck_assert_uint_eq(found_idx, arena_idx);
        give(ptr);
        void *const other = al_malloc(sizes[n]);
        ck_assert_int_eq(al_arena_lookup(other, &found_idx), 0);
        ck_assert_uint_eq(found_idx, al_thread_arena_get());
        al_free(other);
    }
}
END_TEST

START_TEST(a_sampled_object_has_an_arena) {
    unsigned found_idx = UINT_MAX;

    al_sample_set(true, 0);
    void *const ptr = take(100);
    al_sample_set(false, 19);
    ck_assert_int_eq(al_arena_lookup(ptr, &found_idx), 0);
    ck_assert_uint_eq(found_idx, arena_idx);
    give(ptr);
}
END_TEST

START_TEST(what_is_no_object_has_none) {
    static char foreign[64];
    unsigned found_idx = 4711;
    char *const large = take(MIB);
    char *const huge = take(40 * MIB);
    const void *const no_objects[] = {
        NULL,
        foreign,
        &found_idx,
        large + AL_GRANULE_BYTES,
        huge + AL_GRANULE_BYTES,
        (const void *)UINTPTR_MAX,
        (const void *)(uintptr_t)0x800000000000, /* beyond what programs have */
    };
    for (size_t n = 0; n < AL_ARRAY_COUNT(no_objects); n++) {
        ck_assert_int_eq(al_arena_lookup(no_objects[n], &found_idx), EINVAL);
    }
    give(large);
    give(huge);
    ck_assert_int_eq(al_arena_lookup(huge, &found_idx), EINVAL);
    ck_assert_int_eq(al_thread_tcache_flush(), 0); /* it may have kept the run */
    ck_assert_int_eq(al_arena_lookup(large, &found_idx), EINVAL);
    ck_assert_uint_eq(found_idx, 4711);
}
END_TEST

/* ---- purging ---- */

START_TEST(purging_takes_all_that_is_free) {
    give(take(MIB));
    give(take(100)); /* an empty slab */
    ck_assert_int_eq(al_thread_tcache_flush(), 0);
    ck_assert_uint_gt(runs->stale_granules[AL_STALE_DIRTY], 0);
    ck_assert_int_eq(al_arena_decay(arena_idx), 0); /* decay never comes: -1 */
    ck_assert_uint_gt(runs->stale_granules[AL_STALE_DIRTY], 0);
    ck_assert_int_eq(al_arena_purge(arena_idx), 0);
    ck_assert_uint_eq(runs->stale_granules[AL_STALE_DIRTY], 0);
    ck_assert_uint_eq(runs->free_granules, runs->mapped_granules);
    al_runs_check(runs);
}
END_TEST

START_TEST(all_arenas_are_purged_at_once) {
    struct al_runs *const own = &al_arena_at(al_thread_arena_get())->runs;

    give(take(MIB));
    al_free(memset(al_malloc(MIB), 1, MIB));
    ck_assert_int_eq(al_thread_tcache_flush(), 0);
    ck_assert_int_eq(al_arena_purge(UINT_MAX), 0);
    ck_assert_uint_eq(runs->stale_granules[AL_STALE_DIRTY], 0);
    ck_assert_uint_eq(own->stale_granules[AL_STALE_DIRTY], 0);
    ck_assert_int_eq(al_arena_decay(UINT_MAX), 0);
}
END_TEST

/* The slab that samples keep for the next of them. */
START_TEST(purging_takes_the_slab_that_waits_for_a_sample) {
    al_sample_set(true, 0);
    void *const ptr = take(100);
    al_sample_set(false, 19);
    give(ptr);
    ck_assert_uint_lt(runs->free_granules, runs->mapped_granules);
    ck_assert_int_eq(al_arena_purge(arena_idx), 0);
    ck_assert_uint_eq(runs->free_granules, runs->mapped_granules);
    ck_assert_uint_eq(runs->stale_granules[AL_STALE_DIRTY], 0);
}
END_TEST

START_TEST(arenas_there_are_not_are_refused) {
    static const unsigned none[] = {AL_ARENA_COUNT_MAX - 1, AL_ARENA_COUNT_MAX, UINT_MAX - 1};
    ssize_t decay_ms = 4711;

    for (size_t n = 0; n < AL_ARRAY_COUNT(none); n++) {
        ck_assert_int_eq(al_arena_purge(none[n]), EFAULT);
        ck_assert_int_eq(al_arena_decay(none[n]), EFAULT);
        ck_assert_int_eq(al_arena_decay_ms_get(none[n], AL_STALE_DIRTY, &decay_ms), EFAULT);
        ck_assert_int_eq(al_arena_decay_ms_set(none[n], AL_STALE_DIRTY, 1), EFAULT);
    }
    ck_assert_int_eq(al_arena_decay_ms_get(UINT_MAX, AL_STALE_DIRTY, &decay_ms), EFAULT);
    ck_assert_int_eq(decay_ms, 4711);
}
END_TEST

START_TEST(each_kind_of_decay_is_set_by_itself) {
    ssize_t decay_ms = 0;

    ck_assert_int_eq(al_arena_decay_ms_set(arena_idx, AL_STALE_DIRTY, 123), 0);
    ck_assert_int_eq(al_arena_decay_ms_set(arena_idx, AL_STALE_MUZZY, 45), 0);
    ck_assert_int_eq(al_arena_decay_ms_set(arena_idx, AL_STALE_MUZZY, -2), EFAULT);
    ck_assert_int_eq(al_arena_decay_ms_get(arena_idx, AL_STALE_DIRTY, &decay_ms), 0);
    ck_assert_int_eq(decay_ms, 123);
    ck_assert_int_eq(al_arena_decay_ms_get(arena_idx, AL_STALE_MUZZY, &decay_ms), 0);
    ck_assert_int_eq(decay_ms, 45);
}
END_TEST

/* A time that does not fit a step's nanoseconds would be a step of none. */
START_TEST(times_beyond_all_clocks_are_refused) {
    static const ssize_t refused_ms[] = {SSIZE_MAX, (ssize_t)1 << 58, AL_DECAY_MS_MAX + 1, -2,
                                         -SSIZE_MAX - 1};
    ssize_t decay_ms = 0;

    for (size_t n = 0; n < AL_ARRAY_COUNT(refused_ms); n++) {
        ck_assert_int_eq(al_arena_decay_ms_set(arena_idx, AL_STALE_DIRTY, refused_ms[n]), EFAULT);
        ck_assert_int_eq(al_arenas_decay_ms_set(AL_STALE_DIRTY, refused_ms[n]), EFAULT);
        ck_assert_int_eq(al_arena_decay_ms_get(arena_idx, AL_STALE_DIRTY, &decay_ms), 0);
        ck_assert_int_eq(decay_ms, -1);
    }
    ck_assert_int_eq(al_arena_decay_ms_set(arena_idx, AL_STALE_DIRTY, AL_DECAY_MS_MAX), 0);
    give(take(MIB));
    ck_assert_int_eq(al_thread_tcache_flush(), 0);
    ck_assert_int_eq(al_arena_decay(arena_idx), 0);
    ck_assert_uint_gt(runs->stale_granules[AL_STALE_DIRTY], 0);
}
END_TEST

/* ---- size classes ---- */

START_TEST(small_sizes_are_those_of_the_classes) {
    ck_assert_uint_eq(al_class_small_count(), AL_CLASS_COUNT - 1);
    for (unsigned n = 0; n < al_class_small_count(); n++) {
        ck_assert_uint_eq(al_class_small_bytes(n), al_class_bytes(n + 1));
        ck_assert_uint_eq(al_class_small_slots(n), al_class_slab_slots(n + 1));
        ck_assert_uint_le(al_class_small_slots(n) * al_class_small_bytes(n),
                          al_class_small_slab_bytes(n));
        ck_assert_uint_eq(al_good_size(al_class_small_bytes(n), 1), al_class_small_bytes(n));
    }
    ck_assert_uint_eq(al_class_small_bytes(0), al_class_quantum_bytes());
    ck_assert_uint_eq(al_class_tcache_max_bytes(),
                      al_class_small_bytes(al_class_small_count() - 1));
}
END_TEST

/* Four a doubling, from the first above the small ones to the largest request there is. */
START_TEST(large_sizes_are_jemallocs) {
    const unsigned count = al_class_large_count();
    size_t doubling = AL_SMALL_MAX_BYTES;

    for (unsigned n = 0; n < count; n++) {
        ck_assert_uint_eq(al_class_large_bytes(n), doubling + doubling / 4 * (n % 4 + 1));
        doubling *= n % 4 == 3 ? 2 : 1;
    }
    ck_assert_uint_eq(al_class_large_bytes(count - 1), AL_SIZE_MAX_BYTES);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("control");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, each_object_has_an_arena);
    tcase_add_test(tcase, a_sampled_object_has_an_arena);
    tcase_add_test(tcase, what_is_no_object_has_none);
    tcase_add_test(tcase, purging_takes_all_that_is_free);
    tcase_add_test(tcase, all_arenas_are_purged_at_once);
    tcase_add_test(tcase, purging_takes_the_slab_that_waits_for_a_sample);
    tcase_add_test(tcase, arenas_there_are_not_are_refused);
    tcase_add_test(tcase, each_kind_of_decay_is_set_by_itself);
    tcase_add_test(tcase, times_beyond_all_clocks_are_refused);
    tcase_add_test(tcase, small_sizes_are_those_of_the_classes);
    tcase_add_test(tcase, large_sizes_are_jemallocs);
    return suite_run(tcase, "control", 60);
}
