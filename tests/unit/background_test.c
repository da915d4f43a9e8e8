/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the background thread runs while it is wanted and no longer, does what is due while the
 *         program sleeps, and can be had again in the child of a fork.
 * Method: its answers are awaited, never timed: a test that waits for what does not come is ended
 * by its timeout. A pthread_create that fails stands in for the real one (--wrap).
 */
#include "alloc/arena.h"
#include "alloc/background.h"
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/map.h"
#include "alloc/options.h"
#include "alloc/purge.h"
#include "alloc/runs.h"
#include "tests/support/dies.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CLASS_IDX = 5, SIZE_BYTES = 1024 * 1024, CHILD_SECONDS = 20 };

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);

static bool is_without_threads;
static _Atomic unsigned started_count;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg) {
    if (is_without_threads) {
        return EAGAIN;
    }
    atomic_fetch_add(&started_count, 1);
    return __real_pthread_create(thread, attributes, run, arg);
}

/* Read by the thread sanitizer, which else forbids threads in the child of a fork. */
AL_EXPORT const char *__tsan_default_options(void);

const char *__tsan_default_options(void) {
    return "die_after_fork=0";
}

static void setup(void) {
    al_init();
    is_without_threads = false;
    atomic_store(&started_count, 0);
}

static struct al_background_stats read_stats(void) {
    struct al_background_stats stats;

    al_background_stats_read(&stats);
    return stats;
}

static void pause_ms(long ms) {
    const struct timespec pause = {0, ms * 1000000};

    (void)nanosleep(&pause, NULL);
}

static void await_thread_count(unsigned count) {
    while (read_stats().thread_count != count) { /* ends: the thread comes, or sees it is to go */
        pause_ms(1);
    }
}

/* It looks once when it starts, and perhaps never again. */
static void await_run_after(uint64_t run_count) {
    while (read_stats().run_count == run_count) { /* ends: it starts */
        pause_ms(1);
    }
}

static void start(void) {
    const uint64_t run_count = read_stats().run_count;

    ck_assert_int_eq(al_background_set(true), 0);
    await_run_after(run_count);
}

static void stop(void) {
    ck_assert_int_eq(al_background_set(false), 0);
    await_thread_count(0);
}

START_TEST(it_runs_while_it_is_wanted) {
    ck_assert(!al_background_get());
    ck_assert_uint_eq(read_stats().thread_count, 0);
    ck_assert_int_eq(al_background_set(false), 0); /* it is off already */
    for (int turn = 0; turn < 3; turn++) {
        const uint64_t run_count = read_stats().run_count;
        ck_assert_int_eq(al_background_set(true), 0);
        ck_assert(al_background_get());
        ck_assert_uint_eq(read_stats().thread_count, 1);
        await_run_after(run_count);
        ck_assert_int_eq(al_background_set(true), 0); /* it is on already */
        ck_assert_uint_eq(atomic_load(&started_count), (unsigned)turn + 1);
        stop(); /* it may sleep without an end: it is woken */
        ck_assert(!al_background_get());
    }
}
END_TEST

/* On and off faster than it can follow: in the end what was said last holds. */
START_TEST(the_last_word_counts) {
    for (int turn = 0; turn < 200; turn++) {
        ck_assert_int_eq(al_background_set(turn % 3 != 0), 0);
    }
    ck_assert_int_eq(al_background_set(true), 0);
    ck_assert(al_background_get());
    pause_ms(20);
    ck_assert_uint_eq(read_stats().thread_count, 1);
    stop();
}
END_TEST

START_TEST(no_thread_to_be_had_is_an_error) {
    is_without_threads = true;
    ck_assert_int_eq(al_background_set(true), EAGAIN);
    ck_assert_uint_eq(read_stats().thread_count, 0);
    al_background_tick(); /* tries again, in vain */
    ck_assert_uint_eq(read_stats().thread_count, 0);
    is_without_threads = false;
    const uint64_t run_count = read_stats().run_count;
    al_background_tick(); /* and has one */
    await_run_after(run_count);
    ck_assert_uint_eq(read_stats().thread_count, 1);
    stop();
    al_background_tick(); /* not wanted */
    ck_assert_uint_eq(read_stats().thread_count, 0);
    ck_assert_uint_eq(atomic_load(&started_count), 1);
}
END_TEST

/* ---- what it does ---- */

static size_t dirty_granules(struct al_arena *arena) {
    al_lock_take(&arena->runs.lock, AL_RANK_RUNS);
    const size_t granules = arena->runs.stale_granules[AL_STALE_DIRTY];
    al_lock_give(&arena->runs.lock);
    return granules;
}

static struct al_arena *create(void) {
    unsigned arena_idx = 0;

    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    return al_arena_at(arena_idx);
}

static void make_dirty(struct al_arena *arena) {
    const uint32_t idx = al_extent_take();
    bool is_zeroed = false;

    ck_assert(
        al_runs_take(&arena->runs, idx, SIZE_BYTES >> AL_GRANULE_LG, 1, AL_RUNS_LARGE, &is_zeroed));
    struct al_extent *const extent = al_extent_at(idx);
    al_map_set(extent->base_addr, extent->granules, al_map_entry_make(idx, AL_MAP_LARGE));
    memset((void *)extent->base_addr, 1, al_extent_bytes(extent));
    al_runs_give(&arena->runs, idx, AL_RUNS_LARGE, true);
}

/* `_i`: 0, the memory is there before the thread; 1, the thread sleeps already. */
START_TEST(what_is_dirty_goes_while_the_program_sleeps) {
    struct al_arena *const arena = create();

    al_purge_set_decay_ms(&arena->runs, AL_STALE_DIRTY, 50);
    al_purge_set_decay_ms(&arena->runs, AL_STALE_MUZZY, 0);
    if (_i == 1) {
        start();
        pause_ms(20);
    }
    make_dirty(arena);
    ck_assert_int_eq(al_background_set(true), 0);
    while (dirty_granules(arena) != 0) { /* ends: decay is due, and somebody looks */
        pause_ms(5);
    }
    ck_assert_uint_ge(arena->runs.purged[AL_STALE_DIRTY].purged_granules,
                      SIZE_BYTES >> AL_GRANULE_LG);
    stop();
}
END_TEST

static uint64_t used_blocks(struct al_arena *arena) {
    al_lock_take(&arena->bins[CLASS_IDX].lock, AL_RANK_BIN);
    const uint64_t count = arena->bins[CLASS_IDX].used_count;
    al_lock_give(&arena->bins[CLASS_IDX].lock);
    return count;
}

/* `_i` threads are of the arena, asleep: they do not look after it either. */
START_TEST(what_others_freed_is_taken_home) {
    struct al_arena *const arena = create();

    atomic_store(&arena->thread_count, (uint32_t)_i);
    start();
    for (int turn = 0; turn < 5;
         turn++) { /* it may sleep without an end by now: pushing wakes it */
        void *const block = al_bin_take_one(&arena->bins[CLASS_IDX], CLASS_IDX);
        ck_assert_ptr_nonnull(block);
        (void)al_bin_push_remote(&arena->bins[CLASS_IDX], al_map_entry_extent(al_map_entry(block)),
                                 block, block, 1);
        while (used_blocks(arena) != 0) { /* ends: somebody drains */
            pause_ms(1);
        }
    }
    stop();
    atomic_store(&arena->thread_count, 0);
}
END_TEST

START_TEST(its_looks_are_counted_and_spaced) {
    struct al_arena *const arena = create();
    const uint64_t first_count = read_stats().run_count;

    al_purge_set_decay_ms(&arena->runs, AL_STALE_DIRTY, 3600000);
    make_dirty(arena); /* something to wait for: it looks again and again */
    ck_assert_int_eq(al_background_set(true), 0);
    while (read_stats().run_count < first_count + 3) { /* ends: one a second at least */
        pause_ms(10);
    }
    ck_assert_uint_gt(read_stats().interval_ns, 0);
    stop();
    al_purge_set_decay_ms(&arena->runs, AL_STALE_DIRTY, 0);
}
END_TEST

/* ---- fork, and the start ---- */

static bool child_gets_its_own(void) {
    alarm(CHILD_SECONDS);
    al_background_fork_child();
    if (!al_background_get() || read_stats().thread_count != 0) {
        return false;
    }
    const uint64_t run_count = read_stats().run_count;
    al_background_tick();
    if (read_stats().thread_count != 1) {
        return false;
    }
    while (read_stats().run_count == run_count) { /* ends: it looks, or the alarm rings */
        pause_ms(1);
    }
    return true;
}

START_TEST(the_child_of_a_fork_gets_a_thread_when_it_allocates) {
    int status = -1;

    start();
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        _exit(child_gets_its_own() ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(read_stats().thread_count, 1);
    stop();
}
END_TEST

static void boot_without_option(void) {
    al_options.background_thread = false;
    al_background_boot();
    _exit(al_background_get() || read_stats().thread_count != 0 ? 1 : 0);
}

static void boot_with_option(void) {
    al_options.background_thread = true;
    al_background_boot();
    _exit(al_background_get() && read_stats().thread_count == 1 ? 0 : 1);
}

static void boot_without_threads(void) {
    is_without_threads = true;
    al_options.background_thread = true;
    al_background_boot();
}

START_TEST(the_option_starts_it) {
    assert_ends(boot_without_option, 0, "");
    assert_ends(boot_with_option, 0, "");
    assert_ends(boot_without_threads, 0, "<jemalloc>: no background thread can be started\n");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("background");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, it_runs_while_it_is_wanted);
    tcase_add_test(tcase, the_last_word_counts);
    tcase_add_test(tcase, no_thread_to_be_had_is_an_error);
    tcase_add_loop_test(tcase, what_is_dirty_goes_while_the_program_sleeps, 0, 2);
    tcase_add_loop_test(tcase, what_others_freed_is_taken_home, 0, 2);
    tcase_add_test(tcase, its_looks_are_counted_and_spaced);
    tcase_add_test(tcase, the_child_of_a_fork_gets_a_thread_when_it_allocates);
    tcase_add_test(tcase, the_option_starts_it);
    return suite_run(tcase, "background", 60);
}
