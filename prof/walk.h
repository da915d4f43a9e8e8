/* SPDX-License-Identifier: BSD-2-Clause
 *
 * walk — the callers of a function, by the rules of cfi or by frame pointers.
 *
 * Owns:    a cache of rules by address, shared by all threads: 8 KiB, growing to 512 KiB as a
 *          program turns out to have more call sites.
 *          And the last walks of some 30 threads, 1.5 KiB each: what still stands is not walked
 * again. Threads: any, also in a signal handler, during dlopen and in a child of fork: it takes no
 * lock and allocates nothing of the program's. Fails:   pf_walk_tables says so when a frame needs
 * more than the cache's rules can say. Whatever the tables claim, memory outside the stack is not
 * read: beyond the thread's own stack (a coroutine's, a signal's) the kernel is asked first.
 */
#ifndef PF_WALK_H
#define PF_WALK_H

#include "alloc/base.h"

/* Both fill `frames` with the return addresses of the function that calls them and of its callers,
 * the leaf first, and return how many, at most `depth_max`. On x86-64; elsewhere they find none,
 * and pf_walk_tables is not whole.
 */

/* A range of code; empty if low is high. */
struct pf_code {
    uintptr_t low, high;
};

/* By .eh_frame; frames of `own` that come first may be left out. `is_whole`: false if the walk
 * stopped at a frame of a rare form (a register other than rsp and rbp holds the frame's address:
 * hand-written code that was interrupted), which another unwinder may know how to pass.
 */
uint32_t pf_walk_tables(uintptr_t *frames, uint32_t depth_max, struct pf_code own, bool *is_whole);

/* By the chain of rbp: right only if all code was compiled with -fno-omit-frame-pointer. */
uint32_t pf_walk_frame_pointers(uintptr_t *frames, uint32_t depth_max);

#endif
