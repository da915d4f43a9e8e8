/* SPDX-License-Identifier: BSD-2-Clause
 *
 * shadow — the book is an array of slots; a block is taken out with one exchange, so its
 * owner may check and free it alone. What a block must contain follows from its size and a
 * stamp kept in its first bytes.
 */
#include "tests/support/shadow.h"

#include "alloc/malloc.h"
#include "alloc/mallocx.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_COUNT = 4096 };

struct head {
    uint64_t size_bytes;
    uint64_t stamp; /* size_bytes mixed: a block that was overwritten rarely keeps both */
};

static _Atomic(unsigned char *) slots[SLOT_COUNT];

static uint64_t next(uint64_t *random) {
    uint64_t x = *random;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *random = x;
    return x;
}

static _Noreturn void broken(const char *what, const void *block, size_t size_bytes) {
    fprintf(stderr, "shadow: %s: block %p of %zu bytes\n", what, block, size_bytes);
    abort();
}

static uint64_t stamp_of(uint64_t size_bytes) {
    return (size_bytes ^ UINT64_C(0x5bd1e995)) * UINT64_C(0x9E3779B97F4A7C15);
}

/* Every byte of small blocks, every 61st of large ones and the last. */
static size_t stride(size_t size_bytes) {
    return size_bytes > 8192 ? 61 : 1;
}

static void write_block(unsigned char *block, size_t size_bytes) {
    const struct head head = {size_bytes, stamp_of(size_bytes)};
    const unsigned char fill = (unsigned char)head.stamp;

    for (size_t at = sizeof(head); at < size_bytes; at += stride(size_bytes)) {
        block[at] = fill;
    }
    block[size_bytes - 1] = fill;
    memcpy(block, &head, sizeof(head));
}

static size_t check_block(const unsigned char *block) {
    struct head head;

    memcpy(&head, block, sizeof(head));
    if (head.stamp != stamp_of(head.size_bytes)) {
        broken("head overwritten", block, head.size_bytes);
    }
    const unsigned char fill = (unsigned char)head.stamp;
    for (size_t at = sizeof(head); at < head.size_bytes; at += stride(head.size_bytes)) {
        if (block[at] != fill) {
            broken("body overwritten", block, head.size_bytes);
        }
    }
    if (al_malloc_usable_size(block) < head.size_bytes) {
        broken("usable size below the requested one", block, head.size_bytes);
    }
    return head.size_bytes;
}

static void check_zero(const unsigned char *block, size_t size_bytes) {
    for (size_t at = 0; at < size_bytes; at++) {
        if (block[at] != 0) {
            broken("calloc's memory is not zero", block, size_bytes);
        }
    }
}

static void check_aligned(const void *block, size_t align_bytes, size_t size_bytes) {
    if ((uintptr_t)block % align_bytes != 0) {
        broken("not aligned", block, size_bytes);
    }
}

/* Mostly small, sometimes up to the maximum. */
static size_t draw_size(uint64_t *random, size_t size_bytes_max) {
    static const size_t limits[] = {128, 128, 600, 600, 600, 1100, 5000, 70000};
    const uint64_t draw = next(random);
    size_t limit = limits[draw % 8];

    if (draw >> 8 & 63) {
        limit = limit < size_bytes_max ? limit : size_bytes_max;
    } else {
        limit = size_bytes_max;
    }
    const size_t size_bytes = next(random) % limit;
    return size_bytes < sizeof(struct head) + 1 ? sizeof(struct head) + 1 : size_bytes;
}

static unsigned char *allocate(uint64_t *random, size_t size_bytes) {
    const uint64_t draw = next(random);
    const size_t align_bytes = (size_t)8 << (draw >> 16) % 13;
    unsigned char *block = NULL;
    void *out = NULL;

    switch (draw % 8) {
    case 0:
        block = al_calloc(1, size_bytes);
        check_zero(block, size_bytes);
        break;
    case 1:
        block = al_aligned_alloc(align_bytes, size_bytes);
        check_aligned(block, align_bytes, size_bytes);
        break;
    case 2:
        if (al_posix_memalign(&out, align_bytes, size_bytes) != 0) {
            broken("posix_memalign failed", NULL, size_bytes);
        }
        block = out;
        check_aligned(block, align_bytes, size_bytes);
        break;
    case 3:
        block = al_mallocx(size_bytes, 0x40); /* MALLOCX_ZERO */
        check_zero(block, size_bytes);
        break;
    default:
        block = al_malloc(size_bytes);
    }
    if (block == NULL) {
        broken("no memory", NULL, size_bytes);
    }
    check_aligned(block, 16, size_bytes);
    return block;
}

static unsigned char *reallocate(uint64_t *random, unsigned char *block, size_t size_bytes_max) {
    const size_t old_bytes = check_block(block);
    const size_t new_bytes = draw_size(random, size_bytes_max);
    const size_t kept_bytes = old_bytes < new_bytes ? old_bytes : new_bytes;
    unsigned char *const moved = al_realloc(block, new_bytes);

    if (moved == NULL) {
        broken("realloc: no memory", block, new_bytes);
    }
    for (size_t at = sizeof(struct head); at < kept_bytes; at += stride(old_bytes)) {
        if (moved[at] != (unsigned char)stamp_of(old_bytes)) {
            broken("realloc lost bytes", moved, new_bytes);
        }
    }
    write_block(moved, new_bytes);
    return moved;
}

static void step(uint64_t *random, size_t size_bytes_max) {
    const size_t size_bytes = draw_size(random, size_bytes_max);
    unsigned char *block = allocate(random, size_bytes);

    write_block(block, size_bytes);
    if (next(random) % 8 == 0) {
        block = reallocate(random, block, size_bytes_max);
    }
    unsigned char *const old = atomic_exchange(&slots[next(random) % SLOT_COUNT], block);
    if (old != NULL) {
        (void)check_block(old);
        al_free(old);
    }
}

void shadow_run(uint64_t *random, uint64_t count, size_t size_bytes_max) {
    for (uint64_t idx = 0; idx < count; idx++) {
        if (next(random) % 4 == 0) {
            unsigned char *const old = atomic_exchange(&slots[next(random) % SLOT_COUNT], NULL);
            if (old != NULL) {
                (void)check_block(old);
                al_free(old);
            }
        }
        step(random, size_bytes_max);
    }
}

size_t shadow_count(void) {
    size_t count = 0;

    for (size_t idx = 0; idx < SLOT_COUNT; idx++) {
        count += atomic_load(&slots[idx]) != NULL;
    }
    return count;
}

void shadow_clear(void) {
    for (size_t idx = 0; idx < SLOT_COUNT; idx++) {
        unsigned char *const block = atomic_exchange(&slots[idx], NULL);
        if (block != NULL) {
            (void)check_block(block);
            al_free(block);
        }
    }
}
