/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stack — who called malloc: return addresses, the leaf first.
 *
 * Owns:    the handle of libunwind, if opt.prof_unwinder asks for it; it stays loaded.
 * Threads: any; nothing of ours is locked while a stack is walked. libunwind takes the loader's
 *          lock; in the child of a process that had threads, and while a fork is coming, our own
 *          walk serves, which takes none.
 * Fails:   a stack of no frames.
 * Why not -lunwind: linking it would replace the process's own backtrace() and
 *          _Unwind_Backtrace. It is opened by name, privately, when profiling first starts.
 */
#ifndef PF_STACK_H
#define PF_STACK_H

#include "alloc/base.h"

enum { PF_STACK_DEPTH_MAX = 256 };

/* Finds the unwinder. Never inside malloc: it may open a library. Once; later calls do nothing. */
void pf_stack_start(void);

/* Fills `frames` with up to `depth_max` return addresses, allocator's own frames left out by
 * their addresses. Returns how many.
 */
uint32_t pf_stack_take(uintptr_t *frames, uint32_t depth_max);

const char *pf_stack_unwinder(void);

/* Before any lock of ours is taken: waits, not for ever, until no walk is inside libunwind. */
void pf_stack_fork_prepare(void);
void pf_stack_fork_parent(void);
void pf_stack_fork_child(void);

#endif
