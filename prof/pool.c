/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pool — one block at a time; what is left of the last one when a larger piece is wanted is
 * lost, at most what one piece takes.
 */
#include "prof/pool.h"

#include "alloc/bits.h"
#include "alloc/lock.h"
#include "alloc/meta.h"
#include "alloc/os.h"

enum { BLOCK_BYTES = 1024 * 1024, ALIGN_BYTES = 16 };

static struct {
    struct al_lock lock;
    char *next; /* guarded by lock, as are the others */
    char *end;
    size_t mapped_bytes;
} pool;

static void *take_locked(size_t bytes) {
    al_lock_assert_held(&pool.lock);
    AL_ASSERT(bytes > 0);
    AL_ASSERT(pool.next <= pool.end && (uintptr_t)pool.next % ALIGN_BYTES == 0);
    char *const got = pool.next;

    if (got == NULL || (size_t)(pool.end - got) < bytes) {
        return NULL;
    }
    pool.next = got + bytes;
    return got;
}

void *pf_pool_take(size_t bytes) {
    AL_ASSERT(bytes > 0 && bytes < BLOCK_BYTES);
    bytes = al_round_up(bytes, ALIGN_BYTES);

    al_lock_take(&pool.lock, AL_RANK_PROF_POOL);
    void *got = take_locked(bytes);
    al_lock_give(&pool.lock);
    if (got != NULL) {
        return got;
    }
    char *const block = al_os_map(NULL, BLOCK_BYTES);
    if (block == NULL) {
        return NULL;
    }
    al_meta_account(BLOCK_BYTES);
    al_lock_take(&pool.lock, AL_RANK_PROF_POOL);
    pool.next = block;
    pool.end = block + BLOCK_BYTES;
    pool.mapped_bytes += BLOCK_BYTES;
    got = take_locked(bytes);
    al_lock_give(&pool.lock);
    return got;
}

size_t pf_pool_bytes(void) {
    al_lock_take(&pool.lock, AL_RANK_PROF_POOL);
    const size_t bytes = pool.mapped_bytes;
    al_lock_give(&pool.lock);
    return bytes;
}

void pf_pool_lock_stats(struct al_lock_stats *stats, bool is_reset) {
    al_lock_take(&pool.lock, AL_RANK_PROF_POOL);
    if (is_reset) {
        al_lock_stats_reset_locked(&pool.lock);
    }
    al_lock_stats_read_locked(&pool.lock, stats);
    al_lock_give(&pool.lock);
}

void pf_pool_fork_prepare(void) {
    al_lock_take(&pool.lock, AL_RANK_PROF_POOL);
}

void pf_pool_fork_parent(void) {
    al_lock_give(&pool.lock);
}

void pf_pool_fork_child(void) {
    al_lock_reset(&pool.lock);
}
