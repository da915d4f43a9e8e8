/* SPDX-License-Identifier: BSD-2-Clause
 *
 * jemalloc.h — the interface of jemalloc 5.3, as Tally offers it: a program written for
 * jemalloc compiles against this header and links with -ltally, or runs on the compatibility
 * library libjemalloc.so.2 unchanged.
 *
 * Thread-safety: all functions may be called from any thread. Errors: functions that allocate
 * return NULL (mallocx and rallocx leave errno alone); mallctl and its kin return 0 or an
 * errno value.
 */
#ifndef JEMALLOC_H_
#define JEMALLOC_H_

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <strings.h>

#define JEMALLOC_VERSION           "5.3.0-0-g0000000000000000000000000000000000000000"
#define JEMALLOC_VERSION_MAJOR     5
#define JEMALLOC_VERSION_MINOR     3
#define JEMALLOC_VERSION_BUGFIX    0
#define JEMALLOC_VERSION_NREV      0
#define JEMALLOC_VERSION_GID       "0000000000000000000000000000000000000000"
#define JEMALLOC_VERSION_GID_IDENT 0000000000000000000000000000000000000000

#if defined(__cplusplus) && __cplusplus >= 201103L
#define JEMALLOC_NOTHROW
#define JEMALLOC_CXX_THROW noexcept(true)
#else
#define JEMALLOC_NOTHROW __attribute__((nothrow))
#define JEMALLOC_CXX_THROW
#endif
#define JEMALLOC_ATTR(s)             __attribute__((s))
#define JEMALLOC_ALIGNED(s)          JEMALLOC_ATTR(aligned(s))
#define JEMALLOC_ALLOC_SIZE(s)       JEMALLOC_ATTR(alloc_size(s))
#define JEMALLOC_ALLOC_SIZE2(s1, s2) JEMALLOC_ATTR(alloc_size(s1, s2))
#define JEMALLOC_EXPORT              JEMALLOC_ATTR(visibility("default"))
#define JEMALLOC_FORMAT_ARG(i)       JEMALLOC_ATTR(format_arg(i))
#define JEMALLOC_FORMAT_PRINTF(s, i) JEMALLOC_ATTR(format(printf, s, i))
#define JEMALLOC_NOINLINE            JEMALLOC_ATTR(noinline)
#define JEMALLOC_COLD                JEMALLOC_ATTR(cold)
#define JEMALLOC_RESTRICT_RETURN
#define JEMALLOC_ALLOCATOR
#define JEMALLOC_USABLE_SIZE_CONST

/* Flags of the mallocx family: bits 0-5 log2 of the alignment in bytes, bit 6 zeroed memory,
 * bits 8-19 an explicit thread cache, bits 20-31 an arena.
 */
#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_ALIGN(a)                                                                           \
    ((int)(((size_t)(a) < (size_t)INT_MAX) ? ffs((int)(a)) - 1                                     \
                                           : ffs((int)(((size_t)(a)) >> 32)) + 31))
#define MALLOCX_ZERO        ((int)0x40)
#define MALLOCX_TCACHE(tc)  ((int)(((tc) + 2) << 8))
#define MALLOCX_TCACHE_NONE MALLOCX_TCACHE(-1)
#define MALLOCX_ARENA(a)    ((((int)(a)) + 1) << 20)

/* Arena indexes with a meaning of their own, decimal so that they can be pasted into a name. */
#define MALLCTL_ARENAS_ALL       4096
#define MALLCTL_ARENAS_DESTROYED 4097

#ifdef __cplusplus
extern "C" {
#endif

/* Where messages go: NULL (the default) means descriptor 2. Must not allocate. */
extern JEMALLOC_EXPORT void (*malloc_message)(void *cbopaque, const char *s);

/* Options compiled into the program: define either with a static initialiser. */
extern JEMALLOC_EXPORT const char *malloc_conf;
extern JEMALLOC_EXPORT const char *malloc_conf_2_conf_harder;

JEMALLOC_EXPORT void *malloc(size_t size) JEMALLOC_CXX_THROW JEMALLOC_ATTR(malloc)
    JEMALLOC_ALLOC_SIZE(1);
JEMALLOC_EXPORT void *calloc(size_t num, size_t size) JEMALLOC_CXX_THROW JEMALLOC_ATTR(malloc)
    JEMALLOC_ALLOC_SIZE2(1, 2);
JEMALLOC_EXPORT int posix_memalign(void **memptr, size_t alignment, size_t size) JEMALLOC_CXX_THROW
    JEMALLOC_ATTR(nonnull(1));
JEMALLOC_EXPORT void *aligned_alloc(size_t alignment, size_t size) JEMALLOC_CXX_THROW
    JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT void *realloc(void *ptr, size_t size) JEMALLOC_CXX_THROW JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT void free(void *ptr) JEMALLOC_CXX_THROW;
JEMALLOC_EXPORT void free_sized(void *ptr, size_t size);
JEMALLOC_EXPORT void free_aligned_sized(void *ptr, size_t alignment, size_t size);
JEMALLOC_EXPORT void *memalign(size_t alignment, size_t size) JEMALLOC_CXX_THROW
    JEMALLOC_ATTR(malloc);
JEMALLOC_EXPORT void *valloc(size_t size) JEMALLOC_CXX_THROW JEMALLOC_ATTR(malloc);
JEMALLOC_EXPORT void *pvalloc(size_t size) JEMALLOC_CXX_THROW JEMALLOC_ATTR(malloc);
JEMALLOC_EXPORT size_t malloc_usable_size(void *ptr) JEMALLOC_CXX_THROW;

JEMALLOC_EXPORT void *mallocx(size_t size, int flags) JEMALLOC_ATTR(malloc) JEMALLOC_ALLOC_SIZE(1);
JEMALLOC_EXPORT void *rallocx(void *ptr, size_t size, int flags) JEMALLOC_ALLOC_SIZE(2);
JEMALLOC_EXPORT size_t xallocx(void *ptr, size_t size, size_t extra, int flags);
JEMALLOC_EXPORT size_t sallocx(const void *ptr, int flags) JEMALLOC_ATTR(pure);
JEMALLOC_EXPORT void dallocx(void *ptr, int flags);
JEMALLOC_EXPORT void sdallocx(void *ptr, size_t size, int flags);
JEMALLOC_EXPORT size_t nallocx(size_t size, int flags) JEMALLOC_ATTR(pure);

JEMALLOC_EXPORT int mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp,
                            size_t newlen);
JEMALLOC_EXPORT int mallctlnametomib(const char *name, size_t *mibp, size_t *miblenp);
JEMALLOC_EXPORT int mallctlbymib(const size_t *mib, size_t miblen, void *oldp, size_t *oldlenp,
                                 void *newp, size_t newlen);
JEMALLOC_EXPORT void malloc_stats_print(void (*write_cb)(void *, const char *), void *je_cbopaque,
                                        const char *opts);

/* Callbacks that give an arena its memory. bool: false is success. */
typedef struct extent_hooks_s extent_hooks_t;
typedef void *(extent_alloc_t)(extent_hooks_t *, void *, size_t, size_t, bool *, bool *, unsigned);
typedef bool(extent_dalloc_t)(extent_hooks_t *, void *, size_t, bool, unsigned);
typedef void(extent_destroy_t)(extent_hooks_t *, void *, size_t, bool, unsigned);
typedef bool(extent_commit_t)(extent_hooks_t *, void *, size_t, size_t, size_t, unsigned);
typedef bool(extent_decommit_t)(extent_hooks_t *, void *, size_t, size_t, size_t, unsigned);
typedef bool(extent_purge_t)(extent_hooks_t *, void *, size_t, size_t, size_t, unsigned);
typedef bool(extent_split_t)(extent_hooks_t *, void *, size_t, size_t, size_t, bool, unsigned);
typedef bool(extent_merge_t)(extent_hooks_t *, void *, size_t, void *, size_t, bool, unsigned);
struct extent_hooks_s {
    extent_alloc_t *alloc;
    extent_dalloc_t *dalloc;
    extent_destroy_t *destroy;
    extent_commit_t *commit;
    extent_decommit_t *decommit;
    extent_purge_t *purge_lazy;
    extent_purge_t *purge_forced;
    extent_split_t *split;
    extent_merge_t *merge;
};

#ifdef __cplusplus
}
#endif

#endif
