/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a sampled object has a record beside it from its birth to its death, is never mistaken
 * for another thread's or this thread's own, and its slab is kept for the next sample. Method: bins
 * of a page heap of their own; each slot of each class gets a record of its own.
 */
#include "alloc/bin.h"
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/slab.h"
#include "tests/support/dies.h"
#include "tests/support/suite.h"

enum {
    HEAP_IDX_FIRST = 100,
    SLOTS_MAX = 1024,
    CLASS_FEW = 88, /* 16 KiB: 8 slots a slab */
    FEW_SLOTS = 8,
    ARENA_COUNT_MAX = 4094,
};

static struct al_runs runs;
static struct al_bin bin;
static void *blocks[SLOTS_MAX + 1];

/* Records: any addresses, one a slot. */
static char records[SLOTS_MAX + 1];

static void bin_init(void) {
    bin = (struct al_bin){.runs = &runs};
}

static void setup(void) {
    static uint32_t heap_idx = HEAP_IDX_FIRST;

    al_init();
    al_runs_init(&runs, heap_idx++, (const ssize_t[AL_STALE_COUNT]){-1, -1});
    bin_init();
}

static uint32_t slab_of(const void *block) {
    return al_map_entry_extent(al_map_entry(block));
}

static void take(size_t n, unsigned class_idx) {
    blocks[n] = al_bin_sampled_take(&bin, class_idx);
    ck_assert_ptr_nonnull(blocks[n]);
    al_bin_sampled_set(blocks[n], slab_of(blocks[n]), &records[n]);
}

static void give(size_t n) {
    al_bin_sampled_give(&bin, blocks[n], slab_of(blocks[n]));
}

static void expect_nothing_left(void) {
    al_bin_drop_empty(&bin);
    ck_assert_uint_eq(bin.slab_count, 0);
    ck_assert_uint_eq(bin.used_count, 0);
    al_runs_check(&runs);
    ck_assert_uint_eq(runs.free_granules, runs.mapped_granules);
}

/* `_i` is the class. A second slab holds the last block. */
START_TEST(every_slot_has_a_record_of_its_own) {
    const unsigned class_idx = (unsigned)_i;
    const size_t count = al_class_slab_slots(class_idx) + 1;

    for (size_t n = 0; n < count; n++) {
        take(n, class_idx);
    }
    ck_assert_uint_eq(bin.slab_count, 2);
    ck_assert_uint_eq(bin.used_count, count);
    al_bin_check(&bin, class_idx);
    for (size_t n = 0; n < count; n++) {
        ck_assert_ptr_eq(al_bin_sampled_record(blocks[n], slab_of(blocks[n])), &records[n]);
    }
    for (size_t n = 0; n < count; n += 2) {
        give(n);
    }
    al_bin_check(&bin, class_idx);
    for (size_t n = 1; n < count; n += 2) {
        ck_assert_ptr_eq(al_bin_sampled_record(blocks[n], slab_of(blocks[n])), &records[n]);
        give(n);
    }
    expect_nothing_left();
}
END_TEST

/* So that free() comes the slow way by itself, whichever arena the thread is of. */
START_TEST(a_sampled_blocks_entry_matches_no_arena) {
    take(0, CLASS_FEW);
    const uint64_t entry = al_map_entry(blocks[0]);
    ck_assert_uint_eq(al_map_entry_low(entry), AL_MAP_SAMPLED);
    ck_assert(!al_map_entry_is_slab(entry));
    for (unsigned arena_idx = 0; arena_idx < ARENA_COUNT_MAX; arena_idx++) {
        ck_assert_uint_ge(al_map_entry_low(entry) ^ al_map_tag(arena_idx), 1U << AL_MAP_TAG_SHIFT);
    }
    ck_assert_uint_eq(al_extent_kind(al_extent_at(slab_of(blocks[0]))), AL_EXTENT_SAMPLED);
    give(0);
    expect_nothing_left();
}
END_TEST

START_TEST(the_last_slab_waits_for_the_next_sample) {
    for (size_t n = 0; n < 2 * FEW_SLOTS; n++) {
        take(n, CLASS_FEW);
    }
    ck_assert_uint_eq(bin.slab_count, 2);
    for (size_t n = 0; n < FEW_SLOTS; n++) {
        give(n);
    }
    ck_assert_uint_eq(bin.slab_count, 1);
    for (size_t n = FEW_SLOTS; n < 2 * FEW_SLOTS; n++) {
        al_bin_drop_empty(&bin); /* it is not empty */
        ck_assert_uint_eq(bin.slab_count, 1);
        give(n);
    }
    ck_assert_uint_eq(bin.slab_count, 1);
    ck_assert_uint_eq(bin.used_count, 0);
    al_bin_check(&bin, CLASS_FEW);
    const size_t free_granules = runs.free_granules;
    take(0, CLASS_FEW);
    ck_assert_uint_eq(runs.free_granules, free_granules);
    give(0);
    expect_nothing_left();
    al_bin_drop_empty(&bin); /* of nothing */
    expect_nothing_left();
}
END_TEST

/* Arrays of records go round; one that comes again must not name the dead. */
START_TEST(a_new_slab_knows_no_old_records) {
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < 2 * FEW_SLOTS; n++) {
            take(n, CLASS_FEW);
            const struct al_extent *const slab = al_extent_at(slab_of(blocks[n]));
            const uint32_t slot =
                al_slab_slot_of(slab, (uint32_t)((uintptr_t)blocks[n] - slab->base_addr));
            for (uint32_t later = slot + 1; slot == 0 && later < FEW_SLOTS; later++) {
                ck_assert_ptr_null(slab->slab.records[later]);
            }
        }
        for (size_t n = 0; n < 2 * FEW_SLOTS; n++) {
            give(n);
        }
        expect_nothing_left();
    }
}
END_TEST

/* No memory for a slab, or for the array beside it. */
START_TEST(without_memory_there_is_no_sample) {
    uint64_t nth = 1;

    for (; nth < 10; nth++) {
        (void)al_os_fail_after(nth, true);
        void *const block = al_bin_sampled_take(&bin, CLASS_FEW);
        const uint64_t call_count = al_os_fail_after(0, false);
        if (block != NULL) {
            ck_assert_uint_lt(call_count, nth);
            al_bin_sampled_set(block, slab_of(block), &records[0]);
            al_bin_sampled_give(&bin, block, slab_of(block));
            break;
        }
        ck_assert_uint_eq(bin.slab_count, 0);
        ck_assert_uint_eq(bin.used_count, 0);
    }
    ck_assert_uint_gt(nth, 1);
    expect_nothing_left();
}
END_TEST

static void give_twice(void) {
    give(0);
    give(0);
}

static void record_after_give(void) {
    give(0);
    (void)al_bin_sampled_record(blocks[0], slab_of(blocks[0]));
}

static void record_of_middle(void) {
    (void)al_bin_sampled_record((char *)blocks[0] + AL_QUANTUM_BYTES, slab_of(blocks[0]));
}

static void give_middle(void) {
    al_bin_sampled_give(&bin, (char *)blocks[0] + AL_QUANTUM_BYTES, slab_of(blocks[0]));
}

static void record_of_uncarved(void) {
    const struct al_extent *const slab = al_extent_at(slab_of(blocks[0]));
    void *const last = (char *)slab->base_addr + (FEW_SLOTS - 1) * al_class_bytes(CLASS_FEW);

    (void)al_bin_sampled_record(last, slab_of(blocks[0]));
}

static void flush_sampled(void) {
    *(void **)blocks[0] = NULL;
    al_bin_flush(&bin, (struct al_list){blocks[0], 1, false});
}

START_TEST(misuse_is_named) {
    take(0, CLASS_FEW);
    take(1, CLASS_FEW);
    assert_dies(give_twice, "tally: freed twice: 0xADDR\n");
    assert_dies(record_after_give, "tally: freed twice: 0xADDR\n");
    assert_dies(record_of_middle, "tally: pointer into the middle of an allocation: 0xADDR\n");
    assert_dies(give_middle, "tally: pointer into the middle of an allocation: 0xADDR\n");
    assert_dies(record_of_uncarved, "tally: pointer that was never allocated: 0xADDR\n");
    assert_dies(flush_sampled, "tally: pointer that was never allocated: 0xADDR\n");
    give(0);
    give(1);
    expect_nothing_left();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("bin_sampled");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_loop_test(tcase, every_slot_has_a_record_of_its_own, 1, AL_CLASS_COUNT);
    tcase_add_test(tcase, a_sampled_blocks_entry_matches_no_arena);
    tcase_add_test(tcase, the_last_slab_waits_for_the_next_sample);
    tcase_add_test(tcase, a_new_slab_knows_no_old_records);
    tcase_add_test(tcase, without_memory_there_is_no_sample);
    tcase_add_test(tcase, misuse_is_named);
    return suite_run(tcase, "bin_sampled", 60);
}
