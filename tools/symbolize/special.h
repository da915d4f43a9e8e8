/* SPDX-License-Identifier: BSD-2-Clause
 *
 * special — the few distribution functions that intervals and tests stand on.
 *
 * Threads: none of its own.
 * Fails:   never; arguments outside the stated ranges give NaN, or the nearest bound.
 * Source:  Abramowitz and Stegun, Handbook of Mathematical Functions, 6.5, 26.5 and 26.7; relative
 *          errors are below 1e-9 up to a = 1e5, beyond that below 1e-6 by the normal limits of
 *          26.4.17 and 26.5.22.
 */
#ifndef SY_SPECIAL_H
#define SY_SPECIAL_H

/* The regularised lower incomplete gamma function P(a, x), a > 0, x >= 0. */
double sy_gamma_p(double a, double x);

/* x with P(a, x) = p. Half of it is a chi-square quantile of 2a degrees. */
double sy_gamma_quantile(double a, double p);

/* The regularised incomplete beta function I_x(a, b); a = 0 gives 1, b = 0 gives 0. */
double sy_beta_i(double a, double b, double x);

/* P(|T| >= |t|) and the t with P(|T| >= t) = p, of Student's t. Infinite degrees: the normal. */
double sy_student_two_sided(double t, double degrees);
double sy_student_quantile(double p, double degrees);

/* First and second derivative of lgamma, and the inverse of the second; x > 0. */
double sy_digamma(double x);
double sy_trigamma(double x);
double sy_trigamma_inverse(double y);

#endif
