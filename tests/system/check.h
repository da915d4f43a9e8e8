/* SPDX-License-Identifier: BSD-2-Clause
 *
 * check — for programs that run under the library: a promise that is broken ends them with a
 * line that says which. Nothing here allocates before it fails.
 */
#ifndef TESTS_SYSTEM_CHECK_H
#define TESTS_SYSTEM_CHECK_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            _Exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static inline uint64_t check_random(uint64_t *state) {
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

/* Mostly small, now and then large. */
static inline size_t check_random_size(uint64_t *state) {
    const uint64_t pick = check_random(state);

    return pick % 100 == 0  ? check_random(state) % 300000
           : pick % 20 == 0 ? check_random(state) % 9000
                            : check_random(state) % 500;
}

/* A block whose bytes tell its own size; and the check that they still do. */
static inline unsigned char *check_block(size_t size_bytes) {
    unsigned char *const block = malloc(size_bytes + sizeof(size_bytes));

    CHECK(block != NULL);
    memcpy(block, &size_bytes, sizeof(size_bytes));
    memset(block + sizeof(size_bytes), (int)(size_bytes & 0xff), size_bytes);
    return block;
}

static inline void check_free(unsigned char *block) {
    size_t size_bytes = 0;

    if (block == NULL) {
        return;
    }
    memcpy(&size_bytes, block, sizeof(size_bytes));
    for (size_t at = 0; at < size_bytes; at += 1 + size_bytes / 64) {
        CHECK(block[sizeof(size_bytes) + at] == (size_bytes & 0xff));
    }
    free(block);
}

/* Memory of the process that is resident now, read without malloc. */
static inline size_t check_resident_mib(void) {
    char text[128];
    const int file = open("/proc/self/statm", O_RDONLY);
    const ssize_t got = read(file, text, sizeof(text) - 1);
    char *end = NULL;

    CHECK(file >= 0 && got > 0);
    (void)close(file);
    text[got] = '\0';
    (void)strtoul(text, &end, 10);
    return strtoul(end, NULL, 10) * 4096 / (1024 * 1024);
}

#endif
