/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a program may allocate in its own dl_iterate_phdr callback, under the loader's lock,
 *         while other threads are sampled: no walk holds a lock of its own while it asks for that
 *         one.
 * Method: short-lived threads, whose every sample is their first, of two kinds: half of them
 *         allocate in such a callback, half plainly. The runner takes a minute for a hang.
 */
#include "tests/system/check.h"

#include <link.h>
#include <pthread.h>

enum { STARTER_COUNT = 4, ROUND_COUNT = 5000 };

__attribute__((noinline)) static void *allocate_deep(int depth) {
    void *volatile block = depth > 0 ? allocate_deep(depth - 1) : malloc(100);

    return block;
}

static int visit(struct dl_phdr_info *info, size_t info_bytes, void *arg) {
    (void)info;
    (void)info_bytes;
    (void)arg;
    free(allocate_deep(3));
    return 0;
}

static void *run_inside(void *arg) {
    CHECK(dl_iterate_phdr(visit, NULL) == 0);
    return arg;
}

static void *run_outside(void *arg) {
    for (int depth = 5; depth < 8; depth++) {
        free(allocate_deep(depth));
    }
    return arg;
}

static void *run_starter(void *arg) {
    pthread_t thread;

    for (int round = 0; round < ROUND_COUNT; round++) {
        CHECK(pthread_create(&thread, NULL, arg == NULL ? run_inside : run_outside, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return arg;
}

int main(void) {
    pthread_t starters[STARTER_COUNT];
    char mark = 0;

    for (int idx = 0; idx < STARTER_COUNT; idx++) {
        CHECK(pthread_create(&starters[idx], NULL, run_starter, idx % 2 == 0 ? NULL : &mark) == 0);
    }
    for (int idx = 0; idx < STARTER_COUNT; idx++) {
        CHECK(pthread_join(starters[idx], NULL) == 0);
    }
    return 0;
}
