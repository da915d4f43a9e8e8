/* SPDX-License-Identifier: BSD-2-Clause
 *
 * atfork_library — a library that a program needs: its fork handlers are registered before those of
 * a preloaded malloc, so they run while that one holds all its locks; and they allocate.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

int atfork_calls(void);

static int calls;

static void work(void) {
    void *blocks[64];

    for (size_t idx = 0; idx < 64; idx++) {
        blocks[idx] = malloc(40 + idx * 900);
        memset(blocks[idx], 1, 40 + idx * 900);
    }
    for (size_t idx = 0; idx < 64; idx++) {
        free(blocks[idx]);
    }
    free(malloc(200000));
    calls++;
}

__attribute__((constructor)) static void start(void) {
    (void)pthread_atfork(work, work, work);
}

__attribute__((visibility("default"))) int atfork_calls(void) {
    return calls;
}
