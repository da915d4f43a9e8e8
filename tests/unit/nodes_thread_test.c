/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   thread.* is about the calling thread alone: its arena, its counters, its cache, its
 *         peak; tcache.* makes caches that are named by numbers.
 * Method: through mallctl, against usable sizes and the blocks that are out of a fresh arena.
 */
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>

/* Blocks of 64 bytes are of bin 3. */
enum { BLOCK_BYTES = 64 };

static uint64_t read_u64(const char *name) {
    uint64_t value = 0;
    size_t value_bytes = sizeof(value);

    ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == 0, "%s", name);
    return value;
}

static uint64_t *read_counter(const char *name) {
    uint64_t *counter = NULL;
    size_t counter_bytes = sizeof(counter);

    ck_assert_msg(mallctl(name, &counter, &counter_bytes, NULL, 0) == 0, "%s", name);
    ck_assert_ptr_nonnull(counter);
    return counter;
}

static unsigned create(void) {
    unsigned arena_idx = 0;
    size_t arena_idx_bytes = sizeof(arena_idx);

    ck_assert_int_eq(mallctl("arenas.create", &arena_idx, &arena_idx_bytes, NULL, 0), 0);
    return arena_idx;
}

static unsigned owner(const void *ptr) {
    unsigned arena_idx = 0;
    size_t arena_idx_bytes = sizeof(arena_idx);

    ck_assert_int_eq(mallctl("arenas.lookup", &arena_idx, &arena_idx_bytes, &ptr, sizeof(ptr)), 0);
    return arena_idx;
}

static size_t blocks_out(unsigned arena_idx) {
    ctl_refresh();
    return ctl_size(ctl_name("stats.arenas.%u.bins.3.curregs", arena_idx));
}

/* The thread goes to a fresh arena and leaves blocks of it in its cache. */
static unsigned fill_cache(unsigned *old_idx) {
    const unsigned arena_idx = create();
    size_t old_idx_bytes = sizeof(*old_idx);
    void *blocks[20];

    ck_assert_int_eq(
        mallctl("thread.arena", old_idx, &old_idx_bytes, (void *)(uintptr_t)&arena_idx, 4), 0);
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(blocks); idx++) {
        blocks[idx] = al_malloc(BLOCK_BYTES);
        ck_assert_uint_eq(owner(blocks[idx]), arena_idx);
    }
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(blocks); idx++) {
        al_free(blocks[idx]);
    }
    ck_assert_uint_ge(blocks_out(arena_idx), AL_ARRAY_COUNT(blocks));
    return arena_idx;
}

static void go_back(unsigned arena_idx) {
    ck_assert_int_eq(ctl_write("thread.arena", &arena_idx, sizeof(arena_idx)), 0);
}

START_TEST(a_flush_empties_the_cache) {
    unsigned old_idx = 0;
    const unsigned arena_idx = fill_cache(&old_idx);

    ck_assert_int_eq(ctl_do("thread.tcache.flush"), 0);
    ck_assert_uint_eq(blocks_out(arena_idx), 0);
    go_back(old_idx);
}
END_TEST

START_TEST(an_idle_thread_keeps_nothing) {
    unsigned old_idx = 0;
    const unsigned arena_idx = fill_cache(&old_idx);

    ck_assert_int_eq(ctl_do("thread.idle"), 0);
    ck_assert_uint_eq(blocks_out(arena_idx), 0);
    void *const ptr = al_malloc(BLOCK_BYTES); /* and may go on */
    ck_assert_uint_eq(owner(ptr), arena_idx);
    al_free(ptr);
    go_back(old_idx);
}
END_TEST

START_TEST(without_a_cache_blocks_go_straight_back) {
    unsigned old_idx = 0;
    const unsigned arena_idx = fill_cache(&old_idx);
    const bool off = false;
    const bool on = true;
    bool is_on = false;
    size_t is_on_bytes = sizeof(is_on);

    ck_assert_int_eq(
        mallctl("thread.tcache.enabled", &is_on, &is_on_bytes, (void *)(uintptr_t)&off, 1), 0);
    ck_assert(is_on); /* what was before */
    ck_assert_uint_eq(blocks_out(arena_idx), 0);
    void *const ptr = al_malloc(BLOCK_BYTES);
    ck_assert_uint_eq(blocks_out(arena_idx), 1);
    al_free(ptr);
    ck_assert_uint_eq(blocks_out(arena_idx), 0);
    ck_assert_int_eq(ctl_do("thread.tcache.flush"), EFAULT);
    ck_assert_int_eq(ctl_write("thread.tcache.enabled", &on, sizeof(on)), 0);
    ck_assert_int_eq(ctl_do("thread.tcache.flush"), 0);
    go_back(old_idx);
}
END_TEST

START_TEST(a_thread_has_an_arena) {
    const unsigned old_idx = ctl_unsigned("thread.arena");
    const unsigned arena_idx = create();
    const unsigned wrong_idx = 4000;

    ck_assert_uint_ne(old_idx, arena_idx);
    ck_assert_int_eq(ctl_write("thread.arena", &arena_idx, sizeof(arena_idx)), 0);
    ck_assert_uint_eq(ctl_unsigned("thread.arena"), arena_idx);
    ck_assert_int_eq(ctl_write("thread.arena", &wrong_idx, sizeof(wrong_idx)), EFAULT);
    ck_assert_uint_eq(ctl_unsigned("thread.arena"), arena_idx);
    ctl_refresh();
    ck_assert_uint_eq(ctl_unsigned(ctl_name("stats.arenas.%u.nthreads", arena_idx)), 1);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), EFAULT); /* one is bound */
    go_back(old_idx);
    ctl_refresh();
    ck_assert_uint_eq(ctl_unsigned(ctl_name("stats.arenas.%u.nthreads", arena_idx)), 0);
}
END_TEST

START_TEST(counters_grow_by_what_was_allocated) {
    static const size_t sizes[] = {1, 100, 5000, 60000, 200000, 5 << 20};
    const uint64_t *const allocated = read_counter("thread.allocatedp");
    const uint64_t *const deallocated = read_counter("thread.deallocatedp");

    ck_assert_ptr_ne(allocated, deallocated);
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(sizes); idx++) {
        const uint64_t allocated_before = read_u64("thread.allocated");
        const uint64_t deallocated_before = read_u64("thread.deallocated");
        ck_assert_uint_eq(*allocated, allocated_before);
        ck_assert_uint_eq(*deallocated, deallocated_before);
        void *const ptr = al_malloc(sizes[idx]);
        const size_t bytes = al_malloc_usable_size(ptr);
        ck_assert_uint_eq(*allocated, allocated_before + bytes);
        ck_assert_uint_eq(read_u64("thread.allocated"), allocated_before + bytes);
        ck_assert_uint_eq(*deallocated, deallocated_before);
        al_free(ptr);
        ck_assert_uint_eq(*allocated, allocated_before + bytes);
        ck_assert_uint_eq(*deallocated, deallocated_before + bytes);
        ck_assert_uint_eq(read_u64("thread.deallocated"), deallocated_before + bytes);
    }
    const uint64_t zero = 0;
    ck_assert_int_eq(ctl_write("thread.allocated", &zero, sizeof(zero)), EPERM);
}
END_TEST

static void *allocate_elsewhere(void *arg) {
    al_free(al_malloc(3 << 20));
    ck_assert_uint_ge(read_u64("thread.allocated"), 3 << 20);
    return arg;
}

START_TEST(other_threads_are_not_counted) {
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, allocate_elsewhere, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    const uint64_t before = read_u64("thread.allocated");
    ck_assert_int_eq(pthread_create(&thread, NULL, allocate_elsewhere, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_lt(read_u64("thread.allocated") - before, 1 << 20);
}
END_TEST

START_TEST(a_peak_stays_until_the_reset) {
    ck_assert_int_eq(ctl_do("thread.peak.reset"), 0);
    ck_assert_uint_eq(read_u64("thread.peak.read"), 0);
    void *const ptr = al_malloc(4 << 20);
    const size_t bytes = al_malloc_usable_size(ptr);
    ck_assert_uint_eq(read_u64("thread.peak.read"), bytes);
    al_free(ptr);
    ck_assert_uint_eq(read_u64("thread.peak.read"), bytes);
    al_free(al_malloc(1 << 20)); /* lower than that */
    ck_assert_uint_eq(read_u64("thread.peak.read"), bytes);
    ck_assert_int_eq(ctl_do("thread.peak.reset"), 0);
    ck_assert_uint_eq(read_u64("thread.peak.read"), 0);
}
END_TEST

START_TEST(explicit_caches_have_numbers) {
    unsigned first = 0;
    unsigned second = 0;
    size_t bytes = sizeof(first);

    ck_assert_int_eq(mallctl("tcache.create", &first, &bytes, NULL, 0), 0);
    ck_assert_int_eq(mallctl("tcache.create", &second, &bytes, NULL, 0), 0);
    ck_assert_uint_ne(first, second);
    al_dallocx(al_mallocx(BLOCK_BYTES, (int)(first + 2) << 8), (int)(first + 2) << 8);
    ck_assert_int_eq(ctl_write("tcache.flush", &first, sizeof(first)), 0);
    ck_assert_int_eq(ctl_write("tcache.destroy", &first, sizeof(first)), 0);
    ck_assert_int_eq(ctl_write("tcache.flush", &first, sizeof(first)), EFAULT);
    ck_assert_int_eq(ctl_write("tcache.destroy", &first, sizeof(first)), EFAULT);
    ck_assert_int_eq(ctl_write("tcache.flush", &second, sizeof(second)), 0);
    ck_assert_int_eq(ctl_write("tcache.destroy", &second, sizeof(second)), 0);
    ck_assert_int_eq(ctl_do("tcache.flush"), EINVAL);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("nodes_thread");

    tcase_add_test(tcase, a_flush_empties_the_cache);
    tcase_add_test(tcase, an_idle_thread_keeps_nothing);
    tcase_add_test(tcase, without_a_cache_blocks_go_straight_back);
    tcase_add_test(tcase, a_thread_has_an_arena);
    tcase_add_test(tcase, counters_grow_by_what_was_allocated);
    tcase_add_test(tcase, other_threads_are_not_counted);
    tcase_add_test(tcase, a_peak_stays_until_the_reset);
    tcase_add_test(tcase, explicit_caches_have_numbers);
    return suite_run(tcase, "nodes_thread", 60);
}
