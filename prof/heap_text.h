/* SPDX-License-Identifier: BSD-2-Clause
 *
 * heap_text — writes jemalloc's heap_v2 text: the format of .heap files.
 *
 * Threads: the dump's own (rank AL_RANK_DUMP is held by the caller).
 *
 * The numbers are distorted so that the correction every reader applies, by the mean size of
 * a line, gives back our estimate, which weighs each sample by its own size (docs/SAMPLING.md).
 */
#ifndef PF_HEAP_TEXT_H
#define PF_HEAP_TEXT_H

#include "prof/maps.h"
#include "prof/sink.h"
#include "prof/site.h"

/* maps may be NULL: then the section of mapped libraries is left out. */
void pf_heap_text_write(struct pf_sink *sink, const struct pf_maps *maps, bool has_accum);

/* The pair that a reader with mean distance 2^rate_lg will turn into these counts. */
void pf_heap_text_distort(const struct pf_counts *counts, unsigned rate_lg, uint64_t *objects,
                          uint64_t *bytes);

#endif
