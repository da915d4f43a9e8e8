/* SPDX-License-Identifier: BSD-2-Clause
 *
 * intern — open addressing, linear probing, at most half full.
 *
 * The hash starts from the process's random bytes: a profile is somebody else's file, and one
 * made of colliding names must not turn a load into minutes. Numbers are given in order of
 * first sight, so nothing a user sees depends on it.
 */
#include "tools/symbolize/intern.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

enum { SLOT_COUNT_MIN = 256 };
static const uint32_t entry_count_max = UINT32_C(1) << 31;

static uint64_t seed_of_process(void) {
    const void *const random = (const void *)getauxval(AT_RANDOM); /* 16 bytes, from the kernel */
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);

    if (random != NULL) {
        memcpy(&seed, random, sizeof(seed));
    }
    return seed | 1;
}

/* One multiply and shift a word; the multiplier is 2^64 divided by the golden ratio. */
static uint32_t hash_of(const void *value, size_t value_bytes) {
    const char *at = value;
    uint64_t hash = seed_of_process() + value_bytes;

    for (size_t left_bytes = value_bytes; left_bytes > 0;) {
        uint64_t word = 0;
        const size_t step_bytes = left_bytes < sizeof(word) ? left_bytes : sizeof(word);
        memcpy(&word, at, step_bytes);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
        at += step_bytes;
        left_bytes -= step_bytes;
    }
    return (uint32_t)(hash ^ (hash >> 32));
}

void sy_intern_init(struct sy_intern *intern) {
    *intern = (struct sy_intern){0};
}

void sy_intern_fini(struct sy_intern *intern) {
    free(intern->data);
    free(intern->entries);
    free(intern->slots);
    sy_intern_init(intern);
}

/* The slot that holds this value, or the empty one where it belongs. */
static uint32_t slot_of(const struct sy_intern *intern, const void *value, size_t value_bytes,
                        uint32_t hash) {
    const uint32_t mask = intern->slot_count - 1;
    uint32_t slot = hash & mask;

    while (intern->slots[slot] != 0) { /* ends: at least half of the slots are empty */
        const struct sy_intern_entry *const entry = &intern->entries[intern->slots[slot] - 1];
        if (entry->hash == hash && entry->value_bytes == value_bytes &&
            memcmp(intern->data + entry->at_bytes, value, value_bytes) == 0) {
            break;
        }
        slot = (slot + 1) & mask;
    }
    return slot;
}

static bool grow_slots(struct sy_intern *intern) {
    const uint32_t new_count = intern->slot_count == 0 ? SLOT_COUNT_MIN : intern->slot_count * 2;
    uint32_t *const slots = calloc(new_count, sizeof(*slots));

    if (slots == NULL) {
        return false;
    }
    for (uint32_t id = 0; id < intern->count; id++) {
        uint32_t slot = intern->entries[id].hash & (new_count - 1);
        while (slots[slot] != 0) {
            slot = (slot + 1) & (new_count - 1);
        }
        slots[slot] = id + 1;
    }
    free(intern->slots);
    intern->slots = slots;
    intern->slot_count = new_count;
    return true;
}

static bool make_room(struct sy_intern *intern, size_t value_bytes) {
    if (value_bytes >= UINT32_MAX || intern->count >= entry_count_max) {
        return false;
    }
    if (intern->count >= intern->slot_count / 2 && !grow_slots(intern)) {
        return false;
    }
    char *const data =
        sy_grown(intern->data, &intern->data_cap, intern->data_bytes + value_bytes + 8, 1);
    if (data == NULL) {
        return false;
    }
    intern->data = data;
    struct sy_intern_entry *const entries =
        sy_grown(intern->entries, &intern->entry_cap, (size_t)intern->count + 1, sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    intern->entries = entries;
    return true;
}

uint32_t sy_intern_put(struct sy_intern *intern, const void *value, size_t value_bytes) {
    const uint32_t hash = hash_of(value, value_bytes);

    if (intern->slot_count != 0) {
        const uint32_t slot = slot_of(intern, value, value_bytes, hash);
        if (intern->slots[slot] != 0) {
            return intern->slots[slot] - 1;
        }
    }
    if (!make_room(intern, value_bytes)) {
        return SY_NONE;
    }
    const uint32_t id = intern->count;
    intern->entries[id] = (struct sy_intern_entry){
        .at_bytes = intern->data_bytes, .value_bytes = (uint32_t)value_bytes, .hash = hash};
    if (value_bytes > 0) {
        memcpy(intern->data + intern->data_bytes, value, value_bytes);
    }
    /* A NUL at least, then up to the next multiple of 8. */
    const size_t padded_bytes = (value_bytes + 8) & ~(size_t)7;
    memset(intern->data + intern->data_bytes + value_bytes, 0, padded_bytes - value_bytes);
    intern->data_bytes += padded_bytes;
    intern->slots[slot_of(intern, value, value_bytes, hash)] = id + 1;
    intern->count++;
    return id;
}

uint32_t sy_intern_find(const struct sy_intern *intern, const void *value, size_t value_bytes) {
    if (intern->slot_count == 0) {
        return SY_NONE;
    }
    const uint32_t slot = slot_of(intern, value, value_bytes, hash_of(value, value_bytes));
    return intern->slots[slot] != 0 ? intern->slots[slot] - 1 : SY_NONE;
}

uint32_t sy_intern_put_text(struct sy_intern *intern, const char *text) {
    return sy_intern_put(intern, text, strlen(text));
}

const void *sy_intern_get(const struct sy_intern *intern, uint32_t id, size_t *value_bytes) {
    const struct sy_intern_entry *const entry = &intern->entries[id];

    *value_bytes = entry->value_bytes;
    return intern->data + entry->at_bytes;
}

const char *sy_intern_text(const struct sy_intern *intern, uint32_t id) {
    return intern->data + intern->entries[id].at_bytes;
}

bool sy_intern_check(const struct sy_intern *intern) {
    const bool is_power = (intern->slot_count & (intern->slot_count - 1)) == 0;

    if (intern->count > intern->slot_count / 2 || !is_power) {
        return false; /* I1 */
    }
    for (uint32_t id = 0; id < intern->count; id++) {
        const struct sy_intern_entry *const entry = &intern->entries[id];
        if (entry->at_bytes + entry->value_bytes >= intern->data_bytes) {
            return false; /* I2 */
        }
        const uint32_t slot =
            slot_of(intern, intern->data + entry->at_bytes, entry->value_bytes, entry->hash);
        if (intern->slots[slot] != id + 1) {
            return false; /* I3 */
        }
    }
    return true;
}
