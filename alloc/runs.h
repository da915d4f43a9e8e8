/* SPDX-License-Identifier: BSD-2-Clause
 *
 * runs — an arena's page layer: runs of granules, best fit, coalescing, purged as they age.
 *
 * Owns:    the arena's address space outside mappings of single allocations, the treap of its
 *          free runs, and the map entries of free granules (clean, dirty or muzzy, one by one).
 * Threads: rank AL_RANK_RUNS. The kernel is asked with no lock held; runs being purged are
 *          taken out of the heap meanwhile.
 * Fails:   false: no memory, nothing changed.
 *
 * Invariants, walked by al_runs_check:
 *   I1  treap order: by (granules, base address), heap order by priority
 *   I2  no two free runs of the arena touch
 *   I3  the first and last granule of a free run name its descriptor in the map
 *   I4  a run's stale_granules are the numbers of its granules marked dirty and muzzy
 *   I5  free_granules and stale_granules are the sums over the runs
 */
#ifndef AL_RUNS_H
#define AL_RUNS_H

#include "alloc/base.h"
#include "alloc/decay.h"
#include "alloc/extent.h"
#include "alloc/lock.h"

/* What purging of one kind has done since start. */
struct al_purge_counts {
    uint64_t pass_count; /* times that something was found to purge */
    uint64_t call_count; /* system calls */
    uint64_t purged_granules;
};

/* What a run is for, to its counters. */
enum al_runs_use { AL_RUNS_SLAB, AL_RUNS_LARGE };

/* Large allocations of one class (al_large_class_of) since start; a change of size is a free and
 * an allocation.
 */
struct al_large_counts {
    uint64_t malloc_count, free_count;
};

struct al_bin_counts; /* bin.h */
struct al_user_hooks; /* user_hooks.h */
struct al_user_extent;

struct al_runs {
    /* Never change after al_runs_init. */
    uint32_t arena_idx;
    struct al_bin_counts *bin_counts; /* of the arena's bins, by class; NULL: not counted */

    _Atomic(struct al_user_hooks *) hooks; /* whom memory is asked of; NULL: the kernel */
    _Atomic bool has_users;                /* some of the memory is the program's; stays so */
    _Atomic size_t grow_limit_bytes;       /* most address space asked for beyond what is needed */

    struct al_lock lock;

    /* Guarded by lock. */
    uint32_t root_idx;
    size_t mapped_granules; /* all there is: active + free */
    size_t free_granules;
    size_t stale_granules[AL_STALE_COUNT]; /* parts of free_granules */
    size_t huge_bytes;                     /* in mappings of their own */
    size_t large_bytes;                    /* whole granules of large allocations, huge ones too */
    uint64_t large_malloc_count, large_free_count;
    struct al_user_extent *user_extents, *user_unused; /* lists: in use, and to be used again */
    struct al_purge_counts purged[AL_STALE_COUNT];
    struct al_decay decay[AL_STALE_COUNT];

    _Atomic uint64_t purge_due_ns; /* written under lock, read without */

    /* Atomic: slabs have been queued for their bins (bin.h) since this was last cleared. */
    _Atomic bool has_remote;

    struct al_large_counts large[AL_LARGE_CLASS_COUNT]; /* guarded by lock */
};

/* decay_ms: how long freed granules stay dirty, and then muzzy. */
void al_runs_init(struct al_runs *runs, uint32_t arena_idx, const ssize_t decay_ms[AL_STALE_COUNT]);

/* A run of `granules`, its base a multiple of align_granules (a power of two, 1: any). Fills
 * in base_addr, granules and arena_idx of `extent_idx` (kind AL_EXTENT_BUSY, taken by the
 * caller) and says in *is_zeroed whether it reads as zero. Map entries are the caller's to
 * write: until then neighbours see AL_MAP_BUSY or a free code with another's descriptor.
 */
AL_NODISCARD bool al_runs_take(struct al_runs *runs, uint32_t extent_idx, uint32_t granules,
                               uint32_t align_granules, enum al_runs_use use, bool *is_zeroed);

/* Gets the first memory, so that what has none is found out at once. */
AL_NODISCARD bool al_runs_prime(struct al_runs *runs);

/* Whether all memory, and all to come, is the kernel's: it may be moved and mapped at will. */
AL_INLINE bool al_runs_is_plain(const struct al_runs *runs) {
    return atomic_load_explicit(&runs->hooks, memory_order_relaxed) == NULL &&
           !atomic_load_explicit(&runs->has_users, memory_order_relaxed);
}

/* The run comes back; its descriptor is given up. is_dirty: it may hold pages. */
void al_runs_give(struct al_runs *runs, uint32_t extent_idx, enum al_runs_use use, bool is_dirty);

/* Grows a taken run by `more` granules in place, if what follows is free. Entries of the new
 * granules are the caller's to write. */
AL_NODISCARD bool al_runs_extend(struct al_runs *runs, struct al_extent *extent, uint32_t more,
                                 bool *is_zeroed);

/* Gives back the last `fewer` granules of a taken run. False: no descriptor to be had. */
AL_NODISCARD bool al_runs_trim(struct al_runs *runs, struct al_extent *extent, uint32_t fewer);

/* The run of a large allocation is nobody's from now on: its addresses may be another's. */
void al_runs_abandon(struct al_runs *runs, const struct al_extent *extent);

/* Enters a large allocation into the counters: of new_bytes from now on (0: it is gone), of
 * old_bytes up to now (0: it is new).
 */
void al_runs_count_large_locked(struct al_runs *runs, size_t new_bytes, size_t old_bytes);

/* The same of `count` allocations that came and went without the heap's knowledge. */
void al_runs_count_hits(struct al_runs *runs, size_t bytes, uint64_t count);

/* What opt.thp says about new memory: nothing by default. */
void al_runs_advise_huge(void *ptr, size_t bytes);

/* Address space of all heaps and all mappings of single allocations, now. Relaxed. */
extern AL_HIDDEN _Atomic size_t al_runs_total_bytes;

AL_INLINE void al_runs_total_add(size_t bytes) {
    atomic_fetch_add_explicit(&al_runs_total_bytes, bytes, memory_order_relaxed);
}

void al_runs_check(struct al_runs *runs);

#endif
