/* SPDX-License-Identifier: BSD-2-Clause
 *
 * launch [-n TIMES] [-e NAME=VALUE]... -o FILE PROGRAM [ARGUMENT...] — runs a program and writes
 * into FILE, as one line of JSON, what the kernel says it took.
 *
 * Question: processor seconds, peak memory and page faults of a process with its children.
 * Unit:     microseconds and KiB; with -n the times are sums, the peak is the highest.
 * Noise:    none of its own: wait4's sums are exact to the tick of the scheduler's clock.
 * Honest:   a child's peak begins with what its parent had resident when it forked, since exec
 *           carries the old peak over. Python has 20 MiB and more; this program is static, calls
 *           no malloc and has some 100 KiB, so that is the floor under all figures. -e is for the
 *           program alone: no allocator is preloaded here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SETTING_COUNT_MAX = 32, STATUS_NOT_RUN = 127 };

/* The command line, and sums over the runs. */
static struct {
    const char *report;
    unsigned long times;
    char *settings[SETTING_COUNT_MAX];
    size_t setting_count;
    uint64_t wall_us;
    uint64_t user_us;
    uint64_t system_us;
    uint64_t minor_faults;
    uint64_t major_faults;
    uint64_t switches_forced;
    uint64_t rss_max_kib;
    int status;
} launch = {.times = 1};

static _Noreturn void say_and_end(const char *what, const char *why) {
    (void)fprintf(stderr, "launch: %s: %s\n", what, why);
    exit(STATUS_NOT_RUN);
}

static uint64_t now_us(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t to_us(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static _Noreturn void become(char **command) {
    for (size_t idx = 0; idx < launch.setting_count; idx++) {
        (void)putenv(launch.settings[idx]);
    }
    (void)execv(command[0], command);
    say_and_end(command[0], strerror(errno));
}

/* One run. False if it did not end with status 0. */
static bool run_once(char **command) {
    const uint64_t start_us = now_us();
    const pid_t child = fork();
    struct rusage usage;
    int status = 0;

    if (child == 0) {
        become(command);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child) {
        say_and_end("fork or wait4", strerror(errno));
    }
    launch.wall_us += now_us() - start_us;
    launch.user_us += to_us(usage.ru_utime);
    launch.system_us += to_us(usage.ru_stime);
    launch.minor_faults += (uint64_t)usage.ru_minflt;
    launch.major_faults += (uint64_t)usage.ru_majflt;
    launch.switches_forced += (uint64_t)usage.ru_nivcsw;
    if ((uint64_t)usage.ru_maxrss > launch.rss_max_kib) {
        launch.rss_max_kib = (uint64_t)usage.ru_maxrss;
    }
    launch.status = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    return launch.status == 0;
}

static void write_report(void) {
    char text[512];
    const int length = snprintf(
        text, sizeof(text),
        "{\"times\":%lu,\"wall_us\":%llu,\"user_us\":%llu,\"system_us\":%llu,"
        "\"minor_faults\":%llu,\"major_faults\":%llu,\"switches_forced\":%llu,"
        "\"rss_max_kib\":%llu,\"status\":%d}\n",
        launch.times, (unsigned long long)launch.wall_us, (unsigned long long)launch.user_us,
        (unsigned long long)launch.system_us, (unsigned long long)launch.minor_faults,
        (unsigned long long)launch.major_faults, (unsigned long long)launch.switches_forced,
        (unsigned long long)launch.rss_max_kib, launch.status);
    const int file = open(launch.report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (file < 0 || write(file, text, (size_t)length) != length || close(file) != 0) {
        say_and_end(launch.report, strerror(errno));
    }
}

int main(int argc, char **argv) {
    int option;

    /* "+": what follows the program's name is the program's. */
    while ((option = getopt(argc, argv, "+n:e:o:")) != -1) {
        if (option == 'n') {
            launch.times = strtoul(optarg, NULL, 10);
        } else if (option == 'o') {
            launch.report = optarg;
        } else if (option == 'e' && launch.setting_count < SETTING_COUNT_MAX) {
            launch.settings[launch.setting_count++] = optarg;
        } else {
            say_and_end("usage", "launch [-n TIMES] [-e NAME=VALUE]... -o FILE PROGRAM ...");
        }
    }
    if (launch.report == NULL || optind >= argc) {
        say_and_end("usage", "no -o FILE, or no program");
    }
    for (unsigned long time = 0; time < launch.times; time++) {
        if (!run_once(&argv[optind])) {
            break;
        }
    }
    write_report();
    return 0;
}
