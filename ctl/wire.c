/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire — the composition root: joins alloc to prof, starts the profiler when the C library is
 * up, and says the last words at exit.
 */
#include "alloc/background.h"
#include "alloc/control.h"
#include "alloc/hooks.h"
#include "alloc/options.h"
#include "alloc/shadowed.h"
#include "ctl/events.h"
#include "ctl/mallctl.h"
#include "ctl/node.h"
#include "prof/prof.h"

#include <stdlib.h>

/* The control lock is the outermost of all. */
static void fork_prepare(void) {
    pf_hook_fork_announce();
    ct_fork_prepare();
    pf_hook_fork_prepare();
}

static void fork_parent(void) {
    pf_hook_fork_parent();
    ct_fork_parent();
}

static void fork_child(void) {
    al_background_fork_child();
    pf_hook_fork_child();
    ct_fork_child();
}

/* A child of fork makes the threads it lost anew. */
static void allocated(uint64_t bytes) {
    al_background_tick();
    pf_hook_allocated(bytes);
    ct_events_allocated(bytes);
}

const struct al_hooks al_hooks = {
    .sample = pf_hook_sample,
    .sample_freed = pf_hook_sample_freed,
    .allocated = allocated,
    .thread_started = pf_hook_thread_started,
    .thread_ended = pf_hook_thread_ended,
    .fork_prepare = fork_prepare,
    .fork_parent = fork_parent,
    .fork_child = fork_child,
};

/* Another malloc is the process's (alloc/shadowed.h). */
static bool is_quiet;

/* A process that never allocates is configured, too. */
__attribute__((constructor)) static void start(void) {
    is_quiet = al_is_shadowed != NULL && al_is_shadowed();
    if (!is_quiet) {
        al_init();
        al_background_boot();
        pf_boot();
    }
}

/* The status, and what exit has not done yet: above all the output that stdio still holds. glibc
 * lets a handler call exit again and goes on where it was. fflush(NULL) would do less and could
 * wait for ever: it takes the lock of each stream, and a thread may sit in a read of stdin; exit
 * takes none. A call by pointer, since calling exit is refused everywhere in here, and rightly:
 * this is the one place that exit has called.
 */
static void (*const exit_again)(int status) = exit;

/* After the program's atexit handlers: what they free is freed. */
__attribute__((destructor)) static void finish(void) {
    if (is_quiet) {
        return;
    }
    const bool has_leaks = pf_exit();
    if (al_options.stats_print) {
        malloc_stats_print(NULL, NULL, al_options.stats_print_opts);
    }
    if (has_leaks) {
        al_message_write("<jemalloc>: prof_leak_error: leaks remain, exit status 1\n");
        exit_again(1);
    }
}
