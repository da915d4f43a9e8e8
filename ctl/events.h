/* SPDX-License-Identifier: BSD-2-Clause
 *
 * events — the program's callbacks about what threads allocate: experimental.hooks.thread_event and
 * experimental.thread.activity_callback.
 *
 * Owns:    up to four hooks of the process, and one callback a thread.
 * Threads: hooks are added by any, and never go; a thread's callback is its own.
 * Fails:   EINVAL: a hook without a function or an interval, or a fifth one.
 *
 * Callbacks run in malloc's slow path: what they allocate is served and not sampled.
 */
#ifndef CT_EVENTS_H
#define CT_EVENTS_H

#include "alloc/base.h"

/* As jemalloc has it. */
struct ct_event_hook {
    void (*callback)(bool is_alloc, uint64_t allocated_bytes, uint64_t freed_bytes);
    uint64_t interval_bytes;
    bool is_alloc_only;
};
int ct_event_hook_add(const struct ct_event_hook *hook);

struct ct_activity {
    void (*callback)(void *opaque, uint64_t allocated_bytes, uint64_t freed_bytes);
    void *opaque;
};
struct ct_activity ct_activity_get(void);
void ct_activity_set(struct ct_activity activity);

/* The calling thread has allocated so many bytes since it last said so. */
void ct_events_allocated(uint64_t bytes);

#endif
