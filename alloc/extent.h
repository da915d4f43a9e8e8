/* SPDX-License-Identifier: BSD-2-Clause
 *
 * extent — the 64-byte descriptor of a run of granules: a slab, a large allocation, or a free
 * run. Kept apart from the memory it describes and named by a 32-bit index, so that a map
 * entry can hold it beside the arena's tag.
 *
 * Owns:    the table of descriptors, and the list of unused ones.
 * Threads: taking and giving by any (rank AL_RANK_EXTENTS). The fields of a descriptor are
 *          guarded by the lock of what it is: the bin's for a slab, the arena's run lock for
 *          a free run; a large allocation's belong to who owns the pointer.
 * Fails:   al_extent_take says 0: no memory.
 */
#ifndef AL_EXTENT_H
#define AL_EXTENT_H

#include "alloc/base.h"
#include "alloc/class.h"
#include "alloc/stale.h"

#include <stdatomic.h>

enum al_extent_kind {
    AL_EXTENT_NONE = 0,
    AL_EXTENT_SLAB,
    AL_EXTENT_SAMPLED, /* slab of sampled objects, with a record beside each */
    AL_EXTENT_LARGE,
    AL_EXTENT_HUGE, /* large, in a mapping of its own */
    AL_EXTENT_FREE,
    AL_EXTENT_BUSY, /* between two owners: nobody may merge with it */
};

enum {
    AL_BIN_LIST_COUNT = 4, /* by quarters of slots in use; 3 is the fullest */
    AL_BIN_LIST_NONE = AL_BIN_LIST_COUNT,
};

struct al_slab_part {
    void *free_list;         /* guarded by the bin's lock, as all that is not atomic here */
    _Atomic uint64_t remote; /* list of blocks freed by other arenas' threads: 48 bits of
                                address, 16 of count; pushed with release, taken with acquire */
    union {
        void *free_tail; /* slabs: last block of free_list; undefined while it is empty */
        void **records;  /* sampled slabs: the profiler's record of each slot */
    };
    uint32_t prev_idx; /* in the bin's list of this fullness; 0 ends */
    uint32_t next_idx;
    _Atomic uint32_t remote_next_idx; /* in the bin's queue of slabs with remote frees */
    uint32_t reciprocal;              /* ceil(2^32 / slot bytes): offset -> slot */
    uint16_t free_count;              /* blocks in free_list */
    _Atomic uint16_t carved_count;    /* slots ever handed out; written under the bin's lock */
    uint16_t slot_count;
    uint8_t list;      /* which of the bin's lists it is on; AL_BIN_LIST_NONE */
    uint8_t is_zeroed; /* slots not yet carved read as zero */
};

struct al_large_part {
    size_t usable_bytes;
    void *record; /* the profiler's; NULL if not sampled */
    size_t requested_bytes;
};

struct al_free_part {
    uint32_t left_idx, right_idx; /* treap by (granules, address) */
    uint32_t stale_granules[AL_STALE_COUNT];
    uint32_t is_skipped; /* purging failed here: do not try again until it changes */
};

struct al_extent {
    uintptr_t base_addr;
    uint32_t granules;
    _Atomic uint16_t arena_idx; /* atomic: neighbours of other arenas look at it */
    _Atomic uint8_t kind;       /* enum al_extent_kind; atomic as arena_idx */
    uint8_t class_idx;          /* of slabs */
    union {
        struct al_slab_part slab;
        struct al_large_part large;
        struct al_free_part free;
    };
};
static_assert(sizeof(struct al_extent) == AL_CACHE_LINE_BYTES, "a descriptor is a line");

enum {
    AL_EXTENT_BLOCK_LG = 12,
    AL_EXTENT_BLOCK_COUNT = 1 << AL_EXTENT_BLOCK_LG,
    AL_EXTENT_BLOCKS_MAX = 1 << 14, /* 2^26 descriptors: 1 TiB of the smallest slabs */
};

extern struct al_extent *al_extent_blocks[AL_EXTENT_BLOCKS_MAX];

/* idx was given by al_extent_take, or read from a map entry with an extent. */
AL_INLINE struct al_extent *al_extent_at(uint32_t idx) {
    return &al_extent_blocks[idx >> AL_EXTENT_BLOCK_LG][idx & (AL_EXTENT_BLOCK_COUNT - 1)];
}

/* Once, at start. */
void al_extent_init(void);

/* A descriptor of kind AL_EXTENT_BUSY, else as its last owner left it. 0: no memory. */
AL_NODISCARD uint32_t al_extent_take(void);
void al_extent_give(uint32_t idx);

/* Descriptors ever made; indexes 1 .. count - 1 exist. */
uint32_t al_extent_count(void);

AL_INLINE size_t al_extent_bytes(const struct al_extent *extent) {
    return (size_t)extent->granules << AL_GRANULE_LG;
}

AL_INLINE unsigned al_extent_kind(const struct al_extent *extent) {
    return atomic_load_explicit(&extent->kind, memory_order_acquire);
}

AL_INLINE void al_extent_set_kind(struct al_extent *extent, enum al_extent_kind kind) {
    atomic_store_explicit(&extent->kind, (uint8_t)kind, memory_order_release);
}

AL_INLINE unsigned al_extent_arena(const struct al_extent *extent) {
    return atomic_load_explicit(&extent->arena_idx, memory_order_relaxed);
}

AL_INLINE void al_extent_set_arena(struct al_extent *extent, unsigned arena_idx) {
    atomic_store_explicit(&extent->arena_idx, (uint16_t)arena_idx, memory_order_relaxed);
}

/* Of its lock, set back first if is_reset. */
struct al_lock_stats;
void al_extent_lock_stats(struct al_lock_stats *stats, bool is_reset);

void al_extent_fork_prepare(void);
void al_extent_fork_parent(void);
void al_extent_fork_child(void);

#endif
