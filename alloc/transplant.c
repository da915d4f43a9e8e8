/* SPDX-License-Identifier: BSD-2-Clause
 *
 * transplant — dirty ranges of the largest free runs, moved into the clean ranges of a taken run.
 *
 * Only for Linux 6.17 and later: before, a move whose source spans two mappings was refused, and
 * each move makes new ones.
 */
#include "alloc/transplant.h"

#include "alloc/bits.h"
#include "alloc/map.h"
#include "alloc/options.h"
#include "alloc/os.h"
#include "alloc/runs_heap.h"
#include "alloc/treap.h"

enum {
    UNIT_BYTES = 512 * 1024,
    /* Free runs looked at for one with enough dirty pages. */
    SCAN_COUNT = 32,
    KERNEL_MAJOR = 6,
    KERNEL_MINOR = 17,
    THP_ALWAYS = 1, /* opt.thp: huge pages would be split by a move */
};

/* Whether the kernel can, and has not refused yet. */
enum { UNKNOWN, CAN, CANNOT };
static _Atomic int ability;

static bool is_able(void) {
    int known = atomic_load_explicit(&ability, memory_order_relaxed);

    if (AL_UNLIKELY(known == UNKNOWN)) {
        known = al_os_is_linux(KERNEL_MAJOR, KERNEL_MINOR) && al_options.thp != THP_ALWAYS ? CAN
                                                                                           : CANNOT;
        atomic_store_explicit(&ability, known, memory_order_relaxed);
    }
    return known == CAN;
}

/* Granules between two possible ends of mappings. */
static uint32_t unit_granules(void) {
    const size_t total_bytes = atomic_load_explicit(&al_runs_total_bytes, memory_order_relaxed);
    size_t unit_bytes = UNIT_BYTES;

    while (unit_bytes * AL_TRANSPLANT_MAPPINGS_MAX < total_bytes) { /* 47 bits: 17 turns */
        unit_bytes *= 2;
    }
    return (uint32_t)(unit_bytes >> AL_GRANULE_LG);
}

static uint32_t state_of(uintptr_t base_addr, uint32_t at) {
    return al_map_entry_low(
        al_map_entry((const void *)(base_addr + ((uintptr_t)at << AL_GRANULE_LG))));
}

/* Granules [from, to) of a run. */
struct range {
    uint32_t from, to;
};

static bool is_all(uintptr_t base_addr, uint32_t from, uint32_t count, uint32_t state) {
    for (uint32_t at = from; at < from + count; at++) {
        if (state_of(base_addr, at) != state) {
            return false;
        }
    }
    return true;
}

/* The next range of whole units of `run` that is clean, from granule `from` on. Empty: there is
 * none. The ends of a taken run are marked as such; what they were is not known.
 */
static struct range next_clean(const struct al_extent *run, uint32_t from, uint32_t unit) {
    AL_ASSERT(al_is_pow2(unit) && from > 0);
    const uintptr_t first = run->base_addr >> AL_GRANULE_LG;
    struct range range = {0, 0};

    for (uint32_t at = (uint32_t)(al_round_up(first + from, unit) - first);
         at + unit < run->granules; at += unit) {
        if (is_all(run->base_addr, at, unit, AL_MAP_FREE_CLEAN)) {
            range.from = range.to == 0 ? at : range.from;
            range.to = at + unit;
        } else if (range.to != 0) {
            break;
        }
    }
    return range;
}

/* The uppermost dirty range of a free run that has at least a unit, cut to whole units and to
 * `want`. Empty: there is none.
 */
static struct range upper_dirty(const struct al_extent *run, uint32_t want, uint32_t unit) {
    AL_ASSERT(want >= unit && want % unit == 0);
    uint32_t to = run->granules;
    uint32_t from = to;

    while (from > 0 && to - from < want) {
        if (state_of(run->base_addr, from - 1) == AL_MAP_FREE_DIRTY) {
            from--;
        } else if (to - from >= unit) {
            break;
        } else {
            from--;
            to = from;
        }
    }
    return (struct range){to - (to - from) / unit * unit, to};
}

/* Takes a free run with at least `unit` dirty granules out of the heap, the largest there is. 0:
 * none. */
static uint32_t take_donor(struct al_runs *runs, uint32_t unit) {
    uint32_t granules = UINT32_MAX;
    uintptr_t base_addr = UINTPTR_MAX;
    uint32_t idx = 0;

    al_lock_take(&runs->lock, AL_RANK_RUNS);
    for (int seen = 0; seen < SCAN_COUNT && runs->stale_granules[AL_STALE_DIRTY] >= unit; seen++) {
        idx = al_treap_below(runs->root_idx, granules, base_addr);
        if (idx == 0) {
            break;
        }
        const struct al_extent *const run = al_extent_at(idx);
        if (run->free.stale_granules[AL_STALE_DIRTY] >= unit) {
            al_runs_remove_locked(runs, idx);
            break;
        }
        granules = run->granules;
        base_addr = run->base_addr;
        idx = 0;
    }
    al_lock_give(&runs->lock);
    return idx;
}

static void give_donor(struct al_runs *runs, uint32_t idx) {
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    const struct al_runs_absorbed absorbed = al_runs_insert_locked(runs, idx);
    al_purge_plan_locked(runs);
    al_lock_give(&runs->lock);
    al_runs_give_absorbed(absorbed);
}

static void *address_of(const struct al_extent *run, uint32_t at) {
    return (void *)(run->base_addr + ((uintptr_t)at << AL_GRANULE_LG));
}

/* Moves up to `want` granules from a donor to granule `at` of the run; *moved says how many. */
static enum al_os_moved move_some(struct al_runs *runs, const struct al_extent *run, uint32_t at,
                                  uint32_t want, uint32_t *moved) {
    const uint32_t unit = unit_granules();
    const uint32_t idx = take_donor(runs, unit);
    enum al_os_moved result = AL_OS_STAYED;

    *moved = 0;
    if (idx == 0) {
        return AL_OS_STAYED;
    }
    struct al_extent *const donor = al_extent_at(idx);
    const struct range range = upper_dirty(donor, want, unit);
    const uint32_t granules = range.to - range.from;
    if (granules != 0) {
        void *const from = address_of(donor, range.from);
        result = al_os_move(from, address_of(run, at), (size_t)granules << AL_GRANULE_LG);
        if (result == AL_OS_MOVED) {
            donor->free.stale_granules[AL_STALE_DIRTY] -= granules;
            al_map_set((uintptr_t)from, granules, al_map_entry_make(0, AL_MAP_FREE_CLEAN));
            *moved = granules;
        } else {
            atomic_store_explicit(&ability, CANNOT, memory_order_relaxed);
        }
    }
    give_donor(runs, idx);
    return result;
}

enum al_os_moved al_transplant(struct al_runs *runs, const struct al_extent *run) {
    AL_ASSERT(al_extent_kind(run) == AL_EXTENT_BUSY);
    enum al_os_moved result = AL_OS_STAYED;

    if (!is_able()) {
        return AL_OS_STAYED;
    }
    const uint32_t unit = unit_granules();
    struct range range = next_clean(run, 1, unit);
    while (range.to != 0) { /* ends: range.from only goes up */
        uint32_t moved = 0;
        const enum al_os_moved one =
            move_some(runs, run, range.from, range.to - range.from, &moved);
        if (one == AL_OS_LOST) {
            return AL_OS_LOST;
        }
        if (one == AL_OS_STAYED) {
            return result;
        }
        result = AL_OS_MOVED;
        range.from += moved;
        range = range.from < range.to ? range : next_clean(run, range.to, unit);
    }
    return result;
}
