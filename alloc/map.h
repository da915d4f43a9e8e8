/* SPDX-License-Identifier: BSD-2-Clause
 *
 * map — address to owner: 8 bytes for each granule (16 KiB) of the address space.
 *
 *   entry   63              32 31            13 12             0
 *           |  extent index   |  arena tag     |  bin offset   |   object of a slab
 *           |  extent index   |  0             |  a code below |   everything else
 *
 * The low word of a slab's entry, xored with a thread cache's tag, is the offset of the bin
 * in that cache if and only if the slab is of the cache's arena; otherwise it is 8192 or more.
 * So one load, one xor and one compare tell free() all it must know.
 *
 * Owns:    the table. Flat: 64 GiB of address space that cost nothing until committed in
 *          windows of 1 MiB (2 GiB of addresses each) around our heaps, the stack and the
 *          program: reading elsewhere faults, which is what a wild pointer deserves.
 *          Fallbacks: fewer index bits (addresses then alias, so our heaps stay inside one
 *          span and each slab checks its range), then a table of tables that only the slow
 *          path reads (mask 0: every fast lookup finds the empty slot).
 * Threads: entries are written by who owns the granules, before it publishes pointers into
 *          them; read by anybody.
 * Fails:   al_map_cover says false: no memory for the table, or an address out of reach.
 */
#ifndef AL_MAP_H
#define AL_MAP_H

#include "alloc/base.h"
#include "alloc/class.h"

#include <stdatomic.h>

enum {
    AL_MAP_TAG_SHIFT = 13,
    /* Where bins lie in a thread cache; tcache.h asserts it. */
    AL_MAP_BIN_FIRST_BYTES = 32,
    AL_MAP_BIN_BYTES = 32,
};

/* Low words without a tag. */
enum al_map_code {
    AL_MAP_NONE = 0,
    AL_MAP_FREE_CLEAN = 1,     /* free granule, reads as zero */
    AL_MAP_FREE_DIRTY = 2,     /* free granule, may hold pages */
    AL_MAP_FREE_MUZZY = 3,     /* free granule whose pages the kernel may take, or has taken */
    AL_MAP_LARGE = 4,          /* first granule of a large allocation */
    AL_MAP_LARGE_INTERIOR = 5, /* a further one */
    AL_MAP_SAMPLED = 6,        /* slab of sampled objects */
    AL_MAP_BUSY = 7,           /* between two owners */
};

AL_INLINE bool al_map_low_is_free(uint32_t low) {
    return low - AL_MAP_FREE_CLEAN <= AL_MAP_FREE_MUZZY - AL_MAP_FREE_CLEAN;
}

enum al_map_mode {
    AL_MAP_MODE_NONE,
    AL_MAP_MODE_FLAT,   /* all of 47 bits */
    AL_MAP_MODE_NARROW, /* fewer bits */
    AL_MAP_MODE_TWO_LEVEL,
};

/* Read by every free(); never changes after al_map_init. */
struct al_map {
    _Atomic uint64_t *slots;
    uint64_t mask;
};
extern AL_HIDDEN struct al_map al_map;

typedef uint32_t al_map_word __attribute__((may_alias));
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low word of an entry comes first");

/* Rotating first puts the low four bits on top: a pointer that is not 16-byte aligned indexes
 * far outside the table and faults in hardware, with no instruction spent on the check.
 */
AL_INLINE uint64_t al_map_index_fast(const void *ptr) {
    uint64_t idx = (uint64_t)(uintptr_t)ptr;

    idx = (idx >> 4) | (idx << 60);
    return (idx >> 10) & al_map.mask;
}

AL_INLINE uint32_t al_map_low_fast(const void *ptr) {
    const uint64_t idx = al_map_index_fast(ptr);

    /* Half an entry is read: a load of the low word alone is one instruction less. */
    return __atomic_load_n((const al_map_word *)(uintptr_t)&al_map.slots[idx], __ATOMIC_RELAXED);
}

/* The whole entry, of an address whose low word could be read; 0 where the table has two levels. In
 * a narrow table another address may have the same.
 */
AL_INLINE uint64_t al_map_entry_fast(const void *ptr) {
    return atomic_load_explicit(&al_map.slots[al_map_index_fast(ptr)], memory_order_relaxed);
}

AL_INLINE uint32_t al_map_entry_low(uint64_t entry) {
    return (uint32_t)entry;
}

AL_INLINE uint32_t al_map_entry_extent(uint64_t entry) {
    return (uint32_t)(entry >> 32);
}

AL_INLINE uint64_t al_map_entry_make(uint32_t extent_idx, uint32_t low) {
    return ((uint64_t)extent_idx << 32) | low;
}

/* The low word for slabs of a class of an arena. Arena tag 0 is nobody's. */
AL_INLINE uint32_t al_map_tag(unsigned arena_idx) {
    return (uint32_t)(arena_idx + 1) << AL_MAP_TAG_SHIFT;
}

AL_INLINE uint32_t al_map_slab_low(unsigned arena_idx, unsigned class_idx) {
    return al_map_tag(arena_idx) | (AL_MAP_BIN_FIRST_BYTES + AL_MAP_BIN_BYTES * class_idx);
}

/* A slab's entry, not one of the codes. */
AL_INLINE bool al_map_entry_is_slab(uint64_t entry) {
    return al_map_entry_low(entry) >> AL_MAP_TAG_SHIFT != 0;
}

/* The class of such an entry. */
AL_INLINE unsigned al_map_entry_class(uint64_t entry) {
    const uint32_t offset_bytes = al_map_entry_low(entry) & ((1U << AL_MAP_TAG_SHIFT) - 1);

    return (offset_bytes - AL_MAP_BIN_FIRST_BYTES) / AL_MAP_BIN_BYTES;
}

/* Chooses the widest table there is room for. Called once, by the initialising thread.
 * A limit on address space (RLIMIT_AS) or a refusal leads to the fallbacks. Never fails: the
 * last one needs nothing.
 */
void al_map_init(void);
enum al_map_mode al_map_mode(void);

/* For tests: al_map_init takes at most `bits` index bits (0: the table of tables). */
void al_map_limit_bits(unsigned bits);

/* Makes entries of [base, base + bytes) writable. Called before granules are handed out. */
AL_NODISCARD bool al_map_cover(uintptr_t base_addr, size_t bytes);

/* The entry of any address, foreign ones too (then 0). Slow paths only. */
uint64_t al_map_entry(const void *ptr);

/* Sets `granules` entries from a covered, granule-aligned address on. */
void al_map_set(uintptr_t base_addr, size_t granules, uint64_t entry);

void al_map_fork_prepare(void);
void al_map_fork_parent(void);
void al_map_fork_child(void);

#endif
