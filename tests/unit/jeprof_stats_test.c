/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   intervals hold the truth as often as they say, tests are wrong no more often than they
 *         say, and one site that grew by a fifth among 200 that did not is found, and only it.
 * Method: quantiles against printed tables; then simulated heaps of known truth, sampled as the
 *         profiler does: each object with probability 1 - exp(-Z/R), fixed seed.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/special.h"
#include "tools/symbolize/stats.h"

#include <math.h>
#include <string.h>

enum { UNCHANGED_COUNT = 200, ROW_COUNT = UNCHANGED_COUNT + 1, REPETITION_COUNT = 100 };
static const double interval_bytes = 524288;

static void near(double have, double want, double relative) {
    ck_assert_msg(fabs(have - want) <= relative * fabs(want), "%.12g instead of %.12g", have, want);
}

/* Tables of Abramowitz and Stegun, 26.8 and 26.10, and R 4.2. */
START_TEST(distribution_functions_are_those_of_the_tables) {
    near(2 * sy_gamma_quantile(1, 0.975), 7.377759, 1e-6);
    near(2 * sy_gamma_quantile(5, 0.025), 3.246973, 1e-6);
    near(2 * sy_gamma_quantile(50, 0.975), 129.5612, 1e-6);
    near(sy_gamma_p(0.5, 0.5), 0.6826894921, 1e-9);
    near(sy_gamma_p(10, 25), 0.99977852336, 1e-9);
    near(sy_gamma_p(99999, 100000), sy_gamma_p(100001, 100002),
         1e-4); /* either side of the limit */
    near(sy_beta_i(2, 3, 0.5), 0.6875, 1e-12);
    near(sy_beta_i(0.5, 0.5, 0.25), 1.0 / 3, 1e-9);
    near(sy_beta_i(99990, 100010, 0.5), sy_beta_i(100001, 100021, 0.5), 1e-5);
    near(sy_student_two_sided(2.776445, 4), 0.05, 1e-6);
    near(sy_student_two_sided(1.959964, (double)INFINITY), 0.05, 1e-6);
    near(sy_student_quantile(0.01, 10), 3.169273, 1e-6);
    near(sy_digamma(1), -0.57721566490, 1e-9);
    near(sy_trigamma(1), 1.64493406685, 1e-9);
    near(sy_trigamma(sy_trigamma_inverse(0.3)), 0.3, 1e-9);
    ck_assert(sy_beta_i(0, 3, 0.5) == 1 && sy_beta_i(3, 0, 0.5) == 0);
    ck_assert(isnan(sy_gamma_p(0, 1)) && isnan(sy_beta_i(1, 1, 2)));
}
END_TEST

static double uniform(uint64_t *state) {
    return ((double)(suite_random(state) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *state) {
    return sqrt(-2 * log(uniform(state))) * cos(2 * M_PI * uniform(state));
}

/* What sampling sees of object_count objects of size_bytes: geometric gaps between samples. */
static struct sy_estimate sampled(double object_count, double size_bytes, uint64_t *state) {
    const double seen = -expm1(-size_bytes / interval_bytes);
    const double missed = 1 - seen;
    double count = 0;

    for (double at = floor(log(uniform(state)) / log(missed)) + 1; at <= object_count;
         at += floor(log(uniform(state)) / log(missed)) + 1) {
        count++;
    }
    const double weight_bytes = size_bytes / seen;
    return (struct sy_estimate){
        .value = count * weight_bytes,
        .variance = count * weight_bytes * weight_bytes * missed,
        .weight_max = count > 0 ? weight_bytes * sqrt(missed) : 0,
    };
}

START_TEST(an_exact_value_has_no_interval) {
    const struct sy_estimate exact = {.value = 100};
    const struct sy_estimate more = {.value = 101};
    const struct sy_interval interval = sy_stats_difference(&exact, &more, 0.05);

    ck_assert(interval.low == 1 && interval.high == 1);
    ck_assert(sy_stats_same(&exact, &exact, 1, 1) == 1);
    ck_assert(sy_stats_same(&exact, &more, 1, 1) == 0);
    const struct sy_estimate twice = {.value = 200};
    ck_assert(sy_stats_same(&exact, &twice, 1, 2) == 1);
}
END_TEST

/* One size and p near 0: the exact Poisson interval, of 0 samples 3.69 of them. */
START_TEST(intervals_are_poissons_for_one_small_size) {
    const struct sy_estimate none = {.weight_max = 1};
    const struct sy_estimate ten = {.value = 10, .variance = 10, .weight_max = 1};

    near(sy_stats_interval(&none, 0.05).high, 3.688879, 1e-6);
    ck_assert(sy_stats_interval(&none, 0.05).low == 0);
    near(sy_stats_interval(&ten, 0.05).low, 4.795389, 1e-6);
    near(sy_stats_interval(&ten, 0.05).high, 18.390356, 1e-6);
    /* 0 against 5 samples is the smallest rise that shows. */
    const struct sy_estimate five = {.value = 5, .variance = 5, .weight_max = 1};
    const struct sy_estimate four = {.value = 4, .variance = 4, .weight_max = 1};
    near(sy_stats_same(&none, &five, 1, 1), 2 * 0.5 / 32, 1e-9);
    ck_assert(sy_stats_same(&none, &four, 1, 1) > 0.05);
}
END_TEST

/* 1,000 heaps a size: 95 % intervals hold the truth in 92.5 % or more, p < 5 % in 7.5 % or less:
 * three standard deviations of the simulation itself.
 */
START_TEST(intervals_hold_and_tests_err_as_often_as_they_say) {
    static const double sizes_bytes[] = {64, 4096, 262144, 1048576};
    static const double expected_counts[] = {3, 10, 100};
    uint64_t state = suite_seed(20261);

    for (size_t at = 0; at < SY_ARRAY_COUNT(sizes_bytes) * SY_ARRAY_COUNT(expected_counts); at++) {
        const double size = sizes_bytes[at % SY_ARRAY_COUNT(sizes_bytes)];
        const double expected = expected_counts[at / SY_ARRAY_COUNT(sizes_bytes)];
        const double objects = ceil(expected / -expm1(-size / interval_bytes));
        uint32_t outside_count = 0;
        uint32_t outside_delta_count = 0;
        uint32_t rejected_count = 0;
        for (uint32_t repetition = 0; repetition < 1000; repetition++) {
            const struct sy_estimate a = sampled(objects, size, &state);
            const struct sy_estimate b = sampled(objects, size, &state);
            const struct sy_interval interval = sy_stats_interval(&a, 0.05);
            const struct sy_interval delta = sy_stats_difference(&a, &b, 0.05);
            const double truth = objects * size;
            outside_count += a.value > 0 && (interval.low > truth || interval.high < truth);
            outside_delta_count += delta.low > 0 || delta.high < 0;
            rejected_count += sy_stats_same(&a, &b, 1, 1) < 0.05;
        }
        ck_assert_msg(outside_count <= 75, "%g objects of %g: %u outside", objects, size,
                      outside_count);
        ck_assert_msg(outside_delta_count <= 75, "%g of %g: %u deltas", objects, size,
                      outside_delta_count);
        ck_assert_msg(rejected_count <= 75, "%g of %g: %u rejected", objects, size, rejected_count);
    }
}
END_TEST

START_TEST(q_values_are_benjamini_and_hochbergs) {
    const double p[] = {0.01, 0.04, 0.03, 0.005, 0.9};
    const double want[] = {0.025, 0.05, 0.05, 0.025, 0.9};
    double q[SY_ARRAY_COUNT(p)];

    ck_assert(sy_stats_adjust(p, SY_ARRAY_COUNT(p), q));
    for (size_t i = 0; i < SY_ARRAY_COUNT(p); i++) {
        near(q[i], want[i], 1e-12);
    }
    ck_assert(sy_stats_adjust(NULL, 0, NULL));
}
END_TEST

/* 201 sites of many sizes; the last has grown by a fifth. Each run's load is off by noise. */
static void fill_runs(struct sy_estimate *runs, size_t runs_a_side, double noise, uint64_t *state) {
    for (size_t row = 0; row < ROW_COUNT; row++) {
        const bool is_grown = row == UNCHANGED_COUNT;
        const double size = is_grown ? 4096 : ldexp(16, (int)(row % 16));
        const double expected = is_grown ? 4000 : 20 * (double)(1 + row % 10);
        const double objects = ceil(expected / -expm1(-size / interval_bytes));
        for (size_t run = 0; run < 2 * runs_a_side; run++) {
            const double growth = is_grown && run >= runs_a_side ? 1.2 : 1;
            const double load = 1 + noise * normal(state);
            runs[row * 2 * runs_a_side + run] = sampled(objects * growth * load, size, state);
        }
    }
}

/* Over the repetitions: how often the grown site is found, and the mean share of false ones. */
static void find_growth(size_t runs_a_side, double noise, uint64_t *state) {
    struct sy_estimate *const runs = calloc(ROW_COUNT * 2 * runs_a_side, sizeof(*runs));
    struct sy_comparison rows[ROW_COUNT];
    uint32_t found_count = 0;
    double false_share = 0;

    ck_assert_ptr_nonnull(runs);
    for (uint32_t repetition = 0; repetition < REPETITION_COUNT; repetition++) {
        uint32_t false_count = 0;
        fill_runs(runs, runs_a_side, noise, state);
        ck_assert(sy_stats_compare(runs, ROW_COUNT, runs_a_side, runs_a_side, rows));
        for (size_t row = 0; row < UNCHANGED_COUNT; row++) {
            false_count += rows[row].q < 0.05;
        }
        const bool is_found = rows[UNCHANGED_COUNT].q < 0.05;
        found_count += is_found;
        ck_assert(!is_found || rows[UNCHANGED_COUNT].interval.low > 0);
        if (false_count > 0) {
            false_share += (double)false_count / (double)(false_count + is_found);
        }
    }
    free(runs);
    printf("%zu runs a side, noise %g: found in %u of %d, false discoveries %.1f %%\n", runs_a_side,
           noise, found_count, REPETITION_COUNT, false_share);
    ck_assert_uint_eq(found_count, REPETITION_COUNT);
    ck_assert(false_share / REPETITION_COUNT <= 0.05);
}

START_TEST(one_regression_among_200_is_found_with_one_run_each) {
    uint64_t state = suite_seed(20262);
    find_growth(1, 0, &state);
}
END_TEST

/* 3 % of noise from run to run: sampling alone would find it at every hot site. */
START_TEST(one_regression_among_200_is_found_with_three_noisy_runs_each) {
    uint64_t state = suite_seed(20263);
    find_growth(3, 0.03, &state);
}
END_TEST

/* Exact counts, where noise is all there is. */
START_TEST(run_to_run_noise_is_no_regression) {
    uint64_t state = suite_seed(20264);
    struct sy_estimate runs[50][6] = {0};
    struct sy_comparison rows[50];
    uint32_t false_count = 0;

    for (uint32_t repetition = 0; repetition < REPETITION_COUNT; repetition++) {
        for (size_t row = 0; row < 50; row++) {
            for (size_t run = 0; run < 6; run++) {
                runs[row][run].value = 1e6 * (double)(row + 1) * (1 + 0.1 * normal(&state));
            }
        }
        ck_assert(sy_stats_compare(runs[0], 50, 3, 3, rows));
        bool is_any = false;
        for (size_t row = 0; row < 50; row++) {
            is_any |= rows[row].q < 0.05;
            ck_assert(rows[row].interval.low <= rows[row].interval.high);
        }
        false_count += is_any;
    }
    ck_assert_uint_le(false_count, 10);
    ck_assert(!sy_stats_compare(runs[0], 50, 0, 6, rows));
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("stats");

    tcase_add_test(tcase, distribution_functions_are_those_of_the_tables);
    tcase_add_test(tcase, an_exact_value_has_no_interval);
    tcase_add_test(tcase, intervals_are_poissons_for_one_small_size);
    tcase_add_test(tcase, intervals_hold_and_tests_err_as_often_as_they_say);
    tcase_add_test(tcase, q_values_are_benjamini_and_hochbergs);
    tcase_add_test(tcase, one_regression_among_200_is_found_with_one_run_each);
    tcase_add_test(tcase, one_regression_among_200_is_found_with_three_noisy_runs_each);
    tcase_add_test(tcase, run_to_run_noise_is_no_regression);
    return suite_run(tcase, "stats", 60);
}
