/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what is kept is what was added, for the very file it was added for; anything else, and
 * any damage, is an empty cache and never a wrong name. Maps of code made at run time give the name
 * that was written last. Method: a file of our own as the binary, XDG_CACHE_HOME in a folder of our
 * own; then each byte of the cache changed in turn.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/cache.h"
#include "tools/symbolize/perf_map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLACE_COUNT = 600 };

static char folder[] = "/tmp/jeprof_cache_XXXXXX";
static char binary[64];

static void set_up(void) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(binary, sizeof(binary), "%s/binary", folder);
    FILE *const out = fopen(binary, "w");
    ck_assert_ptr_nonnull(out);
    fputs("a program\n", out);
    fclose(out);
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", folder, 1), 0);
}

static void tear_down(void) {
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", folder);
    ck_assert_int_eq(system(command), 0);
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
}

static void fill(struct sy_cache *cache, uint64_t place_count) {
    for (uint64_t offset = 0; offset < place_count; offset++) {
        char name[32];
        snprintf(name, sizeof(name), "function %u", (unsigned)(offset % 7));
        const struct sy_frame frames[] = {{name, "a file.c", (uint32_t)offset}, {"main", "", 0}};
        sy_cache_add(cache, offset * 16, frames, 1 + offset % 2);
    }
}

/* How many places are known; all of them are right. */
static uint32_t known(const struct sy_cache *cache) {
    struct sy_frame frames[SY_FRAMES_MAX];
    uint32_t count = 0;

    for (uint64_t offset = 0; offset < PLACE_COUNT; offset++) {
        const size_t frame_count = sy_cache_find(cache, offset * 16, frames);
        count += frame_count > 0;
        ck_assert(frame_count == 0 || frame_count == 1 + offset % 2);
        ck_assert(frame_count == 0 || frames[0].line == offset);
    }
    return count;
}

static uint32_t known_to(const char *path, const char *build_id) {
    struct sy_cache cache;
    sy_cache_open(&cache, path, build_id);
    const uint32_t count = known(&cache);
    sy_cache_close(&cache);
    return count;
}

static void keep(uint64_t place_count) {
    struct sy_cache cache;
    sy_cache_open(&cache, binary, "abcd");
    fill(&cache, place_count);
    ck_assert_uint_eq(known(&cache), place_count);
    sy_cache_close(&cache);
}

START_TEST(what_was_added_is_there_the_next_time) {
    struct sy_frame frames[SY_FRAMES_MAX];
    struct sy_cache cache;

    keep(PLACE_COUNT);
    sy_cache_open(&cache, binary, "abcd");
    ck_assert_uint_eq(known(&cache), PLACE_COUNT);
    ck_assert_uint_eq(sy_cache_find(&cache, 16 * 9, frames), 2);
    ck_assert_str_eq(frames[0].function, "function 2");
    ck_assert_str_eq(frames[0].file, "a file.c");
    ck_assert_str_eq(frames[1].function, "main");
    ck_assert_str_eq(frames[1].file, "");
    ck_assert_uint_eq(sy_cache_find(&cache, 7, frames), 0);
    sy_cache_close(&cache);
}
END_TEST

START_TEST(another_file_or_build_finds_nothing) {
    keep(PLACE_COUNT);
    ck_assert_uint_eq(known_to(binary, ""), 0);
    ck_assert_uint_eq(known_to(binary, "abce"), 0);
    ck_assert_uint_eq(known_to("/nonexistent", "abcd"), 0);
    ck_assert_int_eq(setenv("TALLY_JEPROF_CACHE", "no", 1), 0);
    ck_assert_uint_eq(known_to(binary, "abcd"), 0);
    ck_assert_int_eq(unsetenv("TALLY_JEPROF_CACHE"), 0);
    ck_assert_uint_eq(known_to(binary, "abcd"), PLACE_COUNT);
    FILE *const out = fopen(binary, "a");
    ck_assert_ptr_nonnull(out);
    fputs("rebuilt\n", out);
    fclose(out);
    ck_assert_uint_eq(known_to(binary, "abcd"), 0);
}
END_TEST

START_TEST(few_places_are_not_worth_a_file) {
    keep(100);
    ck_assert_uint_eq(known_to(binary, "abcd"), 0);
}
END_TEST

START_TEST(a_name_with_a_line_end_is_not_kept) {
    struct sy_frame frames[SY_FRAMES_MAX];
    const struct sy_frame bad[] = {{"good", "", 1}, {"bad\nP 0x10 0 0 0", "", 2}};
    struct sy_cache cache;

    sy_cache_open(&cache, binary, "abcd");
    sy_cache_add(&cache, 5, bad, 2);
    ck_assert_uint_eq(sy_cache_find(&cache, 5, frames), 0);
    fill(&cache, PLACE_COUNT);
    sy_cache_close(&cache);
    ck_assert_uint_eq(known_to(binary, "abcd"), PLACE_COUNT);
}
END_TEST

/* No reader past its memory (a sanitizer sees it), and every line number that is read was written:
 * numbers are lines' own, so that a changed digit may name another line of the file, and no more.
 */
START_TEST(damage_is_never_more_than_a_wrong_digit) {
    struct sy_frame frames[SY_FRAMES_MAX];
    char find[128];
    char path[128];

    keep(PLACE_COUNT);
    snprintf(find, sizeof(find), "ls -d %s/tally/jeprof/*", folder);
    FILE *const list = popen(find, "r");
    ck_assert(list != NULL && fgets(path, sizeof(path), list) != NULL);
    pclose(list);
    path[strcspn(path, "\n")] = '\0';
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    for (long at = 0; at < (long)status.st_size; at += 37) {
        struct sy_cache cache;
        FILE *const file = fopen(path, "r+");
        ck_assert_ptr_nonnull(file);
        fseek(file, at, SEEK_SET);
        const int was = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(was ^ 0x15, file);
        fflush(file);
        sy_cache_open(&cache, binary, "abcd");
        for (uint64_t offset = 0; offset < PLACE_COUNT; offset++) {
            ck_assert_uint_le(sy_cache_find(&cache, offset * 16, frames), SY_FRAMES_MAX);
        }
        sy_cache_close(&cache);
        fseek(file, at, SEEK_SET);
        fputc(was, file);
        fclose(file);
    }
    ck_assert_uint_eq(known_to(binary, "abcd"), PLACE_COUNT);
    ck_assert_int_eq(truncate(path, status.st_size / 2), 0);
    ck_assert_uint_lt(known_to(binary, "abcd"), PLACE_COUNT);
}
END_TEST

static bool read_map(struct sy_perf_map *map, const char *text) {
    struct sy_error err;
    FILE *const out = fopen(binary, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
    return sy_perf_map_read(map, binary, &err);
}

START_TEST(of_code_made_at_run_time_the_last_name_holds) {
    struct sy_perf_map map;

    ck_assert(
        read_map(&map, "1000 100 first name\n1080 10 second\n\n2000 10 third\nff0 40 over it\n30"));
    ck_assert_str_eq(sy_perf_map_find(&map, 0x1040), "first name");
    ck_assert_str_eq(sy_perf_map_find(&map, 0x1085), "second");
    ck_assert_str_eq(sy_perf_map_find(&map, 0x10ff), "first name");
    ck_assert_str_eq(sy_perf_map_find(&map, 0x1001), "over it");
    ck_assert_str_eq(sy_perf_map_find(&map, 0x200f), "third");
    ck_assert_ptr_null(sy_perf_map_find(&map, 0x2010));
    ck_assert_ptr_null(sy_perf_map_find(&map, 0));
    sy_perf_map_fini(&map);
    static const char *const broken[] = {"zebra 10 name\n", "1000 name\n", "1000 10\n",
                                         "ffffffffffffffff 10 name\n", "1000 10 a\n5 zebra\n"};
    for (size_t i = 0; i < SY_ARRAY_COUNT(broken); i++) {
        ck_assert_msg(!read_map(&map, broken[i]), "%s is taken", broken[i]);
        ck_assert_ptr_null(sy_perf_map_find(&map, 0x1000));
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("cache");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, what_was_added_is_there_the_next_time);
    tcase_add_test(tcase, another_file_or_build_finds_nothing);
    tcase_add_test(tcase, few_places_are_not_worth_a_file);
    tcase_add_test(tcase, a_name_with_a_line_end_is_not_kept);
    tcase_add_test(tcase, damage_is_never_more_than_a_wrong_digit);
    tcase_add_test(tcase, of_code_made_at_run_time_the_last_name_holds);
    return suite_run(tcase, "cache", 60);
}
