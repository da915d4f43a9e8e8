/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   statistics satisfy their equations whatever the program does, also while it does it.
 * Method: workloads of several threads; after each, and meanwhile, every sum is made again from its
 *         parts, by the names that clients read.
 */
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/os.h"
#include "alloc/stats_parts.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <string.h>

/* The sum over the classes of "stats.arenas.<arena>.<group>.<j>.<word>", each times its size if
 * is_weighted.
 */
static size_t sum_of(unsigned arena_idx, const char *group, const char *word, unsigned count,
                     const char *size_name) {
    size_t sum = 0;

    for (unsigned idx = 0; idx < count; idx++) {
        char name[128];
        snprintf(name, sizeof(name), "stats.arenas.%u.%s.%u.%s", arena_idx, group, idx, word);
        sum += ctl_size(name) * (size_name != NULL ? ctl_size(ctl_name(size_name, idx)) : 1);
    }
    return sum;
}

static size_t of_arena(unsigned arena_idx, const char *what) {
    char name[128];

    snprintf(name, sizeof(name), "stats.arenas.%u.%s", arena_idx, what);
    return ctl_size(name);
}

static void check_arena(unsigned arena_idx) {
    const unsigned nbins = ctl_unsigned("arenas.nbins");
    const unsigned nlarge = ctl_unsigned("arenas.nlextents");

    ck_assert_uint_eq(of_arena(arena_idx, "small.allocated"),
                      sum_of(arena_idx, "bins", "curregs", nbins, "arenas.bin.%u.size"));
    ck_assert_uint_eq(of_arena(arena_idx, "small.nmalloc"),
                      sum_of(arena_idx, "bins", "nmalloc", nbins, NULL));
    ck_assert_uint_eq(of_arena(arena_idx, "small.ndalloc"),
                      sum_of(arena_idx, "bins", "ndalloc", nbins, NULL));
    ck_assert_uint_eq(of_arena(arena_idx, "small.nrequests"),
                      sum_of(arena_idx, "bins", "nrequests", nbins, NULL));
    ck_assert_uint_eq(of_arena(arena_idx, "small.nmalloc") - of_arena(arena_idx, "small.ndalloc"),
                      sum_of(arena_idx, "bins", "curregs", nbins, NULL));
    ck_assert_uint_le(sum_of(arena_idx, "bins", "nonfull_slabs", nbins, NULL),
                      sum_of(arena_idx, "bins", "curslabs", nbins, NULL));
    ck_assert_uint_le(sum_of(arena_idx, "bins", "curslabs", nbins, NULL),
                      sum_of(arena_idx, "bins", "nslabs", nbins, NULL));
    ck_assert_uint_eq(of_arena(arena_idx, "large.nmalloc"),
                      sum_of(arena_idx, "lextents", "nmalloc", nlarge, NULL));
    ck_assert_uint_eq(of_arena(arena_idx, "large.ndalloc"),
                      sum_of(arena_idx, "lextents", "ndalloc", nlarge, NULL));
    ck_assert_uint_eq(of_arena(arena_idx, "large.nmalloc") - of_arena(arena_idx, "large.ndalloc"),
                      sum_of(arena_idx, "lextents", "curlextents", nlarge, NULL));
    ck_assert_uint_le(
        of_arena(arena_idx, "large.allocated"),
        sum_of(arena_idx, "lextents", "curlextents", nlarge, "arenas.lextent.%u.size"));
    const size_t allocated =
        of_arena(arena_idx, "small.allocated") + of_arena(arena_idx, "large.allocated");
    ck_assert_uint_le(allocated, of_arena(arena_idx, "pactive") * AL_PAGE_BYTES);
    ck_assert_uint_le(of_arena(arena_idx, "tcache_bytes"), allocated);
    ck_assert_uint_le(of_arena(arena_idx, "pactive") * AL_PAGE_BYTES,
                      of_arena(arena_idx, "resident"));
    ck_assert_uint_le(of_arena(arena_idx, "resident"), of_arena(arena_idx, "mapped"));
}

/* At rest the free runs are what the page layer's sums say. */
static void check_extents(unsigned arena_idx) {
    ck_assert_uint_eq(of_arena(arena_idx, "pdirty") * AL_PAGE_BYTES,
                      sum_of(arena_idx, "extents", "dirty_bytes", AL_STATS_EXTENT_COUNT, NULL));
    ck_assert_uint_eq(of_arena(arena_idx, "pmuzzy") * AL_PAGE_BYTES,
                      sum_of(arena_idx, "extents", "muzzy_bytes", AL_STATS_EXTENT_COUNT, NULL));
    ck_assert_uint_eq(of_arena(arena_idx, "retained"),
                      sum_of(arena_idx, "extents", "retained_bytes", AL_STATS_EXTENT_COUNT, NULL));
}

/* The sum over all arenas there are. */
static size_t over_arenas(const char *what) {
    const unsigned count = ctl_unsigned("arenas.narenas");
    size_t sum = 0;

    for (unsigned idx = 0; idx < count; idx++) {
        char name[128];
        size_t value = 0;
        size_t value_bytes = sizeof(value);
        snprintf(name, sizeof(name), "stats.arenas.%u.%s", idx, what);
        if (mallctl(name, &value, &value_bytes, NULL, 0) == 0) {
            sum += value;
        }
    }
    return sum;
}

static void check_all(bool is_at_rest) {
    static const char *const sums[] = {"small.allocated", "large.allocated", "small.nmalloc",
                                       "large.ndalloc",   "pactive",         "pdirty",
                                       "retained",        "mapped",          "resident"};
    const unsigned count = ctl_unsigned("arenas.narenas");

    ctl_refresh();
    for (unsigned idx = 0; idx < count; idx++) {
        if (ctl_do(ctl_name("stats.arenas.%u.pactive", idx)) == 0) {
            check_arena(idx);
            if (is_at_rest) {
                check_extents(idx);
            }
        }
    }
    check_arena(4096);
    for (size_t idx = 0; idx < sizeof(sums) / sizeof(sums[0]); idx++) {
        ck_assert_uint_eq(of_arena(4096, sums[idx]), over_arenas(sums[idx]));
    }
    ck_assert_uint_eq(ctl_size("stats.allocated"),
                      of_arena(4096, "small.allocated") + of_arena(4096, "large.allocated"));
    ck_assert_uint_eq(ctl_size("stats.active"), of_arena(4096, "pactive") * AL_PAGE_BYTES);
    ck_assert_uint_eq(ctl_size("stats.retained"), of_arena(4096, "retained"));
    ck_assert_uint_le(ctl_size("stats.allocated"), ctl_size("stats.active"));
    ck_assert_uint_le(ctl_size("stats.active"), ctl_size("stats.resident"));
    ck_assert_uint_le(ctl_size("stats.resident"), ctl_size("stats.mapped"));
    ck_assert_uint_le(ctl_size("stats.metadata"), ctl_size("stats.resident"));
}

enum { SLOT_COUNT = 2000, ROUND_COUNT = 30000 };

static void *churn(void *arg) {
    static _Thread_local void *slots[SLOT_COUNT];
    uint64_t random = (uint64_t)(uintptr_t)arg;

    for (int round = 0; round < ROUND_COUNT; round++) {
        const uint64_t draw = suite_random(&random);
        const size_t slot = draw % SLOT_COUNT;
        const size_t size_bytes = (draw >> 32) % ((draw >> 16) % 50 == 0 ? 300000 : 2000);
        al_free(slots[slot]);
        slots[slot] = al_malloc(size_bytes);
        if (draw % 97 == 0) {
            slots[slot] = al_realloc(slots[slot], size_bytes * 3 + 100);
        }
    }
    for (size_t slot = 0; slot < SLOT_COUNT; slot++) {
        al_free(slots[slot]);
        slots[slot] = NULL;
    }
    return NULL;
}

START_TEST(sums_are_the_sums_of_their_parts) {
    const uint64_t seed = suite_seed(11);
    pthread_t threads[4];

    check_all(true);
    for (uint64_t idx = 0; idx < 4; idx++) {
        ck_assert_int_eq(
            pthread_create(&threads[idx], NULL, churn, (void *)(uintptr_t)(seed + idx)), 0);
    }
    for (int look = 0; look < 5; look++) {
        check_all(false);
    }
    for (size_t idx = 0; idx < 4; idx++) {
        ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
    }
    check_all(true);
    ck_assert_int_eq(ctl_do("arena.4096.purge"), 0);
    check_all(true);
    ck_assert_uint_eq(of_arena(4096, "pdirty"), 0);
}
END_TEST

static void *take_a_lock(void *arg) {
    for (int n = 0; n < 20000; n++) {
        al_dallocx(al_mallocx(100, 1 << 8 | 1 << 20), 1 << 8); /* no cache: each a lock */
    }
    return arg;
}

START_TEST(locks_count_what_happens_to_them) {
    const char *const ops = "stats.arenas.0.bins.6.mutex.num_ops";
    pthread_t threads[4];

    ck_assert_int_eq(ctl_do("stats.mutexes.reset"), 0);
    ctl_refresh();
    const size_t before = ctl_size(ops);
    ck_assert_uint_lt(before, 50);
    for (size_t idx = 0; idx < 4; idx++) {
        ck_assert_int_eq(pthread_create(&threads[idx], NULL, take_a_lock, NULL), 0);
    }
    for (size_t idx = 0; idx < 4; idx++) {
        ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
    }
    ctl_refresh();
    ck_assert_uint_ge(ctl_size(ops), before + 4 * 20000 * 2);
    ck_assert_uint_le(ctl_size("stats.arenas.0.bins.6.mutex.max_wait_time"),
                      ctl_size("stats.arenas.0.bins.6.mutex.total_wait_time"));
    ck_assert_uint_ge(ctl_size("stats.mutexes.ctl.num_ops"), 2);
    ck_assert_int_eq(ctl_do("stats.mutexes.reset"), 0);
    ctl_refresh();
    ck_assert_uint_lt(ctl_size(ops), 50);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("stats_parts");

    tcase_add_test(tcase, sums_are_the_sums_of_their_parts);
    tcase_add_test(tcase, locks_count_what_happens_to_them);
    return suite_run(tcase, "stats_parts", 60);
}
