/* SPDX-License-Identifier: BSD-2-Clause
 *
 * extent — descriptors in blocks that never move, unused ones on one list.
 *
 * The first block lies in .bss: a small process asks the kernel for none.
 */
#include "alloc/extent.h"

#include "alloc/lock.h"
#include "alloc/meta.h"

static AL_SPARSE AL_ALIGNED(AL_CACHE_LINE_BYTES)
struct al_extent first_block[AL_EXTENT_BLOCK_COUNT];

/* Filled in by al_extent_init: with an initialiser its 128 KiB would lie in the library's file, and
 * be resident in every process.
 */
AL_SPARSE struct al_extent *al_extent_blocks[AL_EXTENT_BLOCKS_MAX];

static struct {
    struct al_lock lock;
    uint32_t unused_idx; /* head of the list through slab.next_idx; 0 ends */
    uint32_t made_count; /* index 0 is never given out */
    uint32_t room_count; /* in the blocks there are */
} table = {.made_count = 1, .room_count = AL_EXTENT_BLOCK_COUNT};

void al_extent_init(void) {
    al_extent_blocks[0] = first_block;
}

static uint32_t take_locked(void) {
    al_lock_assert_held(&table.lock);
    uint32_t idx = table.unused_idx;

    if (idx != 0) {
        table.unused_idx = al_extent_at(idx)->slab.next_idx;
    } else if (table.made_count < table.room_count) {
        idx = table.made_count++;
    }
    return idx;
}

uint32_t al_extent_take(void) {
    al_lock_take(&table.lock, AL_RANK_EXTENTS);
    uint32_t idx = take_locked();
    const uint32_t room_count = table.room_count;
    al_lock_give(&table.lock);

    if (AL_UNLIKELY(idx == 0)) {
        const uint32_t block_idx = room_count >> AL_EXTENT_BLOCK_LG;
        if (block_idx >= AL_EXTENT_BLOCKS_MAX) {
            return 0;
        }
        struct al_extent *const block =
            al_meta_alloc(sizeof(struct al_extent) * AL_EXTENT_BLOCK_COUNT);
        if (block == NULL) {
            return 0;
        }
        al_lock_take(&table.lock, AL_RANK_EXTENTS);
        if (table.room_count == room_count) {
            al_extent_blocks[block_idx] = block;
            table.room_count += AL_EXTENT_BLOCK_COUNT;
        } /* else another thread added one; ours, 256 KiB untouched, is lost: once a race */
        idx = take_locked();
        al_lock_give(&table.lock);
        if (idx == 0) {
            return 0;
        }
    }
    al_extent_set_kind(al_extent_at(idx), AL_EXTENT_BUSY);
    return idx;
}

void al_extent_give(uint32_t idx) {
    struct al_extent *const extent = al_extent_at(idx);

    AL_ASSERT(idx != 0);
    al_extent_set_kind(extent, AL_EXTENT_NONE);
    al_lock_take(&table.lock, AL_RANK_EXTENTS);
    extent->slab.next_idx = table.unused_idx;
    table.unused_idx = idx;
    al_lock_give(&table.lock);
}

uint32_t al_extent_count(void) {
    al_lock_take(&table.lock, AL_RANK_EXTENTS);
    const uint32_t count = table.made_count;
    al_lock_give(&table.lock);
    return count;
}

void al_extent_lock_stats(struct al_lock_stats *stats, bool is_reset) {
    al_lock_take(&table.lock, AL_RANK_EXTENTS);
    if (is_reset) {
        al_lock_stats_reset_locked(&table.lock);
    }
    al_lock_stats_read_locked(&table.lock, stats);
    al_lock_give(&table.lock);
}

void al_extent_fork_prepare(void) {
    al_lock_take(&table.lock, AL_RANK_EXTENTS);
}

void al_extent_fork_parent(void) {
    al_lock_give(&table.lock);
}

void al_extent_fork_child(void) {
    al_lock_reset(&table.lock);
}
