/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats — two sources of noise, two tests, and a row must pass both: sampling alone (binomial), and
 * the runs' own variance (t), which only several runs can show.
 *
 * Three runs a build leave four degrees of freedom, too few to pass Benjamini-Hochberg among
 * hundreds of sites whatever the difference. So the sites lend each other strength: their ratios of
 * observed to explained variance come from one distribution, whose shape all sites together
 * estimate (Smyth, Linear models and empirical Bayes methods, 2004).
 */
#include "tools/symbolize/stats.h"

#include "tools/symbolize/special.h"

#include <math.h>
#include <stdlib.h>

static const double alpha_shown = 0.05;

/* Differences between runs below this share of a site's mean never count as noise to be explained:
 * without it an exact profile would have nothing to compare its variance with.
 */
static const double relative_floor = 0.01;

struct sy_interval sy_stats_interval(const struct sy_estimate *estimate, double alpha) {
    const double y = estimate->value;
    const double v = estimate->variance;
    const double w = estimate->weight_max;
    struct sy_interval interval = {.low = y, .high = y};

    if (w <= 0 || y < 0) {
        return interval;
    }
    interval.low = y > 0 && v > 0 ? v / y * sy_gamma_quantile(y * y / v, alpha / 2) : y;
    const double above = y + w;
    const double above_variance = v + w * w;
    interval.high =
        above_variance / above * sy_gamma_quantile(above * above / above_variance, 1 - alpha / 2);
    return interval;
}

/* Where nothing was sampled, one sample of the other side's kind might just have been missed. */
static struct sy_estimate with_weight_of(const struct sy_estimate *estimate,
                                         const struct sy_estimate *other) {
    struct sy_estimate filled = *estimate;
    if (filled.value == 0 && filled.weight_max == 0) {
        filled.weight_max = other->weight_max;
    }
    return filled;
}

struct sy_interval sy_stats_difference(const struct sy_estimate *base,
                                       const struct sy_estimate *fresh, double alpha) {
    const struct sy_estimate a = with_weight_of(base, fresh);
    const struct sy_estimate b = with_weight_of(fresh, base);
    const struct sy_interval ai = sy_stats_interval(&a, alpha);
    const struct sy_interval bi = sy_stats_interval(&b, alpha);
    const double delta = b.value - a.value;

    return (struct sy_interval){
        .low = delta - hypot(b.value - bi.low, ai.high - a.value),
        .high = delta + hypot(bi.high - b.value, a.value - ai.low),
    };
}

/* How many effective counts (of unit_bytes each) one sample is, 1 or more. For one size it is
 * 1 / (1-p), which is (weight_max / unit)^2. Of mixed sizes that would be far too much: no sample
 * that matters here weighs above 4 weight_max, for p = 0.94.
 */
static double lattice_of(double weight_max, double unit_bytes) {
    const double ratio = weight_max / unit_bytes;
    return fmax(1, fmin(ratio * ratio, 4 * ratio));
}

/* Mid-p assumes steps of one count. Where a sample is more, half of what it is more is given to the
 * hypothesis: 4 objects of which 2 were missed are no news.
 */
static double pulled_in(double count, double expected, double lattice) {
    const double slack = (lattice - 1) / 2;
    if (fabs(count - expected) <= slack) {
        return expected;
    }
    return count > expected ? count - slack : count + slack;
}

double sy_stats_same(const struct sy_estimate *base, const struct sy_estimate *fresh,
                     double base_exposure, double fresh_exposure) {
    const double sum = base->value + fresh->value;
    const double variance = base->variance + fresh->variance;
    const double share = fresh_exposure / (base_exposure + fresh_exposure);

    if (base->value < 0 || fresh->value < 0 || sum <= 0) {
        return 1;
    }
    if (variance <= 0) {
        return fabs(fresh->value / fresh_exposure - base->value / base_exposure) <=
                       1e-9 * sum / (base_exposure + fresh_exposure)
                   ? 1
                   : 0;
    }
    /* The Poisson count that would vary as much, in relation to itself. */
    const double count = sum * sum / variance;
    const double fresh_count =
        pulled_in(count * (fresh->value / sum), count * share,
                  lattice_of(fmax(base->weight_max, fresh->weight_max), variance / sum));
    const double above = (sy_beta_i(fresh_count, count - fresh_count + 1, share) +
                          sy_beta_i(fresh_count + 1, count - fresh_count, share)) /
                         2;
    return fmin(1, 2 * fmin(above, 1 - above));
}

/* ---- several runs ---- */

/* One row's runs, boiled down. */
struct row {
    struct sy_estimate base; /* sums over the runs */
    struct sy_estimate fresh;
    double variance; /* across runs, pooled over both builds */
    double unit;     /* what sampling and the floor explain of it */
};

/* The distribution that all rows' variance / unit come from. */
struct prior {
    double degrees;
    double ratio;
};

static struct sy_estimate sum_of(const struct sy_estimate *runs, size_t count, double *squares) {
    struct sy_estimate sum = {0};

    for (size_t run = 0; run < count; run++) {
        sum.value += runs[run].value;
        sum.variance += runs[run].variance;
        sum.weight_max = fmax(sum.weight_max, runs[run].weight_max);
    }
    for (size_t run = 0; run < count; run++) {
        const double off = runs[run].value - sum.value / (double)count;
        *squares += off * off;
    }
    return sum;
}

static struct row row_of(const struct sy_estimate *runs, size_t base_count, size_t fresh_count) {
    const double count = (double)(base_count + fresh_count);
    struct row row = {0};
    double squares = 0;

    row.base = sum_of(runs, base_count, &squares);
    row.fresh = sum_of(runs + base_count, fresh_count, &squares);
    row.variance = count > 2 ? squares / (count - 2) : 0;
    const double floor_part = relative_floor * (row.base.value + row.fresh.value) / count;
    row.unit = (row.base.variance + row.fresh.variance) / count + floor_part * floor_part;
    return row;
}

/* Smyth's estimate: log ratios have a variance of trigamma(degrees / 2), and the prior's on top. */
static struct prior prior_of(const struct row *rows, size_t row_count, double degrees) {
    struct prior prior = {.degrees = 0, .ratio = 1};
    double sum = 0;
    double square_sum = 0;
    double count = 0;

    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].unit <= 0) {
            continue;
        }
        /* A ratio of 0 is a run repeated exactly; its logarithm must not drown the others. */
        const double ratio = fmax(rows[i].variance / rows[i].unit, 1e-4);
        const double level = log(ratio) - sy_digamma(degrees / 2) + log(degrees / 2);
        sum += level;
        square_sum += level * level;
        count++;
    }
    if (count < 3) {
        return prior;
    }
    const double mean = sum / count;
    const double excess =
        (square_sum - count * mean * mean) / (count - 1) - sy_trigamma(degrees / 2);
    prior.degrees = excess > 0 ? 2 * sy_trigamma_inverse(excess) : (double)INFINITY;
    prior.ratio = exp(mean);
    if (!isinf(prior.degrees)) {
        prior.ratio *= exp(sy_digamma(prior.degrees / 2) - log(prior.degrees / 2));
    }
    return prior;
}

static double moderated_ratio(const struct row *row, double degrees, const struct prior *prior) {
    if (row->unit <= 0) {
        return 0;
    }
    const double ratio = row->variance / row->unit;
    if (isinf(prior->degrees)) {
        return prior->ratio;
    }
    return (prior->degrees * prior->ratio + degrees * ratio) / (prior->degrees + degrees);
}

static void widen(struct sy_interval *interval, double center, double half) {
    interval->low = fmin(interval->low, center - half);
    interval->high = fmax(interval->high, center + half);
}

/* The runs' own test: p becomes the larger of both, the interval the wider. */
static void compare_runs(struct sy_comparison *out, const struct row *row, size_t base_count,
                         size_t fresh_count, const struct prior *prior) {
    const double degrees = (double)(base_count + fresh_count - 2);
    const double sampling =
        (row->base.variance + row->fresh.variance) / (double)(base_count + fresh_count);
    const double variance = fmax(moderated_ratio(row, degrees, prior) * row->unit, sampling);
    const double error = sqrt(variance * (1 / (double)base_count + 1 / (double)fresh_count));
    const double delta = out->fresh - out->base;

    out->overdispersion = sampling > 0 ? row->variance / sampling : (double)NAN;
    if (error > 0) {
        const double all_degrees = degrees + prior->degrees;
        out->p = fmax(out->p, sy_student_two_sided(delta / error, all_degrees));
        widen(&out->interval, delta, error * sy_student_quantile(alpha_shown, all_degrees));
    }
}

static void compare_row(struct sy_comparison *out, const struct row *row, size_t base_count,
                        size_t fresh_count) {
    const double base_runs = (double)base_count;
    const double fresh_runs = (double)fresh_count;
    const struct sy_estimate base = {row->base.value / base_runs,
                                     row->base.variance / (base_runs * base_runs),
                                     row->base.weight_max / base_runs};
    const struct sy_estimate fresh = {row->fresh.value / fresh_runs,
                                      row->fresh.variance / (fresh_runs * fresh_runs),
                                      row->fresh.weight_max / fresh_runs};

    *out = (struct sy_comparison){.base = base.value, .fresh = fresh.value};
    out->overdispersion = (double)NAN;
    out->interval = sy_stats_difference(&base, &fresh, alpha_shown);
    out->p = sy_stats_same(&row->base, &row->fresh, base_runs, fresh_runs);
}

static bool adjust_rows(struct sy_comparison *rows, size_t row_count) {
    double *const values = malloc((2 * row_count + 1) * sizeof(*values));

    if (values == NULL) {
        return false;
    }
    for (size_t i = 0; i < row_count; i++) {
        values[i] = rows[i].p;
    }
    const bool is_ok = sy_stats_adjust(values, row_count, values + row_count);
    for (size_t i = 0; is_ok && i < row_count; i++) {
        rows[i].q = values[row_count + i];
    }
    free(values);
    return is_ok;
}

bool sy_stats_compare(const struct sy_estimate *runs, size_t row_count, size_t base_count,
                      size_t fresh_count, struct sy_comparison *rows) {
    const size_t run_count = base_count + fresh_count;
    struct row *const sums = malloc((row_count + 1) * sizeof(*sums));

    if (sums == NULL || base_count == 0 || fresh_count == 0) {
        free(sums);
        return false;
    }
    for (size_t i = 0; i < row_count; i++) {
        sums[i] = row_of(runs + i * run_count, base_count, fresh_count);
        compare_row(&rows[i], &sums[i], base_count, fresh_count);
    }
    if (run_count > 2) {
        const struct prior prior = prior_of(sums, row_count, (double)(run_count - 2));
        for (size_t i = 0; i < row_count; i++) {
            compare_runs(&rows[i], &sums[i], base_count, fresh_count, &prior);
        }
    }
    free(sums);
    return adjust_rows(rows, row_count);
}

/* ---- many rows ---- */

struct ranked {
    double p;
    size_t idx;
};

static int compare_ranked(const void *a_ptr, const void *b_ptr) {
    const struct ranked *const a = a_ptr;
    const struct ranked *const b = b_ptr;
    return (a->p > b->p) - (a->p < b->p);
}

bool sy_stats_adjust(const double *p, size_t count, double *q) {
    struct ranked *const ranked = malloc((count + 1) * sizeof(*ranked));
    double least = 1;

    if (ranked == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        ranked[i] = (struct ranked){.p = p[i], .idx = i};
    }
    qsort(ranked, count, sizeof(*ranked), compare_ranked);
    for (size_t rank = count; rank > 0; rank--) {
        least = fmin(least, ranked[rank - 1].p * (double)count / (double)rank);
        q[ranked[rank - 1].idx] = least;
    }
    free(ranked);
    return true;
}
