/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_age — what happens now and then: each slow visit counts, some look at what is due.
 */
#include "alloc/hooks.h"
#include "alloc/tcache_limit.h"
#include "alloc/tcache_list.h"

#include <errno.h>

enum {
    /* Slow visits between two trims (a power of two). */
    TRIM_TICKS = 64,
    /* Bytes between two looks at decay and at the profiler's byte triggers. */
    EVENT_BYTES = 256 * 1024,
};

void al_tcache_tend(struct al_arena *arena) {
    AL_ASSERT(arena != NULL);
    if (!al_arena_enter(arena)) {
        return;
    }
    if (atomic_load_explicit(&arena->thread_count, memory_order_relaxed) == 0) {
        al_arena_drain(arena, false);
    }
    al_tcache_expire(arena);
    al_arena_tick(arena);
    al_arena_leave(arena);
}

static void event(struct al_tcache *cache) {
    const uint64_t bytes = cache->event_bytes;

    cache->event_bytes = 0;
    al_tcache_peak_update(cache);
    al_tcache_tend(cache->arena);
    /* An arena whose threads are gone, or asleep, is looked after by the others' threads. */
    struct al_arena *const other = al_arena_next();
    if (other != NULL && other != cache->arena) {
        al_tcache_tend(other);
    }
    const int saved_errno = errno;
    cache->reentry++;
    al_hooks.allocated(bytes);
    cache->reentry--;
    errno = saved_errno;
}

void al_tcache_visit(struct al_tcache *cache, size_t bytes) {
    cache->tick++;
    cache->event_bytes += bytes;
    cache->volume_bytes += bytes;
    if (cache->reentry != 0) {
        return;
    }
    if (AL_UNLIKELY(cache->event_bytes >= EVENT_BYTES)) {
        event(cache);
    }
    if (AL_UNLIKELY(cache->tick % TRIM_TICKS == 0)) {
        al_tcache_trim(cache);
    }
}
