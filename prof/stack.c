/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stack — libunwind's cached walk if it can be loaded, else libgcc's, which is linked in.
 *
 * libunwind keeps rules it has worked out in a cache. The global one is behind a lock that is
 * held while the loader's lock is asked for; a thread inside dlopen that samples would take
 * the two in the other order. So the cache is made one a thread.
 */
#include "prof/stack.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <unwind.h>

enum {
    UNW_CACHE_PER_THREAD = 2, /* unw_caching_policy_t of libunwind.h */
    OWN_FRAMES_MAX = 24,      /* frames of ours between malloc and the walk, at most */
};

typedef int (*backtrace_function)(void **frames, int depth_max);

static struct {
    _Atomic(backtrace_function) backtrace; /* NULL: libgcc's walk */
    _Atomic bool is_started;
    /* Addresses of our own code: set once by start, empty before. */
    _Atomic uintptr_t own_low, own_high;
} unwinder;

/* The ends of the section that the products put all our code into; NULL in unit tests, where no
 * frame is left out. Not AL_HIDDEN: hidden and undefined would not be NULL.
 */
extern AL_WEAK const char __start_tally_text[];
extern AL_WEAK const char __stop_tally_text[];

static void find_own_range(void) {
    if (__start_tally_text != NULL) {
        atomic_store(&unwinder.own_low, (uintptr_t)__start_tally_text);
        atomic_store(&unwinder.own_high, (uintptr_t)__stop_tally_text);
    }
}

/* A program without a loader can open no library: glibc would crash later, inside it. */
static void *open_libunwind(void) {
    return getauxval(AT_BASE) == 0
               ? NULL
               : dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

void pf_stack_start(void) {
    if (atomic_exchange(&unwinder.is_started, true)) {
        return;
    }
    find_own_range();
    void *const library = open_libunwind();
    if (library == NULL) {
        al_message_write(
            "<jemalloc>: libunwind.so.8 cannot be loaded: stacks are walked by libgcc, "
            "some 20 times slower (Debian: apt install libunwind8)\n");
        return;
    }
    backtrace_function backtrace = NULL;
    int (*set_policy)(void *space, int policy) = NULL;
    *(void **)&backtrace = dlsym(library, "unw_backtrace");
    *(void **)&set_policy = dlsym(library, "_ULx86_64_set_caching_policy");
    void **const space = dlsym(library, "_ULx86_64_local_addr_space");
    if (set_policy != NULL && space != NULL) {
        (void)set_policy(*space, UNW_CACHE_PER_THREAD);
    }
    atomic_store_explicit(&unwinder.backtrace, backtrace, memory_order_release);
}

const char *pf_stack_unwinder(void) {
    return atomic_load(&unwinder.backtrace) != NULL ? "libunwind" : "libgcc";
}

struct walk {
    void **frames;
    uint32_t count;
    uint32_t depth_max;
};

static _Unwind_Reason_Code walk_step(struct _Unwind_Context *context, void *arg) {
    AL_ASSERT(((const struct walk *)arg)->count <= ((const struct walk *)arg)->depth_max);
    struct walk *const walk = arg;

    if (walk->count == walk->depth_max) {
        return _URC_END_OF_STACK;
    }
    walk->frames[walk->count++] = (void *)(uintptr_t)_Unwind_GetIP(context);
    return _URC_NO_REASON;
}

AL_NOINLINE uint32_t pf_stack_take(uintptr_t *frames, uint32_t depth_max) {
    void *walked[PF_STACK_DEPTH_MAX + OWN_FRAMES_MAX];
    const backtrace_function backtrace =
        atomic_load_explicit(&unwinder.backtrace, memory_order_acquire);
    const uintptr_t low = atomic_load_explicit(&unwinder.own_low, memory_order_relaxed);
    const uintptr_t high = atomic_load_explicit(&unwinder.own_high, memory_order_relaxed);
    uint32_t count = 0;

    AL_ASSERT(depth_max <= PF_STACK_DEPTH_MAX);
    if (backtrace != NULL) {
        const int got = backtrace(walked, (int)(depth_max + OWN_FRAMES_MAX));
        count = got > 0 ? (uint32_t)got : 0;
    } else {
        struct walk walk = {walked, 0, depth_max + OWN_FRAMES_MAX};
        (void)_Unwind_Backtrace(walk_step, &walk);
        count = walk.count;
    }
    uint32_t first = 0;
    while (first < count && (uintptr_t)walked[first] >= low && (uintptr_t)walked[first] < high) {
        first++;
    }
    uint32_t kept = 0;
    for (; first < count && kept < depth_max && walked[first] != NULL; first++) {
        frames[kept++] = (uintptr_t)walked[first];
    }
    return kept;
}
