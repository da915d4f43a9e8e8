/* SPDX-License-Identifier: BSD-2-Clause
 *
 * runs — one best-fit heap for slabs and large allocations alike.
 *
 * Neighbours are found through the map, so runs merge across the mappings they came in, and
 * the heap needs no chunk headers. Clean and dirty granules merge too: keeping them apart, as
 * jemalloc does, splits the space in two and was the wrong design for programs that grow and
 * shrink blocks of some MiB (DESIGN section 5's page-fault figures).
 */
#include "alloc/runs.h"

#include "alloc/bits.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/treap.h"

enum {
    /* Address space asked for at a time: small enough for RLIMIT_AS, large enough that the
     * kernel is asked rarely; untouched pages cost nothing.
     */
    GROW_BYTES = 4 * 1024 * 1024,
    GROW_GRANULES = GROW_BYTES / AL_GRANULE_BYTES,
    /* Freed memory kept beyond what decay allows to go: 16 MiB, or an eighth of what is in
     * use. More than that is purged on the spot, largest runs first (DESIGN section 5).
     */
    DIRTY_KEEP_GRANULES = 16 * 1024 * 1024 / AL_GRANULE_BYTES,
    DIRTY_KEEP_SHARE = 8,
    /* Runs purged between two takings of the lock. */
    PURGE_BATCH_COUNT = 16,
    /* Runs looked at, from the largest down, for dirty ones. */
    PURGE_SCAN_COUNT = 256,
};

void al_runs_init(struct al_runs *runs, uint32_t arena_idx, ssize_t dirty_decay_ms) {
    *runs = (struct al_runs){.arena_idx = arena_idx, .purge_due_ns = UINT64_MAX};
    al_decay_init(&runs->decay, dirty_decay_ms, al_os_time_ns());
}

static size_t keep_granules(const struct al_runs *runs) {
    AL_ASSERT(runs->free_granules <= runs->mapped_granules);
    const size_t active = runs->mapped_granules - runs->free_granules;
    const size_t share = active / DIRTY_KEEP_SHARE;

    return share > DIRTY_KEEP_GRANULES ? share : DIRTY_KEEP_GRANULES;
}

/* Dirty granules that may stay now. */
static size_t allowed_granules(const struct al_runs *runs) {
    if (runs->decay.decay_ms < 0) {
        return SIZE_MAX;
    }
    if (runs->decay.decay_ms == 0) {
        return 0;
    }
    return keep_granules(runs);
}

/* To be called when dirty_granules or decay has changed. */
static void plan_locked(struct al_runs *runs) {
    al_lock_assert_held(&runs->lock);
    uint64_t due_ns = runs->decay.epoch_ns + runs->decay.step_ns;

    if (runs->dirty_granules == 0 || runs->decay.decay_ms < 0) {
        due_ns = UINT64_MAX;
    } else if (runs->dirty_granules > allowed_granules(runs)) {
        due_ns = 0;
    }
    atomic_store_explicit(&runs->purge_due_ns, due_ns, memory_order_relaxed);
}

static uintptr_t end_addr(const struct al_extent *extent) {
    return extent->base_addr + al_extent_bytes(extent);
}

static void mark_ends(uint32_t idx) {
    AL_ASSERT(idx != 0);
    const struct al_extent *const extent = al_extent_at(idx);
    const uintptr_t ends[] = {extent->base_addr, end_addr(extent) - AL_GRANULE_BYTES};

    for (size_t end = 0; end < AL_ARRAY_COUNT(ends); end++) {
        const uint32_t low = al_map_entry_low(al_map_entry((const void *)ends[end]));
        AL_ASSERT(low == AL_MAP_FREE_CLEAN || low == AL_MAP_FREE_DIRTY);
        al_map_set(ends[end], 1, al_map_entry_make(idx, low));
    }
}

static uint32_t count_dirty(uintptr_t base_addr, uint32_t granules) {
    uint32_t count = 0;

    for (uint32_t idx = 0; idx < granules; idx++) {
        const uintptr_t addr = base_addr + ((uintptr_t)idx << AL_GRANULE_LG);
        if (al_map_entry_low(al_map_entry((const void *)addr)) == AL_MAP_FREE_DIRTY) {
            count++;
        }
    }
    return count;
}

/* The free run of this arena that owns the granule at `addr`, seen from a neighbour; 0: none.
 * A descriptor of another arena may change under our eyes; only one that is ours and agrees
 * about the common edge counts, and that one our lock holds still.
 */
static uint32_t free_neighbour_locked(const struct al_runs *runs, uintptr_t addr, bool is_after) {
    al_lock_assert_held(&runs->lock);
    const uint64_t entry = al_map_entry((const void *)addr);
    const uint32_t low = al_map_entry_low(entry);
    const uint32_t idx = al_map_entry_extent(entry);

    if ((low != AL_MAP_FREE_CLEAN && low != AL_MAP_FREE_DIRTY) || idx == 0) {
        return 0;
    }
    const struct al_extent *const extent = al_extent_at(idx);
    if (al_extent_kind(extent) != AL_EXTENT_FREE || al_extent_arena(extent) != runs->arena_idx) {
        return 0;
    }
    const bool is_touching =
        is_after ? extent->base_addr == addr : end_addr(extent) == addr + AL_GRANULE_BYTES;
    return is_touching ? idx : 0;
}

/* Makes `idx` (base and granules set, its map entries already FREE ones, dirty_granules
 * counted) part of the heap, merged with what it touches. The descriptors of neighbours that
 * it swallowed are left in absorbed[2], for the caller to give back after the lock.
 */
static void insert_locked(struct al_runs *runs, uint32_t idx, uint32_t absorbed[2]) {
    al_lock_assert_held(&runs->lock);
    struct al_extent *const extent = al_extent_at(idx);

    al_lock_assert_held(&runs->lock);
    absorbed[0] = free_neighbour_locked(runs, extent->base_addr - AL_GRANULE_BYTES, false);
    absorbed[1] = free_neighbour_locked(runs, end_addr(extent), true);
    runs->free_granules += extent->granules;
    runs->dirty_granules += extent->free.dirty_granules;
    for (size_t side = 0; side < 2; side++) {
        if (absorbed[side] == 0) {
            continue;
        }
        struct al_extent *const other = al_extent_at(absorbed[side]);
        al_treap_remove(&runs->root_idx, absorbed[side]);
        al_extent_set_kind(other, AL_EXTENT_BUSY);
        if (side == 0) {
            extent->base_addr = other->base_addr;
        }
        extent->granules += other->granules;
        extent->free.dirty_granules += other->free.dirty_granules;
    }
    extent->free.is_skipped = 0;
    al_extent_set_arena(extent, runs->arena_idx);
    al_extent_set_kind(extent, AL_EXTENT_FREE);
    mark_ends(idx);
    al_treap_insert(&runs->root_idx, idx);
}

static void give_absorbed(const uint32_t absorbed[2]) {
    for (size_t side = 0; side < 2; side++) {
        if (absorbed[side] != 0) {
            al_extent_give(absorbed[side]);
        }
    }
}

/* Asks the kernel for address space for a run of `granules`. No lock held. */
static bool grow(struct al_runs *runs, uint32_t granules) {
    AL_ASSERT(granules > 0);
    const uint32_t extent_idx = al_extent_take();

    if (extent_idx == 0) {
        return false;
    }
    /* One granule more: the kernel aligns to pages only. Rarely needed, never touched. */
    size_t bytes = (size_t)(granules > GROW_GRANULES ? granules + 1 : GROW_GRANULES)
                   << AL_GRANULE_LG;
    void *ptr = al_os_map(NULL, bytes);
    if (ptr == NULL && granules < GROW_GRANULES) {
        bytes = (size_t)(granules + 1) << AL_GRANULE_LG; /* a tight limit: ask for less */
        ptr = al_os_map(NULL, bytes);
    }
    const uintptr_t base_addr = al_round_up((uintptr_t)ptr, AL_GRANULE_BYTES);
    const uintptr_t top_addr = al_round_down((uintptr_t)ptr + bytes, AL_GRANULE_BYTES);
    if (ptr == NULL || !al_map_cover(base_addr, top_addr - base_addr)) {
        if (ptr != NULL) {
            al_os_unmap(ptr, bytes);
        }
        al_extent_give(extent_idx);
        return false;
    }
    struct al_extent *const extent = al_extent_at(extent_idx);
    extent->base_addr = base_addr;
    extent->granules = (uint32_t)((top_addr - base_addr) >> AL_GRANULE_LG);
    extent->free.dirty_granules = 0;
    al_map_set(base_addr, extent->granules, al_map_entry_make(0, AL_MAP_FREE_CLEAN));

    uint32_t absorbed[2];
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    runs->mapped_granules += extent->granules;
    insert_locked(runs, extent_idx, absorbed);
    al_lock_give(&runs->lock);
    give_absorbed(absorbed);
    return true;
}

/* Cuts [lead, lead + granules) out of the free run `idx`, which is removed from the treap.
 * What is left in front keeps the descriptor; what is left behind gets *spare_idx. A
 * descriptor that is not needed any more is left in *spare_idx.
 */
static void carve_locked(struct al_runs *runs, uint32_t idx, uint32_t lead, uint32_t granules,
                         uint32_t *spare_idx) {
    al_lock_assert_held(&runs->lock);
    struct al_extent *const whole = al_extent_at(idx);
    const uint32_t tail = whole->granules - lead - granules;
    const uintptr_t taken_addr = whole->base_addr + ((uintptr_t)lead << AL_GRANULE_LG);
    const uintptr_t tail_addr = taken_addr + ((uintptr_t)granules << AL_GRANULE_LG);
    const uint32_t all_dirty = whole->free.dirty_granules;
    const uint32_t taken_dirty = all_dirty == 0 ? 0 : count_dirty(taken_addr, granules);
    const uint32_t lead_dirty =
        all_dirty == 0 || lead == 0 ? 0 : count_dirty(whole->base_addr, lead);

    al_treap_remove(&runs->root_idx, idx);
    al_extent_set_kind(whole, AL_EXTENT_BUSY);
    runs->free_granules -= granules;
    runs->dirty_granules -= taken_dirty;
    uint32_t tail_idx = idx;
    if (lead != 0) {
        whole->granules = lead;
        whole->free.dirty_granules = lead_dirty;
        al_extent_set_kind(whole, AL_EXTENT_FREE);
        mark_ends(idx);
        al_treap_insert(&runs->root_idx, idx);
        tail_idx = *spare_idx;
        *spare_idx = 0;
    }
    if (tail != 0) {
        struct al_extent *const rest = al_extent_at(tail_idx);
        rest->base_addr = tail_addr;
        rest->granules = tail;
        rest->free.dirty_granules = all_dirty - taken_dirty - lead_dirty;
        rest->free.is_skipped = 0;
        al_extent_set_arena(rest, runs->arena_idx);
        al_extent_set_kind(rest, AL_EXTENT_FREE);
        mark_ends(tail_idx);
        al_treap_insert(&runs->root_idx, tail_idx);
    } else if (lead == 0) {
        AL_ASSERT(*spare_idx == 0);
        *spare_idx = idx;
    } else {
        *spare_idx = tail_idx;
    }
}

/* One try at taking a run; false if none fits. *spare_idx as carve_locked leaves it. */
static bool take_locked(struct al_runs *runs, struct al_extent *extent, uint32_t granules,
                        uint32_t align_granules, uint32_t *spare_idx, bool *is_zeroed) {
    al_lock_assert_held(&runs->lock);
    const uint32_t idx = al_treap_best_fit(runs->root_idx, granules + align_granules - 1);

    if (idx == 0) {
        return false;
    }
    const struct al_extent *const found = al_extent_at(idx);
    const uintptr_t align_bytes = (uintptr_t)align_granules << AL_GRANULE_LG;
    const uintptr_t base_addr = al_round_up(found->base_addr, align_bytes);
    const uint32_t lead = (uint32_t)((base_addr - found->base_addr) >> AL_GRANULE_LG);
    const size_t dirty_before = runs->dirty_granules;

    carve_locked(runs, idx, lead, granules, spare_idx);
    /* Neighbours must not see a free granule here any more. */
    al_map_set(base_addr, 1, AL_MAP_BUSY);
    al_map_set(base_addr + ((uintptr_t)(granules - 1) << AL_GRANULE_LG), 1, AL_MAP_BUSY);
    *is_zeroed = runs->dirty_granules == dirty_before;
    extent->base_addr = base_addr;
    extent->granules = granules;
    al_extent_set_arena(extent, runs->arena_idx);
    return true;
}

bool al_runs_take(struct al_runs *runs, uint32_t extent_idx, uint32_t granules,
                  uint32_t align_granules, bool *is_zeroed) {
    AL_ASSERT(granules > 0);
    AL_ASSERT(al_is_pow2(align_granules));
    struct al_extent *const extent = al_extent_at(extent_idx);
    uint32_t spare_idx = 0;
    bool is_taken = false;

    AL_ASSERT(granules > 0 && al_is_pow2(align_granules));
    /* A second descriptor is needed only when both ends of a run are left over. */
    if (align_granules > 1) {
        spare_idx = al_extent_take();
        if (spare_idx == 0) {
            return false;
        }
    }
    for (bool may_grow = true;; may_grow = false) {
        uint32_t lead_spare_idx = align_granules > 1 ? spare_idx : 0;
        al_lock_take(&runs->lock, AL_RANK_RUNS);
        is_taken = take_locked(runs, extent, granules, align_granules, &lead_spare_idx, is_zeroed);
        al_lock_give(&runs->lock);
        spare_idx = lead_spare_idx;
        if (is_taken || !may_grow || !grow(runs, granules + align_granules - 1)) {
            break;
        }
    }
    if (spare_idx != 0) {
        al_extent_give(spare_idx);
    }
    return is_taken;
}

void al_runs_give(struct al_runs *runs, uint32_t extent_idx, bool is_dirty) {
    AL_ASSERT(extent_idx != 0);
    struct al_extent *const extent = al_extent_at(extent_idx);
    const uint32_t low = is_dirty ? AL_MAP_FREE_DIRTY : AL_MAP_FREE_CLEAN;
    uint32_t absorbed[2];

    al_extent_set_kind(extent, AL_EXTENT_BUSY);
    extent->free.dirty_granules = is_dirty ? extent->granules : 0;
    al_map_set(extent->base_addr, extent->granules, al_map_entry_make(0, low));
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    insert_locked(runs, extent_idx, absorbed);
    plan_locked(runs);
    al_lock_give(&runs->lock);
    give_absorbed(absorbed);
    if (al_runs_purge_due_ns(runs) == 0) {
        al_runs_purge(runs, false);
    }
}

bool al_runs_extend(struct al_runs *runs, struct al_extent *extent, uint32_t more,
                    bool *is_zeroed) {
    AL_ASSERT(more > 0);
    uint32_t spare_idx = 0;

    al_lock_take(&runs->lock, AL_RANK_RUNS);
    const uintptr_t next_addr = end_addr(extent);
    const uint32_t idx = free_neighbour_locked(runs, next_addr, true);
    const bool is_fitting = idx != 0 && al_extent_at(idx)->granules >= more;
    if (is_fitting) {
        const size_t dirty_before = runs->dirty_granules;
        carve_locked(runs, idx, 0, more, &spare_idx);
        *is_zeroed = runs->dirty_granules == dirty_before;
        al_map_set(next_addr, more, AL_MAP_BUSY);
        extent->granules += more;
    }
    al_lock_give(&runs->lock);
    if (spare_idx != 0) {
        al_extent_give(spare_idx);
    }
    return is_fitting;
}

bool al_runs_trim(struct al_runs *runs, struct al_extent *extent, uint32_t fewer) {
    AL_ASSERT(fewer > 0 && fewer < extent->granules);
    const uint32_t tail_idx = al_extent_take();

    AL_ASSERT(fewer < extent->granules);
    if (tail_idx == 0) {
        return false;
    }
    struct al_extent *const tail = al_extent_at(tail_idx);
    extent->granules -= fewer;
    tail->base_addr = end_addr(extent);
    tail->granules = fewer;
    al_runs_give(runs, tail_idx, true);
    return true;
}

/* ---- purging ---- */

/* Takes up to PURGE_BATCH_COUNT dirty runs out of the heap, the largest first, until only
 * `keep` dirty granules are left.
 */
static uint32_t collect_locked(struct al_runs *runs, size_t keep,
                               uint32_t batch[PURGE_BATCH_COUNT]) {
    al_lock_assert_held(&runs->lock);
    uint32_t count = 0;
    uint32_t idx = al_treap_previous(runs->root_idx, 0);

    for (int seen = 0; idx != 0 && seen < PURGE_SCAN_COUNT; seen++) {
        if (count == PURGE_BATCH_COUNT || runs->dirty_granules <= keep) {
            break;
        }
        struct al_extent *const extent = al_extent_at(idx);
        const uint32_t previous_idx = al_treap_previous(runs->root_idx, idx);
        if (extent->free.dirty_granules != 0 && !extent->free.is_skipped) {
            al_treap_remove(&runs->root_idx, idx);
            al_extent_set_kind(extent, AL_EXTENT_BUSY);
            runs->free_granules -= extent->granules;
            runs->dirty_granules -= extent->free.dirty_granules;
            batch[count++] = idx;
        }
        idx = previous_idx;
    }
    return count;
}

/* Purges one run taken out of the heap, and puts it back. No lock held. */
static void purge_one(struct al_runs *runs, uint32_t idx) {
    AL_ASSERT(idx != 0);
    struct al_extent *const extent = al_extent_at(idx);
    const uint32_t dirty = extent->free.dirty_granules;
    const bool is_purged = al_os_purge((void *)extent->base_addr, al_extent_bytes(extent));
    uint32_t absorbed[2];

    if (is_purged) {
        al_map_set(extent->base_addr, extent->granules, al_map_entry_make(0, AL_MAP_FREE_CLEAN));
        extent->free.dirty_granules = 0;
    }
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    insert_locked(runs, idx, absorbed);
    extent->free.is_skipped = !is_purged;
    runs->purge_count++;
    runs->purged_granules += is_purged ? dirty : 0;
    plan_locked(runs);
    al_lock_give(&runs->lock);
    give_absorbed(absorbed);
}

void al_runs_purge(struct al_runs *runs, bool all) {
    uint32_t batch[PURGE_BATCH_COUNT];
    const uint64_t now_ns = al_os_time_ns();
    uint32_t count = 0;

    do { /* each turn makes runs clean or skipped, and there are finitely many */
        al_lock_take(&runs->lock, AL_RANK_RUNS);
        size_t keep = allowed_granules(runs);
        if (runs->decay.decay_ms > 0) {
            (void)al_decay_advance(&runs->decay, now_ns, runs->dirty_granules);
            const size_t decayed = al_decay_allowed(&runs->decay, runs->dirty_granules);
            keep = decayed < keep ? decayed : keep;
        }
        count = collect_locked(runs, all ? 0 : keep, batch);
        al_decay_purged(&runs->decay, runs->dirty_granules);
        plan_locked(runs);
        al_lock_give(&runs->lock);
        for (uint32_t idx = 0; idx < count; idx++) {
            purge_one(runs, batch[idx]);
        }
    } while (count == PURGE_BATCH_COUNT);
}

void al_runs_set_decay_ms(struct al_runs *runs, ssize_t decay_ms) {
    AL_ASSERT(decay_ms >= -1);
    const uint64_t now_ns = al_os_time_ns();

    al_lock_take(&runs->lock, AL_RANK_RUNS);
    al_decay_init(&runs->decay, decay_ms, now_ns); /* all that is dirty counts as fresh */
    plan_locked(runs);
    al_lock_give(&runs->lock);
    al_runs_purge(runs, decay_ms == 0);
}

void al_runs_check(struct al_runs *runs) {
    size_t free_granules = 0;
    size_t dirty_granules = 0;

    al_lock_take(&runs->lock, AL_RANK_RUNS);
    al_treap_check(runs->root_idx);
    for (uint32_t idx = al_treap_previous(runs->root_idx, 0); idx != 0;
         idx = al_treap_previous(runs->root_idx, idx)) {
        const struct al_extent *const extent = al_extent_at(idx);
        const uint64_t last = al_map_entry((const void *)(end_addr(extent) - AL_GRANULE_BYTES));
        AL_CHECK(free_neighbour_locked(runs, end_addr(extent), true) == 0,
                 "internal: runs I2: two free runs touch");
        AL_CHECK(free_neighbour_locked(runs, extent->base_addr, true) == idx &&
                     al_map_entry_extent(last) == idx,
                 "internal: runs I3: ends in the map");
        AL_CHECK(count_dirty(extent->base_addr, extent->granules) == extent->free.dirty_granules,
                 "internal: runs I4: dirty granules of a run");
        free_granules += extent->granules;
        dirty_granules += extent->free.dirty_granules;
    }
    AL_CHECK(free_granules == runs->free_granules && dirty_granules == runs->dirty_granules,
             "internal: runs I5: sums over the runs");
    al_lock_give(&runs->lock);
}
