/* SPDX-License-Identifier: BSD-2-Clause
 *
 * override_mallocx — jemalloc's public names for the extended entry points.
 */
#include "alloc/mallocx.h"

AL_EXPORT void *mallocx(size_t size, int flags);
AL_EXPORT void *rallocx(void *ptr, size_t size, int flags);
AL_EXPORT size_t xallocx(void *ptr, size_t size, size_t extra, int flags);
AL_EXPORT size_t sallocx(const void *ptr, int flags);
AL_EXPORT void dallocx(void *ptr, int flags);
AL_EXPORT void sdallocx(void *ptr, size_t size, int flags);
AL_EXPORT size_t nallocx(size_t size, int flags);

void *mallocx(size_t size, int flags) {
    return al_mallocx(size, flags);
}

void *rallocx(void *ptr, size_t size, int flags) {
    return al_rallocx(ptr, size, flags);
}

size_t xallocx(void *ptr, size_t size, size_t extra, int flags) {
    return al_xallocx(ptr, size, extra, flags);
}

size_t sallocx(const void *ptr, int flags) {
    return al_sallocx(ptr, flags);
}

void dallocx(void *ptr, int flags) {
    al_dallocx(ptr, flags);
}

void sdallocx(void *ptr, size_t size, int flags) {
    al_sdallocx(ptr, size, flags);
}

size_t nallocx(size_t size, int flags) {
    return al_nallocx(size, flags);
}
