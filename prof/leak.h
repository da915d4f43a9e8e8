/* SPDX-License-Identifier: BSD-2-Clause
 *
 * leak — the report at exit: how much was still allocated, and the sites that hold most of it
 * with their 95 % intervals.
 *
 * Threads: the exiting one.
 */
#ifndef PF_LEAK_H
#define PF_LEAK_H

#include "alloc/base.h"
#include "prof/site.h"

/* Prints the report. Returns whether anything was left. */
bool pf_leak_report(void);

/* The interval (Fay and Feuer, "Confidence intervals for directly standardized rates", 1997)
 * of an estimate in bytes with its variance; weight_bytes_max: the largest single term.
 */
void pf_leak_interval(double bytes, double variance, double weight_bytes_max, double *low,
                      double *high);

/* The x below which a chi-square variable with `freedom` degrees (> 0, any real) lies with
 * 2.5 % (is_upper: 97.5 %) probability. Relative error below 1e-3.
 */
double pf_leak_chi2(double freedom, bool is_upper);

#endif
