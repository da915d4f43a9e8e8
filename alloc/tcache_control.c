/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_control — the calling thread's cache, if it has one.
 */
#include "alloc/tcache_control.h"

#include "alloc/control.h"
#include "alloc/tcache_limit.h"
#include "alloc/thread.h"

#include <errno.h>

size_t al_thread_tcache_max_bytes(void) {
    const struct al_tcache *const cache = al_thread_cache();

    return cache != NULL ? al_tcache_max(cache) : al_tcache_limit_max_bytes();
}

int al_thread_tcache_set_max(size_t bytes) {
    struct al_tcache *const cache = al_thread_cache();

    if (cache == NULL) {
        return EAGAIN;
    }
    al_tcache_set_max(cache, bytes);
    return 0;
}

int al_thread_tcache_cap_get(size_t size_bytes, size_t *cap) {
    AL_ASSERT(cap != NULL);
    struct al_tcache *const cache = al_thread_cache();

    if (size_bytes > AL_SMALL_MAX_BYTES) {
        return EINVAL;
    }
    *cap = cache != NULL ? al_tcache_cap(cache, al_class_of(size_bytes != 0 ? size_bytes : 1)) : 0;
    return 0;
}

int al_thread_tcache_set_caps(const char *text) {
    struct al_tcache *const cache = al_thread_cache();

    if (cache == NULL || (cache->mode & AL_TCACHE_OFF) != 0) {
        return ENOENT;
    }
    return al_tcache_set_caps(cache, text) ? 0 : EINVAL;
}

uint64_t al_thread_peak_bytes(void) {
    struct al_tcache *const cache = al_thread_cache();

    return cache != NULL ? al_tcache_peak(cache) : 0;
}

int al_thread_peak_reset(void) {
    struct al_tcache *const cache = al_thread_cache();

    if (cache != NULL) {
        al_tcache_peak_reset(cache);
    }
    return 0;
}

int al_thread_idle(void) {
    (void)al_thread_tcache_flush(); /* a thread without a cache has nothing to give back */
    return 0;
}
