/* SPDX-License-Identifier: BSD-2-Clause
 *
 * holder FILE... — holds what readers_test.sh knows, and dumps itself to each file.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALL_COUNT = 100000, SMALL_BYTES = 48, LARGE_COUNT = 300, LARGE_BYTES = 100000 };

static void *held[SMALL_COUNT + LARGE_COUNT];

__attribute__((noinline)) static void *hold_small(void) {
    void *const volatile block = malloc(SMALL_BYTES);

    return block;
}

__attribute__((noinline)) static void *hold_large(void) {
    void *const volatile block = malloc(LARGE_BYTES);

    return block;
}

int main(int argc, char **argv) {
    int (*mallctl)(const char *, void *, size_t *, void *, size_t) = NULL;

    *(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
    if (mallctl == NULL) {
        fputs("holder: not under the library\n", stderr);
        return 2;
    }
    for (int idx = 0; idx < SMALL_COUNT; idx++) {
        held[idx] = hold_small();
        free(malloc(SMALL_BYTES)); /* gone: not to be seen */
    }
    for (int idx = 0; idx < LARGE_COUNT; idx++) {
        held[SMALL_COUNT + idx] = hold_large();
    }
    for (int arg = 1; arg < argc; arg++) {
        const char *const path = argv[arg];
        if (mallctl("prof.dump", NULL, NULL, (void *)(size_t)&path, sizeof(path)) != 0) {
            fprintf(stderr, "holder: no dump in %s\n", path);
            return 1;
        }
    }
    for (int idx = 0; idx < SMALL_COUNT + LARGE_COUNT; idx++) {
        free(held[idx]);
    }
    return 0;
}
