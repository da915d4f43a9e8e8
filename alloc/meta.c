/* SPDX-License-Identifier: BSD-2-Clause
 *
 * meta — a bump pointer over blocks that grow as more is asked for.
 */
#include "alloc/meta.h"

#include "alloc/bits.h"
#include "alloc/lock.h"
#include "alloc/os.h"

#include <stdatomic.h>

enum {
    /* A process with one thread needs no more than this, and touches only what it uses. */
    FIRST_BLOCK_BYTES = 64 * 1024,
    BLOCK_BYTES = 256 * 1024,
};

static AL_SPARSE AL_ALIGNED(AL_CACHE_LINE_BYTES)
char first_block[FIRST_BLOCK_BYTES];

static struct {
    struct al_lock lock;
    char *next; /* guarded by lock, as is `end` */
    char *end;
    _Atomic size_t used_bytes;
} meta = {.next = first_block, .end = first_block + FIRST_BLOCK_BYTES};

/* Cuts `bytes` from the current block; NULL if they are not there. */
static void *take(size_t bytes) {
    AL_ASSERT(bytes % AL_CACHE_LINE_BYTES == 0);
    void *got = NULL;

    al_lock_take(&meta.lock, AL_RANK_META);
    if ((size_t)(meta.end - meta.next) >= bytes) {
        got = meta.next;
        meta.next += bytes;
    }
    al_lock_give(&meta.lock);
    return got;
}

void *al_meta_alloc(size_t bytes) {
    AL_ASSERT(bytes > 0);
    bytes = al_round_up(bytes, AL_CACHE_LINE_BYTES);

    void *got = take(bytes);
    if (got == NULL && bytes >= BLOCK_BYTES / 4) {
        got = al_os_map(NULL, al_round_up(bytes, AL_PAGE_BYTES)); /* would waste a block's rest */
    }
    if (got == NULL && bytes <= BLOCK_BYTES) {
        char *const block = al_os_map(NULL, BLOCK_BYTES);
        if (block == NULL) {
            return NULL;
        }
        al_lock_take(&meta.lock, AL_RANK_META);
        got = block;
        meta.next = block + bytes; /* the rest of the old block, under a quarter, is lost */
        meta.end = block + BLOCK_BYTES;
        al_lock_give(&meta.lock);
    }
    if (got != NULL) {
        atomic_fetch_add_explicit(&meta.used_bytes, bytes, memory_order_relaxed);
    }
    return got;
}

size_t al_meta_bytes(void) {
    return atomic_load_explicit(&meta.used_bytes, memory_order_relaxed);
}

void al_meta_account(ptrdiff_t bytes) {
    atomic_fetch_add_explicit(&meta.used_bytes, (size_t)bytes, memory_order_relaxed);
}

void al_meta_lock_stats(struct al_lock_stats *stats, bool is_reset) {
    al_lock_take(&meta.lock, AL_RANK_META);
    if (is_reset) {
        al_lock_stats_reset_locked(&meta.lock);
    }
    al_lock_stats_read_locked(&meta.lock, stats);
    al_lock_give(&meta.lock);
}

void al_meta_fork_prepare(void) {
    al_lock_take(&meta.lock, AL_RANK_META);
}

void al_meta_fork_parent(void) {
    al_lock_give(&meta.lock);
}

void al_meta_fork_child(void) {
    al_lock_reset(&meta.lock);
}
