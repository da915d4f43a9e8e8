/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a dump of known samples is these bytes: totals, threads by name, sites, threads at sites;
 *         accumulated numbers only where they are asked for; and a reader that undoes the sampling
 *         comes back to the estimate.
 * Method: samples entered at made-up stacks, each in a process of its own, compared with the text
 *         that docs/PROFILE_FORMAT.md prescribes.
 */
#include "prof/heap_text.h"

#include "alloc/options.h"
#include "alloc/sample.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <math.h>
#include <pthread.h>

enum { DUMP_BYTES_MAX = 64 * 1024 };

static struct pf_sink sink;
static char dump[DUMP_BYTES_MAX];

static const uintptr_t leaf_first[] = {0x401234, 0x405678, 0x7f0000001000};
static const uintptr_t other[] = {0x409abc};

static void start(void) {
    (void)child_enter_folder();
    al_options_reset();
    CHILD_CHECK(pf_site_start());
}

static struct pf_record *add(const uintptr_t *frames, uint32_t depth, size_t bytes) {
    const struct al_sampled sampled = {
        .ptr = frames, .requested_bytes = bytes - 1, .usable_bytes = bytes, .is_certain = true};
    struct pf_record *const record = pf_site_add(&sampled, frames, depth);

    CHILD_CHECK(record != NULL);
    return record;
}

static const char *write_dump(bool has_accum) {
    CHILD_CHECK(pf_sink_open(&sink, "dump", false) == 0);
    pf_heap_text_write(&sink, NULL, has_accum);
    CHILD_CHECK(pf_sink_close(&sink) == 0);
    (void)child_read_file("dump", dump, sizeof(dump));
    return dump;
}

/* Shows what differs in the words that assert_ends compares. */
static void check_dump(bool has_accum, const char *want) {
    if (strcmp(write_dump(has_accum), want) != 0) {
        (void)dprintf(STDERR_FILENO, "have:\n%swant:\n%s", dump, want);
        _exit(1);
    }
}

static void dump_of_nothing(void) {
    start();
    check_dump(true, "heap_v2/524288\n" /* the rate that is set: there is no sample of another */
                     "  t*: 0: 0 [0: 0]\n");
}

START_TEST(a_dump_of_nothing) {
    assert_ends(dump_of_nothing, 0, "");
}
END_TEST

static void dump_of_one_thread(void) {
    start();
    (void)add(leaf_first, 3, 1000);
    (void)add(leaf_first, 3, 1000);
    pf_site_remove(add(leaf_first, 3, 500));
    pf_thread_set_name(pf_thread_self(), "main thread");
    check_dump(true, "heap_v2/1\n"
                     "  t*: 2: 2000 [3: 2500]\n"
                     "  t0: 2: 2000 [3: 2500] main thread\n"
                     "@ 0x401234 0x405678 0x7f0000001000\n"
                     "  t*: 2: 2000 [3: 2500]\n"
                     "  t0: 2: 2000 [3: 2500]\n");
    check_dump(false, "heap_v2/1\n"
                      "  t*: 2: 2000 [0: 0]\n"
                      "  t0: 2: 2000 [0: 0] main thread\n"
                      "@ 0x401234 0x405678 0x7f0000001000\n"
                      "  t*: 2: 2000 [0: 0]\n"
                      "  t0: 2: 2000 [0: 0]\n");
}

START_TEST(a_dump_of_one_thread) {
    assert_ends(dump_of_one_thread, 0, "");
}
END_TEST

static void dump_of_the_dead(void) {
    start();
    pf_site_remove(add(other, 1, 64));
    check_dump(false, "heap_v2/1\n"
                      "  t*: 0: 0 [0: 0]\n"
                      "  t0: 0: 0 [0: 0]\n");
    check_dump(true, "heap_v2/1\n"
                     "  t*: 0: 0 [1: 64]\n"
                     "  t0: 0: 0 [1: 64]\n"
                     "@ 0x409abc\n"
                     "  t*: 0: 0 [1: 64]\n"
                     "  t0: 0: 0 [1: 64]\n");
}

START_TEST(sites_of_the_dead_are_shown_only_among_what_accumulated) {
    assert_ends(dump_of_the_dead, 0, "");
}
END_TEST

static void *run_second(void *arg) {
    (void)add(other, 1, *(const size_t *)arg);
    return NULL;
}

/* Lines of sites and of threads in any order; the sums must agree at every level. */
static void dump_of_two_threads(void) {
    size_t bytes = 300;
    pthread_t thread;

    start();
    (void)add(other, 1, 100);
    (void)add(leaf_first, 3, 50);
    CHILD_CHECK(pthread_create(&thread, NULL, run_second, &bytes) == 0);
    CHILD_CHECK(pthread_join(thread, NULL) == 0);
    const char *const text = write_dump(true);
    CHILD_CHECK(strncmp(text, "heap_v2/1\n  t*: 3: 450 [3: 450]\n", 32) == 0);
    CHILD_CHECK(strstr(text, "\n  t0: 2: 150 [2: 150]\n") != NULL);
    CHILD_CHECK(strstr(text, "\n  t1: 1: 300 [1: 300]\n") != NULL);
    CHILD_CHECK(strstr(text, "@ 0x409abc\n  t*: 2: 400 [2: 400]\n") != NULL);
    CHILD_CHECK(strstr(text, "\n  t0: 1: 100 [1: 100]\n") != NULL);
    CHILD_CHECK(strstr(text, "@ 0x401234 0x405678 0x7f0000001000\n"
                             "  t*: 1: 50 [1: 50]\n  t0: 1: 50 [1: 50]\n") != NULL);
}

START_TEST(a_dump_of_two_threads_adds_up) {
    assert_ends(dump_of_two_threads, 0, "");
}
END_TEST

static void dump_with_maps(void) {
    const char text[] = "00400000-00500000 r-xp 00000000 00:00 0 /bin/made-up\n";
    struct pf_maps maps = {.text = dump, .text_bytes = sizeof(text) - 1};

    start();
    memcpy(dump, text, sizeof(text));
    CHILD_CHECK(pf_sink_open(&sink, "dump", false) == 0);
    pf_heap_text_write(&sink, &maps, true);
    CHILD_CHECK(pf_sink_close(&sink) == 0);
    (void)child_read_file("dump", dump, sizeof(dump));
    CHILD_CHECK(strcmp(dump, "heap_v2/524288\n"
                             "  t*: 0: 0 [0: 0]\n"
                             "\nMAPPED_LIBRARIES:\n"
                             "00400000-00500000 r-xp 00000000 00:00 0 /bin/made-up\n") == 0);
}

START_TEST(maps_follow_unchanged) {
    assert_ends(dump_with_maps, 0, "");
}
END_TEST

/* A reader divides by 1 - exp(-mean size / R), as jeprof does. */
START_TEST(a_reader_comes_back_to_the_estimate) {
    al_options_reset();
    for (unsigned rate_lg = 10; rate_lg <= 20; rate_lg += 5) {
        for (uint64_t size = 16; size <= UINT64_C(1) << 24; size *= 4) {
            const uint64_t count = 10 + (UINT64_C(1000) << rate_lg) / size;
            const struct pf_counts counts = {.sample_count = count,
                                             .objects_fixed = count << PF_OBJECT_LG,
                                             .bytes = count * size};
            uint64_t objects = 0;
            uint64_t bytes = 0;
            pf_heap_text_distort(&counts, rate_lg, &objects, &bytes);
            const double mean = (double)bytes / (double)objects;
            const double factor = 1.0 / (1.0 - exp(-mean / (double)(UINT64_C(1) << rate_lg)));
            const double wrong = (double)bytes * factor / (double)counts.bytes - 1.0;
            ck_assert_msg(fabs(wrong) < 0.06, "R 2^%u, size %llu: %g", rate_lg,
                          (unsigned long long)size, wrong);
            ck_assert(objects <= count && bytes <= counts.bytes);
        }
    }
}
END_TEST

START_TEST(nothing_is_nothing_and_little_is_not_nothing) {
    const struct pf_counts none = {0};
    const struct pf_counts little = {
        .sample_count = 1, .objects_fixed = UINT64_C(1) << PF_OBJECT_LG, .bytes = 1};
    uint64_t objects = 42;
    uint64_t bytes = 42;

    al_options_reset();
    pf_heap_text_distort(&none, 19, &objects, &bytes);
    ck_assert(objects == 0 && bytes == 0);
    pf_heap_text_distort(&little, 40, &objects, &bytes); /* readers divide by both */
    ck_assert(objects == 1 && bytes == 1);
}
END_TEST

static void run_raw(void) {
    const struct pf_counts counts = {.sample_count = 3,
                                     .objects_fixed = UINT64_C(3000) << PF_OBJECT_LG,
                                     .bytes = 300000,
                                     .raw_bytes = 300};
    uint64_t objects = 0;
    uint64_t bytes = 0;

    al_options_reset();
    CHILD_CHECK(al_options_parse("test", "prof_unbias:false"));
    pf_heap_text_distort(&counts, 19, &objects, &bytes);
    CHILD_CHECK(objects == 3 && bytes == 300);
}

START_TEST(without_prof_unbias_the_sample_is_shown_as_drawn) {
    assert_ends(run_raw, 0, "");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("heap_text");

    tcase_add_test(tcase, a_dump_of_nothing);
    tcase_add_test(tcase, a_dump_of_one_thread);
    tcase_add_test(tcase, sites_of_the_dead_are_shown_only_among_what_accumulated);
    tcase_add_test(tcase, a_dump_of_two_threads_adds_up);
    tcase_add_test(tcase, maps_follow_unchanged);
    tcase_add_test(tcase, a_reader_comes_back_to_the_estimate);
    tcase_add_test(tcase, nothing_is_nothing_and_little_is_not_nothing);
    tcase_add_test(tcase, without_prof_unbias_the_sample_is_shown_as_drawn);
    return suite_run(tcase, "heap_text", 60);
}
