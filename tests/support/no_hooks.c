/* SPDX-License-Identifier: BSD-2-Clause
 *
 * no_hooks — the seam closed for tests of alloc/ alone: samples are counted, nothing else.
 */
#include "tests/support/no_hooks.h"

#include <stdlib.h>

_Atomic uint64_t test_sample_count;
_Atomic uint64_t test_sample_freed_count;
_Atomic uint64_t test_sample_weight_bytes;
_Atomic uint64_t test_allocated_bytes;

/* Any address that is not NULL will do as a record. */
static char record;

static void *sample(const struct al_sampled *sampled) {
    atomic_fetch_add(&test_sample_count, 1);
    atomic_fetch_add(&test_sample_weight_bytes, sampled->usable_bytes);
    return &record;
}

static void sample_freed(void *given) {
    if (given != &record) {
        abort();
    }
    atomic_fetch_add(&test_sample_freed_count, 1);
}

static void allocated(uint64_t bytes) {
    atomic_fetch_add(&test_allocated_bytes, bytes);
}

static void slot_ignored(void **slot) {
    (void)slot;
}

static void nothing(void) {
}

const struct al_hooks al_hooks = {
    .sample = sample,
    .sample_freed = sample_freed,
    .allocated = allocated,
    .thread_started = slot_ignored,
    .thread_ended = slot_ignored,
    .fork_prepare = nothing,
    .fork_parent = nothing,
    .fork_child = nothing,
};
