/* SPDX-License-Identifier: BSD-2-Clause
 *
 * micro PATTERN PAIRS — one pattern of malloc and free, that many pairs of them.
 *
 * Question: what does a pair cost, by the patterns of docs/decisions/0001?
 * Unit:     ns a pair on standard output; instructions are counted from outside (micro.sh).
 * Honest:   each block is written and read back, and the sum of what was read is compared; a
 *           pattern whose blocks were not there, or not the program's alone, fails.
 *
 * The program is not linked with any allocator: micro.sh preloads one after the other.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH_COUNT = 1000, LIVE_COUNT_MAX = 50000 };

/* The compiler must not see that a block is freed unused. */
static void *(*volatile take)(size_t) = malloc;
static void (*volatile give)(void *) = free;

static uint64_t wanted_sum;
static uint64_t found_sum;
static uint64_t stamp;
static void *live[LIVE_COUNT_MAX];

static uint64_t random_state = UINT64_C(88172645463325252);

static uint64_t random_next(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void *make(size_t size_bytes) {
    uint64_t *const block = take(size_bytes);

    if (block == NULL) {
        perror("micro");
        exit(1);
    }
    *block = ++stamp;
    wanted_sum += stamp;
    return block;
}

static void drop(void *block) {
    found_sum += *(uint64_t *)block;
    give(block);
}

static void drop_live(size_t count) {
    for (size_t idx = 0; idx < count; idx++) {
        if (live[idx] != NULL) {
            drop(live[idx]);
            live[idx] = NULL;
        }
    }
}

static void run_pair(uint64_t pair_count) {
    for (uint64_t pair = 0; pair < pair_count; pair++) {
        drop(make(64));
    }
}

static void run_lifo(uint64_t pair_count) {
    for (uint64_t pair = 0; pair < pair_count; pair += BATCH_COUNT) {
        for (size_t idx = 0; idx < BATCH_COUNT; idx++) {
            live[idx] = make(64);
        }
        for (size_t idx = BATCH_COUNT; idx-- > 0;) {
            drop(live[idx]);
        }
    }
    memset(live, 0, sizeof(live));
}

static void run_fifo(uint64_t pair_count) {
    for (uint64_t pair = 0; pair < pair_count; pair += BATCH_COUNT) {
        for (size_t idx = 0; idx < BATCH_COUNT; idx++) {
            live[idx] = make(64);
        }
        for (size_t idx = 0; idx < BATCH_COUNT; idx++) {
            drop(live[idx]);
        }
    }
    memset(live, 0, sizeof(live));
}

/* Keeps `live_count` blocks and replaces one at random each turn. */
static void replace(uint64_t pair_count, size_t live_count, size_t size_bytes_min,
                    size_t size_bytes_span) {
    for (uint64_t pair = 0; pair < pair_count; pair++) {
        void **const slot = &live[random_next() % live_count];
        const size_t size_bytes =
            size_bytes_min + (size_bytes_span != 0 ? random_next() % size_bytes_span : 0);
        if (*slot != NULL) {
            drop(*slot);
        }
        *slot = make(size_bytes);
    }
    drop_live(live_count);
}

static void run_random_1k(uint64_t pair_count) {
    replace(pair_count, 1000, 64, 0);
}

static void run_random_50k(uint64_t pair_count) {
    replace(pair_count, 50000, 64, 0);
}

static void run_kib_5k(uint64_t pair_count) {
    replace(pair_count, 5000, 1024, 0);
}

static void run_mixed_20k(uint64_t pair_count) {
    replace(pair_count, 20000, 16, 513);
}

static void run_large_100k(uint64_t pair_count) {
    replace(pair_count, 20, 100 * 1024, 0);
}

static void run_mixed_large(uint64_t pair_count) {
    replace(pair_count, 50, 70000, 900000);
}

/* A pair here is one realloc, of a buffer that grows by an eighth up to 1 MiB. */
static void run_realloc(uint64_t pair_count) {
    char *buffer = NULL;
    size_t size_bytes = 0;

    for (uint64_t pair = 0; pair < pair_count; pair++) {
        if (size_bytes > 1 << 20) {
            free(buffer);
            buffer = NULL;
            size_bytes = 0;
        }
        size_bytes += size_bytes / 8 + 16;
        buffer = realloc(buffer, size_bytes);
        if (buffer == NULL) {
            exit(1);
        }
        buffer[size_bytes - 1] = (char)pair;
    }
    free(buffer);
}

static void run_calloc(uint64_t pair_count) {
    for (uint64_t pair = 0; pair < pair_count; pair++) {
        void **const slot = &live[random_next() % 1000];
        if (*slot != NULL) {
            drop(*slot);
        }
        uint64_t *const block = calloc(1, 256);
        if (block == NULL || block[3] != 0 || block[31] != 0) {
            fputs("micro: calloc is not zero\n", stderr);
            exit(1);
        }
        *block = ++stamp;
        wanted_sum += stamp;
        *slot = block;
    }
    drop_live(1000);
}

static const struct {
    const char *name;
    void (*run)(uint64_t pair_count);
} patterns[] = {
    {"pair_64", run_pair},
    {"lifo_64", run_lifo},
    {"fifo_64", run_fifo},
    {"random_64_1k", run_random_1k},
    {"random_64_50k", run_random_50k},
    {"random_1KiB_5k", run_kib_5k},
    {"mixed_16_528_20k", run_mixed_20k},
    {"large_100KiB", run_large_100k},
    {"mixed_large", run_mixed_large},
    {"realloc_growth", run_realloc},
    {"calloc_256", run_calloc},
};

static uint64_t now_ns(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv) {
    for (size_t idx = 0; idx < sizeof(patterns) / sizeof(patterns[0]); idx++) {
        if (argc < 2) {
            puts(patterns[idx].name);
        } else if (strcmp(argv[1], patterns[idx].name) == 0) {
            const uint64_t pair_count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
            const uint64_t start_ns = now_ns();
            patterns[idx].run(pair_count);
            const uint64_t elapsed_ns = now_ns() - start_ns;
            if (found_sum != wanted_sum) {
                fputs("micro: blocks did not keep what was written\n", stderr);
                return 1;
            }
            printf("%.3f\n", (double)elapsed_ns / (double)pair_count);
            return 0;
        }
    }
    return argc < 2 ? 0 : 2;
}
