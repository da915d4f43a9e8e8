/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_limit — how much a thread may cache: by size (tcache_max) and by blocks of a class
 * (tcache_ncached_max), for all threads by options and for one by thread.tcache.*; and the peak of
 * what it has allocated.
 *
 * Owns:    the caps that options set.
 * Threads: the cache's own; options by the initialising thread.
 * Fails:   false: a text that says no such thing, nothing changed.
 * Bound:   a class keeps at least a block or two and 1 KiB, whatever its cap: lists are what the
 * fast path is made of. `freed` holds at most the cap, and so does `alloc` once a round is over.
 */
#ifndef AL_TCACHE_LIMIT_H
#define AL_TCACHE_LIMIT_H

#include "alloc/tcache.h"

/* Reads opt.tcache_max and opt.tcache_ncached_max. */
void al_tcache_limit_boot(size_t max_bytes, const char *caps);

/* The cap options leave a class of which a thread would keep `cap`. */
uint16_t al_tcache_limit_of(unsigned class_idx, uint32_t cap);

/* Largest size that thread caches hold by options, a class's. */
size_t al_tcache_limit_max_bytes(void);

/* The cache is emptied. bytes is brought into range and rounded up to a class. */
void al_tcache_set_max(struct al_tcache *cache, size_t bytes);
size_t al_tcache_max(const struct al_tcache *cache);

/* "lo-hi:n|lo-hi:n": sizes in bytes. */
AL_NODISCARD bool al_tcache_set_caps(struct al_tcache *cache, const char *text);
uint32_t al_tcache_cap(struct al_tcache *cache, unsigned class_idx);

/* The next thread begins with what options say. */
void al_tcache_forget_limits(struct al_tcache *cache);

/* Sees what the thread has now, once it was asked for or reset; the most it has had since. */
void al_tcache_peak_update(struct al_tcache *cache);
uint64_t al_tcache_peak(struct al_tcache *cache);
void al_tcache_peak_reset(struct al_tcache *cache);

#endif
