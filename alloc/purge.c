/* SPDX-License-Identifier: BSD-2-Clause
 *
 * purge — which free runs lose their pages, and when the next do.
 *
 * The largest runs go first, from their upper ends: one system call frees the most, and the heap
 * hands out small runs, and the lower ends of large ones, before it comes to these. A run loses
 * no more than must go: after merging, a single one may be all the free memory there is.
 */
#include "alloc/purge.h"

#include "alloc/map.h"
#include "alloc/options.h"
#include "alloc/os.h"
#include "alloc/runs_heap.h"
#include "alloc/treap.h"
#include "alloc/user_hooks.h"

enum {
    /* Freed memory that waits for decay: 256 MiB, or as much as is in use. More than that is purged
     * on the spot, largest runs first. It does not add to a peak: large blocks take the pages of
     * free runs wherever these are (transplant.h).
     */
    DIRTY_KEEP_GRANULES = 256 * 1024 * 1024 / AL_GRANULE_BYTES,
    DIRTY_KEEP_SHARE = 1,
    /* Over the bound, this share of it goes as well, so that the next free stays below it; and
     * decay waits until a share of what is stale may go: a system call for each granule would
     * cost more than the granule.
     */
    SLACK_SHARE = 16,
    SLACK_GRANULES = 16,
    /* Runs purged, and runs looked at, between two takings of the lock. */
    BATCH_COUNT = 16,
    SCAN_COUNT = 256,
};

_Atomic uint32_t al_purge_is_idle;

AL_COLD void al_purge_wake_slow(void) {
    if (atomic_exchange(&al_purge_is_idle, 0) != 0) {
        al_os_wake(&al_purge_is_idle, 1);
    }
}

/* ---- when ---- */

static size_t keep_granules(const struct al_runs *runs) {
    AL_ASSERT(runs->free_granules <= runs->mapped_granules);
    const size_t active = runs->mapped_granules - runs->free_granules;
    const size_t share = active / DIRTY_KEEP_SHARE;

    return share > DIRTY_KEEP_GRANULES ? share : DIRTY_KEEP_GRANULES;
}

/* Granules of a kind that may stay now, whatever their age. */
static size_t bound_granules(const struct al_runs *runs, enum al_stale stale) {
    const ssize_t decay_ms = runs->decay[stale].decay_ms;

    if (decay_ms == 0) {
        return 0;
    }
    return decay_ms < 0 || stale == AL_STALE_MUZZY ? SIZE_MAX : keep_granules(runs);
}

void al_purge_plan_locked(struct al_runs *runs) {
    al_lock_assert_held(&runs->lock);
    uint64_t due_ns = UINT64_MAX;

    for (unsigned stale = 0; stale < AL_STALE_COUNT; stale++) {
        const struct al_decay *const decay = &runs->decay[stale];
        if (runs->stale_granules[stale] == 0 || decay->decay_ms < 0) {
            continue;
        }
        const bool is_over = runs->stale_granules[stale] > bound_granules(runs, stale);
        /* Not by epoch_ns: each run given back moves that on, so that a thread that gives one in
         * each step would put the pass off for ever.
         */
        const uint64_t step_ns = is_over ? 0 : decay->looked_ns + decay->step_ns;
        due_ns = step_ns < due_ns ? step_ns : due_ns;
    }
    atomic_store_explicit(&runs->purge_due_ns, due_ns, memory_order_relaxed);
}

/* What the kernel refused to take is not asked for again before some time has passed. */
static void postpone_locked(struct al_runs *runs, uint64_t now_ns) {
    al_lock_assert_held(&runs->lock);
    const uint64_t step_ns = runs->decay[AL_STALE_DIRTY].step_ns;
    const uint64_t pause_ns = step_ns > UINT64_C(50000000) ? step_ns : UINT64_C(50000000);

    if (al_purge_due_ns(runs) == 0) {
        atomic_store_explicit(&runs->purge_due_ns, now_ns + pause_ns, memory_order_relaxed);
    }
}

/* ---- which ---- */

/* A pass over the free runs, from the largest down. Runs may come and go between two looks: the
 * place in the order is remembered, and not the run.
 */
struct pass {
    enum al_stale stale;
    bool all;
    bool is_forced; /* MADV_DONTNEED, not MADV_FREE */
    bool has_ended;
    uint32_t granules;
    uintptr_t base_addr;
    struct {
        uint32_t idx;
        uint32_t want; /* stale granules to be purged of it */
    } batch[BATCH_COUNT];
    uint32_t batch_count;
};

static size_t pass_keep_locked(struct al_runs *runs, const struct pass *pass, uint64_t now_ns) {
    al_lock_assert_held(&runs->lock);
    struct al_decay *const decay = &runs->decay[pass->stale];
    const size_t stale_granules = runs->stale_granules[pass->stale];
    const size_t bound = bound_granules(runs, pass->stale);

    if (pass->all) {
        return 0;
    }
    if (stale_granules > bound) {
        return bound - bound / SLACK_SHARE;
    }
    if (decay->decay_ms <= 0) {
        return bound;
    }
    (void)al_decay_advance(decay, now_ns, stale_granules);
    const size_t decayed = al_decay_allowed(decay, stale_granules);
    const bool is_worth_it =
        decayed == 0 || decayed + stale_granules / SLACK_SHARE + SLACK_GRANULES <= stale_granules;
    return is_worth_it ? decayed : stale_granules;
}

/* Takes a batch of runs out of the heap, until only `keep` stale granules are left. */
static void collect_locked(struct al_runs *runs, struct pass *pass, size_t keep) {
    al_lock_assert_held(&runs->lock);
    pass->batch_count = 0;
    for (int seen = 0; seen < SCAN_COUNT && pass->batch_count < BATCH_COUNT; seen++) {
        const uint32_t idx = al_treap_below(runs->root_idx, pass->granules, pass->base_addr);
        if (idx == 0 || runs->stale_granules[pass->stale] <= keep) {
            pass->has_ended = true;
            return;
        }
        const struct al_extent *const extent = al_extent_at(idx);
        pass->granules = extent->granules;
        pass->base_addr = extent->base_addr;
        const uint32_t has = extent->free.stale_granules[pass->stale];
        const size_t excess = runs->stale_granules[pass->stale] - keep;
        if (has != 0 && !extent->free.is_skipped) {
            pass->batch[pass->batch_count].idx = idx;
            pass->batch[pass->batch_count++].want = has < excess ? has : (uint32_t)excess;
            al_runs_remove_locked(runs, idx);
        }
    }
}

/* ---- how ---- */

static uintptr_t granule_addr(const struct al_extent *extent, uint32_t at) {
    return extent->base_addr + ((uintptr_t)at << AL_GRANULE_LG);
}

static uint32_t granule_low(const struct al_extent *extent, uint32_t at) {
    return al_map_entry_low(al_map_entry((const void *)granule_addr(extent, at)));
}

/* The upper part of a run that has `want` granules of the pass's kind: [from, to). */
struct range {
    uint32_t from, to;
};

static struct range upper_range(const struct al_extent *extent, const struct pass *pass,
                                uint32_t want) {
    AL_ASSERT(want > 0);
    const uint32_t low = AL_MAP_FREE_DIRTY + (uint32_t)pass->stale;
    struct range range = {extent->granules, extent->granules};

    while (range.to > 0 && granule_low(extent, range.to - 1) != low) {
        range.to--;
    }
    range.from = range.to;
    for (uint32_t seen = 0; range.from > 0 && seen < want; range.from--) {
        seen += granule_low(extent, range.from - 1) == low;
    }
    return range;
}

/* Marks what was stale in the range; with `dirty_only`, only what was dirty. */
static void mark(struct al_extent *extent, struct range range, uint32_t new_low, bool dirty_only) {
    AL_ASSERT(range.from <= range.to && range.to <= extent->granules);
    for (uint32_t at = range.from; at < range.to; at++) {
        const uint32_t low = granule_low(extent, at);
        if (low == AL_MAP_FREE_CLEAN || (dirty_only && low != AL_MAP_FREE_DIRTY)) {
            continue;
        }
        extent->free.stale_granules[low - AL_MAP_FREE_DIRTY]--;
        if (new_low != AL_MAP_FREE_CLEAN) {
            extent->free.stale_granules[new_low - AL_MAP_FREE_DIRTY]++;
        }
        al_map_set(granule_addr(extent, at), 1, al_map_entry_make(0, new_low));
    }
}

/* Dirty granules become muzzy; those that read as zero still do. */
static bool make_muzzy(struct al_runs *runs, struct al_extent *extent, struct range range) {
    const size_t bytes = (size_t)(range.to - range.from) << AL_GRANULE_LG;
    void *const ptr = (void *)granule_addr(extent, range.from);

    if (al_user_hooks_own(runs, extent->base_addr)
            ? !al_user_hooks_purge(runs, ptr, bytes, AL_USER_PURGE_LAZY)
            : !al_os_purge_lazy(ptr, bytes)) {
        return false;
    }
    mark(extent, range, AL_MAP_FREE_MUZZY, true);
    return true;
}

static bool make_clean(struct al_runs *runs, struct al_extent *extent, struct range range) {
    const size_t bytes = (size_t)(range.to - range.from) << AL_GRANULE_LG;
    void *const ptr = (void *)granule_addr(extent, range.from);

    if (al_user_hooks_own(runs, extent->base_addr)
            ? !al_user_hooks_purge(runs, ptr, bytes, AL_USER_PURGE_FORCED)
            : !al_os_purge(ptr, bytes)) {
        return false;
    }
    mark(extent, range, AL_MAP_FREE_CLEAN, false);
    return true;
}

static void count_locked(struct al_runs *runs, const struct al_free_part *before,
                         const struct al_free_part *after, enum al_stale asked) {
    al_lock_assert_held(&runs->lock);
    runs->purged[asked].call_count++;
    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        if (before->stale_granules[stale] > after->stale_granules[stale]) {
            runs->purged[stale].purged_granules +=
                before->stale_granules[stale] - after->stale_granules[stale];
        }
    }
}

/* Gives the address space back, too. Neighbours see nothing there from the first line on; the
 * kernel may give it to anybody from the second.
 */
static bool unmap_run(struct al_runs *runs, uint32_t idx, enum al_stale asked, bool is_last) {
    struct al_extent *const extent = al_extent_at(idx);
    const struct al_free_part none = {0};
    const uintptr_t base_addr = extent->base_addr;
    const size_t bytes = al_extent_bytes(extent);

    AL_ASSERT(al_extent_kind(extent) == AL_EXTENT_BUSY);
    al_map_set(base_addr, extent->granules, AL_MAP_NONE);
    if (al_user_hooks_own(runs, base_addr) ? !al_user_hooks_unmap(runs, base_addr, bytes, is_last)
                                           : !al_os_unmap((void *)base_addr, bytes)) {
        /* It stays, and may hold anything. */
        extent->free.stale_granules[AL_STALE_DIRTY] = extent->granules;
        extent->free.stale_granules[AL_STALE_MUZZY] = 0;
        al_map_set(extent->base_addr, extent->granules, al_map_entry_make(0, AL_MAP_FREE_DIRTY));
        return false;
    }
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    count_locked(runs, &extent->free, &none, asked);
    runs->mapped_granules -= extent->granules;
    al_runs_total_add(0 - al_extent_bytes(extent));
    al_lock_give(&runs->lock);
    al_extent_give(idx);
    return true;
}

/* Purges part of one run taken out of the heap, and puts it back. No lock held. */
static void purge_run(struct al_runs *runs, uint32_t idx, uint32_t want, const struct pass *pass) {
    struct al_extent *const extent = al_extent_at(idx);
    const struct al_free_part before = extent->free;

    AL_ASSERT(al_extent_kind(extent) == AL_EXTENT_BUSY);
    /* Memory of the program's goes back to it as soon as all of one gift is free. */
    const bool is_unmapped = !al_options.retain || al_user_hooks_is_whole(runs, extent->base_addr,
                                                                          al_extent_bytes(extent));
    if (pass->is_forced && is_unmapped && unmap_run(runs, idx, pass->stale, false)) {
        return;
    }
    const struct range range =
        upper_range(extent, pass, pass->is_forced && is_unmapped ? extent->granules : want);
    const bool is_purged =
        (!pass->is_forced && make_muzzy(runs, extent, range)) || make_clean(runs, extent, range);
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    count_locked(runs, &before, &extent->free, pass->stale);
    const struct al_runs_absorbed absorbed = al_runs_insert_locked(runs, idx);
    extent->free.is_skipped = !is_purged;
    al_lock_give(&runs->lock);
    al_runs_give_absorbed(absorbed);
}

/* Returns the muzzy granules there are afterwards. */
static size_t run_pass(struct al_runs *runs, enum al_stale stale, bool all) {
    const uint64_t now_ns = al_os_time_ns();
    struct pass pass = {
        .stale = stale, .all = all, .granules = UINT32_MAX, .base_addr = UINTPTR_MAX};
    bool has_purged = false;

    while (!pass.has_ended) { /* the place in the order only goes down */
        al_lock_take(&runs->lock, AL_RANK_RUNS);
        collect_locked(runs, &pass, pass_keep_locked(runs, &pass, now_ns));
        pass.is_forced =
            all || stale == AL_STALE_MUZZY || runs->decay[AL_STALE_MUZZY].decay_ms == 0;
        if (pass.batch_count != 0 && !has_purged) {
            has_purged = true;
            runs->purged[stale].pass_count++;
        }
        al_lock_give(&runs->lock);
        for (uint32_t at = 0; at < pass.batch_count; at++) {
            purge_run(runs, pass.batch[at].idx, pass.batch[at].want, &pass);
        }
    }
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    al_decay_purged(&runs->decay[stale], runs->stale_granules[stale]);
    runs->decay[stale].looked_ns = runs->decay[stale].epoch_ns;
    al_purge_plan_locked(runs);
    postpone_locked(runs, now_ns);
    const size_t muzzy_granules = runs->stale_granules[AL_STALE_MUZZY];
    al_lock_give(&runs->lock);
    return muzzy_granules;
}

void al_purge(struct al_runs *runs, bool all) {
    if (run_pass(runs, AL_STALE_DIRTY, all) != 0) {
        (void)run_pass(runs, AL_STALE_MUZZY, all);
    }
}

void al_purge_release(struct al_runs *runs) {
    for (;;) { /* each turn takes a run out of the heap */
        al_lock_take(&runs->lock, AL_RANK_RUNS);
        const uint32_t idx = al_treap_below(runs->root_idx, UINT32_MAX, UINTPTR_MAX);
        if (idx != 0) {
            al_runs_remove_locked(runs, idx);
        }
        al_lock_give(&runs->lock);
        if (idx == 0) {
            return;
        }
        if (!unmap_run(runs, idx, AL_STALE_DIRTY, true)) {
            /* Nobody's from now on: address space that is lost. */
            al_map_set(al_extent_at(idx)->base_addr, al_extent_at(idx)->granules, AL_MAP_NONE);
        }
    }
}

void al_purge_set_decay_ms(struct al_runs *runs, enum al_stale stale, ssize_t decay_ms) {
    AL_ASSERT(decay_ms >= -1);
    const uint64_t now_ns = al_os_time_ns();

    al_lock_take(&runs->lock, AL_RANK_RUNS);
    al_decay_init(&runs->decay[stale], decay_ms, now_ns); /* what there is counts as fresh */
    al_purge_plan_locked(runs);
    al_lock_give(&runs->lock);
    al_purge(runs, false);
    al_purge_wake();
}

ssize_t al_purge_decay_ms(struct al_runs *runs, enum al_stale stale) {
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    const ssize_t decay_ms = runs->decay[stale].decay_ms;
    al_lock_give(&runs->lock);
    return decay_ms;
}
