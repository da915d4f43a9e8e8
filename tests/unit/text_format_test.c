/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   both text forms give the counts they stand for, sampled or exact; a line that is not
 *         understood is an error that names it, and so is every cut inside a stack.
 * Method: small dumps, parsed in memory; sums worked out by hand.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/text_format.h"

#include <math.h>
#include <string.h>

#define MAPS "\nMAPPED_LIBRARIES:\n0-100000 r-xp 0 fe:00 1 /prog\n"

static int warning_count;

static void count_warning(void *opaque, const char *line) {
    (void)opaque;
    (void)line;
    warning_count++;
}

static const struct sy_notes notes = {.warn = count_warning};

/* Parses a dump of `text_bytes` bytes, in a block of that length and the NUL, and puts what its
 * stacks hold in all into `sums`. The number of stacks; -1 if it is refused.
 */
static int parse(const char *text, size_t text_bytes, double sums[SY_VALUE_COUNT],
                 struct sy_error *err) {
    struct sy_profile profile;

    ck_assert(sy_profile_init(&profile, err));
    struct sy_load load = {.profile = &profile, .notes = &notes, .path = "dump", .sign = 1};
    char *const block = malloc(text_bytes + 1);
    ck_assert_ptr_nonnull(block);
    memcpy(block, text, text_bytes);
    block[text_bytes] = '\0';
    const bool is_ok =
        sy_text_is(block, text_bytes) && sy_text_parse(&load, block, text_bytes, err);
    const int stack_count = is_ok ? (int)profile.stacks.count : -1;
    for (int kind = 0; kind < SY_VALUE_COUNT; kind++) {
        sums[kind] = 0;
        for (int id = 0; id < stack_count; id++) {
            sums[kind] += profile.values[id][kind];
        }
    }
    free(block);
    free(load.mappings);
    sy_profile_fini(&profile);
    return stack_count;
}

static bool is_near(double have, double want) {
    return fabs(have - want) <= 1e-9 * fabs(want);
}

START_TEST(each_head_says_how_its_counts_were_sampled) {
    /* 4 objects of 25 bytes seen at a mean interval of R bytes: 4 / (1 - exp(-25/R)). */
    static const struct {
        const char *head;
        double interval_bytes; /* 0: exact */
    } rows[] = {
        {"heap_v2/524288\n  t*: 9: 9 [0: 0]\n@ 0x10 0x20\n  t*: 4: 100 [0: 0]\n  t0: 4: 100 [0: 0]\n",
         524288},
        {"heap_v2/1\n  t*: 9: 9 [0: 0] name\n@ 0x10 0x20\n  t*: 4: 100 [0: 0]\n", 0},
        {"heap_v2/0\n@ 0x10 0x20\n  t*: 4: 100 [0: 0]\n", 0},
        {"heap profile: 4: 100 [ 9: 900] @ heap_v2/1024\n  4: 100 [ 0: 0] @ 0x10 0x20\n", 1024},
        {"heap profile: 4: 100 [ 9: 900] @ heap/1024\n# note\n4: 100 [0: 0] @ 10 20\n", 512},
        {"heap profile: 4: 100 [ 9: 900] @ heapprofile\n4: 100 [0: 0] @ 0x10 0x20\n", 0},
        {"heap profile: 4: 100 [ 9: 900] @ growth\n4: 100 [0: 0] @ 0x10 0x20\n", 0},
        {"heap profile: 4: 100 [ 4: 100]\n4: 100 [0: 0] @ 0x10 0x20\n", 131072},
        {"heap profile: 4: 100 [ 9: 900]\n4: 100 [0: 0] @ 0x10 0x20\n", 0},
    };
    double sums[SY_VALUE_COUNT];
    struct sy_error err;
    char text[512];

    for (size_t i = 0; i < SY_ARRAY_COUNT(rows); i++) {
        const double scale =
            rows[i].interval_bytes == 0 ? 1 : 1 / (1 - exp(-25 / rows[i].interval_bytes));
        snprintf(text, sizeof(text), "%s" MAPS, rows[i].head);
        ck_assert_msg(parse(text, strlen(text), sums, &err) == 1, "%s: %s", text, err.text);
        ck_assert_msg(fabs(sums[SY_INUSE_OBJECTS] / (4 * scale) - 1) < 1e-6, "%s", text);
        ck_assert_msg(fabs(sums[SY_INUSE_SPACE] / (100 * scale) - 1) < 1e-6, "%s", text);
        ck_assert(sums[SY_ALLOC_OBJECTS] == 0 && sums[SY_ALLOC_SPACE] == 0);
    }
}
END_TEST

START_TEST(unsampling_leaves_alone_what_has_no_size) {
    static const double pairs[][2] = {{0, 0}, {5, 0}, {0, 5}, {-1, 5}};

    for (size_t i = 0; i < SY_ARRAY_COUNT(pairs); i++) {
        double objects = pairs[i][0];
        double bytes = pairs[i][1];
        sy_text_unsample(&objects, &bytes, 524288);
        ck_assert(objects == pairs[i][0] && bytes == pairs[i][1]);
    }
    double objects = 1000;
    double bytes = 8000;
    sy_text_unsample(&objects, &bytes, 1); /* exp(-8) of them would be added */
    ck_assert(objects == 1000 && bytes == 8000);
    objects = 1e6;
    bytes = 1e18; /* far above the interval: all are seen */
    sy_text_unsample(&objects, &bytes, 524288);
    ck_assert(is_near(objects, 1e6) && is_near(bytes, 1e18));
}
END_TEST

START_TEST(the_same_stack_twice_adds_up) {
    static const char text[] = "heap_v2/1\n@ 0x10 0x20\n  t*: 1: 100 [2: 200]\n"
                               "@ 0x10 0x20\n  t*: 3: 300 [4: 400]\n" MAPS;
    double sums[SY_VALUE_COUNT];
    struct sy_error err;

    ck_assert_int_eq(parse(text, strlen(text), sums, &err), 1);
    ck_assert(sums[0] == 4 && sums[1] == 400 && sums[2] == 6 && sums[3] == 600);
}
END_TEST

START_TEST(a_line_that_is_not_understood_is_named) {
    static const struct {
        const char *text;
        const char *words;
    } rows[] = {
        {"heap_v2/many\n", "line 1: the sampling interval"},
        {"heap_v2/99999999999999999999\n", "line 1: the sampling interval"},
        {"heap_v2/1 \n", "line 1: the sampling interval"},
        {"heap_v2/1\n@ 0x10\n@ 0x10\n", "line 3: the stack before has no counts"},
        {"heap_v2/1\n@ 0x10\n", "line 2: the stack has no counts"},
        {"heap_v2/1\n@ 0xg\n", "line 2: a stack's address"},
        {"heap_v2/1\n@ 0x11111111111111111\n", "line 2: a stack's address"},
        {"heap_v2/1\n@ 0x10\n  t*: 1: [0: 0]\n", "line 3: neither a stack nor its counts"},
        {"heap_v2/1\n@ 0x10\n  t*: -1: 1 [0: 0]\n", "line 3: neither a stack nor its counts"},
        {"heap_v2/1\nt*: 1: 99999999999999999999 [0: 0]\n", "line 2: neither"},
        {"heap_v2/1\n  x1: 1: 1 [0: 0]\n", "line 2: neither"},
        {"heap profile: 1: 1 [1: 1] @ heap_v3/1\n", "line 1: a kind of heap profile"},
        {"heap profile: 1: 1 [1: 1] @ heap_v2/x\n", "line 1: the sampling interval"},
        {"heap profile: 1: 1 [1\n", "line 1: the totals"},
        {"heap profile: 1: 1 [1: 1] @ growth\n1: 1 [1: 1] 0x10\n", "line 2: a row without"},
        {"heap profile: 1: 1 [1: 1] @ growth\nzebra\n", "line 2: not a row of counts"},
        {"heap_v2/1", "truncated"},
    };
    double sums[SY_VALUE_COUNT];
    struct sy_error err;

    for (size_t i = 0; i < SY_ARRAY_COUNT(rows); i++) {
        ck_assert_int_eq(parse(rows[i].text, strlen(rows[i].text), sums, &err), -1);
        ck_assert_msg(strstr(err.text, rows[i].words) != NULL, "%s\n%s", rows[i].text, err.text);
    }
}
END_TEST

START_TEST(a_dump_cut_anywhere_is_whole_lines_or_refused) {
    static const char text[] = "heap_v2/1\n  t*: 3: 300 [0: 0]\n@ 0x10 0x20\n"
                               "  t*: 1: 100 [0: 0]\n@ 0x30\n  t*: 2: 200 [0: 0]\n" MAPS;
    double sums[SY_VALUE_COUNT];
    struct sy_error err;

    for (size_t text_bytes = 1; text_bytes < sizeof(text); text_bytes++) {
        warning_count = 0;
        const int stack_count = parse(text, text_bytes, sums, &err);
        ck_assert(stack_count == -1 || text[text_bytes - 1] == '\n');
        /* Without its map a cut dump is told by a warning. */
        ck_assert(stack_count == -1 || strstr(text, "\nMAPPED") + 18 < text + text_bytes ||
                  warning_count == 1);
        ck_assert(stack_count <= 0 || sums[SY_INUSE_SPACE] == (stack_count == 1 ? 100 : 300));
    }
}
END_TEST

START_TEST(a_stack_of_4096_frames_is_read_and_one_of_4097_refused) {
    static char text[8 * 4200];
    double sums[SY_VALUE_COUNT];
    struct sy_error err;

    for (int frame_count = 4096; frame_count <= 4097; frame_count++) {
        size_t at = (size_t)sprintf(text, "heap_v2/1\n@");
        for (int frame = 0; frame < frame_count; frame++) {
            at += (size_t)sprintf(text + at, " 0x%x", frame % 64);
        }
        sprintf(text + at, "\n  t*: 1: 1 [0: 0]\n");
        ck_assert_int_eq(parse(text, strlen(text), sums, &err), frame_count == 4096 ? 1 : -1);
    }
    ck_assert_ptr_nonnull(strstr(err.text, "deeper than 4096"));
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("text_format");

    tcase_add_test(tcase, each_head_says_how_its_counts_were_sampled);
    tcase_add_test(tcase, unsampling_leaves_alone_what_has_no_size);
    tcase_add_test(tcase, the_same_stack_twice_adds_up);
    tcase_add_test(tcase, a_line_that_is_not_understood_is_named);
    tcase_add_test(tcase, a_dump_cut_anywhere_is_whole_lines_or_refused);
    tcase_add_test(tcase, a_stack_of_4096_frames_is_read_and_one_of_4097_refused);
    return suite_run(tcase, "text_format", 60);
}
