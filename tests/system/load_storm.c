/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   libraries may come and go while stacks are walked: no hang, no crash.
 * Method: four threads load a library, allocate through it, touch its thread-local data and
 *         unload it, while two others only allocate. Blocks outlive the code that made them.
 *
 *   load_storm PLUGIN [ROUNDS]
 */
#include "tests/system/check.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

enum { LOADER_COUNT = 4, CHURNER_COUNT = 2, ROUND_COUNT_DEFAULT = 150 };

static const char *plugin_path;
static long round_count = ROUND_COUNT_DEFAULT;
static _Atomic int is_over;

static void *run_loader(void *arg) {
    uint64_t seed = (uintptr_t)arg + 1;

    for (long round = 0; round < round_count; round++) {
        void *const library = dlopen(plugin_path, RTLD_NOW | RTLD_LOCAL);
        CHECK(library != NULL);
        void *(*make)(size_t) = NULL;
        int (*touch)(void) = NULL;
        *(void **)&make = dlsym(library, "plugin_make");
        *(void **)&touch = dlsym(library, "plugin_touch");
        CHECK(make != NULL && touch != NULL && touch() == 1);
        void *blocks[16];
        for (int idx = 0; idx < 16; idx++) {
            blocks[idx] = make(check_random_size(&seed));
            CHECK(blocks[idx] != NULL);
        }
        CHECK(dlclose(library) == 0);
        for (int idx = 0; idx < 16; idx++) {
            free(blocks[idx]);
        }
    }
    return NULL;
}

static void *run_churner(void *arg) {
    uint64_t seed = (uintptr_t)arg + 100;

    while (!is_over) {
        check_free(check_block(check_random_size(&seed)));
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t loaders[LOADER_COUNT];
    pthread_t churners[CHURNER_COUNT];

    CHECK(argc >= 2);
    plugin_path = argv[1];
    round_count = argc > 2 ? strtol(argv[2], NULL, 10) : ROUND_COUNT_DEFAULT;
    for (int idx = 0; idx < CHURNER_COUNT; idx++) {
        CHECK(pthread_create(&churners[idx], NULL, run_churner, (void *)(uintptr_t)idx) == 0);
    }
    for (int idx = 0; idx < LOADER_COUNT; idx++) {
        CHECK(pthread_create(&loaders[idx], NULL, run_loader, (void *)(uintptr_t)idx) == 0);
    }
    for (int idx = 0; idx < LOADER_COUNT; idx++) {
        CHECK(pthread_join(loaders[idx], NULL) == 0);
    }
    is_over = 1;
    for (int idx = 0; idx < CHURNER_COUNT; idx++) {
        CHECK(pthread_join(churners[idx], NULL) == 0);
    }
    return 0;
}
