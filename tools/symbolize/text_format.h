/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_format — reads jemalloc's "heap_v2/R" dump and the "heap profile:" rows of gperftools
 * and Go (docs/PROFILE_FORMAT.md, sections 1 and 2).
 *
 * Threads: none of its own.
 * Fails:   false and a line that names the line number.
 * Why strict: a line that is not understood is an error and never skipped; a profile with a
 *          hole in it looks like a profile.
 */
#ifndef SY_TEXT_FORMAT_H
#define SY_TEXT_FORMAT_H

#include "tools/symbolize/profile.h"

bool sy_text_is(const char *data, size_t data_bytes);

/* `data` is followed by a NUL. */
SY_NODISCARD bool sy_text_parse(struct sy_load *load, const char *data, size_t data_bytes,
                                struct sy_error *err);

/* Turns a sampled pair into the estimate of what was there (section 1.2): objects of mean size
 * m are seen with probability 1 - exp(-m/R). A pair without objects or bytes stays as it is.
 */
void sy_text_unsample(double *objects, double *bytes, double interval_bytes);

#endif
