/* SPDX-License-Identifier: BSD-2-Clause
 *
 * arena — the table, the first arena in .bss, and which thread goes where.
 */
#include "alloc/arena.h"

#include "alloc/bits.h"
#include "alloc/control.h"
#include "alloc/decay.h"
#include "alloc/meta.h"
#include "alloc/os.h"
#include "alloc/purge.h"
#include "alloc/user_hooks.h"

#include <errno.h>
#include <string.h>

/* A block that is freed where it was allocated, in the same arena, takes the fast path and goes
 * round; so few arenas are better, as long as their locks are free (docs/decisions/0006).
 */
enum { CPUS_PER_ARENA = 2 };

/* Between two looks whether those who are in an arena have left. */
enum { CLOSE_WAIT_NS = 100 * 1000 };

AL_SPARSE _Atomic(struct al_arena *) al_arenas[AL_ARENA_COUNT_MAX];

static struct al_arena first_arena;

static struct {
    struct al_lock lock;
    unsigned auto_count;                      /* guarded by lock; 0: not found out yet */
    _Atomic unsigned count;                   /* indexes in use, holes of automatic ones included */
    struct al_arena *retired;                 /* guarded by lock: through next_retired */
    _Atomic unsigned made_count;              /* all arenas there are have lower indexes */
    _Atomic ssize_t decay_ms[AL_STALE_COUNT]; /* of arenas to come */
} table;

static void arena_init(struct al_arena *arena, unsigned idx, bool is_auto) {
    AL_ASSERT(idx < AL_ARENA_COUNT_MAX);
    arena->idx = idx;
    arena->is_auto = is_auto;
    atomic_store_explicit(&arena->parked_due_ns, UINT64_MAX, memory_order_relaxed);
    const ssize_t decay_ms[AL_STALE_COUNT] = {atomic_load(&table.decay_ms[AL_STALE_DIRTY]),
                                              atomic_load(&table.decay_ms[AL_STALE_MUZZY])};
    al_runs_init(&arena->runs, idx, decay_ms);
    arena->runs.bin_counts = arena->bin_counts;
    arena->born_ns = al_os_time_ns();
    for (unsigned class_idx = 0; class_idx < AL_CLASS_COUNT; class_idx++) {
        arena->bins[class_idx].runs = &arena->runs;
        arena->sampled[class_idx].runs = &arena->runs;
    }
}

void al_arena_boot(unsigned auto_count, const ssize_t decay_ms[AL_STALE_COUNT]) {
    table.auto_count = auto_count;
    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        atomic_store(&table.decay_ms[stale], decay_ms[stale]);
    }
    arena_init(&first_arena, 0, true);
    al_meta_account(sizeof(first_arena));
    atomic_store(&al_arenas[0], &first_arena);
    atomic_store(&table.made_count, 1);
    atomic_store(&table.count, auto_count != 0 ? auto_count : 1);
}

/* Makes the arena of a free index. NULL: no memory. */
static struct al_arena *arena_make(unsigned idx, bool is_auto) {
    struct al_arena *const arena = al_meta_alloc(sizeof(struct al_arena));

    if (arena != NULL) {
        arena_init(arena, idx, is_auto);
    }
    return arena;
}

unsigned al_arena_auto_count(void) {
    al_lock_take(&table.lock, AL_RANK_ARENAS);
    unsigned auto_count = table.auto_count;
    al_lock_give(&table.lock);
    if (auto_count != 0) {
        return auto_count;
    }
    const unsigned cpu_count = al_os_cpu_count();
    auto_count = (cpu_count + CPUS_PER_ARENA - 1) / CPUS_PER_ARENA;
    auto_count = auto_count < AL_ARENA_COUNT_MAX / 2 ? auto_count : AL_ARENA_COUNT_MAX / 2;
    al_lock_take(&table.lock, AL_RANK_ARENAS);
    if (table.auto_count == 0) {
        table.auto_count = auto_count;
        if (atomic_load(&table.count) < auto_count) {
            atomic_store(&table.count, auto_count);
        }
    }
    auto_count = table.auto_count;
    al_lock_give(&table.lock);
    return auto_count;
}

unsigned al_arena_count(void) {
    const unsigned auto_count = al_arena_auto_count();
    const unsigned count = atomic_load(&table.count);

    return count > auto_count ? count : auto_count;
}

/* Puts an arena into its place; false if another thread was first. */
static bool arena_publish(struct al_arena *arena) {
    AL_ASSERT(arena != NULL && arena->idx < AL_ARENA_COUNT_MAX);
    struct al_arena *none = NULL;

    al_lock_take(&table.lock, AL_RANK_ARENAS); /* fork must not see arenas come */
    const bool is_first = atomic_compare_exchange_strong(&al_arenas[arena->idx], &none, arena);
    if (atomic_load(&table.made_count) <= arena->idx) {
        atomic_store(&table.made_count, arena->idx + 1);
    }
    al_lock_give(&table.lock);
    return is_first;
}

struct al_arena *al_arena_get(unsigned arena_idx) {
    if (arena_idx >= AL_ARENA_COUNT_MAX) {
        return NULL;
    }
    if (al_arena_at(arena_idx) == NULL && arena_idx < al_arena_auto_count()) {
        struct al_arena *const arena = arena_make(arena_idx, true);
        if (arena != NULL) {
            (void)arena_publish(arena); /* losing wastes one arena's metadata, once a race */
        }
    }
    return al_arena_at(arena_idx);
}

struct al_arena *al_arena_choose(void) {
    const unsigned auto_count = al_arena_auto_count();
    unsigned best_idx = 0;
    uint32_t best_count = UINT32_MAX;

    for (unsigned idx = 0; idx < auto_count && best_count != 0; idx++) {
        const struct al_arena *const arena = al_arena_at(idx);
        const uint32_t count = arena == NULL ? 0 : atomic_load(&arena->thread_count);
        if (count < best_count) {
            best_idx = idx;
            best_count = count;
        }
    }
    struct al_arena *const best = al_arena_get(best_idx);
    return best != NULL ? best : al_arena_at(0);
}

/* Everything as in a new one but what outlives the arena. */
static void arena_renew(struct al_arena *arena) {
    AL_ASSERT(!arena->is_auto && atomic_load(&arena->thread_count) == 0);
    struct al_user_extent *const unused = arena->runs.user_unused;

    memset((char *)arena + offsetof(struct al_arena, thread_count), 0,
           sizeof(*arena) - offsetof(struct al_arena, thread_count));
    arena_init(arena, arena->idx, false);
    arena->runs.user_unused = unused;
}

/* One that has ended, renewed; NULL: there is none. */
static struct al_arena *take_retired(void) {
    al_lock_take(&table.lock, AL_RANK_ARENAS);
    struct al_arena *const arena = table.retired;
    if (arena != NULL) {
        table.retired = arena->next_retired;
    }
    al_lock_give(&table.lock);
    if (arena != NULL) {
        arena_renew(arena);
    }
    return arena;
}

static void give_retired(struct al_arena *arena) {
    al_lock_take(&table.lock, AL_RANK_ARENAS);
    arena->next_retired = table.retired;
    table.retired = arena;
    al_lock_give(&table.lock);
}

/* One with an index that nobody had; NULL: no index, or no memory, and then the index stays a hole.
 */
static struct al_arena *make_next(void) {
    unsigned idx = al_arena_count();

    do {
        if (idx >= AL_ARENA_COUNT_MAX) {
            return NULL;
        }
    } while (!atomic_compare_exchange_weak(&table.count, &idx, idx + 1));
    struct al_arena *const arena = arena_make(idx, false);
    if (arena != NULL) {
        atomic_store(&arena->tenders, AL_ARENA_CLOSED);
    }
    return arena;
}

int al_arena_create(unsigned *arena_idx) {
    return al_arena_create_hooked(NULL, arena_idx);
}

int al_arena_create_hooked(struct al_user_hooks *hooks, unsigned *arena_idx) {
    AL_ASSERT(arena_idx != NULL);
    struct al_arena *arena = take_retired();

    if (arena == NULL) {
        arena = make_next();
    }
    if (arena == NULL) {
        return EAGAIN;
    }
    if (hooks != NULL) {
        (void)al_user_hooks_set(&arena->runs, hooks);
        /* As in jemalloc, hooks without memory are found out now. */
        if (!al_runs_prime(&arena->runs)) {
            give_retired(arena);
            return EAGAIN;
        }
    }
    if (!arena_publish(arena)) {
        return EAGAIN;
    }
    al_arena_open(arena);
    *arena_idx = arena->idx;
    return 0;
}

/* ---- who may look after an arena ---- */

bool al_arena_enter(struct al_arena *arena) {
    AL_ASSERT(arena != NULL);
    if (AL_LIKELY(arena->is_auto)) {
        return true;
    }
    if ((atomic_fetch_add(&arena->tenders, 1) & AL_ARENA_CLOSED) != 0) {
        atomic_fetch_sub(&arena->tenders, 1);
        return false;
    }
    return true;
}

void al_arena_leave(struct al_arena *arena) {
    if (!arena->is_auto) {
        atomic_fetch_sub(&arena->tenders, 1);
    }
}

bool al_arena_close(struct al_arena *arena) {
    AL_ASSERT(!arena->is_auto);
    uint32_t tenders = atomic_fetch_or(&arena->tenders, AL_ARENA_CLOSED);

    if ((tenders & AL_ARENA_CLOSED) != 0) {
        return false;
    }
    /* Ends when those who are inside have purged what they were at. */
    for (; (tenders & ~AL_ARENA_CLOSED) != 0; tenders = atomic_load(&arena->tenders)) {
        al_os_wait(&arena->tenders, tenders, CLOSE_WAIT_NS);
    }
    return true;
}

void al_arena_open(struct al_arena *arena) {
    AL_ASSERT((atomic_load(&arena->tenders) & AL_ARENA_CLOSED) != 0);
    atomic_fetch_and(&arena->tenders, ~AL_ARENA_CLOSED);
}

void al_arena_retire(struct al_arena *arena) {
    AL_ASSERT((atomic_load(&arena->tenders) & AL_ARENA_CLOSED) != 0);
    atomic_store(&al_arenas[arena->idx], NULL);
    give_retired(arena);
}

ssize_t al_arenas_decay_ms_get(enum al_stale stale) {
    return atomic_load(&table.decay_ms[stale]);
}

int al_arenas_decay_ms_set(enum al_stale stale, ssize_t decay_ms) {
    if (!al_decay_is_valid_ms(decay_ms)) {
        return EFAULT;
    }
    atomic_store(&table.decay_ms[stale], decay_ms);
    return 0;
}

struct al_arena *al_arena_next(void) {
    static _Atomic unsigned next_idx;
    const unsigned count = atomic_load_explicit(&table.made_count, memory_order_relaxed);

    return count <= 1
               ? NULL
               : al_arena_at(atomic_fetch_add_explicit(&next_idx, 1, memory_order_relaxed) % count);
}

void al_arena_drain(struct al_arena *arena, bool all) {
    AL_ASSERT(arena != NULL);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        if (all || al_stock_is_idle(&arena->stocks[class_idx])) {
            al_stock_flush(&arena->stocks[class_idx], &arena->bins[class_idx]);
        }
    }
    if (!atomic_load_explicit(&arena->runs.has_remote, memory_order_relaxed)) {
        return;
    }
    /* Sequentially consistent, as al_bin_push_remote is: either its slab is seen below, or the mark
     * it sets is seen the next time.
     */
    atomic_store(&arena->runs.has_remote, false);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        al_bin_drain(&arena->bins[class_idx]);
    }
}

void al_arena_tick(struct al_arena *arena) {
    struct al_runs *const runs = &arena->runs;

    const uint64_t due_ns = al_purge_due_ns(runs);

    if (due_ns != UINT64_MAX && al_os_time_ns() >= due_ns) {
        al_purge(runs, false);
    }
}

void al_arena_sampled_idle(struct al_arena *arena, unsigned class_idx) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    if (al_class_bytes(class_idx) < AL_PAGE_BYTES) {
        return;
    }
    const unsigned other_idx =
        atomic_exchange_explicit(&arena->idle_class_idx, class_idx, memory_order_relaxed);
    if (other_idx != 0 && other_idx != class_idx) {
        al_bin_drop_empty(&arena->sampled[other_idx]);
    }
}

/* ---- fork: every lock of every arena, rank by rank ---- */

enum fork_step { FORK_TAKE, FORK_GIVE, FORK_RESET };

static void fork_lock(struct al_lock *lock, enum al_rank rank, enum fork_step step) {
    switch (step) {
    case FORK_TAKE:
        al_lock_take(lock, rank);
        break;
    case FORK_GIVE:
        al_lock_give(lock);
        break;
    case FORK_RESET:
        al_lock_reset(lock);
        break;
    }
}

static void fork_bins(struct al_arena *arena, enum fork_step step) {
    for (unsigned class_idx = 0; class_idx < AL_CLASS_COUNT; class_idx++) {
        fork_lock(&arena->stocks[class_idx].lock, AL_RANK_STOCK, step);
        fork_lock(&arena->bins[class_idx].lock, AL_RANK_BIN, step);
        fork_lock(&arena->sampled[class_idx].lock, AL_RANK_BIN, step);
    }
}

/* The child has none of the threads that looked after it. */
static void fork_tenders(struct al_arena *arena, enum fork_step step) {
    if (step == FORK_RESET) {
        atomic_fetch_and(&arena->tenders, AL_ARENA_CLOSED);
    }
}

static void fork_all(enum fork_step step) {
    al_lock_rank_track(false);
    fork_lock(&table.lock, AL_RANK_ARENAS, step);
    for (unsigned idx = 0; idx < AL_ARENA_COUNT_MAX; idx++) {
        if (al_arena_at(idx) != NULL) {
            fork_bins(al_arena_at(idx), step);
        }
    }
    for (unsigned idx = 0; idx < AL_ARENA_COUNT_MAX; idx++) {
        if (al_arena_at(idx) != NULL) {
            fork_lock(&al_arena_at(idx)->runs.lock, AL_RANK_RUNS, step);
            fork_tenders(al_arena_at(idx), step);
        }
    }
    al_lock_rank_track(true);
}

void al_arenas_fork_prepare(void) {
    fork_all(FORK_TAKE);
}

void al_arenas_fork_parent(void) {
    fork_all(FORK_GIVE);
}

void al_arenas_fork_child(void) {
    fork_all(FORK_RESET);
}
