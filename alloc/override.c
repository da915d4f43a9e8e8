/* SPDX-License-Identifier: BSD-2-Clause
 *
 * override — the C library's names. Left out of the prefixed library that sanitizers test.
 *
 * Each is a function of its own and not an alias, so that malloc and free have their fast
 * path inside them: an alias could not be inlined into, and a call would cost two jumps.
 */
#include "alloc/malloc.h"
#include "alloc/malloc_fast.h"
#include "alloc/map.h"
#include "alloc/shadowed.h"

/* The prototypes are the C library's; including <stdlib.h> here would let the compiler know
 * malloc and free by heart and remove what it thinks has no effect.
 */
AL_EXPORT void *malloc(size_t size);
AL_EXPORT void *calloc(size_t count, size_t size);
AL_EXPORT void *realloc(void *ptr, size_t size);
AL_EXPORT void free(void *ptr);
AL_EXPORT void free_sized(void *ptr, size_t size);
AL_EXPORT void free_aligned_sized(void *ptr, size_t alignment, size_t size);
AL_EXPORT int posix_memalign(void **out, size_t alignment, size_t size);
AL_EXPORT void *aligned_alloc(size_t alignment, size_t size);
AL_EXPORT void *memalign(size_t alignment, size_t size);
AL_EXPORT void *valloc(size_t size);
AL_EXPORT void *pvalloc(size_t size);
AL_EXPORT size_t malloc_usable_size(void *ptr);

void *malloc(size_t size) {
    return al_malloc_fast(size);
}

/* By asking: a call goes to the malloc that the loader found first. Its address would not tell;
 * in a program with fixed addresses that is the program's own jump to it.
 */
bool al_is_shadowed(void) {
    void *const ptr = malloc(1);
    const bool is_ours = al_map_entry(ptr) != 0;

    free(ptr);
    return ptr != NULL && !is_ours;
}

void *calloc(size_t count, size_t size) {
    return al_calloc(count, size);
}

void *realloc(void *ptr, size_t size) {
    return al_realloc(ptr, size);
}

void free(void *ptr) {
    al_free_fast(ptr);
}

void free_sized(void *ptr, size_t size) {
    al_free_sized(ptr, size);
}

void free_aligned_sized(void *ptr, size_t alignment, size_t size) {
    al_free_aligned_sized(ptr, alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    return al_posix_memalign(out, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return al_aligned_alloc(alignment, size);
}

void *memalign(size_t alignment, size_t size) {
    return al_memalign(alignment, size);
}

void *valloc(size_t size) {
    return al_valloc(size);
}

void *pvalloc(size_t size) {
    return al_pvalloc(size);
}

size_t malloc_usable_size(void *ptr) {
    return al_malloc_usable_size(ptr);
}
