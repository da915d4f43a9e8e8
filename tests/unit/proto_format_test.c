/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a pprof profile gives its values, places and names, in whatever order its messages
 *         come; one that refers to what it has not, or is cut, is refused.
 * Method: a profile made field by field, with one thing changed a row; then every cut of it and
 *         20,000 changes of its bytes, which may do anything but crash or give what is no number.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/proto_format.h"

#include <math.h>
#include <string.h>

enum { BYTES_MAX = 1024, CHANGE_COUNT = 20000 };

struct bytes {
    uint8_t at[BYTES_MAX];
    size_t count;
};

static void put_varint(struct bytes *out, uint64_t number) {
    for (; number >= 0x80; number >>= 7) {
        out->at[out->count++] = (uint8_t)(number | 0x80);
    }
    out->at[out->count++] = (uint8_t)number;
}

static void put_number(struct bytes *out, uint32_t field, uint64_t number) {
    put_varint(out, field << 3);
    put_varint(out, number);
}

static void put_bytes(struct bytes *out, uint32_t field, const void *bytes, size_t byte_count) {
    put_varint(out, field << 3 | 2);
    put_varint(out, byte_count);
    memcpy(out->at + out->count, bytes, byte_count);
    out->count += byte_count;
}

/* A message of `number_count` numbers: fields 1, 2, …; a number of 0 is left out. */
static void put_message(struct bytes *out, uint32_t field, const uint64_t *numbers,
                        size_t number_count) {
    struct bytes message = {.count = 0};

    for (size_t i = 0; i < number_count; i++) {
        if (numbers[i] != 0) {
            put_number(&message, (uint32_t)i + 1, numbers[i]);
        }
    }
    put_bytes(out, field, message.at, message.count);
}

/* The numbers of the profile that a test may change. */
enum number {
    TYPE_TEXT,
    SAMPLE_LOCATION,
    SAMPLE_VALUE_COUNT,
    LOCATION_ID,
    LOCATION_MAPPING,
    LINE_FUNCTION,
    FUNCTION_TEXT,
    MAPPING_TEXT,
    FIRST_STRING, /* 1: the empty one is left out */
    NUMBER_COUNT,
};

static const uint64_t good[NUMBER_COUNT] = {
    [TYPE_TEXT] = 1,        [SAMPLE_LOCATION] = 7, [SAMPLE_VALUE_COUNT] = 2, [LOCATION_ID] = 7,
    [LOCATION_MAPPING] = 3, [LINE_FUNCTION] = 5,   [FUNCTION_TEXT] = 6,      [MAPPING_TEXT] = 4,
};

static void put_strings(struct bytes *out, const uint64_t numbers[NUMBER_COUNT]) {
    static const char *const strings[] = {"",      "inuse_space", "alloc_space", "bytes",
                                          "/prog", "ab12",        "run",         "run.c"};

    for (size_t i = numbers[FIRST_STRING]; i < SY_ARRAY_COUNT(strings); i++) {
        put_bytes(out, 6, strings[i], strlen(strings[i]));
    }
}

static void put_location(struct bytes *out, const uint64_t numbers[NUMBER_COUNT]) {
    const uint64_t location[] = {numbers[LOCATION_ID], numbers[LOCATION_MAPPING], 0x401234};
    const uint64_t line[] = {numbers[LINE_FUNCTION], 42};
    struct bytes message = {.count = 0};

    for (uint32_t i = 0; i < SY_ARRAY_COUNT(location); i++) {
        put_number(&message, i + 1, location[i]);
    }
    put_message(&message, 4, line, 2);
    put_bytes(out, 4, message.at, message.count);
}

/* Inuse 1000 and alloc 3000 bytes in run(), at run.c:42. */
static void put_profile(struct bytes *out, const uint64_t numbers[NUMBER_COUNT], bool is_packed) {
    const uint64_t inuse_type[] = {numbers[TYPE_TEXT], 3};
    const uint64_t alloc_type[] = {2, 3};
    const uint64_t mapping[] = {3, 0x401000, 0x402000, 0x1000, numbers[MAPPING_TEXT], 5};
    const uint64_t function[] = {5, numbers[FUNCTION_TEXT], 0, 7};
    struct bytes sample = {.count = 0};
    struct bytes packed = {.count = 0};

    *out = (struct bytes){.count = 0};
    /* Samples come before what they refer to. */
    put_number(&sample, 1, numbers[SAMPLE_LOCATION]);
    for (uint64_t i = 0; i < numbers[SAMPLE_VALUE_COUNT]; i++) {
        put_varint(&packed, i == 0 ? 1000 : 3000);
        if (!is_packed) {
            put_number(&sample, 2, i == 0 ? 1000 : 3000);
        }
    }
    if (is_packed) {
        put_bytes(&sample, 2, packed.at, packed.count);
    }
    put_bytes(out, 2, sample.at, sample.count);
    put_message(out, 1, inuse_type, 2);
    put_message(out, 1, alloc_type, 2);
    put_location(out, numbers);
    put_message(out, 3, mapping, SY_ARRAY_COUNT(mapping));
    put_message(out, 5, function, SY_ARRAY_COUNT(function));
    put_strings(out, numbers);
    put_number(out, 12, 524288); /* the period, which is passed over */
}

static bool parse(struct sy_profile *profile, const uint8_t *bytes, size_t byte_count,
                  struct sy_error *err) {
    static const struct sy_notes notes = {0};

    ck_assert(sy_profile_init(profile, err));
    struct sy_load load = {.profile = profile, .notes = &notes, .path = "dump", .sign = 1};
    char *const block = malloc(byte_count + 1);
    ck_assert_ptr_nonnull(block);
    memcpy(block, bytes, byte_count);
    block[byte_count] = '\0';
    const bool is_ok = sy_proto_parse(&load, block, byte_count, err);
    free(block);
    free(load.mappings);
    return is_ok;
}

START_TEST(values_places_and_names_are_read) {
    for (int is_packed = 0; is_packed <= 1; is_packed++) {
        struct bytes bytes;
        struct sy_profile profile;
        struct sy_error err;
        size_t byte_count = 0;
        put_profile(&bytes, good, is_packed != 0);
        ck_assert_msg(parse(&profile, bytes.at, bytes.count, &err), "%s", err.text);
        ck_assert_uint_eq(profile.stacks.count, 1);
        ck_assert(profile.values[0][SY_INUSE_SPACE] == 1000);
        ck_assert(profile.values[0][SY_ALLOC_SPACE] == 3000);
        ck_assert(profile.values[0][SY_INUSE_OBJECTS] == 0);
        const struct sy_location *const location = sy_profile_location(&profile, 0);
        ck_assert_uint_eq(location->offset, 0x1234);
        const struct sy_binary *const binary = &profile.binaries[location->binary_idx];
        ck_assert_str_eq(sy_profile_text(&profile, binary->path_id), "/prog");
        ck_assert_str_eq(sy_profile_text(&profile, binary->build_id_id), "ab12");
        const struct sy_given *const given =
            sy_intern_get(&profile.given, location->given_id, &byte_count);
        ck_assert_uint_eq(byte_count, sizeof(*given));
        ck_assert_str_eq(sy_profile_text(&profile, given->name_id), "run");
        ck_assert_str_eq(sy_profile_text(&profile, given->file_id), "run.c");
        ck_assert_uint_eq(given->line, 42);
        sy_profile_fini(&profile);
    }
}
END_TEST

START_TEST(what_refers_to_nothing_is_refused) {
    static const struct {
        enum number which;
        uint64_t value;
        const char *words;
    } rows[] = {
        {TYPE_TEXT, 99, "a string number out of range"},
        {FUNCTION_TEXT, UINT64_MAX, "a string number out of range"},
        {MAPPING_TEXT, 8, "a string number out of range"},
        {SAMPLE_LOCATION, 8, "an entry that is not in the file"},
        {LOCATION_MAPPING, 4, "an entry that is not in the file"},
        {LINE_FUNCTION, 6, "an entry that is not in the file"},
        {LOCATION_ID, 0, "an entry has the number 0"},
        {SAMPLE_VALUE_COUNT, 1, "fewer values"},
        {SAMPLE_VALUE_COUNT, 3, "more values"},
        {FIRST_STRING, 1, "the first string"},
    };
    for (size_t i = 0; i < SY_ARRAY_COUNT(rows); i++) {
        uint64_t numbers[NUMBER_COUNT];
        struct bytes bytes;
        struct sy_profile profile;
        struct sy_error err;
        memcpy(numbers, good, sizeof(numbers));
        numbers[rows[i].which] = rows[i].value;
        put_profile(&bytes, numbers, true);
        ck_assert_msg(!parse(&profile, bytes.at, bytes.count, &err), "row %zu", i);
        ck_assert_msg(strstr(err.text, rows[i].words) != NULL, "row %zu: %s", i, err.text);
        sy_profile_fini(&profile);
    }
}
END_TEST

START_TEST(a_profile_of_time_is_no_heap) {
    uint64_t numbers[NUMBER_COUNT];
    struct bytes bytes;
    struct sy_profile profile;
    struct sy_error err;

    memcpy(numbers, good, sizeof(numbers));
    numbers[TYPE_TEXT] = 3;
    put_profile(&bytes, numbers, true);
    /* alloc_space becomes something unknown, too: "Xlloc_space". */
    uint8_t *const name = memmem(bytes.at, bytes.count, "alloc_space", 11);
    ck_assert_ptr_nonnull(name);
    name[0] = 'X';
    ck_assert(!parse(&profile, bytes.at, bytes.count, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "not of a heap"));
    sy_profile_fini(&profile);
}
END_TEST

/* Whatever the bytes, an answer: and if it is yes, with numbers and places that exist. */
static void check_answer(const uint8_t *bytes, size_t byte_count) {
    struct sy_profile profile;
    struct sy_error err;

    if (parse(&profile, bytes, byte_count, &err)) {
        for (uint32_t id = 0; id < profile.stacks.count; id++) {
            for (int kind = 0; kind < SY_VALUE_COUNT; kind++) {
                ck_assert(isfinite(profile.values[id][kind]));
            }
        }
        for (uint32_t id = 0; id < profile.locations.count; id++) {
            ck_assert_uint_lt(sy_profile_location(&profile, id)->binary_idx, profile.binary_count);
        }
    } else {
        ck_assert_uint_gt(strlen(err.text), 20);
    }
    sy_profile_fini(&profile);
}

START_TEST(every_cut_and_change_has_an_answer) {
    uint64_t state = suite_seed(3);
    struct bytes bytes;

    put_profile(&bytes, good, true);
    for (size_t byte_count = 0; byte_count < bytes.count; byte_count++) {
        check_answer(bytes.at, byte_count);
    }
    for (int i = 0; i < CHANGE_COUNT; i++) {
        struct bytes changed = bytes;
        for (uint64_t left = suite_random(&state) % 4 + 1; left > 0; left--) {
            changed.at[suite_random(&state) % changed.count] ^= (uint8_t)suite_random(&state);
        }
        check_answer(changed.at, changed.count);
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("proto_format");

    tcase_add_test(tcase, values_places_and_names_are_read);
    tcase_add_test(tcase, what_refers_to_nothing_is_refused);
    tcase_add_test(tcase, a_profile_of_time_is_no_heap);
    tcase_add_test(tcase, every_cut_and_change_has_an_answer);
    return suite_run(tcase, "proto_format", 120);
}
