/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   prof.* works in a process that was started without opt.prof; what is set is read back,
 *         what cannot be done says so and changes nothing.
 * Method: through mallctl; samples are counted in dumps, in the folder of the test.
 */
#include "alloc/malloc.h"
#include "alloc/options.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <glob.h>
#include <pthread.h>
#include <unistd.h>

static bool read_bool(const char *name) {
    bool value = false;
    size_t value_bytes = sizeof(value);

    ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == 0, "%s", name);
    return value;
}

static int write_bool(const char *name, bool value) {
    return ctl_write(name, &value, sizeof(value));
}

static int write_text(const char *name, const char *text) {
    return ctl_write(name, &text, sizeof(text));
}

static int reset(size_t rate_lg) {
    return ctl_write("prof.reset", &rate_lg, sizeof(rate_lg));
}

/* A name in the test's folder. */
static const char *in_folder(const char *name) {
    static char path[512];
    const char *const folder = getenv("TEST_TMPDIR");

    (void)snprintf(path, sizeof(path), "%s/%s", folder != NULL ? folder : "/tmp", name);
    return path;
}

/* Samples that live, by a dump's own sum. */
static unsigned long long sample_count(void) {
    const char *const path = in_folder("nodes_prof_test.heap");
    unsigned long long count = 0;
    char line[256];

    ck_assert_int_eq(write_text("prof.dump", path), 0);
    FILE *const file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), file)); /* heap_v2/... */
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
    (void)fclose(file);
    const char *const colon = strchr(line, ':');
    ck_assert_msg(colon != NULL && strstr(line, "t*:") != NULL, "%s", line);
    count = strtoull(colon + 1, NULL, 10);
    return count;
}

START_TEST(it_is_off_at_first_and_can_be_switched) {
    ck_assert(!al_options.prof);
    ck_assert_int_eq(write_bool("prof.active", false), 0);
    ck_assert(!read_bool("prof.active"));
    ck_assert_int_eq(write_bool("prof.active", true), 0);
    ck_assert(read_bool("prof.active"));
    bool was_active = false;
    size_t was_active_bytes = sizeof(was_active);
    bool off = false;
    ck_assert_int_eq(mallctl("prof.active", &was_active, &was_active_bytes, &off, sizeof(off)), 0);
    ck_assert(was_active); /* what was before */
    ck_assert(!read_bool("prof.active"));
    const uint32_t wide = 1;
    ck_assert_int_eq(ctl_write("prof.active", &wide, sizeof(wide)), EINVAL);
    ck_assert(!read_bool("prof.active"));
}
END_TEST

START_TEST(a_reset_forgets_and_sets_the_rate) {
    ck_assert_int_eq(reset(0), 0); /* every allocation */
    ck_assert_uint_eq(ctl_size("prof.lg_sample"), 0);
    ck_assert_int_eq(write_bool("prof.active", true), 0);
    void *const first = al_malloc(1000);
    void *const second = al_malloc(200000);
    ck_assert_int_eq(write_bool("prof.active", false), 0);
    ck_assert_uint_ge(sample_count(), 2);
    ck_assert_int_eq(ctl_do("prof.reset"), 0); /* the rate stays */
    ck_assert_uint_eq(ctl_size("prof.lg_sample"), 0);
    ck_assert_uint_eq(sample_count(), 0);
    al_free(first); /* forgotten, not lost */
    al_free(second);
    ck_assert_uint_eq(sample_count(), 0);
    ck_assert_int_eq(reset(17), 0);
    ck_assert_uint_eq(ctl_size("prof.lg_sample"), 17);
    const uint32_t narrow = 3;
    ck_assert_int_eq(ctl_write("prof.reset", &narrow, sizeof(narrow)), EINVAL);
    ck_assert_uint_eq(ctl_size("prof.lg_sample"), 17);
    ck_assert_int_eq(reset(SIZE_MAX), 0); /* as rare as can be */
    ck_assert_uint_gt(ctl_size("prof.lg_sample"), 17);
    ck_assert_uint_lt(ctl_size("prof.lg_sample"), 64);
    ck_assert_int_eq(reset((size_t)al_options.lg_prof_sample), 0);
}
END_TEST

START_TEST(what_is_only_read_or_only_written) {
    uint64_t any = 0;
    size_t any_bytes = sizeof(any);

    ck_assert_int_eq(mallctl("prof.interval", &any, &any_bytes, NULL, 0), 0);
    ck_assert_uint_eq(any, 0); /* none was asked for */
    ck_assert_int_eq(ctl_write("prof.interval", &any, sizeof(any)), EPERM);
    ck_assert_int_eq(ctl_write("prof.lg_sample", &any, sizeof(any)), EPERM);
    ck_assert_int_eq(mallctl("prof.reset", &any, &any_bytes, NULL, 0), EPERM);
    ck_assert_int_eq(mallctl("prof.dump", &any, &any_bytes, NULL, 0), EPERM);
    ck_assert_int_eq(mallctl("prof.prefix", &any, &any_bytes, NULL, 0), EPERM);
}
END_TEST

static size_t file_count(const char *pattern) {
    glob_t found;
    const int err = glob(pattern, 0, NULL, &found);

    ck_assert(err == 0 || err == GLOB_NOMATCH);
    const size_t count = err == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

START_TEST(a_prefix_is_that_of_dumps_without_a_name) {
    static char name_long[1 << 16];
    char prefix[64];
    char pattern[600];

    (void)snprintf(prefix, sizeof(prefix), "nodes_prof.%d", (int)getpid());
    (void)snprintf(pattern, sizeof(pattern), "%s.*.heap", in_folder(prefix));
    ck_assert_uint_eq(file_count(pattern), 0);
    ck_assert_int_eq(write_text("prof.prefix", in_folder(prefix)), 0);
    memset(name_long, 'x', sizeof(name_long) - 1);
    ck_assert_int_eq(write_text("prof.prefix", name_long), EINVAL);
    ck_assert_int_eq(write_text("prof.prefix", NULL), EINVAL);
    ck_assert_int_eq(ctl_do("prof.prefix"), EINVAL);
    ck_assert_int_eq(ctl_do("prof.dump"), 0);
    ck_assert_uint_eq(file_count(pattern), 1); /* those errors left the prefix as it was */
    ck_assert_int_eq(write_text("prof.dump", NULL), 0);
    ck_assert_uint_eq(file_count(pattern), 2);
    ck_assert_int_eq(write_text("prof.dump", "/nonexistent/folder/x.heap"), EFAULT);
}
END_TEST

static void *read_active(void *arg) {
    *(bool *)arg = read_bool("thread.prof.active");
    return arg;
}

static bool is_new_thread_active(void) {
    pthread_t thread;
    bool is_active = false;

    ck_assert_int_eq(pthread_create(&thread, NULL, read_active, &is_active), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return is_active;
}

START_TEST(new_threads_are_as_they_are_told) {
    al_free(al_malloc(1)); /* a thread begins with its first allocation */
    ck_assert(read_bool("prof.thread_active_init"));
    ck_assert(is_new_thread_active());
    ck_assert_int_eq(write_bool("prof.thread_active_init", false), 0);
    ck_assert(!read_bool("prof.thread_active_init"));
    ck_assert(!is_new_thread_active());
    ck_assert(read_bool("thread.prof.active")); /* this one is not new */
    ck_assert_int_eq(write_bool("prof.thread_active_init", true), 0);
    ck_assert(is_new_thread_active());
}
END_TEST

START_TEST(what_does_not_exist_says_so) {
    ck_assert_int_eq(ctl_do("prof.stats.bins.0.live"), ENOENT);
    ck_assert_int_eq(ctl_do("prof.stats.lextents.0.accum"), ENOENT);
    ck_assert_int_eq(ctl_do("prof.log_stop"), EFAULT);
    ck_assert_int_eq(write_text("prof.log_start", "x"), EFAULT);
    ck_assert(!read_bool("prof.gdump"));
    ck_assert_int_eq(write_bool("prof.gdump", true), 0);
    ck_assert(read_bool("prof.gdump"));
    ck_assert_int_eq(write_bool("prof.gdump", false), 0);
    ck_assert(!read_bool("prof.gdump"));
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("nodes_prof");

    tcase_add_test(tcase, it_is_off_at_first_and_can_be_switched);
    tcase_add_test(tcase, a_reset_forgets_and_sets_the_rate);
    tcase_add_test(tcase, what_is_only_read_or_only_written);
    tcase_add_test(tcase, a_prefix_is_that_of_dumps_without_a_name);
    tcase_add_test(tcase, new_threads_are_as_they_are_told);
    tcase_add_test(tcase, what_does_not_exist_says_so);
    return suite_run(tcase, "nodes_prof", 60);
}
