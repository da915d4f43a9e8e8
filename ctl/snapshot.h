/* SPDX-License-Identifier: BSD-2-Clause
 *
 * snapshot — the numbers that stats.* shows: those of the last epoch.
 *
 * Owns:    a copy of every arena's statistics, their sum, and what destroyed arenas left.
 * Threads: the ctl lock is held.
 * Fails:   without memory for an arena's copy that arena is left out until the next epoch.
 * Equations: stats.allocated, active and mapped are sums over the arenas; stats_parts.h has those
 * of an arena.
 */
#ifndef CT_SNAPSHOT_H
#define CT_SNAPSHOT_H

#include "alloc/background.h"
#include "alloc/stats.h"
#include "alloc/stats_parts.h"

/* jemalloc's special arena indexes. */
enum { CT_ARENAS_ALL = 4096, CT_ARENAS_DESTROYED = 4097 };

enum ct_lock { CT_LOCK_CTL, CT_LOCK_PROF, CT_LOCK_DUMP, CT_LOCK_SAMPLES, CT_LOCK_COUNT };

/* In the units of jemalloc's names, so that a row is an offset into this. */
struct ct_arena {
    struct al_stats_arena sums;
    struct al_stats_parts parts;
    size_t active_pages, dirty_pages, muzzy_pages;
    size_t mapped_bytes, resident_bytes, base_bytes;
    uint64_t purged_pages[AL_STALE_COUNT];
    bool is_valid;
};

struct ct_process {
    struct al_stats sums;
    struct al_background_stats background;
    size_t background_thread_count;
    struct al_lock_stats locks[CT_LOCK_COUNT];
};

/* Reads everything anew; the number of times that has been done. */
uint64_t ct_snapshot_refresh(void);
uint64_t ct_snapshot_epoch(void);

/* Of the last epoch; read first if there was none. */
const struct ct_process *ct_snapshot_process(void);

/* An arena, or with the special indexes the sum and the destroyed. NULL: there is none. */
const struct ct_arena *ct_snapshot_arena(size_t arena_idx);

/* Whether there is; takes the lock. */
bool ct_snapshot_has_arena(size_t arena_idx);

/* Adds an arena that has ended to the destroyed ones. */
void ct_snapshot_bury(const struct al_stats_arena *sums, const struct al_stats_parts *parts);

/* Sets back what locks have counted. */
void ct_snapshot_reset_locks(void);

#endif
