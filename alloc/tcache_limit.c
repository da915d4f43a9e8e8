/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tcache_limit — a class's cap is asked for once a thread, when its list first wants to grow; so a
 * new cap only has to be put there, and the cache emptied.
 */
#include "alloc/tcache_limit.h"

#include "alloc/bits.h"
#include "alloc/tcache_list.h"

static struct {
    size_t max_bytes;              /* 0: all small sizes */
    uint16_t caps[AL_CLASS_COUNT]; /* 0: as is usual */
} limits;

/* ---- "8-128:100|256-512:20" ---- */

struct range {
    size_t low, high, count;
};

static bool read_number(const char **at, size_t *number) {
    AL_ASSERT(at != NULL && number != NULL);
    const char *const start = *at;

    *number = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        if (*number > AL_SIZE_MAX_BYTES / 10) {
            return false;
        }
        *number = *number * 10 + (size_t)(**at - '0');
    }
    return *at != start;
}

static bool read_range(const char **at, struct range *range) {
    AL_ASSERT(range != NULL);
    return read_number(at, &range->low) && *(*at)++ == '-' && read_number(at, &range->high) &&
           *(*at)++ == ':' && read_number(at, &range->count) && range->low <= range->high;
}

static void apply(const struct range *range, uint16_t *caps) {
    AL_ASSERT(range->low <= range->high);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        const size_t bytes = al_class_bytes(class_idx);
        /* A class is meant if the range touches the sizes it serves. */
        if (range->low <= bytes && range->high > al_class_bytes(class_idx - 1)) {
            const size_t count = range->count < UINT16_MAX ? range->count : UINT16_MAX;
            caps[class_idx] = (uint16_t)(count > 0 ? count : 1);
        }
    }
}

/* False: not such a text; caps are as they were. */
static bool read_caps(const char *text, uint16_t *caps) {
    struct range range;
    const char *at = text;

    do { /* each turn goes on in the text */
        if (!read_range(&at, &range) || (*at != '|' && *at != '\0')) {
            return false;
        }
    } while (*at++ == '|');
    at = text;
    do {
        (void)read_range(&at, &range);
        apply(&range, caps);
    } while (*at++ == '|');
    return true;
}

/* ---- options ---- */

void al_tcache_limit_boot(size_t max_bytes, const char *caps) {
    limits.max_bytes = max_bytes > 0 ? max_bytes : 1;
    (void)read_caps(caps, limits.caps); /* options.c has looked at it: a list, or none */
}

size_t al_tcache_limit_max_bytes(void) {
    return limits.max_bytes == 0 || limits.max_bytes >= AL_SMALL_MAX_BYTES
               ? AL_SMALL_MAX_BYTES
               : al_class_bytes(al_class_of(limits.max_bytes));
}

uint16_t al_tcache_limit_of(unsigned class_idx, uint32_t cap) {
    AL_ASSERT(cap > 0 && cap <= UINT16_MAX);
    if (al_class_bytes(class_idx) > al_tcache_limit_max_bytes()) {
        return 1;
    }
    return limits.caps[class_idx] != 0 ? limits.caps[class_idx] : (uint16_t)cap;
}

/* ---- one thread ---- */

/* Every list starts short again, and asks for its cap when it wants to grow. */
static void start_over(struct al_tcache *cache) {
    AL_ASSERT(cache != &al_null_tcache);
    al_tcache_flush(cache);
    cache->grown_bytes = 0;
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        struct al_tcache_bin *const bin = &cache->bins[class_idx];
        bin->flim = cache->mode != 0 ? 1 : al_tcache_flim_start(class_idx);
        bin->room = bin->flim;
    }
}

void al_tcache_set_max(struct al_tcache *cache, size_t bytes) {
    const size_t most_bytes = bytes < AL_SMALL_MAX_BYTES ? bytes : AL_SMALL_MAX_BYTES;
    const unsigned last_idx = al_class_of(most_bytes > 0 ? most_bytes : 1);

    cache->max_bytes = (uint32_t)al_class_bytes(last_idx);
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        cache->cold[class_idx].cap = class_idx <= last_idx ? 0 : 1;
    }
    start_over(cache);
}

size_t al_tcache_max(const struct al_tcache *cache) {
    return cache->max_bytes != 0 ? cache->max_bytes : al_tcache_limit_max_bytes();
}

bool al_tcache_set_caps(struct al_tcache *cache, const char *text) {
    AL_ASSERT(text != NULL);
    uint16_t caps[AL_CLASS_COUNT] = {0};

    if (!read_caps(text, caps)) {
        return false;
    }
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        if (caps[class_idx] != 0) {
            cache->cold[class_idx].cap = caps[class_idx];
        }
    }
    start_over(cache);
    return true;
}

uint32_t al_tcache_cap(struct al_tcache *cache, unsigned class_idx) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    const uint32_t cap = cache->cold[class_idx].cap;

    return cap != 0 ? cap : al_tcache_cap_usual(class_idx);
}

void al_tcache_forget_limits(struct al_tcache *cache) {
    cache->max_bytes = 0;
    cache->is_peak_watched = false;
    cache->peak_bytes = 0;
    cache->peak_base_bytes = 0;
    for (unsigned class_idx = 1; class_idx < AL_CLASS_COUNT; class_idx++) {
        cache->cold[class_idx].cap = 0;
    }
}

/* ---- the peak ---- */

static int64_t net_bytes(const struct al_tcache *cache) {
    return (int64_t)(al_tcache_allocated_bytes(cache, true) - al_tcache_freed_bytes(cache, true));
}

void al_tcache_peak_update(struct al_tcache *cache) {
    AL_ASSERT(cache != &al_null_tcache);
    if (AL_LIKELY(!cache->is_peak_watched)) {
        return; /* a look walks the lists of all classes */
    }
    const int64_t now_bytes = net_bytes(cache) - cache->peak_base_bytes;

    if (now_bytes > cache->peak_bytes) {
        cache->peak_bytes = now_bytes;
    }
}

uint64_t al_tcache_peak(struct al_tcache *cache) {
    cache->is_peak_watched = true;
    al_tcache_peak_update(cache);
    return (uint64_t)cache->peak_bytes;
}

void al_tcache_peak_reset(struct al_tcache *cache) {
    cache->is_peak_watched = true;
    cache->peak_base_bytes = net_bytes(cache);
    cache->peak_bytes = 0;
}
