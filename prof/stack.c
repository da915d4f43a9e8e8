/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stack — chooses who walks, and leaves our own frames out.
 *
 * Our own walk (walk.h) takes no lock and no memory; where it meets a frame it has no rule for,
 * libgcc's, linked in, walks that stack again. libunwind is there for those who ask for it
 * (opt.prof_unwinder).
 *
 * libunwind can keep the rules it has worked out in a cache. The global one is behind a lock that
 * is held while the loader's lock is asked for; a thread that samples inside its own
 * dl_iterate_phdr callback takes the two the other way round. The cache of a thread's own is not
 * compiled into Debian's libunwind, which quietly takes the global one instead. So there is none:
 * unw_backtrace has a cache of its own above it, one a thread and behind no lock, and that is the
 * one that counts (docs/decisions/0003).
 *
 * What is left is the loader's lock, which its walk holds for moments and a child of fork may find
 * held for ever. So while a fork is coming, and for good in a child whose parent had threads, our
 * own walk serves instead.
 */
#include "prof/stack.h"

#include "alloc/options.h"
#include "alloc/os.h"
#include "prof/walk.h"

#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/single_threaded.h>
#include <unwind.h>

enum {
    UNW_CACHE_NONE = 0,  /* unw_caching_policy_t of libunwind.h */
    OWN_FRAMES_MAX = 24, /* frames of ours between malloc and the walk, at most */
    /* A fork waits this long for walks to end: the forking thread itself may hold the loader's
     * lock that one of them waits for. A walk takes microseconds.
     */
    FORK_WAIT_TURNS = 200,
    FORK_WAIT_TURN_NS = 1000000,
};

/* opt.prof_unwinder, in the order of its words. */
enum { UNWINDER_TABLES, UNWINDER_LIBUNWIND, UNWINDER_LIBGCC, UNWINDER_FRAME_POINTERS };

typedef int (*backtrace_function)(void **frames, int depth_max);

static struct {
    _Atomic(backtrace_function) backtrace; /* NULL: not asked for, or not to be had */
    _Atomic bool is_started;
    /* Addresses of our own code: set once by start, empty before. */
    _Atomic uintptr_t own_low, own_high;
    /* A walk first counts itself, then looks whether a fork is coming; a fork says that it comes,
     * then looks at the count: all in one order, so one of the two sees the other.
     */
    _Atomic uint32_t walk_count; /* libunwind's walks in flight: the word a fork sleeps on */
    _Atomic uint32_t fork_count; /* forks between prepare and parent */
    _Atomic bool had_threads;    /* when the latest of them was prepared */
    _Atomic bool is_loader_lost; /* a child of such: its loader's lock may be held for ever */
} unwinder;

/* Of walk_count, this thread's: it may be interrupted by a handler that forks. */
static AL_TLS_IE uint32_t own_walk_count;

/* The ends of the section that the products put all our code into; NULL in unit tests, where no
 * frame is left out. Not AL_HIDDEN: hidden and undefined would not be NULL.
 */
extern AL_WEAK const char __start_tally_text[];
extern AL_WEAK const char __stop_tally_text[];

static void find_own_range(void) {
    if (__start_tally_text != NULL) {
        AL_ASSERT(&__start_tally_text[0] < &__stop_tally_text[0]);
        atomic_store(&unwinder.own_low, (uintptr_t)__start_tally_text);
        atomic_store(&unwinder.own_high, (uintptr_t)__stop_tally_text);
    }
}

/* Whether a library can be opened: not in a static program. The kernel tells where it put the
 * loader; that it says nowhere may also mean that the loader was started by hand, as `ld.so
 * PROGRAM`. Then it stands in the list of what is loaded, early and for good, by a path; the
 * kernel's own object, which static programs list too, has none.
 */
static bool has_loader(void) {
    struct dl_find_object found;

    if (getauxval(AT_BASE) != 0) {
        return true;
    }
    if (_dl_find_object((void *)(uintptr_t)&unwinder, &found) != 0) {
        return false;
    }
    const struct link_map *object = found.dlfo_link_map;
    while (object != NULL && strchr(object->l_name, '/') == NULL) { /* a list of a few */
        object = object->l_next;
    }
    return object != NULL;
}

/* NULL: it cannot be loaded, which has been said. */
static void *open_libunwind(void) {
    if (!has_loader()) { /* glibc would crash later, inside a library it opened */
        al_message_write("<jemalloc>: a static program opens no library: stacks are walked by "
                         "prof_unwinder:tables\n");
        return NULL;
    }
    void *const library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL) {
        al_message_write("<jemalloc>: libunwind.so.8 cannot be loaded: stacks are walked by "
                         "prof_unwinder:tables (Debian: apt install libunwind8)\n");
    }
    return library;
}

static void start_libunwind(void) {
    void *const library = open_libunwind();

    if (library == NULL) {
        return;
    }
    backtrace_function backtrace = NULL;
    int (*set_policy)(void *space, int policy) = NULL;
    *(void **)&backtrace = dlsym(library, "unw_backtrace");
    *(void **)&set_policy = dlsym(library, "_ULx86_64_set_caching_policy");
    void **const space = dlsym(library, "_ULx86_64_local_addr_space");
    if (set_policy != NULL && space != NULL) {
        (void)set_policy(*space, UNW_CACHE_NONE);
    }
    atomic_store_explicit(&unwinder.backtrace, backtrace, memory_order_release);
}

void pf_stack_start(void) {
    if (atomic_exchange(&unwinder.is_started, true)) {
        return;
    }
    find_own_range();
    if (al_options.prof_unwinder == UNWINDER_LIBUNWIND) {
        start_libunwind();
    }
}

const char *pf_stack_unwinder(void) {
    static const char *const names[] = {
        [UNWINDER_TABLES] = "tables",
        [UNWINDER_LIBUNWIND] = "libunwind",
        [UNWINDER_LIBGCC] = "libgcc",
        [UNWINDER_FRAME_POINTERS] = "frame_pointers",
    };
    const bool has_libunwind =
        atomic_load(&unwinder.backtrace) != NULL && !atomic_load(&unwinder.is_loader_lost);

    AL_ASSERT((size_t)al_options.prof_unwinder < AL_ARRAY_COUNT(names));
    return al_options.prof_unwinder == UNWINDER_LIBUNWIND && !has_libunwind
               ? names[UNWINDER_TABLES]
               : names[al_options.prof_unwinder];
}

struct walk {
    uintptr_t *frames;
    uint32_t count;
    uint32_t depth_max;
};

static _Unwind_Reason_Code walk_step(struct _Unwind_Context *context, void *arg) {
    AL_ASSERT(((const struct walk *)arg)->count <= ((const struct walk *)arg)->depth_max);
    struct walk *const walk = arg;

    if (walk->count == walk->depth_max) {
        return _URC_END_OF_STACK;
    }
    walk->frames[walk->count++] = (uintptr_t)_Unwind_GetIP(context);
    return _URC_NO_REASON;
}

static void end_libunwind_walk(void) {
    AL_ASSERT(own_walk_count > 0 && atomic_load(&unwinder.walk_count) > 0);
    own_walk_count--;
    if (atomic_fetch_sub(&unwinder.walk_count, 1) == 1 && atomic_load(&unwinder.fork_count) != 0) {
        al_os_wake(&unwinder.walk_count, 1);
    }
}

/* False: not now; nothing has begun. */
static bool begin_libunwind_walk(void) {
    own_walk_count++;
    atomic_fetch_add(&unwinder.walk_count, 1);
    if (atomic_load(&unwinder.fork_count) == 0 && !atomic_load(&unwinder.is_loader_lost)) {
        return true;
    }
    end_libunwind_walk();
    return false;
}

static AL_NOINLINE uint32_t walk_by_libgcc(uintptr_t *walked, uint32_t depth_max) {
    struct walk walk = {walked, 0, depth_max};

    (void)_Unwind_Backtrace(walk_step, &walk);
    return walk.count;
}

static struct pf_code own_code(void) {
    return (struct pf_code){atomic_load_explicit(&unwinder.own_low, memory_order_relaxed),
                            atomic_load_explicit(&unwinder.own_high, memory_order_relaxed)};
}

static uint32_t walk_by_tables(uintptr_t *walked, uint32_t depth_max) {
    bool is_whole = false;
    const uint32_t count = pf_walk_tables(walked, depth_max, own_code(), &is_whole);

    return AL_LIKELY(is_whole) ? count : walk_by_libgcc(walked, depth_max);
}

static AL_NOINLINE uint32_t walk_by_libunwind(uintptr_t *walked, uint32_t depth_max) {
    const backtrace_function backtrace =
        atomic_load_explicit(&unwinder.backtrace, memory_order_acquire);

    if (backtrace == NULL || !begin_libunwind_walk()) {
        return walk_by_tables(walked, depth_max);
    }
    const int got = backtrace((void **)walked, (int)depth_max);
    end_libunwind_walk();
    return got > 0 ? (uint32_t)got : 0;
}

static uint32_t walk_all(uintptr_t *walked, uint32_t depth_max) {
    AL_ASSERT(depth_max <= PF_STACK_DEPTH_MAX + OWN_FRAMES_MAX);
    switch (al_options.prof_unwinder) {
    case UNWINDER_LIBUNWIND:
        return walk_by_libunwind(walked, depth_max);
    case UNWINDER_LIBGCC:
        return walk_by_libgcc(walked, depth_max);
    case UNWINDER_FRAME_POINTERS:
        return pf_walk_frame_pointers(walked, depth_max);
    default:
        return walk_by_tables(walked, depth_max);
    }
}

AL_NOINLINE uint32_t pf_stack_take(uintptr_t *frames, uint32_t depth_max) {
    uintptr_t walked[PF_STACK_DEPTH_MAX + OWN_FRAMES_MAX];
    const struct pf_code own = own_code();

    AL_ASSERT(depth_max <= PF_STACK_DEPTH_MAX);
    const uint32_t count = walk_all(walked, depth_max + OWN_FRAMES_MAX);
    AL_ASSERT(count <= depth_max + OWN_FRAMES_MAX);
    uint32_t first = 0;
    while (first < count && walked[first] - own.low < own.high - own.low) {
        first++;
    }
    uint32_t kept = 0;
    for (; first < count && kept < depth_max && walked[first] != 0; first++) {
        frames[kept++] = walked[first];
    }
    AL_ASSERT(kept <= depth_max);
    return kept;
}

/* ---- fork ---- */

void pf_stack_fork_prepare(void) {
    AL_ASSERT(own_walk_count <= atomic_load(&unwinder.walk_count));
    atomic_fetch_add(&unwinder.fork_count, 1);
    atomic_store(&unwinder.had_threads, __libc_single_threaded == 0);
    for (int turn = 0; turn < FORK_WAIT_TURNS; turn++) {
        const uint32_t count = atomic_load(&unwinder.walk_count);
        if (count <= own_walk_count) {
            return;
        }
        al_os_wait(&unwinder.walk_count, count, FORK_WAIT_TURN_NS);
    }
}

void pf_stack_fork_parent(void) {
    AL_ASSERT(atomic_load(&unwinder.fork_count) > 0);
    atomic_fetch_sub(&unwinder.fork_count, 1);
}

/* Other threads' walks and forks are gone with them. */
void pf_stack_fork_child(void) {
    AL_ASSERT(atomic_load(&unwinder.fork_count) > 0);
    if (atomic_load(&unwinder.had_threads)) {
        atomic_store(&unwinder.is_loader_lost, true);
    }
    atomic_store(&unwinder.walk_count, own_walk_count);
    atomic_store(&unwinder.fork_count, 0);
}
