/* SPDX-License-Identifier: BSD-2-Clause
 *
 * slab — a run of granules cut into equal slots, all of one class.
 *
 *   base_addr                                                    base_addr + bytes
 *   | slot 0 | slot 1 | ... | slot carved-1 |  not yet touched  |  tail  |
 *                                                               |<------>| less than a slot
 *
 * Slots are carved about a page at a time, so a slab costs no more memory than it has used.
 *
 * Owns:    its run and, for a slab of sampled objects, an array of records.
 * Threads: creating and destroying: no lock held, the slab in nobody else's sight.
 * Fails:   al_slab_create says 0: no memory.
 */
#ifndef AL_SLAB_H
#define AL_SLAB_H

#include "alloc/base.h"
#include "alloc/extent.h"
#include "alloc/runs.h"

/* Carved at a time: the OS page, so that no page is touched before it is needed. */
enum { AL_SLAB_CARVE_BYTES = 4096 };

/* kind: AL_EXTENT_SLAB or AL_EXTENT_SAMPLED. */
AL_NODISCARD uint32_t al_slab_create(struct al_runs *runs, unsigned class_idx,
                                     enum al_extent_kind kind);
void al_slab_destroy(struct al_runs *runs, uint32_t slab_idx);

/* offset / slot bytes by multiplication. Exact for the start of a slot: the rounding error is
 * below offset / 2^32 < 1. In the middle of a slot the next one may be named, whose start the
 * offset is not either: al_bin_check_block relies on no more.
 */
AL_INLINE uint32_t al_slab_slot_of(const struct al_extent *slab, uint32_t offset_bytes) {
    return (uint32_t)((uint64_t)offset_bytes * slab->slab.reciprocal >> 32);
}

/* The word of remote frees: 48 bits of address, 16 of count. A slab has at most 1,024 slots,
 * so the count cannot overflow; addresses have 47 bits (map.h). */
AL_INLINE void *al_slab_remote_head(uint64_t remote) {
    return (void *)(uintptr_t)(remote >> 16);
}

AL_INLINE uint32_t al_slab_remote_count(uint64_t remote) {
    return (uint32_t)(remote & 0xffff);
}

AL_INLINE uint64_t al_slab_remote_make(const void *head, uint32_t count) {
    return (uint64_t)(uintptr_t)head << 16 | count;
}

void al_slab_fork_prepare(void);
void al_slab_fork_parent(void);
void al_slab_fork_child(void);

#endif
