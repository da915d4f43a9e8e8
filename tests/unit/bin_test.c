/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a bin hands out each block once, from the fullest slabs first, takes blocks back from its
 * own and from other threads, and gives up slabs that are empty. Method: bins of a page heap of
 * their own; all blocks in use stand in a book. Each test ends with an empty bin and a page heap
 * that is free again.
 */
#include "alloc/bin.h"
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/slab.h"
#include "tests/support/dies.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

enum {
    HEAP_IDX_FIRST = 100,
    BLOCK_MAX = 8192,
    CLASS_FEW = 88, /* 16 KiB: 8 slots a slab */
    FEW_SLOTS = 8,
    CLASS_MANY = 1, /* 16 B: 1,024 slots a slab, 256 carved at a time */
    CLASS_MIDDLE = 4,
    STEP_COUNT = 6000,
    STEPS_PER_CHECK = 50,
    THREAD_COUNT = 4,
    ROUND_COUNT = 300,
};

static struct al_runs runs;
static struct al_bin bin;
static unsigned class_of_bin;

/* What is in use. */
static void *held[BLOCK_MAX];
static size_t held_count;

static void bin_init(unsigned class_idx) {
    bin = (struct al_bin){.runs = &runs};
    class_of_bin = class_idx;
    held_count = 0;
}

static void setup(void) {
    static uint32_t heap_idx = HEAP_IDX_FIRST;

    al_init();
    al_runs_init(&runs, heap_idx++, (const ssize_t[AL_STALE_COUNT]){-1, -1});
    bin_init(CLASS_FEW);
}

static uint32_t slab_of(const void *block) {
    return al_map_entry_extent(al_map_entry(block));
}

static void *next_of(const void *block) {
    return *(void *const *)block;
}

/* Into the book; each block is a slot's start, is marked, and is nobody else's. */
static void hold(void *block) {
    const uint64_t entry = al_map_entry(block);

    ck_assert(al_map_entry_is_slab(entry));
    ck_assert_uint_eq(al_map_entry_class(entry), class_of_bin);
    al_bin_check_block(al_extent_at(al_map_entry_extent(entry)), block);
    ck_assert_uint_lt(held_count, BLOCK_MAX);
    held[held_count++] = block;
}

static size_t hold_list(struct al_list list) {
    size_t count = 0;

    while (count < list.count) {
        void *const next = next_of(list.head);
        hold(list.head);
        memset(list.head, 0x5a, al_class_bytes(class_of_bin));
        list.head = next;
        count++;
    }
    return count;
}

static int by_address(const void *a, const void *b) {
    const uintptr_t left = (uintptr_t) * (void *const *)a;
    const uintptr_t right = (uintptr_t) * (void *const *)b;

    return (left > right) - (left < right);
}

/* No two blocks of the book are nearer than their size. Sorts it. */
static void check_held(void) {
    qsort(held, held_count, sizeof(held[0]), by_address);
    for (size_t n = 1; n < held_count; n++) {
        ck_assert_uint_ge((uintptr_t)held[n] - (uintptr_t)held[n - 1],
                          al_class_bytes(class_of_bin));
    }
    al_bin_check(&bin, class_of_bin);
    ck_assert_uint_eq(bin.used_count, held_count);
}

/* Takes block `n` out of the book. */
static void *let_go(size_t n) {
    void *const block = held[n];

    ck_assert_uint_lt(n, held_count);
    held[n] = held[--held_count];
    return block;
}

/* Links the last `count` blocks of the book, oldest first, and takes them out. */
static struct al_list let_go_list(size_t count) {
    struct al_list list = {NULL, (uint32_t)count, false};

    for (; count > 0; count--) {
        void *const block = let_go(held_count - 1);
        *(void **)block = list.head;
        list.head = block;
    }
    return list;
}

static void flush_all(void) {
    if (held_count != 0) {
        al_bin_flush(&bin, let_go_list(held_count));
    }
    ck_assert_uint_eq(bin.used_count, 0);
    ck_assert_uint_eq(bin.slab_count, 0);
    for (unsigned level = 0; level < AL_BIN_LIST_COUNT; level++) {
        ck_assert_uint_eq(bin.list_idx[level], 0);
    }
    al_runs_check(&runs);
    ck_assert_uint_eq(runs.free_granules, runs.mapped_granules);
}

/* Takes until the book holds `count` blocks. */
static void fill_to(size_t count) {
    while (held_count < count) {
        void *const block = al_bin_take_one(&bin, class_of_bin);
        ck_assert_ptr_nonnull(block);
        hold(block);
    }
}

/* ---- filling ---- */

/* `_i` is the class. */
START_TEST(every_class_fills_and_flushes) {
    const uint32_t slot_count = al_class_slab_slots((unsigned)_i);
    const uint32_t wants[] = {1, 7, 100, slot_count, 2 * slot_count};

    bin_init((unsigned)_i);
    for (size_t n = 0; n < AL_ARRAY_COUNT(wants); n++) {
        const struct al_list list = al_bin_fill(&bin, (unsigned)_i, wants[n]);
        ck_assert_uint_ge(list.count, 1);
        ck_assert_uint_le(list.count, wants[n]); /* nothing was freed, so none is longer */
        ck_assert_uint_eq(hold_list(list), list.count);
        check_held();
    }
    flush_all();
}
END_TEST

/* Three slabs with 1, 4 and 7 of 8 slots free: each filling takes from the fullest. */
START_TEST(the_fullest_slab_comes_first) {
    static const int free_counts[] = {4, 7, 1};
    uint32_t slabs[3];

    fill_to(3 * (size_t)FEW_SLOTS);
    check_held();
    for (int n = 0; n < 3; n++) {
        slabs[n] = slab_of(held[n * FEW_SLOTS]);
        ck_assert_uint_eq(slab_of(held[n * FEW_SLOTS + FEW_SLOTS - 1]), slabs[n]);
    }
    for (int n = 3; n-- > 0;) {
        for (int freed = 0; freed < free_counts[n]; freed++) {
            void *const block = let_go((size_t)(n * FEW_SLOTS));
            *(void **)block = NULL;
            al_bin_flush(&bin, (struct al_list){block, 1, false});
            check_held();
        }
    }
    ck_assert_uint_eq(bin.slab_count, 3);
    static const int order[] = {2, 0, 1};
    for (int n = 0; n < 3; n++) {
        for (int taken = 0; taken < free_counts[order[n]]; taken++) {
            void *const block = al_bin_take_one(&bin, CLASS_FEW);
            ck_assert_uint_eq(slab_of(block), slabs[order[n]]);
            hold(block);
        }
    }
    check_held();
    ck_assert_uint_eq(bin.slab_count, 3); /* none had to be made */
    flush_all();
}
END_TEST

START_TEST(what_is_wanted_comes_from_free_lists_before_fresh_slots) {
    bin_init(CLASS_MANY);
    ck_assert_uint_eq(hold_list(al_bin_fill(&bin, CLASS_MANY, 100)), 100);
    al_bin_flush(&bin, let_go_list(60));
    const struct al_list list = al_bin_fill(&bin, CLASS_MANY, 80);
    ck_assert_uint_eq(list.count, 60); /* more than half of it: no fresh slots */
    ck_assert(!list.is_zeroed);
    ck_assert_uint_eq(hold_list(list), 60);
    check_held();
    ck_assert_uint_eq(al_extent_at(slab_of(held[0]))->slab.carved_count, 100);
    /* A long free list is cut where enough of it is had. */
    al_bin_flush(&bin, let_go_list(90));
    ck_assert_uint_eq(hold_list(al_bin_fill(&bin, CLASS_MANY, 20)), 20);
    check_held();
    ck_assert_uint_eq(hold_list(al_bin_fill(&bin, CLASS_MANY, 40)), 70); /* not twice as long */
    check_held();
    flush_all();
}
END_TEST

START_TEST(zero_is_promised_of_fresh_slots_only) {
    bin_init(CLASS_MIDDLE);
    struct al_list list = al_bin_fill(&bin, CLASS_MIDDLE, 50);
    ck_assert(list.is_zeroed);
    const void *block = list.head;
    for (uint32_t n = 0; n < list.count; n++, block = next_of(block)) {
        for (size_t at = sizeof(void *); at < al_class_bytes(CLASS_MIDDLE); at++) {
            ck_assert_int_eq(((const char *)block)[at], 0);
        }
    }
    ck_assert_uint_eq(hold_list(list), 50);
    al_bin_flush(&bin, let_go_list(1));
    list = al_bin_fill(&bin, CLASS_MIDDLE, 50); /* one that was used, and fresh ones */
    ck_assert_uint_gt(list.count, 1);
    ck_assert(!list.is_zeroed);
    (void)hold_list(list);
    flush_all();
    list = al_bin_fill(&bin, CLASS_MIDDLE, 50); /* the same memory, dirty now */
    ck_assert(!list.is_zeroed);
    (void)hold_list(list);
    flush_all();
}
END_TEST

START_TEST(a_page_is_carved_at_a_time) {
    bin_init(CLASS_MANY);
    const struct al_list list = al_bin_fill(&bin, CLASS_MANY, 1000);
    ck_assert_uint_eq(list.count, AL_SLAB_CARVE_BYTES / AL_QUANTUM_BYTES);
    (void)hold_list(list);
    check_held();
    flush_all();
}
END_TEST

START_TEST(without_memory_nothing_changes) {
    fill_to(FEW_SLOTS);
    check_held();
    while (runs.free_granules != 0 || held_count % FEW_SLOTS != 0) { /* ends: it only grows less */
        fill_to(held_count + 1);
    }
    check_held();
    const uint32_t slab_count = bin.slab_count;
    (void)al_os_fail_after(1, true);
    ck_assert_ptr_null(al_bin_take_one(&bin, CLASS_FEW));
    ck_assert_uint_eq(al_bin_fill(&bin, CLASS_FEW, 3).count, 0);
    (void)al_os_fail_after(0, false);
    ck_assert_uint_eq(bin.slab_count, slab_count);
    check_held();
    fill_to(held_count + 1);
    check_held();
    flush_all();
}
END_TEST

/* ---- from other threads ---- */

static bool push(struct al_list list) {
    void *tail = list.head;

    for (uint32_t n = 1; n < list.count; n++) {
        tail = next_of(tail);
    }
    return al_bin_push_remote(&bin, slab_of(list.head), list.head, tail, list.count);
}

START_TEST(remote_blocks_are_in_use_until_drained) {
    fill_to(FEW_SLOTS);
    ck_assert(!push(let_go_list(3)));
    ck_assert_uint_eq(bin.used_count, FEW_SLOTS);
    ck_assert(!push(let_go_list(2)));
    ck_assert(atomic_load(&runs.has_remote));
    al_bin_check(&bin, CLASS_FEW);
    al_bin_drain(&bin);
    check_held();
    ck_assert_uint_eq(held_count, 3);
    ck_assert_uint_eq(bin.slab_count, 1);
    /* Not all, by this way: five of the slab's eight went home by the other one. */
    ck_assert(!push(let_go_list(3)));
    al_bin_drain(&bin);
    flush_all();
}
END_TEST

START_TEST(a_slab_that_came_back_whole_is_given_up) {
    fill_to(2 * (size_t)FEW_SLOTS);
    check_held();
    ck_assert(!push(let_go_list(FEW_SLOTS - 1)));
    ck_assert(push(let_go_list(1)));
    ck_assert_uint_eq(bin.slab_count, 2);
    al_bin_drain(&bin);
    ck_assert_uint_eq(bin.slab_count, 1);
    check_held();
    ck_assert(push(let_go_list(FEW_SLOTS)));
    al_bin_drain(&bin);
    al_bin_drain(&bin); /* of nothing */
    flush_all();
}
END_TEST

/* More slabs than one taking of the lock drains. */
START_TEST(all_queued_slabs_are_drained) {
    enum { SLAB_COUNT = 50 };

    fill_to((size_t)SLAB_COUNT * FEW_SLOTS);
    check_held();
    for (int n = 0; n < SLAB_COUNT; n++) { /* the last block of each */
        ck_assert(
            !push((struct al_list){let_go((size_t)((SLAB_COUNT - n) * FEW_SLOTS - 1)), 1, false}));
    }
    al_bin_drain(&bin);
    check_held();
    ck_assert_uint_eq(held_count, (size_t)SLAB_COUNT * (FEW_SLOTS - 1));
    flush_all();
}
END_TEST

START_TEST(a_filling_takes_remote_lists_first) {
    bin_init(CLASS_MANY);
    ck_assert_uint_eq(hold_list(al_bin_fill(&bin, CLASS_MANY, 200)), 200);
    /* Long enough: as it is. */
    (void)push(let_go_list(30));
    struct al_list list = al_bin_fill(&bin, CLASS_MANY, 20);
    ck_assert_uint_eq(list.count, 30);
    ck_assert(!list.is_zeroed);
    (void)hold_list(list);
    check_held();
    /* Far too long: in parts, and the rest stays queued. */
    (void)push(let_go_list(100));
    static const uint32_t parts[] = {20, 20, 20, 40}; /* the last is no more than twice as long */
    for (size_t part = 0; part < AL_ARRAY_COUNT(parts); part++) {
        list = al_bin_fill(&bin, CLASS_MANY, 20);
        ck_assert_uint_eq(list.count, parts[part]);
        (void)hold_list(list);
        al_bin_check(&bin, CLASS_MANY);
    }
    check_held();
    flush_all();
}
END_TEST

/* Short lists of several slabs are put together, and filled up. */
START_TEST(short_remote_lists_are_gathered) {
    fill_to(3 * (size_t)FEW_SLOTS);
    check_held();
    (void)push((struct al_list){let_go(2 * FEW_SLOTS), 1, false});
    (void)push((struct al_list){let_go(FEW_SLOTS), 1, false});
    (void)push((struct al_list){let_go(0), 1, false});
    struct al_list list = al_bin_fill(&bin, CLASS_FEW, 2);
    ck_assert_uint_eq(list.count, 2);
    (void)hold_list(list);
    list = al_bin_fill(&bin, CLASS_FEW, 2); /* the third, and a fresh one */
    ck_assert_uint_ge(list.count, 1);
    (void)hold_list(list);
    check_held();
    flush_all();
}
END_TEST

/* Used blocks before fresh slots: the list as a whole is not zero. */
START_TEST(zero_is_not_promised_of_remote_blocks) {
    bin_init(CLASS_MIDDLE);
    ck_assert_uint_eq(hold_list(al_bin_fill(&bin, CLASS_MIDDLE, 50)), 50);
    (void)push(let_go_list(3));
    const struct al_list list = al_bin_fill(&bin, CLASS_MIDDLE, 40);
    ck_assert_uint_eq(list.count, 40);
    ck_assert(!list.is_zeroed);
    (void)hold_list(list);
    check_held();
    flush_all();
}
END_TEST

/* ---- at random ---- */

static void random_step(uint64_t *random) {
    const uint64_t word = suite_random(random);
    const size_t count = word >> 8 & 63;

    switch (word % 4) {
    case 0:
        if (held_count < BLOCK_MAX / 2) {
            (void)hold_list(al_bin_fill(&bin, class_of_bin, (uint32_t)count + 1));
        }
        break;
    case 1:
        if (held_count != 0) {
            al_bin_flush(&bin, let_go_list(1 + count % held_count));
        }
        break;
    case 2:
        for (size_t n = 0; n < count && held_count != 0; n++) {
            (void)push((struct al_list){let_go((word >> 16) % held_count), 1, false});
        }
        break;
    default:
        if ((word >> 8) % 8 == 0) {
            al_bin_drain(&bin);
        }
        fill_to(held_count + (held_count < BLOCK_MAX / 2));
        break;
    }
}

/* `_i` is the class. */
START_TEST(random_operations_lose_nothing) {
    uint64_t random = suite_seed(5) + (uint64_t)_i;

    bin_init((unsigned)_i);
    for (int step = 0; step < STEP_COUNT; step++) {
        random_step(&random);
        if (step % STEPS_PER_CHECK == 0) {
            al_bin_drain(&bin);
            check_held();
        }
    }
    al_bin_drain(&bin);
    check_held();
    flush_all();
}
END_TEST

/* Blocks on their way from the filling thread to those that push them. */
static _Atomic(void *) mailbox[THREAD_COUNT];
static _Atomic bool is_over;

static void *push_mail(void *arg) {
    _Atomic(void *) *const box = arg;

    for (;;) { /* ends when the test is over and the box empty */
        const bool is_last = atomic_load(&is_over);
        void *block = atomic_exchange(box, NULL);
        while (block != NULL) {
            void *const next = next_of(block);
            (void)al_bin_push_remote(&bin, slab_of(block), block, block, 1);
            block = next;
        }
        if (is_last) {
            return NULL;
        }
        (void)sched_yield();
    }
}

static void post(size_t n, void *block) {
    void *head = atomic_load(&mailbox[n]);

    do {
        *(void **)block = head;
    } while (!atomic_compare_exchange_weak(&mailbox[n], &head, block));
}

START_TEST(threads_push_while_one_fills_and_drains) {
    pthread_t threads[THREAD_COUNT];

    bin_init(CLASS_MIDDLE);
    atomic_store(&is_over, false);
    for (size_t n = 0; n < THREAD_COUNT; n++) {
        ck_assert_int_eq(pthread_create(&threads[n], NULL, push_mail, &mailbox[n]), 0);
    }
    for (int round = 0; round < ROUND_COUNT; round++) {
        struct al_list list = al_bin_fill(&bin, CLASS_MIDDLE, 60);
        ck_assert_uint_ge(list.count, 1);
        for (size_t n = 0; n < list.count; n++) {
            void *const block = list.head;
            list.head = next_of(block);
            post(n % THREAD_COUNT, block);
        }
        if (round % 16 == 0) {
            al_bin_drain(&bin);
        }
    }
    atomic_store(&is_over, true);
    for (size_t n = 0; n < THREAD_COUNT; n++) {
        ck_assert_int_eq(pthread_join(threads[n], NULL), 0);
    }
    al_bin_drain(&bin);
    check_held();
    flush_all();
}
END_TEST

/* ---- misuse ---- */

static void flush_one(void *block) {
    *(void **)block = NULL;
    al_bin_flush(&bin, (struct al_list){block, 1, false});
}

static void flush_middle(void) {
    flush_one((char *)held[0] + AL_QUANTUM_BYTES);
}

static void flush_uncarved(void) {
    const uint32_t slab_idx = slab_of(held[0]);

    /* The last slot of a slab that has handed out one. */
    flush_one((char *)al_extent_at(slab_idx)->base_addr +
              (FEW_SLOTS - 1) * al_class_bytes(CLASS_FEW));
}

static void flush_foreign(void) {
    static AL_ALIGNED(16) char block[64];

    flush_one(block);
}

static void flush_twice(void) {
    void *const block = held[0];

    fill_to(4); /* or the slab were gone */
    flush_one(block);
    flush_one(block);
    al_bin_check(&bin, CLASS_FEW);
}

START_TEST(blocks_that_are_none_are_refused) {
    fill_to(1);
    assert_dies(flush_middle, "tally: pointer into the middle of an allocation: 0xADDR\n");
    assert_dies(flush_uncarved, "tally: pointer that was never allocated: 0xADDR\n");
    assert_dies(flush_foreign, "tally: pointer that was never allocated: 0xADDR\n");
    assert_dies(flush_twice, al_is_debug ? "tally: freed twice: 0xADDR\n"
                                         : "tally: internal: bin I1: a block free twice\n");
    flush_all();
}
END_TEST

/* Every offset of a slab: a slot's start, or not. */
START_TEST(slots_are_found_by_their_offsets) {
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const uint32_t slab_idx = al_slab_create(&runs, class_idx, AL_EXTENT_SLAB);
        ck_assert_uint_ne(slab_idx, 0);
        const struct al_extent *const slab = al_extent_at(slab_idx);
        const size_t slot_bytes = al_class_bytes(class_idx);
        for (size_t at = 0; at < al_extent_bytes(slab); at += AL_QUANTUM_BYTES) {
            const uint32_t slot = al_slab_slot_of(slab, (uint32_t)at);
            const bool is_start = slot * slot_bytes == at;
            if (is_start != (at % slot_bytes == 0) || (is_start && slot != at / slot_bytes)) {
                ck_abort_msg("class %u, offset %zu: slot %u", class_idx, at, slot);
            }
        }
        al_slab_destroy(&runs, slab_idx);
    }
    flush_all();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("bin");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_loop_test(tcase, every_class_fills_and_flushes, 1, AL_CLASS_COUNT);
    tcase_add_test(tcase, the_fullest_slab_comes_first);
    tcase_add_test(tcase, what_is_wanted_comes_from_free_lists_before_fresh_slots);
    tcase_add_test(tcase, zero_is_promised_of_fresh_slots_only);
    tcase_add_test(tcase, a_page_is_carved_at_a_time);
    tcase_add_test(tcase, without_memory_nothing_changes);
    tcase_add_test(tcase, remote_blocks_are_in_use_until_drained);
    tcase_add_test(tcase, a_slab_that_came_back_whole_is_given_up);
    tcase_add_test(tcase, all_queued_slabs_are_drained);
    tcase_add_test(tcase, a_filling_takes_remote_lists_first);
    tcase_add_test(tcase, short_remote_lists_are_gathered);
    tcase_add_test(tcase, zero_is_not_promised_of_remote_blocks);
    tcase_add_loop_test(tcase, random_operations_lose_nothing, CLASS_MANY, CLASS_MANY + 3);
    tcase_add_loop_test(tcase, random_operations_lose_nothing, CLASS_FEW, CLASS_FEW + 1);
    tcase_add_test(tcase, threads_push_while_one_fills_and_drains);
    tcase_add_test(tcase, blocks_that_are_none_are_refused);
    tcase_add_test(tcase, slots_are_found_by_their_offsets);
    return suite_run(tcase, "bin", 60);
}
