/* SPDX-License-Identifier: BSD-2-Clause
 *
 * map — the flat table, its windows, and the two fallbacks.
 *
 * Address space is reserved without access and committed window by window. That keeps it
 * out of overcommit_memory=2's account, and mlockall(MCL_CURRENT) has only the windows to
 * populate: a 64 GiB readable reservation would be 128 MiB of page tables there, a writable
 * one the end of the machine.
 */
#include "alloc/map.h"

#include "alloc/lock.h"
#include "alloc/os.h"

#include <sys/auxv.h>

enum {
    ADDR_BITS = 47, /* user addresses of x86-64 without la57 hints, and of 47-bit aarch64 */
    FLAT_BITS = ADDR_BITS - AL_GRANULE_LG,
    NARROW_BITS_MIN = 20, /* 8 MiB of table for 16 GiB of addresses */
    WINDOW_LG = 20,       /* bytes of table committed at a time */
    WINDOW_BYTES = 1 << WINDOW_LG,
    WINDOW_COUNT_MAX = 1 << (FLAT_BITS + 3 - WINDOW_LG),
    ROOT_BITS = 17,
    LEAF_BITS = FLAT_BITS - ROOT_BITS,
    LEAF_SLOTS = 1 << LEAF_BITS,
};

/* The bits that a misaligned pointer sets in an index (see al_map_low_fast). */
static const uint64_t misaligned_mask = UINT64_C(15) << 50;

static _Atomic uint64_t empty_slot;
struct al_map al_map = {.slots = &empty_slot, .mask = 0};

static struct {
    /* Never change after al_map_init. */
    enum al_map_mode mode;
    unsigned bits;
    _Atomic(_Atomic uint64_t *) *root; /* two-level only */

    /* Atomic: a set bit is a committed window. Set after the commit, so release. */
    _Atomic uint64_t windows[WINDOW_COUNT_MAX / 64];

    /* Guarded by lock, narrow only: all addresses of ours lie in [span_low, span_high). */
    struct al_lock lock;
    uintptr_t span_low, span_high;

    /* Tests only. */
    unsigned bits_max;
} state = {.span_low = UINTPTR_MAX, .bits_max = FLAT_BITS};

static bool window_is_committed(uint64_t window) {
    return (atomic_load_explicit(&state.windows[window / 64], memory_order_acquire) >>
                (window % 64) &
            1) != 0;
}

/* Two windows side by side are large enough for a huge page, which would cost 2 MiB for an entry.
 */
static void keep_pages_small(char *base, uint64_t window) {
    AL_ASSERT(window < WINDOW_COUNT_MAX);
    const bool has_lower = window != 0 && window_is_committed(window - 1);
    const bool has_upper = window + 1 < WINDOW_COUNT_MAX && window_is_committed(window + 1);
    const uint64_t first = window - has_lower;

    if (has_lower || has_upper) {
        al_os_no_huge(base + (first << WINDOW_LG), (size_t)(window + has_upper - first + 1)
                                                       << WINDOW_LG);
    }
}

/* Commits the windows of slots [first, last]. Two threads may both commit one: harmless. */
static bool commit_slots(uint64_t first_slot, uint64_t last_slot) {
    AL_ASSERT(first_slot <= last_slot);
    char *const base = (char *)(uintptr_t)al_map.slots;
    const uint64_t last_window = last_slot * sizeof(uint64_t) >> WINDOW_LG;

    for (uint64_t window = first_slot * sizeof(uint64_t) >> WINDOW_LG; window <= last_window;
         window++) { /* at most WINDOW_COUNT_MAX */
        if (window_is_committed(window)) {
            continue;
        }
        if (!al_os_commit(base + (window << WINDOW_LG), WINDOW_BYTES)) {
            return false;
        }
        atomic_fetch_or_explicit(&state.windows[window / 64], UINT64_C(1) << (window % 64),
                                 memory_order_acq_rel);
        keep_pages_small(base, window);
    }
    return true;
}

/* Pointers into the stack and the program are what is freed by mistake: let the lookup find
 * an empty entry there, and the message be said. Best effort.
 */
static void cover_likely_mistakes(void) {
    const uintptr_t likely[] = {(uintptr_t)__builtin_frame_address(0), getauxval(AT_PHDR)};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(likely); idx++) {
        const uint64_t slot = likely[idx] >> AL_GRANULE_LG;
        if (likely[idx] != 0 && slot >> FLAT_BITS == 0) {
            (void)commit_slots(slot, slot);
        }
    }
}

static bool init_flat(unsigned bits) {
    const size_t table_bytes = sizeof(uint64_t) << bits;
    void *const slots = al_os_reserve(table_bytes);

    if (slots == NULL) {
        return false;
    }
    al_map.slots = slots;
    state.bits = bits;
    if (bits == FLAT_BITS) {
        state.mode = AL_MAP_MODE_FLAT;
        al_map.mask = UINT64_MAX;
        if (commit_slots(0, 0)) { /* free(NULL) reads slot 0 */
            cover_likely_mistakes();
            return true;
        }
    } else {
        state.mode = AL_MAP_MODE_NARROW;
        al_map.mask = ((UINT64_C(1) << bits) - 1) | misaligned_mask;
        al_os_no_huge(slots, table_bytes);
        if (al_os_commit(slots, table_bytes)) {
            return true;
        }
    }
    al_map.slots = &empty_slot;
    al_map.mask = 0;
    al_os_unmap(slots, table_bytes);
    return false;
}

void al_map_init(void) {
    /* Try the full width first: where it works nothing else is asked of the kernel. */
    if (state.bits_max >= FLAT_BITS && init_flat(FLAT_BITS)) {
        return;
    }
    const size_t limit_bytes = al_os_space_limit_bytes();
    unsigned bits = state.bits_max < 30 ? state.bits_max : 30;
    for (; bits >= NARROW_BITS_MIN; bits--) {
        /* A thirty-second of what the process may use is the table's fair share. */
        if (sizeof(uint64_t) << bits <= limit_bytes / 32 && init_flat(bits)) {
            return;
        }
    }
    al_map.slots = &empty_slot;
    al_map.mask = 0;
    state.mode = AL_MAP_MODE_TWO_LEVEL;
}

enum al_map_mode al_map_mode(void) {
    return state.mode;
}

void al_map_limit_bits(unsigned bits) {
    state.bits_max = bits;
}

/* ---- the table of tables ---- */

static _Atomic uint64_t *two_level_slot(uint64_t slot_idx) {
    if (state.root == NULL || slot_idx >> FLAT_BITS != 0) {
        return NULL;
    }
    _Atomic uint64_t *const leaf =
        atomic_load_explicit(&state.root[slot_idx >> LEAF_BITS], memory_order_acquire);
    return leaf == NULL ? NULL : &leaf[slot_idx & (LEAF_SLOTS - 1)];
}

static bool two_level_cover(uint64_t first_slot, uint64_t last_slot) {
    al_lock_take(&state.lock, AL_RANK_MAP);
    bool is_rooted = state.root != NULL;
    al_lock_give(&state.lock);
    if (!is_rooted) {
        void *const root = al_os_map(NULL, sizeof(void *) << ROOT_BITS);
        if (root == NULL) {
            return false;
        }
        al_lock_take(&state.lock, AL_RANK_MAP);
        is_rooted = state.root != NULL;
        if (!is_rooted) {
            state.root = root;
        }
        al_lock_give(&state.lock);
        if (is_rooted) {
            al_os_unmap(root, sizeof(void *) << ROOT_BITS);
        }
    }
    for (uint64_t idx = first_slot >> LEAF_BITS; idx <= last_slot >> LEAF_BITS; idx++) {
        _Atomic uint64_t *none = NULL;
        if (atomic_load_explicit(&state.root[idx], memory_order_acquire) != NULL) {
            continue;
        }
        void *const leaf = al_os_map(NULL, sizeof(uint64_t) << LEAF_BITS);
        if (leaf == NULL) {
            return false;
        }
        if (!atomic_compare_exchange_strong(&state.root[idx], &none, leaf)) {
            al_os_unmap(leaf, sizeof(uint64_t) << LEAF_BITS); /* another thread was first */
        }
    }
    return true;
}

/* ---- for all modes ---- */

/* Whether the span of all our addresses, with this range, is still free of aliases. */
static bool narrow_cover(uintptr_t low, uintptr_t high) {
    AL_ASSERT(low < high);
    const uintptr_t span_bytes_max = (uintptr_t)AL_GRANULE_BYTES << state.bits;

    al_lock_take(&state.lock, AL_RANK_MAP);
    const uintptr_t new_low = low < state.span_low ? low : state.span_low;
    const uintptr_t new_high = high > state.span_high ? high : state.span_high;
    const bool is_fitting = new_high - new_low <= span_bytes_max;
    if (is_fitting) {
        state.span_low = new_low;
        state.span_high = new_high;
    }
    al_lock_give(&state.lock);
    return is_fitting;
}

bool al_map_cover(uintptr_t base_addr, size_t bytes) {
    const uint64_t first_slot = base_addr >> AL_GRANULE_LG;
    const uint64_t last_slot = (base_addr + bytes - 1) >> AL_GRANULE_LG;

    AL_ASSERT(bytes > 0);
    if (last_slot >> FLAT_BITS != 0 || first_slot == 0) {
        return false;
    }
    switch (state.mode) {
    case AL_MAP_MODE_FLAT:
        return commit_slots(first_slot, last_slot);
    case AL_MAP_MODE_NARROW:
        return narrow_cover(base_addr, base_addr + bytes);
    case AL_MAP_MODE_TWO_LEVEL:
        return two_level_cover(first_slot, last_slot);
    case AL_MAP_MODE_NONE:
        break;
    }
    return false;
}

/* The slot of a covered address. */
static _Atomic uint64_t *slot_of(uintptr_t addr) {
    const uint64_t slot_idx = addr >> AL_GRANULE_LG;

    if (AL_LIKELY(state.mode == AL_MAP_MODE_FLAT)) {
        return &al_map.slots[slot_idx];
    }
    if (state.mode == AL_MAP_MODE_NARROW) {
        return &al_map.slots[slot_idx & ((UINT64_C(1) << state.bits) - 1)];
    }
    return two_level_slot(slot_idx);
}

uint64_t al_map_entry(const void *ptr) {
    const uintptr_t addr = (uintptr_t)ptr;
    const uint64_t slot_idx = addr >> AL_GRANULE_LG;

    if (slot_idx >> FLAT_BITS != 0) {
        return 0;
    }
    if (AL_LIKELY(state.mode == AL_MAP_MODE_FLAT)) {
        if (!window_is_committed(slot_idx * sizeof(uint64_t) >> WINDOW_LG)) {
            return 0;
        }
    } else if (state.mode == AL_MAP_MODE_NARROW) {
        /* Unlocked: a span that grows meanwhile does not hold this address yet. */
        if (addr < state.span_low || addr >= state.span_high) {
            return 0;
        }
    }
    const _Atomic uint64_t *const slot = slot_of(addr);
    return slot == NULL ? 0 : atomic_load_explicit(slot, memory_order_relaxed);
}

void al_map_set(uintptr_t base_addr, size_t granules, uint64_t entry) {
    AL_ASSERT(base_addr % AL_GRANULE_BYTES == 0);
    for (size_t idx = 0; idx < granules; idx++) {
        _Atomic uint64_t *const slot = slot_of(base_addr + (idx << AL_GRANULE_LG));
        AL_ASSERT(slot != NULL);
        atomic_store_explicit(slot, entry, memory_order_relaxed);
    }
}

void al_map_fork_prepare(void) {
    al_lock_take(&state.lock, AL_RANK_MAP);
}

void al_map_fork_parent(void) {
    al_lock_give(&state.lock);
}

void al_map_fork_child(void) {
    al_lock_reset(&state.lock);
}
