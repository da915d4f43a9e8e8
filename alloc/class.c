/* SPDX-License-Identifier: BSD-2-Clause
 *
 * class — the one search: an aligned request.
 */
#include "alloc/class.h"

static_assert(AL_GRANULE_BYTES % AL_QUANTUM_BYTES == 0, "slabs start at quantum multiples");

/* The same class 2, 4, 8, 16, 32, 64 times; and the four or eight of a doubling. */
#define X2(idx)       (idx), (idx)
#define X4(idx)       X2(idx), X2(idx)
#define X8(idx)       X4(idx), X4(idx)
#define X16(idx)      X8(idx), X8(idx)
#define X32(idx)      X16(idx), X16(idx)
#define X64(idx)      X32(idx), X32(idx)
#define X1(idx)       (idx)
#define FOUR(x, idx)  x(idx), x((idx) + 1), x((idx) + 2), x((idx) + 3)
#define EIGHT(x, idx) FOUR(x, idx), FOUR(x, (idx) + 4)

/* The first eight are of sizes up to 1 KiB, which do not come here. */
const uint8_t al_class_table[AL_SMALL_MAX_BYTES >> AL_CLASS_TABLE_LG] = {
    X8(0), EIGHT(X1, 65), EIGHT(X2, 73), FOUR(X8, 81), FOUR(X16, 85), FOUR(X32, 89), FOUR(X64, 93),
};
#undef X1
#undef X2
#undef X4
#undef X8
#undef X16
#undef X32
#undef X64
#undef FOUR
#undef EIGHT

unsigned al_class_of_aligned(size_t size_bytes, size_t align_bytes) {
    AL_ASSERT(al_is_pow2(align_bytes));
    if (align_bytes > AL_GRANULE_BYTES || size_bytes > AL_SMALL_MAX_BYTES) {
        return 0;
    }
    size_bytes = al_round_up(size_bytes != 0 ? size_bytes : 1, align_bytes);
    if (size_bytes > AL_SMALL_MAX_BYTES) {
        return 0;
    }
    /* Each doubling's top is a power of two, so the search ends at the next one. */
    unsigned class_idx = al_class_of(size_bytes);
    while ((al_class_bytes(class_idx) & (align_bytes - 1)) != 0) {
        class_idx++;
        AL_ASSERT(class_idx < AL_CLASS_COUNT);
    }
    return class_idx;
}
