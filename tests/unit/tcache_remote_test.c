/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   blocks of another arena go home in batches: at 32 blocks or 4 KiB, when another slab
 * needs their place, as time goes by, and when their thread gives its cache up; whole and counted.
 * Method: one cache allocates, another one, of another arena, frees; the slab's remote list tells.
 */
#include "alloc/tcache.h"

#include "alloc/malloc.h"
#include "alloc/slab.h"
#include "tests/support/dies.h"
#include "tests/support/own_cache.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <string.h>

enum { BLOCK_COUNT = 256, BATCH_COUNT_MAX = 32, BATCH_BYTES_MAX = 4096, TICKS = 64 };

static struct al_tcache *home; /* whose blocks they are */
static struct al_tcache *away; /* who frees them */

static struct al_extent *slab_of(const void *block) {
    return al_extent_at(al_map_entry_extent(al_map_entry(block)));
}

static uint32_t pushed_count(const struct al_extent *slab) {
    return al_slab_remote_count(atomic_load(&slab->slab.remote));
}

static uint32_t open_count(void) {
    uint32_t count = 0;

    for (size_t idx = 0; idx < AL_TCACHE_REMOTE_COUNT; idx++) {
        const struct al_tcache_remote *const batch = &away->remote[idx];
        uint32_t length = 0;
        for (const void *block = batch->slab_idx != 0 ? batch->head : NULL; block != NULL;
             block = *(void *const *)block) {
            ck_assert_uint_eq(al_map_entry_extent(al_map_entry(block)), batch->slab_idx);
            length++;
        }
        ck_assert_uint_eq(length, batch->slab_idx != 0 ? batch->count : 0);
        count += length;
    }
    return count;
}

static void begin(void) {
    home = own_cache_new();
    away = own_cache_new();
    own_cache_use(home);
}

/* `count` blocks of one slab, allocated at home. */
static void take(size_t size_bytes, void **blocks, size_t count) {
    own_cache_use(home);
    size_t found = 0;
    void *others = NULL;

    while (found < count) {
        void *const block = memset(al_malloc(size_bytes), 0x11, size_bytes);
        if (found == 0 || slab_of(block) == slab_of(blocks[0])) {
            blocks[found++] = block;
        } else {
            *(void **)block = others;
            others = block;
        }
    }
    while (others != NULL) {
        void *const next = *(void **)others;
        al_free(others);
        others = next;
    }
}

/* `_i`: the size, 16 << _i. */
START_TEST(a_batch_goes_home_at_32_blocks_or_4_kib) {
    const size_t size_bytes = (size_t)16 << _i;
    const size_t by_bytes = (BATCH_BYTES_MAX + size_bytes - 1) / size_bytes;
    const size_t full = by_bytes < BATCH_COUNT_MAX ? by_bytes : BATCH_COUNT_MAX;
    void *blocks[BATCH_COUNT_MAX];

    begin();
    take(size_bytes, blocks, full);
    const struct al_extent *const slab = slab_of(blocks[0]);
    const unsigned class_idx = slab->class_idx;
    own_cache_use(away);
    for (size_t idx = 0; idx < full; idx++) {
        ck_assert_uint_eq(pushed_count(slab), 0);
        ck_assert_uint_eq(open_count(), idx);
        al_free(blocks[idx]);
        ck_assert_uint_eq(al_tcache_freed_bytes(away, true), (idx + 1) * size_bytes);
    }
    ck_assert_uint_eq(open_count(), 0);
    ck_assert_uint_eq(pushed_count(slab), full);
    /* The slab may be gone with the drain. */
    const uint64_t used_before = home->arena->bins[class_idx].used_count;
    ck_assert_uint_eq(own_cache_bin_used(home, class_idx), used_before - full);
    own_cache_end();
}
END_TEST

/* Blocks of many slabs, one in turn: a place is given up when a slab needs it. */
START_TEST(a_batch_makes_room_for_another_slab) {
    enum { SLAB_COUNT = 40, SIZE_BYTES = 4096 };
    void *blocks[SLAB_COUNT];
    uint32_t slabs[SLAB_COUNT];
    void *rest[SLAB_COUNT * 16];
    size_t found = 0;
    size_t rest_count = 0;

    begin();
    while (found < SLAB_COUNT) {
        void *const block = al_malloc(SIZE_BYTES / 4);
        const uint32_t slab_idx = al_map_entry_extent(al_map_entry(block));
        if (found == 0 || slab_idx != slabs[found - 1]) {
            slabs[found] = slab_idx;
            blocks[found++] = block;
        } else {
            rest[rest_count++] = block;
            if (rest_count == AL_ARRAY_COUNT(rest)) {
                break;
            }
        }
    }
    ck_assert_uint_gt(found, AL_TCACHE_REMOTE_COUNT);
    own_cache_use(away);
    for (size_t idx = 0; idx < found; idx++) {
        const uint32_t place = slabs[idx] % AL_TCACHE_REMOTE_COUNT;
        const uint32_t before_idx = away->remote[place].slab_idx;
        al_free(blocks[idx]);
        ck_assert_uint_eq(away->remote[place].slab_idx, slabs[idx]);
        ck_assert_uint_eq(away->remote[place].count, 1);
        ck_assert(before_idx == 0 || pushed_count(al_extent_at(before_idx)) == 1);
        ck_assert_uint_le(open_count(), AL_TCACHE_REMOTE_COUNT);
    }
    al_tcache_flush(away);
    ck_assert_uint_eq(open_count(), 0);
    own_cache_use(home);
    while (rest_count > 0) {
        al_free(rest[--rest_count]);
    }
    own_cache_end();
}
END_TEST

START_TEST(open_batches_go_home_as_the_cache_ticks) {
    void *blocks[3];

    begin();
    take(64, blocks, 3);
    const struct al_extent *const slab = slab_of(blocks[0]);
    own_cache_use(away);
    for (size_t idx = 0; idx < 3; idx++) {
        al_free(blocks[idx]);
    }
    ck_assert_uint_eq(open_count(), 3);
    for (size_t tick = 0; tick < TICKS * AL_TCACHE_REMOTE_COUNT; tick++) {
        al_tcache_visit(away, 0);
    }
    ck_assert_uint_eq(open_count(), 0);
    ck_assert_uint_eq(pushed_count(slab), 3);
    own_cache_end();
}
END_TEST

/* Nobody allocates at home any more: slabs that came back whole are given up by who frees. */
START_TEST(slabs_that_are_whole_again_do_not_pile_up) {
    enum { COUNT = 64 * 1024, SIZE_BYTES = 256, SLAB_COUNT_MAX = 40 };
    static void *blocks[COUNT / 4];

    begin();
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(blocks); idx++) {
        blocks[idx] = al_malloc(SIZE_BYTES);
    }
    const unsigned class_idx = slab_of(blocks[0])->class_idx;
    al_tcache_flush(home); /* all in blocks */
    const uint32_t slab_count = home->arena->bins[class_idx].slab_count;
    ck_assert_uint_gt(slab_count, SLAB_COUNT_MAX * 4);
    own_cache_use(away);
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(blocks); idx++) {
        al_free(blocks[idx]);
    }
    ck_assert_uint_le(home->arena->bins[class_idx].slab_count, SLAB_COUNT_MAX);
    own_cache_end();
}
END_TEST

/* ---- misuse ---- */

static void *block_away(void) {
    void *blocks[4];

    begin();
    take(64, blocks, 4);
    own_cache_use(away);
    return blocks[0];
}

static void free_twice(void) {
    void *const block = block_away();

    al_free(block);
    al_free(block);
}

static void free_middle(void) {
    al_free((char *)block_away() + 16);
}

START_TEST(misuse_is_seen_before_a_batch_takes_it) {
    assert_dies(free_twice, "tally: freed twice: 0xADDR\n");
    assert_dies(free_middle, "tally: pointer into the middle of an allocation: 0xADDR\n");
}
END_TEST

/* ---- several threads ---- */

enum { SENDER_COUNT = 4, EACH_COUNT = 20000 };

struct sender {
    void **blocks;
    unsigned arena_idx;
};

static void *send(void *arg) {
    const struct sender *const sender = arg;
    static AL_ALIGNED(AL_CACHE_LINE_BYTES) struct al_tcache caches[SENDER_COUNT];
    struct al_tcache *const cache = &caches[sender->arena_idx % SENDER_COUNT];

    al_tcache_init(cache, al_arena_at(sender->arena_idx), 0);
    al_self = cache;
    for (size_t idx = 0; idx < EACH_COUNT; idx++) {
        al_free(sender->blocks[idx]);
    }
    al_tcache_flush(cache);
    al_self = &al_null_tcache;
    return NULL;
}

/* Four threads free what one has allocated, which goes on allocating: all of it comes back. */
START_TEST(nothing_is_lost_between_threads) {
    static void *blocks[SENDER_COUNT * EACH_COUNT];
    pthread_t threads[SENDER_COUNT];
    struct sender senders[SENDER_COUNT];
    uint64_t random = suite_seed(7);

    home = own_cache_new();
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(blocks); idx++) {
        blocks[idx] = al_malloc(16 + suite_random(&random) % 300);
    }
    for (size_t idx = AL_ARRAY_COUNT(blocks) - 1; idx > 0; idx--) {
        const size_t other = suite_random(&random) % (idx + 1);
        void *const block = blocks[idx];
        blocks[idx] = blocks[other];
        blocks[other] = block;
    }
    for (size_t idx = 0; idx < SENDER_COUNT; idx++) {
        const struct al_tcache *const other = own_cache_new();
        senders[idx] = (struct sender){blocks + idx * EACH_COUNT, other->arena->idx};
    }
    own_cache_use(home);
    for (size_t idx = 0; idx < SENDER_COUNT; idx++) {
        ck_assert_int_eq(pthread_create(&threads[idx], NULL, send, &senders[idx]), 0);
    }
    for (size_t idx = 0; idx < EACH_COUNT; idx++) {
        al_free(memset(al_malloc(16 + idx % 300), 0x22, 16));
    }
    for (size_t idx = 0; idx < SENDER_COUNT; idx++) {
        ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
    }
    own_cache_end();
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("tcache_remote");

    tcase_add_loop_test(tcase, a_batch_goes_home_at_32_blocks_or_4_kib, 0, 12);
    tcase_add_test(tcase, a_batch_makes_room_for_another_slab);
    tcase_add_test(tcase, open_batches_go_home_as_the_cache_ticks);
    tcase_add_test(tcase, slabs_that_are_whole_again_do_not_pile_up);
    tcase_add_test(tcase, misuse_is_seen_before_a_batch_takes_it);
    tcase_add_test(tcase, nothing_is_lost_between_threads);
    return suite_run(tcase, "tcache_remote", 30);
}
