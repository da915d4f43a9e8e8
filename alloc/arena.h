/* SPDX-License-Identifier: BSD-2-Clause
 *
 * arena — bins and a page heap that some threads share.
 *
 * Owns:    the table of arenas; 0 lies in .bss and serves the first thread, the other
 *          automatic ones are made when threads ask, the rest by al_arena_create.
 * Threads: the table is read without a lock (a set entry never changes); making one takes
 *          rank AL_RANK_ARENAS.
 * Fails:   NULL: no memory or no index.
 */
#ifndef AL_ARENA_H
#define AL_ARENA_H

#include "alloc/base.h"
#include "alloc/bin.h"
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/map.h"
#include "alloc/runs.h"
#include "alloc/stock.h"

struct al_tcache;

/* The highest bit of `tenders`. */
#define AL_ARENA_CLOSED (UINT32_C(1) << 31)

enum {
    AL_ARENA_PARKED_MAX = 8, /* caches of ended threads kept for the next ones */
};

struct al_arena {
    /* Never change after creation. */
    uint32_t idx;
    bool is_auto;

    /* Of created arenas: those who look after it now, and AL_ARENA_CLOSED while nobody may.
     * Outlives the arena, since who found it before may ask after its end.
     */
    _Atomic uint32_t tenders;
    struct al_arena *next_retired; /* guarded by the table's lock */

    /* Atomic: a count for placing threads and for statistics; relaxed. */
    _Atomic uint32_t thread_count;

    /* Guarded by the one lock of rank AL_RANK_PARKED (tcache_park.c). */
    struct al_tcache *parked; /* last parked first */
    uint32_t parked_count;
    _Atomic uint64_t parked_due_ns; /* when the first is to be emptied; read without the lock */

    _Atomic unsigned idle_class_idx; /* al_arena_sampled_idle's last; 0: none */

    AL_ALIGNED(AL_CACHE_LINE_BYTES) struct al_runs runs;
    AL_ALIGNED(AL_CACHE_LINE_BYTES) struct al_bin bins[AL_CLASS_COUNT];
    struct al_bin sampled[AL_CLASS_COUNT];
    struct al_stock stocks[AL_CLASS_COUNT];
    struct al_bin_counts bin_counts[AL_CLASS_COUNT];
    struct al_arena_traits traits; /* guarded by the lock of runs; its grow limit stands there */
    uint64_t born_ns;              /* al_os_time_ns when it was made */
};

extern _Atomic(struct al_arena *) al_arenas[AL_ARENA_COUNT_MAX];

AL_INLINE struct al_arena *al_arena_at(unsigned arena_idx) {
    return atomic_load_explicit(&al_arenas[arena_idx], memory_order_acquire);
}

/* Makes arena 0. Called once at start. auto_count: 0 asks for one for 2 processors, found out when
 * the second thread comes. */
void al_arena_boot(unsigned auto_count, const ssize_t decay_ms[AL_STALE_COUNT]);

/* The arena for a new thread: the automatic one with the fewest. Falls back to arena 0. */
struct al_arena *al_arena_choose(void);

/* The arena of an index; an automatic one that nobody used yet is made. NULL: no such index,
 * or no memory. */
struct al_arena *al_arena_get(unsigned arena_idx);

/* An arena, another one each time it is asked; NULL: there is none at this place of the table. */
struct al_arena *al_arena_next(void);

/* Whoever looks after an arena that is not its own, or by mallctl, asks first. False: it is being
 * reset or destroyed, or has been. Automatic arenas are always there.
 */
AL_NODISCARD bool al_arena_enter(struct al_arena *arena);
void al_arena_leave(struct al_arena *arena);

/* For arena_pool.c. close: waits until nobody looks after the created arena any more, and keeps
 * others out; false: another thread has closed it. retire: a closed arena leaves the table; its
 * index and its memory are the next one's.
 */
AL_NODISCARD bool al_arena_close(struct al_arena *arena);
void al_arena_open(struct al_arena *arena);
void al_arena_retire(struct al_arena *arena);

/* Takes home what other threads freed (al_bin_drain of all bins that may have some), and what lies
 * between caches since the last time, or all of that.
 */
void al_arena_drain(struct al_arena *arena, bool all);

/* Runs whatever is due: purging by decay. Slow paths call it about every 64 KiB. */
void al_arena_tick(struct al_arena *arena);

/* The last sampled slab of the class is empty. It stays for the next sample; but of the classes of
 * a page and more, whose blocks have made many pages dirty, only the latest one's. */
void al_arena_sampled_idle(struct al_arena *arena, unsigned class_idx);

void al_arenas_fork_prepare(void);
void al_arenas_fork_parent(void);
void al_arenas_fork_child(void);

#endif
