/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the leak report says what is left, the largest sites first, and nothing where nothing is
 *         left; its intervals are the ones of the method they are named after.
 * Method: samples entered at made-up stacks in a process of its own, whose words are compared;
 *         quantiles against printed tables.
 */
#include "prof/leak.h"

#include "alloc/options.h"
#include "prof/site.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <math.h>

static struct pf_record *add(uintptr_t leaf, size_t bytes) {
    const uintptr_t frames[] = {leaf, 0x2000, 0x3000, 0x4000, 0x5000};
    const struct al_sampled sampled = {
        .ptr = frames, .requested_bytes = bytes, .usable_bytes = bytes, .is_certain = true};
    struct pf_record *const record = pf_site_add(&sampled, frames, 5);

    CHILD_CHECK(record != NULL);
    return record;
}

static void start(void) {
    al_options_reset();
    CHILD_CHECK(pf_site_start());
}

static void leave_nothing(void) {
    start();
    CHILD_CHECK(!pf_leak_report());
    pf_site_remove(add(0x1000, 100));
    CHILD_CHECK(!pf_leak_report());
}

START_TEST(where_nothing_is_left_nothing_is_said) {
    assert_ends(leave_nothing, 0, "");
}
END_TEST

static void leave_one(void) {
    start();
    (void)add(0x1000, 100);
    CHILD_CHECK(pf_leak_report());
}

START_TEST(one_block_left) {
    assert_ends(leave_one, 0,
                "<jemalloc>: Leak approximation summary: ~100 bytes, ~1 objects, >= 1 context\n"
                "<jemalloc>: Run jeprof on dump output for leak detail\n"
                "<jemalloc>:   ~100 bytes (95 %: 100 to 100), ~1 objects, at "
                "0xADDR < 0xADDR < 0xADDR < 0xADDR\n");
}
END_TEST

static void leave_three(void) {
    start();
    (void)add(0x1000, 100);
    (void)add(0x1000, 100);
    (void)add(0x1100, 5000);
    pf_site_remove(add(0x1100, 7000));
    (void)add(0x1200, 300);
    pf_site_remove(add(0x1300, 9000));
    CHILD_CHECK(pf_leak_report());
}

START_TEST(sites_by_what_they_hold) {
    assert_ends(leave_three, 0,
                "<jemalloc>: Leak approximation summary: ~5500 bytes, ~4 objects, >= 3 contexts\n"
                "<jemalloc>: Run jeprof on dump output for leak detail\n"
                "<jemalloc>:   ~5000 bytes (95 %: 5000 to 5000), ~1 objects, at "
                "0xADDR < 0xADDR < 0xADDR < 0xADDR\n"
                "<jemalloc>:   ~300 bytes (95 %: 300 to 300), ~1 objects, at "
                "0xADDR < 0xADDR < 0xADDR < 0xADDR\n"
                "<jemalloc>:   ~200 bytes (95 %: 200 to 200), ~2 objects, at "
                "0xADDR < 0xADDR < 0xADDR < 0xADDR\n");
}
END_TEST

/* More sites than the ten that are shown, in an order that is neither up nor down. */
static void leave_many(void) {
    start();
    for (uintptr_t idx = 0; idx < 30; idx++) {
        (void)add(0x1000 + idx, 16 * (1 + idx * 7 % 30));
    }
    CHILD_CHECK(pf_leak_report());
}

START_TEST(ten_sites_are_shown_and_all_are_counted) {
    char want[4096];
    size_t at = 0;

    at += (size_t)snprintf(want + at, sizeof(want) - at,
                           "<jemalloc>: Leak approximation summary: ~%d bytes, ~30 objects, "
                           ">= 30 contexts\n"
                           "<jemalloc>: Run jeprof on dump output for leak detail\n",
                           16 * 30 * 31 / 2);
    for (int rank = 30; rank > 20; rank--) {
        at += (size_t)snprintf(want + at, sizeof(want) - at,
                               "<jemalloc>:   ~%d bytes (95 %%: %d to %d), ~1 objects, at "
                               "0xADDR < 0xADDR < 0xADDR < 0xADDR\n",
                               16 * rank, 16 * rank, 16 * rank);
    }
    assert_ends(leave_many, 0, want);
}
END_TEST

/* A frame of this program is shown as addr2line -e takes it: the file, and where in it. */
static void leave_one_of_ours(void) {
    start();
    (void)add((uintptr_t)leave_one_of_ours + 9, 100);
    CHILD_CHECK(pf_leak_report());
}

START_TEST(frames_in_files_are_named_by_them) {
    assert_ends(leave_one_of_ours, 0,
                "<jemalloc>: Leak approximation summary: ~100 bytes, ~1 objects, >= 1 context\n"
                "<jemalloc>: Run jeprof on dump output for leak detail\n"
                "<jemalloc>:   ~100 bytes (95 %: 100 to 100), ~1 objects, at "
                "leak_test+0xADDR < 0xADDR < 0xADDR < 0xADDR\n");
}
END_TEST

/* Any book of tables; the last rows are beyond where the cube takes over. */
START_TEST(quantiles_are_those_of_the_tables) {
    static const struct {
        double freedom, low, high;
    } rows[] = {
        {1, 0.000982, 5.0239},   {2, 0.05064, 7.3778},      {3, 0.21580, 9.3484},
        {5, 0.83121, 12.8325},   {10, 3.24697, 20.4832},    {30, 16.7908, 46.9792},
        {100, 74.2219, 129.561}, {1000, 914.257, 1089.531},
    };

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(rows); idx++) {
        const double low = pf_leak_chi2(rows[idx].freedom, false);
        const double high = pf_leak_chi2(rows[idx].freedom, true);
        ck_assert_msg(fabs(low / rows[idx].low - 1.0) < 1e-3, "%g: %g", rows[idx].freedom, low);
        ck_assert_msg(fabs(high / rows[idx].high - 1.0) < 1e-3, "%g: %g", rows[idx].freedom, high);
    }
}
END_TEST

START_TEST(quantiles_rise_with_freedom) {
    double low_before = 0.0;
    double high_before = 0.0;

    for (double freedom = 0.5; freedom < 1000.0; freedom *= 1.07) {
        const double low = pf_leak_chi2(freedom, false);
        const double high = pf_leak_chi2(freedom, true);
        ck_assert(low >= low_before && high > high_before && low < freedom && high > low);
        low_before = low;
        high_before = high;
    }
}
END_TEST

/* k samples of weight w: sum k w, variance k w^2: the gamma quantiles of a Poisson count. */
START_TEST(intervals_of_equal_weights_are_a_poisson_counts) {
    static const struct {
        double count, low, high;
    } rows[] = {{1, 0.0253, 5.5716}, {10, 4.7954, 18.3904}, {100, 81.3640, 121.6272}};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(rows); idx++) {
        const double weight = 524288.0;
        const double count = rows[idx].count;
        double low = 0.0;
        double high = 0.0;
        pf_leak_interval(count * weight, count * weight * weight, weight, &low, &high);
        ck_assert_msg(fabs(low / weight / rows[idx].low - 1.0) < 2e-3, "%g: %g", count,
                      low / weight);
        ck_assert_msg(fabs(high / weight / rows[idx].high - 1.0) < 2e-3, "%g: %g", count,
                      high / weight);
    }
}
END_TEST

START_TEST(what_is_known_exactly_has_no_interval) {
    double low = 1.0;
    double high = 1.0;

    pf_leak_interval(12345.0, 0.0, 100.0, &low, &high);
    ck_assert(low >= 12345.0 && low <= 12345.0 && high >= 12345.0 && high <= 12345.0);
    pf_leak_interval(0.0, 0.0, 0.0, &low, &high);
    ck_assert(low >= 0.0 && low <= 0.0 && high >= 0.0 && high <= 0.0);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("leak");

    tcase_add_test(tcase, where_nothing_is_left_nothing_is_said);
    tcase_add_test(tcase, one_block_left);
    tcase_add_test(tcase, sites_by_what_they_hold);
    tcase_add_test(tcase, ten_sites_are_shown_and_all_are_counted);
    tcase_add_test(tcase, frames_in_files_are_named_by_them);
    tcase_add_test(tcase, quantiles_are_those_of_the_tables);
    tcase_add_test(tcase, quantiles_rise_with_freedom);
    tcase_add_test(tcase, intervals_of_equal_weights_are_a_poisson_counts);
    tcase_add_test(tcase, what_is_known_exactly_has_no_interval);
    return suite_run(tcase, "leak", 60);
}
