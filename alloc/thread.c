/* SPDX-License-Identifier: BSD-2-Clause
 *
 * thread — one pthread key brings us the end of a thread; everything else is a list.
 *
 * The key's value is set when a cache is born. Its destructor runs among others in unknown
 * order, so it asks to be called again in the next round (POSIX promises four) and gives the
 * cache up only then: most destructors still find it.
 *
 * A cache born in the last two rounds, by what another destructor does there, never hears of its
 * thread's end. It is an orphan, found by the next thread whose thread-local data lies at the same
 * address, as the C library's cache of stacks makes it: the one before must be gone then.
 */
#include "alloc/thread.h"

#include "alloc/control.h"
#include "alloc/fill.h"
#include "alloc/hooks.h"
#include "alloc/lock.h"
#include "alloc/map.h"
#include "alloc/meta.h"
#include "alloc/options.h"
#include "alloc/os.h"
#include "alloc/sample.h"
#include "alloc/slab.h"
#include "alloc/tcache_explicit.h"
#include "alloc/tcache_limit.h"

#include <errno.h>
#include <pthread.h>

AL_TLS_IE struct al_tcache *al_self = &al_null_tcache;

/* Its tag, all ones, is no arena's: xored with any entry it leaves 8192 or more. */
AL_READ_ONLY struct al_tcache al_null_tcache = {.tag = UINT64_MAX, .mode = AL_TCACHE_OFF};

static struct al_tcache first_cache;

enum stage { STAGE_NEW, STAGE_BUSY, STAGE_LIVE, STAGE_ENDING, STAGE_DEAD };

static AL_TLS_IE uint8_t own_stage;

/* Live caches are kept in several lists, so that a thread that begins looks at few of them. */
enum { LIVE_LIST_LG = 6, LIVE_LIST_COUNT = 1 << LIVE_LIST_LG };

static struct {
    /* Init. */
    struct al_lock init_lock;
    _Atomic bool is_ready;
    bool has_key; /* never changes after init */
    pthread_key_t key;

    /* Guarded by lock. */
    struct al_lock lock;
    struct al_tcache *live[LIVE_LIST_COUNT]; /* by live_list_of */
    struct al_tcache *fork_cache;            /* the forking thread's, while it forks */

    /* Atomic sums of what no live cache counts. */
    _Atomic uint64_t past_allocated_bytes, past_freed_bytes;
} threads;

/* ---- the end of a thread ---- */

/* What a thread that has ended allocated and freed. */
static void add_past(uint64_t allocated_bytes, uint64_t freed_bytes) {
    atomic_fetch_add_explicit(&threads.past_allocated_bytes, allocated_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&threads.past_freed_bytes, freed_bytes, memory_order_relaxed);
}

/* The list for caches of threads whose data lies there: such addresses differ by whole pages. */
static struct al_tcache **live_list_of(const void *owner) {
    const uint64_t mixed = (uint64_t)(uintptr_t)owner * UINT64_C(0x9E3779B97F4A7C15);

    return &threads.live[mixed >> (64 - LIVE_LIST_LG)];
}

static void unlink_locked(struct al_tcache *cache) {
    al_lock_assert_held(&threads.lock);
    if (cache->prev != NULL) {
        cache->prev->next = cache->next;
    } else {
        *live_list_of(cache->owner) = cache->next;
    }
    if (cache->next != NULL) {
        cache->next->prev = cache->prev;
    }
    cache->prev = NULL;
    cache->next = NULL;
}

static void link_locked(struct al_tcache *cache) {
    al_lock_assert_held(&threads.lock);
    struct al_tcache **const list = live_list_of(&al_self);

    cache->owner = &al_self;
    cache->prev = NULL;
    cache->next = *list;
    if (*list != NULL) {
        (*list)->prev = cache;
    }
    *list = cache;
}

/* The cache's thread has ended, or is the caller and about to. */
static void retire(struct al_tcache *cache) {
    AL_ASSERT(cache != &al_null_tcache);
    cache->reentry++;
    al_hooks.thread_ended(&cache->prof_slot);
    cache->reentry--;
    al_tcache_set_mode(cache, 0);
    al_tcache_forget_limits(cache);
    al_tcache_shrink(cache);
    if (cache == al_self) {
        al_self = &al_null_tcache;
        own_stage = STAGE_DEAD;
    }
    atomic_fetch_sub(&cache->arena->thread_count, 1);

    uint64_t allocated_bytes = 0;
    uint64_t freed_bytes = 0;
    al_lock_take(&threads.lock, AL_RANK_THREADS);
    unlink_locked(cache);
    /* Under the lock: who sums up finds the bytes either here or there. */
    al_tcache_take_counts(cache, &allocated_bytes, &freed_bytes);
    add_past(allocated_bytes, freed_bytes);
    al_lock_give(&threads.lock);
    al_tcache_park(cache);
}

static void thread_ending(void *value) {
    struct al_tcache *const cache = value;

    if (own_stage == STAGE_LIVE) {
        own_stage = STAGE_ENDING;
        if (pthread_setspecific(threads.key, cache) == 0) {
            return;
        }
    }
    if (own_stage == STAGE_ENDING && al_self == cache) {
        retire(cache);
    }
}

/* ---- start-up ---- */

static void init_locked(void) {
    al_lock_assert_held(&threads.init_lock);
    al_options_read();
    al_extent_init();
    al_map_init();
    al_arena_boot(al_options.narenas, (const ssize_t[AL_STALE_COUNT]){al_options.dirty_decay_ms,
                                                                      al_options.muzzy_decay_ms});
    al_sample_set_thread_init(al_options.prof_thread_active_init);
    const size_t lg_max_bytes = (size_t)1 << al_options.lg_tcache_max;
    al_tcache_limit_boot(al_options.tcache_max < lg_max_bytes ? al_options.tcache_max
                                                              : lg_max_bytes,
                         al_options.tcache_ncached_max);
    threads.has_key = pthread_key_create(&threads.key, thread_ending) == 0;
}

void al_init(void) {
    if (AL_LIKELY(atomic_load_explicit(&threads.is_ready, memory_order_acquire))) {
        return;
    }
    al_lock_take(&threads.init_lock, AL_RANK_INIT);
    if (!atomic_load_explicit(&threads.is_ready, memory_order_relaxed)) {
        init_locked();
        atomic_store_explicit(&threads.is_ready, true, memory_order_release);
    }
    al_lock_give(&threads.init_lock);
}

/* ---- the birth of a cache ---- */

static void link(struct al_tcache *cache) {
    al_lock_take(&threads.lock, AL_RANK_THREADS);
    link_locked(cache);
    al_lock_give(&threads.lock);
}

/* A live cache of a thread that was where the caller is, and so is dead. NULL: there is none, as
 * nearly always.
 */
static struct al_tcache *find_orphan(void) {
    al_lock_take(&threads.lock, AL_RANK_THREADS);
    struct al_tcache *cache = *live_list_of(&al_self);
    while (cache != NULL && cache->owner != &al_self) {
        cache = cache->next;
    }
    al_lock_give(&threads.lock);
    return cache;
}

static uint32_t initial_mode(void) {
    return (al_options.tcache ? 0 : AL_TCACHE_OFF) | (al_fill_is_on() ? AL_TCACHE_FILL : 0);
}

/* A cache that a thread of the arena left behind. NULL: there is none. */
static struct al_tcache *adopt_cache(struct al_arena *arena) {
    struct al_tcache *const cache = al_tcache_adopt(arena);

    if (cache != NULL) {
        al_tcache_set_sampling(cache, al_sample_thread_init());
        link(cache);
        al_tcache_set_mode(cache, initial_mode());
    }
    return cache;
}

static struct al_tcache *make_cache(struct al_arena *arena) {
    static _Atomic bool is_first_taken;
    struct al_tcache *cache = al_tcache_reuse();

    if (cache == NULL && !atomic_exchange(&is_first_taken, true)) {
        cache = &first_cache;
        al_meta_account(sizeof(first_cache));
    } else if (cache == NULL) {
        cache = al_meta_alloc(sizeof(struct al_tcache));
    }
    if (cache == NULL) {
        return NULL;
    }
    if (cache->rng == 0) {
        const uint64_t seed = al_os_seed() ^ ((uint64_t)(uintptr_t)cache << 20);
        cache->rng = seed != 0 ? seed : 1;
    }
    al_tcache_init(cache, arena, initial_mode());
    link(cache);
    return cache;
}

AL_COLD struct al_tcache *al_thread_cache_slow(void) {
    if (al_self != &al_null_tcache) {
        return al_self;
    }
    if (own_stage != STAGE_NEW) {
        return NULL;
    }
    own_stage = STAGE_BUSY;
    al_init();
    struct al_tcache *const orphan = find_orphan();
    if (orphan != NULL) {
        orphan->reentry = 0;
        retire(orphan);
    }
    struct al_arena *const arena =
        atomic_load(&al_arena_at(0)->thread_count) == 0 ? al_arena_at(0) : al_arena_choose();
    struct al_tcache *cache = adopt_cache(arena);
    if (cache == NULL) {
        cache = make_cache(arena);
    }
    if (cache == NULL) {
        own_stage = STAGE_NEW; /* perhaps there is memory next time */
        return NULL;
    }
    atomic_fetch_add(&arena->thread_count, 1);
    al_self = cache;
    own_stage = STAGE_LIVE;
    cache->reentry++;
    if (threads.has_key) {
        (void)pthread_setspecific(threads.key, cache); /* may allocate: it has a cache now */
    }
    al_hooks.thread_started(&cache->prof_slot);
    cache->reentry--;
    return cache;
}

/* ---- arena, switches ---- */

unsigned al_thread_arena_get(void) {
    const struct al_tcache *const cache = al_thread_cache();

    return cache != NULL ? cache->arena->idx : 0;
}

int al_thread_arena_set(unsigned arena_idx) {
    struct al_tcache *const cache = al_thread_cache();

    if (cache == NULL || arena_idx >= al_arena_count()) {
        return EFAULT;
    }
    struct al_arena *const arena = al_arena_get(arena_idx);
    if (arena == NULL) {
        return EAGAIN;
    }
    if (arena != cache->arena) {
        al_tcache_flush(cache);
        atomic_fetch_sub(&cache->arena->thread_count, 1);
        atomic_fetch_add(&arena->thread_count, 1);
        cache->arena = arena;
        cache->tag = al_map_tag(arena_idx);
    }
    return 0;
}

void al_sample_set(bool is_active, unsigned rate_lg) {
    al_sample_store(is_active, rate_lg);
    al_tcache_resample_self();
}

void al_sample_set_thread(bool is_active) {
    struct al_tcache *const cache = al_thread_cache();

    if (cache != NULL) {
        al_tcache_set_sampling(cache, is_active);
    }
}

bool al_sample_thread_is_active(void) {
    const struct al_tcache *const cache = al_thread_cache();

    return cache != NULL && cache->is_sampling;
}

uint64_t al_thread_allocated_bytes(void) {
    const struct al_tcache *const cache = al_thread_cache();

    return cache != NULL ? al_tcache_allocated_bytes(cache, true) : 0;
}

uint64_t al_thread_deallocated_bytes(void) {
    const struct al_tcache *const cache = al_thread_cache();

    return cache != NULL ? al_tcache_freed_bytes(cache, true) : 0;
}

uint64_t *al_thread_allocated_ptr(void) {
    struct al_tcache *const cache = al_thread_cache();

    if (cache == NULL) {
        return NULL;
    }
    al_tcache_set_mode(cache, cache->mode | AL_TCACHE_EXACT);
    return &cache->exact_allocated_bytes;
}

uint64_t *al_thread_deallocated_ptr(void) {
    struct al_tcache *const cache = al_thread_cache();

    if (cache == NULL) {
        return NULL;
    }
    al_tcache_set_mode(cache, cache->mode | AL_TCACHE_EXACT);
    return &cache->exact_freed_bytes;
}

bool al_thread_tcache_enabled(void) {
    const struct al_tcache *const cache = al_thread_cache();

    return cache != NULL && (cache->mode & AL_TCACHE_OFF) == 0;
}

void al_thread_tcache_set_enabled(bool is_enabled) {
    struct al_tcache *const cache = al_thread_cache();

    if (cache != NULL) {
        const uint32_t others = cache->mode & ~(uint32_t)AL_TCACHE_OFF;
        al_tcache_set_mode(cache, is_enabled ? others : others | AL_TCACHE_OFF);
    }
}

int al_thread_tcache_flush(void) {
    struct al_tcache *const cache = al_thread_cache();

    if (cache == NULL || (cache->mode & AL_TCACHE_OFF) != 0) {
        return EFAULT;
    }
    al_tcache_flush(cache);
    return 0;
}

/* ---- sums ---- */

void al_thread_count_uncached(size_t allocated_bytes, size_t freed_bytes) {
    atomic_fetch_add_explicit(&threads.past_allocated_bytes, allocated_bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&threads.past_freed_bytes, freed_bytes, memory_order_relaxed);
}

void al_threads_sum(uint64_t *allocated_bytes, uint64_t *freed_bytes) {
    al_lock_take(&threads.lock, AL_RANK_THREADS);
    *allocated_bytes = atomic_load(&threads.past_allocated_bytes);
    *freed_bytes = atomic_load(&threads.past_freed_bytes);
    for (size_t list = 0; list < LIVE_LIST_COUNT; list++) {
        for (const struct al_tcache *cache = threads.live[list]; cache != NULL;
             cache = cache->next) {
            const bool is_own = cache == al_self;
            *allocated_bytes += al_tcache_allocated_bytes(cache, is_own);
            *freed_bytes += al_tcache_freed_bytes(cache, is_own);
        }
    }
    al_lock_give(&threads.lock);
}

/* One cache's part of al_threads_arena_sum. */
static uint64_t add_requests_locked(const struct al_tcache *cache, uint64_t *requests) {
    al_lock_assert_held(&threads.lock);
    const bool is_own = cache == al_self;

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        requests[class_idx] +=
            atomic_load_explicit(&cache->cold[class_idx].malloc_count, memory_order_relaxed);
    }
    return al_tcache_allocated_bytes(cache, is_own) - al_tcache_freed_bytes(cache, is_own);
}

int64_t al_threads_arena_sum(unsigned arena_idx, uint64_t *requests) {
    AL_ASSERT(requests != NULL);
    uint64_t net_bytes = 0;

    al_lock_take(&threads.lock, AL_RANK_THREADS);
    for (size_t list = 0; list < LIVE_LIST_COUNT; list++) {
        for (const struct al_tcache *cache = threads.live[list]; cache != NULL;
             cache = cache->next) {
            if (cache->arena->idx == arena_idx) {
                net_bytes += add_requests_locked(cache, requests);
            }
        }
    }
    al_lock_give(&threads.lock);
    return (int64_t)net_bytes;
}

void al_threads_lock_stats(struct al_lock_stats *stats, bool is_reset) {
    al_lock_take(&threads.lock, AL_RANK_THREADS);
    if (is_reset) {
        al_lock_stats_reset_locked(&threads.lock);
    }
    al_lock_stats_read_locked(&threads.lock, stats);
    al_lock_give(&threads.lock);
}

void al_audit_all(void) {
    for (unsigned idx = 0; idx < al_arena_count(); idx++) {
        struct al_arena *const arena = al_arena_at(idx);
        if (arena == NULL) {
            continue;
        }
        al_runs_check(&arena->runs);
        for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
            al_bin_check(&arena->bins[class_idx], class_idx);
            al_bin_check(&arena->sampled[class_idx], class_idx);
        }
    }
    if (al_self != &al_null_tcache) {
        al_tcache_check(al_self);
    }
}

/* ---- fork ---- */

static void fork_prepare(void) {
    struct al_tcache *const cache = al_self;

    if (cache != &al_null_tcache) {
        cache->reentry++;
    }
    al_hooks.fork_prepare();
    al_lock_take(&threads.init_lock, AL_RANK_INIT);
    al_lock_take(&threads.lock, AL_RANK_THREADS);
    al_tcache_fork_prepare();
    al_tcache_explicit_fork_prepare();
    al_arenas_fork_prepare();
    al_extent_fork_prepare();
    al_map_fork_prepare();
    al_slab_fork_prepare();
    al_meta_fork_prepare();
    threads.fork_cache = cache;
    /* Handlers that were registered before ours run now, and may allocate. */
    al_is_lock_free = true;
}

static void fork_ended(struct al_tcache *cache) {
    if (cache != &al_null_tcache) {
        cache->reentry--;
    }
}

static void fork_parent(void) {
    struct al_tcache *const cache = threads.fork_cache;

    al_is_lock_free = false;
    al_meta_fork_parent();
    al_slab_fork_parent();
    al_map_fork_parent();
    al_extent_fork_parent();
    al_arenas_fork_parent();
    al_tcache_explicit_fork_parent();
    al_tcache_fork_parent();
    al_lock_give(&threads.lock);
    al_lock_give(&threads.init_lock);
    al_hooks.fork_parent();
    fork_ended(cache);
}

/* The other threads are gone, and with them what their caches hold: a bounded leak, since a
 * cache may have been cut off in the middle of a change.
 */
static void drop_other_caches(struct al_tcache *first) {
    struct al_tcache *next = NULL;

    for (struct al_tcache *cache = first; cache != NULL; cache = next) {
        next = cache->next;
        if (cache != al_self) {
            add_past(al_tcache_allocated_bytes(cache, false), al_tcache_freed_bytes(cache, false));
            atomic_fetch_sub(&cache->arena->thread_count, 1);
            unlink_locked(cache);
        }
    }
}

static void fork_child(void) {
    struct al_tcache *const cache = threads.fork_cache;

    al_is_lock_free = false;
    al_meta_fork_child();
    al_slab_fork_child();
    al_map_fork_child();
    al_extent_fork_child();
    al_arenas_fork_child();
    al_tcache_explicit_fork_child();
    al_tcache_fork_child();
    for (size_t list = 0; list < LIVE_LIST_COUNT; list++) {
        drop_other_caches(threads.live[list]);
    }
    al_lock_reset(&threads.lock);
    al_lock_reset(&threads.init_lock);
    al_hooks.fork_child();
    fork_ended(cache);
}

/* Not at the first malloc: registering may allocate, and before this runs there is nobody
 * who could fork but the loader.
 */
__attribute__((constructor)) static void start(void) {
    (void)pthread_atfork(fork_prepare, fork_parent, fork_child);
}
