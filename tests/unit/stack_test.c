/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the walker that prof_unwinder names takes the stacks, and all take the same; without
 *         libunwind one message says so and the tables serve; after the fork of a process that had
 *         threads nothing waits for the loader's lock.
 * Method: each choice in a process of its own, at the same place. That our own frames are left out
 *         is seen in the product alone, whose code lies in one section (tests/system).
 */
#include "prof/stack.h"

#include "alloc/options.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { DEPTH_MAX = PF_STACK_DEPTH_MAX, DEEP = 600 };

struct taken {
    uintptr_t frames[DEPTH_MAX];
    uint32_t count;
};

static AL_NOINLINE int recurse(struct taken *taken, uint32_t depth_max, int depth) {
    if (depth > 0) {
        return recurse(taken, depth_max, depth - 1) + 1;
    }
    taken->count = pf_stack_take(taken->frames, depth_max);
    return 0;
}

static void start(const char *conf) {
    al_options_reset();
    CHILD_CHECK(al_options_parse("test", conf));
    pf_stack_start();
}

static bool is_within(uintptr_t pc, uintptr_t function) {
    return pc - function < 512;
}

/* The walkers' own frames, as many as recursed, who called those, and who is above. */
static void check_stack(const struct taken *taken, uintptr_t caller) {
    uint32_t at = 0;

    while (at < taken->count && !is_within(taken->frames[at], (uintptr_t)recurse)) {
        at++;
    }
    CHILD_CHECK(at < 8 && taken->count > at + 12);
    for (uint32_t idx = at; idx < at + 11; idx++) {
        CHILD_CHECK(is_within(taken->frames[idx], (uintptr_t)recurse));
    }
    for (uint32_t idx = at + 1; idx < at + 10; idx++) {
        CHILD_CHECK(taken->frames[idx] == taken->frames[at + 10]);
    }
    CHILD_CHECK(is_within(taken->frames[at + 11], caller));
    for (uint32_t idx = 0; idx < taken->count; idx++) {
        CHILD_CHECK(taken->frames[idx] != 0);
    }
}

static void check_walker(const char *conf, const char *name) {
    static struct taken taken;

    start(conf);
    CHILD_CHECK(strcmp(pf_stack_unwinder(), name) == 0);
    CHILD_CHECK(recurse(&taken, DEPTH_MAX, 10) == 10);
    check_stack(&taken, (uintptr_t)check_walker);
}

static void by_default(void) {
    check_walker("narenas:1", "tables");
}

static void by_tables(void) {
    check_walker("prof_unwinder:tables", "tables");
}

static void by_libunwind(void) {
    check_walker("prof_unwinder:libunwind", "libunwind");
}

static void by_libgcc(void) {
    check_walker("prof_unwinder:libgcc", "libgcc");
}

static void by_frame_pointers(void) {
    check_walker("prof_unwinder:frame_pointers", "frame_pointers");
}

START_TEST(each_walker_takes_the_stack) {
    assert_ends(by_default, 0, "");
    assert_ends(by_tables, 0, "");
    assert_ends(by_libunwind, 0, "");
    assert_ends(by_libgcc, 0, "");
    assert_ends(by_frame_pointers, 0, "");
}
END_TEST

/* No file can be opened, so no library either. */
static void without_libunwind(void) {
    const struct rlimit none = {3, 3};
    static struct taken taken;

    for (int fd = 3; fd < 64; fd++) {
        (void)close(fd);
    }
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    start("prof_unwinder:libunwind");
    pf_stack_start(); /* says nothing twice */
    CHILD_CHECK(strcmp(pf_stack_unwinder(), "tables") == 0);
    CHILD_CHECK(recurse(&taken, DEPTH_MAX, 10) == 10);
    check_stack(&taken, (uintptr_t)without_libunwind);
}

START_TEST(without_libunwind_the_tables_serve) {
    assert_ends(without_libunwind, 0,
                "<jemalloc>: libunwind.so.8 cannot be loaded: stacks are walked by "
                "prof_unwinder:tables (Debian: apt install libunwind8)\n");
}
END_TEST

static void check_depths(const char *conf) {
    static struct taken all, some;

    start(conf);
    CHILD_CHECK(recurse(&all, DEPTH_MAX, DEEP) == DEEP);
    CHILD_CHECK(all.count == DEPTH_MAX);
    for (uint32_t depth = 1; depth < DEPTH_MAX; depth = depth * 3 - 1 + depth % 2) {
        CHILD_CHECK(recurse(&some, depth, DEEP) == DEEP);
        CHILD_CHECK(some.count == depth);
        CHILD_CHECK(memcmp(some.frames + 1, all.frames + 1, (depth - 1) * sizeof(uintptr_t)) == 0);
    }
}

static void depths_by_tables(void) {
    check_depths("prof_unwinder:tables");
}

static void depths_by_libgcc(void) {
    check_depths("prof_unwinder:libgcc");
}

static void depths_by_frame_pointers(void) {
    check_depths("prof_unwinder:frame_pointers");
}

START_TEST(a_deep_stack_is_cut_where_it_was_asked_to_be) {
    assert_ends(depths_by_tables, 0, "");
    assert_ends(depths_by_libgcc, 0, "");
    assert_ends(depths_by_frame_pointers, 0, "");
}
END_TEST

/* ---- fork ---- */

static void *nothing(void *arg) {
    return arg;
}

/* As the library does it. Returns what the child says of its walker. */
static int fork_and_ask(const char *child_name) {
    static struct taken taken;
    int status = 0;

    pf_stack_fork_prepare();
    const pid_t child = fork();
    if (child == 0) {
        pf_stack_fork_child();
        CHILD_CHECK(strcmp(pf_stack_unwinder(), child_name) == 0);
        CHILD_CHECK(recurse(&taken, DEPTH_MAX, 10) == 10);
        check_stack(&taken, (uintptr_t)fork_and_ask);
        _exit(0);
    }
    pf_stack_fork_parent();
    CHILD_CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static void fork_alone(void) {
    start("prof_unwinder:libunwind");
    CHILD_CHECK(fork_and_ask("libunwind") == 0);
    CHILD_CHECK(strcmp(pf_stack_unwinder(), "libunwind") == 0);
}

static void fork_with_threads(void) {
    static struct taken taken;
    pthread_t thread;

    CHILD_CHECK(pthread_create(&thread, NULL, nothing, NULL) == 0);
    CHILD_CHECK(pthread_join(thread, NULL) == 0);
    start("prof_unwinder:libunwind");
    CHILD_CHECK(fork_and_ask("tables") == 0);
    CHILD_CHECK(strcmp(pf_stack_unwinder(), "libunwind") == 0);
    CHILD_CHECK(recurse(&taken, DEPTH_MAX, 10) == 10);
    check_stack(&taken, (uintptr_t)fork_with_threads);
}

START_TEST(a_child_of_threads_asks_no_loader) {
    assert_ends(fork_alone, 0, "");
    assert_ends(fork_with_threads, 0, "");
}
END_TEST

/* While a fork is coming no walk begins that it would have to wait for. */
static void walk_during_fork(void) {
    static struct taken taken;

    start("prof_unwinder:libunwind");
    pf_stack_fork_prepare();
    CHILD_CHECK(recurse(&taken, DEPTH_MAX, 10) == 10);
    check_stack(&taken, (uintptr_t)walk_during_fork);
    pf_stack_fork_parent();
}

START_TEST(a_walk_while_a_fork_is_coming) {
    assert_ends(walk_during_fork, 0, "");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("stack");

    tcase_add_test(tcase, each_walker_takes_the_stack);
    tcase_add_test(tcase, without_libunwind_the_tables_serve);
    tcase_add_test(tcase, a_deep_stack_is_cut_where_it_was_asked_to_be);
    tcase_add_test(tcase, a_child_of_threads_asks_no_loader);
    tcase_add_test(tcase, a_walk_while_a_fork_is_coming);
    return suite_run(tcase, "stack", 60);
}
