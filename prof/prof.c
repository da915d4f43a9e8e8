/* SPDX-License-Identifier: BSD-2-Clause
 *
 * prof — joins the parts: started once, switched any number of times.
 */
#include "prof/prof.h"

#include "alloc/control.h"
#include "alloc/lock.h"
#include "alloc/options.h"
#include "alloc/sample.h"
#include "prof/dump.h"
#include "prof/format.h"
#include "prof/leak.h"
#include "prof/pool.h"
#include "prof/site.h"
#include "prof/stack.h"
#include "prof/trigger.h"

#include <errno.h>
#include <stdatomic.h>

static struct {
    struct al_lock lock; /* guards switching */
    _Atomic bool is_started;
    _Atomic uint64_t dropped_count;
} prof;

int pf_start(void) {
    if (atomic_load_explicit(&prof.is_started, memory_order_acquire)) {
        pf_trigger_start(); /* prof.gdump may have been switched on, or a fork lost the writer */
        return 0;
    }
    pf_stack_start(); /* may open a library: with no lock of ours held */
    al_lock_take(&prof.lock, AL_RANK_PROF);
    const bool has_memory = pf_site_start();
    if (has_memory) {
        atomic_store_explicit(&prof.is_started, true, memory_order_release);
    }
    al_lock_give(&prof.lock);
    if (!has_memory) {
        return ENOMEM;
    }
    pf_trigger_start();
    return 0;
}

bool pf_is_started(void) {
    return atomic_load_explicit(&prof.is_started, memory_order_acquire);
}

void pf_boot(void) {
    al_lock_take(&prof.lock, AL_RANK_PROF);
    al_sample_store(false, (unsigned)al_options.lg_prof_sample);
    al_lock_give(&prof.lock);
    if (!al_options.prof) {
        return;
    }
    pf_trigger_boot();
    if (pf_start() != 0) {
        al_message_write("<jemalloc>: no memory for the profiler: it is off\n");
        return;
    }
    if (al_options.prof_active) {
        (void)pf_active_set(true);
    }
}

int pf_active_set(bool is_active) {
    const int err = is_active ? pf_start() : 0;

    if (err != 0) {
        return err;
    }
    al_lock_take(&prof.lock, AL_RANK_PROF);
    AL_ASSERT(!is_active || pf_is_started());
    const bool is_changed = al_sample_is_active() != is_active;
    const unsigned rate_lg = al_sample_rate_lg();
    al_lock_give(&prof.lock);
    if (is_changed) {
        al_sample_set(is_active, rate_lg);
    }
    return 0;
}

bool pf_active_get(void) {
    return al_sample_is_active();
}

int pf_reset(unsigned rate_lg) {
    AL_ASSERT(rate_lg <= AL_SAMPLE_RATE_LG_MAX);
    const int err = pf_start();

    if (err != 0) {
        return err;
    }
    al_sample_set(al_sample_is_active(), rate_lg);
    pf_site_reset();
    return 0;
}

unsigned pf_rate_lg(void) {
    return al_sample_rate_lg();
}

int pf_dump(const char *path) {
    const int err = pf_start();

    if (err != 0) {
        return err;
    }
    return path != NULL ? pf_dump_to(path) : pf_dump_automatic(PF_FORMAT_LETTER_MANUAL, false);
}

int pf_prefix_set(const char *prefix) {
    return pf_dump_set_prefix(prefix) == 0 ? 0 : EINVAL;
}

uint64_t pf_interval_bytes(void) {
    return pf_trigger_interval_bytes();
}

int pf_gdump_set(bool is_on) {
    pf_trigger_set_peak(is_on);
    return is_on ? pf_start() : 0;
}

bool pf_gdump_get(void) {
    return pf_trigger_peak();
}

const char *pf_unwinder_name(void) {
    return pf_is_started() ? pf_stack_unwinder() : "none";
}

int pf_thread_name_set(const char *name) {
    if (name == NULL) {
        return EINVAL;
    }
    for (const char *at = name; *at != '\0'; at++) {
        if ((*at < ' ' || *at > '~') && *at != '\t') {
            return EINVAL;
        }
    }
    struct pf_thread *const thread = pf_thread_self();
    if (thread == NULL) {
        return EAGAIN;
    }
    pf_thread_set_name(thread, name);
    return 0;
}

const char *pf_thread_name_get(void) {
    const struct pf_thread *const thread = pf_thread_self();

    return thread != NULL ? thread->name : "";
}

bool pf_exit(void) {
    if (!pf_is_started()) {
        return false;
    }
    al_sample_set(false, al_sample_rate_lg());
    pf_trigger_finish();
    if (al_options.prof && al_options.prof_final) {
        (void)pf_dump_automatic(PF_FORMAT_LETTER_FINAL, true);
    }
    const bool has_leaks = al_options.prof && al_options.prof_leak && pf_leak_report();
    pf_dump_close(); /* another thread's prof.dump: exit would leave half of it behind */
    return has_leaks && al_options.prof_leak_error && al_options.prof_final;
}

void pf_cost_read(struct pf_cost *cost) {
    *cost = (struct pf_cost){
        .samples = pf_site_sample_count(),
        .dropped_samples = atomic_load(&prof.dropped_count),
        .memory_bytes = pf_pool_bytes(),
    };
}

/* ---- hooks ---- */

void *pf_hook_sample(const struct al_sampled *sampled) {
    AL_ASSERT(sampled != NULL && sampled->ptr != NULL);
    uintptr_t frames[PF_STACK_DEPTH_MAX];
    struct pf_record *record = NULL;

    AL_ASSERT(al_options.prof_bt_max <= PF_STACK_DEPTH_MAX);
    if (pf_is_started()) {
        const uint32_t depth = pf_stack_take(frames, al_options.prof_bt_max);
        record = pf_site_add(sampled, frames, depth);
    }
    if (record == NULL) {
        atomic_fetch_add_explicit(&prof.dropped_count, 1, memory_order_relaxed);
    }
    return record;
}

void pf_hook_sample_freed(void *record) {
    AL_ASSERT(record != NULL);
    pf_site_remove(record);
}

void pf_hook_allocated(uint64_t bytes) {
    if (pf_is_started()) {
        pf_trigger_allocated(bytes);
    }
}

void pf_hook_thread_started(void **slot) {
    pf_thread_started(slot);
}

void pf_hook_thread_ended(void **slot) {
    pf_thread_ended(slot);
}

void pf_lock_stats(struct al_lock_stats *switching, struct al_lock_stats *names,
                   struct al_lock_stats *records, bool is_reset) {
    al_lock_take(&prof.lock, AL_RANK_PROF);
    if (is_reset) {
        al_lock_stats_reset_locked(&prof.lock);
    }
    al_lock_stats_read_locked(&prof.lock, switching);
    al_lock_give(&prof.lock);
    pf_dump_lock_stats(names, is_reset);
    pf_pool_lock_stats(records, is_reset);
}

void pf_hook_fork_announce(void) {
    pf_stack_fork_prepare();
}

void pf_hook_fork_prepare(void) {
    pf_dump_fork_prepare();
    al_lock_take(&prof.lock, AL_RANK_PROF);
    pf_site_fork_prepare();
    pf_pool_fork_prepare();
}

void pf_hook_fork_parent(void) {
    pf_pool_fork_parent();
    pf_site_fork_parent();
    al_lock_give(&prof.lock);
    pf_dump_fork_parent();
    pf_stack_fork_parent();
}

void pf_hook_fork_child(void) {
    pf_pool_fork_child();
    pf_site_fork_child();
    al_lock_reset(&prof.lock);
    pf_dump_fork_child();
    pf_trigger_fork_child();
    pf_stack_fork_child();
}
