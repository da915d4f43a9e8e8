/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   fork handlers of a library that came before us may allocate, in all three places, also
 *         while other threads do.
 * Method: forks by a program that needs such a library; a child that hangs is seen by run.sh.
 */
#include "tests/system/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

int atfork_calls(void);

static atomic_int has_ended;

static void *churn(void *arg) {
    uint64_t random = 88172645463325252;

    while (!atomic_load(&has_ended)) {
        check_free(check_block(check_random_size(&random)));
    }
    return arg;
}

int main(void) {
    pthread_t threads[2];

    for (int n = 0; n < 2; n++) {
        CHECK(pthread_create(&threads[n], NULL, churn, NULL) == 0);
    }
    for (int round = 1; round <= 100; round++) {
        int status = 0;
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            free(malloc(100));
            _Exit(atfork_calls() == 2 * round ? 0 : 1);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        CHECK(atfork_calls() == 2 * round);
    }
    atomic_store(&has_ended, 1);
    for (int n = 0; n < 2; n++) {
        CHECK(pthread_join(threads[n], NULL) == 0);
    }
    return 0;
}
