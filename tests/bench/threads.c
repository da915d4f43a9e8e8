/* SPDX-License-Identifier: BSD-2-Clause
 *
 * threads — blocks that one thread allocates and another one frees.
 *
 * Question: what does a free in another thread cost: along a belt (one way, both ways, many to
 *           many), and when any thread may get any block?
 * Unit:     an operation is a block made, handed over, and freed. The count is a sender's. Wall
 *           time is what is compared.
 * Noise:    two processors shared with others, and threads that wait for each other: the noisiest
 *           rows there are. Blocks travel in bags of 64, and who must wait waits until the belt is
 *           half full or half empty, so that wake-ups are few; spinning instead made the same
 *           allocator 30 times slower from one run to the next.
 * Honest:   a block carries its stamp and its size; all blocks arrive, once.
 */
#include "tests/bench/threads.h"
#include "tests/bench/work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { BAG_BLOCKS = 64, BELT_BAGS = 32, BOX_COUNT = 4096 };

struct bag {
    char *blocks[BAG_BLOCKS];
};

/* Bags on their way, behind one lock. */
struct belt {
    _Alignas(128) pthread_mutex_t lock;
    pthread_cond_t has_bags;
    pthread_cond_t has_space;
    size_t sender_count;
    size_t first;
    size_t bag_count;
    struct bag bags[BELT_BAGS];
};

static void belt_init(struct belt *belt, size_t sender_count) {
    (void)pthread_mutex_init(&belt->lock, NULL);
    (void)pthread_cond_init(&belt->has_bags, NULL);
    (void)pthread_cond_init(&belt->has_space, NULL);
    belt->sender_count = sender_count;
}

/* Waits while the belt is full, and then until it is half empty. */
static void belt_put(struct belt *belt, const struct bag *bag) {
    (void)pthread_mutex_lock(&belt->lock);
    while (belt->bag_count == BELT_BAGS) {
        (void)pthread_cond_wait(&belt->has_space, &belt->lock);
    }
    belt->bags[(belt->first + belt->bag_count++) % BELT_BAGS] = *bag;
    if (belt->bag_count >= BELT_BAGS / 2) {
        (void)pthread_cond_signal(&belt->has_bags);
    }
    (void)pthread_mutex_unlock(&belt->lock);
}

/* The sender sends no more. */
static void belt_leave(struct belt *belt) {
    (void)pthread_mutex_lock(&belt->lock);
    belt->sender_count--;
    (void)pthread_cond_broadcast(&belt->has_bags);
    (void)pthread_mutex_unlock(&belt->lock);
}

/* Waits while the belt is empty and somebody sends, if it may. False: no bag. */
static bool belt_take(struct belt *belt, struct bag *bag, bool may_wait) {
    bool is_there = false;

    (void)pthread_mutex_lock(&belt->lock);
    while (may_wait && belt->bag_count == 0 && belt->sender_count > 0) {
        (void)pthread_cond_wait(&belt->has_bags, &belt->lock);
    }
    if (belt->bag_count > 0) {
        *bag = belt->bags[belt->first];
        belt->first = (belt->first + 1) % BELT_BAGS;
        is_there = true;
        if (--belt->bag_count == BELT_BAGS / 2) {
            (void)pthread_cond_broadcast(&belt->has_space);
        }
    }
    (void)pthread_mutex_unlock(&belt->lock);
    return is_there;
}

/* For the only sender: what it sees stays true until it puts. */
static bool belt_has_space(struct belt *belt) {
    (void)pthread_mutex_lock(&belt->lock);
    const bool has_space = belt->bag_count < BELT_BAGS;
    (void)pthread_mutex_unlock(&belt->lock);
    return has_space;
}

/* A thread with what it sends by and receives from; either may be missing. */
struct worker {
    struct threads_one one;
    struct belt *out;
    struct belt *in;
};

static void send_bag(struct worker *worker) {
    const struct work_case *const shape = worker->one.work->shape;
    struct bag bag;

    for (size_t idx = 0; idx < BAG_BLOCKS; idx++) {
        const size_t size_bytes = work_between(&worker->one.random, shape->low, shape->high);
        bag.blocks[idx] = work_make_sized(&worker->one.books, size_bytes);
    }
    belt_put(worker->out, &bag);
}

static bool receive_bag(struct worker *worker, bool may_wait) {
    struct bag bag;

    if (!belt_take(worker->in, &bag, may_wait)) {
        return false;
    }
    for (size_t idx = 0; idx < BAG_BLOCKS; idx++) {
        work_drop_sized(&worker->one.books, bag.blocks[idx]);
    }
    return true;
}

/* Who does both waits for bags only when its own belt is full or done with, and never for space:
   so two that send to each other cannot wait for each other. */
static void *run_worker(void *arg) {
    struct worker *const worker = arg;
    uint64_t to_send = worker->out != NULL ? worker->one.work->count / BAG_BLOCKS : 0;
    bool is_receiving = worker->in != NULL;

    while (to_send > 0 || is_receiving) {
        const bool may_send = to_send > 0 && (!is_receiving || belt_has_space(worker->out));
        if (may_send) {
            send_bag(worker);
            if (--to_send == 0) {
                belt_leave(worker->out);
            }
        }
        if (is_receiving && !receive_bag(worker, !may_send) && !may_send) {
            is_receiving = false;
        }
    }
    return NULL;
}

/* The shapes of traffic. */
enum traffic { ONE_WAY, BOTH_WAYS, MANY_TO_MANY };

/* `live` threads. One way: even ones send to the next one. Both ways: they send back, too. Many to
   many: even ones send by one belt, odd ones receive from it. */
static void run_belts(struct work *work, enum traffic traffic) {
    const size_t thread_count = work->shape->live;
    struct worker *const workers = work_table(thread_count * sizeof(*workers));
    struct belt *const belts = work_table(thread_count * sizeof(*belts));

    for (size_t idx = 0; idx < thread_count; idx++) {
        const bool is_even = idx % 2 == 0;
        belt_init(&belts[idx], traffic == MANY_TO_MANY ? thread_count / 2 : 1);
        if (traffic == MANY_TO_MANY) {
            workers[idx].out = is_even ? &belts[0] : NULL;
            workers[idx].in = is_even ? NULL : &belts[0];
        } else {
            workers[idx].out = is_even || traffic == BOTH_WAYS ? &belts[idx] : NULL;
            workers[idx].in = !is_even || traffic == BOTH_WAYS ? &belts[idx ^ 1] : NULL;
        }
    }
    threads_run(work, workers, sizeof(*workers), run_worker);
    const size_t sender_count = traffic == BOTH_WAYS ? thread_count : thread_count / 2;
    work_stop(work->count / BAG_BLOCKS * BAG_BLOCKS * sender_count);
}

static void run_one_way(struct work *work) {
    run_belts(work, ONE_WAY);
}

static void run_both_ways(struct work *work) {
    run_belts(work, BOTH_WAYS);
}

static void run_many(struct work *work) {
    run_belts(work, MANY_TO_MANY);
}

static _Atomic(char *) boxes[BOX_COUNT];

/* Puts a new block into a box at random, and frees what was in it. */
static void *run_exchanger(void *arg) {
    struct threads_one *const one = arg;
    const struct work_case *const shape = one->work->shape;

    for (uint64_t turn = 0; turn < one->work->count; turn++) {
        const size_t size_bytes = work_between(&one->random, shape->low, shape->high);
        char *block = work_make_sized(&one->books, size_bytes);
        block = atomic_exchange_explicit(&boxes[work_below(&one->random, BOX_COUNT)], block,
                                         memory_order_acq_rel);
        if (block != NULL) {
            work_drop_sized(&one->books, block);
        }
    }
    return NULL;
}

/* The count is shared out: 64 threads do no more than 2. */
static void run_exchange(struct work *work) {
    const size_t thread_count = work->shape->live;
    struct threads_one *const exchangers = work_table(thread_count * sizeof(*exchangers));

    work->count /= thread_count;
    threads_run(work, exchangers, sizeof(*exchangers), run_exchanger);
    work_stop(work->count * thread_count);
    for (size_t idx = 0; idx < BOX_COUNT; idx++) {
        if (boxes[idx] != NULL) {
            work_drop_sized(&work->books, boxes[idx]);
        }
    }
}

void threads_run(struct work *work, void *ones, size_t one_bytes, void *(*run)(void *)) {
    const size_t thread_count = work->shape->live;

    work_start();
    for (size_t idx = 0; idx < thread_count; idx++) {
        struct threads_one *const one = (void *)((char *)ones + idx * one_bytes);
        one->work = work;
        one->number = idx;
        one->random = 0x9e3779b97f4a7c15u * (idx + 1);
        if (pthread_create(&one->thread, NULL, run, one) != 0) {
            work_die("no thread");
        }
    }
    for (size_t idx = 0; idx < thread_count; idx++) {
        struct threads_one *const one = (void *)((char *)ones + idx * one_bytes);
        (void)pthread_join(one->thread, NULL);
        work_add(work, &one->books);
    }
}

const struct work_case work_threads[] = {
    {"belt_one_way_2", run_one_way, 32, 512, 2},
    {"belt_both_ways_2", run_both_ways, 32, 512, 2},
    {"belt_both_ways_8", run_both_ways, 32, 512, 8},
    {"many_to_many_4x4", run_many, 32, 512, 8},
    {"exchange_2", run_exchange, 32, 512, 2},
    {"exchange_8", run_exchange, 32, 512, 8},
    {"exchange_64", run_exchange, 32, 512, 64},
    {NULL, NULL, 0, 0, 0},
};
