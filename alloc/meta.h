/* SPDX-License-Identifier: BSD-2-Clause
 *
 * meta — memory for our own books: never beside user data, never given back.
 *
 * Owns:    blocks mapped from the kernel (the first is in .bss), cut from the front.
 * Threads: any. Rank AL_RANK_META; the kernel is asked with no lock held.
 * Fails:   NULL: no memory. Nothing has changed.
 * Why never given back: who needs a thing again keeps it on a list of its own (extents,
 *          caches), so a general free would be a second allocator under the first.
 */
#ifndef AL_META_H
#define AL_META_H

#include "alloc/base.h"

/* Zeroed, aligned to a cache line. bytes > 0. */
AL_NODISCARD void *al_meta_alloc(size_t bytes);

/* Bytes handed out so far, ours in .bss included: what stats call metadata. */
size_t al_meta_bytes(void);

/* Counts memory that others mapped for books of their own (prof's tables). May be negative. */
void al_meta_account(ptrdiff_t bytes);

/* Of its lock, set back first if is_reset. */
struct al_lock_stats;
void al_meta_lock_stats(struct al_lock_stats *stats, bool is_reset);

void al_meta_fork_prepare(void);
void al_meta_fork_parent(void);
void al_meta_fork_child(void);

#endif
