/* SPDX-License-Identifier: BSD-2-Clause
 *
 * slab — making one: a descriptor, a run, its map entries; and the way back.
 */
#include "alloc/slab.h"

#include "alloc/lock.h"
#include "alloc/map.h"
#include "alloc/meta.h"

static_assert(AL_GRANULE_BYTES / AL_QUANTUM_BYTES <= 1024, "slots fit the remote count");

/* Arrays of records that lost their slab, one list a class: nothing else wants such sizes. */
static struct {
    struct al_lock lock;
    void *unused[AL_CLASS_COUNT]; /* guarded by lock */
} record_arrays;

static void **take_records(unsigned class_idx) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    const size_t bytes = sizeof(void *) * al_class_slab_slots(class_idx);

    al_lock_take(&record_arrays.lock, AL_RANK_RECORDS);
    void **const records = record_arrays.unused[class_idx];
    if (records != NULL) {
        record_arrays.unused[class_idx] = records[0];
        records[0] = NULL; /* all others were cleared as their objects died */
    }
    al_lock_give(&record_arrays.lock);
    return records != NULL ? records : al_meta_alloc(bytes);
}

static void give_records(unsigned class_idx, void **records) {
    AL_ASSERT(records != NULL);
    al_lock_take(&record_arrays.lock, AL_RANK_RECORDS);
    records[0] = record_arrays.unused[class_idx];
    record_arrays.unused[class_idx] = records;
    al_lock_give(&record_arrays.lock);
}

uint32_t al_slab_create(struct al_runs *runs, unsigned class_idx, enum al_extent_kind kind) {
    AL_ASSERT(class_idx > 0 && class_idx < AL_CLASS_COUNT);
    AL_ASSERT(kind == AL_EXTENT_SLAB || kind == AL_EXTENT_SAMPLED);
    const uint32_t granules = al_class_slab_granules(class_idx);
    const uint32_t idx = al_extent_take();
    void **records = NULL;
    bool is_zeroed = false;

    if (idx == 0) {
        return 0;
    }
    if (kind == AL_EXTENT_SAMPLED) {
        records = take_records(class_idx);
    }
    if ((kind == AL_EXTENT_SAMPLED && records == NULL) ||
        !al_runs_take(runs, idx, granules, 1, AL_RUNS_SLAB, &is_zeroed)) {
        if (records != NULL) {
            give_records(class_idx, records);
        }
        al_extent_give(idx);
        return 0;
    }
    struct al_extent *const slab = al_extent_at(idx);
    const size_t slot_bytes = al_class_bytes(class_idx);
    slab->class_idx = (uint8_t)class_idx;
    slab->slab = (struct al_slab_part){
        .reciprocal = (uint32_t)(((UINT64_C(1) << 32) + slot_bytes - 1) / slot_bytes),
        .slot_count = (uint16_t)al_class_slab_slots(class_idx),
        .list = AL_BIN_LIST_NONE,
        .is_zeroed = is_zeroed,
    };
    uint32_t low = al_map_slab_low(runs->arena_idx, class_idx);
    if (kind == AL_EXTENT_SAMPLED) {
        slab->slab.records = records;
        low = AL_MAP_SAMPLED;
    }
    al_extent_set_kind(slab, kind);
    al_map_set(slab->base_addr, granules, al_map_entry_make(idx, low));
    return idx;
}

void al_slab_destroy(struct al_runs *runs, uint32_t slab_idx) {
    AL_ASSERT(slab_idx != 0);
    struct al_extent *const slab = al_extent_at(slab_idx);

    AL_ASSERT(atomic_load(&slab->slab.remote) == 0);
    if (al_extent_kind(slab) == AL_EXTENT_SAMPLED) {
        give_records(slab->class_idx, slab->slab.records);
    }
    /* Uncarved it is as it was taken, which may have been dirty. */
    al_runs_give(runs, slab_idx, AL_RUNS_SLAB,
                 slab->slab.carved_count != 0 || slab->slab.is_zeroed == 0);
}

void al_slab_fork_prepare(void) {
    al_lock_take(&record_arrays.lock, AL_RANK_RECORDS);
}

void al_slab_fork_parent(void) {
    al_lock_give(&record_arrays.lock);
}

void al_slab_fork_child(void) {
    al_lock_reset(&record_arrays.lock);
}
