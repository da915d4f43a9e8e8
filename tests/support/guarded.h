/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guarded — memory with a page on either side that nobody may touch: a byte read too far ends the
 * process.
 *
 * Owns:    the mappings it made; they stay until the process ends, or guarded_free.
 * Fails:   the running Check test, if there is no memory.
 */
#ifndef TESTS_GUARDED_H
#define TESTS_GUARDED_H

#include <check.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { GUARDED_PAGE_BYTES = 4096 };

struct guarded {
    uint8_t *low, *high; /* [low, high): whole pages, zeroed */
};

static inline struct guarded guarded_make(size_t bytes) {
    const size_t inner_bytes =
        (bytes + GUARDED_PAGE_BYTES - 1) / GUARDED_PAGE_BYTES * GUARDED_PAGE_BYTES;
    uint8_t *const all = mmap(NULL, inner_bytes + 2 * (size_t)GUARDED_PAGE_BYTES, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(all, MAP_FAILED);
    ck_assert_int_eq(mprotect(all + GUARDED_PAGE_BYTES, inner_bytes, PROT_READ | PROT_WRITE), 0);
    return (struct guarded){all + GUARDED_PAGE_BYTES, all + GUARDED_PAGE_BYTES + inner_bytes};
}

static inline void guarded_free(struct guarded *guarded) {
    (void)munmap(guarded->low - GUARDED_PAGE_BYTES,
                 (size_t)(guarded->high - guarded->low) + 2 * (size_t)GUARDED_PAGE_BYTES);
}

/* Copies `bytes` so that the last of them is the last that may be read. */
static inline uint8_t *guarded_put_end(const struct guarded *guarded, const void *from,
                                       size_t bytes) {
    ck_assert_uint_le(bytes, (size_t)(guarded->high - guarded->low));
    return bytes == 0 ? guarded->high : memcpy(guarded->high - bytes, from, bytes);
}

#endif
