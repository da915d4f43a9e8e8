/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_park — caches between two threads: parked with their arena, full as they are, for the
 * next thread there; emptied when none has come for a while.
 *
 * A program that makes a thread for each request gets a warm cache each time (last parked,
 * first adopted); one that has stopped making threads gets its memory back.
 */
#include "alloc/bin.h"
#include "alloc/bits.h"
#include "alloc/extent.h"
#include "alloc/lock.h"
#include "alloc/os.h"
#include "alloc/tcache_list.h"

enum {
    /* Longest time a cache waits for a thread, full. A pause between two requests is shorter;
     * the decay of what it then gives back is longer.
     */
    PARK_NS_MAX = 1000 * 1000 * 1000,
};

static struct {
    struct al_lock lock;
    struct al_tcache *pool; /* guarded by lock: emptied ones of no arena, through `next` */
} between;

static void plan_locked(struct al_arena *arena) {
    al_lock_assert_held(&between.lock);
    const struct al_tcache *oldest = arena->parked;

    while (oldest != NULL && oldest->next != NULL) { /* at most AL_ARENA_PARKED_MAX */
        oldest = oldest->next;
    }
    const uint64_t due_ns = oldest != NULL ? oldest->parked_ns + PARK_NS_MAX : UINT64_MAX;
    atomic_store_explicit(&arena->parked_due_ns, due_ns, memory_order_relaxed);
}

static void pool(struct al_tcache *cache) {
    AL_ASSERT(cache != &al_null_tcache);
    al_tcache_flush(cache);
    al_lock_take(&between.lock, AL_RANK_PARKED);
    cache->next = between.pool;
    between.pool = cache;
    al_lock_give(&between.lock);
}

void al_tcache_park(struct al_tcache *cache) {
    struct al_arena *const arena = cache->arena;

    AL_ASSERT(cache != &al_null_tcache && cache->mode == 0);
    AL_ASSERT(cache->prev == NULL && cache->next == NULL);
    al_tcache_run_flush(cache);
    cache->parked_ns = al_os_time_ns();
    al_lock_take(&between.lock, AL_RANK_PARKED);
    const bool is_parked = arena->parked_count < AL_ARENA_PARKED_MAX;
    if (is_parked) {
        cache->next = arena->parked;
        arena->parked = cache;
        arena->parked_count++;
        plan_locked(arena);
    }
    al_lock_give(&between.lock);
    if (!is_parked) {
        pool(cache);
    }
}

struct al_tcache *al_tcache_adopt(struct al_arena *arena) {
    AL_ASSERT(arena != NULL);
    al_lock_take(&between.lock, AL_RANK_PARKED);
    struct al_tcache *const cache = arena->parked;
    if (cache != NULL) {
        arena->parked = cache->next;
        arena->parked_count--;
        cache->next = NULL;
        plan_locked(arena);
    }
    al_lock_give(&between.lock);
    return cache;
}

struct al_tcache *al_tcache_reuse(void) {
    al_lock_take(&between.lock, AL_RANK_PARKED);
    struct al_tcache *const cache = between.pool;
    if (cache != NULL) {
        between.pool = cache->next;
        cache->next = NULL;
    }
    al_lock_give(&between.lock);
    return cache;
}

/* The longest parked cache, if it has waited long enough; NULL: none has. */
static struct al_tcache *take_expired(struct al_arena *arena, uint64_t now_ns) {
    struct al_tcache **link = &arena->parked;
    struct al_tcache *cache = NULL;

    al_lock_take(&between.lock, AL_RANK_PARKED);
    while (*link != NULL && (*link)->next != NULL) { /* at most AL_ARENA_PARKED_MAX */
        link = &(*link)->next;
    }
    if (*link != NULL && (*link)->parked_ns + PARK_NS_MAX <= now_ns) {
        cache = *link;
        *link = NULL;
        arena->parked_count--;
        plan_locked(arena);
    }
    al_lock_give(&between.lock);
    return cache;
}

void al_tcache_expire(struct al_arena *arena) {
    const uint64_t due_ns = atomic_load_explicit(&arena->parked_due_ns, memory_order_relaxed);

    if (AL_LIKELY(due_ns == UINT64_MAX)) {
        return;
    }
    const uint64_t now_ns = al_os_time_ns();
    struct al_tcache *cache = NULL;
    while (due_ns <= now_ns && (cache = take_expired(arena, now_ns)) != NULL) {
        pool(cache);
    }
}

/* ---- an arena ends ---- */

/* Pushing is one compare-and-swap: it may be done under the lock. */
static void send_to(struct al_tcache *cache, const struct al_arena *arena) {
    AL_ASSERT(cache != &al_null_tcache);
    for (size_t at = 0; at < AL_TCACHE_REMOTE_COUNT; at++) {
        struct al_tcache_remote *const batch = &cache->remote[at];
        if (batch->slab_idx == 0) {
            continue;
        }
        const struct al_extent *const slab = al_extent_at(batch->slab_idx);
        if (al_extent_arena(slab) == arena->idx) {
            (void)al_bin_push_remote(&al_arena_at(arena->idx)->bins[slab->class_idx],
                                     batch->slab_idx, batch->head, batch->tail, batch->count);
            batch->slab_idx = 0;
        }
    }
}

void al_tcache_leave_arena(struct al_arena *arena) {
    struct al_tcache *const own = al_self;
    struct al_tcache *cache = NULL;

    AL_ASSERT(arena != NULL);
    if (own != &al_null_tcache && own->arena == arena) {
        al_tcache_flush(own);
    } else if (own != &al_null_tcache) {
        send_to(own, arena);
    }
    while ((cache = al_tcache_adopt(arena)) != NULL) { /* at most AL_ARENA_PARKED_MAX */
        pool(cache);
    }
    al_lock_take(&between.lock, AL_RANK_PARKED);
    for (unsigned idx = 0; idx < AL_ARENA_COUNT_MAX; idx++) {
        const struct al_arena *const other = al_arena_at(idx);
        for (cache = other != NULL ? other->parked : NULL; cache != NULL; cache = cache->next) {
            send_to(cache, arena);
        }
    }
    al_lock_give(&between.lock);
}

void al_tcache_fork_prepare(void) {
    al_lock_take(&between.lock, AL_RANK_PARKED);
}

void al_tcache_fork_parent(void) {
    al_lock_give(&between.lock);
}

void al_tcache_fork_child(void) {
    al_lock_reset(&between.lock);
}
