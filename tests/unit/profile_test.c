/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   dumps of two runs add up and subtract by place, wherever the kernel put the program;
 *         what a file is, is told by its contents; what is no profile is refused with a reason.
 * Method: files written here: the same dump at two load addresses, gzipped, empty, a program, a
 *         folder, noise.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/profile.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static void drop(void *opaque, const char *line) {
    (void)opaque;
    (void)line;
}

static const struct sy_notes notes = {.warn = drop};

static char path[256];

static void setup(void) {
    const char *const folder = getenv("TEST_TMPDIR");

    snprintf(path, sizeof(path), "%s/profile_test.%d", folder != NULL ? folder : "/tmp",
             (int)getpid());
}

static void teardown(void) {
    remove(path);
}

static void write_file(const void *data, size_t data_bytes) {
    FILE *const file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, data_bytes, file), data_bytes);
    ck_assert_int_eq(fclose(file), 0);
}

/* One stack of 3 objects in 300 bytes, of a program that lies at `base`. */
static void write_dump(uint64_t base, bool is_packed) {
    char text[512];
    const int text_bytes = snprintf(text, sizeof(text),
                                    "heap_v2/1\n  t*: 3: 300 [0: 0]\n@ 0x%llx 0x%llx\n"
                                    "  t*: 3: 300 [0: 0]\n\nMAPPED_LIBRARIES:\n"
                                    "%llx-%llx r-xp 00001000 fe:00 12   /opt/prog\n",
                                    base + 0x11ull, base + 0x21ull, base + 0ull, base + 0x1000ull);

    write_file(text, (size_t)text_bytes);
    if (is_packed) {
        gzFile file = gzopen(path, "w");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_eq(gzwrite(file, text, (unsigned)text_bytes), text_bytes);
        ck_assert_int_eq(gzclose(file), Z_OK);
    }
}

START_TEST(two_runs_are_one_stack) {
    struct sy_profile profile;
    struct sy_error err;

    ck_assert(sy_profile_init(&profile, &err));
    write_dump(0x401000, false);
    ck_assert(sy_profile_load(&profile, path, 1, &notes, &err));
    write_dump(0x555555554000, true);
    ck_assert(sy_profile_load(&profile, path, 1, &notes, &err));
    ck_assert_uint_eq(profile.stacks.count, 1);
    ck_assert_uint_eq(profile.locations.count, 2);
    ck_assert(profile.values[0][SY_INUSE_OBJECTS] == 6);
    ck_assert(profile.values[0][SY_INUSE_SPACE] == 600);
    /* One less than the return address, in the file. */
    ck_assert_uint_eq(sy_profile_location(&profile, 0)->offset, 0x1010);
    write_dump(0x7f0000000000, false);
    ck_assert(sy_profile_load(&profile, path, -1, &notes, &err));
    ck_assert(profile.values[0][SY_INUSE_SPACE] == 300);
    /* All three had the same code of the same file mapped. */
    ck_assert_uint_eq(profile.code.count, 1);
    ck_assert(sy_intern_check(&profile.stacks) && sy_intern_check(&profile.locations));
    sy_profile_fini(&profile);
}
END_TEST

START_TEST(what_is_no_profile_is_refused_with_a_reason) {
    static const uint8_t noise[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    static const struct {
        const char *data;
        size_t data_bytes;
        const char *words;
    } rows[] = {
        {"", 0, "is empty"},
        {"\177ELF\2\1\1", 7, "is a program, not a profile"},
        {(const char *)noise, sizeof(noise), "neither a text dump nor a pprof protobuf"},
        {"\x1f\x8b", 2, "gzip data"},
        {"\x1f\x8b\x08zebra", 8, "gzip data"},
        {"heap_v3/1\n", 10, "neither a text dump"},
    };
    for (size_t i = 0; i < SY_ARRAY_COUNT(rows); i++) {
        struct sy_profile profile;
        struct sy_error err;
        ck_assert(sy_profile_init(&profile, &err));
        write_file(rows[i].data, rows[i].data_bytes);
        ck_assert(!sy_profile_load(&profile, path, 1, &notes, &err));
        ck_assert_msg(strstr(err.text, rows[i].words) != NULL, "row %zu: %s", i, err.text);
        sy_profile_fini(&profile);
    }
}
END_TEST

START_TEST(a_folder_and_a_missing_file_are_said) {
    struct sy_profile profile;
    struct sy_error err;

    ck_assert(sy_profile_init(&profile, &err));
    ck_assert(!sy_profile_load(&profile, "/", 1, &notes, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "is a directory"));
    ck_assert(!sy_profile_load(&profile, "/nonexistent/dump", 1, &notes, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "cannot be opened: No such file"));
    sy_profile_fini(&profile);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("profile");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, two_runs_are_one_stack);
    tcase_add_test(tcase, what_is_no_profile_is_refused_with_a_reason);
    tcase_add_test(tcase, a_folder_and_a_missing_file_are_said);
    return suite_run(tcase, "profile", 30);
}
