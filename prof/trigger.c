/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trigger — the thread that allocates past a line says so in a word the writer sleeps on.
 *
 * Requests are counted, not queued: a writer that is slower than the program makes one dump
 * for several lines passed, since a second one at the same moment would say the same.
 */
#include "prof/trigger.h"

#include "alloc/options.h"
#include "alloc/os.h"
#include "alloc/stats.h"
#include "prof/dump.h"
#include "prof/format.h"

#include <stdatomic.h>

enum why { WHY_INTERVAL, WHY_PEAK, WHY_COUNT };

/* The writer wakes who waits for it to finish; looking now and then costs nothing at exit. */
enum { FINISH_TURN_NS = 10000000 };

/* Reasons that have a letter of their own in a file's name. */
static const char letters[WHY_COUNT] = {PF_FORMAT_LETTER_INTERVAL, PF_FORMAT_LETTER_PEAK};

static struct {
    _Atomic uint64_t counted_bytes; /* since the last line */
    _Atomic uint64_t peak_bytes;    /* of address space, when it was last looked at */
    _Atomic bool is_peak_on;
    _Atomic uint32_t asked_count; /* of all reasons together: the futex word */
    _Atomic bool is_asked[WHY_COUNT];
    _Atomic bool is_running;
    _Atomic bool is_finished;
    _Atomic uint32_t is_writing; /* the writer is at a dump, or may begin one; a futex word */
    _Atomic bool is_told;        /* that there is no writer to be had */
} trigger;

uint64_t pf_trigger_interval_bytes(void) {
    AL_ASSERT(al_options.lg_prof_interval < 64);
    return al_options.lg_prof_interval < 0 ? 0 : UINT64_C(1) << al_options.lg_prof_interval;
}

void pf_trigger_boot(void) {
    pf_trigger_set_peak(al_options.prof_gdump);
}

void pf_trigger_set_peak(bool is_on) {
    if (is_on) { /* a peak is one from now on */
        atomic_store(&trigger.peak_bytes, al_stats_address_bytes());
    }
    atomic_store(&trigger.is_peak_on, is_on);
}

bool pf_trigger_peak(void) {
    return atomic_load(&trigger.is_peak_on);
}

static void write_asked(void) {
    for (unsigned why = 0; why < WHY_COUNT; why++) {
        if (atomic_exchange(&trigger.is_asked[why], false)) {
            (void)pf_dump_automatic(letters[why], true);
        }
    }
}

static void *writer(void *arg) {
    AL_ASSERT(atomic_load(&trigger.is_running));
    al_os_thread_name("tally-dump");
    for (;;) { /* until the process ends, or is about to */
        /* Read before the reasons: what is asked for after it changes the word. */
        const uint32_t asked = atomic_load_explicit(&trigger.asked_count, memory_order_acquire);
        atomic_store(&trigger.is_writing, 1);
        if (!atomic_load(&trigger.is_finished)) { /* said after it: pf_trigger_finish waits */
            write_asked();
        }
        atomic_store(&trigger.is_writing, 0);
        if (atomic_load(&trigger.is_finished)) {
            al_os_wake(&trigger.is_writing, 1);
            return arg;
        }
        al_os_wait(&trigger.asked_count, asked, -1);
    }
}

static void start_writer(void) {
    if (atomic_exchange(&trigger.is_running, true)) {
        return;
    }
    if (!al_os_thread_start(writer)) {
        atomic_store(&trigger.is_running, false);
        if (!atomic_exchange(&trigger.is_told, true)) {
            al_message_write("<jemalloc>: no thread for automatic dumps: none will be written\n");
        }
    }
}

static void ask(enum why why) {
    AL_ASSERT(why < WHY_COUNT);
    atomic_store_explicit(&trigger.is_asked[why], true, memory_order_relaxed);
    atomic_fetch_add_explicit(&trigger.asked_count, 1, memory_order_release);
    al_os_wake(&trigger.asked_count, 1);
    if (AL_UNLIKELY(!atomic_load_explicit(&trigger.is_running, memory_order_relaxed))) {
        start_writer();
    }
}

static void look_at_peak(void) {
    const uint64_t now_bytes = al_stats_address_bytes();
    uint64_t peak_bytes = atomic_load_explicit(&trigger.peak_bytes, memory_order_relaxed);

    if (now_bytes > peak_bytes &&
        atomic_compare_exchange_strong(&trigger.peak_bytes, &peak_bytes, now_bytes)) {
        ask(WHY_PEAK); /* who lost the race has seen the same peak, or a lower one */
    }
}

void pf_trigger_allocated(uint64_t bytes) {
    const uint64_t interval_bytes = pf_trigger_interval_bytes();
    const bool is_peak_on = atomic_load_explicit(&trigger.is_peak_on, memory_order_relaxed);

    AL_ASSERT((interval_bytes & (interval_bytes - 1)) == 0); /* a shift, not a division */
    if (AL_LIKELY(interval_bytes == 0 && !is_peak_on) || atomic_load(&trigger.is_finished)) {
        return;
    }
    if (is_peak_on) {
        look_at_peak();
    }
    if (interval_bytes == 0) {
        return;
    }
    const uint64_t before =
        atomic_fetch_add_explicit(&trigger.counted_bytes, bytes, memory_order_relaxed);
    if ((before + bytes) / interval_bytes != before / interval_bytes) {
        ask(WHY_INTERVAL);
    }
}

void pf_trigger_start(void) {
    if (pf_trigger_interval_bytes() != 0 || pf_trigger_peak()) {
        start_writer();
    }
}

void pf_trigger_finish(void) {
    if (atomic_exchange(&trigger.is_finished, true)) {
        return;
    }
    while (atomic_load(&trigger.is_writing) != 0) { /* a dump ends, at the latest by its reader */
        al_os_wait(&trigger.is_writing, 1, FINISH_TURN_NS);
    }
    write_asked();
}

void pf_trigger_fork_child(void) {
    atomic_store(&trigger.is_running, false);
    atomic_store(&trigger.is_writing, 0);
    /* What the parent asked for, the parent writes. */
    for (unsigned why = 0; why < WHY_COUNT; why++) {
        atomic_store(&trigger.is_asked[why], false);
    }
}
