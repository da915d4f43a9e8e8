/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_give — what leaves a cache: to the stock, where the next cache takes it whole, or to its
 * slabs; all of it (flush), what nobody uses (trim), or all but a little (shrink).
 */
#include "alloc/class.h"
#include "alloc/tcache_list.h"

enum {
    /* Classes looked at by one trim. */
    TRIM_CLASS_COUNT = 13,
    /* A bin without a slow visit for this many ticks is quiet. */
    QUIET_TICKS = 512,
    /* What the cache of an ended thread keeps of a class for the next one; the rest is worth more
     * where any thread can have it.
     */
    PARKED_BYTES_MAX = 2048,
};

void al_tcache_pass_on(struct al_tcache *cache, unsigned class_idx, struct al_list list) {
    if (list.count != 0 && !al_stock_give(&cache->arena->stocks[class_idx], class_idx, list)) {
        al_bin_flush(&cache->arena->bins[class_idx], list);
    }
}

static bool is_longer(const void *block, uint32_t count) {
    for (; block != NULL && count > 0; count--) {
        block = al_list_next(block);
    }
    return block != NULL;
}

void al_tcache_shrink(struct al_tcache *cache) {
    AL_ASSERT(cache->mode == 0);
    cache->grown_bytes = 0;
    cache->volume_bytes = 0;
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        struct al_tcache_bin *const bin = &cache->bins[class_idx];
        const uint32_t keep_count = (uint32_t)(PARKED_BYTES_MAX / al_class_bytes(class_idx));
        if (cache->cold[class_idx].is_pending || is_longer(bin->alloc, keep_count)) {
            al_tcache_pass_on(cache, class_idx, al_tcache_uninstall(cache, class_idx));
        }
        const uint32_t freed_count = al_tcache_freed_count(bin);
        if (freed_count >= al_tcache_flim_start(class_idx)) {
            al_tcache_pass_on(cache, class_idx, al_tcache_take_freed(cache, class_idx));
        }
        bin->flim = al_tcache_flim_start(class_idx);
        bin->room = bin->freed == NULL ? bin->flim : bin->flim - freed_count;
    }
}

static void flush_class(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    const struct al_list lists[] = {
        al_tcache_uninstall(cache, class_idx),
        al_tcache_take_freed(cache, class_idx),
        {cold->hidden, cold->hidden_count, false},
    };

    cold->hidden = NULL;
    cold->hidden_count = 0;
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(lists); idx++) {
        if (lists[idx].count != 0) {
            al_bin_flush(&cache->arena->bins[class_idx], lists[idx]);
        }
    }
}

void al_tcache_flush(struct al_tcache *cache) {
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        flush_class(cache, class_idx);
    }
    for (size_t idx = 0; idx < AL_TCACHE_REMOTE_COUNT; idx++) {
        al_tcache_send_home(cache, &cache->remote[idx]);
    }
    al_tcache_run_flush(cache);
}

void al_tcache_trim(struct al_tcache *cache) {
    for (unsigned step = 0; step < TRIM_CLASS_COUNT; step++) {
        const unsigned class_idx = 1 + cache->gc_next++ % (AL_CLASS_COUNT - 1);
        struct al_tcache_bin *const bin = &cache->bins[class_idx];
        if (cache->tick - bin->stamp < QUIET_TICKS) {
            continue;
        }
        if (bin->alloc != NULL || bin->freed != NULL || cache->cold[class_idx].is_pending ||
            cache->cold[class_idx].hidden != NULL) {
            flush_class(cache, class_idx);
        }
        if (al_stock_is_idle(&cache->arena->stocks[class_idx])) {
            al_stock_flush(&cache->arena->stocks[class_idx], &cache->arena->bins[class_idx]);
        }
        al_bin_drain(&cache->arena->bins[class_idx]); /* what others freed, and nobody took */
        const uint32_t start = cache->mode != 0 ? 1 : al_tcache_flim_start(class_idx);
        cache->grown_bytes -= (uint32_t)((bin->flim - start) * al_class_bytes(class_idx));
        bin->flim = start;
        bin->room = start;
    }
    al_tcache_send_home(cache, &cache->remote[cache->gc_next % AL_TCACHE_REMOTE_COUNT]);
    al_tcache_run_trim(cache);
}
