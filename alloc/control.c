/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control — the allocator's side of mallctl: arenas by index, and the table of size classes.
 */
#include "alloc/control.h"

#include "alloc/arena.h"
#include "alloc/large.h"
#include "alloc/map.h"
#include "alloc/purge.h"

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
    al_arena_drain(arena, true);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        al_bin_drop_empty(&arena->sampled[class_idx]);
    }
    al_purge(&arena->runs, all);
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

int al_arena_purge(unsigned arena_idx) {
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

    if (arena == NULL || decay_ms < -1) {
        return EFAULT;
    }
    al_purge_set_decay_ms(&arena->runs, stale, decay_ms);
    return 0;
}

/* ---- size classes ---- */

/* Large "classes" of jemalloc's table: 4 a doubling from 80 KiB to 0x7000000000000000. Ours
 * are exact to the page; the table tells clients where jemalloc's numbers would lie.
 */
enum { LARGE_CLASS_LG_FIRST = 16, LARGE_CLASS_LG_LAST = 62 };

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
    /* The last doubling ends at 7/4 of 2^62: one short of four. */
    return (LARGE_CLASS_LG_LAST - LARGE_CLASS_LG_FIRST + 1) * 4 - 1;
}

size_t al_class_large_bytes(unsigned class_idx) {
    return (size_t)(4 + class_idx % 4 + 1) << (LARGE_CLASS_LG_FIRST - 2 + class_idx / 4);
}

size_t al_class_tcache_max_bytes(void) {
    return AL_SMALL_MAX_BYTES;
}

size_t al_class_quantum_bytes(void) {
    return AL_QUANTUM_BYTES;
}
