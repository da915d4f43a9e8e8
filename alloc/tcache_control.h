/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_control — what ctl/ may ask of caches: the calling thread's, and explicit ones.
 *
 * Threads: the calling thread's own cache; explicit ones as tcache_explicit.h says.
 * Fails:   0 or an errno value, as the mallctl of the same name returns it.
 */
#ifndef AL_TCACHE_CONTROL_H
#define AL_TCACHE_CONTROL_H

#include "alloc/base.h"

/* thread.tcache.max, in bytes. */
size_t al_thread_tcache_max_bytes(void);
int al_thread_tcache_set_max(size_t bytes);

/* thread.tcache.ncached_max: blocks of the class of a size (EINVAL: too large for any), and a text
 * of ranges (EINVAL: not one; ENOENT: no cache).
 */
int al_thread_tcache_cap_get(size_t size_bytes, size_t *cap);
int al_thread_tcache_set_caps(const char *text);

/* thread.peak: most bytes allocated and not freed since the reset. */
uint64_t al_thread_peak_bytes(void);
int al_thread_peak_reset(void);

/* The thread will not allocate for a while. */
int al_thread_idle(void);

/* tcache.create: EAGAIN, there can be no more. The others: EFAULT, no such cache. */
int al_tcache_explicit_create(unsigned *id);
int al_tcache_explicit_flush(unsigned id);
int al_tcache_explicit_destroy(unsigned id);

#endif
