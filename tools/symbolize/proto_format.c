/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proto_format — two passes: the first notes where each message lies, for they refer to each
 * other by number and may come in any order; the second reads them, strings first.
 */
#include "tools/symbolize/proto_format.h"

#include "prof/format.h"
#include "tools/symbolize/wire.h"

#include <stdlib.h>
#include <string.h>

/* Field numbers of profile.proto that we read. */
enum { PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE, PROFILE_MAPPING, PROFILE_LOCATION };
enum { PROFILE_FUNCTION = 5, PROFILE_STRING = 6, PROFILE_KIND_COUNT = 7 };
enum { PROFILE_PERIOD = 12 };
enum { TYPE_TYPE = 1 };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3 };
enum { LABEL_KEY = 1, LABEL_NUMBER = 3 };
enum { MAPPING_ID = 1, MAPPING_START, MAPPING_LIMIT, MAPPING_OFFSET, MAPPING_FILE, MAPPING_BUILD };
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum { LINE_FUNCTION = 1, LINE_LINE = 2 };
enum { FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_FILE = 4 };

/* Two bytes of file can ask for one entry of 8: this bounds the answer to 64 MiB a kind. */
static const uint32_t message_count_max = 1u << 23;
/* Sample types of one profile: tcmalloc writes six. */
enum { TYPE_COUNT_MAX = 64 };
/* Inlined functions at one address: beyond this the file is not a profile. */
enum { LINE_COUNT_MAX = 1024 };

struct span {
    uint32_t at_bytes;
    uint32_t span_bytes;
};

struct spans {
    struct span *items;
    size_t cap;
    uint32_t count;
};

struct proto_reader {
    struct sy_load *load;
    struct sy_error *err;
    const char *data;
    struct spans kinds[PROFILE_KIND_COUNT]; /* by field number of Profile */
    uint32_t *text_ids;                     /* of each string */
    struct sy_intern mapping_ids;           /* file's id, 8 bytes -> position */
    struct sy_intern function_ids;
    struct sy_intern location_ids;
    struct sy_mapping *mappings;     /* by position */
    struct sy_given *functions;      /* by position; line unused */
    uint32_t *locations;             /* by position: the profile's location ids */
    int value_kinds[TYPE_COUNT_MAX]; /* enum sy_value of each sample type, or -1 */
    uint32_t stack[SY_STACK_FRAMES_MAX];
};

static bool fail_damaged(struct proto_reader *reader, const char *what) {
    return sy_fail(reader->err,
                   "is neither a text dump nor a pprof protobuf, or is damaged: %s; copy it or "
                   "take the dump again",
                   what);
}

static struct sy_wire wire_at(const struct proto_reader *reader, struct span span) {
    const uint8_t *const at = (const uint8_t *)reader->data + span.at_bytes;
    return (struct sy_wire){.at = at, .end = at + span.span_bytes};
}

static bool note_span(struct proto_reader *reader, const struct sy_wire_field *field) {
    struct spans *const spans = &reader->kinds[field->number];

    if (spans->count >= message_count_max) {
        return fail_damaged(reader, "more than 8388608 entries of one kind");
    }
    struct span *const items =
        sy_grown(spans->items, &spans->cap, (size_t)spans->count + 1, sizeof(*items));
    if (items == NULL) {
        return sy_fail_memory(reader->err);
    }
    spans->items = items;
    items[spans->count++] = (struct span){
        .at_bytes = (uint32_t)(field->bytes.at - (const uint8_t *)reader->data),
        .span_bytes = (uint32_t)(field->bytes.end - field->bytes.at),
    };
    return true;
}

static bool note_all(struct proto_reader *reader, size_t data_bytes) {
    struct sy_wire wire = wire_at(reader, (struct span){.span_bytes = (uint32_t)data_bytes});
    struct sy_wire_field field;
    enum sy_wire_step step;

    while ((step = sy_wire_next(&wire, &field)) == SY_WIRE_FIELD) {
        if (field.number == PROFILE_PERIOD && !field.is_bytes) {
            reader->load->interval_bytes = (double)field.value;
        }
        if (field.number >= PROFILE_KIND_COUNT) {
            continue;
        }
        if (!field.is_bytes) {
            return fail_damaged(reader, "a number where a message belongs");
        }
        if (!note_span(reader, &field)) {
            return false;
        }
    }
    return step == SY_WIRE_END || fail_damaged(reader, "a field does not end inside the file");
}

static bool read_strings(struct proto_reader *reader) {
    const struct spans *const strings = &reader->kinds[PROFILE_STRING];

    if (strings->count == 0 || strings->items[0].span_bytes != 0) {
        return fail_damaged(reader, "the first string is not empty");
    }
    reader->text_ids = calloc(strings->count, sizeof(*reader->text_ids));
    if (reader->text_ids == NULL) {
        return sy_fail_memory(reader->err);
    }
    for (uint32_t i = 0; i < strings->count; i++) {
        const char *const text = reader->data + strings->items[i].at_bytes;
        if (memchr(text, '\0', strings->items[i].span_bytes) != NULL) {
            return fail_damaged(reader, "a string holds a NUL");
        }
        reader->text_ids[i] =
            sy_intern_put(&reader->load->profile->texts, text, strings->items[i].span_bytes);
        if (reader->text_ids[i] == SY_NONE) {
            return sy_fail_memory(reader->err);
        }
    }
    return true;
}

static bool text_id_of(struct proto_reader *reader, uint64_t string_idx, uint32_t *text_id) {
    if (string_idx >= reader->kinds[PROFILE_STRING].count) {
        return fail_damaged(reader, "a string number out of range");
    }
    *text_id = reader->text_ids[string_idx];
    return true;
}

/* Reads a message of plain numbers: field i goes to numbers[i], the rest is passed over. */
static bool read_numbers(struct proto_reader *reader, struct sy_wire wire, uint64_t *numbers,
                         size_t number_count) {
    struct sy_wire_field field;
    enum sy_wire_step step;

    memset(numbers, 0, number_count * sizeof(*numbers));
    while ((step = sy_wire_next(&wire, &field)) == SY_WIRE_FIELD) {
        if (field.number < number_count && !field.is_bytes) {
            numbers[field.number] = field.value;
        }
    }
    return step == SY_WIRE_END || fail_damaged(reader, "a message is cut off");
}

/* Gives the file's id the next position; ids are non-zero and distinct. */
static bool note_id(struct proto_reader *reader, struct sy_intern *ids, uint64_t id) {
    const uint32_t position = ids->count;

    if (id == 0) {
        return fail_damaged(reader, "an entry has the number 0");
    }
    const uint32_t got = sy_intern_put(ids, &id, sizeof(id));
    if (got == SY_NONE) {
        return sy_fail_memory(reader->err);
    }
    return got == position || fail_damaged(reader, "two entries have the same number");
}

/* The position of an id. Looking up puts it: one that is new was never defined. */
static bool position_of(struct proto_reader *reader, struct sy_intern *ids, uint32_t id_count,
                        uint64_t id, uint32_t *position) {
    *position = sy_intern_put(ids, &id, sizeof(id));
    return *position < id_count || fail_damaged(reader, "an entry that is not in the file");
}

static bool read_types(struct proto_reader *reader) {
    static const struct {
        const char *name;
        enum sy_value kind;
    } names[] = {
        {PF_FORMAT_INUSE_OBJECTS, SY_INUSE_OBJECTS},
        {PF_FORMAT_INUSE_SPACE, SY_INUSE_SPACE},
        {PF_FORMAT_ALLOC_OBJECTS, SY_ALLOC_OBJECTS},
        {PF_FORMAT_ALLOC_SPACE, SY_ALLOC_SPACE},
        {"objects", SY_INUSE_OBJECTS},
        {"space", SY_INUSE_SPACE},
    };
    const struct spans *const types = &reader->kinds[PROFILE_SAMPLE_TYPE];
    uint32_t known_count = 0;
    uint32_t name_id = 0;
    uint64_t numbers[2];

    if (types->count == 0 || types->count > TYPE_COUNT_MAX) {
        return fail_damaged(reader, "no sample types, or more than 64");
    }
    for (uint32_t i = 0; i < types->count; i++) {
        reader->value_kinds[i] = -1;
        if (!read_numbers(reader, wire_at(reader, types->items[i]), numbers, 2) ||
            !text_id_of(reader, numbers[TYPE_TYPE], &name_id)) {
            return false;
        }
        const char *const name = sy_profile_text(reader->load->profile, name_id);
        for (size_t known = 0; known < SY_ARRAY_COUNT(names); known++) {
            if (strcmp(name, names[known].name) == 0) {
                reader->value_kinds[i] = (int)names[known].kind;
                known_count++;
            }
        }
    }
    return known_count > 0 || sy_fail(reader->err, "is a pprof profile, but not of a heap: it has "
                                                   "no inuse_space, alloc_space or their counts");
}

/* Strings of the profile move when it grows: copied out before they are handed back to it. */
static bool map_one(struct proto_reader *reader, uint32_t position, const uint64_t *numbers) {
    uint32_t path_id = 0;
    uint32_t build_id_id = 0;

    if (!text_id_of(reader, numbers[MAPPING_FILE], &path_id) ||
        !text_id_of(reader, numbers[MAPPING_BUILD], &build_id_id)) {
        return false;
    }
    char *const path = strdup(sy_profile_text(reader->load->profile, path_id));
    char *const build_id = strdup(sy_profile_text(reader->load->profile, build_id_id));
    const struct sy_mapping mapping = {.start_addr = numbers[MAPPING_START],
                                       .limit_addr = numbers[MAPPING_LIMIT],
                                       .file_offset = numbers[MAPPING_OFFSET]};
    const bool is_ok = path != NULL && build_id != NULL
                           ? sy_load_map(reader->load, &mapping, path, build_id, true, reader->err)
                           : sy_fail_memory(reader->err);
    free(path);
    free(build_id);
    if (is_ok) {
        reader->mappings[position] = reader->load->mappings[reader->load->mapping_count - 1];
    }
    return is_ok;
}

static bool read_mappings(struct proto_reader *reader) {
    const struct spans *const spans = &reader->kinds[PROFILE_MAPPING];
    uint64_t numbers[MAPPING_BUILD + 1];

    reader->mappings = calloc((size_t)spans->count + 1, sizeof(*reader->mappings));
    if (reader->mappings == NULL) {
        return sy_fail_memory(reader->err);
    }
    for (uint32_t i = 0; i < spans->count; i++) {
        if (!read_numbers(reader, wire_at(reader, spans->items[i]), numbers,
                          SY_ARRAY_COUNT(numbers)) ||
            !note_id(reader, &reader->mapping_ids, numbers[MAPPING_ID]) ||
            !map_one(reader, i, numbers)) {
            return false;
        }
    }
    return sy_load_seal_maps(reader->load, reader->err);
}

static bool read_functions(struct proto_reader *reader) {
    const struct spans *const spans = &reader->kinds[PROFILE_FUNCTION];
    uint64_t numbers[FUNCTION_FILE + 1];

    reader->functions = calloc((size_t)spans->count + 1, sizeof(*reader->functions));
    if (reader->functions == NULL) {
        return sy_fail_memory(reader->err);
    }
    for (uint32_t i = 0; i < spans->count; i++) {
        struct sy_given *const function = &reader->functions[i];
        if (!read_numbers(reader, wire_at(reader, spans->items[i]), numbers,
                          SY_ARRAY_COUNT(numbers)) ||
            !note_id(reader, &reader->function_ids, numbers[FUNCTION_ID]) ||
            !text_id_of(reader, numbers[FUNCTION_NAME], &function->name_id) ||
            !text_id_of(reader, numbers[FUNCTION_FILE], &function->file_id)) {
            return false;
        }
    }
    return true;
}

/* The names a location carries itself, innermost first; SY_NONE in *given_id without. */
static bool read_lines(struct proto_reader *reader, struct sy_wire wire, uint32_t *given_id) {
    struct sy_given lines[LINE_COUNT_MAX];
    uint32_t line_count = 0;
    struct sy_wire_field field;
    uint64_t numbers[3];
    uint32_t position = 0;

    *given_id = SY_NONE;
    while (sy_wire_next(&wire, &field) == SY_WIRE_FIELD) { /* checked by read_numbers before */
        if (field.number != LOCATION_LINE || !field.is_bytes) {
            continue;
        }
        if (line_count >= LINE_COUNT_MAX) {
            return fail_damaged(reader, "more than 1024 functions at one address");
        }
        if (!read_numbers(reader, field.bytes, numbers, 3) ||
            !position_of(reader, &reader->function_ids, reader->kinds[PROFILE_FUNCTION].count,
                         numbers[LINE_FUNCTION], &position)) {
            return false;
        }
        lines[line_count] = reader->functions[position];
        /* A line past 32 bits, or below 0, is no line. */
        lines[line_count++].line =
            numbers[LINE_LINE] <= INT32_MAX ? (uint32_t)numbers[LINE_LINE] : 0;
    }
    if (line_count > 0) {
        *given_id =
            sy_intern_put(&reader->load->profile->given, lines, line_count * sizeof(lines[0]));
        return *given_id != SY_NONE || sy_fail_memory(reader->err);
    }
    return true;
}

static bool read_location(struct proto_reader *reader, uint32_t position) {
    const struct sy_wire wire = wire_at(reader, reader->kinds[PROFILE_LOCATION].items[position]);
    uint64_t numbers[LOCATION_ADDRESS + 1];
    uint32_t given_id = SY_NONE;
    uint32_t mapping_position = 0;

    if (!read_numbers(reader, wire, numbers, SY_ARRAY_COUNT(numbers)) ||
        !note_id(reader, &reader->location_ids, numbers[LOCATION_ID]) ||
        !read_lines(reader, wire, &given_id)) {
        return false;
    }
    if (numbers[LOCATION_MAPPING] != 0 &&
        !position_of(reader, &reader->mapping_ids, reader->kinds[PROFILE_MAPPING].count,
                     numbers[LOCATION_MAPPING], &mapping_position)) {
        return false;
    }
    /* The address decides, not the mapping's number: a number that contradicts it is wrong. */
    reader->locations[position] = sy_load_locate(reader->load, numbers[LOCATION_ADDRESS], given_id);
    return reader->locations[position] != SY_NONE || sy_fail_memory(reader->err);
}

static bool read_locations(struct proto_reader *reader) {
    const uint32_t count = reader->kinds[PROFILE_LOCATION].count;

    reader->locations = calloc((size_t)count + 1, sizeof(*reader->locations));
    if (reader->locations == NULL) {
        return sy_fail_memory(reader->err);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!read_location(reader, i)) {
            return false;
        }
    }
    return true;
}

/* A sample under way: its stack is in the reader. */
struct sample {
    uint32_t frame_count;
    uint32_t value_count;
    double values[SY_VALUE_COUNT];
    bool is_asked; /* of the thread that was asked for */
};

static bool take_frame(struct proto_reader *reader, struct sample *sample, uint64_t id) {
    uint32_t position = 0;

    if (sample->frame_count >= SY_STACK_FRAMES_MAX) {
        return fail_damaged(reader, "a stack deeper than 4096 frames");
    }
    if (!position_of(reader, &reader->location_ids, reader->kinds[PROFILE_LOCATION].count, id,
                     &position)) {
        return false;
    }
    reader->stack[sample->frame_count++] = reader->locations[position];
    return true;
}

static bool take_value(struct proto_reader *reader, struct sample *sample, uint64_t value) {
    if (sample->value_count >= reader->kinds[PROFILE_SAMPLE_TYPE].count) {
        return fail_damaged(reader, "a sample with more values than there are sample types");
    }
    const int kind = reader->value_kinds[sample->value_count++];
    if (kind >= 0) {
        sample->values[kind] = (double)(int64_t)value;
    }
    return true;
}

/* Both lists of a sample may be packed into one field or come one number a field. */
static bool take_field(struct proto_reader *reader, struct sample *sample,
                       const struct sy_wire_field *field) {
    const bool is_frame = field->number == SAMPLE_LOCATION;
    struct sy_wire packed = field->bytes;
    uint64_t number = 0;
    enum sy_wire_step step;

    if (!field->is_bytes) {
        return is_frame ? take_frame(reader, sample, field->value)
                        : take_value(reader, sample, field->value);
    }
    while ((step = sy_wire_varint(&packed, &number)) == SY_WIRE_FIELD) {
        if (!(is_frame ? take_frame(reader, sample, number) : take_value(reader, sample, number))) {
            return false;
        }
    }
    return step == SY_WIRE_END || fail_damaged(reader, "a packed list is cut off");
}

static bool take_label(struct proto_reader *reader, struct sample *sample, struct sy_wire wire) {
    uint64_t numbers[LABEL_NUMBER + 1];
    uint32_t key_id = 0;

    if (!read_numbers(reader, wire, numbers, SY_ARRAY_COUNT(numbers)) ||
        !text_id_of(reader, numbers[LABEL_KEY], &key_id)) {
        return false;
    }
    if (reader->load->is_one_thread && numbers[LABEL_NUMBER] == reader->load->thread_uid &&
        strcmp(sy_profile_text(reader->load->profile, key_id), PF_FORMAT_THREAD) == 0) {
        sample->is_asked = true;
        reader->load->is_thread_found = true;
    }
    return true;
}

static bool read_sample(struct proto_reader *reader, struct span span) {
    struct sy_wire wire = wire_at(reader, span);
    struct sample sample = {0};
    struct sy_wire_field field;
    enum sy_wire_step step;

    while ((step = sy_wire_next(&wire, &field)) == SY_WIRE_FIELD) {
        const bool is_ours = field.number == SAMPLE_LOCATION || field.number == SAMPLE_VALUE;
        if (is_ours && !take_field(reader, &sample, &field)) {
            return false;
        }
        if (field.number == SAMPLE_LABEL && field.is_bytes &&
            !take_label(reader, &sample, field.bytes)) {
            return false;
        }
    }
    if (step != SY_WIRE_END) {
        return fail_damaged(reader, "a sample is cut off");
    }
    if (sample.value_count != reader->kinds[PROFILE_SAMPLE_TYPE].count) {
        return fail_damaged(reader, "a sample with fewer values than there are sample types");
    }
    if (!sample.is_asked && reader->load->is_one_thread) {
        return true;
    }
    return sy_load_add(reader->load, reader->stack, sample.frame_count, sample.values, reader->err);
}

static bool read_samples(struct proto_reader *reader) {
    const struct spans *const spans = &reader->kinds[PROFILE_SAMPLE];

    for (uint32_t i = 0; i < spans->count; i++) {
        if (!read_sample(reader, spans->items[i])) {
            return false;
        }
    }
    return true;
}

static void reader_destroy(struct proto_reader *reader) {
    for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++) {
        free(reader->kinds[kind].items);
    }
    free(reader->text_ids);
    free(reader->mappings);
    free(reader->functions);
    free(reader->locations);
    sy_intern_fini(&reader->mapping_ids);
    sy_intern_fini(&reader->function_ids);
    sy_intern_fini(&reader->location_ids);
    free(reader);
}

bool sy_proto_parse(struct sy_load *load, const char *data, size_t data_bytes,
                    struct sy_error *err) {
    struct proto_reader *const reader = calloc(1, sizeof(*reader));

    if (reader == NULL) {
        return sy_fail_memory(err);
    }
    reader->load = load;
    reader->err = err;
    reader->data = data;
    const bool is_ok = note_all(reader, data_bytes) && read_strings(reader) && read_types(reader) &&
                       read_mappings(reader) && read_functions(reader) && read_locations(reader) &&
                       read_samples(reader);
    reader_destroy(reader);
    return is_ok;
}
