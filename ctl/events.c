/* SPDX-License-Identifier: BSD-2-Clause
 *
 * events — looked at each 256 KiB a thread allocates; a process without hooks pays one load.
 */
#include "ctl/events.h"

#include "alloc/control.h"

#include <errno.h>
#include <stdatomic.h>

enum { HOOK_COUNT_MAX = 4 };

static struct {
    struct ct_event_hook hooks[HOOK_COUNT_MAX];
    _Atomic bool is_set[HOOK_COUNT_MAX];
    _Atomic uint32_t taken_count;
    _Atomic bool has_any; /* a thread's callback too */
} events;

static AL_TLS_IE struct {
    struct ct_activity activity;
    uint64_t waiting_bytes[HOOK_COUNT_MAX];
} own;

int ct_event_hook_add(const struct ct_event_hook *hook) {
    AL_ASSERT(hook != NULL);
    if (hook->callback == NULL || hook->interval_bytes == 0) {
        return EINVAL;
    }
    const uint32_t idx = atomic_fetch_add(&events.taken_count, 1);
    if (idx >= HOOK_COUNT_MAX) {
        atomic_fetch_sub(&events.taken_count, 1);
        return EINVAL;
    }
    events.hooks[idx] = *hook;
    atomic_store_explicit(&events.is_set[idx], true, memory_order_release);
    atomic_store(&events.has_any, true);
    return 0;
}

struct ct_activity ct_activity_get(void) {
    return own.activity;
}

void ct_activity_set(struct ct_activity activity) {
    own.activity = activity;
    atomic_store(&events.has_any, true);
}

void ct_events_allocated(uint64_t bytes) {
    AL_ASSERT(bytes > 0);
    if (AL_LIKELY(!atomic_load_explicit(&events.has_any, memory_order_relaxed))) {
        return;
    }
    const uint64_t allocated_bytes = al_thread_allocated_bytes();
    const uint64_t freed_bytes = al_thread_deallocated_bytes();
    if (own.activity.callback != NULL) {
        own.activity.callback(own.activity.opaque, allocated_bytes, freed_bytes);
    }
    for (size_t idx = 0; idx < HOOK_COUNT_MAX; idx++) {
        if (!atomic_load_explicit(&events.is_set[idx], memory_order_acquire)) {
            continue;
        }
        own.waiting_bytes[idx] += bytes;
        if (own.waiting_bytes[idx] >= events.hooks[idx].interval_bytes) {
            own.waiting_bytes[idx] = 0;
            events.hooks[idx].callback(true, allocated_bytes, freed_bytes);
        }
    }
}
