/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a dump is made for each line of 2^lg_prof_interval bytes passed, and for a new peak of
 *         address space, by a thread that is not the one that passed it; none before, and none
 *         after the end; a child of fork counts on and writes what it passes itself.
 * Method: bytes are counted by hand, each case in a process of its own. pf_trigger_finish returns
 *         when what was asked for is written, so nothing is waited for by time.
 */
#include "prof/trigger.h"

#include "alloc/malloc.h"
#include "alloc/options.h"
#include "prof/dump.h"
#include "prof/site.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { LINE_BYTES = 1 << 16, WAIT_TURNS = 2000, THREAD_COUNT = 4 };

static void start(const char *conf) {
    (void)child_enter_folder();
    al_options_reset();
    CHILD_CHECK(al_options_parse("test", conf));
    CHILD_CHECK(pf_site_start());
    pf_trigger_boot();
    pf_trigger_start();
}

/* Dumps that the writer makes in its own time: at most 20 seconds. */
static void wait_for_files(const char *part, int count) {
    for (int turn = 0; turn < WAIT_TURNS && child_count_files(part) < count; turn++) {
        (void)poll(NULL, 0, 10);
    }
    CHILD_CHECK(child_count_files(part) == count);
}

static void stay_below(void) {
    start("prof_prefix:p,lg_prof_interval:16");
    CHILD_CHECK(pf_trigger_interval_bytes() == LINE_BYTES);
    pf_trigger_allocated(LINE_BYTES - 1);
    pf_trigger_finish();
    CHILD_CHECK(child_count_files("") == 0);
}

static void reach_a_line(void) {
    start("prof_prefix:p,lg_prof_interval:16");
    pf_trigger_allocated(LINE_BYTES - 1);
    pf_trigger_allocated(1);
    pf_trigger_finish();
    CHILD_CHECK(child_count_files("") == 1 && child_count_files(".0.i0.heap") == 1);
}

static void pass_many_at_once(void) {
    start("prof_prefix:p,lg_prof_interval:16");
    pf_trigger_allocated(UINT64_C(1000) * LINE_BYTES);
    pf_trigger_finish();
    CHILD_CHECK(child_count_files("") == 1);
}

static void pass_one_after_another(void) {
    start("prof_prefix:p,lg_prof_interval:16");
    for (int line = 1; line <= 3; line++) {
        pf_trigger_allocated(LINE_BYTES);
        wait_for_files(".heap", line);
    }
    pf_trigger_allocated(LINE_BYTES - 1);
    pf_trigger_finish();
    CHILD_CHECK(child_count_files("") == 3 && child_count_files(".2.i2.heap") == 1);
}

START_TEST(a_dump_for_each_line_passed) {
    assert_ends(stay_below, 0, "");
    assert_ends(reach_a_line, 0, "");
    assert_ends(pass_many_at_once, 0, "");
    assert_ends(pass_one_after_another, 0, "");
}
END_TEST

static void count_without_triggers(void) {
    start("prof_prefix:p");
    CHILD_CHECK(pf_trigger_interval_bytes() == 0 && !pf_trigger_peak());
    pf_trigger_allocated(UINT64_C(1) << 40);
    pf_trigger_finish();
    CHILD_CHECK(child_count_files("") == 0);
}

START_TEST(without_triggers_there_are_no_dumps) {
    assert_ends(count_without_triggers, 0, "");
}
END_TEST

static void *count_quarter(void *arg) {
    for (int idx = 0; idx < 256; idx++) {
        pf_trigger_allocated(LINE_BYTES / 1024);
    }
    return arg;
}

/* Four quarters of a line are one, whoever counts. */
static void count_by_threads(void) {
    pthread_t threads[THREAD_COUNT];

    start("prof_prefix:p,lg_prof_interval:16");
    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        CHILD_CHECK(pthread_create(&threads[idx], NULL, count_quarter, NULL) == 0);
    }
    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        CHILD_CHECK(pthread_join(threads[idx], NULL) == 0);
    }
    pf_trigger_finish();
    CHILD_CHECK(child_count_files("") == 1 && child_count_files(".i0.heap") == 1);
}

START_TEST(threads_count_together) {
    assert_ends(count_by_threads, 0, "");
}
END_TEST

static void count_after_finish(void) {
    start("prof_prefix:p,lg_prof_interval:16,prof_gdump:true");
    pf_trigger_finish();
    pf_trigger_finish();
    pf_trigger_allocated(10 * (uint64_t)LINE_BYTES);
    pf_trigger_finish();
    CHILD_CHECK(child_count_files("") == 0);
}

START_TEST(after_the_end_there_are_no_dumps) {
    assert_ends(count_after_finish, 0, "");
}
END_TEST

/* ---- peaks ---- */

static void reach_peaks(void) {
    start("prof_prefix:p,prof_gdump:true");
    CHILD_CHECK(pf_trigger_peak());
    pf_trigger_allocated(1);
    void *const first = al_malloc(64 << 20);
    CHILD_CHECK(first != NULL);
    pf_trigger_allocated(1);
    wait_for_files(".u0.heap", 1);
    pf_trigger_allocated(1); /* no higher than it was */
    pf_trigger_set_peak(false);
    void *const second = al_malloc(128 << 20);
    pf_trigger_allocated(1);
    pf_trigger_set_peak(true); /* a peak is one from now on */
    pf_trigger_allocated(1);
    pf_trigger_finish();
    CHILD_CHECK(second != NULL && child_count_files("") == 1);
}

START_TEST(a_dump_for_each_new_peak) {
    assert_ends(reach_peaks, 0, "");
}
END_TEST

/* ---- fork ---- */

static void pass_in_child(void) {
    char part[64];
    int status = 0;

    start("prof_prefix:p,lg_prof_interval:16");
    pf_trigger_allocated(LINE_BYTES);
    wait_for_files(".heap", 1);
    pf_dump_fork_prepare();
    const pid_t child = fork();
    if (child == 0) {
        pf_dump_fork_child();
        pf_trigger_fork_child();
        pf_trigger_allocated(LINE_BYTES); /* starts a writer of its own */
        wait_for_files(".heap", 2);
        pf_trigger_finish();
        _exit(0);
    }
    pf_dump_fork_parent();
    CHILD_CHECK(waitpid(child, &status, 0) == child && status == 0);
    (void)snprintf(part, sizeof(part), "p.%d.1.i1.heap", (int)child);
    CHILD_CHECK(child_count_files(part) == 1);
    pf_trigger_allocated(LINE_BYTES);
    pf_trigger_finish();
    CHILD_CHECK(child_count_files("") == 3);
}

/* A child that passes nothing has no thread, and none to wait for. */
static void pass_nothing_in_child(void) {
    int status = 0;

    start("prof_prefix:p,lg_prof_interval:16");
    pf_dump_fork_prepare();
    const pid_t child = fork();
    if (child == 0) {
        pf_dump_fork_child();
        pf_trigger_fork_child();
        pf_trigger_allocated(1);
        pf_trigger_finish();
        CHILD_CHECK(child_count_files("") == 0);
        _exit(0);
    }
    pf_dump_fork_parent();
    CHILD_CHECK(waitpid(child, &status, 0) == child && status == 0);
}

START_TEST(a_child_writes_what_it_passes_itself) {
    assert_ends(pass_in_child, 0, "");
    assert_ends(pass_nothing_in_child, 0, "");
}
END_TEST

/* There is no memory for a thread's stack. */
static void pass_without_threads(void) {
    struct rlimit limit;

    (void)child_enter_folder();
    al_options_reset();
    CHILD_CHECK(al_options_parse("test", "prof_prefix:p,lg_prof_interval:16"));
    CHILD_CHECK(pf_site_start());
    CHILD_CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    const rlim_t usual = limit.rlim_cur;
    limit.rlim_cur = 0;
    CHILD_CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    pf_trigger_boot();
    pf_trigger_start();
    pf_trigger_allocated(LINE_BYTES);
    pf_trigger_allocated(LINE_BYTES);
    CHILD_CHECK(child_count_files("") == 0);
    limit.rlim_cur = usual;
    CHILD_CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    pf_trigger_finish(); /* which writes what nobody else could */
    CHILD_CHECK(child_count_files("") == 1);
}

START_TEST(without_a_thread_it_is_said_once) {
    assert_ends(pass_without_threads, 0,
                "<jemalloc>: no thread for automatic dumps: none will be written\n");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("trigger");

    tcase_add_test(tcase, a_dump_for_each_line_passed);
    tcase_add_test(tcase, without_triggers_there_are_no_dumps);
    tcase_add_test(tcase, threads_count_together);
    tcase_add_test(tcase, after_the_end_there_are_no_dumps);
    tcase_add_test(tcase, a_dump_for_each_new_peak);
    tcase_add_test(tcase, a_child_writes_what_it_passes_itself);
    tcase_add_test(tcase, without_a_thread_it_is_said_once);
    return suite_run(tcase, "trigger", 60);
}
