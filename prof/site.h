/* SPDX-License-Identifier: BSD-2-Clause
 *
 * site — one copy of each stack that was sampled, and per thread what was sampled there.
 *
 *   bucket -> site -> site              a site: the frames, and its cells
 *               |
 *               cell t0 -> cell t3      a cell: one thread's numbers at that site
 *
 * Owns:    sites, cells, records of samples, and the list of threads that were sampled.
 * Threads: sites, cells and threads are only ever added, so anybody may walk them at any time. A
 *          site's numbers are guarded by its lock (rank AL_RANK_PROF_SITE), held for one cell's
 *          update or copy and nothing else.
 * Fails:   NULL: no memory; the sample is then dropped and counted.
 *
 * A cell whose thread has ended and that has no live samples is used again by the next thread
 * that comes to the site; its totals stay with the site. An entry of a thread is used again, under
 * a new uid, when its thread has ended and the last of its samples is freed: cells that still name
 * it by the old uid count as the site's past. So churning threads do not pile up, and no thread is
 * shown with what another one allocated.
 */
#ifndef PF_SITE_H
#define PF_SITE_H

#include "alloc/hooks.h"
#include "alloc/lock.h"

enum { PF_THREAD_NAME_BYTES = 64, PF_THREAD_RECORD_COUNT_MAX = 32 };

/* Weights are kept in units of 2^-16 objects: integers, so that what a sample added its
 * release takes away exactly.
 */
enum { PF_OBJECT_LG = 16 };

struct pf_counts {
    uint64_t sample_count;
    uint64_t objects_fixed;   /* sum of 1/p, times 2^16 */
    uint64_t bytes;           /* sum of Z/p, each rounded */
    uint64_t requested_bytes; /* the same of the requested sizes */
    uint64_t raw_bytes;       /* sum of Z, as sampled */
    double variance;          /* of `bytes`: sum of Z^2 (1-p) / p^2 */
};

struct pf_thread {
    struct pf_thread *next; /* never changes once listed */
    _Atomic uint64_t uid;   /* changes when the entry is used again */
    _Atomic bool is_live;
    _Atomic uint64_t hold_count;   /* its samples not yet freed, and 1 while it lives */
    struct pf_thread *unused_next; /* guarded by the registry's lock, as the name */
    struct pf_record
        *records; /* unused ones; its thread's alone, up to PF_THREAD_RECORD_COUNT_MAX */
    uint32_t record_count;
    char name[PF_THREAD_NAME_BYTES];
    /* Sums of a dump being written: guarded by the dump's lock. */
    struct pf_counts live, total;
};

struct pf_cell {
    struct pf_cell *next; /* never changes once listed */
    /* Guarded by the site's lock, as all below. But a living thread's cell stays its own, so it may
     * look for its name here without.
     */
    _Atomic(struct pf_thread *) thread;
    _Atomic uint64_t uid; /* the thread's when the cell became its own */
    struct pf_counts live, total;
};

struct pf_site {
    struct pf_site *next; /* never changes once listed, as hash, depth, frames */
    uint64_t hash;
    _Atomic(struct pf_cell *) cells;
    struct al_lock lock;
    struct pf_counts past;     /* guarded by lock: totals of cells that were used again */
    uint64_t weight_bytes_max; /* guarded by lock: largest Z/p seen: above (Z/p) sqrt(1-p) */
    uint32_t generation;       /* guarded by lock: resets it has seen */
    uint32_t depth;
    uintptr_t frames[];
};

struct pf_record {
    union {
        struct pf_site *site;
        struct pf_record *unused_next;
    };
    struct pf_cell *cell;
    struct pf_thread *thread; /* that took the sample */
    struct pf_counts share;   /* what it added */
    uint64_t birth_ns;
    uint32_t generation; /* of its site when it was entered */
    uint8_t rate_lg;
};

/* Makes the tables. False: no memory. */
AL_NODISCARD bool pf_site_start(void);

/* Enters a sample under its stack. NULL: no memory. */
AL_NODISCARD struct pf_record *pf_site_add(const struct al_sampled *sampled,
                                           const uintptr_t *frames, uint32_t depth);
void pf_site_remove(struct pf_record *record);

/* Forgets everything; records still out there are ignored when they come back. */
void pf_site_reset(void);

/* All sites, in no order: NULL gives the first, NULL ends. */
const struct pf_site *pf_site_next(const struct pf_site *site, uint32_t *bucket);

/* A consistent copy of one cell, or with NULL of the site's past totals. No thread: they are those
 * of threads whose entries are others' by now.
 */
void pf_site_copy(const struct pf_site *site, const struct pf_cell *cell, struct pf_counts *live,
                  struct pf_counts *total, struct pf_thread **thread);

/* The sum of a site's cells. */
void pf_site_sum(const struct pf_site *site, struct pf_counts *live, struct pf_counts *total);

void pf_counts_add(struct pf_counts *sum, const struct pf_counts *more);

/* The largest R = 2^rate_lg that is not larger than that of any sample since the reset. */
unsigned pf_site_rate_lg_min(void);

/* The caller's entry, made if need be; NULL: no memory. All entries: by `next`. */
struct pf_thread *pf_thread_self(void);
struct pf_thread *pf_thread_first(void);

/* The calling thread has a cache now, with a slot for its entry; and a thread, the calling one or
 * one that is dead, has no more.
 */
void pf_thread_started(void **slot);
void pf_thread_ended(void **slot);
void pf_thread_set_name(struct pf_thread *thread, const char *name);
void pf_thread_copy_name(const struct pf_thread *thread, char name[PF_THREAD_NAME_BYTES]);

uint64_t pf_site_sample_count(void);

void pf_site_fork_prepare(void);
void pf_site_fork_parent(void);
void pf_site_fork_child(void);

#endif
