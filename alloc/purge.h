/* SPDX-License-Identifier: BSD-2-Clause
 *
 * purge — gives the pages of free runs back to the kernel, as decay says.
 *
 *   in use -> dirty -- dirty_decay_ms --> muzzy (MADV_FREE) -- muzzy_decay_ms --> clean
 * (MADV_DONTNEED)
 *
 * With muzzy_decay_ms 0, the default, dirty granules become clean at once: the kernel takes muzzy
 * pages only when it is short of memory, and until then every tool counts them as ours. Without
 * opt.retain a clean run's address space goes back, too.
 *
 * Who calls: whoever frees beyond the bound (runs.c), each thread now and then (arena.c), the
 * background thread, mallctl.
 *
 * Threads: any; rank AL_RANK_RUNS is held for a bounded number of runs at a time, and never
 *          around a system call.
 * Fails:   never; pages that the kernel refuses to take (locked ones) stay, and are not tried again
 *          before their run changes.
 */
#ifndef AL_PURGE_H
#define AL_PURGE_H

#include "alloc/base.h"
#include "alloc/runs.h"

/* Purges what decay says may no longer stay (all: everything). */
void al_purge(struct al_runs *runs, bool all);

/* Gives back all address space of an arena that ends: everything in it is free. */
void al_purge_release(struct al_runs *runs);

/* When al_purge has work again: 0 now, UINT64_MAX nothing to do. Without the lock: a stale
 * answer costs one look.
 */
AL_INLINE uint64_t al_purge_due_ns(const struct al_runs *runs) {
    return atomic_load_explicit(&runs->purge_due_ns, memory_order_relaxed);
}

/* -1 never, 0 at once. What is there already counts as freed now. */
void al_purge_set_decay_ms(struct al_runs *runs, enum al_stale stale, ssize_t decay_ms);
ssize_t al_purge_decay_ms(struct al_runs *runs, enum al_stale stale);

/* 1: the background thread sleeps without an end; who makes work for it says so. */
extern AL_HIDDEN _Atomic uint32_t al_purge_is_idle;
void al_purge_wake_slow(void);

/* Sequentially consistent, as is the other side: either the sleeper sees the work, or this
 * sees the sleeper.
 */
AL_INLINE void al_purge_wake(void) {
    if (AL_UNLIKELY(atomic_load(&al_purge_is_idle) != 0)) {
        al_purge_wake_slow();
    }
}

#endif
