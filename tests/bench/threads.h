/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads — a case's threads, started together and joined.
 *
 * Threads: `ones` are the main thread's before and after; in between each is its thread's.
 * Fails:   no thread to be had ends the process.
 */
#ifndef TESTS_BENCH_THREADS_H
#define TESTS_BENCH_THREADS_H

#include "tests/bench/work.h"

#include <pthread.h>

/* What a thread of a case begins with; cases put it first in a struct of their own. */
struct threads_one {
    _Alignas(128) struct work *work;
    size_t number;
    uint64_t random;
    struct work_books books;
    pthread_t thread;
};

/* Starts the clock, runs shape->live threads, each with its struct of the array `ones`, and joins
   them. The caller stops the clock. */
void threads_run(struct work *work, void *ones, size_t one_bytes, void *(*run)(void *));

#endif
