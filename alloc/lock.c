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

void al_lock_take_slow(struct al_lock *lock) {
    for (int spin = 0; spin < SPIN_COUNT; spin++) {
        uint32_t free_state = 0;
        if (atomic_load_explicit(&lock->state, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(&lock->state, &free_state, 1,
                                                    memory_order_acquire, memory_order_relaxed)) {
            lock->wait_count++;
            return;
        }
        AL_SPIN_HINT();
    }
    /* Unbounded only as the holder's critical section is. */
    while (atomic_exchange_explicit(&lock->state, 2, memory_order_acquire) != 0) {
        al_os_wait(&lock->state, 2, -1);
    }
    lock->wait_count++;
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
