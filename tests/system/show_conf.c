/* SPDX-License-Identifier: BSD-2-Clause
 *
 * show_conf — prints two options as the library has them and the arena it makes, and leaks a block.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static void *volatile leaked;

int main(void) {
    int (*mallctl)(const char *, void *, size_t *, void *, size_t) = NULL;
    size_t rate_lg = 0;
    size_t rate_lg_bytes = sizeof(rate_lg);
    unsigned arena_idx = 0;
    size_t arena_idx_bytes = sizeof(arena_idx);
    bool has_cache = false;
    size_t has_cache_bytes = sizeof(has_cache);

    *(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
    leaked = malloc(1000);
    if (mallctl == NULL || leaked == NULL ||
        mallctl("opt.lg_prof_sample", &rate_lg, &rate_lg_bytes, NULL, 0) != 0 ||
        mallctl("opt.tcache", &has_cache, &has_cache_bytes, NULL, 0) != 0 ||
        mallctl("arenas.create", &arena_idx, &arena_idx_bytes, NULL, 0) != 0) {
        return 2;
    }
    leaked = NULL;
    printf("lg_prof_sample %zu tcache %d arena %u\n", rate_lg, has_cache, arena_idx);
    return 0;
}
