/* SPDX-License-Identifier: BSD-2-Clause
 *
 * malloc — the entry points' slow exits, and the entry points that have no fast path of their
 * own. Small sizes go to the thread's cache, large ones to a run; a thread without a cache
 * (it is ending, or memory is short) takes blocks one by one from arena 0.
 */
#include "alloc/malloc.h"

#include "alloc/bits.h"
#include "alloc/control.h"
#include "alloc/large.h"
#include "alloc/malloc_fast.h"
#include "alloc/options.h"
#include "alloc/os.h"
#include "alloc/request.h"
#include "alloc/thread.h"

#include <errno.h>
#include <string.h>

static void *no_memory(void) {
    if (al_options.xmalloc) {
        al_die("out of memory");
    }
    errno = ENOMEM;
    return NULL;
}

AL_NOINLINE void *al_malloc_slow(size_t size_bytes) {
    struct al_tcache *const cache = al_self;
    void *ptr = NULL;

    /* An empty list is by far the commonest reason; 0 bytes have no class of their own. */
    if (AL_LIKELY(size_bytes - 1 < AL_SMALL_MAX_BYTES && cache != &al_null_tcache)) {
        ptr = al_tcache_malloc_slow(cache, al_class_of(size_bytes), size_bytes);
    } else {
        ptr = size_bytes - AL_SMALL_MAX_BYTES - 1 < AL_TCACHE_RUN_BYTES_MAX - AL_SMALL_MAX_BYTES
                  ? al_tcache_run_malloc(cache, size_bytes)
                  : NULL;
        ptr = ptr != NULL ? ptr : al_request_malloc(size_bytes, NULL);
    }
    return AL_LIKELY(ptr != NULL) ? ptr : no_memory();
}

AL_NOINLINE void al_free_slow(void *ptr) {
    if (ptr == NULL) {
        return;
    }
    /* The caller has read this slot: it may be read again, without a look at where it lies. */
    const uint64_t entry = al_map_entry_fast(ptr);
    if (al_map_entry_low(entry) != AL_MAP_LARGE || !al_tcache_run_give(al_self, ptr, entry)) {
        al_request_free(ptr);
    }
}

AL_NOINLINE void al_free_full(struct al_tcache *cache, uint32_t bin_offset) {
    const size_t bin_idx =
        (bin_offset - offsetof(struct al_tcache, bins)) / sizeof(struct al_tcache_bin);

    al_tcache_free_slow(cache, (unsigned)bin_idx);
}

AL_COLD void al_free_twice(const void *ptr) {
    al_die_ptr("freed twice", ptr);
}

void *al_malloc(size_t size_bytes) {
    return al_malloc_fast(size_bytes);
}

void al_free(void *ptr) {
    al_free_fast(ptr);
}

/* The size is not needed, and trusting it would miss sampled objects. Debug builds check it. */
void al_free_sized(void *ptr, size_t size_bytes) {
    if (al_is_debug && ptr != NULL) {
        al_request_check_size(ptr, size_bytes, 1);
    }
    al_free_fast(ptr);
}

void al_free_aligned_sized(void *ptr, size_t align_bytes, size_t size_bytes) {
    if (al_is_debug && ptr != NULL) {
        al_request_check_size(ptr, size_bytes, align_bytes);
    }
    al_free_fast(ptr);
}

void *al_calloc(size_t count, size_t size_bytes) {
    size_t bytes = 0;

    if (AL_UNLIKELY(__builtin_mul_overflow(count, size_bytes, &bytes))) {
        return no_memory();
    }
    if (AL_LIKELY(bytes <= AL_SMALL_MAX_BYTES)) {
        struct al_tcache *const cache = al_self;
        const unsigned class_idx = al_class_of(bytes);
        void *const block = al_tcache_pop(cache, class_idx);
        if (AL_LIKELY(block != NULL)) {
            /* Fresh memory is zero but for the link. */
            memset(block, 0, cache->cold[class_idx].is_zeroed ? sizeof(void *) : bytes);
            return block;
        }
    }
    bool is_zeroed = false;
    void *const ptr = al_request_malloc(bytes, &is_zeroed);
    if (AL_UNLIKELY(ptr == NULL)) {
        return no_memory();
    }
    if (!is_zeroed) {
        memset(ptr, 0, bytes);
    }
    return ptr;
}

/* ---- aligned ---- */

/* NULL: bad alignment or no memory; *err says which. */
static void *aligned(size_t align_bytes, size_t size_bytes, int *err) {
    if (!al_is_pow2(align_bytes)) {
        *err = EINVAL;
        return NULL;
    }
    void *const ptr = al_request_malloc_aligned(size_bytes, align_bytes, NULL);
    if (ptr == NULL && al_options.xmalloc) {
        al_die("out of memory");
    }
    *err = ptr != NULL ? 0 : ENOMEM;
    return ptr;
}

int al_posix_memalign(void **out, size_t align_bytes, size_t size_bytes) {
    int err = EINVAL;

    if (align_bytes < sizeof(void *)) {
        return EINVAL;
    }
    void *const ptr = aligned(align_bytes, size_bytes, &err);
    if (ptr != NULL) {
        *out = ptr;
    }
    return err;
}

void *al_aligned_alloc(size_t align_bytes, size_t size_bytes) {
    int err = 0;
    void *const ptr = aligned(align_bytes, size_bytes, &err);

    if (ptr == NULL) {
        errno = err;
    }
    return ptr;
}

void *al_memalign(size_t align_bytes, size_t size_bytes) {
    int err = 0;

    return aligned(align_bytes, size_bytes, &err);
}

void *al_valloc(size_t size_bytes) {
    return al_memalign(AL_PAGE_BYTES, size_bytes);
}

void *al_pvalloc(size_t size_bytes) {
    if (size_bytes > AL_SIZE_MAX_BYTES) {
        return NULL;
    }
    return al_memalign(AL_PAGE_BYTES, al_round_up(size_bytes != 0 ? size_bytes : 1, AL_PAGE_BYTES));
}

/* ---- sizes ---- */

size_t al_malloc_usable_size(const void *ptr) {
    return ptr == NULL ? 0 : al_request_usable_bytes(ptr);
}

size_t al_good_size(size_t size_bytes, size_t align_bytes) {
    if (size_bytes > AL_SIZE_MAX_BYTES || align_bytes > AL_SIZE_MAX_BYTES) {
        return 0;
    }
    const unsigned class_idx = al_class_of_aligned(size_bytes, align_bytes);
    return class_idx != 0 ? al_class_bytes(class_idx) : al_large_usable_bytes(size_bytes);
}

/* ---- realloc ---- */

/* realloc(ptr, 0) by opt.zero_realloc. */
static void *realloc_zero(void *ptr) {
    al_request_count_zero_realloc();
    switch (al_options.zero_realloc) {
    case AL_ZERO_REALLOC_ALLOC:
        return NULL;
    case AL_ZERO_REALLOC_FREE:
        al_free_fast(ptr);
        break;
    case AL_ZERO_REALLOC_ABORT:
        al_die("realloc of a live pointer to size 0 (opt.zero_realloc is abort)");
    }
    return NULL;
}

void *al_realloc(void *ptr, size_t size_bytes) {
    if (ptr == NULL) {
        return al_malloc_fast(size_bytes);
    }
    if (AL_UNLIKELY(size_bytes == 0)) {
        const bool is_kept = al_options.zero_realloc == AL_ZERO_REALLOC_ALLOC;
        void *const nothing = realloc_zero(ptr);
        if (!is_kept) {
            return nothing;
        }
    }
    void *const moved = al_request_realloc(ptr, size_bytes);
    return moved != NULL ? moved : no_memory();
}
