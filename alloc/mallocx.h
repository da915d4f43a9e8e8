/* SPDX-License-Identifier: BSD-2-Clause
 *
 * mallocx — jemalloc's extended entry points and their flags, as reference documents of
 * jemalloc(3) give them.
 *
 * Threads: any.
 * Fails:   mallocx, rallocx: NULL, errno untouched, the old object kept. xallocx: the usable
 *          size the object has in the end. nallocx: 0.
 * Flags:   bits 0-5 log2 of the alignment, bit 6 zero, bits 8-19 a thread cache + 2 (1: none),
 *          bits 20-31 an arena + 1.
 */
#ifndef AL_MALLOCX_H
#define AL_MALLOCX_H

#include "alloc/base.h"

void *al_mallocx(size_t size_bytes, int flags);
void *al_rallocx(void *ptr, size_t size_bytes, int flags);
size_t al_xallocx(void *ptr, size_t size_bytes, size_t extra_bytes, int flags);
size_t al_sallocx(const void *ptr, int flags);
void al_dallocx(void *ptr, int flags);
void al_sdallocx(void *ptr, size_t size_bytes, int flags);
size_t al_nallocx(size_t size_bytes, int flags);

#endif
