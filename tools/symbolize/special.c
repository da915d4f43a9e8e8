/* SPDX-License-Identifier: BSD-2-Clause
 *
 * special — series where they converge fast, continued fractions elsewhere, bisection for what is
 * asked backwards: a quantile is wanted a few thousand times a report, so plain and sure wins.
 */
#include "tools/symbolize/special.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

/* Past this the normal limits are exact enough, and fractions would take sqrt(a) steps. */
static const double normal_from = 1e5;
enum { STEP_COUNT_MAX = 10000, BISECTION_COUNT_MAX = 200 };

/* lgamma without the global sign that makes the plain one unsafe beside threads. */
static double log_gamma(double x) {
    int sign = 0;
    return lgamma_r(x, &sign);
}

static double normal_below(double z) {
    return 0.5 * erfc(-z / sqrt(2));
}

/* Wilson and Hilferty: the cube root of a gamma variable is nearly normal. */
static double gamma_p_normal(double a, double x) {
    const double spread = 1 / (9 * a);
    return normal_below((cbrt(x / a) - (1 - spread)) / sqrt(spread));
}

static double gamma_series(double a, double x) {
    double term = 1 / a;
    double sum = term;

    for (int step = 1; step < STEP_COUNT_MAX && fabs(term) > fabs(sum) * DBL_EPSILON; step++) {
        term *= x / (a + step);
        sum += term;
    }
    return sum * exp(-x + a * log(x) - log_gamma(a));
}

/* The upper part Q, by Lentz's method. */
static double gamma_fraction(double a, double x) {
    double b = x + 1 - a;
    double c = 1 / DBL_MIN;
    double d = 1 / b;
    double value = d;

    for (int step = 1; step < STEP_COUNT_MAX; step++) {
        const double factor = -step * (step - a);
        b += 2;
        d = factor * d + b;
        d = fabs(d) < DBL_MIN ? 1 / DBL_MIN : 1 / d;
        c = b + factor / c;
        c = fabs(c) < DBL_MIN ? DBL_MIN : c;
        value *= d * c;
        if (fabs(d * c - 1) < DBL_EPSILON) {
            break;
        }
    }
    return value * exp(-x + a * log(x) - log_gamma(a));
}

double sy_gamma_p(double a, double x) {
    if (!(a > 0) || !(x >= 0)) {
        return (double)NAN;
    }
    if (x == 0) {
        return 0;
    }
    if (a > normal_from) {
        return gamma_p_normal(a, x);
    }
    return x < a + 1 ? gamma_series(a, x) : 1 - gamma_fraction(a, x);
}

double sy_gamma_quantile(double a, double p) {
    double low = 0;
    double high = a + 10 * sqrt(a) + 10;

    if (!(a > 0) || !(p >= 0) || !(p < 1)) {
        return (double)NAN;
    }
    while (sy_gamma_p(a, high) < p && high < DBL_MAX / 4) {
        high *= 2;
    }
    for (int step = 0; step < BISECTION_COUNT_MAX && high - low > 1e-12 * high; step++) {
        const double mid = low + (high - low) / 2;
        if (sy_gamma_p(a, mid) < p) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low + (high - low) / 2;
}

/* Lentz's method on the fraction of 26.5.8; converges fast for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x) {
    double c = 1;
    double d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < DBL_MIN ? DBL_MIN : d);
    double value = d;

    for (int half = 2; half < 2 * STEP_COUNT_MAX; half++) {
        const double m = half / 2; /* whole steps: the even and the odd term share it */
        const double factor = half % 2 == 0
                                  ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                                  : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 + factor * d;
        d = 1 / (fabs(d) < DBL_MIN ? DBL_MIN : d);
        c = 1 + factor / c;
        c = fabs(c) < DBL_MIN ? DBL_MIN : c;
        value *= d * c;
        if (half % 2 == 1 && fabs(d * c - 1) < DBL_EPSILON) {
            break;
        }
    }
    return value;
}

/* 26.5.22, a normal limit that is good in the tails too. */
static double beta_i_normal(double a, double b, double x) {
    const double w1 = cbrt(b * x);
    const double w2 = cbrt(a * (1 - x));
    const double z =
        3 * (w1 * (1 - 1 / (9 * b)) - w2 * (1 - 1 / (9 * a))) / sqrt(w1 * w1 / b + w2 * w2 / a);
    return normal_below(z);
}

double sy_beta_i(double a, double b, double x) {
    if (!(a >= 0) || !(b >= 0) || !(x >= 0) || !(x <= 1)) {
        return (double)NAN;
    }
    if (a == 0 || x == 1) {
        return 1;
    }
    if (b == 0 || x == 0) {
        return 0;
    }
    if (a > normal_from && b > normal_from) {
        return beta_i_normal(a, b, x);
    }
    const double front =
        exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double sy_student_two_sided(double t, double degrees) {
    if (isinf(degrees) || degrees > 2 * normal_from) {
        return erfc(fabs(t) / sqrt(2));
    }
    return sy_beta_i(degrees / 2, 0.5, degrees / (degrees + t * t));
}

double sy_student_quantile(double p, double degrees) {
    double low = 0;
    double high = 1;

    while (sy_student_two_sided(high, degrees) > p && high < 1e12) {
        high *= 2;
    }
    for (int step = 0; step < BISECTION_COUNT_MAX && high - low > 1e-12 * high; step++) {
        const double mid = low + (high - low) / 2;
        if (sy_student_two_sided(mid, degrees) > p) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return low + (high - low) / 2;
}

double sy_digamma(double x) {
    double shift = 0;

    for (; x < 10; x++) {
        shift -= 1 / x;
    }
    const double y = 1 / (x * x);
    return shift + log(x) - 0.5 / x - y * (1.0 / 12 - y * (1.0 / 120 - y / 252));
}

double sy_trigamma(double x) {
    double shift = 0;

    for (; x < 10; x++) {
        shift += 1 / (x * x);
    }
    const double y = 1 / (x * x);
    return shift + 1 / x + y / 2 + y / x * (1.0 / 6 - y * (1.0 / 30 - y / 42));
}

double sy_trigamma_inverse(double y) {
    double low = 1e-8;
    double high = 1e8;

    /* It falls from infinity to 0: bisection on a log scale. */
    for (int step = 0; step < BISECTION_COUNT_MAX && high / low > 1 + 1e-12; step++) {
        const double mid = sqrt(low * high);
        if (sy_trigamma(mid) > y) {
            low = mid;
        } else {
            high = mid;
        }
    }
    return sqrt(low * high);
}
