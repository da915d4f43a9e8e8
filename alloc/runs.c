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
#include "alloc/options.h"
#include "alloc/os.h"
#include "alloc/purge.h"
#include "alloc/runs_heap.h"
#include "alloc/treap.h"
#include "alloc/user_hooks.h"

enum {
    /* Address space asked for at a time: small enough for RLIMIT_AS, large enough that the
     * kernel is asked rarely; untouched pages cost nothing.
     */
    GROW_BYTES = 4 * 1024 * 1024,
    GROW_GRANULES = GROW_BYTES / AL_GRANULE_BYTES,
};

/* In the order of opt.thp's words. */
enum { THP_DEFAULT, THP_ALWAYS, THP_NEVER };

_Atomic size_t al_runs_total_bytes;

void al_runs_init(struct al_runs *runs, uint32_t arena_idx,
                  const ssize_t decay_ms[AL_STALE_COUNT]) {
    *runs = (struct al_runs){
        .arena_idx = arena_idx, .purge_due_ns = UINT64_MAX, .grow_limit_bytes = GROW_BYTES};
    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        al_decay_init(&runs->decay[stale], decay_ms[stale], al_os_time_ns());
    }
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
        AL_ASSERT(al_map_low_is_free(low));
        al_map_set(ends[end], 1, al_map_entry_make(idx, low));
    }
}

struct stale_counts {
    uint32_t granules[AL_STALE_COUNT];
};

static struct stale_counts count_stale(uintptr_t base_addr, uint32_t granules) {
    struct stale_counts counts = {{0}};

    AL_ASSERT(base_addr % AL_GRANULE_BYTES == 0);
    for (uint32_t idx = 0; idx < granules; idx++) {
        const uintptr_t addr = base_addr + ((uintptr_t)idx << AL_GRANULE_LG);
        const uint32_t low = al_map_entry_low(al_map_entry((const void *)addr));
        AL_ASSERT(al_map_low_is_free(low));
        if (low != AL_MAP_FREE_CLEAN) {
            counts.granules[low - AL_MAP_FREE_DIRTY]++;
        }
    }
    return counts;
}

static bool has_stale(const struct al_extent *extent) {
    return (extent->free.stale_granules[AL_STALE_DIRTY] |
            extent->free.stale_granules[AL_STALE_MUZZY]) != 0;
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

    if (!al_map_low_is_free(low) || idx == 0) {
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

struct al_runs_absorbed al_runs_insert_locked(struct al_runs *runs, uint32_t idx) {
    al_lock_assert_held(&runs->lock);
    struct al_extent *const extent = al_extent_at(idx);
    const struct al_runs_absorbed absorbed = {
        {free_neighbour_locked(runs, extent->base_addr - AL_GRANULE_BYTES, false),
         free_neighbour_locked(runs, end_addr(extent), true)}};

    runs->free_granules += extent->granules;
    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        runs->stale_granules[stale] += extent->free.stale_granules[stale];
    }
    for (size_t side = 0; side < 2; side++) {
        if (absorbed.idx[side] == 0) {
            continue;
        }
        struct al_extent *const other = al_extent_at(absorbed.idx[side]);
        al_treap_remove(&runs->root_idx, absorbed.idx[side]);
        al_extent_set_kind(other, AL_EXTENT_BUSY);
        if (side == 0) {
            extent->base_addr = other->base_addr;
        }
        extent->granules += other->granules;
        for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
            extent->free.stale_granules[stale] += other->free.stale_granules[stale];
        }
    }
    extent->free.is_skipped = 0;
    al_extent_set_arena(extent, runs->arena_idx);
    al_extent_set_kind(extent, AL_EXTENT_FREE);
    mark_ends(idx);
    al_treap_insert(&runs->root_idx, idx);
    return absorbed;
}

void al_runs_give_absorbed(struct al_runs_absorbed absorbed) {
    for (size_t side = 0; side < 2; side++) {
        if (absorbed.idx[side] != 0) {
            al_extent_give(absorbed.idx[side]);
        }
    }
}

void al_runs_remove_locked(struct al_runs *runs, uint32_t idx) {
    al_lock_assert_held(&runs->lock);
    struct al_extent *const extent = al_extent_at(idx);

    AL_ASSERT(al_extent_kind(extent) == AL_EXTENT_FREE);
    AL_ASSERT(al_extent_arena(extent) == runs->arena_idx);
    al_treap_remove(&runs->root_idx, idx);
    al_extent_set_kind(extent, AL_EXTENT_BUSY);
    runs->free_granules -= extent->granules;
    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        runs->stale_granules[stale] -= extent->free.stale_granules[stale];
    }
}

void al_runs_count_large_locked(struct al_runs *runs, size_t new_bytes, size_t old_bytes) {
    al_lock_assert_held(&runs->lock);
    runs->large_bytes += new_bytes - old_bytes;
    if (new_bytes != 0) {
        runs->large_malloc_count++;
        runs->large[al_large_class_of(new_bytes)].malloc_count++;
    }
    if (old_bytes != 0) {
        runs->large_free_count++;
        runs->large[al_large_class_of(old_bytes)].free_count++;
    }
}

void al_runs_count_hits(struct al_runs *runs, size_t bytes, uint64_t count) {
    AL_ASSERT(bytes > 0);
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    runs->large_malloc_count += count;
    runs->large_free_count += count;
    runs->large[al_large_class_of(bytes)].malloc_count += count;
    runs->large[al_large_class_of(bytes)].free_count += count;
    al_lock_give(&runs->lock);
}

void al_runs_advise_huge(void *ptr, size_t bytes) {
    if (al_options.thp == THP_ALWAYS) {
        al_os_huge(ptr, bytes);
    } else if (al_options.thp == THP_NEVER) {
        al_os_no_huge(ptr, bytes);
    }
}

/* The first arena's first piece of address space costs a small process no system call. It may be
 * far from what the kernel gives later, so the map must be one that reaches everything.
 */
static _Atomic bool is_first_chunk_taken;
static AL_SPARSE AL_ALIGNED(AL_PAGE_BYTES)
char first_chunk[GROW_BYTES + AL_GRANULE_BYTES - AL_PAGE_BYTES];

static void *chunk_map(const struct al_runs *runs, size_t bytes) {
    AL_ASSERT(bytes % AL_GRANULE_BYTES == 0 && bytes > 0);
    if (runs->arena_idx == 0 && bytes <= GROW_BYTES && al_map_mode() == AL_MAP_MODE_FLAT &&
        !atomic_load_explicit(&is_first_chunk_taken, memory_order_relaxed) &&
        !atomic_exchange(&is_first_chunk_taken, true)) {
        return (void *)al_round_up((uintptr_t)first_chunk, AL_GRANULE_BYTES);
    }
    return al_os_map_aligned(bytes, AL_GRANULE_BYTES);
}

static void chunk_unmap(void *ptr, size_t bytes) {
    if ((uintptr_t)ptr - (uintptr_t)first_chunk < sizeof(first_chunk)) {
        atomic_store(&is_first_chunk_taken, false);
    } else {
        al_os_unmap(ptr, bytes);
    }
}

/* Address space for a run of `granules`, and more if there is. NULL: none. *granules: how many
 * there are. No lock held.
 */
static void *map_some(struct al_runs *runs, uint32_t *granules, bool *is_zeroed) {
    AL_ASSERT(*granules > 0);
    const size_t limit_bytes = atomic_load_explicit(&runs->grow_limit_bytes, memory_order_relaxed);
    const uint32_t step = limit_bytes < GROW_BYTES ? (uint32_t)(limit_bytes >> AL_GRANULE_LG)
                                                   : (uint32_t)GROW_GRANULES;
    const uint32_t wanted[] = {*granules > step ? *granules : step, *granules};
    void *ptr = NULL;

    *is_zeroed = true;
    for (size_t at = 0; ptr == NULL && at < AL_ARRAY_COUNT(wanted);
         at++) { /* a limit: ask for less */
        *granules = wanted[at];
        ptr = atomic_load_explicit(&runs->hooks, memory_order_acquire) != NULL
                  ? al_user_hooks_map(runs, *granules, AL_GRANULE_BYTES, is_zeroed)
                  : chunk_map(runs, (size_t)*granules << AL_GRANULE_LG);
    }
    return ptr;
}

/* What map_some gave goes back. */
static void unmap_some(struct al_runs *runs, void *ptr, uint32_t granules) {
    const size_t bytes = (size_t)granules << AL_GRANULE_LG;

    if (!al_user_hooks_unmap(runs, (uintptr_t)ptr, bytes, true)) {
        chunk_unmap(ptr, bytes);
    }
}

static bool grow(struct al_runs *runs, uint32_t granules) {
    const uint32_t extent_idx = al_extent_take();
    bool is_zeroed = true;

    if (extent_idx == 0) {
        return false;
    }
    void *const ptr = map_some(runs, &granules, &is_zeroed);
    const size_t bytes = (size_t)granules << AL_GRANULE_LG;
    if (ptr == NULL || !al_map_cover((uintptr_t)ptr, bytes)) {
        if (ptr != NULL) {
            unmap_some(runs, ptr, granules);
        }
        al_extent_give(extent_idx);
        return false;
    }
    if (al_runs_is_plain(runs)) {
        al_runs_advise_huge(ptr, bytes);
    }
    struct al_extent *const extent = al_extent_at(extent_idx);
    extent->base_addr = (uintptr_t)ptr;
    extent->granules = granules;
    extent->free = (struct al_free_part){0};
    extent->free.stale_granules[AL_STALE_DIRTY] = is_zeroed ? 0 : granules;
    al_map_set(extent->base_addr, granules,
               al_map_entry_make(0, is_zeroed ? AL_MAP_FREE_CLEAN : AL_MAP_FREE_DIRTY));

    al_lock_take(&runs->lock, AL_RANK_RUNS);
    runs->mapped_granules += granules;
    al_runs_total_add(bytes);
    const struct al_runs_absorbed absorbed = al_runs_insert_locked(runs, extent_idx);
    if (!is_zeroed) {
        al_purge_plan_locked(runs);
    }
    al_lock_give(&runs->lock);
    al_runs_give_absorbed(absorbed);
    return true;
}

bool al_runs_prime(struct al_runs *runs) {
    return grow(runs, 1);
}

/* A piece of a free run, not in the heap yet, becomes a run of its own. */
static void add_piece_locked(struct al_runs *runs, uint32_t idx, uintptr_t base_addr,
                             uint32_t granules, struct stale_counts stale) {
    al_lock_assert_held(&runs->lock);
    struct al_extent *const piece = al_extent_at(idx);

    piece->base_addr = base_addr;
    piece->granules = granules;
    piece->free.is_skipped = 0;
    for (size_t kind = 0; kind < AL_STALE_COUNT; kind++) {
        piece->free.stale_granules[kind] = stale.granules[kind];
        runs->stale_granules[kind] += stale.granules[kind];
    }
    runs->free_granules += granules;
    al_extent_set_arena(piece, runs->arena_idx);
    al_extent_set_kind(piece, AL_EXTENT_FREE);
    mark_ends(idx);
    al_treap_insert(&runs->root_idx, idx);
}

/* Cuts [lead, lead + granules) out of the free run `idx`. What is left in front keeps the
 * descriptor; what is left behind gets *spare_idx. A descriptor that is not needed any more is
 * left in *spare_idx. Returns whether what was cut out reads as zero.
 */
static bool carve_locked(struct al_runs *runs, uint32_t idx, uint32_t lead, uint32_t granules,
                         uint32_t *spare_idx) {
    al_lock_assert_held(&runs->lock);
    const struct al_extent *const whole = al_extent_at(idx);
    const uint32_t tail = whole->granules - lead - granules;
    const uintptr_t base_addr = whole->base_addr;
    const uintptr_t taken_addr = base_addr + ((uintptr_t)lead << AL_GRANULE_LG);
    const uintptr_t tail_addr = taken_addr + ((uintptr_t)granules << AL_GRANULE_LG);
    const bool is_clean = !has_stale(whole);
    struct stale_counts taken = {{0}};
    struct stale_counts before = {{0}};
    struct stale_counts after = {{0}};

    if (!is_clean) {
        taken = count_stale(taken_addr, granules);
        before = count_stale(base_addr, lead);
        for (size_t kind = 0; kind < AL_STALE_COUNT; kind++) {
            after.granules[kind] =
                whole->free.stale_granules[kind] - taken.granules[kind] - before.granules[kind];
        }
    }
    al_runs_remove_locked(runs, idx);
    uint32_t unused_idx = idx;
    if (lead != 0) {
        add_piece_locked(runs, idx, base_addr, lead, before);
        unused_idx = *spare_idx;
    }
    if (tail != 0) {
        add_piece_locked(runs, unused_idx, tail_addr, tail, after);
        unused_idx = 0;
    }
    AL_ASSERT(lead != 0 || *spare_idx == 0 || tail != 0);
    if (lead != 0 || *spare_idx == 0) {
        *spare_idx = unused_idx;
    }
    return (taken.granules[AL_STALE_DIRTY] | taken.granules[AL_STALE_MUZZY]) == 0;
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

    *is_zeroed = carve_locked(runs, idx, lead, granules, spare_idx);
    /* Neighbours must not see a free granule here any more. */
    al_map_set(base_addr, 1, AL_MAP_BUSY);
    al_map_set(base_addr + ((uintptr_t)(granules - 1) << AL_GRANULE_LG), 1, AL_MAP_BUSY);
    extent->base_addr = base_addr;
    extent->granules = granules;
    al_extent_set_arena(extent, runs->arena_idx);
    return true;
}

bool al_runs_take(struct al_runs *runs, uint32_t extent_idx, uint32_t granules,
                  uint32_t align_granules, enum al_runs_use use, bool *is_zeroed) {
    AL_ASSERT(granules > 0);
    AL_ASSERT(al_is_pow2(align_granules));
    struct al_extent *const extent = al_extent_at(extent_idx);
    uint32_t spare_idx = 0;
    bool is_taken = false;

    /* A second descriptor is needed only when both ends of a run are left over. */
    if (align_granules > 1) {
        spare_idx = al_extent_take();
        if (spare_idx == 0) {
            return false;
        }
    }
    /* What was just added may be taken by another thread, or be on its way to be purged: then it
     * is asked for again. Ends when the kernel has no more.
     */
    for (;;) {
        uint32_t lead_spare_idx = align_granules > 1 ? spare_idx : 0;
        al_lock_take(&runs->lock, AL_RANK_RUNS);
        is_taken = take_locked(runs, extent, granules, align_granules, &lead_spare_idx, is_zeroed);
        if (is_taken && use == AL_RUNS_LARGE) {
            al_runs_count_large_locked(runs, al_extent_bytes(extent), 0);
        }
        al_lock_give(&runs->lock);
        spare_idx = lead_spare_idx;
        if (is_taken || !grow(runs, granules + align_granules - 1)) {
            break;
        }
    }
    if (spare_idx != 0) {
        al_extent_give(spare_idx);
    }
    return is_taken;
}

void al_runs_give(struct al_runs *runs, uint32_t extent_idx, enum al_runs_use use, bool is_dirty) {
    AL_ASSERT(extent_idx != 0);
    struct al_extent *const extent = al_extent_at(extent_idx);
    const uint32_t low = is_dirty ? AL_MAP_FREE_DIRTY : AL_MAP_FREE_CLEAN;

    al_extent_set_kind(extent, AL_EXTENT_BUSY);
    extent->free = (struct al_free_part){0};
    extent->free.stale_granules[AL_STALE_DIRTY] = is_dirty ? extent->granules : 0;
    al_map_set(extent->base_addr, extent->granules, al_map_entry_make(0, low));
    const uint64_t now_ns = al_os_time_ns();

    al_lock_take(&runs->lock, AL_RANK_RUNS);
    (void)al_decay_advance(&runs->decay[AL_STALE_DIRTY], now_ns,
                           runs->stale_granules[AL_STALE_DIRTY]);
    if (use == AL_RUNS_LARGE) {
        al_runs_count_large_locked(runs, 0, al_extent_bytes(extent));
    }
    const struct al_runs_absorbed absorbed = al_runs_insert_locked(runs, extent_idx);
    al_purge_plan_locked(runs);
    al_lock_give(&runs->lock);
    al_runs_give_absorbed(absorbed);
    if (al_purge_due_ns(runs) == 0) {
        al_purge(runs, false);
    } else {
        al_purge_wake();
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
        *is_zeroed = carve_locked(runs, idx, 0, more, &spare_idx);
        al_map_set(next_addr, more, AL_MAP_BUSY);
        extent->granules += more;
        const size_t new_bytes = al_extent_bytes(extent);
        al_runs_count_large_locked(runs, new_bytes, new_bytes - ((size_t)more << AL_GRANULE_LG));
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

    if (tail_idx == 0) {
        return false;
    }
    struct al_extent *const tail = al_extent_at(tail_idx);
    extent->granules -= fewer;
    tail->base_addr = end_addr(extent);
    tail->granules = fewer;
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    al_runs_count_large_locked(runs, al_extent_bytes(extent),
                               al_extent_bytes(extent) + al_extent_bytes(tail));
    al_lock_give(&runs->lock);
    al_runs_give(runs, tail_idx, AL_RUNS_SLAB, true);
    return true;
}

void al_runs_abandon(struct al_runs *runs, const struct al_extent *extent) {
    al_map_set(extent->base_addr, extent->granules, AL_MAP_NONE);
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    runs->mapped_granules -= extent->granules;
    al_runs_count_large_locked(runs, 0, al_extent_bytes(extent));
    al_lock_give(&runs->lock);
    al_runs_total_add(0 - al_extent_bytes(extent));
}

void al_runs_check(struct al_runs *runs) {
    size_t free_granules = 0;
    size_t stale_granules[AL_STALE_COUNT] = {0};

    al_lock_take(&runs->lock, AL_RANK_RUNS);
    al_treap_check(runs->root_idx);
    for (uint32_t idx = al_treap_previous(runs->root_idx, 0); idx != 0;
         idx = al_treap_previous(runs->root_idx, idx)) {
        const struct al_extent *const extent = al_extent_at(idx);
        const uint64_t last = al_map_entry((const void *)(end_addr(extent) - AL_GRANULE_BYTES));
        const struct stale_counts counted = count_stale(extent->base_addr, extent->granules);
        AL_CHECK(free_neighbour_locked(runs, end_addr(extent), true) == 0,
                 "internal: runs I2: two free runs touch");
        AL_CHECK(free_neighbour_locked(runs, extent->base_addr, true) == idx &&
                     al_map_entry_extent(last) == idx,
                 "internal: runs I3: ends in the map");
        for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
            AL_CHECK(counted.granules[stale] == extent->free.stale_granules[stale],
                     "internal: runs I4: stale granules of a run");
            stale_granules[stale] += extent->free.stale_granules[stale];
        }
        free_granules += extent->granules;
    }
    AL_CHECK(free_granules == runs->free_granules &&
                 stale_granules[AL_STALE_DIRTY] == runs->stale_granules[AL_STALE_DIRTY] &&
                 stale_granules[AL_STALE_MUZZY] == runs->stale_granules[AL_STALE_MUZZY],
             "internal: runs I5: sums over the runs");
    al_lock_give(&runs->lock);
}
