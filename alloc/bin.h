/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bin — the slabs of one size class of one arena, behind one lock.
 *
 * Owns:    the slabs' lists. A slab with free blocks or slots not yet carved is on one of four
 *          lists by how full it is; a full one is on none, and is found through the map when
 *          a block of it comes back.
 * Threads: rank AL_RANK_BIN; slabs are made and given up with no lock held.
 * Fails:   al_bin_fill says 0 blocks: no memory, nothing changed.
 * Why lists of blocks and not bits: a whole free list moves from a slab to a cache in O(1).
 *
 * Invariants of a slab, walked by al_bin_check:
 *   I1  free_list has free_count blocks, each in a carved slot, none twice
 *   I2  free_count <= carved_count <= slot_count
 *   I3  it is on the list of its fullness, or on none if nothing can be had from it
 *   I4  used_count of the bin is the sum of carved_count - free_count
 */
#ifndef AL_BIN_H
#define AL_BIN_H

#include "alloc/base.h"
#include "alloc/extent.h"
#include "alloc/lock.h"
#include "alloc/runs.h"

struct al_bin {
    AL_ALIGNED(AL_CACHE_LINE_BYTES) struct al_lock lock;

    struct al_runs *runs; /* never changes: where slabs come from */

    /* Guarded by lock. */
    uint32_t list_idx[AL_BIN_LIST_COUNT]; /* heads; 0: empty */
    _Atomic uint32_t pending_idx; /* slabs taken off the queue, not yet drained; read relaxed */
    uint32_t slab_count;
    uint64_t used_count; /* blocks handed out and not yet back; remote ones count until drained */

    /* Atomic: slabs whose remote list was empty and now is not, through remote_next_idx.
     * Pushed by any thread (release), taken whole under the lock (acquire): no ABA. */
    _Atomic uint32_t queue_idx;
    uint32_t listed_count; /* guarded by lock: slabs on the lists, all that are not full */
};
static_assert(sizeof(struct al_bin) == AL_CACHE_LINE_BYTES, "bins never share a line");

/* What has gone through one class of one arena since start. blocks in use: those taken less those
 * given back; the bins know how many.
 */
struct al_bin_counts {
    /* Guarded by the lock of the class's bin. */
    uint64_t taken_count;
    uint64_t fill_count;
    uint64_t flush_count;
    uint64_t slab_count;
    /* Guarded by the lock of the bin of sampled objects. */
    uint64_t sampled_count;
    uint64_t sampled_slab_count;
    /* Atomic, relaxed: allocations of threads that have ended. */
    _Atomic uint64_t past_request_count;
};

/* The counters of a bin's class; NULL: nobody counts. */
AL_INLINE struct al_bin_counts *al_bin_counts_of(const struct al_bin *bin, unsigned class_idx) {
    return bin->runs->bin_counts != NULL ? &bin->runs->bin_counts[class_idx] : NULL;
}

/* A list of blocks linked through their first words. */
struct al_list {
    void *head;
    uint32_t count;
    bool is_zeroed; /* but for the links */
};

/* At least one block, about `want`, seldom more than twice that (a slab's whole list). */
struct al_list al_bin_fill(struct al_bin *bin, unsigned class_idx, uint32_t want);

/* One block, for callers without a cache; NULL: no memory. */
AL_NODISCARD void *al_bin_take_one(struct al_bin *bin, unsigned class_idx);

/* Takes blocks of this bin back. Dies if one is not such a block's start. */
void al_bin_flush(struct al_bin *bin, struct al_list list);

/* Gives a list of `count` blocks of one slab, linked head to tail, back from a thread of
 * another arena: one compare-and-swap, no lock. Returns whether all of the slab has now come back
 * this way, as far as can be seen: al_bin_drain gives such slabs up without a look at their blocks.
 */
bool al_bin_push_remote(struct al_bin *bin, uint32_t slab_idx, void *head, void *tail,
                        uint32_t count);

/* Brings what other threads pushed into the slabs' own lists, and gives up empty slabs; the lock is
 * held for some slabs at a time.
 */
void al_bin_drain(struct al_bin *bin);

/* The same of slabs of sampled objects: one block, whose record is to be set; NULL: no memory. */
AL_NODISCARD void *al_bin_sampled_take(struct al_bin *bin, unsigned class_idx);
void al_bin_sampled_set(const void *block, uint32_t slab_idx, void *record);

/* The record of the block, which must be one that is allocated; and the block's return: whether the
 * bin's last slab is empty now, and stays.
 */
void *al_bin_sampled_record(const void *block, uint32_t slab_idx);
bool al_bin_sampled_give(struct al_bin *bin, void *block, uint32_t slab_idx);

/* Gives up the empty slab that samples keep for the next of them. */
void al_bin_drop_empty(struct al_bin *bin);

/* Dies unless `block` is the start of a carved slot of the slab. */
void al_bin_check_block(const struct al_extent *slab, const void *block);

void al_bin_check(struct al_bin *bin, unsigned class_idx);

#endif
