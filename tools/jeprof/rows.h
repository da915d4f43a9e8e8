/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rows — statistics as a filter, for the Perl front end: a line of numbers in, a line out.
 *
 *   compare  in   <value> <variance> <largest weight>   for each run, base runs first
 *            out  <base> <new> <low> <high> <p> <q> <overdispersion>   "nan" if not known
 *   intervals  in   <value> <variance> <largest weight>
 *              out  <low> <high>   at 95 %
 *   judge    in   <live> <born>   for each dump, in samples
 *            out  <growth> <slope> <low> <high> <trend p> <births> <deaths> <age> <p> <q>
 *
 * Blanks between what is read, tabs between what is written; growth is enum sy_growth.
 *
 * Threads: none of its own.
 * Fails:   false and a line on stderr: a line that is not the numbers asked for, no memory, or an
 *          output that cannot be written.
 */
#ifndef JP_ROWS_H
#define JP_ROWS_H

#include "tools/symbolize/base.h"

#include <stdio.h>

/* At most this many runs on both sides together. */
enum { JP_RUN_COUNT_MAX = 4096 };

SY_NODISCARD bool jp_rows_intervals(FILE *in, FILE *out);
SY_NODISCARD bool jp_rows_judge(FILE *in, FILE *out, size_t dump_count);
SY_NODISCARD bool jp_rows_compare(FILE *in, FILE *out, size_t base_count, size_t fresh_count);

#endif
