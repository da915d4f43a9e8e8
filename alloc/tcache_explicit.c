/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_explicit — one list a class, filled and emptied in the bins' own pieces. What a program
 * caches by hand it uses in bursts, so the bound is generous and nothing ages.
 */
#include "alloc/tcache_explicit.h"

#include "alloc/lock.h"
#include "alloc/map.h"
#include "alloc/meta.h"
#include "alloc/tcache_control.h"

#include <errno.h>

enum {
    /* Most of a class that stays: then all of it goes home. */
    BIN_BYTES_MAX = 64 * 1024,
    BIN_COUNT_MIN = 2,
    /* Asked for at a time. */
    FILL_BYTES = 2048,
};

struct al_tcache_explicit {
    struct {
        void *head;
        uint32_t count;
    } bins[AL_CLASS_COUNT];
    unsigned next_id; /* of the list of unused ones, plus 1 */
    bool is_used;
};

static struct {
    struct al_lock lock;
    /* Set once, and never changed. */
    _Atomic(struct al_tcache_explicit *) caches[AL_TCACHE_EXPLICIT_MAX];
    /* Guarded by lock. */
    unsigned made_count;
    unsigned unused_id; /* plus 1 */
} table;

struct al_tcache_explicit *al_tcache_explicit_at(unsigned id) {
    if (id >= AL_TCACHE_EXPLICIT_MAX) {
        return NULL;
    }
    struct al_tcache_explicit *const cache =
        atomic_load_explicit(&table.caches[id], memory_order_acquire);
    return cache != NULL && cache->is_used ? cache : NULL;
}

/* ---- blocks ---- */

static void *next_of(const void *block) {
    return *(void *const *)block;
}

static struct al_arena *arena_of(const void *block) {
    AL_ASSERT(block != NULL);
    const uint64_t entry = al_map_entry(block);

    if (!al_map_entry_is_slab(entry)) {
        al_die_ptr("pointer that was never allocated", block);
    }
    return al_arena_at(al_extent_arena(al_extent_at(al_map_entry_extent(entry))));
}

/* Neighbours of one arena go together. */
static void flush_class(struct al_tcache_explicit *cache, unsigned class_idx) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    void *block = cache->bins[class_idx].head;

    cache->bins[class_idx].head = NULL;
    cache->bins[class_idx].count = 0;
    while (block != NULL) { /* each turn takes some off the list */
        struct al_arena *const arena = arena_of(block);
        struct al_list list = {block, 0, false};
        void *last = NULL;
        do { /* ends as the list does */
            last = block;
            block = next_of(block);
            list.count++;
        } while (block != NULL && arena_of(block) == arena);
        *(void **)last = NULL;
        al_bin_flush(&arena->bins[class_idx], list);
    }
}

void *al_tcache_explicit_take(struct al_tcache_explicit *cache, struct al_arena *arena,
                              unsigned class_idx) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    const uint32_t want = (uint32_t)(FILL_BYTES / al_class_bytes(class_idx));

    if (cache->bins[class_idx].head == NULL) {
        const struct al_list list =
            al_bin_fill(&arena->bins[class_idx], class_idx, want > 0 ? want : 1);
        cache->bins[class_idx].head = list.head;
        cache->bins[class_idx].count = list.count;
    }
    void *const block = cache->bins[class_idx].head;
    if (block != NULL) {
        cache->bins[class_idx].head = next_of(block);
        cache->bins[class_idx].count--;
    }
    return block;
}

void al_tcache_explicit_give(struct al_tcache_explicit *cache, void *block, unsigned class_idx) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    if (block == cache->bins[class_idx].head) {
        al_die_ptr("freed twice", block);
    }
    *(void **)block = cache->bins[class_idx].head;
    cache->bins[class_idx].head = block;
    const uint32_t count = ++cache->bins[class_idx].count;
    if (count > BIN_COUNT_MIN && count * al_class_bytes(class_idx) > BIN_BYTES_MAX) {
        flush_class(cache, class_idx);
    }
}

/* ---- identifiers ---- */

static struct al_tcache_explicit *make(unsigned *id) {
    struct al_tcache_explicit *const fresh = al_meta_alloc(sizeof(struct al_tcache_explicit));

    if (fresh == NULL) {
        return NULL;
    }
    al_lock_take(&table.lock, AL_RANK_EXPLICIT);
    const bool has_room = table.made_count < AL_TCACHE_EXPLICIT_MAX;
    if (has_room) {
        *id = table.made_count++;
        atomic_store_explicit(&table.caches[*id], fresh, memory_order_release);
    }
    al_lock_give(&table.lock);
    return has_room ? fresh : NULL; /* at the end of the table one is lost: a few hundred bytes */
}

int al_tcache_explicit_create(unsigned *id) {
    AL_ASSERT(id != NULL);
    struct al_tcache_explicit *cache = NULL;

    al_lock_take(&table.lock, AL_RANK_EXPLICIT);
    if (table.unused_id != 0) {
        *id = table.unused_id - 1;
        cache = atomic_load_explicit(&table.caches[*id], memory_order_relaxed);
        table.unused_id = cache->next_id;
    }
    const bool is_full = cache == NULL && table.made_count == AL_TCACHE_EXPLICIT_MAX;
    al_lock_give(&table.lock);
    if (cache == NULL && !is_full) {
        cache = make(id);
    }
    if (cache == NULL) {
        return EAGAIN;
    }
    cache->is_used = true;
    return 0;
}

int al_tcache_explicit_flush(unsigned id) {
    struct al_tcache_explicit *const cache = al_tcache_explicit_at(id);

    if (cache == NULL) {
        return EFAULT;
    }
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        flush_class(cache, class_idx);
    }
    return 0;
}

int al_tcache_explicit_destroy(unsigned id) {
    struct al_tcache_explicit *const cache = al_tcache_explicit_at(id);
    const int err = al_tcache_explicit_flush(id);

    if (err != 0) {
        return err;
    }
    cache->is_used = false;
    al_lock_take(&table.lock, AL_RANK_EXPLICIT);
    cache->next_id = table.unused_id;
    table.unused_id = id + 1;
    al_lock_give(&table.lock);
    return 0;
}

void al_tcache_explicit_fork_prepare(void) {
    al_lock_take(&table.lock, AL_RANK_EXPLICIT);
}

void al_tcache_explicit_fork_parent(void) {
    al_lock_give(&table.lock);
}

void al_tcache_explicit_fork_child(void) {
    al_lock_reset(&table.lock);
}
