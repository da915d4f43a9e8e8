/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bin — filling caches from the fullest slabs, taking blocks back, and the remote queue.
 *
 * Fullest first packs the live blocks into few slabs, so that others run empty and their
 * pages can go. Four lists are enough: a finer order moved slabs more often and packed no
 * better on the mixed-size pattern.
 */
#include "alloc/bin.h"

#include "alloc/bin_list.h"
#include "alloc/map.h"
#include "alloc/purge.h"
#include "alloc/slab.h"

enum {
    /* Slabs looked at for one filling: bounds the time under the lock. */
    FILL_SLAB_COUNT_MAX = 8,
    /* A remote list shorter than this is not worth a visit by itself: more is added, for
     * which it must be walked once. */
    SHORT_LIST_COUNT = 16,
    /* A list is cut when it is this many times as long as what is wanted. */
    LONG_LIST_FACTOR = 2,
    /* Short remote lists that one filling puts together. */
    FILL_REMOTE_COUNT_MAX = 4,
    /* Queued slabs drained between two takings of the lock. */
    DRAIN_SLAB_COUNT = 16,
};

static void *next_of(const void *block) {
    return *(void *const *)block;
}

static void set_next(void *block, void *next) {
    *(void **)block = next;
}

/* ---- the lists by fullness ---- */

static unsigned wanted_list(const struct al_extent *slab) {
    AL_ASSERT(slab->slab.free_count <= slab->slab.carved_count);
    const uint32_t used = (uint32_t)slab->slab.carved_count - slab->slab.free_count;

    if (slab->slab.free_count == 0 && slab->slab.carved_count == slab->slab.slot_count) {
        return AL_BIN_LIST_NONE;
    }
    const unsigned quarter = used * AL_BIN_LIST_COUNT / slab->slab.slot_count;
    return quarter < AL_BIN_LIST_COUNT ? quarter : AL_BIN_LIST_COUNT - 1;
}

void al_bin_unlist_locked(struct al_bin *bin, struct al_extent *slab) {
    al_lock_assert_held(&bin->lock);
    const uint32_t prev_idx = slab->slab.prev_idx;
    const uint32_t next_idx = slab->slab.next_idx;

    if (slab->slab.list == AL_BIN_LIST_NONE) {
        return;
    }
    if (prev_idx != 0) {
        al_extent_at(prev_idx)->slab.next_idx = next_idx;
    } else {
        bin->list_idx[slab->slab.list] = next_idx;
    }
    if (next_idx != 0) {
        al_extent_at(next_idx)->slab.prev_idx = prev_idx;
    }
    slab->slab.list = AL_BIN_LIST_NONE;
    bin->listed_count--;
}

/* Puts the slab on the list it belongs to, if it is not there already. */
void al_bin_relist_locked(struct al_bin *bin, struct al_extent *slab, uint32_t idx) {
    al_lock_assert_held(&bin->lock);
    const unsigned list = wanted_list(slab);

    if (list == slab->slab.list) {
        return;
    }
    al_bin_unlist_locked(bin, slab);
    if (list == AL_BIN_LIST_NONE) {
        return;
    }
    const uint32_t head_idx = bin->list_idx[list];
    slab->slab.list = (uint8_t)list;
    slab->slab.prev_idx = 0;
    slab->slab.next_idx = head_idx;
    if (head_idx != 0) {
        al_extent_at(head_idx)->slab.prev_idx = idx;
    }
    bin->list_idx[list] = idx;
    bin->listed_count++;
}

/* ---- blocks leave a slab ---- */

/* The last of a list's first `count` blocks. */
static void *tail_of(struct al_list list) {
    AL_ASSERT(list.head != NULL && list.count > 0);
    void *block = list.head;

    for (uint32_t idx = 1; idx < list.count; idx++) {
        block = next_of(block);
    }
    return block;
}

/* Puts `count` blocks head..tail before what `list` holds. */
static void prepend(struct al_list *list, void *head, void *tail, uint32_t count) {
    AL_ASSERT(head != NULL && tail != NULL && count > 0);
    if (list->head != NULL) {
        set_next(tail, list->head);
    }
    list->head = head;
    list->count += count;
    list->is_zeroed = false;
}

/* Slots never used before: at most a page's worth, at least one. */
static void carve_locked(struct al_extent *slab, struct al_list *list, uint32_t want) {
    AL_ASSERT(slab->slab.carved_count <= slab->slab.slot_count);
    AL_ASSERT(want > 0);
    const size_t slot_bytes = al_class_bytes(slab->class_idx);
    const uint32_t left = (uint32_t)slab->slab.slot_count - slab->slab.carved_count;
    uint32_t count = (uint32_t)(AL_SLAB_CARVE_BYTES / slot_bytes);

    count = count < want ? count : want;
    count = count < left ? count : left;
    count = count > 0 ? count : 1;
    char *const first = (char *)slab->base_addr + slab->slab.carved_count * slot_bytes;
    char *block = first;
    for (uint32_t idx = 1; idx < count; idx++) {
        set_next(block, block + slot_bytes);
        block += slot_bytes;
    }
    set_next(block, NULL);
    if (list->head == NULL) {
        *list = (struct al_list){first, count, slab->slab.is_zeroed != 0};
    } else {
        prepend(list, first, block, count);
    }
    atomic_store_explicit(&slab->slab.carved_count, (uint16_t)(slab->slab.carved_count + count),
                          memory_order_relaxed);
}

/* Says that something is queued, after it was. Sequentially consistent as al_arena_drain is, which
 * takes the mark away before it looks: were both sides relaxed, a slab might stay queued without a
 * mark.
 */
static void mark_remote(struct al_bin *bin) {
    if (!atomic_load(&bin->runs->has_remote)) {
        atomic_store_explicit(&bin->runs->has_remote, true, memory_order_relaxed);
    }
}

/* The remote list of one queued slab, as it is: its length is known, its blocks need not be
 * looked at. False: nothing is queued.
 */
static bool take_remote_locked(struct al_bin *bin, struct al_list *list, uint32_t *slab_idx) {
    AL_ASSERT(list != NULL && slab_idx != NULL);
    al_lock_assert_held(&bin->lock);
    uint32_t idx = atomic_load_explicit(&bin->pending_idx, memory_order_relaxed);
    if (idx == 0) {
        if (atomic_load_explicit(&bin->queue_idx, memory_order_relaxed) == 0) {
            return false;
        }
        idx = atomic_exchange_explicit(&bin->queue_idx, 0, memory_order_acquire);
    }
    struct al_extent *const slab = al_extent_at(idx);
    atomic_store_explicit(&bin->pending_idx,
                          atomic_load_explicit(&slab->slab.remote_next_idx, memory_order_relaxed),
                          memory_order_relaxed);
    /* From here on a pusher finds the list empty and queues the slab again. */
    const uint64_t remote = atomic_exchange_explicit(&slab->slab.remote, 0, memory_order_acq_rel);
    *list = (struct al_list){al_slab_remote_head(remote), al_slab_remote_count(remote), false};
    *slab_idx = idx;
    return true;
}

/* Whether a list of `count` is so much longer than what is wanted that it is worth cutting: a
 * thread would carry the rest to its end, and nobody else could use it. The blocks looked at to
 * find the place are the next that the thread uses.
 */
static bool is_far_too_long(uint32_t count, uint32_t want) {
    return count > LONG_LIST_FACTOR * want;
}

/* The slab's free list, or the first `want` blocks of a long one. */
static void take_free_list_locked(struct al_extent *slab, struct al_list *list, uint32_t want) {
    AL_ASSERT(slab->slab.free_count != 0 && want > 0);
    struct al_slab_part *const part = &slab->slab;
    void *const head = part->free_list;

    if (!is_far_too_long(part->free_count, want)) {
        prepend(list, head, part->free_tail, part->free_count);
        part->free_list = NULL;
        part->free_count = 0;
        return;
    }
    void *const tail = tail_of((struct al_list){head, want, false});
    part->free_list = next_of(tail);
    part->free_count = (uint16_t)(part->free_count - want);
    set_next(tail, NULL);
    prepend(list, head, tail, want);
}

/* Cuts a long remote list after `want` blocks and leaves the rest queued, as if just pushed; if
 * another thread has pushed meanwhile, the list stays whole.
 */
static void shorten_remote_locked(struct al_bin *bin, uint32_t slab_idx, struct al_list *list,
                                  uint32_t want) {
    al_lock_assert_held(&bin->lock);
    struct al_extent *const slab = al_extent_at(slab_idx);
    void *const tail = tail_of((struct al_list){list->head, want, false});
    const uint64_t rest = al_slab_remote_make(next_of(tail), list->count - want);
    uint64_t none = 0;

    if (atomic_compare_exchange_strong_explicit(&slab->slab.remote, &none, rest,
                                                memory_order_acq_rel, memory_order_relaxed)) {
        const uint32_t pending_idx = atomic_load_explicit(&bin->pending_idx, memory_order_relaxed);
        atomic_store_explicit(&slab->slab.remote_next_idx, pending_idx, memory_order_relaxed);
        atomic_store(&bin->pending_idx, slab_idx);
        mark_remote(bin);
        set_next(tail, NULL);
        list->count = want;
    }
}

/* Free lists of the fullest slabs until there are `want` blocks; then, if that is not half of
 * it, slots never used before from one slab.
 */
static void fill_from_slabs_locked(struct al_bin *bin, struct al_list *list, uint32_t want) {
    al_lock_assert_held(&bin->lock);
    uint32_t fresh_idx = 0; /* the fullest slab with slots left to carve */

    for (unsigned level = AL_BIN_LIST_COUNT, seen = 0; level-- > 0;) {
        uint32_t idx = bin->list_idx[level];
        while (idx != 0 && list->count < want && seen < FILL_SLAB_COUNT_MAX) {
            struct al_extent *const slab = al_extent_at(idx);
            const uint32_t next_idx = slab->slab.next_idx;
            if (slab->slab.free_count != 0) {
                take_free_list_locked(slab, list, want - list->count);
                al_bin_relist_locked(bin, slab, idx);
            }
            if (fresh_idx == 0 && slab->slab.carved_count < slab->slab.slot_count) {
                fresh_idx = idx;
            }
            seen++;
            idx = next_idx;
        }
    }
    if (fresh_idx != 0 && list->count < (want + 1) / 2) {
        carve_locked(al_extent_at(fresh_idx), list, want - list->count);
        al_bin_relist_locked(bin, al_extent_at(fresh_idx), fresh_idx);
    }
}

/* One block, from a slab's list or freshly carved; NULL: the bin has none. */
static void *take_one_locked(struct al_bin *bin) {
    al_lock_assert_held(&bin->lock);
    for (unsigned level = AL_BIN_LIST_COUNT; level-- > 0;) {
        const uint32_t idx = bin->list_idx[level];
        struct al_extent *const slab = al_extent_at(idx);
        struct al_list list = {NULL, 0, false};
        if (idx == 0) {
            continue;
        }
        if (slab->slab.free_count != 0) {
            list.head = slab->slab.free_list;
            slab->slab.free_list = next_of(list.head);
            slab->slab.free_count--;
        } else {
            carve_locked(slab, &list, 1);
        }
        bin->used_count++;
        al_bin_relist_locked(bin, slab, idx);
        return list.head;
    }
    return NULL;
}

/* Makes a slab and puts it into the bin. No lock held on entry and exit. */
static bool add_slab(struct al_bin *bin, unsigned class_idx, enum al_extent_kind kind) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    const uint32_t idx = al_slab_create(bin->runs, class_idx, kind);
    struct al_bin_counts *const counts = al_bin_counts_of(bin, class_idx);

    if (idx == 0) {
        return false;
    }
    al_lock_take(&bin->lock, AL_RANK_BIN);
    bin->slab_count++;
    /* Each count has the lock of its own bin. */
    if (counts != NULL && kind == AL_EXTENT_SLAB) {
        counts->slab_count++;
    } else if (counts != NULL) {
        counts->sampled_slab_count++;
    }
    al_bin_relist_locked(bin, al_extent_at(idx), idx);
    al_lock_give(&bin->lock);
    return true;
}

/* What the bin has, up to about `want` blocks: remote frees first, a long list of them as it is:
 * its blocks need not be looked at.
 */
static struct al_list fill_locked(struct al_bin *bin, uint32_t want) {
    al_lock_assert_held(&bin->lock);
    struct al_list list = {NULL, 0, false};
    struct al_list remote = {NULL, 0, false};
    struct al_list gathered = {NULL, 0, false};
    uint32_t slab_idx = 0;

    for (int seen = 0; seen < FILL_REMOTE_COUNT_MAX && gathered.count < want; seen++) {
        if (!take_remote_locked(bin, &remote, &slab_idx)) {
            break;
        }
        if (is_far_too_long(remote.count, want)) {
            shorten_remote_locked(bin, slab_idx, &remote, want);
        }
        if (gathered.count == 0 && (remote.count >= SHORT_LIST_COUNT || remote.count >= want)) {
            return remote;
        }
        prepend(&gathered, remote.head, tail_of(remote), remote.count);
    }
    if (gathered.count >= want) {
        return gathered;
    }
    fill_from_slabs_locked(bin, &list, want - gathered.count);
    bin->used_count += list.count;
    if (gathered.count != 0) {
        prepend(&list, gathered.head, tail_of(gathered), gathered.count);
    }
    return list;
}

static void count_taken_locked(struct al_bin *bin, unsigned class_idx, uint32_t count,
                               uint32_t fill_count) {
    al_lock_assert_held(&bin->lock);
    struct al_bin_counts *const counts = al_bin_counts_of(bin, class_idx);

    if (counts != NULL) {
        counts->taken_count += count;
        counts->fill_count += fill_count;
    }
}

struct al_list al_bin_fill(struct al_bin *bin, unsigned class_idx, uint32_t want) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    AL_ASSERT(want > 0);
    struct al_list list;

    do { /* ends: add_slab fails, or its slab is there unless other threads emptied it */
        al_lock_take(&bin->lock, AL_RANK_BIN);
        list = fill_locked(bin, want);
        count_taken_locked(bin, class_idx, list.count, 1);
        al_lock_give(&bin->lock);
    } while (list.count == 0 && add_slab(bin, class_idx, AL_EXTENT_SLAB));
    return list;
}

void *al_bin_take_kind(struct al_bin *bin, unsigned class_idx, enum al_extent_kind kind) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    struct al_bin_counts *const counts = al_bin_counts_of(bin, class_idx);
    void *block = NULL;

    do { /* ends as al_bin_fill does */
        al_lock_take(&bin->lock, AL_RANK_BIN);
        block = take_one_locked(bin);
        if (block != NULL && kind == AL_EXTENT_SAMPLED && counts != NULL) {
            counts->sampled_count++;
        } else if (block != NULL) {
            count_taken_locked(bin, class_idx, 1, 0);
        }
        al_lock_give(&bin->lock);
    } while (block == NULL && add_slab(bin, class_idx, kind));
    return block;
}

/* ---- blocks come back ---- */

void al_bin_check_block(const struct al_extent *slab, const void *block) {
    AL_ASSERT(slab->class_idx > 0 && slab->class_idx < AL_CLASS_COUNT);
    const uintptr_t offset_bytes = (uintptr_t)block - slab->base_addr;

    if (AL_UNLIKELY(offset_bytes >= al_extent_bytes(slab))) {
        al_die_ptr("pointer that was never allocated", block);
    }
    const uint32_t slot = al_slab_slot_of(slab, (uint32_t)offset_bytes);
    if (AL_UNLIKELY(slot * al_class_bytes(slab->class_idx) != offset_bytes)) {
        al_die_ptr("pointer into the middle of an allocation", block);
    }
    /* Without the lock: a block that was handed out lies below any value there was since. */
    if (AL_UNLIKELY(slot >= atomic_load_explicit(&slab->slab.carved_count, memory_order_relaxed))) {
        al_die_ptr("pointer that was never allocated", block);
    }
}

static void audit_not_free(const struct al_extent *slab, const void *block) {
    const void *other = slab->slab.free_list;

    for (uint32_t seen = 0; seen < slab->slab.free_count; seen++, other = next_of(other)) {
        if (other == block) {
            al_die_ptr("freed twice", block);
        }
    }
}

/* Whether the slab is now empty: then it is off the lists and the caller's to destroy. */
static bool put_back_locked(struct al_bin *bin, struct al_extent *slab, uint32_t idx, void *block) {
    al_lock_assert_held(&bin->lock);
    al_bin_check_block(slab, block);
    if (al_is_debug) {
        audit_not_free(slab, block);
    }
    if (slab->slab.free_count == 0) {
        slab->slab.free_tail = block;
    }
    set_next(block, slab->slab.free_list);
    slab->slab.free_list = block;
    slab->slab.free_count++;
    bin->used_count--;
    if (AL_UNLIKELY(slab->slab.free_count == slab->slab.carved_count)) {
        /* Nothing is remote either: a remote block counts as in use until it is drained. */
        al_bin_unlist_locked(bin, slab);
        bin->slab_count--;
        return true;
    }
    al_bin_relist_locked(bin, slab, idx);
    return false;
}

/* Empty slabs, linked through next_idx, go back to the page heap. No lock held. */
static void destroy_slabs(struct al_bin *bin, uint32_t idx) {
    while (idx != 0) {
        const uint32_t next_idx = al_extent_at(idx)->slab.next_idx;
        al_slab_destroy(bin->runs, idx);
        idx = next_idx;
    }
}

static void chain_empty(uint32_t *empty_idx, uint32_t idx) {
    al_extent_at(idx)->slab.next_idx = *empty_idx;
    *empty_idx = idx;
}

void al_bin_flush(struct al_bin *bin, struct al_list list) {
    AL_ASSERT(list.head != NULL && list.count > 0);
    uint32_t empty_idx = 0;
    const unsigned class_idx =
        al_extent_at(al_map_entry_extent(al_map_entry(list.head)))->class_idx;
    struct al_bin_counts *const counts = al_bin_counts_of(bin, class_idx);

    al_lock_take(&bin->lock, AL_RANK_BIN);
    if (counts != NULL) {
        counts->flush_count++;
    }
    while (list.head != NULL) { /* list.count turns */
        void *const block = list.head;
        const uint64_t entry = al_map_entry(block);
        list.head = next_of(block);
        if (AL_UNLIKELY(!al_map_entry_is_slab(entry))) {
            al_die_ptr("pointer that was never allocated", block);
        }
        const uint32_t idx = al_map_entry_extent(entry);
        if (put_back_locked(bin, al_extent_at(idx), idx, block)) {
            chain_empty(&empty_idx, idx);
        }
    }
    al_lock_give(&bin->lock);
    destroy_slabs(bin, empty_idx);
}

bool al_bin_push_remote(struct al_bin *bin, uint32_t slab_idx, void *head, void *tail,
                        uint32_t count) {
    AL_ASSERT(head != NULL && tail != NULL && count > 0);
    AL_ASSERT(slab_idx != 0);
    struct al_extent *const slab = al_extent_at(slab_idx);
    /* Read before the push: afterwards the slab may be gone. */
    const uint32_t carved_count =
        atomic_load_explicit(&slab->slab.carved_count, memory_order_relaxed);
    uint64_t remote = atomic_load_explicit(&slab->slab.remote, memory_order_relaxed);
    uint64_t pushed = 0;

    do { /* repeats only while other threads get their blocks in */
        set_next(tail, al_slab_remote_head(remote));
        pushed = al_slab_remote_make(head, al_slab_remote_count(remote) + count);
    } while (!atomic_compare_exchange_weak_explicit(&slab->slab.remote, &remote, pushed,
                                                    memory_order_acq_rel, memory_order_relaxed));
    const bool is_all_free = al_slab_remote_count(pushed) == carved_count;
    if (remote != 0) {
        return is_all_free; /* queued already */
    }
    uint32_t head_idx = atomic_load_explicit(&bin->queue_idx, memory_order_relaxed);
    do {
        atomic_store_explicit(&slab->slab.remote_next_idx, head_idx, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak(&bin->queue_idx, &head_idx, slab_idx));
    mark_remote(bin);
    al_purge_wake(); /* the owner may never come by: the program may be at rest now */
    return is_all_free;
}

/* A remote list goes into its slab. A slab that is all free by it is off the lists, and the
 * caller's to destroy: then the blocks need not be looked at, who pushed them has.
 */
static bool put_back_remote_locked(struct al_bin *bin, struct al_extent *slab, uint32_t slab_idx,
                                   struct al_list list) {
    al_lock_assert_held(&bin->lock);
    bool is_empty = false;

    if (!al_is_debug && slab->slab.free_count + list.count == slab->slab.carved_count) {
        bin->used_count -= list.count;
        bin->slab_count--;
        al_bin_unlist_locked(bin, slab);
        return true;
    }
    while (list.head != NULL) {
        void *const block = list.head;
        list.head = next_of(block);
        is_empty = put_back_locked(bin, slab, slab_idx, block);
    }
    return is_empty;
}

/* At most `slab_count` queued slabs. Whether it took as many. */
static bool drain_some(struct al_bin *bin, uint32_t slab_count) {
    uint32_t empty_idx = 0;
    uint32_t done_count = 0;
    struct al_list list;
    uint32_t slab_idx = 0;

    if (atomic_load(&bin->queue_idx) == 0 && atomic_load(&bin->pending_idx) == 0) {
        return false; /* unlocked look: what is missed now is marked anew (mark_remote) */
    }
    al_lock_take(&bin->lock, AL_RANK_BIN);
    for (; done_count < slab_count && take_remote_locked(bin, &list, &slab_idx); done_count++) {
        if (put_back_remote_locked(bin, al_extent_at(slab_idx), slab_idx, list)) {
            chain_empty(&empty_idx, slab_idx);
        }
    }
    al_lock_give(&bin->lock);
    destroy_slabs(bin, empty_idx);
    return done_count == slab_count;
}

void al_bin_drain(struct al_bin *bin) {
    while (drain_some(bin, DRAIN_SLAB_COUNT)) { /* ends: each turn takes slabs off the queue */
    }
}

void *al_bin_take_one(struct al_bin *bin, unsigned class_idx) {
    (void)drain_some(bin, 1);
    return al_bin_take_kind(bin, class_idx, AL_EXTENT_SLAB);
}

/* ---- checks ---- */

static void check_slab_locked(const struct al_extent *slab) {
    uint64_t seen[AL_GRANULE_BYTES / AL_QUANTUM_BYTES / 64] = {0}; /* a bit a slot: 1,024 at most */
    const void *last = NULL;

    AL_CHECK(slab->slab.free_count <= slab->slab.carved_count &&
                 slab->slab.carved_count <= slab->slab.slot_count,
             "internal: bin I2: counts of a slab");
    const void *block = slab->slab.free_list;
    for (uint32_t count = 0; count < slab->slab.free_count; count++, block = next_of(block)) {
        al_bin_check_block(slab, block);
        const uint32_t slot = al_slab_slot_of(slab, (uint32_t)((uintptr_t)block - slab->base_addr));
        AL_CHECK((seen[slot / 64] >> slot % 64 & 1) == 0, "internal: bin I1: a block free twice");
        seen[slot / 64] |= UINT64_C(1) << slot % 64;
        last = block;
    }
    AL_CHECK(block == NULL, "internal: bin I1: more blocks than are counted");
    AL_CHECK(last == NULL || al_extent_kind(slab) != AL_EXTENT_SLAB || last == slab->slab.free_tail,
             "internal: bin I1: last block of a free list");
    AL_CHECK(slab->slab.list == wanted_list(slab), "internal: bin I3: list of a slab");
}

void al_bin_check(struct al_bin *bin, unsigned class_idx) {
    uint64_t used_count = 0;
    uint32_t listed_count = 0;

    al_lock_take(&bin->lock, AL_RANK_BIN);
    for (unsigned level = 0; level < AL_BIN_LIST_COUNT; level++) {
        for (uint32_t idx = bin->list_idx[level]; idx != 0;
             idx = al_extent_at(idx)->slab.next_idx) {
            const struct al_extent *const slab = al_extent_at(idx);
            check_slab_locked(slab);
            used_count += (uint64_t)slab->slab.carved_count - slab->slab.free_count;
            listed_count++;
        }
    }
    AL_CHECK(listed_count == bin->listed_count, "internal: bin I3: slabs on lists");
    /* Slabs on no list are full. */
    used_count += (uint64_t)(bin->slab_count - listed_count) * al_class_slab_slots(class_idx);
    AL_CHECK(used_count == bin->used_count, "internal: bin I4: blocks in use");
    al_lock_give(&bin->lock);
}
