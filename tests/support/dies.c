/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dies — fork, a pipe for stderr, and a comparison of the whole text.
 */
#include "tests/support/dies.h"

#include <check.h>
#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_BYTES_MAX = 4096 };

/* Replaces 0x and what hex digits follow by 0xADDR, in place: `words` has room. */
static void hide_addresses(char *words) {
    char out[WORDS_BYTES_MAX * 2];
    size_t len = 0;

    for (const char *at = words; *at != '\0' && len < WORDS_BYTES_MAX - 8;) {
        if (at[0] == '0' && at[1] == 'x' && isxdigit((unsigned char)at[2])) {
            memcpy(out + len, "0xADDR", 6);
            len += 6;
            for (at += 2; isxdigit((unsigned char)*at); at++) {
            }
        } else {
            out[len++] = *at++;
        }
    }
    memcpy(words, out, len);
    words[len] = '\0';
}

void assert_ends(void (*run)(void), int signal_number, const char *want) {
    int fds[2];
    char words[WORDS_BYTES_MAX] = "";
    size_t len = 0;
    int status = 0;

    ck_assert_int_eq(pipe(fds), 0);
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)signal(SIGSEGV, SIG_DFL);
        (void)dup2(fds[1], STDERR_FILENO);
        (void)close(fds[0]);
        run();
        _exit(0);
    }
    (void)close(fds[1]);
    for (;;) { /* ends with the child */
        const ssize_t got = read(fds[0], words + len, sizeof(words) - 1 - len);
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
    }
    (void)close(fds[0]);
    words[len] = '\0';
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    hide_addresses(words);
    ck_assert_str_eq(words, want);
    if (signal_number == 0) {
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    } else {
        ck_assert_msg(WIFSIGNALED(status), "not ended by a signal: status %d", status);
        ck_assert_int_eq(WTERMSIG(status), signal_number);
    }
}

void assert_dies(void (*run)(void), const char *want) {
    assert_ends(run, SIGABRT, want);
}
