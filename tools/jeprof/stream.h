/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream — a symbolised profile as lines, for the Perl front end.
 *
 *   tally-stacks 2
 *   L <id> <binary> <offset> [<function> <file> <line>]...    a place, innermost function first
 *   R <path>                                                  what follows is of this dump alone
 *   S <values> [<variances> <largest weights>] <ids, leaf first>
 *
 * Values are in-use objects, in-use bytes, allocated objects, allocated bytes; a stack of which all
 * are 0 is left out. Variances and weights (struct sy_spread) are in the same order, if asked for.
 *
 * Fields are separated by tabs, ids in a stack by blanks; control characters in names are "?".
 * Every id of an S line has had its L line.
 *
 * Threads: none of its own.
 * Fails:   false if the output cannot be written.
 */
#ifndef JP_STREAM_H
#define JP_STREAM_H

#include "tools/symbolize/profile.h"
#include "tools/symbolize/symbols.h"

#include <stdio.h>

struct jp_stream_options {
    bool is_progress; /* work that takes over a second says so on stderr */
    bool is_spread;   /* variances and weights are written */
};

struct jp_stream {
    FILE *out;
    const struct sy_profile *profile;
    struct sy_symbols *symbols;
    struct jp_stream_options options;
};

/* The head and every place of the profile. */
SY_NODISCARD bool jp_stream_places(const struct jp_stream *stream);

/* The start of one dump. */
SY_NODISCARD bool jp_stream_run(const struct jp_stream *stream, const char *path);

/* The stacks as they are now. */
SY_NODISCARD bool jp_stream_stacks(const struct jp_stream *stream);

#endif
