/* SPDX-License-Identifier: BSD-2-Clause
 *
 * runs_heap — what runs.c and purge.c share: putting a run into the heap, and planning.
 *
 * Threads: as the names say, the caller holds the arena's run lock.
 */
#ifndef AL_RUNS_HEAP_H
#define AL_RUNS_HEAP_H

#include "alloc/runs.h"

/* Descriptors of neighbours that a run swallowed, for the caller to give back after the lock. */
struct al_runs_absorbed {
    uint32_t idx[2];
};

/* Makes `idx` (base and granules set, its map entries already those of free granules,
 * stale_granules counted) part of the heap, merged with what it touches.
 */
AL_NODISCARD struct al_runs_absorbed al_runs_insert_locked(struct al_runs *runs, uint32_t idx);
void al_runs_give_absorbed(struct al_runs_absorbed absorbed);

/* Takes a whole free run out of the heap. */
void al_runs_remove_locked(struct al_runs *runs, uint32_t idx);

/* To be called when stale_granules or decay have changed. */
void al_purge_plan_locked(struct al_runs *runs);

#endif
