/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pprof — writes a profile.proto message (perftools.profiles.Profile).
 *
 * Threads: the dump's own (rank AL_RANK_DUMP is held by the caller).
 * Fails:   0 or ENOMEM; write errors stay with the sink.
 *
 * Values are estimates, corrected already: readers must not scale them. Sample types are
 * Go's four, alloc_objects, alloc_space, inuse_objects, inuse_space (the default), and after
 * them inuse_samples (how many samples an estimate rests on) and requested_space (what the
 * program asked for, of the live bytes).
 */
#ifndef PF_PPROF_H
#define PF_PPROF_H

#include "prof/maps.h"
#include "prof/sink.h"

/* maps' build ids have been found. */
int pf_pprof_write(struct pf_sink *sink, const struct pf_maps *maps);

#endif
