/* SPDX-License-Identifier: BSD-2-Clause
 *
 * decay — how many freed granules may stay, as time passes. Arithmetic only: no clock, no
 * memory, no lock of its own.
 *
 * The curve is jemalloc's: of what was freed t ago, the share 1 - smoothstep(t / decay_ms)
 * may stay, smoothstep(x) = 6x^5 - 15x^4 + 10x^3, in 200 steps.
 *
 * Owns:    the backlog: granules that became free in each of the last 200 steps.
 * Threads: the caller holds the arena's run lock.
 */
#ifndef AL_DECAY_H
#define AL_DECAY_H

#include "alloc/base.h"

#include <sys/types.h>

enum { AL_DECAY_STEP_COUNT = 200 };

/* jemalloc's bound: what 2^64 nanoseconds hold in whole seconds. More would wrap, perhaps to 0. */
#define AL_DECAY_MS_MAX ((ssize_t)18446744072000)

AL_INLINE bool al_decay_is_valid_ms(ssize_t decay_ms) {
    return decay_ms >= -1 && decay_ms <= AL_DECAY_MS_MAX;
}

struct al_decay {
    ssize_t decay_ms;                      /* -1 never, 0 at once */
    uint64_t step_ns;                      /* decay_ms / 200, at least 1 */
    uint64_t epoch_ns;                     /* start of the step running now */
    uint64_t looked_ns;                    /* start of the step that was last purged in */
    size_t unpurged_granules;              /* dirty ones at the last advance */
    size_t limit_granules;                 /* what may stay, as of the last advance */
    uint32_t backlog[AL_DECAY_STEP_COUNT]; /* [199] is the newest step */
};

/* decay_ms is valid. */
void al_decay_init(struct al_decay *decay, ssize_t decay_ms, uint64_t now_ns);

/* Moves time on; to be called before granules become dirty, too, so that they count from now.
 * Returns whether a step has passed, so that limit_granules is new. */
bool al_decay_advance(struct al_decay *decay, uint64_t now_ns, size_t dirty_granules);

/* Granules that may stay now: the limit of the last advance, and all that came since. */
size_t al_decay_allowed(const struct al_decay *decay, size_t dirty_granules);

/* Tells the curve that dirty granules are fewer than at the last advance (purged, reused). */
void al_decay_purged(struct al_decay *decay, size_t dirty_granules);

/* The share of a step `age_steps` old that may stay, times 2^24. */
uint32_t al_decay_keep_share(unsigned age_steps);

#endif
