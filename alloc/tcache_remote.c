/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_remote — frees of other arenas' blocks: gathered by slab, sent home by one
 * compare-and-swap a batch.
 */
#include "alloc/bin.h"
#include "alloc/class.h"
#include "alloc/fill.h"
#include "alloc/tcache_list.h"

enum {
    /* An open batch goes home at this size. */
    REMOTE_COUNT_MAX = 32,
    REMOTE_BYTES_MAX = 4096,
    /* Slabs that a thread has seen come back whole, before it gives their bin's up itself. */
    FULL_SLABS_WAITING = 16,
};

void al_tcache_send_home(struct al_tcache *cache, struct al_tcache_remote *batch) {
    if (batch->slab_idx != 0) {
        const struct al_extent *const slab = al_extent_at(batch->slab_idx);
        struct al_arena *const arena = al_arena_at(al_extent_arena(slab));
        struct al_bin *const bin = &arena->bins[slab->class_idx];
        const bool is_all_free =
            al_bin_push_remote(bin, batch->slab_idx, batch->head, batch->tail, batch->count);
        batch->slab_idx = 0;
        /* The owner takes what it needs. If whole slabs wait, it needs less than it is given: its
         * thread has ended, or sleeps, or does something else now.
         */
        if (is_all_free && ++cache->full_count % FULL_SLABS_WAITING == 0) {
            al_bin_drain(bin);
        }
    }
}

void al_tcache_free_remote(struct al_tcache *cache, void *block, uint32_t slab_idx) {
    AL_ASSERT(slab_idx != 0);
    const struct al_extent *const slab = al_extent_at(slab_idx);
    const size_t size_bytes = al_class_bytes(slab->class_idx);
    struct al_tcache_remote *const batch = &cache->remote[slab_idx % AL_TCACHE_REMOTE_COUNT];

    al_bin_check_block(slab, block);
    if (batch->slab_idx != slab_idx) {
        al_tcache_send_home(cache, batch);
        *batch = (struct al_tcache_remote){.slab_idx = slab_idx, .tail = block};
    } else if (batch->head == block) {
        al_die_ptr("freed twice", block);
    }
    al_fill_old(block, size_bytes);
    *(void **)block = batch->head;
    batch->head = block;
    batch->count++;
    al_counter_add(&cache->cold[slab->class_idx].free_count, 1);
    cache->exact_freed_bytes += size_bytes;
    if (batch->count >= REMOTE_COUNT_MAX || batch->count * size_bytes >= REMOTE_BYTES_MAX) {
        al_tcache_send_home(cache, batch);
        al_tcache_visit(cache, 0);
    }
}
