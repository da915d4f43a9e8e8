/* SPDX-License-Identifier: BSD-2-Clause
 *
 * hooks — the only way control leaves alloc/ upward.
 *
 * alloc/ must not know prof/ or ctl/, yet a sampled allocation has to reach the profiler.
 * So alloc/ *declares* one table and the program's composition root *defines* it: ctl/wire.c
 * in the library, tests/support/no_hooks.c in alloc's own tests. The seam is closed by the
 * linker: no registration race, no constructor order, no NULL to test for.
 *
 * Threads: each hook is called with no lock of alloc held, and the calling thread marked
 *          re-entrant: what it allocates is served and never sampled.
 */
#ifndef AL_HOOKS_H
#define AL_HOOKS_H

#include "alloc/base.h"

/* One sampled allocation, as alloc/ tells it. */
struct al_sampled {
    const void *ptr;
    size_t requested_bytes;
    size_t usable_bytes;
    unsigned rate_lg; /* R = 2^rate_lg bytes: the mean distance it was drawn with */
    unsigned arena_idx;
    bool is_certain; /* drawn with probability 1 (rate_lg 0): its weight is exactly 1 */
};

struct al_hooks {
    /* An allocation was drawn. Returns the profiler's record of it, kept beside the object and
     * handed to sample_freed; NULL: the sample is dropped (and counted as dropped by prof).
     */
    void *(*sample)(const struct al_sampled *sampled);

    /* The object of a record is freed (or resized, which is a free and an allocation). */
    void (*sample_freed)(void *record);

    /* `bytes` have been allocated by the calling thread since its last report: about every
     * 64 KiB, from the slow path. For the triggers that count bytes; must not dump here.
     */
    void (*allocated)(uint64_t bytes);

    /* A thread's cache is born or dies. `slot` is where prof may keep one pointer a thread. */
    void (*thread_started)(void **slot);
    void (*thread_ended)(void **slot);

    /* Around fork, before alloc's own locks are taken and after they are given back. */
    void (*fork_prepare)(void);
    void (*fork_parent)(void);
    void (*fork_child)(void);
};

extern const struct al_hooks al_hooks; /* defined by the composition root */

#endif
