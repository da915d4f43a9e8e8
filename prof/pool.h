/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pool — memory of the profiler's own: never the program's heap, never given back.
 *
 * Owns:    mappings, cut from the front.
 * Threads: any. Rank AL_RANK_PROF_POOL, which must be free or above what is held; the kernel
 *          is asked with the lock released.
 * Fails:   NULL: no memory.
 */
#ifndef PF_POOL_H
#define PF_POOL_H

#include "alloc/base.h"
#include "alloc/lock.h"

/* Zeroed, aligned to 16. bytes < 1 MiB. */
AL_NODISCARD void *pf_pool_take(size_t bytes);

/* Bytes mapped so far. */
size_t pf_pool_bytes(void);

/* Of the lock, set back first if is_reset. */
void pf_pool_lock_stats(struct al_lock_stats *stats, bool is_reset);

void pf_pool_fork_prepare(void);
void pf_pool_fork_parent(void);
void pf_pool_fork_child(void);

#endif
