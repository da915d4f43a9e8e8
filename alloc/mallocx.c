/* SPDX-License-Identifier: BSD-2-Clause
 *
 * mallocx — flags taken apart, then the same requests everybody makes.
 *
 * A choice of arena, of an explicit cache or of none goes past the thread's cache, there and back.
 * An explicit cache that does not exist is none: what MALLOCX_TCACHE names is not validated in
 * jemalloc.
 */
#include "alloc/mallocx.h"

#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/malloc_fast.h"
#include "alloc/options.h"
#include "alloc/request.h"
#include "alloc/tcache_explicit.h"
#include "alloc/thread.h"

#include <errno.h>
#include <string.h>

enum {
    FLAG_LG_ALIGN_MASK = 0x3f,
    FLAG_LG_ALIGN_ANY = 4, /* up to here every object is aligned so */
    FLAG_ZERO = 0x40,
    FLAG_TCACHE_SHIFT = 8,
    FLAG_TCACHE_MASK = 0xfff,
    FLAG_TCACHE_NONE = 1,  /* 0: the thread's own */
    FLAG_TCACHE_FIRST = 2, /* explicit cache 0 */
    FLAG_ARENA_SHIFT = 20,
};

static size_t align_of(int flags) {
    return (size_t)1 << (flags & FLAG_LG_ALIGN_MASK);
}

static unsigned tcache_of(int flags) {
    return (unsigned)flags >> FLAG_TCACHE_SHIFT & FLAG_TCACHE_MASK;
}

static struct al_tcache_explicit *explicit_of(int flags) {
    const unsigned tcache = tcache_of(flags);

    return tcache >= FLAG_TCACHE_FIRST ? al_tcache_explicit_at(tcache - FLAG_TCACHE_FIRST) : NULL;
}

/* The arena to take from past the cache; NULL: by way of the cache. */
static struct al_arena *arena_of(int flags) {
    const unsigned arena = (unsigned)flags >> FLAG_ARENA_SHIFT;

    if (arena != 0) {
        al_init();
        return al_arena_get(arena - 1);
    }
    if (tcache_of(flags) != 0) {
        const struct al_tcache *const cache = al_thread_cache();
        return cache != NULL ? cache->arena : al_arena_at(0);
    }
    return NULL;
}

static bool is_known_arena(int flags) {
    return (unsigned)flags >> FLAG_ARENA_SHIFT == 0 || arena_of(flags) != NULL;
}

/* errno is left alone. */
static void *no_memory(void) {
    if (al_options.xmalloc) {
        al_die("out of memory");
    }
    return NULL;
}

void *al_mallocx(size_t size_bytes, int flags) {
    if (flags == 0) {
        const int saved_errno = errno;
        void *const ptr = al_malloc_fast(size_bytes);
        errno = saved_errno;
        return ptr;
    }
    if (!is_known_arena(flags)) {
        return no_memory();
    }
    struct al_arena *const arena = arena_of(flags);
    const bool is_zero_wanted = (flags & FLAG_ZERO) != 0;
    bool is_zeroed = false;
    bool *const zeroed = is_zero_wanted ? &is_zeroed : NULL; /* asking for it costs */
    void *const ptr =
        arena != NULL
            ? al_request_malloc_past(arena, explicit_of(flags), size_bytes, align_of(flags), zeroed)
            : al_request_malloc_aligned(size_bytes, align_of(flags), zeroed);
    if (ptr == NULL) {
        return no_memory();
    }
    if (is_zero_wanted && !is_zeroed) {
        memset(ptr, 0, al_request_usable_bytes(ptr));
    }
    return ptr;
}

static void zero_grown(void *ptr, size_t old_bytes, int flags) {
    const size_t new_bytes = al_request_usable_bytes(ptr);

    if ((flags & FLAG_ZERO) != 0 && new_bytes > old_bytes) {
        memset((char *)ptr + old_bytes, 0, new_bytes - old_bytes);
    }
}

/* Neither an arena nor a cache is asked for, nor an alignment: then it is what realloc is, which
 * moves pages instead of bytes and leaves room to grow.
 */
static bool is_plain(int flags) {
    return (flags & ~FLAG_ZERO) <= FLAG_LG_ALIGN_ANY && flags >= 0;
}

void *al_rallocx(void *ptr, size_t size_bytes, int flags) {
    const size_t old_bytes = al_request_usable_bytes(ptr);
    const size_t align_bytes = align_of(flags);

    if (is_plain(flags)) {
        void *const moved = al_request_realloc(ptr, size_bytes);
        if (moved == NULL) {
            return no_memory();
        }
        zero_grown(moved, old_bytes, flags);
        return moved;
    }
    if (((uintptr_t)ptr & (align_bytes - 1)) == 0 &&
        al_request_resize(ptr, size_bytes, align_bytes)) {
        zero_grown(ptr, old_bytes, flags);
        return ptr;
    }
    void *const copy = al_mallocx(size_bytes, flags & ~FLAG_ZERO);
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, ptr, size_bytes < old_bytes ? size_bytes : old_bytes);
    zero_grown(copy, old_bytes, flags);
    al_dallocx(ptr, flags);
    return copy;
}

size_t al_xallocx(void *ptr, size_t size_bytes, size_t extra_bytes, int flags) {
    const size_t old_bytes = al_request_usable_bytes(ptr);
    const size_t align_bytes = align_of(flags);
    const size_t size_max = AL_SIZE_MAX_BYTES;
    const size_t room_bytes = size_bytes < size_max ? size_max - size_bytes : 0;
    const size_t most_bytes = size_bytes + (extra_bytes < room_bytes ? extra_bytes : room_bytes);

    if (!al_request_resize(ptr, most_bytes, align_bytes) && old_bytes < size_bytes) {
        (void)al_request_resize(ptr, size_bytes, align_bytes);
    } else if (old_bytes > most_bytes) {
        (void)al_request_resize(ptr, most_bytes, align_bytes);
    }
    zero_grown(ptr, old_bytes, flags);
    return al_request_usable_bytes(ptr);
}

size_t al_sallocx(const void *ptr, int flags) {
    (void)flags;
    return al_request_usable_bytes(ptr);
}

void al_dallocx(void *ptr, int flags) {
    if (tcache_of(flags) == 0) {
        al_free_fast(ptr);
    } else {
        al_request_free_past(ptr, explicit_of(flags));
    }
}

void al_sdallocx(void *ptr, size_t size_bytes, int flags) {
    if (tcache_of(flags) == 0) {
        al_free_aligned_sized(ptr, align_of(flags), size_bytes);
        return;
    }
    if (al_is_debug) {
        al_request_check_size(ptr, size_bytes, align_of(flags));
    }
    al_request_free_past(ptr, explicit_of(flags));
}

size_t al_nallocx(size_t size_bytes, int flags) {
    al_init();
    return al_good_size(size_bytes, align_of(flags));
}
