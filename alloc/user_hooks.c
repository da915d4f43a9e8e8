/* SPDX-License-Identifier: BSD-2-Clause
 *
 * user_hooks — extents are few (4 MiB each, or one large allocation), and looked for only when
 * pages come or go, so they stand on a plain list.
 *
 * An arena that never had hooks pays one look at a NULL.
 */
#include "alloc/user_hooks.h"

#include "alloc/bits.h"
#include "alloc/class.h"
#include "alloc/meta.h"
#include "alloc/os.h"

/* One gift of an alloc hook. */
struct al_user_extent {
    struct al_user_extent *next; /* guarded by the arena's run lock */
    struct al_user_hooks *hooks; /* whose it is */
    uintptr_t base_addr;
    size_t bytes;
};

/* ---- plain mappings as hooks ---- */

static void *default_alloc(struct al_user_hooks *hooks, void *new_addr, size_t size_bytes,
                           size_t align_bytes, bool *is_zeroed, bool *is_committed,
                           unsigned arena_idx) {
    (void)hooks;
    (void)arena_idx;
    void *const ptr = new_addr != NULL ? al_os_map(new_addr, size_bytes)
                                       : al_os_map_aligned(size_bytes, align_bytes);
    if (ptr != NULL) {
        *is_zeroed = true;
        *is_committed = true;
    }
    return ptr;
}

static bool default_dalloc(struct al_user_hooks *hooks, void *ptr, size_t size_bytes,
                           bool is_committed, unsigned arena_idx) {
    (void)hooks;
    (void)is_committed;
    (void)arena_idx;
    return !al_os_unmap(ptr, size_bytes);
}

static void default_destroy(struct al_user_hooks *hooks, void *ptr, size_t size_bytes,
                            bool is_committed, unsigned arena_idx) {
    (void)default_dalloc(hooks, ptr, size_bytes, is_committed, arena_idx);
}

/* Mapped memory is always committed: there is nothing to do, and no way back. */
static bool default_commit(struct al_user_hooks *hooks, void *ptr, size_t size_bytes,
                           size_t offset_bytes, size_t length_bytes, unsigned arena_idx) {
    (void)hooks;
    (void)ptr;
    (void)size_bytes;
    (void)offset_bytes;
    (void)length_bytes;
    (void)arena_idx;
    return false;
}

static bool default_decommit(struct al_user_hooks *hooks, void *ptr, size_t size_bytes,
                             size_t offset_bytes, size_t length_bytes, unsigned arena_idx) {
    return !default_commit(hooks, ptr, size_bytes, offset_bytes, length_bytes, arena_idx);
}

static bool default_purge_lazy(struct al_user_hooks *hooks, void *ptr, size_t size_bytes,
                               size_t offset_bytes, size_t length_bytes, unsigned arena_idx) {
    (void)hooks;
    (void)size_bytes;
    (void)arena_idx;
    return !al_os_purge_lazy((char *)ptr + offset_bytes, length_bytes);
}

static bool default_purge_forced(struct al_user_hooks *hooks, void *ptr, size_t size_bytes,
                                 size_t offset_bytes, size_t length_bytes, unsigned arena_idx) {
    (void)hooks;
    (void)size_bytes;
    (void)arena_idx;
    return !al_os_purge((char *)ptr + offset_bytes, length_bytes);
}

static bool default_split(struct al_user_hooks *hooks, void *ptr, size_t size_bytes,
                          size_t size_a_bytes, size_t size_b_bytes, bool is_committed,
                          unsigned arena_idx) {
    (void)is_committed;
    return default_commit(hooks, ptr, size_bytes, size_a_bytes, size_b_bytes, arena_idx);
}

static bool default_merge(struct al_user_hooks *hooks, void *a, size_t a_bytes, void *b,
                          size_t b_bytes, bool is_committed, unsigned arena_idx) {
    (void)b;
    (void)is_committed;
    return default_commit(hooks, a, a_bytes, 0, b_bytes, arena_idx);
}

struct al_user_hooks al_user_hooks_default = {
    .alloc = default_alloc,
    .dalloc = default_dalloc,
    .destroy = default_destroy,
    .commit = default_commit,
    .decommit = default_decommit,
    .purge_lazy = default_purge_lazy,
    .purge_forced = default_purge_forced,
    .split = default_split,
    .merge = default_merge,
};

/* ---- which hooks ---- */

struct al_user_hooks *al_user_hooks_get(const struct al_runs *runs) {
    struct al_user_hooks *const hooks = atomic_load_explicit(&runs->hooks, memory_order_acquire);

    return hooks != NULL ? hooks : &al_user_hooks_default;
}

struct al_user_hooks *al_user_hooks_set(struct al_runs *runs, struct al_user_hooks *hooks) {
    AL_ASSERT(hooks != NULL);
    struct al_user_hooks *const old =
        atomic_exchange(&runs->hooks, hooks != &al_user_hooks_default ? hooks : NULL);

    return old != NULL ? old : &al_user_hooks_default;
}

/* ---- extents ---- */

/* The extent that holds the address; NULL: it came from the kernel. */
static struct al_user_extent *find_locked(const struct al_runs *runs, uintptr_t addr) {
    al_lock_assert_held(&runs->lock);
    struct al_user_extent *extent = runs->user_extents;

    while (extent != NULL && addr - extent->base_addr >= extent->bytes) {
        extent = extent->next;
    }
    return extent;
}

static bool find(struct al_runs *runs, uintptr_t addr, struct al_user_extent *copy) {
    AL_ASSERT(copy != NULL);
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    const struct al_user_extent *const extent = find_locked(runs, addr);
    if (extent != NULL) {
        *copy = *extent;
    }
    al_lock_give(&runs->lock);
    return extent != NULL;
}

bool al_user_hooks_own(struct al_runs *runs, uintptr_t addr) {
    struct al_user_extent ignored;

    return atomic_load_explicit(&runs->has_users, memory_order_relaxed) &&
           find(runs, addr, &ignored);
}

static struct al_user_extent *extent_make(struct al_runs *runs) {
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    struct al_user_extent *const extent = runs->user_unused;
    if (extent != NULL) {
        runs->user_unused = extent->next;
    }
    al_lock_give(&runs->lock);
    return extent != NULL ? extent : al_meta_alloc(sizeof(*extent));
}

static void extent_drop_locked(struct al_runs *runs, struct al_user_extent *extent) {
    al_lock_assert_held(&runs->lock);
    AL_ASSERT(extent != NULL);
    extent->next = runs->user_unused;
    runs->user_unused = extent;
}

/* Back to the program, by whichever way it offers. Whether it is gone. */
static bool give_back(const struct al_user_extent *extent, unsigned arena_idx, bool is_last) {
    struct al_user_hooks *const hooks = extent->hooks;
    void *const ptr = (void *)extent->base_addr;

    if (hooks->dalloc != NULL && !hooks->dalloc(hooks, ptr, extent->bytes, true, arena_idx)) {
        return true;
    }
    if (is_last && hooks->destroy != NULL) {
        hooks->destroy(hooks, ptr, extent->bytes, true, arena_idx);
    }
    return is_last;
}

/* Memory as asked for: there, committed, at a granule. */
static bool take(struct al_user_hooks *hooks, size_t bytes, size_t align_bytes, unsigned arena_idx,
                 struct al_user_extent *extent, bool *is_zeroed) {
    AL_ASSERT(al_is_pow2(align_bytes) && align_bytes >= AL_GRANULE_BYTES);
    bool is_committed = true;

    *is_zeroed = false;
    void *const ptr =
        hooks->alloc(hooks, NULL, bytes, align_bytes, is_zeroed, &is_committed, arena_idx);
    if (ptr == NULL) {
        return false;
    }
    *extent = (struct al_user_extent){.hooks = hooks, .base_addr = (uintptr_t)ptr, .bytes = bytes};
    const bool is_right =
        ((uintptr_t)ptr & (align_bytes - 1)) == 0 &&
        (is_committed ||
         (hooks->commit != NULL && !hooks->commit(hooks, ptr, bytes, 0, bytes, arena_idx)));
    if (!is_right) {
        (void)give_back(extent, arena_idx, true);
    }
    return is_right;
}

void *al_user_hooks_map(struct al_runs *runs, uint32_t granules, size_t align_bytes,
                        bool *is_zeroed) {
    AL_ASSERT(granules > 0);
    struct al_user_hooks *const hooks = al_user_hooks_get(runs);
    struct al_user_extent *const extent = extent_make(runs);
    const size_t bytes = ((size_t)granules + 1) << AL_GRANULE_LG; /* one that ends it */

    if (extent == NULL) {
        return NULL;
    }
    if (!take(hooks, bytes, align_bytes, runs->arena_idx, extent, is_zeroed)) {
        al_lock_take(&runs->lock, AL_RANK_RUNS);
        extent_drop_locked(runs, extent);
        al_lock_give(&runs->lock);
        return NULL;
    }
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    extent->next = runs->user_extents;
    runs->user_extents = extent;
    atomic_store_explicit(&runs->has_users, true, memory_order_relaxed);
    al_lock_give(&runs->lock);
    return (void *)extent->base_addr;
}

bool al_user_hooks_purge(struct al_runs *runs, void *ptr, size_t bytes, enum al_user_purge how) {
    struct al_user_extent extent;

    if (!find(runs, (uintptr_t)ptr, &extent)) {
        return false;
    }
    struct al_user_hooks *const hooks = extent.hooks;
    bool (*const purge)(struct al_user_hooks *, void *, size_t, size_t, size_t, unsigned) =
        how == AL_USER_PURGE_LAZY ? hooks->purge_lazy : hooks->purge_forced;
    AL_ASSERT((uintptr_t)ptr + bytes <= extent.base_addr + extent.bytes);
    return purge != NULL && !purge(hooks, (void *)extent.base_addr, extent.bytes,
                                   (uintptr_t)ptr - extent.base_addr, bytes, runs->arena_idx);
}

static void remove_extent(struct al_runs *runs, uintptr_t base_addr) {
    al_lock_take(&runs->lock, AL_RANK_RUNS);
    struct al_user_extent **link = &runs->user_extents;
    while ((*link)->base_addr != base_addr) { /* ends: it is there, nobody else takes it off */
        link = &(*link)->next;
    }
    struct al_user_extent *const extent = *link;
    *link = extent->next;
    extent_drop_locked(runs, extent);
    al_lock_give(&runs->lock);
}

bool al_user_hooks_is_whole(struct al_runs *runs, uintptr_t base_addr, size_t bytes) {
    struct al_user_extent extent;

    return atomic_load_explicit(&runs->has_users, memory_order_relaxed) &&
           find(runs, base_addr, &extent) && extent.base_addr == base_addr &&
           extent.bytes == bytes + AL_GRANULE_BYTES;
}

bool al_user_hooks_unmap(struct al_runs *runs, uintptr_t base_addr, size_t bytes, bool is_last) {
    struct al_user_extent extent;

    if (!al_user_hooks_is_whole(runs, base_addr, bytes) || !find(runs, base_addr, &extent)) {
        return false;
    }
    if (!give_back(&extent, runs->arena_idx, is_last)) {
        return false;
    }
    remove_extent(runs, base_addr);
    return true;
}
