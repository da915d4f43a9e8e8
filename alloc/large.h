/* SPDX-License-Identifier: BSD-2-Clause
 *
 * large — allocations with a run of their own: above 64 KiB, or aligned beyond a granule.
 *
 * Owns:    their runs, and above AL_HUGE_MIN_BYTES mappings of their own.
 * Threads: any; an object's descriptor belongs to who owns the pointer.
 * Fails:   NULL or false: no memory, nothing changed.
 */
#ifndef AL_LARGE_H
#define AL_LARGE_H

#include "alloc/arena.h"
#include "alloc/base.h"
#include "alloc/extent.h"

/* From here on a mapping of its own: the heap's best fit gains nothing at such sizes, and
 * giving the pages back at once keeps the peak down.
 */
#define AL_HUGE_MIN_BYTES ((size_t)32 * 1024 * 1024)

/* Usable bytes of a large request: whole OS pages. size_bytes <= AL_SIZE_MAX_BYTES. */
size_t al_large_usable_bytes(size_t size_bytes);

/* align_bytes: a power of two. *is_zeroed: whether the caller would like it to read as zero; and
 * whether it does. Who does not care may be given pages that were another's.
 */
AL_NODISCARD void *al_large_malloc(struct al_arena *arena, size_t size_bytes, size_t align_bytes,
                                   bool *is_zeroed);

/* The descriptor of the large object that starts at ptr; dies if the map's entry does not say
 * so, naming the misuse.
 */
struct al_extent *al_large_extent(const void *ptr, uint64_t entry);

/* The object's return. Its record has been taken care of. */
void al_large_free(void *ptr, uint64_t entry);

/* Changes the size without moving. Growing: bytes beyond the old usable size read as zero if
 * *is_zeroed says so.
 */
AL_NODISCARD bool al_large_resize(struct al_extent *extent, size_t size_bytes, bool *is_zeroed);

/* Moves the object's pages to a new place of `size_bytes` without copying, where that is
 * cheaper; NULL: the caller copies. The old object is gone afterwards.
 */
AL_NODISCARD void *al_large_move(struct al_arena *arena, void *ptr, uint64_t entry,
                                 size_t size_bytes);

#endif
