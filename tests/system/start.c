/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a process that does nothing pays for Tally no more than six system calls of ours, with
 * profiling or without (docs/ARCHITECTURE.md has the reason of each), and 144 KiB of memory.
 * Method: start LIBRARY CONF runs itself under the library and ptrace. What is counted lies between
 * our first call, which looks for /etc/malloc.conf, and the first one of main. Without arguments it
 * prints the KiB of anonymous memory it has.
 */
#include "tests/system/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALL_COUNT_MAX = 6 };

/* Without stdio, whose buffer would be counted. */
static int be_trivial(void) {
    static const char key[] = "\nAnonymous:";
    char text[4096];

    (void)syscall(SYS_getppid); /* main begins */
    const int fd = open("/proc/self/smaps_rollup", O_RDONLY);
    CHECK(fd >= 0);
    const ssize_t len_bytes = read(fd, text, sizeof(text) - 1);
    CHECK(len_bytes > 0);
    text[len_bytes] = '\0';
    const char *const at = strstr(text, key);
    CHECK(at != NULL);
    const long kib = strtol(at + sizeof(key) - 1, NULL, 10);
    printf("%ld\n", kib);
    return 0;
}

static int run_traced(const char *program, const char *library, const char *conf) {
    const pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        CHECK(setenv("LD_PRELOAD", library, 1) == 0 && setenv("MALLOC_CONF", conf, 1) == 0);
        CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
        (void)raise(SIGSTOP);
        (void)execl(program, program, (char *)NULL);
        _exit(127);
    }
    return child;
}

int main(int argc, char **argv) {
    int count = 0;
    int status = 0;
    bool is_counting = false;

    if (argc == 1) {
        return be_trivial();
    }
    CHECK(argc == 3);
    const pid_t child = run_traced(argv[0], argv[1], argv[2]);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSTOPPED(status));
    CHECK(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD) == 0);
    for (;;) { /* until the child ends */
        struct __ptrace_syscall_info info;
        CHECK(ptrace(PTRACE_SYSCALL, child, NULL, NULL) == 0);
        CHECK(waitpid(child, &status, 0) == child);
        if (!WIFSTOPPED(status)) {
            break;
        }
        if (WSTOPSIG(status) != (SIGTRAP | 0x80) ||
            ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info) <= 0 ||
            info.op != PTRACE_SYSCALL_INFO_ENTRY) {
            continue;
        }
        is_counting = is_counting || info.entry.nr == SYS_readlinkat;
        if (info.entry.nr == SYS_getppid) {
            is_counting = false;
        }
        count += is_counting;
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (count == 0 || count > CALL_COUNT_MAX) {
        fprintf(stderr, "%d system calls of ours at start; from 1 to %d\n", count, CALL_COUNT_MAX);
        return 1;
    }
    return 0;
}
