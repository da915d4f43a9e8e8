/* SPDX-License-Identifier: BSD-2-Clause
 *
 * lock — spin a little, then sleep in the kernel (the three-state mutex of U. Drepper,
 * "Futexes are tricky", 2011, mutex 2).
 */
#include "alloc/lock.h"

#include "alloc/os.h"

/* Critical sections are some 100 ns; a futex round trip is some 5 us. Spinning longer than
 * the first gains nothing when threads outnumber cores, which is when locks are waited for.
 */
enum { SPIN_COUNT = 100 };

/* Deepest nesting there can be: each rank once. */
enum { HELD_COUNT_MAX = 32 };

static AL_TLS_IE struct {
    const struct al_lock *locks[HELD_COUNT_MAX];
    uint8_t ranks[HELD_COUNT_MAX];
    uint32_t count;
    bool is_off;
} held;

/* Who waits is rare, so what is known of it lies apart from the locks, which share cache lines with
 * what they guard. A lock gets its place when it is first waited for; those that come after the
 * last place are waited for uncounted.
 */
enum { PROFILE_COUNT_MAX = 4096 };

struct profile {
    /* Guarded by the lock it is of. */
    uint64_t spin_count, wait_count, wait_ns, wait_ns_max;
    /* Atomic: those who wait have no lock. */
    _Atomic uint32_t waiters, waiters_max;
};

static struct profile profiles[PROFILE_COUNT_MAX];
static _Atomic uint32_t profile_count = 1; /* 0 is nobody's */

static struct profile *profile_of(const struct al_lock *lock) {
    const uint32_t idx = atomic_load_explicit(&lock->profile_idx, memory_order_relaxed);

    return idx != 0 ? &profiles[idx] : NULL;
}

/* The holder's. NULL: all places are taken. */
static struct profile *profile_make(struct al_lock *lock) {
    if (profile_of(lock) == NULL &&
        atomic_load_explicit(&profile_count, memory_order_relaxed) < PROFILE_COUNT_MAX) {
        const uint32_t idx = atomic_fetch_add_explicit(&profile_count, 1, memory_order_relaxed);
        if (idx < PROFILE_COUNT_MAX) {
            atomic_store_explicit(&lock->profile_idx, idx, memory_order_relaxed);
        }
    }
    return profile_of(lock);
}

static void raise_to(_Atomic uint32_t *highest, uint32_t value) {
    uint32_t seen = atomic_load_explicit(highest, memory_order_relaxed);

    while (seen < value && !atomic_compare_exchange_weak_explicit(
                               highest, &seen, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}

static bool take_by_spinning(struct al_lock *lock) {
    for (int spin = 0; spin < SPIN_COUNT; spin++) {
        uint32_t free_state = 0;
        if (atomic_load_explicit(&lock->state, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&lock->state, &free_state, 1,
                                                    memory_order_acquire, memory_order_relaxed)) {
            return true;
        }
        AL_SPIN_HINT();
    }
    return false;
}

/* Returns the nanoseconds slept. */
static uint64_t take_by_sleeping(struct al_lock *lock) {
    struct profile *const waiting = profile_of(lock);
    const uint64_t start_ns = al_os_time_fine_ns();

    if (waiting != NULL) {
        raise_to(&waiting->waiters_max,
                 atomic_fetch_add_explicit(&waiting->waiters, 1, memory_order_relaxed) + 1);
    }
    /* Unbounded only as the holder's critical section is. */
    while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0) {
        al_os_wait(&lock->state, 2, -1);
    }
    if (waiting != NULL) {
        atomic_fetch_sub_explicit(&waiting->waiters, 1, memory_order_relaxed);
    }
    return al_os_time_fine_ns() - start_ns;
}

void al_lock_take_slow(struct al_lock *lock) {
    const bool is_spun = take_by_spinning(lock);
    const uint64_t slept_ns = is_spun ? 0 : take_by_sleeping(lock);
    struct profile *const profile = profile_make(lock);

    if (profile == NULL) {
        return;
    }
    if (is_spun) {
        profile->spin_count++;
        return;
    }
    profile->wait_count++;
    profile->wait_ns += slept_ns;
    profile->wait_ns_max = slept_ns > profile->wait_ns_max ? slept_ns : profile->wait_ns_max;
    raise_to(&profile->waiters_max, 1);
}

void al_lock_stats_read_locked(const struct al_lock *lock, struct al_lock_stats *stats) {
    const struct profile *const profile = profile_of(lock);

    al_lock_assert_held(lock);
    *stats = (struct al_lock_stats){.take_count = lock->take_count};
    if (profile != NULL) {
        stats->spin_count = profile->spin_count;
        stats->wait_count = profile->wait_count;
        stats->switch_count = profile->spin_count + profile->wait_count;
        stats->wait_ns = profile->wait_ns;
        stats->wait_ns_max = profile->wait_ns_max;
        stats->waiters_max = atomic_load_explicit(&profile->waiters_max, memory_order_relaxed);
    }
}

void al_lock_stats_reset_locked(struct al_lock *lock) {
    struct profile *const profile = profile_of(lock);

    al_lock_assert_held(lock);
    lock->take_count = 0;
    if (profile != NULL) {
        profile->spin_count = 0;
        profile->wait_count = 0;
        profile->wait_ns = 0;
        profile->wait_ns_max = 0;
        atomic_store_explicit(&profile->waiters_max, 0, memory_order_relaxed);
    }
}

void al_lock_stats_read(struct al_lock *lock, enum al_rank rank, struct al_lock_stats *stats) {
    al_lock_take(lock, rank);
    al_lock_stats_read_locked(lock, stats);
    al_lock_give(lock);
}

void al_lock_stats_reset(struct al_lock *lock, enum al_rank rank) {
    al_lock_take(lock, rank);
    al_lock_stats_reset_locked(lock);
    al_lock_give(lock);
}

void al_lock_stats_add(struct al_lock_stats *sum, const struct al_lock_stats *one) {
    AL_ASSERT(sum != one);
    sum->take_count += one->take_count;
    sum->spin_count += one->spin_count;
    sum->wait_count += one->wait_count;
    sum->switch_count += one->switch_count;
    sum->wait_ns += one->wait_ns;
    sum->wait_ns_max = one->wait_ns_max > sum->wait_ns_max ? one->wait_ns_max : sum->wait_ns_max;
    sum->waiters_max = one->waiters_max > sum->waiters_max ? one->waiters_max : sum->waiters_max;
}

void al_lock_wake_slow(struct al_lock *lock) {
    al_os_wake(&lock->state, 1);
}

void al_lock_rank_track(bool is_on) {
    held.is_off = !is_on;
}

void al_lock_rank_push(const struct al_lock *lock, enum al_rank rank) {
    if (held.is_off) {
        return;
    }
    if (held.count > 0) {
        /* Strictly upward: no lock is taken beside another of its rank. */
        AL_CHECK(held.ranks[held.count - 1] < rank, "internal: lock taken out of order");
    }
    AL_CHECK(held.count < HELD_COUNT_MAX, "internal: more locks held than there are ranks");
    held.locks[held.count] = lock;
    held.ranks[held.count++] = (uint8_t)rank;
}

void al_lock_rank_pop(const struct al_lock *lock) {
    uint32_t idx = held.count;

    if (held.is_off) {
        return;
    }
    while (idx > 0 && held.locks[idx - 1] != lock) {
        idx--;
    }
    AL_CHECK(idx > 0, "internal: lock given by a thread without it");
    for (; idx < held.count; idx++) { /* given out of order: close the gap */
        held.locks[idx - 1] = held.locks[idx];
        held.ranks[idx - 1] = held.ranks[idx];
    }
    held.count--;
}

void al_lock_assert_held(const struct al_lock *lock) {
    uint32_t idx = held.count;

    if (!al_is_debug || held.is_off || al_is_lock_free) {
        return;
    }
    while (idx > 0 && held.locks[idx - 1] != lock) {
        idx--;
    }
    AL_CHECK(idx > 0, "internal: a lock is not held that must be");
}
