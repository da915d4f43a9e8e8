/* SPDX-License-Identifier: BSD-2-Clause
 *
 * memory — how much is kept for how much is live.
 *
 * Question: what is resident when sizes drift over many generations, when a peak is over and the
 *           program sleeps, when 200 threads do little, when large blocks come and go?
 * Unit:     resident KiB in the notes, beside live KiB; operations as elsewhere.
 * Noise:    none to speak of: addresses vary, sums hardly do.
 * Honest:   live bytes are what was asked for. Each page of a block is written. A sleep makes no
 *           call of malloc, and what reads the resident size makes none either.
 */
#include "tests/bench/work.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum {
    DRIFT_LIVE_BYTES = 48 << 20,
    DRIFT_MIDDLE_MIN = 64,
    DRIFT_OCTAVES = 6,
    PEAK_BLOCK_BYTES = 512,
    PEAK_LIVE_SHARE = 8,
    PEAK_SCATTER = 16384 / PEAK_BLOCK_BYTES,
    SMALL_THREADS = 200,
    SMALL_BLOCKS = 300,
    SMALL_KEPT = 20,
    WAVE_HIGH_BYTES = 192 << 20,
    WAVE_LOW_BYTES = 16 << 20
};

/* Live blocks in no order; the last one takes the place of one that goes. Pointers only, the
   sizes are in the blocks: what the table needs is part of the peak. */
struct crowd {
    char **blocks;
    size_t block_count;
    size_t live_bytes;
    uint64_t random;
};

static size_t block_bytes(const char *block) {
    size_t size_bytes;

    memcpy(&size_bytes, block + sizeof(uint64_t), sizeof(size_bytes));
    return size_bytes;
}

static void crowd_add(struct work *work, struct crowd *crowd, size_t size_bytes) {
    char *const block = work_make_pages(&work->books, size_bytes);

    memcpy(block + sizeof(uint64_t), &size_bytes, sizeof(size_bytes));
    crowd->blocks[crowd->block_count++] = block;
    crowd->live_bytes += size_bytes;
}

/* Random blocks go until live_bytes_max are left. */
static void crowd_thin(struct work *work, struct crowd *crowd, size_t live_bytes_max) {
    while (crowd->live_bytes > live_bytes_max) {
        char **const place = &crowd->blocks[work_below(&crowd->random, crowd->block_count)];
        const size_t size_bytes = block_bytes(*place);
        work_drop_pages(&work->books, *place, size_bytes);
        crowd->live_bytes -= size_bytes;
        *place = crowd->blocks[--crowd->block_count];
    }
}

/* The middle of a generation's sizes: up by 2 to the 6th over the run, in eighths of an octave. */
static size_t drift_size(uint64_t generation, uint64_t generation_count) {
    const size_t eighths = (size_t)(generation * DRIFT_OCTAVES * 8 / generation_count);
    const size_t octave = (size_t)DRIFT_MIDDLE_MIN << (eighths / 8);

    return octave + octave * (eighths % 8) / 8;
}

/* Each generation replaces half of what is live, at random, by blocks of its own sizes. */
static void run_drift(struct work *work) {
    const size_t block_count_max = DRIFT_LIVE_BYTES * 2 / DRIFT_MIDDLE_MIN + 1;
    struct crowd crowd = {.random = 43};
    uint64_t op_count = 0;
    uint64_t rss_sum_kib = 0;

    crowd.blocks = work_table(block_count_max * sizeof(*crowd.blocks));
    const uint64_t before_kib = work_rss_kib();
    work_start();
    for (uint64_t generation = 0; generation < work->count; generation++) {
        const size_t middle = drift_size(generation, work->count);
        size_t made_bytes = generation == 0 ? 0 : DRIFT_LIVE_BYTES / 2;
        while (made_bytes < DRIFT_LIVE_BYTES) {
            const size_t size_bytes = work_between(&crowd.random, middle / 2, middle * 2);
            crowd_thin(work, &crowd, DRIFT_LIVE_BYTES - size_bytes);
            crowd_add(work, &crowd, size_bytes);
            made_bytes += size_bytes;
            op_count++;
        }
        rss_sum_kib += work_rss_kib() - before_kib;
    }
    work_stop(op_count);
    work_note("live_kib", crowd.live_bytes / 1024);
    work_note("rss_last_kib", work_rss_kib() - before_kib);
    work_note("rss_mean_kib", rss_sum_kib / work->count);
    crowd_thin(work, &crowd, 0);
}

/* Waves of large blocks: up to 192 MiB, down to 16. */
static void run_waves(struct work *work) {
    const struct work_case *const shape = work->shape;
    struct crowd crowd = {.random = 47};
    uint64_t op_count = 0;

    crowd.blocks = work_table((WAVE_HIGH_BYTES / shape->low + 1) * sizeof(*crowd.blocks));
    work_start();
    for (uint64_t wave = 0; wave < work->count; wave++) {
        while (crowd.live_bytes < WAVE_HIGH_BYTES - shape->high) {
            crowd_add(work, &crowd, work_between(&crowd.random, shape->low, shape->high));
            op_count++;
        }
        crowd_thin(work, &crowd, WAVE_LOW_BYTES);
    }
    work_stop(op_count);
    work_note("live_kib", crowd.live_bytes / 1024);
    work_note("rss_kib", work_rss_kib());
    crowd_thin(work, &crowd, 0);
}

/* The count is the peak in MiB, the first parameter how long "1x" is. One block in eight lives on:
   those allocated first, or, scattered, one in each 16 KiB. */
static void run_peak(struct work *work, bool is_scattered) {
    const size_t block_count = (size_t)(work->count << 20) / PEAK_BLOCK_BYTES;
    char **const blocks = work_table(block_count * sizeof(*blocks));
    const size_t live_count = block_count / (is_scattered ? PEAK_SCATTER : PEAK_LIVE_SHARE);
    const uint64_t half_ms = work->parameters[0] / 2;

    for (size_t idx = 0; idx < block_count; idx++) {
        blocks[idx] = work_make(&work->books, PEAK_BLOCK_BYTES);
    }
    work_note("rss_peak_kib", work_rss_kib());
    work_start();
    for (size_t idx = 0; idx < block_count; idx++) {
        if (is_scattered ? idx % PEAK_SCATTER != 0 : idx >= live_count) {
            work_drop(&work->books, blocks[idx], PEAK_BLOCK_BYTES);
            blocks[idx] = NULL;
        }
    }
    work_stop(block_count - live_count);
    work_note("table_kib", block_count * sizeof(*blocks) / 1024);
    work_note("live_kib", live_count * PEAK_BLOCK_BYTES / 1024);
    work_note("rss_0x_kib", work_rss_kib());
    work_sleep_ms(half_ms);
    work_note("rss_half_kib", work_rss_kib());
    work_sleep_ms(half_ms);
    work_note("rss_1x_kib", work_rss_kib());
    work_sleep_ms(2 * half_ms);
    work_note("rss_2x_kib", work_rss_kib());
    /* A few thousand calls: each thread cache has to look up at least once. */
    for (size_t idx = 0; idx < 4096; idx++) {
        work_drop(&work->books, work_make(&work->books, PEAK_BLOCK_BYTES), PEAK_BLOCK_BYTES);
    }
    work_note("rss_visit_kib", work_rss_kib());
    for (size_t idx = 0; idx < block_count; idx++) {
        if (blocks[idx] != NULL) {
            work_drop(&work->books, blocks[idx], PEAK_BLOCK_BYTES);
        }
    }
}

static void run_peak_whole(struct work *work) {
    run_peak(work, false);
}

static void run_peak_scattered(struct work *work) {
    run_peak(work, true);
}

/* A thread of a server that mostly waits. */
struct small {
    struct work *work;
    struct work_books books;
    pthread_t thread;
    uint64_t random;
};

static struct {
    pthread_barrier_t is_begun;
    pthread_barrier_t may_end;
} small_gates;

/* A little work: some blocks, most of them freed; the last few stay. */
static void small_work(struct small *small, struct work_slot *slots) {
    const struct work_case *const shape = small->work->shape;

    for (size_t idx = 0; idx < SMALL_BLOCKS; idx++) {
        struct work_slot *const slot = &slots[idx % (2 * SMALL_KEPT)];
        work_empty_slot(&small->books, slot);
        work_fill_slot(&small->books, slot, work_between(&small->random, shape->low, shape->high));
    }
    for (size_t idx = SMALL_KEPT; idx < 2 * SMALL_KEPT; idx++) {
        work_empty_slot(&small->books, &slots[idx]);
    }
}

static void *run_small(void *arg) {
    struct small *const small = arg;
    struct work_slot slots[2 * SMALL_KEPT] = {{0}};

    for (uint64_t turn = 0; turn < small->work->count; turn++) {
        small_work(small, slots);
    }
    (void)pthread_barrier_wait(&small_gates.is_begun);
    (void)pthread_barrier_wait(&small_gates.may_end);
    for (size_t idx = 0; idx < SMALL_KEPT; idx++) {
        work_empty_slot(&small->books, &slots[idx]);
    }
    return NULL;
}

static void run_small_threads(struct work *work) {
    struct small *const smalls = work_table(SMALL_THREADS * sizeof(*smalls));

    (void)pthread_barrier_init(&small_gates.is_begun, NULL, SMALL_THREADS + 1);
    (void)pthread_barrier_init(&small_gates.may_end, NULL, SMALL_THREADS + 1);
    const uint64_t before_kib = work_rss_kib();
    work_start();
    for (size_t idx = 0; idx < SMALL_THREADS; idx++) {
        smalls[idx].work = work;
        smalls[idx].random = 53 + idx;
        if (pthread_create(&smalls[idx].thread, NULL, run_small, &smalls[idx]) != 0) {
            work_die("no thread");
        }
    }
    (void)pthread_barrier_wait(&small_gates.is_begun);
    work_note("rss_200_threads_kib", work_rss_kib() - before_kib);
    (void)pthread_barrier_wait(&small_gates.may_end);
    for (size_t idx = 0; idx < SMALL_THREADS; idx++) {
        (void)pthread_join(smalls[idx].thread, NULL);
        work_add(work, &smalls[idx].books);
    }
    work_stop(work->count * SMALL_THREADS * SMALL_BLOCKS);
}

const struct work_case work_memory[] = {
    {"size_drift", run_drift, 0, 0, 0},
    {"large_waves", run_waves, 256 << 10, 8 << 20, 0},
    {"peak_whole", run_peak_whole, 0, 0, 0},
    {"peak_scattered", run_peak_scattered, 0, 0, 0},
    {"idle_threads_200", run_small_threads, 16, 1024, SMALL_THREADS},
    {NULL, NULL, 0, 0, 0},
};
