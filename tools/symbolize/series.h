/* SPDX-License-Identifier: BSD-2-Clause
 *
 * series — whether what a site holds grows without end over a series of dumps: docs/LEAKS.md.
 *
 * Threads: none of its own.
 * Fails:   false without memory, or for a series too short to say anything.
 */
#ifndef SY_SERIES_H
#define SY_SERIES_H

#include "tools/symbolize/base.h"

enum { SY_SERIES_DUMPS_MIN = 6, SY_SERIES_DUMPS_MAX = 4096 };

/* One site in one dump, in effective samples: value / unit, where a unit is what one sample stands
 * for.
 */
struct sy_point {
    double live;
    double born; /* since profiling began; all 0: not known */
};

enum sy_growth {
    SY_GROWTH_NONE,     /* no more than chance */
    SY_GROWTH_ENDED,    /* it grew, and grows no more: warm-up, a cache that is full */
    SY_GROWTH_FALLS,    /* it falls back: a sawtooth */
    SY_GROWTH_SUSPECT,  /* it grows on, and most of what is born does not die */
    SY_GROWTH_TURNOVER, /* it grows on, while most of what is born dies */
};

struct sy_trend {
    enum sy_growth growth;
    double slope; /* Theil and Sen, samples a dump */
    double slope_low;
    double slope_high;
    double trend_p; /* Mann and Kendall, two-sided: a screen only */
    double births;  /* in the second half */
    double deaths;
    double age_low; /* objects live this many dumps or more, on average; 95 % */
    double p;       /* that the second half grew by chance */
    double q;       /* by Benjamini and Hochberg over all sites */
};

/* Judges site_count sites of dump_count points each, in time's order. */
SY_NODISCARD bool sy_series_judge(const struct sy_point *points, size_t site_count,
                                  size_t dump_count, struct sy_trend *trends);

#endif
