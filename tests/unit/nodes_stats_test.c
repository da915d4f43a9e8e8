/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   stats.* of the process and the large runs, pages and locks of an arena are the numbers
 *         of alloc/stats.h at the last epoch, and count what a program did.
 * Method: a fresh arena, without caches; sums against the arenas they are of.
 */
#include "alloc/class.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/os.h"
#include "alloc/stats.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>

/* Whole granules: that is what statistics count of a run. */
enum { RUN_COUNT = 5, RUN_BYTES = 19 * AL_GRANULE_BYTES, ALL = 4096 };

static unsigned create(void) {
    unsigned arena_idx = 0;
    size_t arena_idx_bytes = sizeof(arena_idx);

    ck_assert_int_eq(mallctl("arenas.create", &arena_idx, &arena_idx_bytes, NULL, 0), 0);
    return arena_idx;
}

static int flags_of(unsigned arena_idx) {
    return (int)(arena_idx + 1) << 20 | 1 << 8; /* no cache */
}

/* Of 8 bytes. */
static uint64_t read_of(unsigned arena_idx, const char *row) {
    char name[128];

    (void)snprintf(name, sizeof(name), "stats.arenas.%u.%s", arena_idx, row);
    return ctl_size(name);
}

static uint64_t read_class(unsigned arena_idx, const char *row) {
    char name[128];

    (void)snprintf(name, sizeof(name), "lextents.%u.%s", al_large_class_of(RUN_BYTES), row);
    return read_of(arena_idx, name);
}

START_TEST(large_runs_are_counted) {
    const unsigned arena_idx = create();
    void *runs[RUN_COUNT];

    ctl_refresh();
    for (size_t idx = 0; idx < RUN_COUNT; idx++) {
        runs[idx] = al_mallocx(RUN_BYTES, flags_of(arena_idx));
    }
    const size_t bytes = al_malloc_usable_size(runs[0]);
    ck_assert_uint_eq(read_of(arena_idx, "large.nmalloc"), 0); /* until the next epoch */
    ctl_refresh();
    ck_assert_uint_eq(read_of(arena_idx, "large.allocated"), RUN_COUNT * bytes);
    ck_assert_uint_eq(read_of(arena_idx, "large.nmalloc"), RUN_COUNT);
    ck_assert_uint_eq(read_of(arena_idx, "large.nrequests"), RUN_COUNT);
    ck_assert_uint_eq(read_of(arena_idx, "large.ndalloc"), 0);
    ck_assert_uint_eq(read_class(arena_idx, "curlextents"), RUN_COUNT);
    ck_assert_uint_eq(read_class(arena_idx, "nmalloc"), RUN_COUNT);
    al_dallocx(runs[0], flags_of(arena_idx));
    al_dallocx(runs[1], flags_of(arena_idx));
    ck_assert_uint_eq(read_class(arena_idx, "curlextents"), RUN_COUNT);
    ctl_refresh();
    ck_assert_uint_eq(read_of(arena_idx, "large.allocated"), (RUN_COUNT - 2) * bytes);
    ck_assert_uint_eq(read_of(arena_idx, "large.nmalloc"), RUN_COUNT);
    ck_assert_uint_eq(read_of(arena_idx, "large.ndalloc"), 2);
    ck_assert_uint_eq(read_class(arena_idx, "curlextents"), RUN_COUNT - 2);
    ck_assert_uint_eq(read_class(arena_idx, "ndalloc"), 2);
    ck_assert_uint_eq(read_of(arena_idx, "small.nmalloc"), 0);
    for (size_t idx = 2; idx < RUN_COUNT; idx++) {
        al_dallocx(runs[idx], flags_of(arena_idx));
    }
}
END_TEST

START_TEST(rows_are_the_numbers_of_the_arena) {
    const unsigned arena_idx = create();
    struct al_stats_arena want;
    void *const small = al_mallocx(1000, flags_of(arena_idx));
    void *const large = al_mallocx(RUN_BYTES, flags_of(arena_idx));

    al_dallocx(al_mallocx(1 << 20, flags_of(arena_idx)), flags_of(arena_idx));
    ctl_refresh();
    ck_assert(al_stats_arena_read(arena_idx, &want));
    ck_assert_uint_eq(read_of(arena_idx, "small.allocated"), 1008);
    ck_assert_uint_eq(read_of(arena_idx, "small.allocated"), want.allocated_small_bytes);
    ck_assert_uint_eq(read_of(arena_idx, "small.nmalloc"), 1);
    ck_assert_uint_eq(read_of(arena_idx, "large.allocated"), want.allocated_large_bytes);
    ck_assert_uint_eq(read_of(arena_idx, "pactive") * AL_PAGE_BYTES, want.active_bytes);
    ck_assert_uint_eq(read_of(arena_idx, "retained"), want.retained_bytes);
    ck_assert_uint_eq(read_of(arena_idx, "muzzy_decay_ms"),
                      (uint64_t)want.decay_ms[AL_STALE_MUZZY]);
    ck_assert_uint_eq(read_of(arena_idx, "mapped"),
                      (read_of(arena_idx, "pactive") + read_of(arena_idx, "pdirty") +
                       read_of(arena_idx, "pmuzzy")) *
                          AL_PAGE_BYTES);
    ck_assert_uint_le(read_of(arena_idx, "resident"), read_of(arena_idx, "mapped"));
    al_dallocx(small, flags_of(arena_idx));
    al_dallocx(large, flags_of(arena_idx));
}
END_TEST

START_TEST(the_process_is_the_sum_of_its_arenas) {
    static const char *const rows[] = {"mapped",        "resident",      "retained",
                                       "large.nmalloc", "small.ndalloc", "small.allocated"};
    const unsigned arena_idx = create();
    void *const held = al_mallocx(RUN_BYTES, flags_of(arena_idx));
    void *const more = al_malloc(12345);

    ctl_refresh();
    for (size_t row = 0; row < AL_ARRAY_COUNT(rows); row++) {
        uint64_t sum = 0;
        for (unsigned idx = 0; idx < ctl_unsigned("arenas.narenas"); idx++) {
            if (ctl_do(ctl_name("stats.arenas.%u.mapped", idx)) == 0) {
                sum += read_of(idx, rows[row]);
            }
        }
        ck_assert_msg(read_of(ALL, rows[row]) == sum, "%s", rows[row]);
    }
    ck_assert_uint_eq(read_of(ALL, "mapped"), ctl_size("stats.mapped"));
    ck_assert_uint_eq(read_of(ALL, "resident"), ctl_size("stats.resident"));
    ck_assert_uint_eq(read_of(ALL, "retained"), ctl_size("stats.retained"));
    ck_assert_uint_eq(read_of(ALL, "small.allocated") + read_of(ALL, "large.allocated"),
                      ctl_size("stats.allocated"));
    ck_assert_uint_gt(ctl_size("stats.metadata"), 0);
    ck_assert_uint_gt(ctl_size("stats.metadata_edata"), 0);
    al_dallocx(held, flags_of(arena_idx));
    al_free(more);
}
END_TEST

START_TEST(reallocs_to_nothing_are_counted) {
    ctl_refresh();
    const size_t before = ctl_size("stats.zero_reallocs");
    void *const ptr = al_realloc(al_malloc(10), 0);

    al_free(ptr);
    ck_assert_uint_eq(ctl_size("stats.zero_reallocs"), before);
    ctl_refresh();
    ck_assert_uint_eq(ctl_size("stats.zero_reallocs"), before + 1);
}
END_TEST

START_TEST(locks_count_until_they_are_set_back) {
    const unsigned arena_idx = create();

    for (int round = 0; round < 100; round++) {
        al_dallocx(al_mallocx(RUN_BYTES, flags_of(arena_idx)), flags_of(arena_idx));
    }
    ctl_refresh();
    const uint64_t take_count = read_of(arena_idx, "mutexes.extents_dirty.num_ops");
    ck_assert_uint_ge(take_count, 100);
    ck_assert_uint_gt(ctl_size("stats.mutexes.ctl.num_ops"), 0);
    ck_assert_int_eq(ctl_do("stats.mutexes.reset"), 0);
    ctl_refresh();
    ck_assert_uint_lt(read_of(arena_idx, "mutexes.extents_dirty.num_ops"), 100);
}
END_TEST

START_TEST(what_there_is_none_of) {
    static const char *const none[] = {"internal",
                                       "large.nflushes",
                                       "metadata_edata",
                                       "metadata_rtree",
                                       "metadata_thp",
                                       "mutexes.hpa_shard.num_ops",
                                       "mutexes.large.num_ops",
                                       "tcache_stashed_bytes"};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(none); idx++) {
        ck_assert_msg(read_of(0, none[idx]) == 0, "%s", none[idx]);
    }
    ck_assert_uint_eq(ctl_size("stats.metadata_rtree"), 0);
    ck_assert_uint_eq(ctl_size("stats.background_thread.num_threads"), 0);
    ck_assert_int_eq(ctl_do("stats.arenas.0.lextents.187.nmalloc"), ENOENT);
    ck_assert_int_eq(ctl_do("stats.arenas.4000.mapped"), ENOENT);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("nodes_stats");

    tcase_add_test(tcase, large_runs_are_counted);
    tcase_add_test(tcase, rows_are_the_numbers_of_the_arena);
    tcase_add_test(tcase, the_process_is_the_sum_of_its_arenas);
    tcase_add_test(tcase, reallocs_to_nothing_are_counted);
    tcase_add_test(tcase, locks_count_until_they_are_set_back);
    tcase_add_test(tcase, what_there_is_none_of);
    return suite_run(tcase, "nodes_stats", 60);
}
