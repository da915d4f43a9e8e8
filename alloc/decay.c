/* SPDX-License-Identifier: BSD-2-Clause
 *
 * decay — the smoothstep curve in fixed point, and the backlog it weighs.
 */
#include "alloc/decay.h"

#include <string.h>

enum { SHARE_LG = 24 };

uint32_t al_decay_keep_share(unsigned age_steps) {
    AL_ASSERT(age_steps <= AL_DECAY_STEP_COUNT);
    if (age_steps >= AL_DECAY_STEP_COUNT) {
        return 0;
    }
    /* In units of 1/200: 6 n^5 - 15 * 200 n^4 + 10 * 200^2 n^3, over 200^5 = 3.2e11. Each
     * term is below 3.2e12, so it fits; scaled to 24 bits it needs 128.
     */
    const uint64_t n = age_steps;
    const uint64_t steps = AL_DECAY_STEP_COUNT;
    const uint64_t poly =
        6 * n * n * n * n * n + 10 * steps * steps * n * n * n - 15 * steps * n * n * n * n;
    const uint64_t whole = steps * steps * steps * steps * steps;

    return (uint32_t)(((al_u128)(whole - poly) << SHARE_LG) / whole);
}

void al_decay_init(struct al_decay *decay, ssize_t decay_ms, uint64_t now_ns) {
    AL_ASSERT(al_decay_is_valid_ms(decay_ms));
    memset(decay, 0, sizeof(*decay));
    decay->decay_ms = decay_ms;
    decay->step_ns =
        decay_ms > 0 ? (uint64_t)decay_ms * UINT64_C(1000000) / AL_DECAY_STEP_COUNT : 1;
    decay->epoch_ns = now_ns;
    decay->looked_ns = now_ns;
}

static size_t backlog_limit(const struct al_decay *decay) {
    uint64_t sum = 0;

    for (unsigned age = 0; age < AL_DECAY_STEP_COUNT; age++) {
        const uint64_t granules = decay->backlog[AL_DECAY_STEP_COUNT - 1 - age];
        sum += granules * al_decay_keep_share(age + 1);
    }
    return (size_t)(sum >> SHARE_LG);
}

static size_t fresh_granules(const struct al_decay *decay, size_t dirty_granules) {
    AL_ASSERT(decay->decay_ms >= -1);
    return dirty_granules > decay->unpurged_granules ? dirty_granules - decay->unpurged_granules
                                                     : 0;
}

size_t al_decay_allowed(const struct al_decay *decay, size_t dirty_granules) {
    return decay->limit_granules + fresh_granules(decay, dirty_granules);
}

bool al_decay_advance(struct al_decay *decay, uint64_t now_ns, size_t dirty_granules) {
    if (decay->decay_ms <= 0 || now_ns < decay->epoch_ns + decay->step_ns) {
        return false;
    }
    const uint64_t passed = (now_ns - decay->epoch_ns) / decay->step_ns;

    decay->epoch_ns += passed * decay->step_ns;
    if (passed >= AL_DECAY_STEP_COUNT) {
        memset(decay->backlog, 0, sizeof(decay->backlog));
    } else {
        memmove(decay->backlog, decay->backlog + passed,
                (AL_DECAY_STEP_COUNT - passed) * sizeof(decay->backlog[0]));
        memset(decay->backlog + AL_DECAY_STEP_COUNT - passed, 0,
               passed * sizeof(decay->backlog[0]));
    }
    /* What came since the last advance came in the step that was running then: who makes granules
     * dirty moves time on first.
     */
    const size_t fresh = fresh_granules(decay, dirty_granules);
    if (passed <= AL_DECAY_STEP_COUNT) {
        decay->backlog[AL_DECAY_STEP_COUNT - passed] =
            fresh < UINT32_MAX ? (uint32_t)fresh : UINT32_MAX;
    }
    decay->unpurged_granules = dirty_granules;
    decay->limit_granules = backlog_limit(decay);
    return true;
}

void al_decay_purged(struct al_decay *decay, size_t dirty_granules) {
    if (dirty_granules < decay->unpurged_granules) {
        decay->unpurged_granules = dirty_granules;
    }
}
