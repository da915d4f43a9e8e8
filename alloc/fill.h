/* SPDX-License-Identifier: BSD-2-Clause
 *
 * fill — opt.junk and opt.zero: what new memory holds, and what freed memory is left with.
 *
 * With either on, every thread's cache is in a mode that takes the slow path each time
 * (AL_TCACHE_FILL), so the fast path knows nothing of it.
 *
 * Threads: any; the options never change after start.
 * Values:  new 0xa5, or 0 with opt.zero, which wins; freed 0x5a; as jemalloc's.
 */
#ifndef AL_FILL_H
#define AL_FILL_H

#include "alloc/base.h"
#include "alloc/options.h"

#include <string.h>

enum { AL_FILL_NEW = 0xa5, AL_FILL_OLD = 0x5a };

/* In the order of opt.junk's words. */
enum al_fill_junk { AL_FILL_JUNK_NONE, AL_FILL_JUNK_ALL, AL_FILL_JUNK_ALLOC, AL_FILL_JUNK_FREE };

AL_INLINE bool al_fill_is_on(void) {
    return al_options.junk != AL_FILL_JUNK_NONE || al_options.zero;
}

/* `bytes` from ptr on are handed out; is_zeroed: they read as zero already. Returns whether they
 * do now.
 */
AL_INLINE bool al_fill_new(void *ptr, size_t bytes, bool is_zeroed) {
    if (al_options.zero) {
        if (!is_zeroed) {
            memset(ptr, 0, bytes);
        }
        return true;
    }
    if (al_options.junk == AL_FILL_JUNK_ALL || al_options.junk == AL_FILL_JUNK_ALLOC) {
        memset(ptr, AL_FILL_NEW, bytes);
        return false;
    }
    return is_zeroed;
}

AL_INLINE void al_fill_old(void *ptr, size_t bytes) {
    if (al_options.junk == AL_FILL_JUNK_ALL || al_options.junk == AL_FILL_JUNK_FREE) {
        memset(ptr, AL_FILL_OLD, bytes);
    }
}

#endif
