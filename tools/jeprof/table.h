/* SPDX-License-Identifier: BSD-2-Clause
 *
 * table — the sums of a table, computed here, with names and choices made by the Perl front end:
 * of 50,000 stacks it would take seconds there.
 *
 *   out  tally-names 1
 *        F <function>                 each function once; its number is its place in the list
 *        B <path> <offset>            each place without one, in the same list
 *        ?                            now it is the front end's turn
 *   in   <number> <flags>             for each, in order: the number that it is summed under, and
 *                                     enum jp_flag
 *   out  T <number> <flat> <cumulative>
 *        Z <total> <stacks that were shown>
 *
 * Fields are separated by tabs.
 *
 * Threads: none of its own.
 * Fails:   false and a line on stderr.
 */
#ifndef JP_TABLE_H
#define JP_TABLE_H

#include "tools/symbolize/profile.h"
#include "tools/symbolize/symbols.h"

#include <stdio.h>

enum jp_flag {
    JP_FLAG_ALLOCATOR = 1, /* the place, and all nearer to the leaf, are the allocator's */
    JP_FLAG_FOCUS = 2,     /* what --focus looks for */
    JP_FLAG_IGNORE = 4,
    JP_FLAG_HIDDEN = 8, /* left out of every stack */
};

struct jp_table_options {
    enum sy_value value;
    bool is_progress; /* work that takes over a second says so on stderr */
    bool is_focused;  /* only stacks with JP_FLAG_FOCUS */
};

SY_NODISCARD bool jp_table_write(FILE *in, FILE *out, const struct sy_profile *profile,
                                 struct sy_symbols *symbols,
                                 const struct jp_table_options *options);

#endif
