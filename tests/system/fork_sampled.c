/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a child of fork is sampled like its parent, whatever the parent's threads were sampling
 *         at that moment: no walk of a stack waits for a lock that nobody lives to give back.
 * Method: three threads start and join threads that live for three allocations, so that every
 *         sample is a thread's first and asks the loader; the main thread forks some thousand times
 *         meanwhile. Each child allocates in a thread of its own. A child that does
 *         not end in time is killed and fails the test.
 */
#include "tests/system/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREAD_COUNT = 3, FORK_COUNT = 2500, CHILD_SECONDS = 10 };

static _Atomic int is_over;

__attribute__((noinline)) static void *allocate_deep(int depth) {
    void *volatile block = depth > 0 ? allocate_deep(depth - 1) : malloc(100);

    return block;
}

static void *run_short(void *arg) {
    for (int depth = 5; depth < 8; depth++) {
        free(allocate_deep(depth));
    }
    return arg;
}

static void run_thread(void) {
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_short, NULL) == 0) {
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

static void *run_starter(void *arg) {
    while (!is_over) {
        run_thread();
    }
    return arg;
}

int main(void) {
    pthread_t starters[THREAD_COUNT];

    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        CHECK(pthread_create(&starters[idx], NULL, run_starter, NULL) == 0);
    }
    for (int round = 0; round < FORK_COUNT; round++) {
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(CHILD_SECONDS);
            run_thread();
            _exit(0);
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
        if (status != 0) {
            fprintf(stderr, "child %d ended with status %#x\n", round, (unsigned)status);
            return 1;
        }
    }
    is_over = 1;
    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        CHECK(pthread_join(starters[idx], NULL) == 0);
    }
    return 0;
}
