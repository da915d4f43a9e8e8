/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   opt.junk and opt.zero fill what they say, of every size and by every entry point, and
 *         never what calloc promised to be zero.
 * Method: fill NEW OLD: the bytes that new memory, and freed memory beyond its first words, must
 *         hold; "-" for either: not looked at. MALLOC_CONF says how they come there.
 */
#include "tests/system/check.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>

enum { LINK_BYTES = 16 };

static const size_t sizes[] = {16, 100, 1000, 5000, 40000, 200000, 3000000};

static bool holds(const unsigned char *block, size_t from, size_t to, const char *wanted) {
    const unsigned byte = (unsigned)strtoul(wanted, NULL, 16);

    for (size_t at = from; wanted[0] != '-' && at < to; at++) {
        if (block[at] != byte) {
            return false;
        }
    }
    return true;
}

static void *free_it(void *block) {
    free(block);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    for (size_t idx = 0; idx < sizeof(sizes) / sizeof(sizes[0]); idx++) {
        const size_t size = sizes[idx];
        for (int round = 0; round < 50; round++) {
            unsigned char *block = malloc(size);
            CHECK(holds(block, 0, malloc_usable_size(block), argv[1]));
            memset(block, 0x11, size);
            block = realloc(block, size * 2);
            CHECK(holds(block, 0, size, "11"));
            CHECK(holds(block, size * 2 - 8, size * 2, argv[1]));
            memset(block, 0x22, size * 2);
            free(block);

            block = calloc(1, size);
            CHECK(holds(block, 0, size, "0"));
            memset(block, 0x33, size);
            free(block);
            block = aligned_alloc(64, size);
            CHECK(holds(block, 0, size, argv[1]));
            memset(block, 0x44, size);
            /* Small blocks stay readable: the slab is ours as long as another lives there. */
            unsigned char *const other = aligned_alloc(64, size);
            pthread_t thread;
            if (round % 10 == 0) { /* another arena's thread */
                CHECK(pthread_create(&thread, NULL, free_it, block) == 0);
                CHECK(pthread_join(thread, NULL) == 0);
            } else {
                free(block);
            }
            if (size <= 5000) {
                CHECK(holds(block, LINK_BYTES, size, argv[2]));
            }
            free(other);
        }
    }
    return 0;
}
