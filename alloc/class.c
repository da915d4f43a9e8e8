/* SPDX-License-Identifier: BSD-2-Clause
 *
 * class — the one search: an aligned request.
 */
#include "alloc/class.h"

static_assert(AL_GRANULE_BYTES % AL_QUANTUM_BYTES == 0, "slabs start at quantum multiples");

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
    while (al_class_bytes(class_idx) % align_bytes != 0) {
        class_idx++;
        AL_ASSERT(class_idx < AL_CLASS_COUNT);
    }
    return class_idx;
}
