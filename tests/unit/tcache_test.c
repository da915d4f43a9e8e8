/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   whatever happens to a thread's lists, every byte is counted once, the sample falls on
 *         the allocation it was drawn for, no block is handed out twice, and no list outgrows its
 *         bounds.
 * Method: caches of arenas of their own. Lists of known blocks and countdowns set by hand for what
 *         is exact; random operations beside a book of the truth for the rest. Hooks of our own.
 */
#include "alloc/tcache.h"

#include "alloc/control.h"
#include "alloc/hooks.h"
#include "alloc/malloc.h"
#include "alloc/os.h"
#include "alloc/sample.h"
#include "tests/support/own_cache.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

enum {
    SEED = 20260101,
    CLASS_IDX = 4,
    SIZE_BYTES = 64,
    LIST_COUNT = 12,
    LIVE_COUNT_MAX = 2000,
    STEP_COUNT = 60000,
    RATE_LG_RARE = 40, /* a sample each 2^40 bytes: none falls by chance */
    NESTED_COUNT = 100,
    TRIM_TICKS = 64,
    QUIET_TICKS = 512,
};

/* ---- hooks ---- */

static uint64_t sample_count;
static uint64_t record_count; /* live */
static bool is_hook_allocating;
static char record;

static void *on_sample(const struct al_sampled *sampled) {
    void *blocks[NESTED_COUNT];

    sample_count++;
    record_count++;
    memset((void *)(uintptr_t)sampled->ptr, 0x77, sampled->usable_bytes);
    for (size_t idx = 0; is_hook_allocating && idx < NESTED_COUNT; idx++) {
        blocks[idx] = memset(al_malloc(sampled->usable_bytes), 0x33, sampled->usable_bytes);
    }
    for (size_t idx = 0; is_hook_allocating && idx < NESTED_COUNT; idx++) {
        al_free(blocks[idx]);
    }
    return &record;
}

static void on_freed(void *given) {
    ck_assert_ptr_eq(given, &record);
    record_count--;
}

static void on_allocated(uint64_t bytes) {
    (void)bytes;
}

static void on_thread(void **slot) {
    (void)slot;
}

static void on_fork(void) {
}

const struct al_hooks al_hooks = {
    .sample = on_sample,
    .sample_freed = on_freed,
    .allocated = on_allocated,
    .thread_started = on_thread,
    .thread_ended = on_thread,
    .fork_prepare = on_fork,
    .fork_parent = on_fork,
    .fork_child = on_fork,
};

/* ---- what may happen to a cache at any time ---- */

/* As if nobody had used any class for long. */
static void trim_all(struct al_tcache *cache) {
    cache->tick += QUIET_TICKS;
    for (unsigned turn = 0; turn < AL_CLASS_COUNT; turn++) {
        cache->tick |= TRIM_TICKS - 1;
        al_tcache_visit(cache, 0);
    }
}

static void disturb(struct al_tcache *cache, unsigned how) {
    switch (how % 7) {
    case 0:
        al_tcache_flush(cache);
        break;
    case 1:
        trim_all(cache);
        break;
    case 2:
        al_tcache_set_mode(cache, 0);
        al_tcache_shrink(cache);
        break;
    case 3:
        al_tcache_set_mode(cache, AL_TCACHE_EXACT);
        break;
    case 4:
        al_tcache_set_mode(cache, AL_TCACHE_OFF);
        break;
    case 5:
        al_tcache_set_mode(cache, AL_TCACHE_OFF | AL_TCACHE_EXACT);
        break;
    default:
        al_tcache_set_mode(cache, 0);
    }
}

/* ---- counters ---- */

struct book {
    struct al_tcache *cache;
    uint64_t allocated_bytes, freed_bytes;
};

static struct {
    void *blocks[LIVE_COUNT_MAX];
    size_t count;
} live;

static size_t size_of(uint64_t random) {
    const size_t bound = (size_t)16 << random % 16; /* to 512 KiB, small ones the most */

    return (random >> 8) % 7 == 0 ? 1 + (random >> 16) % bound : 1 + (random >> 16) % 1024;
}

static void step_malloc(struct book *book, uint64_t random) {
    void *const block =
        (random & 1) != 0 ? al_malloc(size_of(random >> 1)) : al_calloc(1, size_of(random >> 1));

    ck_assert_ptr_nonnull(block);
    book->allocated_bytes += al_malloc_usable_size(block);
    memset(block, 0x5a, al_malloc_usable_size(block) & 0xfff);
    live.blocks[live.count++] = block;
}

static void step_free(struct book *book, uint64_t random) {
    const size_t idx = random % live.count;

    book->freed_bytes += al_malloc_usable_size(live.blocks[idx]);
    al_free(live.blocks[idx]);
    live.blocks[idx] = live.blocks[--live.count];
}

static void step_realloc(struct book *book, uint64_t random) {
    const size_t idx = random % live.count;
    void *const old = live.blocks[idx];
    const size_t old_bytes = al_malloc_usable_size(old);
    void *const block = al_realloc(old, size_of(random >> 12));
    const size_t new_bytes = al_malloc_usable_size(block);

    if (block != old || new_bytes != old_bytes) { /* to the books a free and an allocation */
        book->freed_bytes += old_bytes;
        book->allocated_bytes += new_bytes;
    }
    live.blocks[idx] = block;
}

static uint64_t grown_bytes(const struct al_tcache *cache) {
    uint64_t sum = 0;

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const size_t size_bytes = al_class_bytes(class_idx);
        const size_t start = 1024 / size_bytes > 1 ? 1024 / size_bytes : 1;
        sum += cache->mode != 0 ? 0 : (cache->bins[class_idx].flim - start) * size_bytes;
    }
    return sum;
}

static void assert_book_is_true(const struct book *book) {
    const struct al_tcache *const cache = book->cache;

    al_tcache_check(cache);
    ck_assert_uint_eq(al_tcache_allocated_bytes(cache, true), book->allocated_bytes);
    ck_assert_uint_eq(al_tcache_freed_bytes(cache, true), book->freed_bytes);
    /* What others can see: never too few, and too many by what lies in lists only. */
    ck_assert_uint_ge(al_tcache_allocated_bytes(cache, false), book->allocated_bytes);
    if ((cache->mode & AL_TCACHE_EXACT) != 0) {
        ck_assert_uint_eq(cache->exact_allocated_bytes, book->allocated_bytes);
        ck_assert_uint_eq(cache->exact_freed_bytes, book->freed_bytes);
    }
    ck_assert_uint_eq(cache->grown_bytes, grown_bytes(cache));
}

/* A new rate, sampling on or off, for all or for this thread: at once or at the next visit. */
static void change_sampling(struct al_tcache *cache, uint64_t random) {
    static const unsigned rates_lg[] = {0, 8, 12, 19, RATE_LG_RARE};
    const unsigned rate_lg = rates_lg[(random >> 4) % AL_ARRAY_COUNT(rates_lg)];

    if (random % 4 == 0) {
        al_tcache_set_sampling(cache, (random & 8) != 0);
        return;
    }
    al_sample_store((random & 8) != 0, rate_lg);
    if (random % 4 == 1) {
        al_tcache_resample_self();
    }
}

static void step(struct book *book, uint64_t random) {
    const uint64_t what = random % 128;

    random >>= 7;
    if (what == 0) {
        disturb(book->cache, (unsigned)(random % 64));
    } else if (what == 1) {
        change_sampling(book->cache, random);
    } else if (live.count < LIVE_COUNT_MAX && (what < 68 || live.count == 0)) {
        step_malloc(book, random);
    } else if (what < 120 || live.count == 0) {
        step_free(book, random);
    } else {
        step_realloc(book, random);
    }
}

/* Two caches of two arenas and a third beside the first; each frees what any has allocated. */
START_TEST(every_byte_is_counted_once_whatever_happens) {
    uint64_t random = suite_seed(SEED + (uint64_t)_i);
    struct book books[3] = {{.cache = own_cache_new()}, {.cache = own_cache_new()}};

    books[2].cache = own_cache_beside(books[0].cache);
    live.count = 0;
    for (int count = 0; count < STEP_COUNT; count++) {
        struct book *const book = &books[suite_random(&random) % 3];
        own_cache_use(book->cache);
        for (int run = 0; run < 20; run++, count++) {
            step(book, suite_random(&random));
        }
        assert_book_is_true(book);
    }
    own_cache_use(books[2].cache);
    while (live.count > 0) {
        step_free(&books[2], 0);
    }
    for (size_t idx = 0; idx < 3; idx++) {
        assert_book_is_true(&books[idx]);
    }
    al_sample_store(false, 19);
    ck_assert_uint_eq(record_count, 0);
    own_cache_end();
}
END_TEST

/* ---- the cut at the sampled allocation ---- */

/* The next list of the class: known blocks. The countdown ends on the `countdown`th. */
static struct al_tcache *cache_with_list(uint64_t countdown, void **blocks) {
    struct al_tcache *const cache = own_cache_new();
    struct al_tcache_bin *const bin = &cache->bins[CLASS_IDX];
    const struct al_list list = own_cache_list(cache, CLASS_IDX, LIST_COUNT);
    void *block = list.head;

    for (size_t idx = 0; idx < LIST_COUNT; idx++) {
        blocks[idx] = block;
        block = *(void **)block;
    }
    al_sample_store(true, RATE_LG_RARE);
    bin->freed = list.head;
    bin->flim = LIST_COUNT + 1;
    bin->room = 1;
    cache->cold[CLASS_IDX].epoch = al_sample_epoch();
    cache->cold[CLASS_IDX].countdown = countdown;
    sample_count = 0;
    return cache;
}

static void end_with_list(struct al_tcache *cache, void *const *got, size_t count) {
    for (size_t idx = 0; idx < count; idx++) {
        al_free(got[idx]);
    }
    /* The blocks of the list came from nowhere: the counters do not know them. */
    ck_assert_uint_eq(al_tcache_allocated_bytes(cache, true), count * SIZE_BYTES);
    cache->bins[CLASS_IDX].flim = 1024 / SIZE_BYTES;
    cache->bins[CLASS_IDX].room = cache->bins[CLASS_IDX].flim;
    if (cache->bins[CLASS_IDX].freed != NULL) {
        const struct al_list list = {cache->bins[CLASS_IDX].freed, 1, false};
        cache->bins[CLASS_IDX].freed = NULL;
        al_bin_flush(&cache->arena->bins[CLASS_IDX], list);
    }
    al_sample_store(false, 19);
    own_cache_end();
    ck_assert_uint_eq(record_count, 0);
}

/* `_i`: the countdown, from the first block of the list to the one behind its end. */
START_TEST(a_list_is_cut_before_the_sampled_allocation) {
    const size_t nth = (size_t)_i;
    void *blocks[LIST_COUNT];
    void *got[LIST_COUNT + 1];
    struct al_tcache *const cache = cache_with_list(nth, blocks);

    for (size_t idx = 1; idx <= LIST_COUNT + 1; idx++) {
        void *const block = al_malloc(SIZE_BYTES);
        const bool is_sampled = al_map_entry_low(al_map_entry(block)) == AL_MAP_SAMPLED;
        ck_assert(is_sampled == (idx == nth));
        ck_assert_uint_eq(sample_count, idx >= nth ? 1 : 0);
        if (!is_sampled) {
            ck_assert_ptr_eq(block, blocks[idx < nth ? idx - 1 : idx - 2]);
        }
        if (idx < nth && nth <= LIST_COUNT) {
            ck_assert(cache->cold[CLASS_IDX].is_pending);
            ck_assert_ptr_eq(cache->cold[CLASS_IDX].rest, blocks[nth - 1]);
            ck_assert_uint_eq(cache->cold[CLASS_IDX].rest_count, LIST_COUNT - nth + 1);
            ck_assert((cache->bins[CLASS_IDX].alloc == NULL) == (idx == nth - 1));
        }
        al_tcache_check(cache);
        got[idx - 1] = block;
    }
    end_with_list(cache, got, LIST_COUNT + 1);
}
END_TEST

/* `_i`: what happens on the way. */
START_TEST(nothing_moves_the_sample_from_its_allocation) {
    enum { NTH = 500, GAP = 37 };
    struct al_tcache *const cache = own_cache_new();
    uint64_t random = suite_seed(SEED + (uint64_t)_i);
    void *blocks[NTH];

    al_sample_store(true, RATE_LG_RARE);
    cache->cold[CLASS_IDX].epoch = al_sample_epoch();
    cache->cold[CLASS_IDX].countdown = NTH;
    sample_count = 0;
    for (int nth = 1; nth <= NTH; nth++) {
        blocks[nth - 1] = al_malloc(SIZE_BYTES);
        ck_assert_msg(sample_count == (nth == NTH ? 1U : 0U), "allocation %d", nth);
        if (nth % 3 == 0) {
            al_free(blocks[nth - 2]);
            blocks[nth - 2] = NULL;
        }
        if (nth % GAP == 0) {
            disturb(cache, _i < 7 ? (unsigned)_i : (unsigned)(suite_random(&random) % 64));
        }
    }
    for (int nth = 0; nth < NTH; nth++) {
        al_free(blocks[nth]);
    }
    al_sample_store(false, 19);
    own_cache_end();
}
END_TEST

/* Each allocation is sampled, and each sample uses up the lists it came from. */
START_TEST(a_hook_that_allocates_is_served_unsampled) {
    enum { COUNT = 200 };
    unsigned char *blocks[COUNT];
    struct al_tcache *const cache = own_cache_new();

    al_sample_store(true, _i == 0 ? 0 : 7);
    is_hook_allocating = true;
    sample_count = 0;
    for (int idx = 0; idx < COUNT; idx++) {
        blocks[idx] = al_malloc(SIZE_BYTES);
        memset(blocks[idx], idx, SIZE_BYTES);
    }
    is_hook_allocating = false;
    ck_assert_uint_le(sample_count, COUNT); /* what the hook took was not sampled */
    ck_assert(_i != 0 || sample_count == COUNT);
    ck_assert_uint_eq(cache->reentry, 0);
    al_tcache_check(cache);
    for (int idx = 0; idx < COUNT; idx++) {
        for (size_t at = 0; at < SIZE_BYTES; at++) {
            ck_assert_int_eq(blocks[idx][at], idx);
        }
        al_free(blocks[idx]);
    }
    ck_assert_uint_eq(al_tcache_allocated_bytes(cache, true),
                      (COUNT + sample_count * NESTED_COUNT) * SIZE_BYTES);
    al_sample_store(false, 19);
    own_cache_end();
    ck_assert_uint_eq(record_count, 0);
}
END_TEST

/* ---- bounds ---- */

static void assert_bounds(const struct al_tcache *cache) {
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const size_t size_bytes = al_class_bytes(class_idx);
        const size_t most = 128 * 1024 / size_bytes > 2 ? 128 * 1024 / size_bytes : 2;
        ck_assert_uint_le(cache->bins[class_idx].flim, most);
        ck_assert_uint_le(cache->bins[class_idx].flim, 1536);
    }
    ck_assert_uint_eq(cache->grown_bytes, grown_bytes(cache));
    ck_assert_uint_le(cache->grown_bytes, AL_TCACHE_GROWN_BYTES_MAX);
    ck_assert_uint_le(cache->grown_bytes, cache->volume_bytes / 16 + 32 * 1024);
}

/* Waves of ever more blocks, in more and more classes. */
START_TEST(no_list_and_no_sum_of_them_outgrows_its_bound) {
    enum { WAVE_COUNT_MAX = 1600 };
    static void *blocks[WAVE_COUNT_MAX];
    struct al_tcache *const cache = own_cache_new();

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const size_t size_bytes = al_class_bytes(class_idx);
        for (size_t wave = 8; wave <= WAVE_COUNT_MAX && wave * size_bytes <= 4 << 20; wave *= 2) {
            for (size_t idx = 0; idx < wave; idx++) {
                blocks[idx] = al_malloc(size_bytes);
            }
            for (size_t idx = 0; idx < wave; idx++) {
                al_free(blocks[idx]);
            }
        }
        assert_bounds(cache);
    }
    ck_assert_uint_gt(cache->grown_bytes, 128 * 1024); /* it did grow */
    trim_all(cache);
    assert_bounds(cache);
    ck_assert_uint_eq(cache->grown_bytes, 0);
    own_cache_end();
}
END_TEST

START_TEST(an_empty_cache_has_room_for_half_a_mebibyte) {
    struct al_tcache *const cache = own_cache_new();
    uint64_t sum_bytes = 0;

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const size_t size_bytes = al_class_bytes(class_idx);
        ck_assert_uint_ge(cache->bins[class_idx].flim, 1);
        ck_assert_uint_le(cache->bins[class_idx].flim * size_bytes,
                          size_bytes > 1024 ? size_bytes : 1024);
        sum_bytes += cache->bins[class_idx].flim * size_bytes;
    }
    ck_assert_uint_le(sum_bytes, 512 * 1024);
    own_cache_end();
}
END_TEST

/* Behind the slow path there is one list a class, which goes home when it is too long. */
START_TEST(a_hidden_list_is_whole_and_bounded) {
    enum { COUNT = 4000, HIDDEN_COUNT_MAX = 1536 };
    static void *blocks[COUNT];
    struct al_tcache *const cache = own_cache_new();
    const struct al_tcache_cold *const cold = &cache->cold[CLASS_IDX];

    al_tcache_set_mode(cache, AL_TCACHE_EXACT);
    for (int round = 0; round < 2; round++) {
        for (size_t idx = 0; idx < COUNT; idx++) {
            blocks[idx] = al_malloc(SIZE_BYTES);
        }
        for (size_t idx = 0; idx < COUNT; idx++) {
            al_free(blocks[idx]);
            ck_assert_uint_le(cold->hidden_count, HIDDEN_COUNT_MAX);
        }
        uint32_t count = 0;
        for (void *block = cold->hidden; block != NULL; block = *(void **)block) {
            count++;
        }
        ck_assert_uint_eq(count, cold->hidden_count);
        ck_assert_uint_eq(own_cache_bin_used(cache, CLASS_IDX), count);
        al_tcache_check(cache);
    }
    own_cache_end();
}
END_TEST

START_TEST(a_new_epoch_is_seen_once_a_class) {
    struct al_tcache *const cache = own_cache_new();
    const struct al_tcache_cold *const cold = &cache->cold[CLASS_IDX];

    for (int round = 0; round < 3; round++) {
        al_sample_store(true, RATE_LG_RARE);
        ck_assert_uint_ne(cold->epoch, al_sample_epoch());
        al_tcache_flush(cache); /* the next allocation is a slow one */
        al_free(al_malloc(SIZE_BYTES));
        ck_assert_uint_eq(cold->epoch, al_sample_epoch());
        ck_assert_uint_lt(cold->countdown, AL_SAMPLE_NEVER);
        const uint64_t left = cold->countdown;
        al_tcache_flush(cache);
        al_free(al_malloc(SIZE_BYTES));
        ck_assert_uint_lt(cold->countdown, left + AL_CLASS_COUNT); /* goes on, is not drawn */
        ck_assert_uint_gt(cold->countdown + 2 * 1024 / SIZE_BYTES, left);
    }
    al_sample_store(false, 19);
    own_cache_end();
}
END_TEST

/* ---- no memory ---- */

START_TEST(without_memory_nothing_changes) {
    al_free(al_malloc(1)); /* the memory that every process begins with */
    struct al_tcache *const cache = own_cache_new();

    for (size_t size = 16; size <= AL_SMALL_MAX_BYTES; size *= 2) {
        (void)al_os_fail_after(1, true);
        errno = 0;
        void *const none = al_malloc(size);
        (void)al_os_fail_after(0, false);
        ck_assert_ptr_null(none);
        ck_assert_int_eq(errno, ENOMEM);
        al_tcache_check(cache);
        ck_assert_uint_eq(al_tcache_allocated_bytes(cache, true), 0);
    }
    void *const block = al_malloc(SIZE_BYTES);
    ck_assert_ptr_nonnull(block);
    al_free(block);
    own_cache_end();
}
END_TEST

/* No slab for the sampled block: it is served from the list, and the next countdown runs. */
START_TEST(without_memory_for_a_sample_the_allocation_is_served) {
    void *blocks[LIST_COUNT];
    void *got[LIST_COUNT];
    struct al_tcache *const cache = cache_with_list(3, blocks);
    struct al_runs *const runs = &cache->arena->runs;
    uint32_t extents[512];
    size_t extent_count = 0;
    bool is_zeroed = false;

    while (runs->free_granules != 0) { /* 4 MiB of them at most */
        extents[extent_count] = al_extent_take();
        ck_assert(al_runs_take(runs, extents[extent_count++], 1, 1, AL_RUNS_SLAB, &is_zeroed));
    }
    (void)al_os_fail_after(1, true);
    for (size_t idx = 0; idx < LIST_COUNT; idx++) {
        got[idx] = al_malloc(SIZE_BYTES);
    }
    (void)al_os_fail_after(0, false);
    for (size_t idx = 0; idx < LIST_COUNT; idx++) {
        ck_assert_ptr_eq(got[idx], blocks[idx]);
    }
    ck_assert_uint_eq(sample_count, 0);
    al_tcache_check(cache);
    while (extent_count > 0) {
        al_runs_give(runs, extents[--extent_count], AL_RUNS_SLAB, false);
    }
    end_with_list(cache, got, LIST_COUNT);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("tcache");

    tcase_add_loop_test(tcase, every_byte_is_counted_once_whatever_happens, 0, 3);
    tcase_add_loop_test(tcase, a_list_is_cut_before_the_sampled_allocation, 1, LIST_COUNT + 2);
    tcase_add_loop_test(tcase, nothing_moves_the_sample_from_its_allocation, 0, 12);
    tcase_add_loop_test(tcase, a_hook_that_allocates_is_served_unsampled, 0, 2);
    tcase_add_test(tcase, no_list_and_no_sum_of_them_outgrows_its_bound);
    tcase_add_test(tcase, a_hidden_list_is_whole_and_bounded);
    tcase_add_test(tcase, a_new_epoch_is_seen_once_a_class);
    tcase_add_test(tcase, an_empty_cache_has_room_for_half_a_mebibyte);
    tcase_add_test(tcase, without_memory_nothing_changes);
    tcase_add_test(tcase, without_memory_for_a_sample_the_allocation_is_served);
    return suite_run(tcase, "tcache", 60);
}
