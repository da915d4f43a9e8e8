/* SPDX-License-Identifier: BSD-2-Clause
 *
 * os — the kernel's side on Linux.
 *
 * The C library's wrappers of these calls neither allocate nor lock; they only write errno,
 * which every function here puts back.
 */
#include "alloc/os.h"

#include "alloc/bits.h"

#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* MREMAP_DONTUNMAP came with Linux 5.7; older headers lack it, older kernels refuse it. */
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* The failures that tests ask for. */
static struct {
    _Atomic int64_t countdown; /* memory calls until the failure; 0: none asked for */
    _Atomic uint64_t call_count;
    _Atomic bool is_for_good;
} faults;

uint64_t al_os_fail_after(uint64_t nth, bool for_good) {
    atomic_store(&faults.is_for_good, for_good);
    atomic_store(&faults.countdown, (int64_t)nth);
    return atomic_exchange(&faults.call_count, 0);
}

/* False: the test wants this call to fail. */
static bool may_ask(void) {
    atomic_fetch_add_explicit(&faults.call_count, 1, memory_order_relaxed);
    if (AL_LIKELY(atomic_load_explicit(&faults.countdown, memory_order_relaxed) == 0)) {
        return true;
    }
    const int64_t left = atomic_fetch_sub(&faults.countdown, 1);
    if (left == 1 && atomic_load(&faults.is_for_good)) {
        atomic_store(&faults.countdown, 1);
    }
    return left != 1;
}

void *al_os_map(void *hint, size_t bytes) {
    const int saved_errno = errno;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (hint != NULL ? MAP_FIXED_NOREPLACE : 0);

    if (!may_ask()) {
        return NULL;
    }
    void *const ptr = mmap(hint, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    errno = saved_errno;
    if (ptr == MAP_FAILED) {
        return NULL;
    }
    if (hint != NULL && ptr != hint) { /* a kernel before 4.17 takes the hint as a wish */
        al_os_unmap(ptr, bytes);
        return NULL;
    }
    return ptr;
}

void *al_os_map_aligned(size_t bytes, size_t align_bytes) {
    AL_ASSERT(al_is_pow2(align_bytes) && align_bytes >= AL_PAGE_BYTES);
    AL_ASSERT(bytes <= SIZE_MAX - align_bytes);
    char *const ptr = al_os_map(NULL, bytes);

    if (ptr == NULL || (uintptr_t)ptr % align_bytes == 0) {
        return ptr;
    }
    /* Cut to the place that is wanted, it makes room for the next right below: where one size is a
     * multiple of the alignment, the first way serves from now on.
     */
    (void)al_os_unmap(ptr, bytes);
    char *const wide = al_os_map(NULL, bytes + align_bytes - AL_PAGE_BYTES);
    if (wide == NULL) {
        return NULL;
    }
    char *const base = (char *)al_round_up((uintptr_t)wide, align_bytes);
    const size_t lead_bytes = (size_t)(base - wide);
    const size_t tail_bytes = align_bytes - AL_PAGE_BYTES - lead_bytes;
    if (lead_bytes != 0) {
        (void)al_os_unmap(wide, lead_bytes);
    }
    if (tail_bytes != 0) {
        (void)al_os_unmap(base + bytes, tail_bytes);
    }
    return base;
}

void *al_os_reserve(size_t bytes) {
    AL_ASSERT(bytes % AL_PAGE_BYTES == 0 && bytes > 0);
    const int saved_errno = errno;

    if (!may_ask()) {
        return NULL;
    }
    void *const ptr =
        mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved_errno;
    return ptr == MAP_FAILED ? NULL : ptr;
}

bool al_os_commit(void *ptr, size_t bytes) {
    AL_ASSERT((uintptr_t)ptr % AL_PAGE_BYTES == 0 && bytes > 0);
    const int saved_errno = errno;

    if (!may_ask()) {
        return false;
    }
    const bool is_done = mprotect(ptr, bytes, PROT_READ | PROT_WRITE) == 0;
    errno = saved_errno;
    return is_done;
}

bool al_os_unmap(void *ptr, size_t bytes) {
    AL_ASSERT((uintptr_t)ptr % AL_PAGE_BYTES == 0 && bytes > 0);
    const int saved_errno = errno;

    const bool is_done = munmap(ptr, bytes) == 0;
    errno = saved_errno;
    return is_done;
}

bool al_os_purge(void *ptr, size_t bytes) {
    AL_ASSERT((uintptr_t)ptr % AL_PAGE_BYTES == 0 && bytes > 0);
    const int saved_errno = errno;
    const bool is_done = madvise(ptr, bytes, MADV_DONTNEED) == 0;

    errno = saved_errno;
    return is_done;
}

bool al_os_purge_lazy(void *ptr, size_t bytes) {
    AL_ASSERT((uintptr_t)ptr % AL_PAGE_BYTES == 0 && bytes > 0);
    const int saved_errno = errno;
    const bool is_done = madvise(ptr, bytes, MADV_FREE) == 0;

    errno = saved_errno;
    return is_done;
}

void al_os_huge(void *ptr, size_t bytes) {
    const int saved_errno = errno;

    (void)madvise(ptr, bytes, MADV_HUGEPAGE);
    errno = saved_errno;
}

void al_os_no_huge(void *ptr, size_t bytes) {
    const int saved_errno = errno;

    (void)madvise(ptr, bytes, MADV_NOHUGEPAGE);
    errno = saved_errno;
}

enum al_os_moved al_os_move(void *from, void *to, size_t bytes) {
    const int saved_errno = errno;

    if (!may_ask()) {
        return AL_OS_STAYED;
    }
    const void *got =
        mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
    enum al_os_moved moved = AL_OS_MOVED;
    if (got != to) {
        /* The hole is closed again if there is one, and nobody was faster. */
        got = mmap(to, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        moved = got == to ? AL_OS_STAYED : AL_OS_LOST;
        if (got != MAP_FAILED && got != to) { /* a kernel that does not know the flag */
            (void)munmap((void *)(uintptr_t)got, bytes);
        }
    }
    errno = saved_errno;
    return moved;
}

bool al_os_is_linux(int major, int minor) {
    const int saved_errno = errno;
    struct utsname name = {0};
    int has[2] = {0, 0};

    (void)uname(&name);
    errno = saved_errno;
    const char *at = name.release; /* "6.1.0-13-amd64" */
    for (size_t part = 0; part < AL_ARRAY_COUNT(has); part++) {
        for (; *at >= '0' && *at <= '9' && has[part] < INT_MAX / 16; at++) {
            has[part] = has[part] * 10 + (*at - '0');
        }
        at += *at == '.';
    }
    return has[0] > major || (has[0] == major && has[1] >= minor);
}

bool al_os_resize(void *ptr, size_t old_bytes, size_t new_bytes) {
    const int saved_errno = errno;

    if (!may_ask()) {
        return false;
    }
    const void *const got = mremap(ptr, old_bytes, new_bytes, 0);
    errno = saved_errno;
    return got == ptr;
}

bool al_os_is_readable(const void *ptr) {
    const int saved_errno = errno;

    /* The kernel copies the set before it looks at `how`, which is none: nothing is changed. */
    (void)syscall(SYS_rt_sigprocmask, -1, ptr, NULL, sizeof(uint64_t));
    const bool is_readable = errno == EINVAL;
    errno = saved_errno;
    return is_readable;
}

size_t al_os_space_limit_bytes(void) {
    const int saved_errno = errno;
    struct rlimit limit;
    const bool is_known = getrlimit(RLIMIT_AS, &limit) == 0;

    errno = saved_errno;
    return is_known && limit.rlim_cur != RLIM_INFINITY ? (size_t)limit.rlim_cur : SIZE_MAX;
}

unsigned al_os_cpu_count(void) {
    const int saved_errno = errno;
    cpu_set_t set;
    int count = 1;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        count = CPU_COUNT(&set);
    } else if (errno == EINVAL) {
        count = CPU_SETSIZE; /* more processors than the set can name */
    }
    errno = saved_errno;
    return count > 0 ? (unsigned)count : 1;
}

static uint64_t read_clock(clockid_t clock) {
    const int saved_errno = errno;
    struct timespec now = {0};

    (void)clock_gettime(clock, &now);
    errno = saved_errno;
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t al_os_time_ns(void) {
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

uint64_t al_os_time_fine_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t al_os_seed(void) {
    /* The 16 random bytes the kernel gives each program for its stack guard. */
    const char *const random = (const char *)getauxval(AT_RANDOM);
    uint64_t base = UINT64_C(0x9E3779B97F4A7C15);

    if (random != NULL) {
        memcpy(&base, random + sizeof(base), sizeof(base)); /* aligned to nothing */
    }

    return base ^ ((uint64_t)(uintptr_t)&base * UINT64_C(0xD6E8FEB86659FD93));
}

void al_os_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns) {
    const int saved_errno = errno;
    const struct timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                                     .tv_nsec = timeout_ns % 1000000000};

    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_ns < 0 ? NULL : &timeout,
                  NULL, 0);
    errno = saved_errno;
}

void al_os_wake(_Atomic uint32_t *word, uint32_t count) {
    const int saved_errno = errno;
    const uint32_t wake_count = count < INT_MAX ? count : INT_MAX;

    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, wake_count, NULL, NULL, 0);
    errno = saved_errno;
}

/* Our threads need some 20 KiB; the rest is for programs with much thread-local data, which the
 * C library takes off the stack. Untouched pages cost nothing.
 */
enum { THREAD_STACK_BYTES = 512 * 1024 };

bool al_os_thread_start(void *(*run)(void *)) {
    const int saved_errno = errno;
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t old;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    const bool is_started = pthread_create(&thread, &attributes, run, NULL) == 0;
    (void)pthread_attr_destroy(&attributes);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved_errno;
    return is_started;
}

void al_os_thread_name(const char *name) {
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}
