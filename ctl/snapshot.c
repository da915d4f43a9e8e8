/* SPDX-License-Identifier: BSD-2-Clause
 *
 * snapshot — copies of arenas are made when they are first read, and kept: some 30 KiB an arena
 * that a program without statistics never pays.
 */
#include "ctl/snapshot.h"

#include "alloc/control.h"
#include "alloc/meta.h"
#include "alloc/os.h"
#include "ctl/node.h"
#include "prof/prof.h"

static struct {
    uint64_t epoch;
    struct ct_process process;
    struct ct_arena *arenas[AL_ARENA_COUNT_MAX];
    struct ct_arena *all;
    struct ct_arena *destroyed;
    bool has_destroyed;
} snapshot;

static struct ct_arena *make(struct ct_arena **place) {
    AL_ASSERT(place != NULL);
    if (*place == NULL) {
        *place = al_meta_alloc(sizeof(struct ct_arena));
    }
    return *place;
}

/* Everything that follows from the sums. */
static void derive(struct ct_arena *arena) {
    AL_ASSERT(arena != NULL);
    const struct al_stats_arena *const sums = &arena->sums;
    const size_t stale_bytes =
        sums->stale_bytes[AL_STALE_DIRTY] + sums->stale_bytes[AL_STALE_MUZZY];

    arena->active_pages = sums->active_bytes / AL_PAGE_BYTES;
    arena->dirty_pages = sums->stale_bytes[AL_STALE_DIRTY] / AL_PAGE_BYTES;
    arena->muzzy_pages = sums->stale_bytes[AL_STALE_MUZZY] / AL_PAGE_BYTES;
    arena->mapped_bytes = sums->active_bytes + stale_bytes + arena->base_bytes;
    arena->resident_bytes = arena->mapped_bytes;
    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        arena->purged_pages[stale] = sums->purged[stale].purged_bytes / AL_PAGE_BYTES;
    }
}

/* The books are those of the process; arena 0 shows them. */
static void read_arena(unsigned arena_idx, size_t metadata_bytes) {
    AL_ASSERT(arena_idx < AL_ARENA_COUNT_MAX);
    struct ct_arena *arena = snapshot.arenas[arena_idx];
    struct al_stats_arena probe;

    if (arena == NULL && al_stats_arena_read(arena_idx, &probe)) {
        arena = make(&snapshot.arenas[arena_idx]);
    }
    if (arena == NULL) {
        return;
    }
    arena->is_valid = al_stats_parts_read(arena_idx, &arena->sums, &arena->parts);
    if (!arena->is_valid) {
        return;
    }
    arena->base_bytes = arena_idx == 0 ? metadata_bytes : 0;
    derive(arena);
}

static void add_up(void) {
    struct ct_arena *const all = make(&snapshot.all);
    struct al_stats *const sums = &snapshot.process.sums;

    if (all == NULL) {
        return;
    }
    *all = (struct ct_arena){.is_valid = true};
    for (unsigned idx = 0; idx < AL_ARENA_COUNT_MAX; idx++) {
        const struct ct_arena *const one = snapshot.arenas[idx];
        if (one != NULL && one->is_valid) {
            al_stats_arena_add(&all->sums, &one->sums);
            al_stats_parts_add(&all->parts, &one->parts);
            all->base_bytes += one->base_bytes;
        }
    }
    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        all->sums.decay_ms[stale] = al_arenas_decay_ms_get((enum al_stale)stale);
    }
    derive(all);
    sums->allocated_bytes = all->sums.allocated_small_bytes + all->sums.allocated_large_bytes;
    sums->active_bytes = all->sums.active_bytes;
    sums->retained_bytes = all->sums.retained_bytes;
    sums->resident_bytes = all->resident_bytes;
    sums->mapped_bytes = all->mapped_bytes;
}

uint64_t ct_snapshot_refresh(void) {
    struct ct_process *const process = &snapshot.process;
    struct al_lock_stats *const locks = process->locks;

    al_stats_read(&process->sums);
    al_background_stats_read(&process->background);
    process->background_thread_count = process->background.thread_count;
    ct_lock_stats(&locks[CT_LOCK_CTL], false);
    pf_lock_stats(&locks[CT_LOCK_PROF], &locks[CT_LOCK_DUMP], &locks[CT_LOCK_SAMPLES], false);
    const unsigned arena_count = al_arena_count();
    for (unsigned idx = 0; idx < arena_count; idx++) {
        read_arena(idx, process->sums.metadata_bytes);
    }
    add_up();
    return ++snapshot.epoch;
}

uint64_t ct_snapshot_epoch(void) {
    return snapshot.epoch;
}

static void read_once(void) {
    if (snapshot.epoch == 0) {
        (void)ct_snapshot_refresh();
    }
}

const struct ct_process *ct_snapshot_process(void) {
    read_once();
    return &snapshot.process;
}

const struct ct_arena *ct_snapshot_arena(size_t arena_idx) {
    const struct ct_arena *arena = NULL;

    read_once();
    if (arena_idx == CT_ARENAS_ALL) {
        arena = snapshot.all;
    } else if (arena_idx == CT_ARENAS_DESTROYED) {
        arena = snapshot.destroyed;
    } else if (arena_idx < AL_ARENA_COUNT_MAX) {
        arena = snapshot.arenas[arena_idx];
    }
    return arena != NULL && arena->is_valid ? arena : NULL;
}

bool ct_snapshot_has_arena(size_t arena_idx) {
    ct_lock_take();
    const bool has_arena = ct_snapshot_arena(arena_idx) != NULL;
    ct_lock_give();
    return has_arena;
}

void ct_snapshot_bury(const struct al_stats_arena *sums, const struct al_stats_parts *parts) {
    AL_ASSERT(sums != NULL && parts != NULL);
    struct ct_arena *const destroyed = make(&snapshot.destroyed);

    if (destroyed == NULL) {
        return;
    }
    destroyed->is_valid = true;
    al_stats_arena_add(&destroyed->sums, sums);
    al_stats_parts_add(&destroyed->parts, parts);
    derive(destroyed);
}

void ct_snapshot_reset_locks(void) {
    struct al_lock_stats ignored[3];

    ct_lock_stats(&ignored[0], true);
    pf_lock_stats(&ignored[0], &ignored[1], &ignored[2], true);
    al_stats_parts_reset_locks();
}
