/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a file appears whole or not at all; what is not a plain file is written as it stands; and
 *         whatever goes wrong is an errno value, with nothing left behind and no signal.
 * Method: every kind of target there is, in a folder made for the test. After a failure the folder
 *         holds what it held before.
 */
#include "prof/sink.h"

#include "tests/support/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct pf_sink sink;
static char folder[512];

static void enter_folder(void) {
    const char *const parent = getenv("TEST_TMPDIR");

    snprintf(folder, sizeof(folder), "%s/sink.XXXXXX", parent != NULL ? parent : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static int count_files(void) {
    DIR *const dir = opendir(folder);
    int count = 0;

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count - 2; /* itself and its parent */
}

/* Writes `text` `times` over. Returns what the sink said. */
static int write_to(const char *path, const char *text, int times) {
    const int err = pf_sink_open(&sink, path, false);

    if (err != 0) {
        return err;
    }
    for (int time = 0; time < times; time++) {
        pf_sink_str(&sink, text);
    }
    return pf_sink_close(&sink);
}

static void assert_content(const char *path, const char *want) {
    char have[256] = "";
    FILE *const file = fopen(path, "r");

    ck_assert_msg(file != NULL, "%s is not there", path);
    ck_assert_uint_le(fread(have, 1, sizeof(have) - 1, file), sizeof(have) - 1);
    (void)fclose(file);
    ck_assert_str_eq(have, want);
}

static bool is_link(const char *path) {
    struct stat status;

    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

START_TEST(a_plain_file_appears_when_it_is_whole) {
    ck_assert_int_eq(pf_sink_open(&sink, "plain", false), 0);
    pf_sink_str(&sink, "one ");
    ck_assert_int_ne(access("plain", F_OK), 0);
    pf_sink_u64(&sink, 2);
    ck_assert_int_eq(pf_sink_close(&sink), 0);
    assert_content("plain", "one 2");
    ck_assert_int_eq(write_to("plain", "again", 1), 0);
    assert_content("plain", "again");
    ck_assert_int_eq(count_files(), 1);
}
END_TEST

START_TEST(a_name_as_long_as_names_may_be_works) {
    char name[NAME_MAX + 1];

    memset(name, 'n', NAME_MAX);
    name[NAME_MAX] = '\0';
    ck_assert_int_eq(write_to(name, "long", 1), 0);
    assert_content(name, "long");
    ck_assert_int_eq(count_files(), 1);
}
END_TEST

START_TEST(a_link_stays_and_its_target_is_written) {
    ck_assert_int_eq(write_to("real", "a longer text than the next", 1), 0);
    ck_assert_int_eq(symlink("real", "link"), 0);
    ck_assert_int_eq(write_to("link", "new", 1), 0);
    ck_assert(is_link("link"));
    assert_content("real", "new");
    ck_assert_int_eq(symlink("absent", "dangling"), 0);
    ck_assert_int_eq(write_to("dangling", "born", 1), 0);
    ck_assert(is_link("dangling"));
    assert_content("absent", "born");
}
END_TEST

START_TEST(descriptors_by_name_are_written) {
    char name[64];
    const int fd = open("target", O_RDWR | O_CREAT, 0600);
    int pipe_fds[2];
    char have[16] = "";

    ck_assert_int_ge(fd, 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ck_assert_int_eq(write_to(name, "by number", 1), 0);
    assert_content("target", "by number");
    ck_assert_int_eq(pipe(pipe_fds), 0);
    snprintf(name, sizeof(name), "/dev/fd/%d", pipe_fds[1]);
    ck_assert_int_eq(write_to(name, "piped", 1), 0);
    ck_assert_int_eq(read(pipe_fds[0], have, sizeof(have) - 1), 5);
    ck_assert_str_eq(have, "piped");
    ck_assert_int_eq(fcntl(pipe_fds[1], F_GETFL) & O_NONBLOCK,
                     0); /* the program's own is as it was */
    ck_assert_int_eq(count_files(), 1);
}
END_TEST

START_TEST(a_fifo_without_a_reader_is_an_error_at_once) {
    ck_assert_int_eq(mkfifo("fifo", 0600), 0);
    ck_assert_int_eq(write_to("fifo", "lost", 1), ENXIO);
    const int reader_fd = open("fifo", O_RDONLY | O_NONBLOCK);
    char have[16] = "";
    ck_assert_int_ge(reader_fd, 0);
    ck_assert_int_eq(write_to("fifo", "found", 1), 0);
    ck_assert_int_eq(read(reader_fd, have, sizeof(have) - 1), 5);
    ck_assert_str_eq(have, "found");
    ck_assert_int_eq(count_files(), 1);
}
END_TEST

static volatile sig_atomic_t signal_count;

static void count_signal(int number) {
    signal_count += number == SIGPIPE;
}

START_TEST(a_reader_who_is_gone_ends_it_without_a_signal) {
    char name[64];
    int pipe_fds[2];
    sigset_t set;

    ck_assert(signal(SIGPIPE, count_signal) != SIG_ERR);
    ck_assert_int_eq(pipe(pipe_fds), 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", pipe_fds[1]);
    ck_assert_int_eq(close(pipe_fds[0]), 0);
    ck_assert_int_eq(write_to(name, "to nobody", 1), EPIPE);
    ck_assert_int_eq(signal_count, 0);

    /* One of the program's own, which it keeps blocked, stays its own. */
    ck_assert_int_eq(sigemptyset(&set) | sigaddset(&set, SIGPIPE), 0);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    ck_assert_int_eq(raise(SIGPIPE), 0);
    ck_assert_int_eq(write_to(name, "to nobody", 1), EPIPE);
    ck_assert_int_eq(signal_count, 0);
    ck_assert_int_eq(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
    ck_assert_int_eq(signal_count, 1);
}
END_TEST

START_TEST(a_full_device_is_told) {
    ck_assert_int_eq(write_to("/dev/full", "some text", 1), ENOSPC);
    ck_assert_int_eq(write_to("/dev/full", "some text", 100000), ENOSPC);
    ck_assert_int_eq(write_to("/dev/null", "some text", 100000), 0);
}
END_TEST

/* A limit of the size of files, since a disk is not filled for a test. */
START_TEST(a_write_that_fails_leaves_nothing) {
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    ck_assert_int_eq(write_to("old", "before", 1), 0);
    ck_assert_int_eq(symlink("behind", "link"), 0);
    ck_assert_int_eq(write_to("link", "before", 1), 0);
    const struct rlimit limit = {1000, 1000};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(write_to("new", "some text", 100000), EFBIG);
    ck_assert_int_eq(write_to("old", "some text", 100000), EFBIG);
    assert_content("old", "before");
    ck_assert_int_eq(count_files(), 3);
    ck_assert_int_eq(write_to("link", "some text", 100000), EFBIG);
    assert_content("behind", "");
}
END_TEST

START_TEST(folders_that_are_gone_or_closed_are_told) {
    ck_assert_int_eq(mkdir("gone", 0700), 0);
    ck_assert_int_eq(chdir("gone"), 0);
    ck_assert_int_eq(rmdir("../gone"), 0);
    ck_assert_int_eq(write_to("x", "text", 1), ENOENT);
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(write_to("gone/x", "text", 1), ENOENT);
    ck_assert_int_eq(write_to(".", "text", 1), EISDIR);
    ck_assert_int_eq(write_to("/proc/self/none", "text", 1), ENOENT);
    ck_assert_int_eq(count_files(), 0);
}
END_TEST

/* Root may write anywhere, by one capability. */
static void set_may_override(bool may_override) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    ck_assert_int_eq(syscall(SYS_capget, &head, data), 0);
    const uint32_t bit = 1U << CAP_DAC_OVERRIDE;
    data[0].effective =
        may_override ? data[0].effective | (data[0].permitted & bit) : data[0].effective & ~bit;
    ck_assert_int_eq(syscall(SYS_capset, &head, data), 0);
}

START_TEST(a_closed_folder_refuses_new_files_and_takes_old_ones) {
    ck_assert_int_eq(mkdir("closed", 0755), 0);
    ck_assert_int_eq(write_to("closed/old", "before", 1), 0);
    ck_assert_int_eq(chmod("closed", 0555), 0);
    set_may_override(false);
    const int new_err = write_to("closed/new", "text", 1);
    const int old_err = write_to("closed/old", "after", 1);
    set_may_override(true);
    ck_assert_int_eq(chmod("closed", 0755), 0);
    ck_assert_int_eq(new_err, EACCES);
    ck_assert_int_eq(old_err, 0);
    assert_content("closed/old", "after");
}
END_TEST

START_TEST(a_path_that_is_too_long_is_told) {
    char path[PF_SINK_PATH_BYTES + 8];

    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    ck_assert_int_eq(write_to(path, "text", 1), ENAMETOOLONG);
}
END_TEST

START_TEST(gzip_is_whole_or_told) {
    unsigned char head[2] = {0};

    ck_assert_int_eq(pf_sink_open(&sink, "zipped", true), 0);
    pf_sink_str(&sink, "text");
    ck_assert_int_eq(pf_sink_close(&sink), 0);
    FILE *const file = fopen("zipped", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fread(head, 1, 2, file), 2);
    (void)fclose(file);
    ck_assert_uint_eq(head[0], 0x1f);
    ck_assert_uint_eq(head[1], 0x8b);
    ck_assert_int_eq(pf_sink_open(&sink, "/dev/full", true), 0);
    pf_sink_str(&sink, "text");
    ck_assert_int_eq(pf_sink_close(&sink), ENOSPC);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("sink");

    tcase_add_checked_fixture(tcase, enter_folder, NULL);
    tcase_add_test(tcase, a_plain_file_appears_when_it_is_whole);
    tcase_add_test(tcase, a_name_as_long_as_names_may_be_works);
    tcase_add_test(tcase, a_link_stays_and_its_target_is_written);
    tcase_add_test(tcase, descriptors_by_name_are_written);
    tcase_add_test(tcase, a_fifo_without_a_reader_is_an_error_at_once);
    tcase_add_test(tcase, a_reader_who_is_gone_ends_it_without_a_signal);
    tcase_add_test(tcase, a_full_device_is_told);
    tcase_add_test(tcase, folders_that_are_gone_or_closed_are_told);
    tcase_add_test(tcase, a_closed_folder_refuses_new_files_and_takes_old_ones);
    tcase_add_test(tcase, a_path_that_is_too_long_is_told);
    tcase_add_test(tcase, gzip_is_whole_or_told);
    tcase_add_test(tcase, a_write_that_fails_leaves_nothing); /* lowers a limit for good */
    return suite_run(tcase, "sink", 30);
}
