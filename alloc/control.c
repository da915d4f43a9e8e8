/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control — the allocator's side of mallctl: arenas by index, and the table of size classes.
 */
#include "alloc/control.h"

#include "alloc/arena.h"
#include "alloc/bits.h"
#include "alloc/decay.h"
#include "alloc/large.h"
#include "alloc/map.h"
#include "alloc/os.h"
#include "alloc/purge.h"
#include "alloc/slab.h"
#include "alloc/tcache_limit.h"
#include "alloc/user_hooks.h"

#include <errno.h>
#include <limits.h>

int al_arena_lookup(const void *ptr, unsigned *arena_idx) {
    AL_ASSERT(arena_idx != NULL);
    const uint64_t entry = al_map_entry(ptr);
    const uint32_t low = al_map_entry_low(entry);

    if (!al_map_entry_is_slab(entry) && low != AL_MAP_SAMPLED && low != AL_MAP_LARGE) {
        return EINVAL;
    }
    *arena_idx = al_extent_arena(al_extent_at(al_map_entry_extent(entry)));
    return 0;
}

/* ---- purging ---- */

static void purge_arena(struct al_arena *arena, bool all) {
    if (!al_arena_enter(arena)) {
        return; /* it ends, and takes all its pages with it */
    }
    al_arena_drain(arena, true);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        al_bin_drop_empty(&arena->sampled[class_idx]);
    }
    al_purge(&arena->runs, all);
    al_arena_leave(arena);
}

static int purge(unsigned arena_idx, bool all) {
    if (arena_idx == UINT_MAX) {
        for (unsigned idx = 0; idx < al_arena_count(); idx++) {
            if (al_arena_at(idx) != NULL) {
                purge_arena(al_arena_at(idx), all);
            }
        }
        return 0;
    }
    if (arena_idx >= AL_ARENA_COUNT_MAX || al_arena_at(arena_idx) == NULL) {
        return EFAULT;
    }
    purge_arena(al_arena_at(arena_idx), all);
    return 0;
}

/* Who asks for all pages means those that its own cache keeps others from, too: some hundred blocks
 * of as many slabs. (redis: MEMORY PURGE after FLUSHALL.)
 */
int al_arena_purge(unsigned arena_idx) {
    (void)al_thread_tcache_flush(); /* a thread without a cache has nothing to give back */
    return purge(arena_idx, true);
}

int al_arena_decay(unsigned arena_idx) {
    return purge(arena_idx, false);
}

int al_arena_decay_ms_get(unsigned arena_idx, enum al_stale stale, ssize_t *decay_ms) {
    if (arena_idx >= AL_ARENA_COUNT_MAX || al_arena_at(arena_idx) == NULL) {
        return EFAULT;
    }
    *decay_ms = al_purge_decay_ms(&al_arena_at(arena_idx)->runs, stale);
    return 0;
}

int al_arena_decay_ms_set(unsigned arena_idx, enum al_stale stale, ssize_t decay_ms) {
    struct al_arena *const arena = al_arena_get(arena_idx);

    if (arena == NULL || !al_decay_is_valid_ms(decay_ms) || !al_arena_enter(arena)) {
        return EFAULT;
    }
    al_purge_set_decay_ms(&arena->runs, stale, decay_ms);
    al_arena_leave(arena);
    return 0;
}

/* ---- traits ---- */

static struct al_arena *arena_at(unsigned arena_idx) {
    return arena_idx < AL_ARENA_COUNT_MAX ? al_arena_get(arena_idx) : NULL;
}

bool al_arena_traits_read(unsigned arena_idx, struct al_arena_traits *traits) {
    AL_ASSERT(traits != NULL);
    struct al_arena *const arena = arena_at(arena_idx);

    if (arena == NULL) {
        return false;
    }
    al_lock_take(&arena->runs.lock, AL_RANK_RUNS);
    *traits = arena->traits;
    traits->grow_limit_bytes = atomic_load(&arena->runs.grow_limit_bytes);
    al_lock_give(&arena->runs.lock);
    return true;
}

int al_arena_set_oversize(unsigned arena_idx, size_t bytes) {
    struct al_arena *const arena = arena_at(arena_idx);

    if (arena == NULL) {
        return EFAULT;
    }
    al_lock_take(&arena->runs.lock, AL_RANK_RUNS);
    arena->traits.oversize_bytes = bytes;
    al_lock_give(&arena->runs.lock);
    return 0;
}

int al_arena_set_grow_limit(unsigned arena_idx, size_t bytes) {
    struct al_arena *const arena = arena_at(arena_idx);

    if (arena == NULL || bytes < AL_PAGE_BYTES) {
        return EFAULT;
    }
    atomic_store(&arena->runs.grow_limit_bytes, bytes < AL_GRANULE_BYTES
                                                    ? (size_t)AL_GRANULE_BYTES
                                                    : al_round_down(bytes, AL_GRANULE_BYTES));
    return 0;
}

int al_arena_set_name(unsigned arena_idx, const char *name) {
    AL_ASSERT(name != NULL);
    struct al_arena *const arena = arena_at(arena_idx);
    size_t at = 0;

    if (arena == NULL) {
        return EFAULT;
    }
    al_lock_take(&arena->runs.lock, AL_RANK_RUNS);
    for (; at < AL_ARENA_NAME_BYTES - 1 && name[at] != '\0'; at++) {
        arena->traits.name[at] = name[at];
    }
    arena->traits.name[at] = '\0';
    al_lock_give(&arena->runs.lock);
    return 0;
}

int al_arena_hooks_get(unsigned arena_idx, struct al_user_hooks **hooks) {
    AL_ASSERT(hooks != NULL);
    struct al_arena *const arena = arena_at(arena_idx);

    if (arena == NULL) {
        return EFAULT;
    }
    *hooks = al_user_hooks_get(&arena->runs);
    return 0;
}

int al_arena_hooks_set(unsigned arena_idx, struct al_user_hooks *hooks) {
    struct al_arena *const arena = arena_at(arena_idx);

    if (arena == NULL) {
        return EFAULT;
    }
    (void)al_user_hooks_set(&arena->runs, hooks);
    return 0;
}

/* ---- utilization ---- */

static void slab_utilization(const struct al_extent *slab, bool is_sampled,
                             struct al_utilization *out) {
    AL_ASSERT(out != NULL);
    struct al_arena *const arena = al_arena_at(al_extent_arena(slab));
    const unsigned class_idx = slab->class_idx;
    struct al_bin *const bin = is_sampled ? &arena->sampled[class_idx] : &arena->bins[class_idx];

    out->slot_count = al_class_slab_slots(class_idx);
    out->bytes = al_extent_bytes(slab);
    out->slab = (const void *)slab->base_addr;
    al_lock_take(&bin->lock, AL_RANK_BIN);
    out->free_count = out->slot_count -
                      atomic_load_explicit(&slab->slab.carved_count, memory_order_relaxed) +
                      slab->slab.free_count;
    out->bin_slot_count = bin->slab_count * out->slot_count;
    out->bin_free_count = out->bin_slot_count - bin->used_count;
    al_lock_give(&bin->lock);
    /* What others freed lies ready for the next filling. */
    out->free_count +=
        al_slab_remote_count(atomic_load_explicit(&slab->slab.remote, memory_order_relaxed));
}

void al_utilization_read(const void *ptr, struct al_utilization *out) {
    AL_ASSERT(out != NULL);
    const uint64_t entry = al_map_entry(ptr);
    const uint32_t low = al_map_entry_low(entry);
    const bool is_sampled = low == AL_MAP_SAMPLED;

    *out = (struct al_utilization){0};
    if (al_map_entry_is_slab(entry) || is_sampled) {
        slab_utilization(al_extent_at(al_map_entry_extent(entry)), is_sampled, out);
    } else if (low == AL_MAP_LARGE || low == AL_MAP_LARGE_INTERIOR) {
        out->slot_count = 1;
        out->bytes = al_extent_at(al_map_entry_extent(entry))->large.usable_bytes;
    }
}

size_t al_extent_table_bytes(void) {
    return al_extent_count() * sizeof(struct al_extent);
}

/* ---- size classes ---- */

unsigned al_class_small_count(void) {
    return AL_CLASS_COUNT - 1;
}

size_t al_class_small_bytes(unsigned class_idx) {
    return al_class_bytes(class_idx + 1);
}

size_t al_class_small_slab_bytes(unsigned class_idx) {
    return (size_t)al_class_slab_granules(class_idx + 1) << AL_GRANULE_LG;
}

uint32_t al_class_small_slots(unsigned class_idx) {
    return al_class_slab_slots(class_idx + 1);
}

unsigned al_class_large_count(void) {
    return AL_LARGE_CLASS_COUNT;
}

size_t al_class_large_bytes(unsigned class_idx) {
    return al_large_class_bytes(class_idx);
}

size_t al_class_tcache_max_bytes(void) {
    return al_tcache_limit_max_bytes();
}

size_t al_class_quantum_bytes(void) {
    return AL_QUANTUM_BYTES;
}
