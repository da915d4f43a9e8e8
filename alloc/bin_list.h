/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bin_list — what the files of the bin share: its lists of slabs, and a block from them.
 *
 * Threads: as the names say, the caller holds the bin's lock.
 */
#ifndef AL_BIN_LIST_H
#define AL_BIN_LIST_H

#include "alloc/bin.h"

/* Off the list it is on, if any; and onto the one that its fullness wants. */
void al_bin_unlist_locked(struct al_bin *bin, struct al_extent *slab);
void al_bin_relist_locked(struct al_bin *bin, struct al_extent *slab, uint32_t idx);

/* One block of a slab of the kind, made if there is none with room; NULL: no memory. No lock held.
 */
AL_NODISCARD void *al_bin_take_kind(struct al_bin *bin, unsigned class_idx,
                                    enum al_extent_kind kind);

#endif
