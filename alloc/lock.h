/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lock — a mutex of 16 bytes on a futex, and the one list of lock ranks.
 *
 * Owns:    nothing; a zeroed al_lock is unlocked.
 * Threads: any. In debug builds a thread that takes a lock of a lower rank than one it holds,
 *          or releases one it does not hold, dies.
 * Fails:   never. Keeps errno.
 * Why not pthread_mutex_t: 40 bytes, no counters, and in the child of a fork it can only be
 *          re-initialised, not taken over.
 */
#ifndef AL_LOCK_H
#define AL_LOCK_H

#include "alloc/base.h"

#include <stdatomic.h>
#include <sys/single_threaded.h>

/* In the order of taking: a thread may only take a lock of a higher rank than all it holds. */
enum al_rank {
    AL_RANK_CTL = 1,   /* ctl: one mallctl at a time; held across everything below */
    AL_RANK_DUMP,      /* prof: one dump at a time */
    AL_RANK_PROF,      /* prof: switching on, off, reset */
    AL_RANK_PROF_SITE, /* prof: a stripe of the site table */
    AL_RANK_PROF_POOL, /* prof: records of samples */
    AL_RANK_INIT,      /* alloc: start-up, once */
    AL_RANK_THREADS,   /* alloc: the list of thread caches */
    AL_RANK_PARKED,    /* alloc: caches without a thread */
    AL_RANK_ARENAS,    /* alloc: the table of arenas */
    AL_RANK_EXPLICIT,  /* alloc: the table of explicit caches */
    AL_RANK_STOCK,     /* alloc: lists between caches, of one class of one arena */
    AL_RANK_BIN,       /* alloc: one class of one arena */
    AL_RANK_RUNS,      /* alloc: free runs of one arena */
    AL_RANK_EXTENTS,   /* alloc: unused extent descriptors */
    AL_RANK_MAP,       /* alloc: growing the map */
    AL_RANK_RECORDS,   /* alloc: unused arrays of samples' records */
    AL_RANK_META,      /* alloc: metadata memory */
};

struct al_lock {
    _Atomic uint32_t state; /* 0 free, 1 held, 2 held and somebody may be waiting */
    _Atomic uint32_t
        profile_idx;     /* of who waits for it; 0: nobody has yet. Written by its holder */
    uint64_t take_count; /* guarded by the lock itself */
};
static_assert(sizeof(struct al_lock) == 16, "a bin with its lock fits one cache line");

/* What a lock has seen since start, or since al_lock_stats_reset_locked. */
struct al_lock_stats {
    uint64_t take_count;
    uint64_t spin_count;   /* takings that found it held, and had it after a short spin */
    uint64_t wait_count;   /* takings that slept */
    uint64_t switch_count; /* takings known to follow another thread's: all that were waited for */
    uint64_t wait_ns;      /* all sleeps */
    uint64_t wait_ns_max;  /* the longest */
    uint32_t waiters_max;  /* threads that waited at the same time */
};

/* The caller holds the lock. */
void al_lock_stats_read_locked(const struct al_lock *lock, struct al_lock_stats *stats);
void al_lock_stats_reset_locked(struct al_lock *lock);

/* The same, taking the lock; and with the numbers of several locks as one. */
void al_lock_stats_read(struct al_lock *lock, enum al_rank rank, struct al_lock_stats *stats);
void al_lock_stats_reset(struct al_lock *lock, enum al_rank rank);
void al_lock_stats_add(struct al_lock_stats *sum, const struct al_lock_stats *one);

void al_lock_take_slow(struct al_lock *lock);
void al_lock_wake_slow(struct al_lock *lock);
void al_lock_rank_push(const struct al_lock *lock, enum al_rank rank);
void al_lock_rank_pop(const struct al_lock *lock);

/* Off while fork takes every lock of every arena: more than can be remembered, and in an order
 * of their own. Calls nest in no way.
 */
void al_lock_rank_track(bool is_on);

/* Dies in debug builds unless the calling thread holds `lock`. */
void al_lock_assert_held(const struct al_lock *lock);

/* No other thread is there to see what this one does, so a plain access will do where an atomic one
 * would cost 20 cycles. The C library clears the mark before it starts a second thread, and sets it
 * again, if ever, only after the last other one was joined.
 */
AL_INLINE bool al_is_alone(void) {
    return __libc_single_threaded != 0;
}

AL_INLINE void al_lock_take(struct al_lock *lock, enum al_rank rank) {
    uint32_t free_state = 0;

    if (AL_UNLIKELY(al_is_lock_free)) {
        return;
    }
    if (al_is_debug) {
        al_lock_rank_push(lock, rank);
    }
    (void)rank;
    if (al_is_alone() && AL_LIKELY(atomic_load_explicit(&lock->state, memory_order_relaxed) == 0)) {
        atomic_store_explicit(&lock->state, 1, memory_order_relaxed);
    } else if (AL_UNLIKELY(!atomic_compare_exchange_strong_explicit(
                   &lock->state, &free_state, 1, memory_order_acquire, memory_order_relaxed))) {
        al_lock_take_slow(lock);
    }
    lock->take_count++;
}

AL_INLINE void al_lock_give(struct al_lock *lock) {
    if (AL_UNLIKELY(al_is_lock_free)) {
        return;
    }
    if (al_is_debug) {
        al_lock_rank_pop(lock);
    }
    if (al_is_alone() && AL_LIKELY(atomic_load_explicit(&lock->state, memory_order_relaxed) == 1)) {
        atomic_store_explicit(&lock->state, 0, memory_order_relaxed);
    } else if (AL_UNLIKELY(atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2)) {
        al_lock_wake_slow(lock);
    }
}

/* In the child of a fork: only the forking thread lives, and it holds every lock. */
AL_INLINE void al_lock_reset(struct al_lock *lock) {
    if (al_is_debug) {
        al_lock_rank_pop(lock);
    }
    atomic_store_explicit(&lock->state, 0, memory_order_relaxed);
}

#endif
