/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the statistics are the sums of what was done: an arena's of its blocks, all arenas' of
 * all, and the equations of stats.h hold whatever is done. Method: an arena of its own whose blocks
 * stand in a book; random work with the equations asked again and again.
 */
#include "alloc/arena.h"
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/meta.h"
#include "alloc/stats.h"
#include "tests/support/suite.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    FLAG_NO_TCACHE = 1 << 8, /* MALLOCX_TCACHE_NONE */
    FLAG_ARENA_SHIFT = 20,   /* MALLOCX_ARENA */
    HELD_COUNT = 500,
    STEP_COUNT = 3000,
};

static unsigned arena_idx;

static void setup(void) {
    al_init();
    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
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

static struct al_stats_arena read_arena(unsigned idx) {
    struct al_stats_arena stats;

    ck_assert(al_stats_arena_read(idx, &stats));
    return stats;
}

/* All free blocks go home, from this thread's hands too. */
static void give_all_home(void) {
    ck_assert_int_eq(al_thread_tcache_flush(), 0);
    for (unsigned idx = 0; idx < al_arena_count(); idx++) {
        if (al_arena_at(idx) != NULL) {
            al_arena_drain(al_arena_at(idx), true);
        }
    }
}

START_TEST(an_arena_there_is_not_has_no_statistics) {
    static const unsigned none[] = {AL_ARENA_COUNT_MAX - 1, AL_ARENA_COUNT_MAX, UINT_MAX};

    for (size_t n = 0; n < AL_ARRAY_COUNT(none); n++) {
        struct al_stats_arena stats;
        memset(&stats, 0xff, sizeof(stats));
        ck_assert(!al_stats_arena_read(none[n], &stats));
        ck_assert_uint_eq(stats.active_bytes, 0);
        ck_assert_uint_eq(stats.thread_count, 0);
    }
}
END_TEST

START_TEST(a_new_arena_has_nothing) {
    const struct al_stats_arena stats = read_arena(arena_idx);

    ck_assert_uint_eq(stats.allocated_small_bytes, 0);
    ck_assert_uint_eq(stats.allocated_large_bytes, 0);
    ck_assert_uint_eq(stats.active_bytes, 0);
    ck_assert_uint_eq(stats.retained_bytes, 0);
    ck_assert_uint_eq(stats.stale_bytes[AL_STALE_DIRTY] + stats.stale_bytes[AL_STALE_MUZZY], 0);
    ck_assert_uint_eq(stats.nmalloc_large + stats.ndalloc_large, 0);
    ck_assert_uint_eq(stats.thread_count, 0);
    ck_assert_int_eq(stats.decay_ms[AL_STALE_DIRTY], -1);
    ck_assert_int_eq(stats.decay_ms[AL_STALE_MUZZY], 0);
}
END_TEST

START_TEST(an_arenas_sums_are_its_blocks) {
    static const size_t sizes[] = {1, 100, 1000, 5000, 65536, 65537, MIB, 40 * MIB + 1};
    void *ptrs[AL_ARRAY_COUNT(sizes)];
    size_t small_bytes = 0;
    size_t large_bytes = 0;
    size_t slab_bytes = 0;
    uint64_t large_count = 0;

    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        ptrs[n] = take(sizes[n]);
        if (sizes[n] <= AL_SMALL_MAX_BYTES) {
            const unsigned class_idx = al_class_of(sizes[n]);
            small_bytes += al_class_bytes(class_idx);
            slab_bytes += (size_t)al_class_slab_granules(class_idx) << AL_GRANULE_LG;
        } else {
            large_bytes += al_round_up(sizes[n], AL_GRANULE_BYTES);
            large_count++;
        }
        const struct al_stats_arena stats = read_arena(arena_idx);
        ck_assert_uint_eq(stats.allocated_small_bytes, small_bytes);
        ck_assert_uint_eq(stats.allocated_large_bytes, large_bytes);
        ck_assert_uint_eq(stats.active_bytes, slab_bytes + large_bytes);
        ck_assert_uint_eq(stats.nmalloc_large, large_count);
        ck_assert_uint_eq(stats.ndalloc_large, 0);
    }
    for (size_t n = 0; n < AL_ARRAY_COUNT(sizes); n++) {
        al_dallocx(ptrs[n], FLAG_NO_TCACHE);
    }
    give_all_home();
    const struct al_stats_arena stats = read_arena(arena_idx);
    ck_assert_uint_eq(stats.allocated_small_bytes, 0);
    ck_assert_uint_eq(stats.allocated_large_bytes, 0);
    ck_assert_uint_eq(stats.active_bytes, 0);
    ck_assert_uint_eq(stats.ndalloc_large, large_count);
    ck_assert_uint_ge(stats.stale_bytes[AL_STALE_DIRTY], slab_bytes + MIB);
}
END_TEST

START_TEST(purging_is_counted) {
    void *const ptr = take(MIB);

    al_dallocx(ptr, FLAG_NO_TCACHE);
    give_all_home();
    const struct al_stats_arena before = read_arena(arena_idx);
    ck_assert_uint_eq(before.stale_bytes[AL_STALE_DIRTY], MIB);
    ck_assert_int_eq(al_arena_purge(arena_idx), 0);
    const struct al_stats_arena after = read_arena(arena_idx);
    ck_assert_uint_eq(after.stale_bytes[AL_STALE_DIRTY], 0);
    ck_assert_uint_eq(after.retained_bytes, before.retained_bytes + MIB);
    ck_assert_uint_eq(after.purged[AL_STALE_DIRTY].purged_bytes, MIB);
    ck_assert_uint_eq(after.purged[AL_STALE_DIRTY].call_count, 1);
    ck_assert_uint_eq(after.purged[AL_STALE_DIRTY].pass_count, 1);
}
END_TEST

/* stats.h: what holds at any time, and between the parts and the whole. */
static void check_equations(void) {
    struct al_stats stats;
    size_t active_bytes = 0;
    size_t held_bytes = 0;

    al_stats_read(&stats);
    ck_assert_uint_le(stats.allocated_bytes, stats.active_bytes);
    ck_assert_uint_le(stats.active_bytes, stats.resident_bytes);
    ck_assert_uint_le(stats.resident_bytes, stats.mapped_bytes);
    ck_assert_uint_ge(stats.metadata_bytes, al_meta_bytes());
    ck_assert_uint_ge(stats.resident_bytes, stats.active_bytes + stats.metadata_bytes);
    for (unsigned idx = 0; idx < al_arena_count(); idx++) {
        struct al_stats_arena arena;
        if (!al_stats_arena_read(idx, &arena)) {
            continue;
        }
        ck_assert_uint_le(arena.allocated_small_bytes + arena.allocated_large_bytes,
                          arena.active_bytes);
        active_bytes += arena.active_bytes;
        held_bytes += arena.active_bytes + arena.retained_bytes +
                      arena.stale_bytes[AL_STALE_DIRTY] + arena.stale_bytes[AL_STALE_MUZZY];
    }
    ck_assert_uint_eq(stats.active_bytes, active_bytes);
    ck_assert_uint_eq(al_stats_address_bytes(), held_bytes);
}

/* Of one thread, to the byte. */
START_TEST(allocated_is_what_the_thread_has) {
    static void *held[HELD_COUNT];
    uint64_t random = suite_seed(77);
    struct al_stats first;
    size_t held_bytes = 0;

    al_free(al_malloc(1)); /* it has a cache */
    void *const elsewhere = take(3 * MIB);
    al_stats_read(&first);
    for (int step = 0; step < STEP_COUNT; step++) {
        void **const slot = &held[suite_random(&random) % HELD_COUNT];
        const size_t size_bytes =
            suite_random(&random) % (suite_random(&random) % 8 == 0 ? 500000 : 3000);
        held_bytes -= al_malloc_usable_size(*slot);
        if (*slot != NULL && step % 3 == 0) {
            al_free(*slot);
            *slot = NULL;
        } else {
            *slot = al_realloc(*slot, size_bytes + 1);
            ck_assert_ptr_nonnull(*slot);
        }
        held_bytes += al_malloc_usable_size(*slot);
        if (step % 50 == 0) {
            struct al_stats stats;
            al_stats_read(&stats);
            ck_assert_uint_eq(stats.allocated_bytes - first.allocated_bytes, held_bytes);
            check_equations();
        }
    }
    for (size_t n = 0; n < HELD_COUNT; n++) {
        al_free(held[n]);
    }
    struct al_stats last;
    al_stats_read(&last);
    al_dallocx(elsewhere, FLAG_NO_TCACHE);
    ck_assert_uint_eq(last.allocated_bytes, first.allocated_bytes);
    check_equations();
}
END_TEST

static void *leave_blocks(void *arg) {
    void **const ptrs = arg;

    for (size_t n = 0; n < HELD_COUNT; n++) {
        ptrs[n] = al_malloc(n * 10 + 1);
    }
    al_free(al_malloc(300000));
    return NULL;
}

/* What a thread has left behind is still allocated; what it freed is not. */
START_TEST(a_thread_that_has_ended_counts) {
    static void *ptrs[HELD_COUNT];
    struct al_stats first;
    struct al_stats stats;
    pthread_t thread;
    size_t held_bytes = 0;

    al_free(al_malloc(1));
    al_stats_read(&first);
    ck_assert_int_eq(pthread_create(&thread, NULL, leave_blocks, ptrs), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    for (size_t n = 0; n < HELD_COUNT; n++) {
        held_bytes += al_malloc_usable_size(ptrs[n]);
    }
    al_stats_read(&stats);
    ck_assert_uint_eq(stats.allocated_bytes - first.allocated_bytes, held_bytes);
    for (size_t n = 0; n < HELD_COUNT; n++) {
        al_free(ptrs[n]);
    }
    al_stats_read(&stats);
    ck_assert_uint_eq(stats.allocated_bytes, first.allocated_bytes);
    check_equations();
}
END_TEST

START_TEST(reallocs_to_nothing_are_counted) {
    struct al_stats before;
    struct al_stats after;

    al_stats_read(&before);
    al_free(al_realloc(al_malloc(10), 0));
    al_free(al_realloc(NULL, 0)); /* a malloc */
    al_stats_read(&after);
    ck_assert_uint_eq(after.zero_realloc_count, before.zero_realloc_count + 1);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("stats");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, an_arena_there_is_not_has_no_statistics);
    tcase_add_test(tcase, a_new_arena_has_nothing);
    tcase_add_test(tcase, an_arenas_sums_are_its_blocks);
    tcase_add_test(tcase, purging_is_counted);
    tcase_add_test(tcase, allocated_is_what_the_thread_has);
    tcase_add_test(tcase, a_thread_that_has_ended_counts);
    tcase_add_test(tcase, reallocs_to_nothing_are_counted);
    return suite_run(tcase, "stats", 60);
}
