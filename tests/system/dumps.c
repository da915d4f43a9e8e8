/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dumps WHAT [ARG...] — does what dumps_test.sh looks at from outside:
 *   to FILE...     dumps to each file, says on standard error which failed and how
 *   child SECONDS  forks; the child allocates for a while and ends by _exit
 *   race           a thread dumps without end, to race.heap; main returns in the middle
 *   interval       allocates, and returns in the middle of an automatic dump
 *   blocked FIFO   a thread dumps to a FIFO that is not read for a while; meanwhile mallctl answers
 *                  and fork returns, and a dump is made in the child; then the FIFO is read
 */
#include "tests/system/check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK_COUNT = 200, BLOCK_BYTES = 5000, ROUND_BYTES = 1 << 17, FIFO_BYTES = 4096 };

static int (*control)(const char *, void *, size_t *, void *, size_t);
static void *held[BLOCK_COUNT];

static int dump_to(const char *path) {
    return control("prof.dump", NULL, NULL, (void *)(uintptr_t)&path, sizeof(path));
}

static int dump_all(char **paths) {
    for (; *paths != NULL; paths++) {
        const int err = dump_to(*paths);
        if (err != 0) {
            fprintf(stderr, "%s: %s\n", *paths, strerrorname_np(err));
        }
    }
    return 0;
}

static void allocate(int round_count) {
    for (int round = 0; round < round_count; round++) {
        void *volatile large = malloc(ROUND_BYTES);
        void *volatile small = malloc(1000);
        CHECK(large != NULL && small != NULL);
        free(large);
    }
}

static int run_child(const char *seconds) {
    const pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        alarm(30);
        allocate(500);
        sleep((unsigned)atoi(seconds));
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    printf("%d\n", (int)child);
    return 0;
}

static _Atomic int dump_count;

static void *run_dumper(void *arg) {
    while (dump_to(arg) == 0) {
        dump_count++;
    }
    /* Refused: the process is ending. Before that run_race would wait for ever. */
    for (;;) {
        (void)pause();
    }
    return arg;
}

static int run_race(void) {
    static char path[] = "race.heap";
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, run_dumper, path) == 0);
    while (dump_count < 2) {
        usleep(100);
    }
    return 0;
}

static _Atomic int blocked_result = -1;

static void *run_blocked(void *arg) {
    blocked_result = dump_to(arg);
    return NULL;
}

/* A reader that is there and reads nothing; the dump is longer than what the FIFO holds. */
static int run_while_blocked(char *path) {
    uint64_t allocated = 0;
    size_t allocated_bytes = sizeof(allocated);
    pthread_t thread;
    char buf[FIFO_BYTES];
    bool is_on = true;

    alarm(20);
    CHECK(mkfifo(path, 0600) == 0);
    const int fd = open(path, O_RDONLY | O_NONBLOCK);
    CHECK(fd >= 0 && fcntl(fd, F_SETPIPE_SZ, FIFO_BYTES) == FIFO_BYTES);
    CHECK(pthread_create(&thread, NULL, run_blocked, path) == 0);
    usleep(300000);
    CHECK(blocked_result == -1);
    CHECK(control("thread.allocated", &allocated, &allocated_bytes, NULL, 0) == 0);
    CHECK(control("prof.active", NULL, NULL, &is_on, sizeof(is_on)) == 0);
    const pid_t child = fork();
    if (child == 0) {
        alarm(10);
        CHECK(dump_to("child.heap") == 0);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(blocked_result == -1);
    while (blocked_result == -1) {
        if (read(fd, buf, sizeof(buf)) < 0) {
            CHECK(errno == EAGAIN);
            usleep(1000);
        }
    }
    CHECK(pthread_join(thread, NULL) == 0);
    return blocked_result;
}

int main(int argc, char **argv) {
    *(void **)&control = dlsym(RTLD_DEFAULT, "mallctl");
    CHECK(control != NULL && argc > 1);
    for (int idx = 0; idx < BLOCK_COUNT; idx++) {
        held[idx] = malloc(BLOCK_BYTES);
    }
    if (strcmp(argv[1], "to") == 0) {
        return dump_all(argv + 2);
    }
    if (strcmp(argv[1], "child") == 0) {
        return run_child(argv[2]);
    }
    if (strcmp(argv[1], "race") == 0) {
        return run_race();
    }
    if (strcmp(argv[1], "interval") == 0) {
        allocate(2000);
        return 0;
    }
    CHECK(strcmp(argv[1], "blocked") == 0);
    return run_while_blocked(argv[2]);
}
