/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   threads may come and go by the thousand: what each leaves behind is used by the next.
 * Method: 10,000 threads, 20 at a time; each allocates, hands some blocks to threads yet to
 *         come, frees what earlier ones left, and ends. The peak of resident memory is bounded.
 */
#include "tests/system/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum {
    THREAD_COUNT = 10000,
    AT_ONCE = 20,
    BLOCK_COUNT = 60,
    BOX_COUNT = 512,
    PEAK_KIB_MAX = 160 * 1024
};

static _Atomic(unsigned char *) boxes[BOX_COUNT];

static void *run(void *arg) {
    uint64_t seed = (uintptr_t)arg * 2654435761u + 1;
    unsigned char *own[BLOCK_COUNT];

    for (int idx = 0; idx < BLOCK_COUNT; idx++) {
        own[idx] = check_block(check_random_size(&seed) % 4000);
    }
    for (int idx = 0; idx < BLOCK_COUNT; idx++) {
        unsigned char *block = own[idx];
        if (idx % 3 == 0) { /* somebody else's to free */
            block = atomic_exchange(&boxes[check_random(&seed) % BOX_COUNT], block);
        }
        check_free(block);
    }
    return NULL;
}

int main(void) {
    struct rusage usage;
    pthread_t threads[AT_ONCE];

    for (int first = 0; first < THREAD_COUNT; first += AT_ONCE) {
        for (int idx = 0; idx < AT_ONCE; idx++) {
            CHECK(pthread_create(&threads[idx], NULL, run, (void *)(uintptr_t)(first + idx)) == 0);
        }
        for (int idx = 0; idx < AT_ONCE; idx++) {
            CHECK(pthread_join(threads[idx], NULL) == 0);
        }
    }
    for (int idx = 0; idx < BOX_COUNT; idx++) {
        check_free(boxes[idx]);
    }
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    if (usage.ru_maxrss > PEAK_KIB_MAX) {
        fprintf(stderr, "peak of resident memory: %ld KiB\n", usage.ru_maxrss);
        return 1;
    }
    return 0;
}
