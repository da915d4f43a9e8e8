/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stream — a symbolised profile as lines, for the Perl front end.
 *
 *   tally-stacks 1
 *   L <id> <binary> <offset> [<function> <file> <line>]...    a place, innermost function first
 *   S <in-use objects> <in-use bytes> <allocated objects> <allocated bytes> <ids, leaf first>
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

/* `is_progress`: work that takes over a second says so on stderr. */
SY_NODISCARD bool jp_stream_write(FILE *out, const struct sy_profile *profile,
                                  struct sy_symbols *symbols, bool is_progress);

#endif
