/* SPDX-License-Identifier: BSD-2-Clause
 *
 * class — bytes to size class and back, by arithmetic alone.
 *
 *   classes        sizes                step            slab
 *   1 .. 64        16 .. 1024           16              16 KiB to 256 B, then 32 KiB
 *   65 .. 80       1152 .. 4096         8 a doubling    64 KiB
 *   81 .. 96       5120 .. 65536        4 a doubling    64 KiB to 8 KiB, 128 to 32, then 256
 *
 * Class 0 is nobody's: it stands for malloc(0) on the fast path, where its empty list leads
 * to the slow path, which serves class 1. Above 64 KiB an allocation has a run of its own.
 *
 * Every class is a multiple of 16 and every slab starts at a granule, so an object is aligned
 * to the largest power of two that divides its class, up to a granule.
 */
#ifndef AL_CLASS_H
#define AL_CLASS_H

#include "alloc/base.h"
#include "alloc/bits.h"

enum {
    AL_QUANTUM_BYTES = 16,
    AL_GRANULE_LG = 14,
    AL_GRANULE_BYTES = 1 << AL_GRANULE_LG,
    AL_CLASS_COUNT = 97, /* with class 0 */
    AL_CLASS_FINE_MAX_BYTES = 1024,
    AL_CLASS_FINE_LAST = 64,
    AL_SMALL_MAX_BYTES = 65536,
};

/* Largest request there is: jemalloc's bound; rounding it up can never wrap. */
#define AL_SIZE_MAX_BYTES ((size_t)0x7000000000000000)

/* Classes by (size - 1) / 128: all above 1 KiB are at least that far apart. A scan for the highest
 * bit and two shifts by it would take three times as long.
 */
enum { AL_CLASS_TABLE_LG = 7 };
extern AL_HIDDEN const uint8_t al_class_table[AL_SMALL_MAX_BYTES >> AL_CLASS_TABLE_LG];

/* Class of a size in 1025 .. AL_SMALL_MAX_BYTES. */
AL_INLINE unsigned al_class_of_coarse(size_t size_bytes) {
    return al_class_table[(size_bytes - 1) >> AL_CLASS_TABLE_LG];
}

/* size_bytes <= AL_SMALL_MAX_BYTES; 0 gives class 0. */
AL_INLINE unsigned al_class_of(size_t size_bytes) {
    if (AL_LIKELY(size_bytes <= AL_CLASS_FINE_MAX_BYTES)) {
        return (unsigned)((size_bytes + AL_QUANTUM_BYTES - 1) / AL_QUANTUM_BYTES);
    }
    return al_class_of_coarse(size_bytes);
}

/* 1 <= class_idx < AL_CLASS_COUNT. */
AL_INLINE size_t al_class_bytes(unsigned class_idx) {
    if (class_idx <= AL_CLASS_FINE_LAST) {
        return (size_t)class_idx * AL_QUANTUM_BYTES;
    }
    if (class_idx <= 80) {
        const unsigned step = class_idx - 65;
        return (size_t)(8 + step % 8 + 1) << (7 + step / 8);
    }
    const unsigned step = class_idx - 81;
    return (size_t)(4 + step % 4 + 1) << (10 + step / 4);
}

AL_INLINE uint32_t al_class_slab_granules(unsigned class_idx) {
    const size_t size_bytes = al_class_bytes(class_idx);

    return size_bytes <= 256     ? 1
           : size_bytes <= 1024  ? 2
           : size_bytes <= 8192  ? 4
           : size_bytes <= 32768 ? 8
                                 : 16;
}

/* Objects in a slab, at least 4. */
AL_INLINE uint32_t al_class_slab_slots(unsigned class_idx) {
    return (uint32_t)(((size_t)al_class_slab_granules(class_idx) << AL_GRANULE_LG) /
                      al_class_bytes(class_idx));
}

/* Large allocations are exact to the page; for statistics they fall into jemalloc's classes: four a
 * doubling from 80 KiB to 0x7000000000000000 bytes.
 */
enum { AL_LARGE_CLASS_COUNT = 187, AL_LARGE_CLASS_LG_FIRST = 16 };

AL_INLINE size_t al_large_class_bytes(unsigned large_idx) {
    return (size_t)(4 + large_idx % 4 + 1) << (AL_LARGE_CLASS_LG_FIRST - 2 + large_idx / 4);
}

/* The smallest that holds 1 <= bytes <= AL_SIZE_MAX_BYTES. */
AL_INLINE unsigned al_large_class_of(size_t bytes) {
    const unsigned lg = 63 - (unsigned)__builtin_clzll(((uint64_t)bytes - 1) | 1);

    return lg < AL_LARGE_CLASS_LG_FIRST
               ? 0
               : (lg - AL_LARGE_CLASS_LG_FIRST) * 4 +
                     (unsigned)((bytes - 1 - ((size_t)1 << lg)) >> (lg - 2));
}

/* The class for a request with an alignment of up to a granule; 0: it needs a run. The class
 * is the smallest that is a multiple of the alignment: at most 8 steps away from the size.
 */
unsigned al_class_of_aligned(size_t size_bytes, size_t align_bytes);

#endif
