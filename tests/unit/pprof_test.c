/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a profile.proto of known samples says what they were: types, values, labels, locations
 *         and mappings, each reference to something that is there; its sums are the sites'.
 * Method: samples entered at made-up stacks and at this program's own code, in a process of its
 *         own; the file is unzipped and decoded here, by the protobuf wire format.
 */
#include "prof/pprof.h"

#include "alloc/options.h"
#include "prof/site.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <zlib.h>

enum {
    FILE_BYTES_MAX = 1 << 20,
    STRING_COUNT_MAX = 4096,
    STACK_COUNT = 300,
    VALUE_COUNT = 6,
    /* Fields of message Profile. */
    SAMPLE_TYPE = 1,
    SAMPLE = 2,
    MAPPING = 3,
    LOCATION = 4,
    STRING_TABLE = 6,
    PERIOD_TYPE = 11,
    PERIOD = 12,
    DEFAULT_SAMPLE_TYPE = 14,
};

/* ---- the wire ---- */

struct wire {
    const uint8_t *at, *end;
};

struct field {
    uint64_t number, value;
    struct wire bytes; /* of a field that has a length */
};

static _Noreturn void child_fail(const char *what) {
    (void)dprintf(STDERR_FILENO, "%s\n", what);
    _exit(1);
}

static uint64_t get_varint(struct wire *wire) {
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        CHILD_CHECK(wire->at < wire->end);
        const uint8_t byte = *wire->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    child_fail("a varint of more than ten bytes");
}

static bool get_field(struct wire *wire, struct field *field) {
    if (wire->at == wire->end) {
        return false;
    }
    const uint64_t key = get_varint(wire);
    *field = (struct field){.number = key >> 3};
    CHILD_CHECK((key & 7) == 0 || (key & 7) == 2);
    field->value = get_varint(wire);
    if ((key & 7) == 2) {
        CHILD_CHECK(field->value <= (uint64_t)(wire->end - wire->at));
        field->bytes = (struct wire){wire->at, wire->at + field->value};
        wire->at += field->value;
    }
    return true;
}

/* The value of a field that comes at most once; 0: it does not. */
static uint64_t value_of(struct wire message, uint64_t number) {
    struct field field;
    uint64_t value = 0;

    while (get_field(&message, &field)) {
        value = field.number == number ? field.value : value;
    }
    return value;
}

/* ---- a profile ---- */

static uint8_t file_bytes[FILE_BYTES_MAX];
static struct wire profile;
static struct wire strings[STRING_COUNT_MAX];
static size_t string_count;
static struct pf_sink sink;
static struct pf_maps maps;

static void read_profile(void) {
    const gzFile file = gzopen("dump.pb.gz", "rb");
    struct field field;

    CHILD_CHECK(file != NULL);
    CHILD_CHECK(gzdirect(file) == 0);
    const int bytes = gzread(file, file_bytes, sizeof(file_bytes));
    CHILD_CHECK(bytes > 0 && bytes < FILE_BYTES_MAX && gzclose(file) == Z_OK);
    profile = (struct wire){file_bytes, file_bytes + bytes};
    string_count = 0;
    for (struct wire at = profile; get_field(&at, &field);) {
        if (field.number == STRING_TABLE) {
            CHILD_CHECK(string_count < STRING_COUNT_MAX);
            strings[string_count++] = field.bytes;
        }
    }
    CHILD_CHECK(string_count > 0 && strings[0].at == strings[0].end);
}

static bool is_string(uint64_t idx, const char *want) {
    CHILD_CHECK(idx < string_count);
    const size_t bytes = (size_t)(strings[idx].end - strings[idx].at);
    return bytes == strlen(want) && memcmp(strings[idx].at, want, bytes) == 0;
}

static void write_and_read(void) {
    CHILD_CHECK(pf_maps_read(&maps));
    pf_maps_find_build_ids(&maps);
    CHILD_CHECK(pf_sink_open(&sink, "dump.pb.gz", true) == 0);
    CHILD_CHECK(pf_pprof_write(&sink, &maps) == 0);
    CHILD_CHECK(pf_sink_close(&sink) == 0);
    read_profile();
}

static void start(void) {
    (void)child_enter_folder();
    al_options_reset();
    CHILD_CHECK(pf_site_start());
}

static struct pf_record *add(const uintptr_t *frames, uint32_t depth, size_t bytes) {
    const struct al_sampled sampled = {
        .ptr = frames, .requested_bytes = bytes - 8, .usable_bytes = bytes, .is_certain = true};
    struct pf_record *const record = pf_site_add(&sampled, frames, depth);

    CHILD_CHECK(record != NULL);
    return record;
}

/* The address of location `id`. */
static uint64_t address_of(uint64_t id) {
    struct field field;

    for (struct wire at = profile; get_field(&at, &field);) {
        if (field.number == LOCATION && value_of(field.bytes, 1) == id) {
            return value_of(field.bytes, 3);
        }
    }
    child_fail("a location that is not there");
}

struct sample {
    uint64_t locations[8];
    uint64_t values[VALUE_COUNT];
    uint64_t thread, bytes; /* labels */
    size_t location_count, value_count;
    bool has_thread;
};

static void read_label(struct wire label, struct sample *sample) {
    const uint64_t key = value_of(label, 1);

    CHILD_CHECK(is_string(key, "thread") || is_string(key, "bytes"));
    if (is_string(key, "thread")) {
        sample->has_thread = true;
        sample->thread = value_of(label, 3);
    } else {
        sample->bytes = value_of(label, 3);
        CHILD_CHECK(is_string(value_of(label, 4), "bytes"));
    }
}

static struct sample read_sample(struct wire message) {
    struct sample sample = {.location_count = 0};
    struct field field;

    while (get_field(&message, &field)) {
        if (field.number == 1 && sample.location_count < AL_ARRAY_COUNT(sample.locations)) {
            sample.locations[sample.location_count++] = field.value;
        } else if (field.number == 2) {
            CHILD_CHECK(sample.value_count < VALUE_COUNT);
            sample.values[sample.value_count++] = field.value;
        } else if (field.number == 3) {
            read_label(field.bytes, &sample);
        }
    }
    CHILD_CHECK(sample.value_count == VALUE_COUNT);
    return sample;
}

/* ---- tests ---- */

static void check_types(void) {
    static const char *const want[VALUE_COUNT][2] = {
        {"alloc_objects", "count"}, {"alloc_space", "bytes"},   {"inuse_objects", "count"},
        {"inuse_space", "bytes"},   {"inuse_samples", "count"}, {"requested_space", "bytes"},
    };
    struct field field;
    size_t count = 0;

    start();
    write_and_read();
    for (struct wire at = profile; get_field(&at, &field);) {
        if (field.number == SAMPLE_TYPE) {
            CHILD_CHECK(count < VALUE_COUNT);
            CHILD_CHECK(is_string(value_of(field.bytes, 1), want[count][0]));
            CHILD_CHECK(is_string(value_of(field.bytes, 2), want[count][1]));
            count++;
        } else if (field.number == PERIOD_TYPE) {
            CHILD_CHECK(is_string(value_of(field.bytes, 1), "space"));
            CHILD_CHECK(is_string(value_of(field.bytes, 2), "bytes"));
        }
        CHILD_CHECK(field.number != SAMPLE && field.number != LOCATION);
    }
    CHILD_CHECK(count == VALUE_COUNT);
    CHILD_CHECK(is_string(value_of(profile, DEFAULT_SAMPLE_TYPE), "inuse_space"));
    CHILD_CHECK(value_of(profile, PERIOD) == 524288); /* the rate that is set */
}

START_TEST(types_and_an_empty_profile) {
    assert_ends(check_types, 0, "");
}
END_TEST

static void check_one_site(void) {
    const uintptr_t frames[] = {(uintptr_t)check_one_site + 5, 0x1234, 0x1234};
    struct field field;
    struct sample sample = {.location_count = 0};
    size_t count = 0;

    start();
    (void)add(frames, 3, 1000);
    (void)add(frames, 3, 3000);
    pf_site_remove(add(frames, 3, 500));
    write_and_read();
    for (struct wire at = profile; get_field(&at, &field);) {
        if (field.number == SAMPLE) {
            sample = read_sample(field.bytes);
            count++;
        }
    }
    const uint64_t want[VALUE_COUNT] = {3, 4500, 2, 4000, 2, 3984};
    CHILD_CHECK(count == 1 && memcmp(sample.values, want, sizeof(want)) == 0);
    CHILD_CHECK(sample.bytes == 2000 && sample.has_thread && sample.thread == 0);
    CHILD_CHECK(sample.location_count == 3);
    CHILD_CHECK(address_of(sample.locations[0]) == frames[0] - 1); /* within the call */
    CHILD_CHECK(address_of(sample.locations[1]) == 0x1233);
    CHILD_CHECK(sample.locations[1] == sample.locations[2]);
}

START_TEST(a_site_and_its_numbers) {
    assert_ends(check_one_site, 0, "");
}
END_TEST

/* Where this program's code is: a mapping with its name and its build id. */
static void check_mappings(void) {
    const uintptr_t frames[] = {(uintptr_t)check_mappings + 5, 0x1234};
    struct field field;
    char self[4096] = "";
    size_t known_count = 0;

    start();
    CHILD_CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    (void)add(frames, 2, 1000);
    write_and_read();
    for (struct wire at = profile; get_field(&at, &field);) {
        if (field.number != LOCATION) {
            continue;
        }
        const uint64_t address = value_of(field.bytes, 3);
        const uint64_t mapping = value_of(field.bytes, 2);
        struct field other;
        CHILD_CHECK((mapping != 0) == (address != 0x1233));
        for (struct wire in = profile; mapping != 0 && get_field(&in, &other);) {
            if (other.number == MAPPING && value_of(other.bytes, 1) == mapping) {
                CHILD_CHECK(value_of(other.bytes, 2) <= address);
                CHILD_CHECK(address < value_of(other.bytes, 3));
                CHILD_CHECK(is_string(value_of(other.bytes, 5), self));
                CHILD_CHECK(value_of(other.bytes, 6) < string_count);
                known_count++;
            }
        }
    }
    CHILD_CHECK(known_count == 1);
}

START_TEST(locations_are_in_mappings) {
    assert_ends(check_mappings, 0, "");
}
END_TEST

/* Many sites that share frames: each reference is to something that is there, once. */
static void check_sums(void) {
    static bool is_known[2 * STACK_COUNT + 16];
    struct field field;
    uint64_t bytes = 0;
    uint64_t sums[VALUE_COUNT] = {0};
    size_t sample_count = 0;

    start();
    for (uintptr_t idx = 0; idx < STACK_COUNT; idx++) {
        const uintptr_t frames[] = {0x10000 + idx, 0x20000 + idx % 7, 0x30000};
        struct pf_record *const kept = add(frames, 3, 100 + idx);
        pf_site_remove(add(frames, 3, 50));
        CHILD_CHECK(kept != NULL);
        bytes += 100 + idx;
    }
    write_and_read();
    for (struct wire at = profile; get_field(&at, &field);) {
        if (field.number == LOCATION) {
            const uint64_t id = value_of(field.bytes, 1);
            CHILD_CHECK(id != 0 && id < AL_ARRAY_COUNT(is_known) && !is_known[id]);
            is_known[id] = true;
        }
    }
    for (struct wire at = profile; get_field(&at, &field);) {
        if (field.number == SAMPLE) {
            const struct sample sample = read_sample(field.bytes);
            CHILD_CHECK(sample.location_count == 3);
            for (size_t idx = 0; idx < 3; idx++) {
                CHILD_CHECK(is_known[sample.locations[idx]]);
            }
            for (size_t idx = 0; idx < VALUE_COUNT; idx++) {
                sums[idx] += sample.values[idx];
            }
            sample_count++;
        }
    }
    const uint64_t want[VALUE_COUNT] = {2 * STACK_COUNT, bytes + STACK_COUNT * 50,
                                        STACK_COUNT,     bytes,
                                        STACK_COUNT,     bytes - STACK_COUNT * 8};
    CHILD_CHECK(sample_count == STACK_COUNT);
    CHILD_CHECK(memcmp(sums, want, sizeof(want)) == 0);
}

START_TEST(sums_are_the_sites) {
    assert_ends(check_sums, 0, "");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("pprof");

    tcase_add_test(tcase, types_and_an_empty_profile);
    tcase_add_test(tcase, a_site_and_its_numbers);
    tcase_add_test(tcase, locations_are_in_mappings);
    tcase_add_test(tcase, sums_are_the_sites);
    return suite_run(tcase, "pprof", 60);
}
