/* SPDX-License-Identifier: BSD-2-Clause
 *
 * pprof — the message is written as the sites are walked: samples first, then the locations
 * and mappings they named, the strings last. Protobuf lets fields come in any order, so only
 * one sub-message at a time is built in memory.
 */
#include "prof/pprof.h"

#include "alloc/bits.h"
#include "alloc/os.h"
#include "prof/site.h"
#include "prof/stack.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum {
    VARINT_BYTES_MAX = 10,
    /* A sample: ids, values, labels. */
    MESSAGE_BYTES_MAX = (PF_STACK_DEPTH_MAX + 16) * VARINT_BYTES_MAX,
};

/* The strings that do not come from the process; the mappings' follow them. */
enum string {
    STRING_EMPTY,
    STRING_ALLOC_OBJECTS,
    STRING_ALLOC_SPACE,
    STRING_INUSE_OBJECTS,
    STRING_INUSE_SPACE,
    STRING_INUSE_SAMPLES,
    STRING_REQUESTED_SPACE,
    STRING_COUNT_UNIT,
    STRING_BYTES,
    STRING_SPACE,
    STRING_THREAD,
    STRING_FIXED_COUNT,
};
static const char *const strings[STRING_FIXED_COUNT] = {
    "",
    "alloc_objects",
    "alloc_space",
    "inuse_objects",
    "inuse_space",
    "inuse_samples",
    "requested_space",
    "count",
    "bytes",
    "space",
    "thread",
};

/* A protobuf message under construction. */
struct message {
    size_t len_bytes;
    unsigned char bytes[MESSAGE_BYTES_MAX];
};

/* Addresses and their ids: open addressing, at most half full. */
struct locations {
    struct location {
        uintptr_t addr; /* 0: free slot; no frame is 0 */
        uint64_t id;
    } * slots;
    size_t slot_count; /* a power of two */
    uint64_t id_count;
};

struct writer {
    struct pf_sink *sink;
    const struct pf_maps *maps;
    struct locations locations;
    struct message message;
};

/* ---- protobuf ---- */

static size_t varint(unsigned char *out, uint64_t value) {
    AL_ASSERT(out != NULL);
    size_t len_bytes = 0;

    do {
        out[len_bytes++] = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
    return len_bytes;
}

static void put_varint(struct message *message, uint64_t value) {
    AL_ASSERT(message->len_bytes + VARINT_BYTES_MAX <= MESSAGE_BYTES_MAX);
    message->len_bytes += varint(message->bytes + message->len_bytes, value);
}

static void put_field(struct message *message, unsigned field, uint64_t value) {
    AL_ASSERT(field > 0 && field < 32);
    put_varint(message, field << 3);
    put_varint(message, value);
}

static void put_message(struct message *message, unsigned field, const struct message *inner) {
    put_varint(message, field << 3 | 2);
    put_varint(message, inner->len_bytes);
    AL_ASSERT(message->len_bytes + inner->len_bytes <= MESSAGE_BYTES_MAX);
    memcpy(message->bytes + message->len_bytes, inner->bytes, inner->len_bytes);
    message->len_bytes += inner->len_bytes;
}

static void emit_varint(struct pf_sink *sink, uint64_t value) {
    unsigned char bytes[VARINT_BYTES_MAX];

    pf_sink_write(sink, bytes, varint(bytes, value));
}

static void emit_bytes(struct pf_sink *sink, unsigned field, const void *bytes,
                       size_t count_bytes) {
    emit_varint(sink, field << 3 | 2);
    emit_varint(sink, count_bytes);
    pf_sink_write(sink, bytes, count_bytes);
}

static void emit_message(struct pf_sink *sink, unsigned field, const struct message *message) {
    emit_bytes(sink, field, message->bytes, message->len_bytes);
}

static void emit_field(struct pf_sink *sink, unsigned field, uint64_t value) {
    emit_varint(sink, field << 3);
    emit_varint(sink, value);
}

/* ---- locations ---- */

static size_t count_frames(void) {
    uint32_t bucket = 0;
    size_t count = 0;

    for (const struct pf_site *site = pf_site_next(NULL, &bucket); site != NULL;
         site = pf_site_next(site, &bucket)) {
        count += site->depth;
    }
    return count;
}

static bool locations_init(struct locations *locations) {
    /* Sites may be added while we write: twice as many as now, and some, is room enough, and
     * a frame that finds none is left out of its stack.
     */
    const size_t frame_count = count_frames() + 4096;

    locations->slot_count = (size_t)2 << al_lg_floor(frame_count * 2);
    locations->slots = al_os_map(
        NULL, al_round_up(locations->slot_count * sizeof(struct location), AL_PAGE_BYTES));
    locations->id_count = 0;
    AL_ASSERT((locations->slot_count & (locations->slot_count - 1)) == 0);
    return locations->slots != NULL;
}

static void locations_fini(struct locations *locations) {
    al_os_unmap(locations->slots,
                al_round_up(locations->slot_count * sizeof(struct location), AL_PAGE_BYTES));
}

static uint64_t location_id(struct locations *locations, uintptr_t addr) {
    AL_ASSERT(locations->id_count <= locations->slot_count / 2);
    size_t slot =
        (size_t)((addr * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (locations->slot_count - 1);

    while (locations->slots[slot].addr != addr) { /* ends: the table is at most half full */
        if (locations->slots[slot].addr == 0) {
            if (locations->id_count >= locations->slot_count / 2) {
                return 0;
            }
            locations->slots[slot] = (struct location){addr, ++locations->id_count};
            break;
        }
        slot = (slot + 1) & (locations->slot_count - 1);
    }
    return locations->slots[slot].id;
}

static uint64_t mapping_id(const struct pf_maps *maps, const struct pf_mapping *mapping) {
    AL_ASSERT(mapping >= maps->entries && mapping < maps->entries + maps->entry_count);
    return (uint64_t)(mapping - maps->entries) + 1;
}

/* A frame is a return address: one less lies within the call. */
static uintptr_t call_addr(uintptr_t frame) {
    return frame - 1;
}

static void write_locations(struct writer *writer) {
    for (size_t slot = 0; slot < writer->locations.slot_count; slot++) {
        const struct location *const location = &writer->locations.slots[slot];
        if (location->addr == 0) {
            continue;
        }
        const struct pf_mapping *const mapping = pf_maps_find(writer->maps, location->addr);
        struct message *const message = &writer->message;
        message->len_bytes = 0;
        put_field(message, 1, location->id);
        if (mapping != NULL && mapping->is_code) {
            put_field(message, 2, mapping_id(writer->maps, mapping));
        }
        put_field(message, 3, location->addr);
        emit_message(writer->sink, 4, message);
    }
}

/* ---- samples ---- */

static uint64_t whole_objects(const struct pf_counts *counts) {
    return (counts->objects_fixed + (UINT64_C(1) << (PF_OBJECT_LG - 1))) >> PF_OBJECT_LG;
}

static void put_label(struct message *message, enum string key, uint64_t value, enum string unit) {
    struct message inner;

    inner.len_bytes = 0;
    put_field(&inner, 1, key);
    put_field(&inner, 3, value);
    if (unit != STRING_EMPTY) {
        put_field(&inner, 4, unit);
    }
    put_message(message, 3, &inner);
}

static void write_sample(struct writer *writer, const struct pf_site *site,
                         const struct pf_counts *live, const struct pf_counts *total,
                         const struct pf_thread *thread) {
    struct message *const message = &writer->message;
    const uint64_t values[] = {whole_objects(total), total->bytes,       whole_objects(live),
                               live->bytes,          live->sample_count, live->requested_bytes};
    const struct pf_counts *const shown = live->sample_count != 0 ? live : total;

    AL_ASSERT(site->depth <= PF_STACK_DEPTH_MAX);
    message->len_bytes = 0;
    for (uint32_t idx = 0; idx < site->depth; idx++) {
        const uint64_t id = location_id(&writer->locations, call_addr(site->frames[idx]));
        if (id != 0) {
            put_field(message, 1, id);
        }
    }
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(values); idx++) {
        put_field(message, 2, values[idx]);
    }
    if (shown->objects_fixed != 0) {
        put_label(message, STRING_BYTES,
                  (uint64_t)((double)shown->bytes * (double)(1 << PF_OBJECT_LG) /
                             (double)shown->objects_fixed),
                  STRING_BYTES);
    }
    if (thread != NULL) {
        put_label(message, STRING_THREAD, atomic_load_explicit(&thread->uid, memory_order_relaxed),
                  STRING_EMPTY);
    }
    emit_message(writer->sink, 2, message);
}

static void write_site(struct writer *writer, const struct pf_site *site) {
    AL_ASSERT(site != NULL);
    struct pf_counts live;
    struct pf_counts total;
    struct pf_thread *thread = NULL;

    pf_site_copy(site, NULL, &live, &total, &thread);
    if (total.sample_count != 0) {
        write_sample(writer, site, &live, &total, NULL);
    }
    for (const struct pf_cell *cell = atomic_load_explicit(&site->cells, memory_order_acquire);
         cell != NULL; cell = cell->next) {
        pf_site_copy(site, cell, &live, &total, &thread);
        if (total.sample_count != 0) {
            write_sample(writer, site, &live, &total, thread);
        }
    }
}

/* ---- the rest of the message ---- */

static void write_types(struct writer *writer) {
    static const enum string types[][2] = {
        {STRING_ALLOC_OBJECTS, STRING_COUNT_UNIT}, {STRING_ALLOC_SPACE, STRING_BYTES},
        {STRING_INUSE_OBJECTS, STRING_COUNT_UNIT}, {STRING_INUSE_SPACE, STRING_BYTES},
        {STRING_INUSE_SAMPLES, STRING_COUNT_UNIT}, {STRING_REQUESTED_SPACE, STRING_BYTES},
    };
    struct message *const message = &writer->message;
    struct timespec now = {0};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(types); idx++) {
        message->len_bytes = 0;
        put_field(message, 1, types[idx][0]);
        put_field(message, 2, types[idx][1]);
        emit_message(writer->sink, 1, message);
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    emit_field(writer->sink, 9,
               (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec);
    message->len_bytes = 0;
    put_field(message, 1, STRING_SPACE);
    put_field(message, 2, STRING_BYTES);
    emit_message(writer->sink, 11, message);
    emit_field(writer->sink, 12, UINT64_C(1) << pf_site_rate_lg_min());
    emit_field(writer->sink, 14, STRING_INUSE_SPACE);
}

/* Mapping k of the file has strings FIXED + 2k (its name) and FIXED + 2k + 1 (its build id).
 * The first code mapping is the program's: the kernel maps it lowest, and readers rely on it.
 */
static void write_mappings(struct writer *writer) {
    struct message *const message = &writer->message;

    for (size_t idx = 0; idx < writer->maps->entry_count; idx++) {
        const struct pf_mapping *const mapping = &writer->maps->entries[idx];
        if (!mapping->is_code) {
            continue;
        }
        message->len_bytes = 0;
        put_field(message, 1, mapping_id(writer->maps, mapping));
        put_field(message, 2, mapping->start);
        put_field(message, 3, mapping->limit);
        put_field(message, 4, mapping->file_offset);
        put_field(message, 5, STRING_FIXED_COUNT + 2 * idx);
        put_field(message, 6, STRING_FIXED_COUNT + 2 * idx + 1);
        emit_message(writer->sink, 3, message);
    }
}

static void write_strings(struct writer *writer) {
    static const char deleted[] = " (deleted)";
    const size_t deleted_bytes = sizeof(deleted) - 1;

    for (size_t idx = 0; idx < STRING_FIXED_COUNT; idx++) {
        emit_bytes(writer->sink, 6, strings[idx], strlen(strings[idx]));
    }
    for (size_t idx = 0; idx < writer->maps->entry_count; idx++) {
        const struct pf_mapping *const mapping = &writer->maps->entries[idx];
        char hex[2 * PF_BUILD_ID_BYTES_MAX];
        size_t path_bytes = mapping->is_code ? mapping->path_bytes : 0;
        if (path_bytes > deleted_bytes &&
            memcmp(mapping->path + path_bytes - deleted_bytes, deleted, deleted_bytes) == 0) {
            path_bytes -= deleted_bytes;
        }
        for (uint32_t byte = 0; byte < mapping->build_id_bytes; byte++) {
            hex[2 * byte] = "0123456789abcdef"[mapping->build_id[byte] >> 4];
            hex[2 * byte + 1] = "0123456789abcdef"[mapping->build_id[byte] & 15];
        }
        emit_bytes(writer->sink, 6, mapping->path, path_bytes);
        emit_bytes(writer->sink, 6, hex, 2 * (size_t)mapping->build_id_bytes);
    }
}

int pf_pprof_write(struct pf_sink *sink, const struct pf_maps *maps) {
    /* Too large for a stack that may be a small thread's. */
    struct writer *const writer =
        al_os_map(NULL, al_round_up(sizeof(struct writer), AL_PAGE_BYTES));
    uint32_t bucket = 0;

    if (writer == NULL) {
        return ENOMEM;
    }
    writer->sink = sink;
    writer->maps = maps;
    const bool has_memory = locations_init(&writer->locations);
    if (has_memory) {
        write_types(writer);
        for (const struct pf_site *site = pf_site_next(NULL, &bucket); site != NULL;
             site = pf_site_next(site, &bucket)) {
            write_site(writer, site);
        }
        write_locations(writer);
        write_mappings(writer);
        write_strings(writer);
        locations_fini(&writer->locations);
    }
    al_os_unmap(writer, al_round_up(sizeof(struct writer), AL_PAGE_BYTES));
    return has_memory ? 0 : ENOMEM;
}
