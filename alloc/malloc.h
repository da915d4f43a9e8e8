/* SPDX-License-Identifier: BSD-2-Clause
 *
 * malloc — the allocator under its own names, for tests and sanitizer builds. override.c and
 * override_new.cc give the same functions the C library's and C++'s names.
 *
 * Threads: any, also before main, in atexit handlers and in destructors of thread-local data.
 * Fails:   as reference pages of malloc(3) say, with jemalloc's errno rules: malloc, calloc,
 *          realloc, aligned_alloc set errno; memalign, valloc, pvalloc leave it alone;
 *          posix_memalign returns it. Misuse that is seen stops the process with one line.
 * Sizes are in bytes. A size of 0 gives a unique object of the smallest class.
 */
#ifndef AL_MALLOC_H
#define AL_MALLOC_H

#include "alloc/base.h"

void *al_malloc(size_t size_bytes);
void *al_calloc(size_t count, size_t size_bytes);
void *al_realloc(void *ptr, size_t size_bytes);
void al_free(void *ptr);
void al_free_sized(void *ptr, size_t size_bytes);
void al_free_aligned_sized(void *ptr, size_t align_bytes, size_t size_bytes);
int al_posix_memalign(void **out, size_t align_bytes, size_t size_bytes);
void *al_aligned_alloc(size_t align_bytes, size_t size_bytes);
void *al_memalign(size_t align_bytes, size_t size_bytes);
void *al_valloc(size_t size_bytes);
void *al_pvalloc(size_t size_bytes);
size_t al_malloc_usable_size(const void *ptr);

/* The usable size an allocation of this size and alignment would get; 0 if it cannot be had. */
size_t al_good_size(size_t size_bytes, size_t align_bytes);

#endif
