/* SPDX-License-Identifier: BSD-2-Clause
 *
 * background — one thread that gives memory back while the program sleeps.
 *
 * It does what the program's threads do now and then by themselves: purge what decay says,
 * take home what other threads freed, empty the caches of threads that are gone. Without work
 * it sleeps without an end, and is woken by whoever makes some.
 *
 * What it cannot do: touch the lists of a thread that lives and is idle.
 *
 * Threads: any. Starting a thread allocates, so never inside malloc, but for al_background_tick.
 * Fails:   al_background_set: EAGAIN, no thread to be had; 0.
 * Fork:    the child has no such thread until it has allocated a while (al_background_tick).
 */
#ifndef AL_BACKGROUND_H
#define AL_BACKGROUND_H

#include "alloc/base.h"

int al_background_set(bool is_wanted);
bool al_background_get(void);

struct al_background_stats {
    uint64_t run_count;   /* times it has looked, since the process started */
    uint64_t interval_ns; /* mean time between two looks; 0: fewer than two */
    unsigned thread_count;
};
void al_background_stats_read(struct al_background_stats *stats);

/* In the constructor: starts it if opt.background_thread says so. */
void al_background_boot(void);

/* Now and then, from malloc's slow path with the re-entry mark set: the child of a fork gets a
 * thread of its own.
 */
void al_background_tick(void);

void al_background_fork_child(void);

#endif
