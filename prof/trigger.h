/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trigger — dumps that nobody calls for: every 2^n bytes allocated, and whenever the heap's
 * address space is larger than it ever was (prof.gdump).
 *
 * Owns:    the count of bytes, the peak, and the thread that writes.
 * Threads: counting by any, inside malloc; it only wakes the writer.
 * Fails:   a writer that cannot be started is reported once.
 */
#ifndef PF_TRIGGER_H
#define PF_TRIGGER_H

#include "alloc/base.h"

/* Takes over lg_prof_interval and prof_gdump. Once, at start. */
void pf_trigger_boot(void);

/* Starts the writer if a trigger needs one. Never inside malloc. */
void pf_trigger_start(void);

/* Bytes between two dumps; 0: none. */
uint64_t pf_trigger_interval_bytes(void);

/* prof.gdump. The caller starts the writer. */
void pf_trigger_set_peak(bool is_on);
bool pf_trigger_peak(void);

/* Counts; from alloc's slow path, re-entrant: a writer that is asked for and not there, as in the
 * child of a fork, is started.
 */
void pf_trigger_allocated(uint64_t bytes);

/* Writes what has been asked for and is not yet written, and waits for what is being written; then
 * no more is asked for. At exit.
 */
void pf_trigger_finish(void);

/* The child of a fork has no writer until one is asked for. */
void pf_trigger_fork_child(void);

#endif
