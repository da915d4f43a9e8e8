/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache — filling, sampling, flushing, trimming: all that happens when a fast list runs out.
 */
#include "alloc/tcache.h"

#include "alloc/bits.h"
#include "alloc/hooks.h"
#include "alloc/lock.h"
#include "alloc/sample.h"

enum {
    /* Cap of a freed list: 64 KiB, two blocks at least. 64 KiB to 1 MiB made no difference to
     * real programs (DESIGN section 4), so the smallest wins.
     */
    BIN_BYTES_MAX = 64 * 1024,
    BIN_COUNT_MIN = 2,
    FLIM_START_BYTES = 2048,
    /* Lists that merely go round grow up to this: a slow visit of some 200 instructions is
     * then less than one instruction a pair for small classes.
     */
    FILL_BYTES_MAX = 16 * 1024,
    FILL_COUNT_MAX = 256,
    /* Slow visits between two trims (a power of two), and classes looked at by one. */
    TRIM_TICKS = 64,
    TRIM_CLASS_COUNT = 13,
    /* A bin without a slow visit for this many ticks is quiet. */
    QUIET_TICKS = 512,
    /* Open batches of remote frees go home at this size. */
    REMOTE_COUNT_MAX = 32,
    REMOTE_BYTES_MAX = 4096,
    /* Bytes between two looks at decay and at the profiler's byte triggers. */
    EVENT_BYTES = 64 * 1024,
};

/* What stands beside a sampled object whose record the profiler could not make. */
static char dropped_record;

static uint32_t bin_cap(unsigned class_idx) {
    const uint32_t cap = (uint32_t)(BIN_BYTES_MAX / al_class_bytes(class_idx));

    return cap > BIN_COUNT_MIN ? cap : BIN_COUNT_MIN;
}

static uint32_t fill_cap(unsigned class_idx) {
    const uint32_t cap = (uint32_t)(FILL_BYTES_MAX / al_class_bytes(class_idx));

    return cap < FILL_COUNT_MAX ? cap : FILL_COUNT_MAX;
}

static uint32_t flim_start(unsigned class_idx) {
    const uint32_t count = (uint32_t)(FLIM_START_BYTES / al_class_bytes(class_idx));

    return count > 1 ? count : 1;
}

static void *next_of(const void *block) {
    return *(void *const *)block;
}

static void add_relaxed(_Atomic uint64_t *counter, uint64_t more) {
    /* One writer: a plain addition that readers may see before or after, never torn. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static uint32_t list_length(const void *block) {
    uint32_t count = 0;

    for (; block != NULL; block = next_of(block)) {
        count++;
    }
    return count;
}

static uint32_t freed_count(const struct al_tcache_bin *bin) {
    return bin->flim - bin->room;
}

/* ---- sampling countdowns ---- */

static uint64_t draw(struct al_tcache *cache, unsigned class_idx) {
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
            block = next_of(block);
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
    add_relaxed(&cold->malloc_count, bin->alloc_count);
    al_tcache_visit(cache, bin->alloc_count * al_class_bytes(class_idx));
}

/* Takes back what install gave: the blocks not yet allocated, and their share of the counts. */
static struct al_list uninstall(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    struct al_list list = {bin->alloc, list_length(bin->alloc), false};

    add_relaxed(&cold->malloc_count, 0 - (uint64_t)list.count);
    cold->countdown = cold->is_pending ? list.count + UINT64_C(1) : cold->countdown + list.count;
    if (cold->is_pending) {
        void *last = NULL;
        for (void *block = list.head; block != NULL; block = next_of(block)) {
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
    const struct al_list list = uninstall(cache, class_idx);

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
    const unsigned rate_lg = al_sample_rate_lg();
    const struct al_sampled sampled = {
        .ptr = ptr,
        .requested_bytes = requested_bytes,
        .usable_bytes = usable_bytes,
        .rate_lg = rate_lg,
        .arena_idx = cache->arena->idx,
        .is_certain = rate_lg == 0,
    };

    cache->reentry++;
    void *const record = al_hooks.sample(&sampled);
    cache->reentry--;
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

/* The allocation the countdown ended on; NULL: no memory for it in a sampled slab. */
static void *sampled_malloc(struct al_tcache *cache, unsigned class_idx, size_t requested_bytes) {
    const size_t usable_bytes = al_class_bytes(class_idx);
    void *const block = al_bin_sampled_take(&cache->arena->sampled[class_idx], class_idx);

    if (block == NULL) {
        return NULL;
    }
    const uint32_t slab_idx = al_map_entry_extent(al_map_entry(block));
    /* Marked as allocated before the hook runs: it may fork or be interrupted. */
    al_bin_sampled_set(block, slab_idx, &dropped_record);
    al_bin_sampled_set(block, slab_idx,
                       al_tcache_sample(cache, block, requested_bytes, usable_bytes));
    add_relaxed(&cache->cold[class_idx].malloc_count, 1);
    cache->exact_allocated_bytes += usable_bytes;
    al_tcache_visit(cache, usable_bytes);
    return block;
}

/* Ends a countdown: a new one is drawn, and the rest of the list goes on. */
static void *pending_malloc(struct al_tcache *cache, unsigned class_idx, size_t requested_bytes) {
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    const struct al_list rest = {cold->rest, cold->rest_count, cold->is_zeroed};

    cold->is_pending = false;
    cold->rest = NULL;
    cold->rest_count = 0;
    cold->countdown = draw(cache, class_idx);
    if (rest.count != 0) {
        install(cache, class_idx, rest);
    }
    return cache->reentry == 0 ? sampled_malloc(cache, class_idx, requested_bytes) : NULL;
}

/* ---- the slow path of malloc ---- */

static void reset_freed(struct al_tcache_bin *bin) {
    bin->freed = NULL;
    bin->room = bin->flim;
}

static struct al_list take_freed(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    const struct al_list list = {bin->freed, freed_count(bin), false};

    add_relaxed(&cache->cold[class_idx].free_count, list.count);
    reset_freed(bin);
    return list;
}

/* Twice the room, up to `cap` blocks, if the thread's bound allows it. */
static bool grow_freed(struct al_tcache *cache, unsigned class_idx, uint32_t cap) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    const uint32_t wanted = bin->flim * 2 < cap ? bin->flim * 2 : cap;

    if (wanted <= bin->flim) {
        return false;
    }
    const size_t more_bytes = (wanted - bin->flim) * al_class_bytes(class_idx);
    if (cache->grown_bytes + more_bytes > AL_TCACHE_GROWN_BYTES_MAX) {
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
    struct al_list list = {NULL, 0, false};

    bin->stamp = cache->tick;
    /* A short list is not worth a visit of its own while the bin can give a longer one. */
    if (freed_count(bin) < (bin->flim + 1) / 2) {
        list = al_bin_fill(&cache->arena->bins[class_idx], class_idx, bin->flim);
    }
    if (list.count == 0 && freed_count(bin) != 0) {
        list = take_freed(cache, class_idx);
        /* The class is busy: let the lists that go round grow, until a visit is cheap. */
        (void)grow_freed(cache, class_idx, fill_cap(class_idx));
    }
    if (list.count == 0) {
        return false;
    }
    install(cache, class_idx, list);
    return true;
}

/* In a mode other than 0 each allocation comes here, and the countdown counts it. */
static void *mode_malloc(struct al_tcache *cache, unsigned class_idx, size_t requested_bytes) {
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    const size_t size_bytes = al_class_bytes(class_idx);
    void *block = NULL;

    if (--cold->countdown == 0) {
        cold->countdown = draw(cache, class_idx);
        if (cache->reentry == 0) {
            block = sampled_malloc(cache, class_idx, requested_bytes);
        }
        if (block != NULL) {
            return block;
        }
    }
    if ((cache->mode & AL_TCACHE_OFF) != 0) {
        block = al_bin_take_one(&cache->arena->bins[class_idx], class_idx);
    } else {
        if (cold->hidden == NULL) {
            const struct al_list list =
                al_bin_fill(&cache->arena->bins[class_idx], class_idx, flim_start(class_idx));
            cold->hidden = list.head;
            cold->hidden_count = list.count;
        }
        block = cold->hidden;
        if (block != NULL) {
            cold->hidden = next_of(block);
            cold->hidden_count--;
        }
    }
    if (block != NULL) {
        cold->is_zeroed = false;
        add_relaxed(&cold->malloc_count, 1);
        cache->exact_allocated_bytes += size_bytes;
        al_tcache_visit(cache, size_bytes);
    }
    return block;
}

void *al_tcache_malloc_slow(struct al_tcache *cache, unsigned class_idx, size_t requested_bytes) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    struct al_tcache_cold *const cold = &cache->cold[class_idx];

    if (AL_UNLIKELY(cold->epoch != al_sample_epoch())) {
        resample(cache, class_idx);
    }
    if (AL_UNLIKELY(cache->mode != 0)) {
        return mode_malloc(cache, class_idx, requested_bytes);
    }
    while (bin->alloc == NULL) { /* each turn ends a countdown or fills the list */
        if (cold->is_pending) {
            void *const block = pending_malloc(cache, class_idx, requested_bytes);
            if (block != NULL) {
                return block;
            }
        } else if (!refill(cache, class_idx)) {
            return NULL;
        }
    }
    void *const block = bin->alloc;
    bin->alloc = next_of(block);
    return block;
}

/* ---- the slow path of free ---- */

static void mode_free(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    void *const block = bin->freed;

    reset_freed(bin);
    add_relaxed(&cold->free_count, 1);
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
    if (++cold->hidden_count > bin_cap(class_idx)) {
        al_bin_flush(&cache->arena->bins[class_idx],
                     (struct al_list){cold->hidden, cold->hidden_count, false});
        cold->hidden = NULL;
        cold->hidden_count = 0;
    }
}

void al_tcache_free_slow(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_bin *const bin = &cache->bins[class_idx];

    if (AL_UNLIKELY(cache->mode != 0)) {
        mode_free(cache, class_idx);
        return;
    }
    bin->stamp = cache->tick;
    if (grow_freed(cache, class_idx, bin_cap(class_idx))) {
        return;
    }
    const struct al_list list = take_freed(cache, class_idx);
    if (bin->alloc == NULL && !cache->cold[class_idx].is_pending) {
        install(cache, class_idx, list);
    } else {
        al_bin_flush(&cache->arena->bins[class_idx], list);
        al_tcache_visit(cache, 0);
    }
}

/* ---- frees of other arenas' blocks ---- */

static void send_home(struct al_tcache_remote *batch) {
    if (batch->slab_idx != 0) {
        const struct al_extent *const slab = al_extent_at(batch->slab_idx);
        struct al_arena *const arena = al_arena_at(al_extent_arena(slab));
        al_bin_push_remote(&arena->bins[slab->class_idx], batch->slab_idx, batch->head, batch->tail,
                           batch->count);
        batch->slab_idx = 0;
    }
}

void al_tcache_free_remote(struct al_tcache *cache, void *block, uint32_t slab_idx) {
    const struct al_extent *const slab = al_extent_at(slab_idx);
    const size_t size_bytes = al_class_bytes(slab->class_idx);
    struct al_tcache_remote *const batch = &cache->remote[slab_idx % AL_TCACHE_REMOTE_COUNT];

    al_bin_check_block(slab, block);
    if (batch->slab_idx != slab_idx) {
        send_home(batch);
        *batch = (struct al_tcache_remote){.slab_idx = slab_idx, .tail = block};
    } else if (batch->head == block) {
        al_die_ptr("freed twice", block);
    }
    *(void **)block = batch->head;
    batch->head = block;
    batch->count++;
    add_relaxed(&cache->cold[slab->class_idx].free_count, 1);
    cache->exact_freed_bytes += size_bytes;
    if (batch->count >= REMOTE_COUNT_MAX || batch->count * size_bytes >= REMOTE_BYTES_MAX) {
        send_home(batch);
        al_tcache_visit(cache, 0);
    }
}

/* ---- flushing and trimming ---- */

static void flush_class(struct al_tcache *cache, unsigned class_idx) {
    struct al_tcache_cold *const cold = &cache->cold[class_idx];
    const struct al_list lists[] = {
        uninstall(cache, class_idx),
        take_freed(cache, class_idx),
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
        send_home(&cache->remote[idx]);
    }
}

/* Empties bins nobody has visited for long, and lets them start small again. */
static void trim(struct al_tcache *cache) {
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
        const uint32_t start = cache->mode != 0 ? 1 : flim_start(class_idx);
        cache->grown_bytes -= (uint32_t)((bin->flim - start) * al_class_bytes(class_idx));
        bin->flim = start;
        bin->room = start;
    }
    send_home(&cache->remote[cache->gc_next % AL_TCACHE_REMOTE_COUNT]);
}

static void event(struct al_tcache *cache) {
    const uint64_t bytes = cache->event_bytes;

    cache->event_bytes = 0;
    al_arena_tick(cache->arena);
    cache->reentry++;
    al_hooks.allocated(bytes);
    cache->reentry--;
}

void al_tcache_visit(struct al_tcache *cache, size_t bytes) {
    cache->tick++;
    cache->event_bytes += bytes;
    if (cache->reentry != 0) {
        return;
    }
    if (AL_UNLIKELY(cache->event_bytes >= EVENT_BYTES)) {
        event(cache);
    }
    if (AL_UNLIKELY(cache->tick % TRIM_TICKS == 0)) {
        trim(cache);
    }
}

/* ---- modes, counters ---- */

static void set_room(struct al_tcache *cache) {
    cache->grown_bytes = 0;
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        struct al_tcache_bin *const bin = &cache->bins[class_idx];
        bin->flim = cache->mode != 0 ? 1 : flim_start(class_idx);
        bin->room = bin->flim;
    }
}

void al_tcache_init(struct al_tcache *cache, struct al_arena *arena, bool is_enabled) {
    cache->arena = arena;
    cache->tag = al_map_tag(arena->idx);
    cache->mode = is_enabled ? 0 : AL_TCACHE_OFF;
    cache->is_sampling = al_sample_thread_init();
    for (unsigned class_idx = 0; class_idx < AL_CLASS_COUNT; class_idx++) {
        cache->cold[class_idx].countdown = AL_SAMPLE_NEVER;
    }
    set_room(cache);
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

uint64_t al_tcache_allocated_bytes(const struct al_tcache *cache, bool is_own) {
    uint64_t sum = atomic_load_explicit(&cache->large_malloc_bytes, memory_order_relaxed);

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        uint64_t count =
            atomic_load_explicit(&cache->cold[class_idx].malloc_count, memory_order_relaxed);
        if (is_own) {
            count -= list_length(cache->bins[class_idx].alloc);
        }
        sum += count * al_class_bytes(class_idx);
    }
    return sum;
}

uint64_t al_tcache_freed_bytes(const struct al_tcache *cache, bool is_own) {
    uint64_t sum = atomic_load_explicit(&cache->large_free_bytes, memory_order_relaxed);

    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        uint64_t count =
            atomic_load_explicit(&cache->cold[class_idx].free_count, memory_order_relaxed);
        if (is_own) {
            count += freed_count(&cache->bins[class_idx]);
        }
        sum += count * al_class_bytes(class_idx);
    }
    return sum;
}

void al_tcache_check(const struct al_tcache *cache) {
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const struct al_tcache_bin *const bin = &cache->bins[class_idx];
        const struct al_tcache_cold *const cold = &cache->cold[class_idx];
        AL_CHECK(list_length(bin->freed) == freed_count(bin), "internal: tcache I1: freed list");
        AL_CHECK(list_length(cold->rest) == cold->rest_count &&
                     (cold->is_pending || cold->rest == NULL) &&
                     (!cold->is_pending || list_length(bin->alloc) < cold->countdown),
                 "internal: tcache I2: rest list");
        AL_CHECK(cache->mode == 0 || (bin->alloc == NULL && bin->room == 1),
                 "internal: tcache I3: mode");
    }
}
