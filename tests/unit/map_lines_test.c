/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   an address is found in the mapping that has it, with any path a file can have, and in
 *         none where there is none; lines that are no mappings are refused by their number.
 * Method: texts as /proc/PID/maps has them; what a located address became is compared.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/maps.h"

#include <string.h>

static const char text[] =
    "00400000-00401000 r--p 00000000 fe:00 12          /opt/a b/prog\n"
    "00401000-00403000 r-xp 00001000 fe:00 12          /opt/a b/prog\n"
    "\n"
    "7f0000000000-7f0000001000 r-xp 00002000 fe:00 13  /lib/gone.so (deleted)\n"
    "7f0000001000-7f0000002000 r-xp 00000000 00:00 0 \n"
    "7f0000002000-7f0000003000 r-xp 00005000 fe:00 14  /lib/new\\012line\n"
    "7f0000003000-7f0000004000: /short/form\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";

static const struct {
    uint64_t addr;
    uint64_t offset;
    enum sy_home home;
    const char *path;
} places[] = {
    {0x3fffff, 0x3fffff, SY_HOME_NONE, ""},
    {0x400000, 0, SY_HOME_FILE, "/opt/a b/prog"},
    {0x401000, 0x1000, SY_HOME_FILE, "/opt/a b/prog"},
    {0x402fff, 0x2fff, SY_HOME_FILE, "/opt/a b/prog"},
    {0x403000, 0x403000, SY_HOME_NONE, ""},
    {0x7f0000000010, 0x2010, SY_HOME_DELETED, "/lib/gone.so"},
    {0x7f0000001010, 0x7f0000001010, SY_HOME_ANON, "[anon]"},
    {0x7f0000002010, 0x5010, SY_HOME_FILE, "/lib/new\nline"},
    {0x7f0000003010, 0x10, SY_HOME_FILE, "/short/form"},
    {0xffffffffff600010, 0x10, SY_HOME_SPECIAL, "[vsyscall]"},
    {UINT64_MAX, UINT64_MAX, SY_HOME_NONE, ""},
    {0, 0, SY_HOME_NONE, ""},
};

/* Parses maps into a new profile; the caller ends it, and frees load->mappings. */
static bool parse(struct sy_profile *profile, struct sy_load *load, const char *maps,
                  struct sy_error *err) {
    ck_assert(sy_profile_init(profile, err));
    *load = (struct sy_load){.profile = profile, .sign = 1};
    return sy_maps_parse(load, maps, strlen(maps), 7, err);
}

static void end(struct sy_profile *profile, struct sy_load *load) {
    free(load->mappings);
    sy_profile_fini(profile);
}

START_TEST(an_address_is_a_place_in_its_file) {
    struct sy_profile profile;
    struct sy_load load;
    struct sy_error err;

    ck_assert(parse(&profile, &load, text, &err));
    for (size_t i = 0; i < SY_ARRAY_COUNT(places); i++) {
        const uint32_t id = sy_load_locate(&load, places[i].addr, SY_NONE);
        ck_assert_uint_ne(id, SY_NONE);
        const struct sy_location *const location = sy_profile_location(&profile, id);
        const struct sy_binary *const binary = &profile.binaries[location->binary_idx];
        ck_assert_uint_eq(location->offset, places[i].offset);
        ck_assert_int_eq(binary->home, places[i].home);
        ck_assert_str_eq(sy_profile_text(&profile, binary->path_id), places[i].path);
        /* The first mapping of a file that holds code is the program's. */
        ck_assert_int_eq(binary->is_main, strcmp(places[i].path, "/opt/a b/prog") == 0);
    }
    end(&profile, &load);
}
END_TEST

START_TEST(the_order_of_lines_does_not_matter) {
    struct sy_profile profile;
    struct sy_load load;
    struct sy_error err;

    ck_assert(parse(&profile, &load,
                    "2000-3000 r-xp 00001000 fe:00 1 /b\n1000-2000 r-xp 00000000 fe:00 1 /a",
                    &err));
    const uint32_t id = sy_load_locate(&load, 0x1800, SY_NONE);
    ck_assert_uint_eq(sy_profile_location(&profile, id)->offset, 0x800);
    end(&profile, &load);
}
END_TEST

START_TEST(neighbours_of_one_file_are_noted_as_one_piece_too) {
    static const struct sy_code want[] = {
        {0x1000, 0x1000, 2}, {0x2000, 0x1000, 2}, {0x1000, 0x2000, 2}, {0x9000, 0x1000, 2}};
    struct sy_profile profile;
    struct sy_load load;
    struct sy_error err;

    ck_assert(parse(&profile, &load,
                    "1000-2000 r-xp 00001000 fe:00 1 /a\n"
                    "2000-3000 rwxp 00002000 fe:00 1 /a\n"
                    "3000-4000 r-xp 00009000 fe:00 1 /a\n"
                    "4000-5000 r--p 0000a000 fe:00 1 /a\n",
                    &err));
    ck_assert_uint_eq(profile.code.count, SY_ARRAY_COUNT(want));
    for (uint32_t id = 0; id < profile.code.count; id++) {
        size_t code_bytes = 0;
        ck_assert(memcmp(sy_intern_get(&profile.code, id, &code_bytes), &want[id],
                         sizeof(want[id])) == 0);
    }
    end(&profile, &load);
}
END_TEST

START_TEST(a_damaged_line_is_refused_by_its_number) {
    static const char *const damaged[] = {
        "zebra\n",
        "1000 r-xp 0 fe:00 1 /a\n",
        "1000-\n",
        "1000-2000\n",
        "1000-2000 r-xp\n",
        "1000-2000 r-xp 0\n",
        "1000-2000 r-xp 0 fe:00\n",
        "1000-2000 rx 0 fe:00 1 /a\n",
        "11111111111111111-2000 r-xp 0 fe:00 1 /a\n",
    };
    for (size_t i = 0; i < SY_ARRAY_COUNT(damaged); i++) {
        struct sy_profile profile;
        struct sy_load load;
        struct sy_error err;
        char maps[128];
        snprintf(maps, sizeof(maps), "0-1 r-xp 0 fe:00 1 /a\n%s", damaged[i]);
        ck_assert_msg(!parse(&profile, &load, maps, &err), "%s", maps);
        ck_assert_ptr_nonnull(strstr(err.text, "line 8 is not a mapping"));
        end(&profile, &load);
    }
}
END_TEST

START_TEST(a_path_longer_than_any_is_refused) {
    static char maps[8192];
    struct sy_profile profile;
    struct sy_load load;
    struct sy_error err;

    const int head_bytes = snprintf(maps, sizeof(maps), "0-1 r-xp 0 fe:00 1 /");
    memset(maps + head_bytes, 'a', 5000);
    ck_assert(!parse(&profile, &load, maps, &err));
    end(&profile, &load);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("map_lines");

    tcase_add_test(tcase, an_address_is_a_place_in_its_file);
    tcase_add_test(tcase, the_order_of_lines_does_not_matter);
    tcase_add_test(tcase, neighbours_of_one_file_are_noted_as_one_piece_too);
    tcase_add_test(tcase, a_damaged_line_is_refused_by_its_number);
    tcase_add_test(tcase, a_path_longer_than_any_is_refused);
    return suite_run(tcase, "map_lines", 30);
}
