/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   malloc works in the child of a fork, always, whatever the other threads were doing.
 * Method: eight threads allocate and free without end; the main thread forks again and again.
 *         Each child frees what it inherited, allocates every size, starts a thread and forks
 *         once more. A child that does not end in time is killed and fails the test.
 */
#include "tests/system/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREAD_COUNT = 8, FORK_COUNT = 60, LIVE_COUNT = 200, CHILD_SECONDS = 20 };

static _Atomic int is_over;
static unsigned char *inherited[LIVE_COUNT];

static void churn(uint64_t seed, int step_count) {
    unsigned char *live[LIVE_COUNT] = {NULL};

    for (int step = 0; step < step_count; step++) {
        unsigned char **const slot = &live[check_random(&seed) % LIVE_COUNT];
        check_free(*slot);
        *slot = check_block(check_random_size(&seed));
    }
    for (int idx = 0; idx < LIVE_COUNT; idx++) {
        check_free(live[idx]);
    }
}

static void *run_parent_thread(void *arg) {
    for (uint64_t round = 1; !is_over; round++) {
        churn((uintptr_t)arg * 7919 + round, 500);
    }
    return NULL;
}

static void *run_child_thread(void *arg) {
    churn((uintptr_t)arg, 2000);
    return NULL;
}

static void run_child(uint64_t seed) {
    pthread_t thread;

    alarm(CHILD_SECONDS);
    for (int idx = 0; idx < LIVE_COUNT; idx++) {
        check_free(inherited[idx]);
    }
    churn(seed, 1000);
    CHECK(pthread_create(&thread, NULL, run_child_thread, (void *)(uintptr_t)(seed + 1)) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    const pid_t grandchild = fork();
    if (grandchild == 0) {
        churn(seed + 2, 500);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
    _exit(0);
}

int main(void) {
    pthread_t threads[THREAD_COUNT];

    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        CHECK(pthread_create(&threads[idx], NULL, run_parent_thread,
                             (void *)(uintptr_t)(idx + 1)) == 0);
    }
    for (int round = 0; round < FORK_COUNT; round++) {
        uint64_t seed = (uint64_t)round + 1;
        for (int idx = 0; idx < LIVE_COUNT; idx++) {
            check_free(inherited[idx]);
            inherited[idx] = check_block(check_random_size(&seed));
        }
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            run_child((uint64_t)round + 1);
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
        CHECK(pthread_join(threads[idx], NULL) == 0);
    }
    return 0;
}
