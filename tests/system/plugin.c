/* SPDX-License-Identifier: BSD-2-Clause
 *
 * plugin — what load_storm loads and unloads: its constructor and its thread-local data
 * allocate, its code calls malloc from frames that are about to vanish.
 */
#include <stdlib.h>
#include <string.h>

void *plugin_make(size_t size_bytes);
int plugin_touch(void);

static void *held;
static __thread char local[3000];

__attribute__((constructor)) static void start(void) {
    held = malloc(777);
}

__attribute__((destructor)) static void finish(void) {
    free(held);
}

__attribute__((visibility("default"))) void *plugin_make(size_t size_bytes) {
    void *const block = malloc(size_bytes);

    if (block != NULL) {
        memset(block, 1, size_bytes);
    }
    return block;
}

__attribute__((visibility("default"))) int plugin_touch(void) {
    local[1] = 1;
    return local[0] + local[1];
}
