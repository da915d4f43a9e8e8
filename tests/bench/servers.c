/* SPDX-License-Identifier: BSD-2-Clause
 *
 * servers — threads that come, go, sleep, or write next to each other.
 *
 * Question: what does it cost when threads die and leave their blocks to others (larson, churn),
 *           when one sleeps on full caches, and when blocks of two threads share a cache line?
 * Unit:     larson: a block replaced; churn: a thread, with 200 blocks; idle_full_cache: a block
 *           replaced by the thread that is awake; false sharing: a block written 500 times.
 *           Wall time is what is compared, but for idle_full_cache, where one thread works.
 * Noise:    as in threads.c. With one processor there is no false sharing to be seen.
 * Honest:   larson here is the published idea (a server whose threads hand their blocks to their
 *           successors), not the program: the figures are not comparable with others'.
 */
#include "tests/bench/threads.h"
#include "tests/bench/work.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

enum {
    LARSON_BLOCKS = 1000,
    LARSON_TURNS = 10000,
    CHURN_AT_ONCE = 8,
    CHURN_BLOCKS = 200,
    IDLE_BLOCKS = 20000,
    WRITES = 500
};

/* A line of threads: each works, starts the next one, and dies. */
struct line {
    struct work *work;
    struct work_slot slots[LARSON_BLOCKS];
    struct work_books books;
    uint64_t random;
    uint64_t left;
    sem_t *is_done;
};

static void start_detached(void *(*run)(void *), void *arg) {
    pthread_attr_t attributes;
    pthread_t thread;

    if (pthread_attr_init(&attributes) != 0 ||
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) != 0 ||
        pthread_create(&thread, &attributes, run, arg) != 0) {
        work_die("no thread");
    }
    (void)pthread_attr_destroy(&attributes);
}

static void *run_line(void *arg) {
    struct line *const line = arg;
    const struct work_case *const shape = line->work->shape;

    for (int turn = 0; turn < LARSON_TURNS; turn++) {
        struct work_slot *const slot = &line->slots[work_below(&line->random, LARSON_BLOCKS)];
        work_empty_slot(&line->books, slot);
        work_fill_slot(&line->books, slot, work_between(&line->random, shape->low, shape->high));
    }
    if (--line->left > 0) {
        start_detached(run_line, line);
    } else {
        (void)sem_post(line->is_done);
    }
    return NULL;
}

/* The count is in threads a line. */
static void run_larson(struct work *work) {
    const size_t line_count = work->shape->live;
    struct line *const lines = work_table(line_count * sizeof(*lines));
    sem_t is_done;

    (void)sem_init(&is_done, 0, 0);
    work_start();
    for (size_t idx = 0; idx < line_count; idx++) {
        lines[idx].work = work;
        lines[idx].random = 29 + idx;
        lines[idx].left = work->count;
        lines[idx].is_done = &is_done;
        start_detached(run_line, &lines[idx]);
    }
    for (size_t idx = 0; idx < line_count; idx++) {
        while (sem_wait(&is_done) != 0) {
        }
    }
    work_stop(work->count * line_count * LARSON_TURNS);
    for (size_t idx = 0; idx < line_count; idx++) {
        for (size_t slot = 0; slot < LARSON_BLOCKS; slot++) {
            work_empty_slot(&lines[idx].books, &lines[idx].slots[slot]);
        }
        work_add(work, &lines[idx].books);
    }
}

struct visitor {
    struct threads_one one;
    char *blocks[CHURN_BLOCKS];
};

/* Allocates, frees every other block, and leaves the rest. */
static void *run_visitor(void *arg) {
    struct visitor *const visitor = arg;
    const struct work_case *const shape = visitor->one.work->shape;

    for (size_t idx = 0; idx < CHURN_BLOCKS; idx++) {
        const size_t size_bytes = work_between(&visitor->one.random, shape->low, shape->high);
        visitor->blocks[idx] = work_make_sized(&visitor->one.books, size_bytes);
    }
    for (size_t idx = 0; idx < CHURN_BLOCKS; idx += 2) {
        work_drop_sized(&visitor->one.books, visitor->blocks[idx]);
    }
    return NULL;
}

/* Waits for the visitor, and frees what it left. */
static void see_off(struct visitor *visitor) {
    (void)pthread_join(visitor->one.thread, NULL);
    for (size_t idx = 1; idx < CHURN_BLOCKS; idx += 2) {
        work_drop_sized(&visitor->one.books, visitor->blocks[idx]);
    }
}

/* The count is in threads; CHURN_AT_ONCE of them are there at a time. */
static void run_churn(struct work *work) {
    struct visitor *const visitors = work_table(CHURN_AT_ONCE * sizeof(*visitors));

    work_start();
    for (uint64_t number = 0; number < work->count + CHURN_AT_ONCE; number++) {
        struct visitor *const visitor = &visitors[number % CHURN_AT_ONCE];
        if (number >= CHURN_AT_ONCE) {
            see_off(visitor);
        }
        if (number < work->count) {
            visitor->one.work = work;
            visitor->one.random = number + 31;
            if (pthread_create(&visitor->one.thread, NULL, run_visitor, visitor) != 0) {
                work_die("no thread");
            }
        }
    }
    work_stop(work->count);
    for (size_t idx = 0; idx < CHURN_AT_ONCE; idx++) {
        work_add(work, &visitors[idx].one.books);
    }
}

static struct {
    struct work *work;
    struct work_books books;
    struct work_slot *slots;
    sem_t is_full;
    sem_t may_end;
} sleeper;

/* Frees many blocks of many sizes, and sleeps on what its caches keep of them. */
static void *run_sleeper(void *arg) {
    const struct work_case *const shape = sleeper.work->shape;
    uint64_t random = 37;

    for (size_t idx = 0; idx < IDLE_BLOCKS; idx++) {
        work_fill_slot(&sleeper.books, &sleeper.slots[idx],
                       work_between(&random, shape->low, shape->high));
    }
    for (size_t idx = 0; idx < IDLE_BLOCKS; idx++) {
        work_empty_slot(&sleeper.books, &sleeper.slots[idx]);
    }
    (void)sem_post(&sleeper.is_full);
    while (sem_wait(&sleeper.may_end) != 0) {
    }
    return arg;
}

static void run_idle(struct work *work) {
    const struct work_case *const shape = work->shape;
    struct work_slot *const slots = work_table(IDLE_BLOCKS * sizeof(*slots));
    pthread_t thread;
    uint64_t random = 41;

    sleeper.work = work;
    sleeper.slots = work_table(IDLE_BLOCKS * sizeof(*sleeper.slots));
    (void)sem_init(&sleeper.is_full, 0, 0);
    (void)sem_init(&sleeper.may_end, 0, 0);
    if (pthread_create(&thread, NULL, run_sleeper, NULL) != 0) {
        work_die("no thread");
    }
    while (sem_wait(&sleeper.is_full) != 0) {
    }
    work_note("rss_asleep_kib", work_rss_kib());
    work_start();
    for (uint64_t turn = 0; turn < work->count; turn++) {
        struct work_slot *const slot = &slots[work_below(&random, IDLE_BLOCKS)];
        work_empty_slot(&work->books, slot);
        work_fill_slot(&work->books, slot, work_between(&random, shape->low, shape->high));
    }
    work_stop(work->count);
    work_note("rss_kib", work_rss_kib());
    for (size_t idx = 0; idx < IDLE_BLOCKS; idx++) {
        work_empty_slot(&work->books, &slots[idx]);
    }
    (void)sem_post(&sleeper.may_end);
    (void)pthread_join(thread, NULL);
    work_add(work, &sleeper.books);
}

struct writer {
    struct threads_one one;
    char *first; /* passive: a block of the main thread's, to be freed here */
};

static void write_often(volatile char *block) {
    for (int turn = 0; turn < WRITES; turn++) {
        block[0] = (char)(block[0] + 1);
    }
}

static void *run_writer(void *arg) {
    struct writer *const writer = arg;
    const struct work_case *const shape = writer->one.work->shape;
    struct work_books *const books = &writer->one.books;

    if (writer->first != NULL) {
        work_drop(books, writer->first, shape->low);
    }
    for (uint64_t turn = 0; turn < writer->one.work->count; turn++) {
        char *const block = work_make(books, shape->low);
        uint64_t stamp;
        memcpy(&stamp, block, sizeof(stamp));
        write_often(block);
        memcpy(block, &stamp, sizeof(stamp));
        work_drop(books, block, shape->low);
    }
    return NULL;
}

/* Active: does the allocator give two threads blocks of one line? */
static void run_false_active(struct work *work) {
    struct writer *const writers = work_table(work->shape->live * sizeof(*writers));

    threads_run(work, writers, sizeof(*writers), run_writer);
    work_stop(work->count * work->shape->live);
}

/* Passive: neighbours made by one thread are freed by several: does each get a part of the line? */
static void run_false_passive(struct work *work) {
    struct writer *const writers = work_table(work->shape->live * sizeof(*writers));

    for (size_t idx = 0; idx < work->shape->live; idx++) {
        writers[idx].first = work_make(&work->books, work->shape->low);
    }
    threads_run(work, writers, sizeof(*writers), run_writer);
    work_stop(work->count * work->shape->live);
}

const struct work_case work_servers[] = {
    {"larson_2", run_larson, 16, 1024, 2},
    {"larson_16", run_larson, 16, 1024, 16},
    {"thread_churn", run_churn, 32, 1024, CHURN_AT_ONCE},
    {"idle_full_cache", run_idle, 16, 1024, 2},
    {"false_sharing_active", run_false_active, 16, 16, 2},
    {"false_sharing_passive", run_false_passive, 16, 16, 2},
    {NULL, NULL, 0, 0, 0},
};
