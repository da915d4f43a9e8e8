/* SPDX-License-Identifier: BSD-2-Clause
 *
 * background — looks at every arena, then sleeps until the earliest has work.
 *
 * While there is something to decay it looks no more often than a twentieth of the decay time:
 * 2 looks a second by default, each some microseconds, none at all in a process at rest.
 */
#include "alloc/background.h"

#include "alloc/arena.h"
#include "alloc/options.h"
#include "alloc/os.h"
#include "alloc/purge.h"
#include "alloc/tcache.h"

#include <errno.h>

enum {
    LOOKS_PER_DECAY = 20,
    PAUSE_MS_MIN = 100,
    PAUSE_MS_MAX = 1000,

    /* What al_purge_is_idle holds; al_purge_wake reacts to the second alone. */
    AWAKE = 0,
    SLEEPING_WITHOUT_END = 1,
    SLEEPING_A_WHILE = 2,
};

static struct {
    _Atomic bool is_wanted;
    _Atomic bool is_running;
    /* Written by the thread alone; relaxed. */
    _Atomic uint64_t run_count, first_ns, last_ns;
} background;

/* Does what is due in an arena. Returns when it has work again: UINT64_MAX, none. */
static uint64_t look_at(struct al_arena *arena) {
    AL_ASSERT(arena != NULL);
    if (!al_arena_enter(arena)) {
        return UINT64_MAX;
    }
    al_arena_drain(arena, false);
    al_tcache_tend(arena);
    al_arena_leave(arena);
    const uint64_t parked_ns = atomic_load_explicit(&arena->parked_due_ns, memory_order_relaxed);
    const uint64_t purge_ns = al_purge_due_ns(&arena->runs);
    return parked_ns < purge_ns ? parked_ns : purge_ns;
}

static uint64_t look_at_all(void) {
    uint64_t due_ns = UINT64_MAX;

    for (unsigned idx = 0; idx < AL_ARENA_COUNT_MAX; idx++) {
        struct al_arena *const arena = al_arena_at(idx);
        const uint64_t arena_due_ns = arena != NULL ? look_at(arena) : UINT64_MAX;
        due_ns = arena_due_ns < due_ns ? arena_due_ns : due_ns;
    }
    return due_ns;
}

static void count_run(void) {
    const uint64_t now_ns = al_os_time_ns();

    if (atomic_fetch_add_explicit(&background.run_count, 1, memory_order_relaxed) == 0) {
        atomic_store_explicit(&background.first_ns, now_ns, memory_order_relaxed);
    }
    atomic_store_explicit(&background.last_ns, now_ns, memory_order_relaxed);
}

static int64_t pause_ns(void) {
    const ssize_t decay_ms = al_options.dirty_decay_ms;
    int64_t pause_ms = decay_ms < 0 ? PAUSE_MS_MAX : decay_ms / LOOKS_PER_DECAY;

    pause_ms = pause_ms > PAUSE_MS_MIN ? pause_ms : PAUSE_MS_MIN;
    pause_ms = pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX;
    return pause_ms * 1000000;
}

/* Says first that it sleeps, then looks once more: work made in between is either seen here, or
 * its maker sees the word.
 */
static void sleep_until_work(uint64_t due_ns) {
    AL_ASSERT(al_self == &al_null_tcache); /* it never allocates */
    if (due_ns == UINT64_MAX) {
        atomic_store(&al_purge_is_idle, SLEEPING_WITHOUT_END);
        if (look_at_all() == UINT64_MAX && atomic_load(&background.is_wanted)) {
            al_os_wait(&al_purge_is_idle, SLEEPING_WITHOUT_END, -1);
        }
    } else {
        atomic_store(&al_purge_is_idle, SLEEPING_A_WHILE);
        if (atomic_load(&background.is_wanted)) {
            al_os_wait(&al_purge_is_idle, SLEEPING_A_WHILE, pause_ns());
        }
    }
    atomic_store(&al_purge_is_idle, AWAKE);
}

static void *run(void *arg) {
    al_os_thread_name("tally-purge");
    do {
        while (atomic_load(&background.is_wanted)) {
            count_run();
            sleep_until_work(look_at_all());
        }
        atomic_store(&background.is_running, false);
        /* Wanted again in between: this thread goes on, unless another has been started. */
    } while (atomic_load(&background.is_wanted) && !atomic_exchange(&background.is_running, true));
    return arg;
}

static bool start(void) {
    if (atomic_exchange(&background.is_running, true)) {
        return true;
    }
    if (!al_os_thread_start(run)) {
        atomic_store(&background.is_running, false);
        return false;
    }
    return true;
}

int al_background_set(bool is_wanted) {
    atomic_store(&background.is_wanted, is_wanted);
    if (is_wanted) {
        return start() ? 0 : EAGAIN;
    }
    if (atomic_exchange(&al_purge_is_idle, AWAKE) != AWAKE) {
        al_os_wake(&al_purge_is_idle, 1);
    }
    return 0;
}

bool al_background_get(void) {
    return atomic_load(&background.is_wanted);
}

void al_background_stats_read(struct al_background_stats *stats) {
    const uint64_t count = atomic_load(&background.run_count);
    const uint64_t first_ns = atomic_load(&background.first_ns);
    const uint64_t last_ns = atomic_load(&background.last_ns);

    *stats = (struct al_background_stats){
        .thread_count = atomic_load(&background.is_running) ? 1 : 0,
        .run_count = count,
        .interval_ns = count > 1 ? (last_ns - first_ns) / (count - 1) : 0,
    };
}

void al_background_boot(void) {
    if (al_options.background_thread && al_background_set(true) != 0) {
        al_message_write("<jemalloc>: no background thread can be started\n");
    }
}

void al_background_tick(void) {
    if (AL_UNLIKELY(atomic_load_explicit(&background.is_wanted, memory_order_relaxed) &&
                    !atomic_load_explicit(&background.is_running, memory_order_relaxed))) {
        (void)start(); /* if there is no thread to be had, perhaps next time */
    }
}

void al_background_fork_child(void) {
    atomic_store(&background.is_running, false);
    atomic_store(&al_purge_is_idle, AWAKE);
}
