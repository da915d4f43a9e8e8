/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   realloc of large objects loses nothing where the kernel cannot move their pages, having
 *         unmapped the target before it noticed (Linux before 6.17), and whoever maps there next.
 * Method: mremap is ours here: it unmaps the target, in every other call maps something of the
 *         program's own there, and says EFAULT. Contents and that mapping are looked at.
 */
#include "tests/system/check.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>

enum { OBJECT_COUNT = 24, STEP_COUNT = 2500, TAKEN_COUNT_MAX = 64 };

static size_t refused_count;
static unsigned char *taken[TAKEN_COUNT_MAX];
static size_t taken_count;

void *mremap(void *from, size_t old_bytes, size_t new_bytes, int flags, ...) {
    va_list more;

    va_start(more, flags);
    void *const to = (flags & MREMAP_FIXED) != 0 ? va_arg(more, void *) : NULL;
    va_end(more);
    CHECK(from != NULL && old_bytes > 0);
    refused_count++;
    if (to != NULL) {
        CHECK(munmap(to, new_bytes) == 0);
        if (refused_count % 2 == 0 && taken_count < TAKEN_COUNT_MAX) {
            unsigned char *const got = mmap(to, 4096, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            CHECK(got == to);
            memset(got, 0x77, 4096);
            taken[taken_count++] = got;
        }
    }
    errno = EFAULT;
    return MAP_FAILED;
}

static void check_bytes(const unsigned char *block, size_t bytes, unsigned char tag) {
    for (size_t at = 0; at < bytes; at += 1021) {
        CHECK(block[at] == tag);
    }
}

int main(void) {
    static unsigned char *objects[OBJECT_COUNT];
    static size_t sizes[OBJECT_COUNT];
    uint64_t random = 12345;

    for (int step = 0; step < STEP_COUNT; step++) {
        const size_t idx = check_random(&random) % OBJECT_COUNT;
        const unsigned char tag = (unsigned char)(idx + 1);
        size_t bytes = 70000 + check_random(&random) % (2 * 1024 * 1024);
        if (step % 100 == 0) {
            bytes = 40 * 1024 * 1024; /* a mapping of its own */
        }
        check_bytes(objects[idx], sizes[idx], tag);
        unsigned char *const grown = realloc(objects[idx], bytes);
        CHECK(grown != NULL);
        check_bytes(grown, bytes < sizes[idx] ? bytes : sizes[idx], tag);
        memset(grown, tag, bytes);
        objects[idx] = grown;
        sizes[idx] = bytes;
        if (step % 7 == 0) {
            free(objects[idx]);
            objects[idx] = NULL;
            sizes[idx] = 0;
        }
    }
    for (size_t n = 0; n < taken_count; n++) {
        for (size_t at = 0; at < 4096; at++) {
            CHECK(taken[n][at] == 0x77);
        }
    }
    CHECK(refused_count > 0);
    return 0;
}
