/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a dump has the name and the format that were asked for; whatever keeps it from being
 *         written is an errno value, with nothing half-written left; at exit none begins any more;
 *         the child of a fork writes its own.
 * Method: each in a process of its own, in a folder made for it.
 */
#include "prof/dump.h"

#include "alloc/options.h"
#include "prof/site.h"
#include "tests/support/child.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { DUMP_BYTES_MAX = 1 << 20, PATH_BYTES = 4096 };

static char text[DUMP_BYTES_MAX];

static void start(const char *conf) {
    (void)child_enter_folder();
    al_options_reset();
    CHILD_CHECK(al_options_parse("test", conf));
    CHILD_CHECK(pf_site_start());
}

static void check_whole(const char *path) {
    (void)child_read_file(path, text, sizeof(text));
    CHILD_CHECK(strncmp(text, "heap_v2/524288\n", 15) == 0);
    CHILD_CHECK(strstr(text, "\nMAPPED_LIBRARIES:\n") != NULL);
    CHILD_CHECK(strstr(text, "[stack]\n") != NULL);
}

static void dump_by_ending(void) {
    start("narenas:1");
    CHILD_CHECK(pf_dump_to("a.heap") == 0);
    check_whole("a.heap");
    CHILD_CHECK(pf_dump_to("a") == 0);
    check_whole("a");
    CHILD_CHECK(pf_dump_to("pb.gz") == 0); /* the ending begins with a dot */
    check_whole("pb.gz");
    CHILD_CHECK(pf_dump_to("a.pb.gz") == 0);
    CHILD_CHECK(child_read_file("a.pb.gz", text, sizeof(text)) > 20);
    CHILD_CHECK((unsigned char)text[0] == 0x1f && (unsigned char)text[1] == 0x8b);
    CHILD_CHECK(child_count_files("") == 4);
}

START_TEST(the_ending_says_the_format) {
    assert_ends(dump_by_ending, 0, "");
}
END_TEST

static void fail_in_every_way(void) {
    const struct rlimit small = {100, RLIM_INFINITY};
    const struct rlimit usual = {RLIM_INFINITY, RLIM_INFINITY};
    char long_path[2 * PATH_BYTES];

    start("narenas:1");
    CHILD_CHECK(mkdir("folder", 0700) == 0);
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    CHILD_CHECK(pf_dump_to("absent/a.heap") == ENOENT);
    CHILD_CHECK(pf_dump_to("folder") == EISDIR);
    CHILD_CHECK(pf_dump_to("/dev/full") == ENOSPC);
    CHILD_CHECK(pf_dump_to("") == ENOENT);
    CHILD_CHECK(pf_dump_to(long_path) == ENAMETOOLONG);
    CHILD_CHECK(pf_dump_to("/proc/self/nothing") == ENOENT);
    (void)signal(SIGXFSZ, SIG_IGN);
    CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHILD_CHECK(pf_dump_to("large.heap") == EFBIG);
    CHILD_CHECK(pf_dump_to("large.pb.gz") == EFBIG);
    CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &usual) == 0);
    CHILD_CHECK(child_count_files("") == 1);
    CHILD_CHECK(pf_dump_to("a.heap") == 0);
    check_whole("a.heap");
}

START_TEST(what_fails_is_told_and_leaves_nothing) {
    assert_ends(fail_in_every_way, 0, "");
}
END_TEST

/* The old dump stays until the new one is whole. */
static void fail_over_another(void) {
    const struct rlimit small = {100, RLIM_INFINITY};

    start("narenas:1");
    CHILD_CHECK(pf_dump_to("a.heap") == 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHILD_CHECK(pf_dump_to("a.heap") == EFBIG);
    CHILD_CHECK(child_count_files("") == 1);
    check_whole("a.heap");
}

START_TEST(a_dump_that_fails_leaves_the_one_before) {
    assert_ends(fail_over_another, 0, "");
}
END_TEST

static void dump_to_nobody(void) {
    start("narenas:1");
    CHILD_CHECK(mkfifo("fifo", 0600) == 0);
    CHILD_CHECK(pf_dump_to("fifo") == ENXIO);
}

START_TEST(a_fifo_that_nobody_reads_is_told_in_words) {
    assert_ends(dump_to_nobody, 0, "<jemalloc>: failed to write \"fifo\": nobody reads from it\n");
}
END_TEST

static void check_name(char letter, const char *rest) {
    char want[PATH_BYTES];

    CHILD_CHECK(pf_dump_automatic(letter, true) == 0);
    (void)snprintf(want, sizeof(want), "p.%d.%s", (int)getpid(), rest);
    check_whole(want);
    CHILD_CHECK(unlink(want) == 0);
    CHILD_CHECK(child_count_files("") == 0);
}

/* One count for all, one for each letter; the last dump of a process has none. */
static void dump_automatically(void) {
    start("prof_prefix:p");
    check_name('m', "0.m0.heap");
    check_name('i', "1.i0.heap");
    check_name('m', "2.m1.heap");
    check_name('u', "3.u0.heap");
    check_name('f', "4.f.heap");
    check_name('f', "5.f.heap");
    check_name('i', "6.i1.heap");
}

START_TEST(automatic_names_are_counted) {
    assert_ends(dump_automatically, 0, "");
}
END_TEST

static void change_prefix(void) {
    char long_prefix[PATH_BYTES + 1];

    start("prof_prefix:");
    CHILD_CHECK(pf_dump_automatic('m', true) == EFAULT); /* which is said by the caller's errno */
    CHILD_CHECK(pf_dump_set_prefix("q") == 0);
    CHILD_CHECK(pf_dump_automatic('m', true) == 0);
    CHILD_CHECK(child_count_files("q.") == 1 && child_count_files(".0.m0.heap") == 1);
    memset(long_prefix, 'x', sizeof(long_prefix) - 1);
    long_prefix[sizeof(long_prefix) - 1] = '\0';
    CHILD_CHECK(pf_dump_set_prefix(long_prefix) == ENAMETOOLONG);
    CHILD_CHECK(pf_dump_automatic('m', true) == 0);
    CHILD_CHECK(child_count_files("q.") == 2);
    long_prefix[PATH_BYTES - 1] = '\0'; /* fits, but no name with it does */
    CHILD_CHECK(pf_dump_set_prefix(long_prefix) == 0);
    CHILD_CHECK(pf_dump_automatic('m', false) == ENAMETOOLONG);
    CHILD_CHECK(pf_dump_set_prefix("") == 0);
    CHILD_CHECK(pf_dump_automatic('m', true) == EFAULT);
    CHILD_CHECK(child_count_files("") == 2);
}

START_TEST(the_prefix_may_change) {
    assert_ends(change_prefix, 0, "");
}
END_TEST

static void fail_automatically(void) {
    start("prof_prefix:absent/p");
    CHILD_CHECK(pf_dump_automatic('m', false) == ENOENT);
    CHILD_CHECK(pf_dump_set_prefix("/dev/full/p") == 0);
    CHILD_CHECK(pf_dump_automatic('i', false) == ENOTDIR);
}

START_TEST(what_fails_quietly_says_nothing) {
    assert_ends(fail_automatically, 0, "");
}
END_TEST

static void fail_loudly(void) {
    char line[PATH_BYTES];

    start("prof_prefix:absent/p");
    CHILD_CHECK(freopen("words", "w", stderr) != NULL);
    CHILD_CHECK(pf_dump_automatic('i', true) == ENOENT);
    (void)snprintf(line, sizeof(line),
                   "<jemalloc>: failed to write \"absent/p.%d.0.i0.heap\": "
                   "No such file or directory\n",
                   (int)getpid());
    (void)child_read_file("words", text, sizeof(text));
    if (strcmp(text, line) != 0) {
        _exit(1);
    }
}

START_TEST(what_fails_by_itself_is_told_in_words) {
    assert_ends(fail_loudly, 0, "");
}
END_TEST

static void *dump_once(void *err) {
    *(int *)err = pf_dump_to("other.heap");
    return NULL;
}

static void dump_at_exit(void) {
    pthread_t thread;
    int err = -1;

    start("prof_prefix:p");
    pf_dump_close();
    CHILD_CHECK(pthread_create(&thread, NULL, dump_once, &err) == 0);
    CHILD_CHECK(pthread_join(thread, NULL) == 0);
    CHILD_CHECK(err == ECANCELED && child_count_files("") == 0);
    CHILD_CHECK(pf_dump_to("own.heap") == 0);
    check_whole("own.heap");
    CHILD_CHECK(pf_dump_automatic('f', true) == 0);
}

START_TEST(who_ends_the_process_is_the_last_to_dump) {
    assert_ends(dump_at_exit, 0, "");
}
END_TEST

static void dump_in_child(void) {
    char want[PATH_BYTES];
    int status = 0;

    start("prof_prefix:p");
    CHILD_CHECK(pf_dump_automatic('m', true) == 0);
    pf_dump_fork_prepare();
    const pid_t child = fork();
    if (child == 0) {
        pf_dump_fork_child();
        CHILD_CHECK(pf_dump_automatic('m', true) == 0);
        _exit(0);
    }
    pf_dump_fork_parent();
    CHILD_CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHILD_CHECK(pf_dump_automatic('m', true) == 0);
    (void)snprintf(want, sizeof(want), "p.%d.1.m1.heap", (int)child);
    check_whole(want);
    (void)snprintf(want, sizeof(want), "p.%d.1.m1.heap", (int)getpid());
    check_whole(want);
    CHILD_CHECK(child_count_files("") == 3);
}

START_TEST(the_child_of_a_fork_writes_its_own) {
    assert_ends(dump_in_child, 0, "");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("dump");

    tcase_add_test(tcase, the_ending_says_the_format);
    tcase_add_test(tcase, what_fails_is_told_and_leaves_nothing);
    tcase_add_test(tcase, a_dump_that_fails_leaves_the_one_before);
    tcase_add_test(tcase, a_fifo_that_nobody_reads_is_told_in_words);
    tcase_add_test(tcase, automatic_names_are_counted);
    tcase_add_test(tcase, the_prefix_may_change);
    tcase_add_test(tcase, what_fails_quietly_says_nothing);
    tcase_add_test(tcase, what_fails_by_itself_is_told_in_words);
    tcase_add_test(tcase, who_ends_the_process_is_the_last_to_dump);
    tcase_add_test(tcase, the_child_of_a_fork_writes_its_own);
    return suite_run(tcase, "dump", 60);
}
