/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dump — one profile to one file, and the names of automatic ones.
 *
 * Owns:    the sink, the prefix and the counters of names.
 * Threads: any; one dump at a time (rank AL_RANK_DUMP). Never from inside malloc. A fork does not
 *          wait for a dump: its child begins with none.
 * Fails:   an errno value; pf_dump_automatic also says it in one line. Nothing half-written
 *          is left. EDEADLK: a signal handler interrupted a dump of its own thread. ECANCELED:
 * another thread is ending the process.
 */
#ifndef PF_DUMP_H
#define PF_DUMP_H

#include "alloc/base.h"
#include "alloc/lock.h"

/* Writes a profile to `path`; ".pb.gz" at its end asks for pprof's format. What the caller cannot
 * see for himself is said in one line: nobody reads, or no more.
 */
int pf_dump_to(const char *path);

/* To PREFIX.PID.SEQ.<letter><n>.heap; letter 'f' has no n. EFAULT: the prefix is empty.
 * is_loud: a failure is reported on stderr.
 */
int pf_dump_automatic(char letter, bool is_loud);

/* At exit: returns when no dump is under way, and none begins any more but of the calling thread.
 */
void pf_dump_close(void);

/* ENAMETOOLONG: the prefix does not fit a path. */
int pf_dump_set_prefix(const char *prefix);

/* Of the lock of the names, set back first if is_reset. */
void pf_dump_lock_stats(struct al_lock_stats *stats, bool is_reset);

void pf_dump_fork_prepare(void);
void pf_dump_fork_parent(void);
void pf_dump_fork_child(void);

#endif
