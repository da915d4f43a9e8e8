/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bin_sampled — slabs of sampled objects: one block at a time, always under the lock, with the
 * profiler's record beside each.
 */
#include "alloc/bin.h"
#include "alloc/bin_list.h"
#include "alloc/slab.h"

void *al_bin_sampled_take(struct al_bin *bin, unsigned class_idx) {
    return al_bin_take_kind(bin, class_idx, AL_EXTENT_SAMPLED);
}

static uint32_t sampled_slot(const void *block, uint32_t slab_idx) {
    AL_ASSERT(al_extent_kind(al_extent_at(slab_idx)) == AL_EXTENT_SAMPLED);
    const struct al_extent *const slab = al_extent_at(slab_idx);

    al_bin_check_block(slab, block);
    return al_slab_slot_of(slab, (uint32_t)((uintptr_t)block - slab->base_addr));
}

void al_bin_sampled_set(const void *block, uint32_t slab_idx, void *record) {
    AL_ASSERT(record != NULL);
    al_extent_at(slab_idx)->slab.records[sampled_slot(block, slab_idx)] = record;
}

void *al_bin_sampled_record(const void *block, uint32_t slab_idx) {
    void *const record = al_extent_at(slab_idx)->slab.records[sampled_slot(block, slab_idx)];

    if (record == NULL) {
        al_die_ptr("freed twice", block);
    }
    return record;
}

bool al_bin_sampled_give(struct al_bin *bin, void *block, uint32_t slab_idx) {
    struct al_extent *const slab = al_extent_at(slab_idx);
    const uint32_t slot = sampled_slot(block, slab_idx);

    al_lock_take(&bin->lock, AL_RANK_BIN);
    if (slab->slab.records[slot] == NULL) { /* two threads freed it at the same time */
        al_die_ptr("freed twice", block);
    }
    slab->slab.records[slot] = NULL;
    *(void **)block = slab->slab.free_list;
    slab->slab.free_list = block;
    slab->slab.free_count++;
    bin->used_count--;
    /* The last slab stays: samples come one by one, and making a slab costs more than the rest
     * of a sample.
     */
    const bool is_empty = slab->slab.free_count == slab->slab.carved_count;
    const bool is_surplus = is_empty && bin->slab_count > 1;
    if (is_surplus) {
        al_bin_unlist_locked(bin, slab);
        bin->slab_count--;
    } else {
        al_bin_relist_locked(bin, slab, slab_idx);
    }
    al_lock_give(&bin->lock);
    if (is_surplus) {
        al_slab_destroy(bin->runs, slab_idx);
    }
    return is_empty && !is_surplus;
}

void al_bin_drop_empty(struct al_bin *bin) {
    al_lock_take(&bin->lock, AL_RANK_BIN);
    uint32_t idx = bin->list_idx[0]; /* where the emptiest are */
    while (idx != 0 && al_extent_at(idx)->slab.free_count != al_extent_at(idx)->slab.carved_count) {
        idx = al_extent_at(idx)->slab.next_idx;
    }
    if (idx != 0) {
        al_bin_unlist_locked(bin, al_extent_at(idx));
        bin->slab_count--;
    }
    al_lock_give(&bin->lock);
    if (idx != 0) {
        al_slab_destroy(bin->runs, idx);
    }
}
