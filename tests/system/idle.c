/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a process that has freed its memory and does nothing more gives it back: what lay in
 *         slabs, what lay in runs, what other threads freed, what ended threads' caches held.
 *         A child of fork does so, too. The thread that does it can be switched off and on.
 * Method: resident memory, read without malloc, while nothing is called but sleep; MALLOC_CONF
 *         has background_thread:true and a short decay.
 */
#include "tests/system/check.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes)
    __attribute__((weak));

enum {
    BLOCK_COUNT = 200000,
    BLOCK_BYTES = 400,
    LARGE_BYTES = 3 * 1024 * 1024,
    LARGE_COUNT = 8,
    REST_MIB_MAX = 12, /* a thread's cache, the program itself, the allocator's books */
    WAIT_MS_MAX = 20000,
};

static void *blocks[BLOCK_COUNT];

static void pause_ms(long ms) {
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&pause, NULL);
}

/* Sleeps until little is resident. */
static void come_to_rest(const char *after) {
    int waited_ms = 0;

    for (; check_resident_mib() > REST_MIB_MAX && waited_ms < WAIT_MS_MAX; waited_ms += 100) {
        pause_ms(100);
    }
    if (check_resident_mib() > REST_MIB_MAX) {
        fprintf(stderr, "%s: %zu MiB still resident after %d ms\n", after, check_resident_mib(),
                waited_ms);
        _Exit(1);
    }
}

static void *fill(void *arg) {
    for (int idx = 0; idx < BLOCK_COUNT; idx++) {
        blocks[idx] = memset(malloc(BLOCK_BYTES), 1, BLOCK_BYTES);
    }
    for (int idx = 0; idx < LARGE_COUNT; idx++) {
        free(memset(malloc(LARGE_BYTES), 1, LARGE_BYTES));
    }
    return arg;
}

static void *empty(void *arg) {
    for (int idx = 0; idx < BLOCK_COUNT; idx++) {
        free(blocks[idx]);
    }
    return arg;
}

static void in_thread(void *(*function)(void *)) {
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, function, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void set_background(bool is_on) {
    CHECK(mallctl != NULL);
    CHECK(mallctl("background_thread", NULL, NULL, &is_on, sizeof(is_on)) == 0);
}

static size_t thread_count(void) {
    size_t count = 0;
    size_t count_bytes = sizeof(count);
    uint64_t epoch = 1; /* statistics are of the latest */

    CHECK(mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)) == 0);
    CHECK(mallctl("stats.background_thread.num_threads", &count, &count_bytes, NULL, 0) == 0);
    return count;
}

int main(void) {
    CHECK(thread_count() == 1);
    (void)fill(NULL);
    CHECK(check_resident_mib() > 60);
    (void)empty(NULL);
    come_to_rest("freed by the thread that allocated");

    in_thread(fill);
    (void)empty(NULL);
    come_to_rest("freed by another thread");

    (void)fill(NULL);
    in_thread(empty);
    come_to_rest("freed by a thread that has ended");

    set_background(false);
    for (int waited_ms = 0; thread_count() != 0; waited_ms += 10) {
        CHECK(waited_ms < WAIT_MS_MAX);
        pause_ms(10);
    }
    (void)fill(NULL);
    (void)empty(NULL);
    set_background(true);
    come_to_rest("switched on again");

    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)fill(NULL);
        (void)empty(NULL);
        come_to_rest("in a child");
        _Exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    return 0;
}
