/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what leaks is called a leak; what is warm, full, sawing or at rest is not.
 * Method: simulated sites of known truth, 20 dumps, 40 live samples, fixed seed; every truth alone
 *         at 5 %, 300 times, and the rates of alarm against bounds.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/series.h"

#include <math.h>
#include <string.h>

enum { DUMP_COUNT = 20, REPETITION_COUNT = 300, OBJECT_COUNT_MAX = 20000, STEPS_A_DUMP = 20 };

static double uniform(uint64_t *state) {
    return ((double)(suite_random(state) >> 11) + 0.5) / 9007199254740992.0;
}

static uint32_t poisson(uint64_t *state, double mean) {
    const double limit = exp(-mean);
    uint32_t count = 0;
    for (double product = uniform(state); product > limit; product *= uniform(state)) {
        count++;
    }
    return count;
}

/* Sampled objects by birth and death, in dumps. */
struct heap {
    double born[OBJECT_COUNT_MAX];
    double dies[OBJECT_COUNT_MAX];
    uint32_t count;
};

static struct heap heap;

static void add(double born, double dies) {
    ck_assert_uint_lt(heap.count, OBJECT_COUNT_MAX);
    heap.born[heap.count] = born;
    heap.dies[heap.count++] = dies;
}

/* `rate` objects a dump from `from` on, of exponential lifetime. */
static void churn(uint64_t *state, double rate, double lifetime, double from) {
    for (double at = from; at < DUMP_COUNT; at += 1.0 / STEPS_A_DUMP) {
        for (uint32_t left = poisson(state, rate / STEPS_A_DUMP); left > 0; left--) {
            add(at, at - lifetime * log(uniform(state)));
        }
    }
}

static void leak(uint64_t *state, double rate) {
    for (double at = 0; at < DUMP_COUNT; at += 1.0 / STEPS_A_DUMP) {
        for (uint32_t left = poisson(state, rate / STEPS_A_DUMP); left > 0; left--) {
            add(at, (double)INFINITY);
        }
    }
}

/* Holds the newest `bound` of `rate` a dump. */
static void cache(uint64_t *state, double rate, uint32_t bound) {
    const uint32_t first = heap.count;
    for (double at = 0; at < DUMP_COUNT; at += 1.0 / STEPS_A_DUMP) {
        for (uint32_t left = poisson(state, rate / STEPS_A_DUMP); left > 0; left--) {
            add(at, (double)INFINITY);
            if (heap.count - first > bound) {
                heap.dies[heap.count - 1 - bound] = at;
            }
        }
    }
}

/* Grows by `rate` a dump, and is emptied every `period` dumps. */
static void sawtooth(uint64_t *state, double rate, double period, double phase) {
    for (double at = 0; at < DUMP_COUNT; at += 1.0 / STEPS_A_DUMP) {
        for (uint32_t left = poisson(state, rate / STEPS_A_DUMP); left > 0; left--) {
            add(at, period * (floor((at + phase) / period) + 1) - phase);
        }
    }
}

static void read_points(struct sy_point points[DUMP_COUNT], bool is_born_known) {
    for (uint32_t dump = 0; dump < DUMP_COUNT; dump++) {
        points[dump] = (struct sy_point){0};
        for (uint32_t i = 0; i < heap.count; i++) {
            const bool is_born = heap.born[i] <= dump + 0.5;
            points[dump].born += is_born && is_born_known;
            points[dump].live += is_born && heap.dies[i] > dump + 0.5;
        }
    }
}

enum truth {
    REST_SHORT,
    REST_LONG,
    WARM_UP,
    CACHE,
    SAWTOOTH,
    LEAK_4,
    LEAK_1_PURE,
    SLOW,
    TRUTH_COUNT
};

static void make(enum truth truth, uint64_t *state) {
    heap.count = 0;
    switch (truth) {
    case REST_SHORT:
        churn(state, 40, 1, -10);
        break;
    case REST_LONG:
        churn(state, 8, 5, -40);
        break;
    case WARM_UP:
        churn(state, 8, 5, 0);
        break;
    case CACHE:
        cache(state, 8, 40);
        break;
    case SAWTOOTH:
        sawtooth(state, 20, 4, 4 * uniform(state));
        break;
    case LEAK_4:
        churn(state, 8, 5, -40);
        leak(state, 4);
        break;
    case LEAK_1_PURE:
        leak(state, 1);
        break;
    default:
        churn(state, 40, 1, -10);
        leak(state, 4);
        break;
    }
}

/* How often of 100 a site of this truth is called growing. */
static double alarms(enum truth truth, bool is_born_known, uint64_t *state) {
    struct sy_point points[DUMP_COUNT];
    struct sy_trend trend;
    double count = 0;

    for (uint32_t repetition = 0; repetition < REPETITION_COUNT; repetition++) {
        make(truth, state);
        read_points(points, is_born_known);
        ck_assert(sy_series_judge(points, 1, DUMP_COUNT, &trend));
        ck_assert(trend.slope_low <= trend.slope && trend.slope <= trend.slope_high);
        ck_assert(trend.births >= 0 && trend.deaths >= 0 && trend.age_low >= 0);
        count += trend.growth >= SY_GROWTH_SUSPECT;
    }
    return 100 * count / REPETITION_COUNT;
}

START_TEST(leaks_are_found_and_the_rest_is_left_alone) {
    static const struct {
        const char *name;
        double percent_min;
        double percent_max;
    } bounds[TRUTH_COUNT] = {
        [REST_SHORT] = {"at rest, lifetime 1", 0, 4},
        [REST_LONG] = {"at rest, lifetime 5", 0, 4},
        [WARM_UP] = {"warm-up", 0, 6},
        [CACHE] = {"cache filling", 0, 1},
        [SAWTOOTH] = {"sawtooth", 0, 4},
        [LEAK_4] = {"leak of 4 a dump", 75, 100},
        [LEAK_1_PURE] = {"leak of 1 a dump", 60, 100},
        [SLOW] = {"leak of 4 among 40", 60, 100},
    };
    uint64_t state = suite_seed(20265);

    for (int truth = 0; truth < TRUTH_COUNT; truth++) {
        const double known = alarms((enum truth)truth, true, &state);
        const double unknown = alarms((enum truth)truth, false, &state);
        printf("%-20s %5.1f %% with totals, %5.1f %% without\n", bounds[truth].name, known,
               unknown);
        ck_assert_msg(known >= bounds[truth].percent_min && known <= bounds[truth].percent_max,
                      "%s: %g %%", bounds[truth].name, known);
        ck_assert_msg(unknown <= bounds[truth].percent_max, "%s without totals: %g %%",
                      bounds[truth].name, unknown);
    }
}
END_TEST

START_TEST(numbers_are_those_of_a_site_worked_out_by_hand) {
    struct sy_point points[8];
    struct sy_trend trend;

    for (uint32_t at = 0; at < 8; at++) {
        points[at] = (struct sy_point){.live = 3 * at, .born = 3 * at};
    }
    ck_assert(sy_series_judge(points, 1, 8, &trend));
    ck_assert(trend.slope == 3 && trend.slope_low == 3 && trend.slope_high == 3);
    ck_assert(trend.births == 12 && trend.deaths == 0);
    ck_assert(fabs(trend.p - pow(0.5, 13)) < 1e-12 && trend.q == trend.p);
    /* 3 to 7: 10.5 + 13.5 + 16.5 + 19.5 sample-dumps, and no death: 60 / 3.69. */
    ck_assert(fabs(trend.age_low - 60 / 3.688879) < 1e-4);
    ck_assert(trend.growth == SY_GROWTH_SUSPECT);
    ck_assert(!sy_series_judge(points, 1, SY_SERIES_DUMPS_MIN - 1, &trend));
    for (uint32_t at = 0; at < 8; at++) {
        points[at] = (struct sy_point){0};
    }
    ck_assert(sy_series_judge(points, 1, 8, &trend) && trend.growth == SY_GROWTH_NONE);
    ck_assert(trend.p == 1 && trend.age_low == 0);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("series");

    tcase_add_test(tcase, leaks_are_found_and_the_rest_is_left_alone);
    tcase_add_test(tcase, numbers_are_those_of_a_site_worked_out_by_hand);
    return suite_run(tcase, "series", 60);
}
