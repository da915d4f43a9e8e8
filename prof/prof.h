/* SPDX-License-Identifier: BSD-2-Clause
 *
 * prof — the heap profiler's one door: switches, dumps, and what alloc's hooks call.
 *
 * Owns:    whether the profiler has been started, and the rate it was asked for.
 * Threads: any. Rank AL_RANK_PROF for switches, AL_RANK_DUMP for dumps; a dump holds no lock
 *          that malloc waits for, except one site's while it copies that site's numbers.
 * Fails:   0 or an errno value, as the mallctl of the same name returns it.
 *
 * The profiler may be started in any process at any time, also without prof:true: the first
 * write of true to prof.active, the first prof.dump or prof.reset does it. Starting loads the
 * unwinder, so it must never happen inside malloc.
 */
#ifndef PF_PROF_H
#define PF_PROF_H

#include "alloc/hooks.h"
#include "alloc/lock.h"

#include <sys/types.h>

/* Called once by the library's constructor: acts on prof:true and its companions. */
void pf_boot(void);

/* Starts the profiler if it is not yet started (sampling stays as it is). ENOMEM. */
int pf_start(void);
bool pf_is_started(void);

/* prof.active. Switching on starts the profiler. */
int pf_active_set(bool is_active);
bool pf_active_get(void);

/* prof.reset: forgets all samples, live ones too, and sets the rate. */
int pf_reset(unsigned rate_lg);
unsigned pf_rate_lg(void);

/* prof.dump: to `path`, or with NULL to the next automatic name. EFAULT as jemalloc says:
 * nothing to write to. The format follows the name's ending: .pb.gz is pprof's, all else
 * heap_v2.
 */
int pf_dump(const char *path);

/* prof.prefix: of automatic names from now on. EINVAL: too long. */
int pf_prefix_set(const char *prefix);

/* Bytes allocated between two automatic dumps; 0: none. */
uint64_t pf_interval_bytes(void);

/* prof.gdump: a dump whenever the heap's address space reaches a new maximum. Switching on starts
 * the profiler. */
int pf_gdump_set(bool is_on);
bool pf_gdump_get(void);

/* thread.prof.name of the calling thread, "" at first. EINVAL: NULL or unprintable; EAGAIN: no
 * memory. Names longer than 63 bytes are cut.
 */
int pf_thread_name_set(const char *name);
const char *pf_thread_name_get(void);

/* At exit, by the library's destructor: final dump, leak report. Returns true if the process
 * should end with status 1 (prof_leak_error).
 */
bool pf_exit(void);

/* A word of opt.prof_unwinder; "none": profiling has not begun. */
const char *pf_unwinder_name(void);

/* The profiler's own cost since start. */
struct pf_cost {
    uint64_t samples;
    uint64_t dropped_samples;
    uint64_t memory_bytes;
};
void pf_cost_read(struct pf_cost *cost);

/* Of the locks of switching, of dumps' names, and of samples' records; set back first if is_reset.
 */
void pf_lock_stats(struct al_lock_stats *switching, struct al_lock_stats *names,
                   struct al_lock_stats *records, bool is_reset);

/* ---- what al_hooks points to ---- */

void *pf_hook_sample(const struct al_sampled *sampled);
void pf_hook_sample_freed(void *record);
void pf_hook_allocated(uint64_t bytes);
void pf_hook_thread_started(void **slot);
void pf_hook_thread_ended(void **slot);
/* Before any lock is taken, ctl's too: walks of stacks end, and new ones need no lock. */
void pf_hook_fork_announce(void);
void pf_hook_fork_prepare(void);
void pf_hook_fork_parent(void);
void pf_hook_fork_child(void);

#endif
