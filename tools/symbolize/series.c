/* SPDX-License-Identifier: BSD-2-Clause
 *
 * series — dumps share objects, so that a trend test sees growth in anything that ever rose. What
 * decides is whether the second half still grows more than births and deaths would by chance,
 * whether its last quarter does, and whether the lowest points rise as well.
 */
#include "tools/symbolize/series.h"

#include "tools/symbolize/special.h"
#include "tools/symbolize/stats.h"

#include <math.h>
#include <stdlib.h>

static const double alpha = 0.05;
/* The last quarter is short, and the lowest points are two of many: they need only look like
 * growth, for what they are to refuse is growth that has stopped.
 */
static const double quarter_p_max = 0.3;
static const double lowest_p_max = 0.1;
/* More deaths than this share of births is no plain leak. */
static const double death_share_max = 0.2;

struct site {
    const struct sy_point *points;
    size_t dump_count;
    bool is_born_known;
};

/* What was born and what died from one dump to another. Without totals only what shows: a birth and
 * a death between two dumps cancel.
 */
static void count_changes(const struct site *site, size_t from, size_t to, double *births,
                          double *deaths) {
    const struct sy_point *const points = site->points;

    *births = 0;
    *deaths = 0;
    for (size_t at = from + 1; at <= to; at++) {
        const double change = points[at].live - points[at - 1].live;
        const double born = site->is_born_known ? points[at].born - points[at - 1].born : change;
        *births += fmax(0, fmax(born, change));
        *deaths += fmax(0, fmax(born, change) - change);
    }
}

/* That `to` holds more than `from` by chance, one-sided. Of two bounds on the variance of the
 * change the smaller: births and deaths, or what either end holds.
 */
static double growth_p(const struct site *site, size_t from, size_t to) {
    const double before = site->points[from].live;
    const double after = site->points[to].live;
    double births = 0;
    double deaths = 0;

    count_changes(site, from, to, &births, &deaths);
    if (after <= before) {
        return 1;
    }
    const bool is_by_changes = site->is_born_known && births + deaths < before + after;
    const double low = is_by_changes ? deaths : before;
    const double high = is_by_changes ? births : after;
    const struct sy_estimate a = {.value = low, .variance = low, .weight_max = 1};
    const struct sy_estimate b = {.value = high, .variance = high, .weight_max = 1};
    return sy_stats_same(&a, &b, 1, 1) / 2;
}

/* Where the least is held from one dump up to another. */
static size_t lowest(const struct site *site, size_t from, size_t to) {
    size_t best = from;
    for (size_t at = from; at <= to; at++) {
        if (site->points[at].live < site->points[best].live) {
            best = at;
        }
    }
    return best;
}

static int compare_doubles(const void *a_ptr, const void *b_ptr) {
    const double a = *(const double *)a_ptr;
    const double b = *(const double *)b_ptr;
    return (a > b) - (a < b);
}

/* Theil's slope with Sen's interval, and Mann and Kendall's test. `slopes` has room for all pairs.
 */
static void note_slope(struct sy_trend *trend, const struct site *site, double *slopes) {
    const size_t count = site->dump_count;
    const double n = (double)count;
    size_t pair_count = 0;
    double sign_sum = 0;

    for (size_t from = 0; from < count; from++) {
        for (size_t to = from + 1; to < count; to++) {
            const double rise = site->points[to].live - site->points[from].live;
            slopes[pair_count++] = rise / (double)(to - from);
            sign_sum += (rise > 0) - (rise < 0);
        }
    }
    qsort(slopes, pair_count, sizeof(*slopes), compare_doubles);
    const double variance = n * (n - 1) * (2 * n + 5) / 18;
    const double reach = sy_student_quantile(alpha, (double)INFINITY) * sqrt(variance);
    const double low = floor(((double)pair_count - reach) / 2);
    const double high = ceil(((double)pair_count + reach) / 2);
    trend->slope = pair_count % 2 == 1 ? slopes[pair_count / 2]
                                       : (slopes[pair_count / 2 - 1] + slopes[pair_count / 2]) / 2;
    trend->slope_low = slopes[low > 0 ? (size_t)low : 0];
    trend->slope_high = slopes[high < (double)pair_count ? (size_t)high : pair_count - 1];
    const double z = sign_sum == 0 ? 0 : (fabs(sign_sum) - 1) / sqrt(variance);
    trend->trend_p = sy_student_two_sided(z, (double)INFINITY);
}

/* Deaths in the exposure of all that was held: the Poisson bound on the rate, turned over. */
static double age_low_of(const struct site *site, size_t from, double deaths) {
    double exposure = 0;

    for (size_t at = from + 1; at < site->dump_count; at++) {
        exposure += (site->points[at - 1].live + site->points[at].live) / 2;
    }
    return exposure / sy_gamma_quantile(deaths + 1, 1 - alpha / 2);
}

/* What kind of growth it is, once chance is ruled out. */
static enum sy_growth kind_of(const struct site *site, const struct sy_trend *trend) {
    const size_t last = site->dump_count - 1;
    const size_t low_before = lowest(site, last / 3, last * 2 / 3);
    const size_t low_after = lowest(site, last * 2 / 3 + 1, last);

    if (growth_p(site, low_before, low_after) > lowest_p_max) {
        return SY_GROWTH_FALLS;
    }
    if (growth_p(site, last * 3 / 4, last) > quarter_p_max) {
        return SY_GROWTH_ENDED;
    }
    return trend->deaths <= death_share_max * trend->births ? SY_GROWTH_SUSPECT
                                                            : SY_GROWTH_TURNOVER;
}

static bool has_births(const struct sy_point *points, size_t dump_count) {
    for (size_t at = 0; at < dump_count; at++) {
        if (points[at].born > 0) {
            return true;
        }
    }
    return false;
}

static void judge(struct sy_trend *trend, const struct site *site, double *slopes) {
    const size_t last = site->dump_count - 1;
    const size_t half = last / 2;

    *trend = (struct sy_trend){0};
    note_slope(trend, site, slopes);
    count_changes(site, half, last, &trend->births, &trend->deaths);
    trend->age_low = age_low_of(site, half, trend->deaths);
    trend->p = growth_p(site, half, last);
}

/* q-values, and then what each growth is. */
static bool judge_all(const struct sy_point *points, size_t site_count, size_t dump_count,
                      struct sy_trend *trends) {
    double *const values = calloc(2 * site_count + 1, sizeof(*values));

    if (values == NULL) {
        return false;
    }
    for (size_t i = 0; i < site_count; i++) {
        values[i] = trends[i].p;
    }
    const bool is_ok = sy_stats_adjust(values, site_count, values + site_count);
    for (size_t i = 0; is_ok && i < site_count; i++) {
        const struct site site = {.points = points + i * dump_count,
                                  .dump_count = dump_count,
                                  .is_born_known = has_births(points + i * dump_count, dump_count)};
        trends[i].q = values[site_count + i];
        if (trends[i].q < alpha) {
            trends[i].growth = kind_of(&site, &trends[i]);
        } else if (trends[i].trend_p < alpha && trends[i].slope > 0) {
            trends[i].growth = SY_GROWTH_ENDED;
        }
    }
    free(values);
    return is_ok;
}

bool sy_series_judge(const struct sy_point *points, size_t site_count, size_t dump_count,
                     struct sy_trend *trends) {
    if (dump_count < SY_SERIES_DUMPS_MIN || dump_count > SY_SERIES_DUMPS_MAX) {
        return false;
    }
    double *const slopes = malloc(dump_count * (dump_count - 1) / 2 * sizeof(*slopes));
    if (slopes == NULL) {
        return false;
    }
    for (size_t i = 0; i < site_count; i++) {
        const struct site site = {.points = points + i * dump_count,
                                  .dump_count = dump_count,
                                  .is_born_known = has_births(points + i * dump_count, dump_count)};
        judge(&trends[i], &site, slopes);
    }
    free(slopes);
    return judge_all(points, site_count, dump_count, trends);
}
