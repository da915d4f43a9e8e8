/* SPDX-License-Identifier: BSD-2-Clause
 *
 * os — everything we ask of the kernel: memory, time, waiting. The only system calls.
 *
 * Owns:    nothing.
 * Threads: any. No lock of ours may be held around a call, but for al_os_wake.
 * Fails:   memory calls say NULL or false; the caller turns that into ENOMEM. All keep errno.
 *          al_os_fail_after makes them fail on purpose: the out-of-memory sweeps rest on it.
 * Sizes and addresses are multiples of the OS page (4 KiB here) unless it says otherwise.
 */
#ifndef AL_OS_H
#define AL_OS_H

#include "alloc/base.h"

#include <stdatomic.h>

enum { AL_PAGE_BYTES = 4096, AL_PAGE_LG = 12 };

/* Fresh zeroed private memory, readable and writable; pages cost only once touched. `hint`
 * may be NULL; with it the mapping is there or nowhere.
 */
AL_NODISCARD void *al_os_map(void *hint, size_t bytes);

/* The same at a multiple of align_bytes, a power of two from a page on. The kernel promises pages
 * only (Linux before 6.7 aligns to nothing else). bytes + align_bytes does not wrap.
 */
AL_NODISCARD void *al_os_map_aligned(size_t bytes, size_t align_bytes);

/* Address space alone: nothing in it can be read until al_os_commit, and it counts for no
 * limit but RLIMIT_AS (PROT_NONE is free under overcommit_memory=2 and under mlockall).
 */
AL_NODISCARD void *al_os_reserve(size_t bytes);
AL_NODISCARD bool al_os_commit(void *ptr, size_t bytes);

/* False: the process has as many mappings as it may, and cutting one in two would make one more
 * (65,530 by default); the range stays as it is.
 */
bool al_os_unmap(void *ptr, size_t bytes);

/* Gives the pages back at once; they read as zero afterwards. False if the kernel refused
 * (locked memory): the contents are then undefined and the pages still there.
 */
bool al_os_purge(void *ptr, size_t bytes);

/* Lets the kernel take the pages when it is short of memory; their contents are undefined from
 * now on. False: it cannot (Linux before 4.5).
 */
bool al_os_purge_lazy(void *ptr, size_t bytes);

/* Huge pages here where the system leaves it to us (madvise): 2 MiB are read as zero and made
 * resident by one fault. Best effort.
 */
void al_os_huge(void *ptr, size_t bytes);

/* No huge pages here: one touched word would cost 2 MiB under THP=always. Best effort. */
void al_os_no_huge(void *ptr, size_t bytes);

/* Moves the pages at `from` to `to`, both mapped and `bytes` long, without copying them.
 * Afterwards `from` is mapped and zero.
 *
 * STAYED: `from` is as it was, and `to` is mapped and holds nothing of worth. LOST: `from` is as it
 * was, but `to` may be another's by now. Linux before 6.17 unmaps the target first and looks at the
 * source then, and refuses one that spans two mappings.
 */
enum al_os_moved { AL_OS_MOVED, AL_OS_STAYED, AL_OS_LOST };
AL_NODISCARD enum al_os_moved al_os_move(void *from, void *to, size_t bytes);

/* Whether the kernel is Linux major.minor or later. */
bool al_os_is_linux(int major, int minor);

/* Grows or shrinks a mapping of al_os_map in place. False: nothing happened. */
AL_NODISCARD bool al_os_resize(void *ptr, size_t old_bytes, size_t new_bytes);

/* Whether the eight bytes at `ptr` can be read. The kernel tries. */
bool al_os_is_readable(const void *ptr);

/* Bytes of address space the process may use: RLIMIT_AS, SIZE_MAX if unlimited. */
size_t al_os_space_limit_bytes(void);

/* Processors this process may run on, at least 1. */
unsigned al_os_cpu_count(void);

/* Monotonic, coarse where that is cheaper (a few ms). */
uint64_t al_os_time_ns(void);

/* Monotonic, as fine as the machine has it. */
uint64_t al_os_time_fine_ns(void);

/* Something no other process start has: for seeds, not for secrets. No system call. */
uint64_t al_os_seed(void);

/* Sleeps while *word == value, at most timeout_ns (-1: for ever). May wake early. */
void al_os_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns);
void al_os_wake(_Atomic uint32_t *word, uint32_t count);

/* A detached thread of ours, with every signal blocked: the program's are for the program's
 * threads. Starting one allocates, so no lock of ours may be held, and the re-entry mark must be
 * set where malloc is the caller. The thread names itself, by at most 15 characters.
 */
AL_NODISCARD bool al_os_thread_start(void *(*run)(void *));
void al_os_thread_name(const char *name);

/* For tests: the nth memory call from now (n >= 1) fails, and if `for_good` all after it.
 * n == 0 turns it off. Returns how many memory calls were made since the last setting.
 */
uint64_t al_os_fail_after(uint64_t nth, bool for_good);

#endif
