/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache — a thread's cache: two lists of free blocks a class.
 *
 *   malloc pops `alloc` only, free pushes `freed` only. When `alloc` runs out, `freed` becomes
 *   it, or the arena's bin fills it. So the slow path is visited after a known number of
 *   mallocs, and that is where sampling, counting and ageing happen: the fast path has no
 *   counter and no branch for them.
 *
 *   bin[c].alloc  -> o -> o -> o                 a countdown of cold[c].countdown allocations
 *   cold[c].rest  -> o -> o                      runs over both: the allocation between them
 *   bin[c].freed  -> o -> o -> o -> o            is the one to be sampled
 *
 * Owns:    the blocks in its lists.
 * Threads: its thread alone, but for the counters that statistics read (relaxed, one writer)
 *          and the registry's links (rank AL_RANK_THREADS).
 * Fails:   never by itself; filling may find no memory.
 * Bound:   `freed` holds at most flim blocks: 1 KiB or one block to begin with, 512 KiB over
 *          all classes, growing to 128 KiB a class (two blocks at least) and by no more than
 *          AL_TCACHE_GROWN_BYTES_MAX together; `alloc` no more than one filling or one former
 *          `freed`; runs of large allocations: AL_TCACHE_RUN_BYTES_SUM_MAX.
 *
 * Invariants, walked by al_tcache_check:
 *   I1  freed has flim - room blocks
 *   I2  alloc has at most countdown - 1 blocks when is_pending, and rest has rest_count
 *   I3  in a mode other than 0 every alloc is NULL and every room is 1
 *   I4  hidden has hidden_count blocks; none in mode 0 and in AL_TCACHE_OFF
 */
#ifndef AL_TCACHE_H
#define AL_TCACHE_H

#include "alloc/arena.h"
#include "alloc/base.h"
#include "alloc/class.h"

/* The bin's fast part: the only memory malloc and free touch besides the blocks. */
struct al_tcache_bin {
    void *alloc;
    void *freed;
    uint32_t room; /* pushes until the slow path */
    uint32_t flim;
    uint32_t alloc_count; /* blocks in alloc when it was installed */
    uint32_t stamp;       /* tick of the last slow visit: quiet bins are emptied */
};
static_assert(sizeof(struct al_tcache_bin) == AL_MAP_BIN_BYTES, "as the map says");

struct al_tcache_cold {
    AL_ALIGNED(AL_CACHE_LINE_BYTES)
    uint64_t countdown; /* allocations until the sampled one, beyond those in alloc */
    void *rest;
    uint32_t rest_count;
    uint32_t epoch;                /* of the sampler, when countdown was drawn */
    _Atomic uint64_t malloc_count; /* with all of alloc, without rest */
    _Atomic uint64_t free_count;   /* without freed */
    void *hidden;                  /* modes other than 0: the cache behind the slow path */
    uint32_t hidden_count;
    uint16_t cap;    /* most that freed may hold; 0: not asked yet */
    bool is_pending; /* the allocation after alloc is to be sampled */
    bool is_zeroed;  /* blocks of alloc read as zero but for their links */
};
static_assert(sizeof(struct al_tcache_cold) == AL_CACHE_LINE_BYTES, "one line a class");

/* A large allocation that the thread has freed; granules 0: none. */
struct al_tcache_run {
    uint32_t extent_idx;
    uint32_t granules;
};

/* Blocks of one slab of another arena, on their way home. */
struct al_tcache_remote {
    uint32_t slab_idx; /* 0: empty */
    uint32_t count;
    void *head;
    void *tail;
};

enum {
    AL_TCACHE_REMOTE_COUNT = 16,
    AL_TCACHE_GROWN_BYTES_MAX = 2048 * 1024, /* what all freed lists may grow by together */
    AL_TCACHE_RUN_COUNT = 8,
    AL_TCACHE_RUN_BYTES_MAX = 512 * 1024,      /* largest run kept */
    AL_TCACHE_RUN_BYTES_SUM_MAX = 1024 * 1024, /* all of them */

    /* Reasons to take the slow path each time. */
    AL_TCACHE_EXACT = 1, /* the program watches our counters through pointers */
    AL_TCACHE_OFF = 2,   /* the program wants no cache */
    AL_TCACHE_FILL = 4,  /* opt.junk or opt.zero: memory is filled as it comes and goes */
};

struct al_tcache {
    /* Read by every free: al_map_tag of the arena; in the null cache, what matches nothing.
     * 64 bits although 32 are used: the xor then needs no zero-extension. */
    uint64_t tag;
    uint32_t mode;
    uint32_t reentry; /* > 0: a hook is running; serve, do not sample */
    uint64_t rng;
    struct al_arena *arena;

    struct al_tcache_bin bins[AL_CLASS_COUNT];

    AL_ALIGNED(AL_CACHE_LINE_BYTES) struct al_tcache_cold cold[AL_CLASS_COUNT];
    struct al_tcache_remote remote[AL_TCACHE_REMOTE_COUNT];

    struct al_tcache_run runs[AL_TCACHE_RUN_COUNT];
    uint32_t run_granules;   /* in runs */
    uint32_t run_next;       /* the one to be given up next */
    uint64_t run_hit_count;  /* allocations served from runs since one was given up last */
    uint64_t run_trim_count; /* as of the last trim */

    uint64_t large_countdown; /* bytes until the next sampled large allocation */
    uint32_t large_epoch;
    uint32_t tick;           /* slow visits */
    uint32_t gc_next;        /* class the next trim begins with */
    uint32_t full_count;     /* slabs of others that came back whole by its frees */
    uint32_t grown_bytes;    /* sum of (flim - its start) x size over the bins */
    bool is_sampling;        /* thread.prof.active */
    uint64_t event_bytes;    /* allocated since the last event */
    uint64_t volume_bytes;   /* allocated by this thread, as slow visits see it */
    void *prof_slot;         /* the profiler's pointer for this thread */
    uint64_t parked_ns;      /* when its thread ended */
    bool is_peak_watched;    /* somebody has asked for the peak */
    int64_t peak_bytes;      /* thread.peak: the most there was above peak_base_bytes */
    int64_t peak_base_bytes; /* allocated less freed at the reset */
    uint32_t max_bytes;      /* thread.tcache.max; 0: as options say */

    /* Counters of what is not in a bin; one writer, read relaxed. */
    _Atomic uint64_t large_malloc_bytes, large_free_bytes;

    /* Valid in exact mode: what thread.allocatedp points to. */
    uint64_t exact_allocated_bytes, exact_freed_bytes;

    /* Guarded by the registry's lock; of a cache without a thread, by the lock of tcache_park.c. */
    struct al_tcache *prev, *next;
    const void *owner; /* where its thread's al_self lies */
};
static_assert(offsetof(struct al_tcache, bins) == AL_MAP_BIN_FIRST_BYTES, "as the map says");

enum { AL_TCACHE_BINS_END = AL_MAP_BIN_FIRST_BYTES + AL_MAP_BIN_BYTES * AL_CLASS_COUNT };
static_assert(AL_TCACHE_BINS_END <= 1 << AL_MAP_TAG_SHIFT, "an offset fits below the tag");

/* The calling thread's cache; the null cache, whose lists are empty and whose tag matches
 * nothing, before it has one and after it gave it up.
 */
extern AL_HIDDEN AL_TLS_IE struct al_tcache *al_self;
extern AL_HIDDEN struct al_tcache al_null_tcache;

/* Sets up a zeroed cache for `arena`; and gives back every block it holds. */
void al_tcache_init(struct al_tcache *cache, struct al_arena *arena, uint32_t mode);
void al_tcache_flush(struct al_tcache *cache);

/* Gives back all but a little of each class: the cache's thread ends. */
void al_tcache_shrink(struct al_tcache *cache);

/* Whether the cache's thread, the caller's own, is sampled: if that is new, all is drawn anew. */
void al_tcache_set_sampling(struct al_tcache *cache, bool is_sampling);

/* A block of the class; NULL: no memory. `alloc` is empty. */
void *al_tcache_malloc_slow(struct al_tcache *cache, unsigned class_idx, size_t requested_bytes);

/* `freed` of the bin has reached flim (or the mode wants each free to come here). */
void al_tcache_free_slow(struct al_tcache *cache, unsigned class_idx);

/* A block of another arena's slab. */
void al_tcache_free_remote(struct al_tcache *cache, void *block, uint32_t slab_idx);

/* Draws every countdown of the calling thread anew. */
void al_tcache_resample_self(void);

/* Whether an allocation of `bytes` outside the lists is to be sampled. */
bool al_tcache_draw(struct al_tcache *cache, size_t bytes);

/* Turns the object into a sampled one: asks the profiler for its record. */
void *al_tcache_sample(struct al_tcache *cache, const void *ptr, size_t requested_bytes,
                       size_t usable_bytes);

/* Drops a record (never NULL) with its object. cache: NULL if the thread has none. */
void al_tcache_sample_freed(struct al_tcache *cache, void *record);

void al_tcache_set_mode(struct al_tcache *cache, uint32_t mode);

/* Bytes ever allocated and freed by the cache's thread. Exact when it is the caller's own. */
uint64_t al_tcache_allocated_bytes(const struct al_tcache *cache, bool is_own);
uint64_t al_tcache_freed_bytes(const struct al_tcache *cache, bool is_own);

/* The same two, of a thread that has ended; the cache, with its blocks, then looks new to the
 * thread that adopts it. One walk over the lists.
 */
void al_tcache_take_counts(struct al_tcache *cache, uint64_t *allocated_bytes,
                           uint64_t *freed_bytes);

/* Every slow visit: events, and now and then a trim. `bytes` came into the cache. */
void al_tcache_visit(struct al_tcache *cache, size_t bytes);

/* Large allocations kept for the thread (tcache_run.c). give: false, not one to be kept; the entry
 * is ptr's, with AL_MAP_LARGE. take: NULL, none of that size. trim: gives them up if none was taken
 * since the last trim.
 */
bool al_tcache_run_give(struct al_tcache *cache, void *ptr, uint64_t entry);
AL_NODISCARD void *al_tcache_run_take(struct al_tcache *cache, size_t size_bytes);

/* The same, entered into counters and countdown; NULL also if it is to be sampled. */
AL_NODISCARD void *al_tcache_run_malloc(struct al_tcache *cache, size_t size_bytes);
void al_tcache_run_flush(struct al_tcache *cache);
void al_tcache_run_trim(struct al_tcache *cache);

/* What is due in an arena: purging, caches without a thread; remote frees if nobody lives there. */
void al_tcache_tend(struct al_arena *arena);

/* Caches between two threads (tcache_park.c). A cache whose thread has ended waits with its arena;
 * adopt: the last one parked there, with what it holds; reuse: an empty one; NULL: there is
 * none. expire empties those that have waited for long.
 */
void al_tcache_park(struct al_tcache *cache);
struct al_tcache *al_tcache_adopt(struct al_arena *arena);
struct al_tcache *al_tcache_reuse(void);
void al_tcache_expire(struct al_arena *arena);

/* Nothing of the arena, which ends, stays in the caller's cache or in one without a thread. */
void al_tcache_leave_arena(struct al_arena *arena);
void al_tcache_fork_prepare(void);
void al_tcache_fork_parent(void);
void al_tcache_fork_child(void);

void al_tcache_check(const struct al_tcache *cache);

#endif
