/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats — how far an estimate can be off, and whether two differ: docs/DIFF.md has the formulas.
 *
 * Threads: none of its own.
 * Fails:   false without memory.
 */
#ifndef SY_STATS_H
#define SY_STATS_H

#include "tools/symbolize/base.h"

/* What sampling says about one quantity. With variance and weight_max 0 it is exact. */
struct sy_estimate {
    double value;
    double variance;
    double weight_max; /* the largest (Z/p) sqrt(1-p) of a sample */
};

struct sy_interval {
    double low;
    double high;
};

/* The gamma interval of Fay and Feuer that holds the truth with probability 1 - alpha or more. */
struct sy_interval sy_stats_interval(const struct sy_estimate *estimate, double alpha);

/* An interval for fresh - base, both independent: MOVER on their two intervals. */
struct sy_interval sy_stats_difference(const struct sy_estimate *base,
                                       const struct sy_estimate *fresh, double alpha);

/* The two-sided mid-p of the hypothesis that base and fresh, seen for base_exposure and
 * fresh_exposure, have the same rate: the conditional binomial test on effective counts.
 */
double sy_stats_same(const struct sy_estimate *base, const struct sy_estimate *fresh,
                     double base_exposure, double fresh_exposure);

/* One site in two builds. */
struct sy_comparison {
    double base; /* means over the runs */
    double fresh;
    struct sy_interval interval; /* of fresh - base */
    double p;
    double q;              /* by Benjamini and Hochberg over all rows */
    double overdispersion; /* variance across runs / what sampling explains; NaN: not known */
};

/* Compares row_count sites, each base_count + fresh_count estimates, a run each, base first. With
 * more than two runs in all the variance across runs counts as well: a moderated t-test.
 */
SY_NODISCARD bool sy_stats_compare(const struct sy_estimate *runs, size_t row_count,
                                   size_t base_count, size_t fresh_count,
                                   struct sy_comparison *rows);

/* q-values of p-values: q[i] is the smallest false discovery rate at which i is a discovery. */
SY_NODISCARD bool sy_stats_adjust(const double *p, size_t count, double *q);

#endif
