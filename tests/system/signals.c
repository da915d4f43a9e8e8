/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   signals that arrive in the middle of malloc do no harm, as long as their handlers
 *         keep to what POSIX allows them.
 * Method: children that allocate without end are ended by a handler's _exit, each a little
 *         later than the one before; then a timer interrupts threads that allocate, and its
 *         handler writes, reads and counts.
 */
#include "tests/system/check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREAD_COUNT = 4, INTERRUPT_COUNT = 300, CHILD_COUNT = 40, TICK_US = 1000 };

static _Atomic int interrupt_count;
static _Atomic int is_over;
static int pipe_fds[2];

static void on_tick(int signal_number) {
    char byte = (char)signal_number;

    (void)!write(pipe_fds[1], &byte, 1);
    (void)!read(pipe_fds[0], &byte, 1);
    interrupt_count++;
}

static void *run_churner(void *arg) {
    uint64_t seed = (uintptr_t)arg + 1;

    while (!is_over) {
        check_free(check_block(check_random_size(&seed)));
    }
    return NULL;
}

static void start_timer(void (*handler)(int), int tick_us) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    const struct itimerval timer = {{0, tick_us}, {0, tick_us}};

    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void run_interrupted(void) {
    pthread_t threads[THREAD_COUNT];

    CHECK(pipe(pipe_fds) == 0);
    start_timer(on_tick, TICK_US);
    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        CHECK(pthread_create(&threads[idx], NULL, run_churner, (void *)(uintptr_t)idx) == 0);
    }
    while (interrupt_count < INTERRUPT_COUNT) {
        check_free(check_block(100));
    }
    is_over = 1;
    for (int idx = 0; idx < THREAD_COUNT; idx++) {
        CHECK(pthread_join(threads[idx], NULL) == 0);
    }
}

static void on_end(int signal_number) {
    (void)signal_number;
    _exit(0);
}

int main(void) {
    for (int round = 0; round < CHILD_COUNT; round++) {
        int status = 0;
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            start_timer(on_end, 300 + 97 * round);
            (void)run_churner((void *)(uintptr_t)round);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    run_interrupted();
    return 0;
}
