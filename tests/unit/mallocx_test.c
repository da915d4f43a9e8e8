/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the extended entry points do what jemalloc(3) says for every flag, and at the edges: size
 *         0, sizes and alignments no machine has, sums that overflow.
 * Method: tables of sizes and alignments; memory that is dirty before; errno watched.
 */
#include "alloc/mallocx.h"

#include "alloc/bits.h"
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/options.h"
#include "tests/support/dies.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

/* Of the public header. */
enum { FLAG_ZERO = 0x40, FLAG_NO_TCACHE = 1 << 8, FLAG_TCACHE_0 = 2 << 8, ERRNO_BEFORE = 77 };

static int flag_arena(unsigned arena_idx) {
    return (int)(arena_idx + 1) << 20;
}

static const size_t sizes[] = {1,     16,    17,    100,    1024,    1025,    4096,    5000,
                               16384, 40000, 65536, 65537,  100000,  524288,  8,       48,
                               32768, 8000,  1000,  131072, 1000000, 4 << 20, 33 << 20};

/* The largest are left out where each is tried with each. */
enum { SIZE_COUNT = AL_ARRAY_COUNT(sizes), FEWER_COUNT = SIZE_COUNT - 2 };

static unsigned arena_of(const void *ptr) {
    unsigned arena_idx = 0;

    ck_assert_int_eq(al_arena_lookup(ptr, &arena_idx), 0);
    return arena_idx;
}

static void assert_bytes(const unsigned char *ptr, size_t from, size_t to, int want) {
    if (from < to) { /* the first is as wanted, and each is as the one before */
        ck_assert_int_eq(ptr[from], want);
        ck_assert_int_eq(memcmp(ptr + from, ptr + from + 1, to - from - 1), 0);
    }
}

/* Leaves dirty blocks of the size behind wherever one may come from next. */
static void make_dirty(size_t size_bytes, int flags) {
    void *blocks[20];
    const size_t count = size_bytes < 100000 ? AL_ARRAY_COUNT(blocks) : 2;

    for (size_t idx = 0; idx < count; idx++) {
        blocks[idx] = al_mallocx(size_bytes, flags);
        memset(blocks[idx], 0xee, al_sallocx(blocks[idx], 0));
    }
    for (size_t idx = 0; idx < count; idx++) {
        al_dallocx(blocks[idx], flags);
    }
}

/* ---- mallocx ---- */

/* `_i`: log2 of the alignment. */
START_TEST(alignment_size_and_usable_size_are_as_nallocx_says) {
    for (size_t idx = 0; idx < SIZE_COUNT; idx++) {
        const size_t want = al_nallocx(sizes[idx], _i);
        for (int how = 0; how < 3; how++) {
            const int flags = _i | (how == 1 ? FLAG_NO_TCACHE : how == 2 ? flag_arena(0) : 0);
            unsigned char *const ptr = al_mallocx(sizes[idx], flags);
            ck_assert_ptr_nonnull(ptr);
            ck_assert_uint_eq((uintptr_t)ptr & (((uintptr_t)1 << _i) - 1), 0);
            ck_assert_uint_eq(al_sallocx(ptr, flags), want);
            ck_assert_uint_eq(al_malloc_usable_size(ptr), want);
            ck_assert_uint_ge(want, sizes[idx]);
            ptr[0] = ptr[sizes[idx] - 1] = 1;
            if (how == 1) {
                al_sdallocx(ptr, sizes[idx], flags);
            } else if (how == 2) {
                al_sdallocx(ptr, want, flags);
            } else {
                al_dallocx(ptr, flags);
            }
        }
    }
}
END_TEST

START_TEST(zero_is_zero_up_to_the_usable_size) {
    for (size_t idx = 0; idx < FEWER_COUNT; idx++) {
        for (int how = 0; how < 4; how++) {
            const int flags = how == 0   ? 0
                              : how == 1 ? FLAG_NO_TCACHE
                              : how == 2 ? 7
                                         : flag_arena(0);
            make_dirty(sizes[idx], flags);
            unsigned char *const ptr = al_mallocx(sizes[idx], flags | FLAG_ZERO);
            assert_bytes(ptr, 0, al_sallocx(ptr, 0), 0);
            memset(ptr, 0xee, al_sallocx(ptr, 0));
            al_dallocx(ptr, flags);
        }
    }
}
END_TEST

START_TEST(an_arena_is_the_one_asked_for) {
    const unsigned own_idx = al_thread_arena_get();
    unsigned arena_idx = 0;

    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    for (size_t idx = 0; idx < SIZE_COUNT; idx++) {
        void *const theirs = al_mallocx(sizes[idx], flag_arena(arena_idx));
        void *const cached = al_mallocx(sizes[idx], flag_arena(arena_idx) | FLAG_TCACHE_0);
        void *const own = al_mallocx(sizes[idx], FLAG_NO_TCACHE);
        ck_assert_uint_eq(arena_of(theirs), arena_idx);
        ck_assert_uint_eq(arena_of(cached), arena_idx);
        ck_assert_uint_eq(arena_of(own), own_idx);
        void *const moved = al_rallocx(theirs, sizes[idx] * 3 + 1, flag_arena(arena_idx));
        ck_assert_uint_eq(arena_of(moved), arena_idx);
        al_dallocx(moved, 0); /* by whatever way */
        al_dallocx(cached, FLAG_NO_TCACHE);
        al_dallocx(own, 0);
    }
}
END_TEST

START_TEST(without_a_cache_blocks_come_and_go_one_by_one) {
    ck_assert_int_eq(al_thread_tcache_flush(), 0);
    void *const first = al_mallocx(64, FLAG_NO_TCACHE);

    for (int nth = 0; nth < 100; nth++) {
        void *const ptr = al_mallocx(64, FLAG_NO_TCACHE);
        const uint64_t allocated_before = al_thread_allocated_bytes();
        const uint64_t freed_before = al_thread_deallocated_bytes();
        al_dallocx(al_mallocx(64, FLAG_NO_TCACHE), FLAG_NO_TCACHE);
        ck_assert_uint_eq(al_thread_allocated_bytes(), allocated_before + 64);
        ck_assert_uint_eq(al_thread_deallocated_bytes(), freed_before + 64);
        al_dallocx(ptr, FLAG_NO_TCACHE);
    }
    al_dallocx(first, FLAG_NO_TCACHE);
}
END_TEST

static const size_t too_large[] = {SIZE_MAX,          SIZE_MAX - 4095, AL_SIZE_MAX_BYTES + 1,
                                   AL_SIZE_MAX_BYTES, (size_t)1 << 62, (size_t)1 << 48};

START_TEST(what_cannot_be_had_is_null_and_leaves_errno_alone) {
    static const int flags[] = {0, FLAG_ZERO, 4, 12, 40, FLAG_NO_TCACHE, 1 << 20, FLAG_TCACHE_0};
    unsigned char *const kept = memset(al_malloc(300), 0x21, 300);

    errno = ERRNO_BEFORE;
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(too_large); idx++) {
        for (size_t which = 0; which < AL_ARRAY_COUNT(flags); which++) {
            ck_assert_ptr_null(al_mallocx(too_large[idx], flags[which]));
            ck_assert_int_eq(errno, ERRNO_BEFORE);
            ck_assert_ptr_null(al_rallocx(kept, too_large[idx], flags[which]));
            ck_assert_int_eq(errno, ERRNO_BEFORE);
        }
    }
    for (int align_lg = 47; align_lg < 64; align_lg++) {
        ck_assert_ptr_null(al_mallocx(1, align_lg));
        ck_assert_ptr_null(al_mallocx(100000, align_lg | FLAG_NO_TCACHE));
        ck_assert_ptr_null(al_rallocx(kept, 200, align_lg));
        ck_assert_int_eq(errno, ERRNO_BEFORE);
    }
    ck_assert_ptr_null(al_mallocx(1, (int)((unsigned)4095 << 20))); /* no such arena */
    ck_assert_int_eq(errno, ERRNO_BEFORE);
    assert_bytes(kept, 0, 300, 0x21);
    al_free(kept);
}
END_TEST

/* Under opt.xmalloc each of them ends the process instead. */
static void ask_with(int flags) {
    al_init();
    al_options.xmalloc = true;
    (void)al_mallocx(AL_SIZE_MAX_BYTES, flags);
}

static void ask_plain(void) {
    ask_with(0);
}

static void ask_zero(void) {
    ask_with(FLAG_ZERO);
}

static void ask_uncached(void) {
    ask_with(FLAG_NO_TCACHE | 4);
}

static void resize_with(int flags) {
    void *const ptr = al_mallocx(100, 0);

    al_options.xmalloc = true;
    (void)al_rallocx(ptr, AL_SIZE_MAX_BYTES, flags);
}

static void resize_plain(void) {
    resize_with(0);
}

static void resize_uncached(void) {
    resize_with(FLAG_NO_TCACHE);
}

START_TEST(xmalloc_ends_the_process_whatever_the_flags) {
    static void (*const runs[])(void) = {ask_plain, ask_zero, ask_uncached, resize_plain,
                                         resize_uncached};

    assert_dies(runs[_i], "tally: out of memory\n");
}
END_TEST

/* ---- nallocx ---- */

START_TEST(nallocx_knows_what_cannot_be) {
    ck_assert_uint_eq(al_nallocx(SIZE_MAX, 0), 0);
    ck_assert_uint_eq(al_nallocx(AL_SIZE_MAX_BYTES + 1, 0), 0);
    ck_assert_uint_eq(al_nallocx(AL_SIZE_MAX_BYTES, 0), AL_SIZE_MAX_BYTES);
    ck_assert_uint_eq(al_nallocx(SIZE_MAX, 12 | FLAG_ZERO), 0);
    ck_assert_uint_eq(al_nallocx(1, 63), 0);
    ck_assert_uint_gt(al_nallocx(0, 0), 0); /* undefined there; here the smallest */
    for (size_t size = 1; size < (size_t)1 << 40; size += size / 5 + 1) {
        for (int align_lg = 0; align_lg < 20; align_lg++) {
            const size_t bytes = al_nallocx(size, align_lg);
            ck_assert_uint_ge(bytes, size);
            ck_assert_uint_eq(al_nallocx(size, align_lg | FLAG_ZERO | FLAG_NO_TCACHE), bytes);
            ck_assert_uint_eq(al_nallocx(bytes, align_lg), bytes); /* is a size of its own */
        }
    }
}
END_TEST

/* ---- rallocx ---- */

/* From each size to each, with and without zero and alignment. */
START_TEST(rallocx_keeps_the_common_part_and_zeroes_what_is_new) {
    const size_t from = sizes[_i];

    for (size_t idx = 0; idx < FEWER_COUNT; idx++) {
        for (int how = 0; how < 6; how++) {
            const int align_lg = how % 3 == 2 ? 8 : how % 3 == 1 ? 4 : 0;
            const int flags = align_lg | (how >= 3 ? FLAG_ZERO : 0);
            make_dirty(sizes[idx], align_lg);
            unsigned char *const ptr = al_mallocx(from, align_lg);
            const size_t old_bytes = al_sallocx(ptr, 0);
            memset(ptr, 0x42, old_bytes);
            unsigned char *const moved = al_rallocx(ptr, sizes[idx], flags);
            const size_t new_bytes = al_sallocx(moved, 0);
            const size_t kept = sizes[idx] < old_bytes ? sizes[idx] : old_bytes;
            ck_assert_uint_eq((uintptr_t)moved & (((uintptr_t)1 << align_lg) - 1), 0);
            ck_assert_uint_ge(new_bytes, sizes[idx]);
            assert_bytes(moved, 0, kept, 0x42);
            if (how >= 3 && new_bytes > old_bytes) {
                assert_bytes(moved, old_bytes, new_bytes, 0);
            }
            al_sdallocx(moved, sizes[idx], flags);
        }
    }
}
END_TEST

/* Large objects lie at any granule: of eight some must move. */
START_TEST(rallocx_gives_an_alignment_that_was_not_there) {
    enum { COUNT = 8, SIZE_BYTES = 100000 };
    unsigned char *blocks[COUNT];

    for (int align_lg = 15; align_lg < 20; align_lg++) {
        for (size_t idx = 0; idx < COUNT; idx++) {
            blocks[idx] = memset(al_mallocx(SIZE_BYTES, 0), (int)idx, SIZE_BYTES);
        }
        for (size_t idx = 0; idx < COUNT; idx++) {
            blocks[idx] = al_rallocx(blocks[idx], SIZE_BYTES, align_lg);
            ck_assert_uint_eq((uintptr_t)blocks[idx] & (((uintptr_t)1 << align_lg) - 1), 0);
            assert_bytes(blocks[idx], 0, SIZE_BYTES, (int)idx);
        }
        for (size_t idx = 0; idx < COUNT; idx++) {
            al_sdallocx(blocks[idx], SIZE_BYTES, align_lg);
        }
    }
}
END_TEST

/* What programs in Rust do to each vector: it must be no worse than realloc. */
START_TEST(rallocx_without_flags_is_realloc) {
    unsigned moved_count[2] = {0, 0};

    for (int which = 0; which < 2; which++) {
        void *ptr = al_malloc(1);
        for (size_t size = 2; size < 60000; size += 16) {
            void *const moved = which == 0 ? al_realloc(ptr, size) : al_rallocx(ptr, size, 0);
            moved_count[which] += moved != ptr;
            ptr = moved;
        }
        al_free(ptr);
    }
    ck_assert_uint_le(moved_count[1], moved_count[0] + moved_count[0] / 4);
}
END_TEST

START_TEST(rallocx_counts_a_move_as_a_free_and_an_allocation) {
    void *ptr = al_mallocx(100, 0);
    uint64_t random = suite_seed(29);

    for (int step = 0; step < 2000; step++) {
        const size_t size = 1 + suite_random(&random) % ((size_t)16 << suite_random(&random) % 17);
        const uint64_t live_before = al_thread_allocated_bytes() - al_thread_deallocated_bytes();
        const size_t old_bytes = al_sallocx(ptr, 0);
        ptr = al_rallocx(ptr, size, (int)(suite_random(&random) % 8));
        ck_assert_uint_eq(al_thread_allocated_bytes() - al_thread_deallocated_bytes(),
                          live_before + al_sallocx(ptr, 0) - old_bytes);
    }
    al_dallocx(ptr, 0);
}
END_TEST

/* ---- xallocx ---- */

START_TEST(xallocx_never_moves_and_tells_the_truth) {
    uint64_t random = suite_seed(31);

    for (int step = 0; step < 4000; step++) {
        const size_t from = sizes[suite_random(&random) % FEWER_COUNT];
        const size_t size = 1 + suite_random(&random) % (2 * from);
        const size_t extra =
            suite_random(&random) % 3 == 0 ? SIZE_MAX - size : suite_random(&random) % from;
        const int flags = (suite_random(&random) & 1) != 0 ? FLAG_ZERO : 0;
        unsigned char *const ptr = al_mallocx(from, 0);
        const size_t old_bytes = al_sallocx(ptr, 0);
        const uint64_t live_before = al_thread_allocated_bytes() - al_thread_deallocated_bytes();
        memset(ptr, 0x42, old_bytes);
        const size_t new_bytes = al_xallocx(ptr, size, extra, flags);
        const size_t kept = new_bytes < old_bytes ? new_bytes : old_bytes;
        ck_assert_uint_eq(al_sallocx(ptr, 0), new_bytes);
        ck_assert_uint_eq(al_thread_allocated_bytes() - al_thread_deallocated_bytes(),
                          live_before + new_bytes - old_bytes);
        if (new_bytes < old_bytes) { /* never below what was asked for */
            ck_assert_uint_ge(new_bytes, size);
        } else if (new_bytes > old_bytes) {
            ck_assert_uint_le(new_bytes, al_nallocx(size + (extra < from ? extra : 0), 0));
        }
        assert_bytes(ptr, 0, kept, 0x42);
        if (flags != 0 && new_bytes > old_bytes) {
            assert_bytes(ptr, old_bytes, new_bytes, 0);
        }
        al_dallocx(ptr, 0);
    }
}
END_TEST

/* Alone in an arena a large object has a free neighbour: it grows and shrinks where it is. */
START_TEST(xallocx_resizes_large_objects_in_place) {
    unsigned arena_idx = 0;

    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    unsigned char *const ptr = al_mallocx(100000, flag_arena(arena_idx));
    memset(ptr, 0xee, 100000);
    ck_assert_uint_eq(al_xallocx(ptr, 1 << 20, 0, 0), 1 << 20);
    memset(ptr, 0xee, 1 << 20);
    ck_assert_uint_eq(al_xallocx(ptr, 200000, 0, 0), al_round_up(200000, 4096));
    ck_assert_uint_eq(al_xallocx(ptr, 200000, 300000, FLAG_ZERO), al_round_up(500000, 4096));
    assert_bytes(ptr, 0, 200000, 0xee);
    assert_bytes(ptr, al_round_up(200000, 4096), al_round_up(500000, 4096), 0);
    /* Too much to ask: what is asked for at least, if that can be had. */
    ck_assert_uint_eq(al_xallocx(ptr, 600000, (size_t)1 << 45, 0), al_round_up(600000, 4096));
    ck_assert_uint_eq(al_xallocx(ptr, (size_t)1 << 45, 0, 0), al_round_up(600000, 4096));
    ck_assert_uint_eq(al_xallocx(ptr, SIZE_MAX, 0, 0), al_round_up(600000, 4096));
    ck_assert_uint_eq(al_xallocx(ptr, 600000, SIZE_MAX, 0), al_round_up(600000, 4096));
    ck_assert_uint_eq(al_xallocx(ptr, 1, 0, 0), al_round_up(600000, 4096)); /* not as a run */
    al_dallocx(ptr, flag_arena(arena_idx));
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("mallocx");

    tcase_add_loop_test(tcase, alignment_size_and_usable_size_are_as_nallocx_says, 0, 27);
    tcase_add_test(tcase, zero_is_zero_up_to_the_usable_size);
    tcase_add_test(tcase, an_arena_is_the_one_asked_for);
    tcase_add_test(tcase, without_a_cache_blocks_come_and_go_one_by_one);
    tcase_add_test(tcase, what_cannot_be_had_is_null_and_leaves_errno_alone);
    tcase_add_loop_test(tcase, xmalloc_ends_the_process_whatever_the_flags, 0, 5);
    tcase_add_test(tcase, nallocx_knows_what_cannot_be);
    tcase_add_loop_test(tcase, rallocx_keeps_the_common_part_and_zeroes_what_is_new, 0,
                        FEWER_COUNT);
    tcase_add_test(tcase, rallocx_gives_an_alignment_that_was_not_there);
    tcase_add_test(tcase, rallocx_without_flags_is_realloc);
    tcase_add_test(tcase, rallocx_counts_a_move_as_a_free_and_an_allocation);
    tcase_add_test(tcase, xallocx_never_moves_and_tells_the_truth);
    tcase_add_test(tcase, xallocx_resizes_large_objects_in_place);
    return suite_run(tcase, "mallocx", 30);
}
