/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   profiling may be switched on, off and reset at any time, and what is shown is what was
 *         allocated while it was on and is not yet freed; names, rates and dumps obey their rules.
 * Method: the whole library without the C library's names, sampling every allocation, each case in
 *         a process of its own. Sums are taken over the sites.
 */
#include "prof/prof.h"

#include "alloc/malloc.h"
#include "alloc/options.h"
#include "alloc/sample.h"
#include "prof/site.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

enum { BLOCK_COUNT = 100, BLOCK_BYTES = 1000, USABLE_BYTES = 1008, RATE_LG = 12 };

static void *blocks[10 * BLOCK_COUNT];

/* Never gives its caller's frame away to a tail call. */
static AL_NOINLINE void hold(int first, int count) {
    for (int idx = first; idx < first + count; idx++) {
        blocks[idx] = al_malloc(BLOCK_BYTES);
        CHILD_CHECK(blocks[idx] != NULL);
    }
}

static void drop(int first, int count) {
    for (int idx = first; idx < first + count; idx++) {
        al_free(blocks[idx]);
        blocks[idx] = NULL;
    }
}

static struct pf_counts live_sum(bool is_total) {
    struct pf_counts sum = {0};
    uint32_t bucket = 0;

    for (const struct pf_site *site = pf_site_next(NULL, &bucket); site != NULL;
         site = pf_site_next(site, &bucket)) {
        struct pf_counts live;
        struct pf_counts total;
        pf_site_sum(site, &live, &total);
        pf_counts_add(&sum, is_total ? &total : &live);
    }
    return sum;
}

static void check_sums(uint64_t live_count, uint64_t total_count) {
    const struct pf_counts live = live_sum(false);
    const struct pf_counts total = live_sum(true);
    const uint64_t usable = blocks[0] != NULL ? al_malloc_usable_size(blocks[0]) : USABLE_BYTES;

    if (live.sample_count != live_count || total.sample_count != total_count) {
        (void)dprintf(STDERR_FILENO, "live %llu of %llu, total %llu of %llu\n",
                      (unsigned long long)live.sample_count, (unsigned long long)live_count,
                      (unsigned long long)total.sample_count, (unsigned long long)total_count);
    }
    CHILD_CHECK(live.objects_fixed == live_count << PF_OBJECT_LG);
    CHILD_CHECK(live.bytes == live_count * usable);
    CHILD_CHECK(live.requested_bytes == live_count * BLOCK_BYTES);
    CHILD_CHECK(total.bytes == total_count * usable);
}

static void start(const char *conf) {
    (void)child_enter_folder();
    al_options_reset();
    CHILD_CHECK(al_options_parse("test", conf));
    al_free(al_malloc(1)); /* the cache is made before it is sampled */
}

static void switch_on_and_off(void) {
    start("prof:true,prof_active:false,lg_prof_sample:0");
    pf_boot();
    CHILD_CHECK(pf_is_started() && !pf_active_get());
    hold(0, BLOCK_COUNT);
    check_sums(0, 0);
    CHILD_CHECK(pf_active_set(true) == 0 && pf_active_get());
    hold(BLOCK_COUNT, BLOCK_COUNT);
    check_sums(BLOCK_COUNT, BLOCK_COUNT);
    CHILD_CHECK(pf_active_set(true) == 0); /* no change, no new epoch */
    hold(2 * BLOCK_COUNT, BLOCK_COUNT);
    check_sums(2 * BLOCK_COUNT, 2 * BLOCK_COUNT);
    CHILD_CHECK(pf_active_set(false) == 0 && !pf_active_get());
    hold(3 * BLOCK_COUNT, BLOCK_COUNT);
    check_sums(2 * BLOCK_COUNT, 2 * BLOCK_COUNT);
    drop(0, 4 * BLOCK_COUNT); /* freed while it is off: seen all the same */
    check_sums(0, 2 * BLOCK_COUNT);
    CHILD_CHECK(pf_active_set(true) == 0);
    hold(0, BLOCK_COUNT);
    check_sums(BLOCK_COUNT, 3 * BLOCK_COUNT);
    drop(0, BLOCK_COUNT);
    check_sums(0, 3 * BLOCK_COUNT);
}

START_TEST(what_was_allocated_while_it_was_on) {
    assert_ends(switch_on_and_off, 0, "");
}
END_TEST

static void reset_in_between(void) {
    start("prof:true,lg_prof_sample:0");
    pf_boot();
    CHILD_CHECK(pf_active_get());
    hold(0, BLOCK_COUNT);
    check_sums(BLOCK_COUNT, BLOCK_COUNT);
    CHILD_CHECK(pf_reset(0) == 0);
    check_sums(0, 0);
    hold(BLOCK_COUNT, BLOCK_COUNT);
    check_sums(BLOCK_COUNT, BLOCK_COUNT);
    drop(0, BLOCK_COUNT); /* forgotten ones: nothing is taken away */
    check_sums(BLOCK_COUNT, BLOCK_COUNT);
    drop(BLOCK_COUNT, BLOCK_COUNT);
    check_sums(0, BLOCK_COUNT);
    CHILD_CHECK(pf_reset(RATE_LG) == 0);
    CHILD_CHECK(pf_rate_lg() == RATE_LG && pf_active_get());
    check_sums(0, 0);
}

START_TEST(a_reset_forgets_what_was_before_it) {
    assert_ends(reset_in_between, 0, "");
}
END_TEST

/* A size that changes is a free and an allocation. */
static void resize(void) {
    start("prof:true,lg_prof_sample:0");
    pf_boot();
    void *block = al_malloc(100);
    for (size_t bytes = 200; bytes <= 1 << 22; bytes *= 2) {
        block = al_realloc(block, bytes);
        CHILD_CHECK(block != NULL);
        const struct pf_counts live = live_sum(false);
        CHILD_CHECK(live.sample_count == 1);
        CHILD_CHECK(live.requested_bytes == bytes);
        CHILD_CHECK(live.bytes == al_malloc_usable_size(block));
    }
    al_free(block);
    CHILD_CHECK(live_sum(false).sample_count == 0 && live_sum(false).bytes == 0);
}

START_TEST(a_block_that_grows_is_one_block) {
    assert_ends(resize, 0, "");
}
END_TEST

static void start_late(void) {
    struct pf_cost cost;

    start("narenas:1");
    pf_boot();
    CHILD_CHECK(!pf_is_started() && !pf_active_get());
    CHILD_CHECK(strcmp(pf_unwinder_name(), "none") == 0);
    hold(0, BLOCK_COUNT);
    CHILD_CHECK(pf_reset(0) == 0 && pf_is_started()); /* which starts it, and leaves it off */
    CHILD_CHECK(strcmp(pf_unwinder_name(), "tables") == 0);
    CHILD_CHECK(!pf_active_get());
    CHILD_CHECK(pf_active_set(true) == 0);
    hold(BLOCK_COUNT, BLOCK_COUNT);
    check_sums(BLOCK_COUNT, BLOCK_COUNT);
    drop(0, 2 * BLOCK_COUNT);
    check_sums(0, BLOCK_COUNT);
    pf_cost_read(&cost);
    CHILD_CHECK(cost.samples == BLOCK_COUNT && cost.dropped_samples == 0);
    CHILD_CHECK(cost.memory_bytes > 0);
}

START_TEST(a_process_without_options_can_be_profiled) {
    assert_ends(start_late, 0, "");
}
END_TEST

static void *run_thread(void *arg) {
    const int first = *(const int *)arg;

    for (int round = 0; round < 20; round++) {
        hold(first, BLOCK_COUNT);
        drop(first, BLOCK_COUNT);
    }
    hold(first, BLOCK_COUNT);
    return NULL;
}

static void switch_under_threads(void) {
    static const int firsts[] = {0, BLOCK_COUNT, 2 * BLOCK_COUNT, 3 * BLOCK_COUNT};
    pthread_t threads[AL_ARRAY_COUNT(firsts)];

    start("prof:true,lg_prof_sample:0");
    pf_boot();
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(firsts); idx++) {
        int first = firsts[idx];
        CHILD_CHECK(
            pthread_create(&threads[idx], NULL, run_thread, (void *)(uintptr_t)&firsts[idx]) == 0);
        CHILD_CHECK(first >= 0);
    }
    for (int round = 0; round < 50; round++) {
        CHILD_CHECK(pf_active_set(round % 2 != 0) == 0);
        if (round % 10 == 0) {
            CHILD_CHECK(pf_reset(0) == 0);
        }
    }
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(firsts); idx++) {
        CHILD_CHECK(pthread_join(threads[idx], NULL) == 0);
    }
    drop(0, 4 * BLOCK_COUNT);
    CHILD_CHECK(live_sum(false).sample_count == 0 && live_sum(false).bytes == 0);
    CHILD_CHECK(live_sum(false).objects_fixed == 0);
}

START_TEST(switches_under_threads_leave_nothing_behind) {
    assert_ends(switch_under_threads, 0, "");
}
END_TEST

static void name_threads(void) {
    char long_name[200];

    start("prof:true,prof_active:false");
    pf_boot();
    CHILD_CHECK(strcmp(pf_thread_name_get(), "") == 0);
    CHILD_CHECK(pf_thread_name_set("worker 1\t~") == 0);
    CHILD_CHECK(strcmp(pf_thread_name_get(), "worker 1\t~") == 0);
    CHILD_CHECK(pf_thread_name_set(NULL) == EINVAL);
    CHILD_CHECK(pf_thread_name_set("a\nb") == EINVAL);
    CHILD_CHECK(pf_thread_name_set("a\x7f") == EINVAL);
    CHILD_CHECK(pf_thread_name_set("\xc3\xa4") == EINVAL);
    CHILD_CHECK(strcmp(pf_thread_name_get(), "worker 1\t~") == 0);
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    CHILD_CHECK(pf_thread_name_set(long_name) == 0);
    CHILD_CHECK(strlen(pf_thread_name_get()) == PF_THREAD_NAME_BYTES - 1);
    CHILD_CHECK(pf_thread_name_set("") == 0);
    CHILD_CHECK(strcmp(pf_thread_name_get(), "") == 0);
}

START_TEST(names_of_threads) {
    assert_ends(name_threads, 0, "");
}
END_TEST

static void dump_on_demand(void) {
    start("prof_prefix:");
    pf_boot();
    CHILD_CHECK(pf_dump("a.heap") == 0 && pf_is_started());
    CHILD_CHECK(child_count_files("a.heap") == 1);
    CHILD_CHECK(pf_dump(NULL) == EFAULT);
    CHILD_CHECK(pf_prefix_set("p") == 0);
    CHILD_CHECK(pf_dump(NULL) == 0);
    CHILD_CHECK(child_count_files(".m0.heap") == 1 && child_count_files("") == 2);
    CHILD_CHECK(pf_dump("absent/a.heap") == ENOENT);
}

START_TEST(dumps_on_demand) {
    assert_ends(dump_on_demand, 0, "");
}
END_TEST

static void leave(void) {
    start("prof:true,lg_prof_sample:0,prof_final:true,prof_prefix:p,prof_leak_error:true");
    pf_boot();
    hold(0, 1);
    CHILD_CHECK(!pf_exit()); /* prof_leak is off, so nobody looked */
    CHILD_CHECK(!pf_active_get());
    CHILD_CHECK(child_count_files(".0.f.heap") == 1 && child_count_files("") == 1);
}

START_TEST(the_end_writes_the_final_dump) {
    assert_ends(leave, 0, "");
}
END_TEST

static void fork_around(void) {
    int status = 0;

    start("prof:true,lg_prof_sample:0");
    pf_boot();
    hold(0, BLOCK_COUNT);
    const pid_t child = fork(); /* through al_hooks, as in the product */
    if (child == 0) {
        check_sums(BLOCK_COUNT, BLOCK_COUNT);
        drop(0, BLOCK_COUNT);
        hold(0, 1);
        check_sums(1, BLOCK_COUNT + 1);
        CHILD_CHECK(pf_dump("child.heap") == 0);
        _exit(0);
    }
    CHILD_CHECK(waitpid(child, &status, 0) == child && status == 0);
    hold(BLOCK_COUNT, 1);
    check_sums(BLOCK_COUNT + 1, BLOCK_COUNT + 1);
}

START_TEST(a_child_begins_with_its_parents_counts) {
    assert_ends(fork_around, 0, "");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("prof");

    tcase_add_test(tcase, what_was_allocated_while_it_was_on);
    tcase_add_test(tcase, a_reset_forgets_what_was_before_it);
    tcase_add_test(tcase, a_block_that_grows_is_one_block);
    tcase_add_test(tcase, a_process_without_options_can_be_profiled);
    tcase_add_test(tcase, switches_under_threads_leave_nothing_behind);
    tcase_add_test(tcase, names_of_threads);
    tcase_add_test(tcase, dumps_on_demand);
    tcase_add_test(tcase, the_end_writes_the_final_dump);
    tcase_add_test(tcase, a_child_begins_with_its_parents_counts);
    return suite_run(tcase, "prof", 60);
}
