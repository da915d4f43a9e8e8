/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   our own walk takes the stacks that libunwind takes, in any program, at any moment.
 * Method: a library to preload. At each so-manieth malloc, and in a SIGPROF handler each so many
 *         microseconds, which may be at any instruction, both walk. Where they differ, libgcc walks
 *         too and says who is right. What was seen is appended to a file at exit, a line a process.
 *
 *   CORPUS_OUT      the file
 *   CORPUS_STRIDE   mallocs between two walks
 *   CORPUS_TICK_US  between two signals; 0: none
 */
#include "prof/walk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

enum {
    DEPTH_MAX = 256,
    LEAVING_DEPTH_MAX = 8,
    LINE_BYTES = 512,
    SPARE_BYTES = 1 << 20,
    STACKS_SHOWN_MAX = 5
};

/* What a stack turned out to be. */
enum verdict {
    SAME,    /* as libunwind's, frame by frame */
    PART,    /* we stopped at a frame of a rare form, and said so; the same up to there */
    GUESSED, /* libunwind goes on where there is no unwind data; libgcc stops where we do */
    SHORT,   /* libunwind stops before the end; libgcc has all our frames */
    STRAYED, /* libunwind has other frames; libgcc has ours */
    LEAVING, /* above libgcc as it leaves for a landing pad: nobody can know */
    WRONG,   /* none of these */
    VERDICT_COUNT,
};
static const char *const words[VERDICT_COUNT] = {"same",    "part",    "guessed", "short",
                                                 "strayed", "leaving", "wrong"};

struct stack {
    uintptr_t pcs[DEPTH_MAX];
    uint32_t count;
};

static struct {
    int (*backtrace)(void **frames, int depth_max);
    _Atomic bool is_ready;
    long stride;
    struct {
        uintptr_t low, bytes;
    } leaving[4];
    _Atomic uint64_t counts[VERDICT_COUNT];
    _Atomic uint64_t frame_count;
    _Atomic uint64_t tick_count;
    _Atomic int shown_count;
} corpus;

static AL_TLS_IE bool is_busy;
static AL_TLS_IE long malloc_count;

/* ---- comparing ---- */

static _Unwind_Reason_Code enter(struct _Unwind_Context *context, void *arg) {
    struct stack *const stack = arg;

    if (stack->count == DEPTH_MAX || _Unwind_GetIP(context) == 0) {
        return _URC_END_OF_STACK;
    }
    stack->pcs[stack->count++] = (uintptr_t)_Unwind_GetIP(context);
    return _URC_NO_REASON;
}

/* The first frame of each is in the function that walks, at different places of it. */
static bool is_prefix(const struct stack *stack, const struct stack *longer) {
    return stack->count > 0 && stack->count <= longer->count &&
           memcmp(stack->pcs + 1, longer->pcs + 1, (stack->count - 1) * sizeof(stack->pcs[0])) == 0;
}

static bool is_same(const struct stack *left, const struct stack *right) {
    return left->count == right->count && is_prefix(left, right);
}

/* Whether its innermost frames are of a throw that may have begun to leave: registers that it has
 * saved are then already the landing pad's, and what libgcc reads by them may be anywhere.
 */
static bool is_leaving(const struct stack *stack) {
    for (uint32_t at = 0; at < stack->count && at < LEAVING_DEPTH_MAX; at++) {
        for (size_t idx = 0; idx < AL_ARRAY_COUNT(corpus.leaving); idx++) {
            if (stack->pcs[at] - corpus.leaving[idx].low < corpus.leaving[idx].bytes) {
                return true;
            }
        }
    }
    return false;
}

static void show(const struct stack *ours, const struct stack *theirs,
                 const struct stack *libgccs) {
    if (atomic_fetch_add(&corpus.shown_count, 1) >= STACKS_SHOWN_MAX) {
        return;
    }
    for (uint32_t idx = 0; idx < ours->count || idx < theirs->count || idx < libgccs->count;
         idx++) {
        (void)dprintf(STDERR_FILENO, "corpus: %#18lx %#18lx %#18lx\n",
                      idx < ours->count ? ours->pcs[idx] : 0,
                      idx < theirs->count ? theirs->pcs[idx] : 0,
                      idx < libgccs->count ? libgccs->pcs[idx] : 0);
    }
    (void)dprintf(STDERR_FILENO, "corpus: --\n");
}

static enum verdict judge(const struct stack *ours, const struct stack *theirs,
                          const struct stack *libgccs) {
    if (!is_same(ours, libgccs)) {
        show(ours, theirs, libgccs);
        return WRONG;
    }
    if (is_prefix(ours, theirs)) {
        return GUESSED;
    }
    return is_prefix(theirs, ours) ? SHORT : STRAYED;
}

/* libunwind's last frame is that of whoever called _start: none. */
static void trim(struct stack *stack) {
    while (stack->count > 0 && stack->pcs[stack->count - 1] == 0) {
        stack->count--;
    }
}

/* All three walk from here, so that their callers are the same. */
static AL_NOINLINE void compare(void) {
    const struct pf_code none = {0, 0};
    struct stack ours;
    struct stack theirs;
    struct stack libgccs = {.count = 0};
    bool is_whole = false;
    enum verdict verdict = SAME;

    ours.count = pf_walk_tables(ours.pcs, DEPTH_MAX, none, &is_whole);
    const int got = corpus.backtrace((void **)theirs.pcs, DEPTH_MAX);
    theirs.count = got > 0 ? (uint32_t)got : 0;
    trim(&theirs);
    if (!is_whole) {
        verdict = is_prefix(&ours, &theirs) ? PART : is_leaving(&ours) ? LEAVING : WRONG;
    } else if (!is_same(&ours, &theirs)) {
        if (is_leaving(&ours)) {
            verdict = LEAVING;
        } else {
            (void)_Unwind_Backtrace(enter, &libgccs);
            verdict = judge(&ours, &theirs, &libgccs);
        }
    }
    atomic_fetch_add(&corpus.counts[verdict], 1);
    atomic_fetch_add(&corpus.frame_count, ours.count);
}

static void walk(void) {
    if (corpus.is_ready && !is_busy) {
        const int saved_errno = errno;
        is_busy = true;
        compare();
        is_busy = false;
        errno = saved_errno;
    }
}

/* ---- where from ---- */

static void handle(int number) {
    (void)number;
    atomic_fetch_add(&corpus.tick_count, 1);
    walk();
}

/* ---- malloc ---- */

/* libunwind allocates where it finds no unwind data (it looks for .debug_frame), also in a signal
 * handler that has interrupted malloc: then it gets memory of ours, which is never used again.
 */
static union {
    char bytes[SPARE_BYTES];
    max_align_t align;
} spare;
static _Atomic size_t spare_used;

static void *take_spare(size_t size_bytes) {
    const size_t bytes = (size_bytes + 2 * sizeof(max_align_t) - 1) & -sizeof(max_align_t);
    const size_t at = atomic_fetch_add(&spare_used, bytes);

    if (at + bytes > sizeof(spare.bytes)) {
        return NULL;
    }
    memcpy(spare.bytes + at, &size_bytes, sizeof(size_bytes));
    return spare.bytes + at + sizeof(max_align_t);
}

static bool is_spare(const void *ptr) {
    return (uintptr_t)ptr - (uintptr_t)spare.bytes < sizeof(spare.bytes);
}

void *__libc_malloc(size_t size_bytes);
void *__libc_calloc(size_t count, size_t size_bytes);
void *__libc_realloc(void *ptr, size_t size_bytes);
void __libc_free(void *ptr);

__attribute__((visibility("default"))) void *malloc(size_t size_bytes) {
    if (is_busy) {
        return take_spare(size_bytes);
    }
    if (corpus.is_ready && ++malloc_count % corpus.stride == 0) {
        walk();
    }
    return __libc_malloc(size_bytes);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size_bytes) {
    return is_busy ? take_spare(count * size_bytes) : __libc_calloc(count, size_bytes);
}

__attribute__((visibility("default"))) void *realloc(void *ptr, size_t size_bytes) {
    if (!is_busy && !is_spare(ptr)) {
        return __libc_realloc(ptr, size_bytes);
    }
    size_t old_bytes = 0;
    void *const moved = malloc(size_bytes);
    if (moved != NULL && is_spare(ptr)) {
        memcpy(&old_bytes, (const char *)ptr - sizeof(max_align_t), sizeof(old_bytes));
        memcpy(moved, ptr, old_bytes < size_bytes ? old_bytes : size_bytes);
    }
    return moved;
}

__attribute__((visibility("default"))) void free(void *ptr) {
    if (!is_busy && !is_spare(ptr)) {
        __libc_free(ptr);
    }
}

static long read_number(const char *name, long fallback) {
    const char *const text = getenv(name);

    return text != NULL ? strtol(text, NULL, 10) : fallback;
}

static void find_leaving(void) {
    static const char *const names[AL_ARRAY_COUNT(corpus.leaving)] = {
        "_Unwind_RaiseException", "_Unwind_Resume", "_Unwind_Resume_or_Rethrow",
        "_Unwind_ForcedUnwind"};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(corpus.leaving); idx++) {
        void *const function = dlsym(RTLD_DEFAULT, names[idx]);
        void *symbol = NULL;
        Dl_info info;
        if (function != NULL && dladdr1(function, &info, &symbol, RTLD_DL_SYMENT) != 0) {
            corpus.leaving[idx].low = (uintptr_t)function;
            corpus.leaving[idx].bytes = ((const ElfW(Sym) *)symbol)->st_size;
        }
    }
}

static void start_ticks(long tick_us) {
    const struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    const struct itimerspec tick = {{0, tick_us * 1000}, {0, tick_us * 1000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
    timer_t timer;

    if (tick_us > 0 && sigaction(SIGPROF, &action, NULL) == 0 &&
        timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) {
        (void)timer_settime(timer, 0, &tick, NULL);
    }
}

static void forget(void) {
    for (size_t idx = 0; idx < VERDICT_COUNT; idx++) {
        corpus.counts[idx] = 0;
    }
    corpus.frame_count = 0;
    corpus.tick_count = 0;
}

__attribute__((constructor)) static void start(void) {
    void *const library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        (void)dprintf(STDERR_FILENO, "corpus: no libunwind.so.8\n");
        return;
    }
    *(void **)&corpus.backtrace = dlsym(library, "unw_backtrace");
    corpus.stride = read_number("CORPUS_STRIDE", 10);
    find_leaving();
    (void)pthread_atfork(NULL, NULL, forget); /* the parent tells of what it saw */
    corpus.is_ready = true;
    start_ticks(read_number("CORPUS_TICK_US", 0));
}

__attribute__((destructor)) static void finish(void) {
    const char *const out = getenv("CORPUS_OUT");
    char line[LINE_BYTES];
    uint64_t stack_count = 0;

    corpus.is_ready = false;
    for (size_t idx = 0; idx < VERDICT_COUNT; idx++) {
        stack_count += corpus.counts[idx];
    }
    if (out == NULL || stack_count == 0) {
        return;
    }
    int at =
        snprintf(line, sizeof(line), "%s stacks %lu frames %lu ticks %lu",
                 program_invocation_short_name, stack_count, corpus.frame_count, corpus.tick_count);
    for (size_t idx = 0; idx < VERDICT_COUNT; idx++) {
        at += snprintf(line + at, sizeof(line) - (size_t)at, " %s %lu", words[idx],
                       corpus.counts[idx]);
    }
    at += snprintf(line + at, sizeof(line) - (size_t)at, "\n");
    const int fd = open(out, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)!write(fd, line, (size_t)at);
        (void)close(fd);
    }
}
