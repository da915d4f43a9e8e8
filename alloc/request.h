/* SPDX-License-Identifier: BSD-2-Clause
 *
 * request — one allocation or one free, whatever its size, its alignment, its arena and the
 * state of its thread. The slow half of every entry point.
 *
 * Threads: any. No lock of alloc is held.
 * Fails:   NULL: no memory, nothing changed. errno is the entry point's business.
 * Misuse that is seen stops the process; docs/MISUSE.md has the table.
 */
#ifndef AL_REQUEST_H
#define AL_REQUEST_H

#include "alloc/arena.h"
#include "alloc/base.h"

/* is_zeroed may be NULL; else it says whether all requested bytes read as zero. For a small
 * block of fresh memory the link word has been cleared too then.
 */
AL_NODISCARD void *al_request_malloc(size_t size_bytes, bool *is_zeroed);
AL_NODISCARD void *al_request_malloc_aligned(size_t size_bytes, size_t align_bytes,
                                             bool *is_zeroed);

struct al_tcache_explicit;

/* From an arena of the caller's choice, past the thread's cache; by way of an explicit one, or
 * NULL.
 */
AL_NODISCARD void *al_request_malloc_past(struct al_arena *arena, struct al_tcache_explicit *past,
                                          size_t size_bytes, size_t align_bytes, bool *is_zeroed);
void al_request_free_past(void *ptr, struct al_tcache_explicit *past);

/* ptr is not NULL. */
void al_request_free(void *ptr);
size_t al_request_usable_bytes(const void *ptr);

/* Moves or resizes; NULL: the old object is as it was. size_bytes may be 0 (smallest class). */
AL_NODISCARD void *al_request_realloc(void *ptr, size_t size_bytes);

/* Resizes without moving. Returns whether the usable size now covers size_bytes and is not
 * larger than a fresh allocation's would be. */
bool al_request_resize(void *ptr, size_t size_bytes, size_t align_bytes);

/* Dies unless an allocation of this size and alignment could have given ptr. */
void al_request_check_size(const void *ptr, size_t size_bytes, size_t align_bytes);

void al_request_count_zero_realloc(void);
uint64_t al_request_zero_realloc_count(void);

#endif
