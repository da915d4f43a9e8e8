/* SPDX-License-Identifier: BSD-2-Clause
 *
 * large — runs from the arena's heap, and mappings of their own above that.
 */
#include "alloc/large.h"

#include "alloc/bits.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/transplant.h"

enum {
    /* Below this, copying costs less than the two system calls and the page faults. */
    MOVE_MIN_BYTES = 1024 * 1024,
    /* From here on a block is likely to hold a range that pages can be moved to. */
    TRANSPLANT_MIN_BYTES = 1024 * 1024,
    /* A moved page range cannot merge with its new neighbours in the kernel's eyes, and a
     * process has 65,530 mappings by default: a quarter of them is ours to spend.
     */
    MOVE_COUNT_MAX = 16384,
    MOVE_NEVER = 1 << 30,
};

static _Atomic uint32_t move_count;

size_t al_large_usable_bytes(size_t size_bytes) {
    return al_round_up(size_bytes != 0 ? size_bytes : 1, AL_PAGE_BYTES);
}

static uint32_t granules_of(size_t usable_bytes) {
    AL_ASSERT(usable_bytes > 0);
    return (uint32_t)((usable_bytes + AL_GRANULE_BYTES - 1) >> AL_GRANULE_LG);
}

/* Of mappings of their own; runs count themselves. */
static void count_huge(struct al_arena *arena, size_t new_bytes, size_t old_bytes) {
    struct al_runs *const runs = &arena->runs;

    al_lock_take(&runs->lock, AL_RANK_RUNS);
    runs->huge_bytes += new_bytes - old_bytes;
    al_runs_count_large_locked(runs, new_bytes, old_bytes);
    al_lock_give(&runs->lock);
    al_runs_total_add(new_bytes - old_bytes);
}

/* Tells the map who owns the granules; the first one bears the pointer. */
static void publish(uint32_t idx, size_t first_granule) {
    AL_ASSERT(idx != 0);
    const struct al_extent *const extent = al_extent_at(idx);
    const uintptr_t base_addr = extent->base_addr;

    if (al_extent_kind(extent) != AL_EXTENT_HUGE) {
        al_map_set(base_addr + (first_granule << AL_GRANULE_LG), extent->granules - first_granule,
                   al_map_entry_make(idx, AL_MAP_LARGE_INTERIOR));
    }
    if (first_granule == 0) {
        al_map_set(base_addr, 1, al_map_entry_make(idx, AL_MAP_LARGE));
    }
}

/* ---- mappings of their own ---- */

static bool map_huge(struct al_extent *extent, size_t usable_bytes, size_t align_bytes) {
    AL_ASSERT(al_is_pow2(align_bytes));
    const size_t bytes = al_round_up(usable_bytes, AL_GRANULE_BYTES);
    const size_t base_align_bytes = align_bytes > AL_GRANULE_BYTES ? align_bytes : AL_GRANULE_BYTES;

    if (base_align_bytes > AL_SIZE_MAX_BYTES - bytes) {
        return false;
    }
    char *const base = al_os_map_aligned(bytes, base_align_bytes);
    if (base == NULL) {
        return false;
    }
    if (!al_map_cover((uintptr_t)base, AL_GRANULE_BYTES)) {
        al_os_unmap(base, bytes);
        return false;
    }
    al_runs_advise_huge(base, bytes);
    extent->base_addr = (uintptr_t)base;
    extent->granules = (uint32_t)(bytes >> AL_GRANULE_LG);
    return true;
}

static bool resize_huge(struct al_extent *extent, size_t usable_bytes) {
    AL_ASSERT(al_extent_kind(extent) == AL_EXTENT_HUGE);
    const size_t old_bytes = al_extent_bytes(extent);
    const size_t new_bytes = al_round_up(usable_bytes, AL_GRANULE_BYTES);

    if (new_bytes >> AL_GRANULE_LG > UINT32_MAX) {
        return false;
    }
    if (new_bytes != old_bytes && !al_os_resize((void *)extent->base_addr, old_bytes, new_bytes)) {
        return false;
    }
    extent->granules = (uint32_t)(new_bytes >> AL_GRANULE_LG);
    count_huge(al_arena_at(al_extent_arena(extent)), new_bytes, old_bytes);
    return true;
}

/* ---- birth and death ---- */

/* *is_zeroed: whether that is wanted, and whether it is so. */
static bool take_run(struct al_arena *arena, uint32_t idx, size_t usable_bytes, size_t align_bytes,
                     bool *is_zeroed) {
    const bool wants_zeroed = *is_zeroed;
    struct al_extent *const extent = al_extent_at(idx);
    const uint32_t align_granules =
        align_bytes > AL_GRANULE_BYTES ? (uint32_t)(align_bytes >> AL_GRANULE_LG) : 1;

    const bool is_plain = al_runs_is_plain(&arena->runs);

    if (is_plain && (usable_bytes >= AL_HUGE_MIN_BYTES || align_bytes >= AL_HUGE_MIN_BYTES)) {
        al_extent_set_arena(extent, arena->idx);
        *is_zeroed = true;
        if (usable_bytes >> AL_GRANULE_LG >= UINT32_MAX ||
            !map_huge(extent, usable_bytes, align_bytes)) {
            return false;
        }
        al_extent_set_kind(extent, AL_EXTENT_HUGE);
        count_huge(arena, al_extent_bytes(extent), 0);
        return true;
    }
    enum al_os_moved moved = AL_OS_STAYED;
    if ((usable_bytes + align_bytes) >> AL_GRANULE_LG >= UINT32_MAX) {
        return false;
    }
    do { /* again only if the kernel gave the addresses away meanwhile, which is rare */
        if (!al_runs_take(&arena->runs, idx, granules_of(usable_bytes), align_granules,
                          AL_RUNS_LARGE, is_zeroed)) {
            return false;
        }
        if (is_plain && !wants_zeroed && usable_bytes >= TRANSPLANT_MIN_BYTES) {
            moved = al_transplant(&arena->runs, extent);
        }
        if (moved == AL_OS_LOST) {
            al_runs_abandon(&arena->runs, extent);
        }
    } while (moved == AL_OS_LOST);
    *is_zeroed = *is_zeroed && moved == AL_OS_STAYED;
    al_extent_set_kind(extent, AL_EXTENT_LARGE);
    return true;
}

void *al_large_malloc(struct al_arena *arena, size_t size_bytes, size_t align_bytes,
                      bool *is_zeroed) {
    AL_ASSERT(al_is_pow2(align_bytes));
    AL_ASSERT(is_zeroed != NULL);
    if (size_bytes > AL_SIZE_MAX_BYTES || align_bytes > AL_SIZE_MAX_BYTES) {
        return NULL;
    }
    const size_t usable_bytes = al_large_usable_bytes(size_bytes);
    const uint32_t idx = al_extent_take();

    if (idx == 0) {
        return NULL;
    }
    if (!take_run(arena, idx, usable_bytes, align_bytes, is_zeroed)) {
        al_extent_give(idx);
        return NULL;
    }
    struct al_extent *const extent = al_extent_at(idx);
    extent->large = (struct al_large_part){.usable_bytes = usable_bytes};
    publish(idx, 0);
    return (void *)extent->base_addr;
}

struct al_extent *al_large_extent(const void *ptr, uint64_t entry) {
    const uint32_t low = al_map_entry_low(entry);

    if (al_map_low_is_free(low) || low == AL_MAP_BUSY) {
        al_die_ptr("pointer to memory that is already free", ptr);
    }
    if (low != AL_MAP_LARGE && low != AL_MAP_LARGE_INTERIOR) {
        al_die_ptr("pointer that was never allocated", ptr);
    }
    struct al_extent *const extent = al_extent_at(al_map_entry_extent(entry));
    if (extent->base_addr != (uintptr_t)ptr) {
        al_die_ptr("pointer into the middle of an allocation", ptr);
    }
    return extent;
}

/* is_dirty: its place may hold pages. */
static void give_back(void *ptr, uint64_t entry, bool is_dirty) {
    struct al_extent *const extent = al_large_extent(ptr, entry);
    const uint32_t idx = al_map_entry_extent(entry);
    struct al_arena *const arena = al_arena_at(al_extent_arena(extent));
    const bool is_huge = al_extent_kind(extent) == AL_EXTENT_HUGE;
    const size_t bytes = al_extent_bytes(extent);

    /* From here a second free finds no object. */
    al_map_set((uintptr_t)ptr, 1, AL_MAP_BUSY);
    if (is_huge) {
        al_map_set((uintptr_t)ptr, 1, AL_MAP_NONE);
        al_os_unmap(ptr, bytes);
        count_huge(arena, 0, bytes);
        al_extent_give(idx);
    } else {
        al_runs_give(&arena->runs, idx, AL_RUNS_LARGE, is_dirty);
    }
}

void al_large_free(void *ptr, uint64_t entry) {
    give_back(ptr, entry, true);
}

/* ---- changing the size ---- */

static bool resize_run(struct al_runs *runs, struct al_extent *extent, size_t usable_bytes,
                       bool *is_zeroed) {
    const uint32_t old_granules = extent->granules;
    const uint32_t new_granules = granules_of(usable_bytes);

    if (new_granules > old_granules) {
        return al_runs_extend(runs, extent, new_granules - old_granules, is_zeroed);
    }
    /* Bytes between the old usable size and the granule's end may hold anything. */
    *is_zeroed = false;
    return new_granules == old_granules || al_runs_trim(runs, extent, old_granules - new_granules);
}

bool al_large_resize(struct al_extent *extent, size_t size_bytes, bool *is_zeroed) {
    const size_t old_bytes = extent->large.usable_bytes;
    const size_t new_bytes = al_large_usable_bytes(size_bytes);
    struct al_arena *const arena = al_arena_at(al_extent_arena(extent));
    const bool is_huge = al_extent_kind(extent) == AL_EXTENT_HUGE;

    *is_zeroed = is_huge;
    if (size_bytes > AL_SIZE_MAX_BYTES || is_huge != (new_bytes >= AL_HUGE_MIN_BYTES)) {
        return false; /* it belongs to the other kind */
    }
    const uint32_t old_granules = extent->granules;
    const uint64_t entry = al_map_entry((const void *)extent->base_addr);
    if (is_huge ? !resize_huge(extent, new_bytes)
                : !resize_run(&arena->runs, extent, new_bytes, is_zeroed)) {
        return false;
    }
    if (extent->granules > old_granules) {
        publish(al_map_entry_extent(entry), old_granules);
    }
    extent->large.usable_bytes = new_bytes;
    /* The rest of the last granule was the object's before, or never anybody's. */
    *is_zeroed = *is_zeroed && old_bytes % AL_GRANULE_BYTES == 0;
    return true;
}

/* The place of an object that is nobody's any more: its address space may be another's, so it is
 * never used again.
 */
static void abandon(void *ptr, uint64_t entry) {
    struct al_extent *const extent = al_large_extent(ptr, entry);
    struct al_arena *const arena = al_arena_at(al_extent_arena(extent));

    if (al_extent_kind(extent) == AL_EXTENT_HUGE) {
        count_huge(arena, 0, al_extent_bytes(extent));
        al_map_set((uintptr_t)ptr, 1, AL_MAP_NONE);
    } else {
        al_runs_abandon(&arena->runs, extent);
    }
    al_extent_set_kind(extent, AL_EXTENT_BUSY);
}

/* Whether another range of pages may become a mapping of its own in the kernel's eyes. */
static bool may_move(const struct al_extent *old, size_t size_bytes) {
    if (size_bytes < old->large.usable_bytes || old->large.usable_bytes < MOVE_MIN_BYTES) {
        return false;
    }
    const bool is_counted = al_extent_kind(old) != AL_EXTENT_HUGE || size_bytes < AL_HUGE_MIN_BYTES;
    const uint32_t count = atomic_load_explicit(&move_count, memory_order_relaxed);
    if (count >= (is_counted ? (uint32_t)MOVE_COUNT_MAX : (uint32_t)MOVE_NEVER)) {
        return false;
    }
    /* As many more may come as threads are just here. */
    atomic_fetch_add_explicit(&move_count, is_counted ? 1 : 0, memory_order_relaxed);
    return true;
}

void *al_large_move(struct al_arena *arena, void *ptr, uint64_t entry, size_t size_bytes) {
    AL_ASSERT(ptr != NULL);
    const struct al_extent *const old = al_large_extent(ptr, entry);
    const size_t old_bytes = al_extent_bytes(old);
    bool is_zeroed = true; /* the pages that come there are replaced: none need be found */

    /* Pages of the program's stay where it put them. */
    if (!al_runs_is_plain(&arena->runs) ||
        !al_runs_is_plain(&al_arena_at(al_extent_arena(old))->runs) || !may_move(old, size_bytes)) {
        return NULL;
    }
    void *const to = al_large_malloc(arena, size_bytes, 1, &is_zeroed);
    if (to == NULL) {
        return NULL;
    }
    const uint64_t to_entry = al_map_entry(to);
    const size_t to_bytes = al_extent_bytes(al_extent_at(al_map_entry_extent(to_entry)));
    const size_t bytes = old_bytes < to_bytes ? old_bytes : to_bytes;
    switch (al_os_move(ptr, to, bytes)) {
    case AL_OS_MOVED:
        give_back(ptr, entry, old_bytes > bytes);
        return to;
    case AL_OS_STAYED:
        al_large_free(to, to_entry);
        break;
    case AL_OS_LOST:
        abandon(to, to_entry);
        break;
    }
    /* A kernel that refuses once may do so again, and each time costs. */
    atomic_store_explicit(&move_count, MOVE_NEVER, memory_order_relaxed);
    return NULL;
}
