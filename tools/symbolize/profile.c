/* SPDX-License-Identifier: BSD-2-Clause
 *
 * profile — interned tables that every dump is added into.
 */
#include "tools/symbolize/profile.h"

#include "prof/format.h"
#include "tools/symbolize/input.h"
#include "tools/symbolize/proto_format.h"
#include "tools/symbolize/text_format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Far above what a process can have (vm.max_map_count is 65,530 by default). */
static const uint32_t mapping_count_max = 1u << 20;

/* The number of this binary: known, or new. SY_NONE without memory. */
static uint32_t put_binary(struct sy_profile *profile, const struct sy_binary *binary) {
    const uint32_t key[] = {binary->path_id, binary->build_id_id, (uint32_t)binary->home};
    const uint32_t idx = sy_intern_put(&profile->binary_keys, key, sizeof(key));

    if (idx == SY_NONE || binary->path_id == SY_NONE || binary->build_id_id == SY_NONE) {
        return SY_NONE;
    }
    if (idx < profile->binary_count) {
        return idx;
    }
    struct sy_binary *const binaries =
        sy_grown(profile->binaries, &profile->binary_cap, (size_t)idx + 1, sizeof(*binaries));
    if (binaries == NULL) {
        return SY_NONE;
    }
    profile->binaries = binaries;
    binaries[idx] = *binary;
    profile->binary_count = idx + 1;
    return idx;
}

bool sy_profile_init(struct sy_profile *profile, struct sy_error *err) {
    *profile = (struct sy_profile){0};
    profile->empty_id = sy_intern_put_text(&profile->texts, "");
    const struct sy_binary none = {
        .path_id = profile->empty_id, .build_id_id = profile->empty_id, .home = SY_HOME_NONE};
    const struct sy_binary anon = {.path_id = sy_intern_put_text(&profile->texts, "[anon]"),
                                   .build_id_id = profile->empty_id,
                                   .home = SY_HOME_ANON};
    if (put_binary(profile, &none) != SY_BINARY_NONE ||
        put_binary(profile, &anon) != SY_BINARY_ANON) {
        sy_profile_fini(profile);
        return sy_fail_memory(err);
    }
    return true;
}

void sy_profile_fini(struct sy_profile *profile) {
    sy_intern_fini(&profile->texts);
    sy_intern_fini(&profile->locations);
    sy_intern_fini(&profile->given);
    sy_intern_fini(&profile->stacks);
    sy_intern_fini(&profile->code);
    sy_intern_fini(&profile->binary_keys);
    free(profile->values);
    free(profile->spreads);
    free(profile->binaries);
    *profile = (struct sy_profile){0};
}

bool sy_profile_is_dump_start(const char *data, size_t data_bytes) {
    static const char *const starts[] = {PF_FORMAT_HEADER, PF_FORMAT_ROWS_HEADER, "\x1f\x8b"};

    for (size_t i = 0; i < SY_ARRAY_COUNT(starts); i++) {
        const size_t start_bytes = strlen(starts[i]);
        if (data_bytes >= start_bytes && memcmp(data, starts[i], start_bytes) == 0) {
            return true;
        }
    }
    return false;
}

static bool parse(struct sy_load *load, const struct sy_input *input, struct sy_error *err) {
    if (input->data_bytes == 0) {
        return sy_fail(err, "is empty; the dump was not written, or its disk was full");
    }
    if (sy_text_is(input->data, input->data_bytes)) {
        return sy_text_parse(load, input->data, input->data_bytes, err);
    }
    if (input->data_bytes >= 4 && memcmp(input->data, "\177ELF", 4) == 0) {
        return sy_fail(err, "is a program, not a profile; give at most one program, first");
    }
    /* Protobuf has no magic: whatever is not text is tried as one, and the reader is strict. */
    return sy_proto_parse(load, input->data, input->data_bytes, err);
}

bool sy_profile_load_thread(struct sy_profile *profile, const char *path, double sign,
                            uint64_t thread_uid, const struct sy_notes *notes,
                            struct sy_error *err) {
    struct sy_load load = {.profile = profile,
                           .notes = notes,
                           .path = path,
                           .sign = sign,
                           .is_one_thread = thread_uid != SY_THREAD_ALL,
                           .thread_uid = thread_uid};
    struct sy_input input;

    if (!sy_input_read(&input, path, err)) {
        return false;
    }
    bool is_ok = parse(&load, &input, err);
    if (is_ok && load.is_one_thread && !load.is_thread_found) {
        is_ok = sy_fail(err,
                        "has nothing of thread %llu; its threads are the t0, t1 ... of its "
                        "head, or the thread labels of a protobuf",
                        (unsigned long long)thread_uid);
    }
    sy_input_fini(&input);
    free(load.mappings);
    return is_ok;
}

bool sy_profile_load(struct sy_profile *profile, const char *path, double sign,
                     const struct sy_notes *notes, struct sy_error *err) {
    return sy_profile_load_thread(profile, path, sign, SY_THREAD_ALL, notes, err);
}

const struct sy_location *sy_profile_location(const struct sy_profile *profile, uint32_t id) {
    size_t value_bytes = 0;
    return sy_intern_get(&profile->locations, id, &value_bytes);
}

const char *sy_profile_text(const struct sy_profile *profile, uint32_t id) {
    return sy_intern_text(&profile->texts, id);
}

static enum sy_home home_of(const char *path, bool is_deleted) {
    if (path[0] == '[') {
        return SY_HOME_SPECIAL;
    }
    return is_deleted ? SY_HOME_DELETED : SY_HOME_FILE;
}

uint32_t sy_load_binary(struct sy_load *load, const char *path, const char *build_id) {
    struct sy_profile *const profile = load->profile;
    const size_t deleted_bytes = strlen(PF_FORMAT_DELETED);
    size_t path_bytes = strlen(path);

    if (path_bytes == 0) {
        return SY_BINARY_ANON;
    }
    const bool is_deleted =
        path_bytes > deleted_bytes &&
        memcmp(path + path_bytes - deleted_bytes, PF_FORMAT_DELETED, deleted_bytes) == 0;
    path_bytes -= is_deleted ? deleted_bytes : 0;

    const struct sy_binary wanted = {
        .path_id = sy_intern_put(&profile->texts, path, path_bytes),
        .build_id_id = sy_intern_put_text(&profile->texts, build_id),
        .home = home_of(path, is_deleted),
    };
    return put_binary(profile, &wanted);
}

bool sy_load_map(struct sy_load *load, const struct sy_mapping *where, const char *path,
                 const char *build_id, bool is_program, struct sy_error *err) {
    if (load->mapping_count >= mapping_count_max) {
        return sy_fail(err, "lists more than %u mappings; the file is damaged",
                       (unsigned)mapping_count_max);
    }
    struct sy_mapping *const mappings = sy_grown(
        load->mappings, &load->mapping_cap, (size_t)load->mapping_count + 1, sizeof(*mappings));
    if (mappings == NULL) {
        return sy_fail_memory(err);
    }
    load->mappings = mappings;
    const uint32_t binary_idx = sy_load_binary(load, path, build_id);
    if (binary_idx == SY_NONE) {
        return sy_fail_memory(err);
    }
    mappings[load->mapping_count] = *where;
    mappings[load->mapping_count].is_code = is_program;
    mappings[load->mapping_count++].binary_idx = binary_idx;
    struct sy_binary *const binary = &load->profile->binaries[binary_idx];
    if (is_program && !load->has_main && binary->home >= SY_HOME_FILE) {
        binary->is_main = true;
        load->has_main = true;
    }
    return true;
}

static int compare_mappings(const void *a_ptr, const void *b_ptr) {
    const struct sy_mapping *const a = a_ptr;
    const struct sy_mapping *const b = b_ptr;
    return (a->start_addr > b->start_addr) - (a->start_addr < b->start_addr);
}

static bool note_code(struct sy_load *load, const struct sy_mapping *first, uint64_t limit_addr) {
    const struct sy_code code = {.file_offset = first->file_offset,
                                 .code_bytes = limit_addr - first->start_addr,
                                 .binary_idx = first->binary_idx};
    return sy_intern_put(&load->profile->code, &code, sizeof(code)) != SY_NONE;
}

/* The kernel splits a mapping where a part gets other flags (madvise, mprotect). */
static bool is_continued(const struct sy_mapping *a, const struct sy_mapping *b) {
    return b->is_code && a->binary_idx == b->binary_idx && a->limit_addr == b->start_addr &&
           a->file_offset + (a->limit_addr - a->start_addr) == b->file_offset;
}

/* Notes each mapping of a file's code, and each row of neighbours as one. */
static bool note_all_code(struct sy_load *load) {
    const struct sy_mapping *first = NULL;

    for (uint32_t idx = 0; idx < load->mapping_count; idx++) {
        const struct sy_mapping *const mapping = &load->mappings[idx];
        const bool is_file = load->profile->binaries[mapping->binary_idx].home >= SY_HOME_FILE;
        if (!mapping->is_code || !is_file || mapping->limit_addr <= mapping->start_addr) {
            first = NULL;
            continue;
        }
        first = first != NULL && is_continued(mapping - 1, mapping) ? first : mapping;
        if (!note_code(load, mapping, mapping->limit_addr) ||
            !note_code(load, first, mapping->limit_addr)) {
            return false;
        }
    }
    return true;
}

bool sy_load_seal_maps(struct sy_load *load, struct sy_error *err) {
    if (load->mapping_count > 0) {
        qsort(load->mappings, load->mapping_count, sizeof(*load->mappings), compare_mappings);
    }
    return note_all_code(load) || sy_fail_memory(err);
}

/* The last mapping that starts at or below the address, if it reaches beyond it. */
static const struct sy_mapping *mapping_of(const struct sy_load *load, uint64_t addr) {
    uint32_t low = 0;
    uint32_t high = load->mapping_count;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (load->mappings[mid].start_addr <= addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0 || addr >= load->mappings[low - 1].limit_addr) {
        return NULL;
    }
    return &load->mappings[low - 1];
}

uint32_t sy_load_locate(struct sy_load *load, uint64_t addr, uint32_t given_id) {
    const struct sy_mapping *const mapping = mapping_of(load, addr);
    struct sy_location location = {.offset = addr, .given_id = given_id};

    if (mapping != NULL) {
        location.binary_idx = mapping->binary_idx;
    }
    const enum sy_home home = load->profile->binaries[location.binary_idx].home;
    if (mapping != NULL && home != SY_HOME_ANON) {
        location.offset = addr - mapping->start_addr;
        location.offset += home == SY_HOME_SPECIAL ? 0 : mapping->file_offset;
    }
    return sy_intern_put(&load->profile->locations, &location, sizeof(location));
}

/* Objects of one mean size m are seen with probability p = 1 - exp(-m/R). */
static void add_spread(struct sy_spread *spread, enum sy_value objects_kind, double objects,
                       double bytes, double interval_bytes) {
    if (interval_bytes <= 1 || !(objects > 0) || !(bytes > 0)) {
        return;
    }
    const enum sy_value bytes_kind = objects_kind + 1;
    const double size_bytes = bytes / objects;
    const double missed = exp(-size_bytes / interval_bytes);
    const double seen = -expm1(-size_bytes / interval_bytes);
    const double weight = sqrt(missed) / seen;

    spread->variance[objects_kind] += objects * missed / seen;
    spread->variance[bytes_kind] += bytes * size_bytes * missed / seen;
    spread->weight_max[objects_kind] = fmax(spread->weight_max[objects_kind], weight);
    spread->weight_max[bytes_kind] = fmax(spread->weight_max[bytes_kind], size_bytes * weight);
}

/* The row of a stack, zeroed if new. */
static bool reach_row(struct sy_profile *profile, uint32_t stack_id, bool is_new) {
    double(*const rows)[SY_VALUE_COUNT] =
        sy_grown(profile->values, &profile->value_cap, profile->stacks.count, sizeof(*rows));
    if (rows == NULL) {
        return false;
    }
    profile->values = rows;
    struct sy_spread *const spreads =
        sy_grown(profile->spreads, &profile->spread_cap, profile->stacks.count, sizeof(*spreads));
    if (spreads == NULL) {
        return false;
    }
    profile->spreads = spreads;
    if (is_new) {
        memset(rows[stack_id], 0, sizeof(rows[stack_id]));
        memset(&spreads[stack_id], 0, sizeof(spreads[stack_id]));
    }
    return true;
}

void sy_profile_clear_values(struct sy_profile *profile) {
    if (profile->stacks.count > 0) {
        memset(profile->values, 0, profile->stacks.count * sizeof(*profile->values));
        memset(profile->spreads, 0, profile->stacks.count * sizeof(*profile->spreads));
    }
}

bool sy_load_add(struct sy_load *load, const uint32_t *location_ids, size_t location_count,
                 const double values[SY_VALUE_COUNT], struct sy_error *err) {
    struct sy_profile *const profile = load->profile;
    const uint32_t count_before = profile->stacks.count;
    const uint32_t stack_id =
        sy_intern_put(&profile->stacks, location_ids, location_count * sizeof(*location_ids));

    if (stack_id == SY_NONE || !reach_row(profile, stack_id, stack_id == count_before)) {
        return sy_fail_memory(err);
    }
    for (int kind = 0; kind < SY_VALUE_COUNT; kind++) {
        profile->values[stack_id][kind] += load->sign * values[kind];
    }
    struct sy_spread *const spread = &profile->spreads[stack_id];
    add_spread(spread, SY_INUSE_OBJECTS, values[SY_INUSE_OBJECTS], values[SY_INUSE_SPACE],
               load->interval_bytes);
    add_spread(spread, SY_ALLOC_OBJECTS, values[SY_ALLOC_OBJECTS], values[SY_ALLOC_SPACE],
               load->interval_bytes);
    return true;
}
