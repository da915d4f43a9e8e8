/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trigger — the thread that allocates past the line says so in a word the writer sleeps on.
 *
 * Requests are counted, not queued: a writer that is slower than the program makes one dump
 * for several lines passed, since a second one at the same moment would say the same.
 */
#include "prof/trigger.h"

#include "alloc/options.h"
#include "alloc/os.h"
#include "prof/dump.h"
#include "prof/format.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* The writer's own frames, a path and zlib's: some 20 KiB. */
enum { STACK_BYTES = 256 * 1024 };

static struct {
    _Atomic uint64_t counted_bytes; /* since the last line */
    _Atomic uint32_t asked_count;   /* futex word */
    _Atomic uint32_t written_count;
    _Atomic bool is_running;
    _Atomic bool is_finished;
} trigger;

uint64_t pf_trigger_interval_bytes(void) {
    return al_options.lg_prof_interval < 0 ? 0 : UINT64_C(1) << al_options.lg_prof_interval;
}

void pf_trigger_allocated(uint64_t bytes) {
    const uint64_t interval_bytes = pf_trigger_interval_bytes();

    if (AL_LIKELY(interval_bytes == 0) || atomic_load(&trigger.is_finished)) {
        return;
    }
    const uint64_t before =
        atomic_fetch_add_explicit(&trigger.counted_bytes, bytes, memory_order_relaxed);
    if ((before + bytes) / interval_bytes != before / interval_bytes) {
        atomic_fetch_add_explicit(&trigger.asked_count, 1, memory_order_release);
        al_os_wake(&trigger.asked_count, 1);
    }
}

static void write_asked(void) {
    const uint32_t asked = atomic_load_explicit(&trigger.asked_count, memory_order_acquire);

    if (atomic_exchange(&trigger.written_count, asked) != asked) {
        (void)pf_dump_automatic(PF_FORMAT_LETTER_INTERVAL, true);
    }
}

static void *writer(void *arg) {
    (void)arg;
    (void)pthread_setname_np(pthread_self(), "tally-dump");
    while (!atomic_load(&trigger.is_finished)) {
        const uint32_t asked = atomic_load_explicit(&trigger.asked_count, memory_order_acquire);
        if (asked == atomic_load(&trigger.written_count)) {
            al_os_wait(&trigger.asked_count, asked, -1);
        } else {
            write_asked();
        }
    }
    return NULL;
}

void pf_trigger_start(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t old;

    if (pf_trigger_interval_bytes() == 0 || atomic_exchange(&trigger.is_running, true)) {
        return;
    }
    /* The program's signals are for the program's threads. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (pthread_create(&thread, &attributes, writer, NULL) != 0) {
        atomic_store(&trigger.is_running, false);
        al_message_write("<jemalloc>: no thread for interval dumps: none will be written\n");
    }
    (void)pthread_attr_destroy(&attributes);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void pf_trigger_finish(void) {
    if (!atomic_exchange(&trigger.is_finished, true)) {
        write_asked();
    }
}

void pf_trigger_fork_child(void) {
    atomic_store(&trigger.is_running, false);
    /* What the parent asked for, the parent writes. */
    atomic_store(&trigger.written_count, atomic_load(&trigger.asked_count));
}
