/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   malloc_stats_print writes JSON that parses, with the keys that readers of jemalloc's look
 * up, the numbers mallctl gives, and without the parts that letters leave out. Method: a small JSON
 * reader; the same keys with and without each letter; text has the same keys.
 */
#include "alloc/malloc.h"
#include "ctl/mallctl.h"
#include "tests/support/ctl.h"
#include "tests/support/json.h"
#include "tests/support/suite.h"

#include <string.h>

static char text[4 << 20];
static size_t text_bytes;

static void collect(void *opaque, const char *piece) {
    const size_t piece_bytes = strlen(piece);

    ck_assert_ptr_eq(opaque, text);
    ck_assert_uint_lt(text_bytes + piece_bytes, sizeof(text));
    memcpy(text + text_bytes, piece, piece_bytes + 1);
    text_bytes += piece_bytes;
}

static void print(const char *letters) {
    text_bytes = 0;
    text[0] = '\0';
    malloc_stats_print(collect, text, letters);
}

/* A key that a letter leaves out. */
static const struct {
    const char *path;
    char letter;
} keys[] = {
    {"jemalloc/version", 'g'},
    {"jemalloc/config/debug", 'g'},
    {"jemalloc/opt/narenas", 'g'},
    {"jemalloc/prof/lg_sample", 'g'},
    {"jemalloc/arenas/narenas", 'g'},
    {"jemalloc/arenas/bin/0/size", 'g'},
    {"jemalloc/arenas/bin/95/nregs", 'g'},
    {"jemalloc/arenas/lextent/3/size", 'g'},
    {"jemalloc/stats/allocated", 0},
    {"jemalloc/stats/resident", 0},
    {"jemalloc/stats/background_thread/num_threads", 0},
    {"jemalloc/stats/mutexes/ctl/num_ops", 'x'},
    {"jemalloc/stats.arenas/merged/nthreads", 'm'},
    {"jemalloc/stats.arenas/merged/uptime_ns", 'm'},
    {"jemalloc/stats.arenas/merged/bins/0/curregs", 'm'},
    {"jemalloc/stats.arenas/0/dss", 'a'},
    {"jemalloc/stats.arenas/0/small/allocated", 'a'},
    {"jemalloc/stats.arenas/0/large/nmalloc", 'a'},
    {"jemalloc/stats.arenas/0/bins/5/nmalloc", 'b'},
    {"jemalloc/stats.arenas/0/bins/5/mutex/num_wait", 'x'},
    {"jemalloc/stats.arenas/0/lextents/0/curlextents", 'l'},
    {"jemalloc/stats.arenas/0/extents/40/dirty_bytes", 'e'},
    {"jemalloc/stats.arenas/0/mutexes/extents_dirty/num_ops", 'x'},
    {"jemalloc/stats.arenas/0/hpa_shard/npurges", 'h'},
    {"jemalloc/stats.arenas/0/tcache_bytes", 'a'},
    {"jemalloc/stats.arenas/destroyed/small/nmalloc", 'd'},
};

static void destroy_one(void) {
    const unsigned arena_idx = ctl_unsigned("arenas.create");

    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), 0);
}

START_TEST(json_has_the_keys_of_jemalloc) {
    destroy_one();
    print("J");
    ck_assert(json_is_valid(text));
    for (size_t idx = 0; idx < sizeof(keys) / sizeof(keys[0]); idx++) {
        ck_assert_msg(json_find(text, keys[idx].path) != NULL, "%s", keys[idx].path);
    }
    ck_assert_ptr_null(json_find(text, "jemalloc/stats/arenas"));
}
END_TEST

START_TEST(letters_leave_their_parts_out) {
    static const char letters[] = "gmdablxeh";

    destroy_one();
    for (const char *letter = letters; *letter != '\0'; letter++) {
        const char opts[] = {'J', *letter, '?', '\0'};
        print(opts);
        ck_assert_msg(json_is_valid(text), "%s", opts);
        for (size_t idx = 0; idx < sizeof(keys) / sizeof(keys[0]); idx++) {
            const bool is_there = json_find(text, keys[idx].path) != NULL;
            const bool is_of_arena = *letter == 'a' && strstr(keys[idx].path, "stats.arenas/0/");
            const bool is_left_out = keys[idx].letter == *letter || is_of_arena ||
                                     (*letter == 'b' && strstr(keys[idx].path, "/bins/"));
            ck_assert_msg(is_there != is_left_out, "%s %s", opts, keys[idx].path);
        }
    }
    print("Jgmdablxeh");
    ck_assert(json_is_valid(text));
    ck_assert_uint_lt(text_bytes, 2000);
}
END_TEST

START_TEST(numbers_are_those_of_mallctl) {
    void *const ptr = al_malloc(3 << 20);

    print("Ja");
    ck_assert_uint_eq(strtoull(json_find(text, "jemalloc/stats/allocated"), NULL, 10),
                      ctl_size("stats.allocated"));
    ck_assert_uint_eq(strtoull(json_find(text, "jemalloc/stats.arenas/merged/pactive"), NULL, 10),
                      ctl_size("stats.arenas.4096.pactive"));
    ck_assert_uint_eq(
        strtoull(json_find(text, "jemalloc/stats.arenas/merged/bins/7/curregs"), NULL, 10),
        ctl_size("stats.arenas.4096.bins.7.curregs"));
    ck_assert_int_eq(strtoll(json_find(text, "jemalloc/opt/stats_interval"), NULL, 10), -1);
    al_free(ptr);
}
END_TEST

START_TEST(text_says_the_same) {
    print(NULL);
    ck_assert_ptr_nonnull(strstr(text, "___ Begin jemalloc statistics ___\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n  allocated: "));
    ck_assert_ptr_nonnull(strstr(text, "\n  merged: \n"));
    ck_assert_ptr_nonnull(strstr(text, "--- End jemalloc statistics ---\n"));
    const size_t whole_bytes = text_bytes;
    print("abl");
    ck_assert_uint_lt(text_bytes, whole_bytes);
    ck_assert_ptr_null(strstr(text, " bins: "));
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("stats_print");

    tcase_add_test(tcase, json_has_the_keys_of_jemalloc);
    tcase_add_test(tcase, letters_leave_their_parts_out);
    tcase_add_test(tcase, numbers_are_those_of_mallctl);
    tcase_add_test(tcase, text_says_the_same);
    return suite_run(tcase, "stats_print", 60);
}
