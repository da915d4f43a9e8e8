/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache — filling, sampling, giving back: all that happens when a fast list runs out.
 */
#include "alloc/tcache.h"

#include "alloc/bits.h"
#include "alloc/fill.h"
#include "alloc/hooks.h"
#include "alloc/lock.h"
#include "alloc/sample.h"
#include "alloc/tcache_limit.h"
#include "alloc/tcache_list.h"

#include <errno.h>

enum {
    /* Cap of a freed list: two blocks at least. Half of it goes round without ever being full,
     * so that a slow visit of some 200 instructions comes once in several hundred pairs.
     */
    BIN_BYTES_MAX = 128 * 1024,
    BIN_COUNT_MAX = 1536,
    BIN_COUNT_MIN = 2,
    FLIM_START_BYTES = 1024,
    /* Up to here a list may grow while the thread's bound lasts; beyond, only while half of it
     * is left, so that a few busy classes do not starve many.
     */
    BIN_BYTES_FAIR = 32 * 1024,
    /* Up to twice what is filled at once grows with each filling. */
    FILL_BYTES_MAX = 8 * 1024,
    /* All lists together may grow by this part of what the thread has allocated: who did little
     * keeps little. And by so much in any case, for one busy class.
     */
    VOLUME_SHARE = 16,
    VOLUME_FREE_BYTES = 32 * 1024,
};

/* What stands beside a sampled object whose record the profiler could not make. */
static char dropped_record;

uint32_t al_tcache_cap_usual(unsigned class_idx) {
    const uint32_t cap = (uint32_t)(BIN_BYTES_MAX / al_class_bytes(class_idx));

    return al_tcache_limit_of(class_idx, cap < BIN_COUNT_MIN   ? BIN_COUNT_MIN
                                         : cap < BIN_COUNT_MAX ? cap
                                                               : BIN_COUNT_MAX);
}

uint32_t al_tcache_flim_start(unsigned class_idx) {
    const uint32_t count = (uint32_t)(FLIM_START_BYTES / al_class_bytes(class_idx));

    return count > 1 ? count : 1;
}

/* ---- sampling countdowns ---- */

static uint64_t draw(struct al_tcache *cache, unsigned class_idx) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    if (!cache->is_sampling || !al_sample_is_active()) {
        return AL_SAMPLE_NEVER;
    }
    return al_sample_draw_count(&cache->rng, al_class_bytes(class_idx), al_sample_rate_lg());
}

/* Makes `list` the bin's alloc list, or that part of it before the sampled allocation. */
static void install(struct al_tcache *cache, unsigned class_idx, struct al_list list) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    struct al_tcache_cold *const cold = &cache->cold[class_idx];

    AL_ASSERT(bin->alloc == NULL && !cold->is_pending && cold->countdown >= 1);
    cold->is_zeroed = list.is_zeroed;
    bin->alloc_count = list.count;
    if (AL_LIKELY(cold->countdown > list.count)) {
        cold->countdown -= list.count;
        bin->alloc = list.head;
    } else {
        const uint32_t before_count = (uint32_t)(cold->countdown - 1);
        void *last = NULL;
        void *block = list.head;
        for (uint32_t idx = 0; idx < before_count; idx++) {
            last = block;
            block = al_list_next(block);
        }
        if (last != NULL) {
            *(void **)last = NULL;
            bin->alloc = list.head;
        }
        cold->rest = block;
        cold->rest_count = list.count - before_count;
        cold->is_pending = true;
        bin->alloc_count = before_count;
    }
    al_counter_add(&cold->malloc_count, bin->alloc_count);
    al_tcache_visit(cache, bin->alloc_count * al_class_bytes(class_idx));
}

struct al_list al_tcache_uninstall(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    struct al_list list = {bin->alloc, al_list_length(bin->alloc), false};

    al_counter_add(&cold->malloc_count, 0 - (uint64_t)list.count);
    cold->countdown = cold->is_pending ? list.count + UINT64_C(1) : cold->countdown + list.count;
    if (cold->is_pending) {
        void *last = NULL;
        for (void *block = list.head; block != NULL; block = al_list_next(block)) {
            last = block;
        }
        if (last != NULL) {
            *(void **)last = cold->rest;
        } else {
            list.head = cold->rest;
        }
        list.count += cold->rest_count;
        cold->rest = NULL;
        cold->rest_count = 0;
        cold->is_pending = false;
    }
    bin->alloc = NULL;
    bin->alloc_count = 0;
    return list;
}

/* The rate or a switch has changed: what was drawn before no longer counts. */
static void resample(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    const struct al_list list = al_tcache_uninstall(cache, class_idx);

    cold->epoch = al_sample_epoch();
    cold->countdown = draw(cache, class_idx);
    if (list.count == 0) {
        return;
    }
    if (cache->mode == 0) {
        install(cache, class_idx, list);
    } else {
        al_bin_flush(&cache->arena->bins[class_idx], list);
    }
}

void al_tcache_resample_self(void) {
    struct al_tcache *const cache = al_self;

    if (cache == &al_null_tcache) {
        return;
    }
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        resample(cache, class_idx);
    }
}

bool al_tcache_draw(struct al_tcache *cache, size_t bytes) {
    const uint32_t epoch = al_sample_epoch();
    const bool is_on = cache->is_sampling && al_sample_is_active();

    if (AL_UNLIKELY(cache->large_epoch != epoch)) {
        cache->large_epoch = epoch;
        cache->large_countdown =
            is_on ? al_sample_draw_bytes(&cache->rng, al_sample_rate_lg()) : AL_SAMPLE_NEVER;
    }
    if (AL_LIKELY(bytes < cache->large_countdown)) {
        cache->large_countdown -= is_on ? bytes : 0;
        return false;
    }
    cache->large_countdown = al_sample_draw_bytes(&cache->rng, al_sample_rate_lg());
    return is_on && cache->reentry == 0;
}

void *al_tcache_sample(struct al_tcache *cache, const void *ptr, size_t requested_bytes,
                       size_t usable_bytes) {
    AL_ASSERT(ptr != NULL && requested_bytes <= usable_bytes);
    const unsigned rate_lg = al_sample_rate_lg();
    const struct al_sampled sampled = {
        .ptr = ptr,
        .requested_bytes = requested_bytes,
        .usable_bytes = usable_bytes,
        .rate_lg = rate_lg,
        .arena_idx = cache->arena->idx,
        .is_certain = rate_lg == 0,
    };

    const int saved_errno = errno;

    cache->reentry++;
    void *const record = al_hooks.sample(&sampled);
    cache->reentry--;
    errno = saved_errno;
    return record != NULL ? record : &dropped_record;
}

void al_tcache_sample_freed(struct al_tcache *cache, void *record) {
    AL_ASSERT(record != NULL);
    if (record == &dropped_record) {
        return;
    }
    if (cache != NULL) {
        cache->reentry++;
    }
    al_hooks.sample_freed(record);
    if (cache != NULL) {
        cache->reentry--;
    }
}

/* A block of a sampled slab; NULL: no memory for one, or a hook is running. Marked as allocated
 * before its record is made: what makes it may fork or be interrupted.
 */
static void *sampled_take(struct al_tcache *cache, unsigned class_idx) {
    if (cache->reentry != 0) {
        return NULL;
    }
    void *const block = al_bin_sampled_take(&cache->arena->sampled[class_idx], class_idx);
    if (block != NULL) {
        al_bin_sampled_set(block, al_map_entry_extent(al_map_entry(block)), &dropped_record);
    }
    return block;
}

static void sampled_record(struct al_tcache *cache, unsigned class_idx, void *block,
                           size_t requested_bytes) {
    AL_ASSERT(block != NULL);
    const size_t usable_bytes = al_class_bytes(class_idx);

    al_bin_sampled_set(block, al_map_entry_extent(al_map_entry(block)),
                       al_tcache_sample(cache, block, requested_bytes, usable_bytes));
    al_tcache_visit(cache, usable_bytes);
}

/* One block of `rest`, or of the bin when that is empty. */
static void *take_unsampled(struct al_tcache *cache, unsigned class_idx, struct al_list *rest) {
    void *const block = rest->head;

    if (block == NULL) {
        cache->cold[class_idx].is_zeroed = false;
        return al_bin_take_one(&cache->arena->bins[class_idx], class_idx);
    }
    rest->head = al_list_next(block);
    rest->count--;
    return block;
}

/* Serves the allocation a countdown ended on, draws a new one, and lets the rest of the list go
 * on. What a hook allocates, or finds no sampled slab, is served unsampled here and now: handed
 * back to the list it would end the next countdown too, for ever where each ends at once.
 */
static void *pending_malloc(struct al_tcache *cache, unsigned class_idx, size_t requested_bytes) {
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    struct al_list rest = {cold->rest, cold->rest_count, cold->is_zeroed};

    cold->is_pending = false;
    cold->rest = NULL;
    cold->rest_count = 0;
    cold->countdown = draw(cache, class_idx);
    void *const sampled = sampled_take(cache, class_idx);
    void *const block = sampled != NULL ? sampled : take_unsampled(cache, class_idx, &rest);
    if (rest.count != 0) {
        install(cache, class_idx, rest);
    }
    if (sampled == NULL) {
        cold->is_zeroed = false; /* the caller asks of this block, not of the list there is now */
    }
    if (block != NULL) {
        al_counter_add(&cold->malloc_count, 1);
        cache->exact_allocated_bytes += al_class_bytes(class_idx);
    }
    if (sampled != NULL) {
        sampled_record(cache, class_idx, sampled, requested_bytes);
    }
    return block;
}

/* ---- the slow path of malloc ---- */

static void reset_freed(struct al_tcache_bin *bin) {
    bin->freed = NULL;
    bin->room = bin->flim;
}

struct al_list al_tcache_take_freed(struct al_tcache *cache, unsigned class_idx) {
    AL_ASSERT(cache->bins[class_idx].room <= cache->bins[class_idx].flim);
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    const struct al_list list = {bin->freed, al_tcache_freed_count(bin), false};

    al_counter_add(&cache->cold[class_idx].free_count, list.count);
    reset_freed(bin);
    return list;
}

/* Twice the room, if the class's cap and the thread's bound allow it. */
static bool grow_freed(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    struct al_tcache_cold *const cold = &cache->cold[class_idx];

    if (cold->cap == 0) {
        cold->cap = (uint16_t)al_tcache_cap_usual(class_idx);
    }
    const uint32_t cap = cold->cap;
    if (AL_LIKELY(bin->flim >= cap)) {
        return false;
    }
    const uint32_t step = bin->flim / 4 > al_tcache_flim_start(class_idx)
                              ? bin->flim / 4
                              : al_tcache_flim_start(class_idx);
    const uint32_t wanted = bin->flim + step < cap ? bin->flim + step : cap;
    const size_t size_bytes = al_class_bytes(class_idx);
    const size_t more_bytes = (wanted - bin->flim) * size_bytes;
    const size_t bound_bytes = wanted * size_bytes <= BIN_BYTES_FAIR
                                   ? AL_TCACHE_GROWN_BYTES_MAX
                                   : AL_TCACHE_GROWN_BYTES_MAX / 2;
    if (cache->grown_bytes + more_bytes > bound_bytes ||
        cache->grown_bytes + more_bytes > cache->volume_bytes / VOLUME_SHARE + VOLUME_FREE_BYTES) {
        return false;
    }
    cache->grown_bytes += (uint32_t)more_bytes;
    bin->room += wanted - bin->flim;
    bin->flim = wanted;
    return true;
}

/* Fills an empty alloc list. False: no memory. */
static bool refill(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    /* What goes round is half of what fits: with the whole, `freed` would be full before `alloc`
     * is empty in every other round, and all of it would go home.
     */
    const uint32_t long_count = (bin->flim + 1) / 2;
    struct al_list list = {NULL, 0, false};

    bin->stamp = cache->tick;
    /* A short list is not worth a visit of its own while the bin can give a longer one. */
    if (al_tcache_freed_count(bin) < long_count - long_count / 4) {
        list = al_stock_take(&cache->arena->stocks[class_idx], long_count);
        if (list.count == 0) {
            list = al_bin_fill(&cache->arena->bins[class_idx], class_idx, long_count);
            /* A thread that only allocates, while others free. */
            if (bin->flim * al_class_bytes(class_idx) < FILL_BYTES_MAX) {
                (void)grow_freed(cache, class_idx);
            }
        }
    }
    if (list.count == 0 && al_tcache_freed_count(bin) != 0) {
        list = al_tcache_take_freed(cache, class_idx);
        /* The class is busy: let the lists that go round grow, until a visit is cheap. */
        if (bin->flim < BIN_COUNT_MAX) {
            (void)grow_freed(cache, class_idx);
        }
    }
    if (list.count == 0) {
        return false;
    }
    install(cache, class_idx, list);
    return true;
}

/* A block of the cache behind the slow path, or of the bin where there is no cache. */
static void *hidden_take(struct al_tcache *cache, unsigned class_idx) {
    AL_ASSERT(cache->mode != 0);
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    struct al_bin *const bin = &cache->arena->bins[class_idx];

    if ((cache->mode & AL_TCACHE_OFF) != 0) {
        return al_bin_take_one(bin, class_idx);
    }
    if (cold->hidden == NULL) {
        const struct al_list list = al_bin_fill(bin, class_idx, al_tcache_flim_start(class_idx));
        cold->hidden = list.head;
        cold->hidden_count = list.count;
    }
    void *const block = cold->hidden;
    if (block != NULL) {
        cold->hidden = al_list_next(block);
        cold->hidden_count--;
    }
    return block;
}

/* In a mode other than 0 each allocation comes here, and the countdown counts it. */
static void *mode_malloc(struct al_tcache *cache, unsigned class_idx, size_t requested_bytes) {
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    const size_t size_bytes = al_class_bytes(class_idx);
    void *sampled = NULL;

    cold->is_zeroed = false;
    if (--cold->countdown == 0) {
        cold->countdown = draw(cache, class_idx);
        sampled = sampled_take(cache, class_idx);
    }
    void *const block = sampled != NULL ? sampled : hidden_take(cache, class_idx);
    if (block == NULL) {
        return NULL;
    }
    if ((cache->mode & AL_TCACHE_FILL) != 0) {
        (void)al_fill_new(block, size_bytes, false);
    }
    al_counter_add(&cold->malloc_count, 1);
    cache->exact_allocated_bytes += size_bytes;
    if (sampled != NULL) {
        sampled_record(cache, class_idx, sampled, requested_bytes);
    } else {
        al_tcache_visit(cache, size_bytes);
    }
    return block;
}

/* Audit builds walk the cache and the class's bin now and then: each time would be quadratic. */
enum { AUDIT_TICKS = 64 };

static void audit(struct al_tcache *cache, unsigned class_idx) {
    if (cache->tick % AUDIT_TICKS == 0) {
        al_tcache_check(cache);
        al_bin_check(&cache->arena->bins[class_idx], class_idx);
        al_runs_check(&cache->arena->runs);
    }
}

void *al_tcache_malloc_slow(struct al_tcache *cache, unsigned class_idx, size_t requested_bytes) {
    AL_ASSERT(cache != &al_null_tcache);
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    struct al_tcache_cold *const cold = &cache->cold[class_idx];

    AL_AUDIT(audit(cache, class_idx));
    if (AL_UNLIKELY(cold->epoch != al_sample_epoch())) {
        resample(cache, class_idx);
    }
    if (AL_UNLIKELY(cache->mode != 0)) {
        return mode_malloc(cache, class_idx, requested_bytes);
    }
    /* A filled list is empty when its first block is to be sampled, or when a hook that ran
     * meanwhile used it up.
     */
    while (bin->alloc == NULL) {
        if (cold->is_pending) {
            return pending_malloc(cache, class_idx, requested_bytes);
        }
        if (!refill(cache, class_idx)) {
            return NULL;
        }
    }
    void *const block = bin->alloc;
    bin->alloc = al_list_next(block);
    return block;
}

/* ---- the slow path of free ---- */

static void mode_free(struct al_tcache *cache, unsigned class_idx) {
    AL_ASSERT(cache->mode != 0 && cache->bins[class_idx].freed != NULL);
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    void *const block = bin->freed;

    reset_freed(bin);
    if ((cache->mode & AL_TCACHE_FILL) != 0) {
        al_fill_old(block, al_class_bytes(class_idx));
        *(void **)block = NULL; /* it still ends its list */
    }
    al_counter_add(&cold->free_count, 1);
    cache->exact_freed_bytes += al_class_bytes(class_idx);
    if ((cache->mode & AL_TCACHE_OFF) != 0) {
        al_bin_flush(&cache->arena->bins[class_idx], (struct al_list){block, 1, false});
        return;
    }
    if (block == cold->hidden) {
        al_die_ptr("freed twice", block);
    }
    *(void **)block = cold->hidden;
    cold->hidden = block;
    if (++cold->hidden_count > al_tcache_cap_usual(class_idx)) {
        al_bin_flush(&cache->arena->bins[class_idx],
                     (struct al_list){cold->hidden, cold->hidden_count, false});
        cold->hidden = NULL;
        cold->hidden_count = 0;
    }
}

void al_tcache_free_slow(struct al_tcache *cache, unsigned class_idx) {
    AL_ASSERT(cache->bins[class_idx].room == 0);
    struct al_tcache_bin *const bin = &cache->bins[class_idx];

    if (AL_UNLIKELY(cache->mode != 0)) {
        mode_free(cache, class_idx);
        return;
    }
    bin->stamp = cache->tick;
    if (grow_freed(cache, class_idx)) {
        return;
    }
    const struct al_list list = al_tcache_take_freed(cache, class_idx);
    if (bin->alloc == NULL && !cache->cold[class_idx].is_pending) {
        install(cache, class_idx, list);
        return;
    }
    al_tcache_pass_on(cache, class_idx, list);
    al_tcache_visit(cache, 0);
}

/* ---- modes, counters ---- */

static void set_room(struct al_tcache *cache) {
    cache->grown_bytes = 0;
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        struct al_tcache_bin *const bin = &cache->bins[class_idx];
        bin->flim = cache->mode != 0 ? 1 : al_tcache_flim_start(class_idx);
        bin->room = bin->flim;
    }
}

void al_tcache_set_sampling(struct al_tcache *cache, bool is_sampling) {
    if (cache->is_sampling == is_sampling) {
        return;
    }
    cache->is_sampling = is_sampling;
    cache->large_epoch = 0; /* no epoch: epochs begin at 1 */
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        resample(cache, class_idx);
    }
}

void al_tcache_init(struct al_tcache *cache, struct al_arena *arena, uint32_t mode) {
    AL_ASSERT(arena != NULL);
    cache->arena = arena;
    cache->tag = al_map_tag(arena->idx);
    cache->mode = mode;
    set_room(cache);
    for (unsigned class_idx = 0; class_idx < AL_CLASS_COUNT; class_idx++) {
        cache->cold[class_idx].countdown = AL_SAMPLE_NEVER;
        cache->cold[class_idx].epoch = 0; /* a cache that was used before: draw anew */
    }
    cache->is_sampling = al_sample_thread_init();
    cache->large_epoch = 0;
}

void al_tcache_set_mode(struct al_tcache *cache, uint32_t mode) {
    if (cache->mode == mode) {
        return;
    }
    al_tcache_flush(cache);
    cache->exact_allocated_bytes = al_tcache_allocated_bytes(cache, true);
    cache->exact_freed_bytes = al_tcache_freed_bytes(cache, true);
    cache->mode = mode;
    set_room(cache);
}
