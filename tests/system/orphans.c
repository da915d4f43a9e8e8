/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what a thread left behind does not stay for ever: its blocks, freed by others after its
 * end, its arena's free memory, its cache. Without a background thread the others' work does it.
 *         And threads that take from one arena at once do not run out of memory that there is.
 * Method: resident memory, after some work of the main thread alone.
 */
#include "tests/system/check.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK_COUNT = 100000, BLOCK_BYTES = 1000, REST_MIB_MAX = 40, TRY_COUNT = 1500 };

static void *blocks[BLOCK_COUNT];

static void *fill(void *arg) {
    for (int idx = 0; idx < BLOCK_COUNT; idx++) {
        blocks[idx] = memset(malloc(BLOCK_BYTES), 1, BLOCK_BYTES);
    }
    return arg;
}

static void *dirty(void *arg) {
    for (int n = 0; n < 5; n++) {
        free(memset(malloc(3 * 1024 * 1024), 1, 3 * 1024 * 1024));
    }
    return arg;
}

/* Takes fresh address space beside five others that do so, too. */
static void *grow(void *arg) {
    const size_t size_bytes = (size_t)(uintptr_t)arg << 20;

    for (int n = 0; n < TRY_COUNT; n++) {
        CHECK(malloc(size_bytes) != NULL);
    }
    return NULL;
}

static void join_all(const pthread_t *threads, int count) {
    for (int n = 0; n < count; n++) {
        CHECK(pthread_join(threads[n], NULL) == 0);
    }
}

int main(void) {
    pthread_t threads[7];

    CHECK(pthread_create(&threads[0], NULL, fill, NULL) == 0);
    join_all(threads, 1);
    CHECK(check_resident_mib() >= 95);
    for (int idx = 0; idx < BLOCK_COUNT; idx++) {
        free(blocks[idx]);
    }
    for (int n = 0; n < 7; n++) {
        CHECK(pthread_create(&threads[n], NULL, dirty, NULL) == 0);
    }
    join_all(threads, 7);
    /* Work of the main thread, in small pieces, until decay (3 s here, run.sh) is over. */
    int round = 0;
    for (; check_resident_mib() > REST_MIB_MAX && round < 600; round++) {
        const struct timespec pause = {0, 20000000};
        for (int n = 0; n < 3000; n++) {
            free(memset(malloc(400), 1, 400));
        }
        (void)nanosleep(&pause, NULL);
    }
    if (check_resident_mib() > REST_MIB_MAX) {
        fprintf(stderr, "%zu MiB resident after %d rounds\n", check_resident_mib(), round);
        return 1;
    }
    for (int n = 0; n < 6; n++) {
        const uintptr_t mib = n % 2 == 0 ? 20 : 3;
        CHECK(pthread_create(&threads[n], NULL, grow, (void *)mib) == 0);
    }
    join_all(threads, 6);
    return 0;
}
