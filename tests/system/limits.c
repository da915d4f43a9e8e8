/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a process whose memory is limited, locked or used up keeps its promises.
 * Method: a child each: address space limited to 300 MiB (the reservation fails, and so does
 *         malloc in the end, with ENOMEM, and works again after frees); address space, or data,
 *         limited from inside, with the reservation made already; all memory locked now
 *         and in future; a stack that overflows must end by SIGSEGV, not hang, also when a
 *         signal handler on a stack of its own looks on.
 */
#include "tests/system/check.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1024 * 1024, BLOCK_COUNT_MAX = 100000, CHILD_SECONDS = 30 };

static void *blocks[BLOCK_COUNT_MAX];

/* Allocates until NULL, and says how many blocks that were. */
static int fill(size_t size_bytes) {
    for (int count = 0; count < BLOCK_COUNT_MAX; count++) {
        errno = 0;
        blocks[count] = malloc(size_bytes);
        if (blocks[count] == NULL) {
            CHECK(errno == ENOMEM);
            return count;
        }
        memset(blocks[count], 3, size_bytes);
    }
    return BLOCK_COUNT_MAX;
}

static void empty(int count) {
    for (int idx = 0; idx < count; idx++) {
        CHECK(*(unsigned char *)blocks[idx] == 3);
        free(blocks[idx]);
    }
}

/* What the first fill took, a second one can have again. */
static void run_limited(void) {
    static const size_t sizes[] = {9000, 200000, 3 * MIB};

    for (size_t idx = 0; idx < sizeof(sizes) / sizeof(sizes[0]); idx++) {
        const int first = fill(sizes[idx]);
        CHECK((size_t)first * sizes[idx] > 100 * (size_t)MIB);
        empty(first);
        const int second = fill(sizes[idx]);
        CHECK(second >= first * 9 / 10);
        empty(second);
    }
}

static void run_small_address_space(void) {
    const struct rlimit limit = {300 * (rlim_t)MIB, 300 * (rlim_t)MIB};

    /* The library has started already, with its reservation: a new program begins under it. */
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    CHECK(setenv("TALLY_LIMITS", "limited", 1) == 0);
    execl("/proc/self/exe", "limits", (char *)NULL);
    perror("exec");
    _exit(1);
}

static void set_limit(__rlimit_resource_t resource, rlim_t soft) {
    struct rlimit limit;

    CHECK(getrlimit(resource, &limit) == 0);
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    CHECK(setrlimit(resource, &limit) == 0);
}

/* Every kind of request, in memory that does not grow any more: as much as there is, then NULL. */
static void ask_in_vain(void) {
    static const size_t sizes[] = {24, 9000, 200000, 3 * MIB, 64 * MIB};

    for (size_t idx = 0; idx < sizeof(sizes) / sizeof(sizes[0]); idx++) {
        const int count = fill(sizes[idx]);
        CHECK(count < BLOCK_COUNT_MAX || sizes[idx] < 1000);
        if (count > 0 && count < BLOCK_COUNT_MAX) {
            errno = 0;
            CHECK(realloc(blocks[0], (size_t)2 << 30) == NULL && errno == ENOMEM);
            void *const zeroed = calloc(sizes[idx], 1000);
            void *const aligned = aligned_alloc(4096, sizes[idx]);
            CHECK(zeroed == NULL || *(char *)zeroed == 0);
            free(zeroed);
            free(aligned);
        }
        empty(count);
    }
}

/* The 64 GiB that the library has reserved count, so that there is no more from now on, until the
 * limit is lifted.
 */
static void run_limited_inside(void) {
    void *const kept = memset(malloc(100000), 3, 100000);

    set_limit(RLIMIT_AS, 300 * (rlim_t)MIB);
    ask_in_vain();
    set_limit(RLIMIT_AS, RLIM_INFINITY);
    void *const large = malloc(64 * MIB);
    CHECK(large != NULL);
    free(large);
    CHECK(((unsigned char *)kept)[99999] == 3);
    free(kept);
}

/* A reservation that nobody can write to is no data: this limit is as good as new. */
static void run_data_limited_inside(void) {
    set_limit(RLIMIT_DATA, 100 * (rlim_t)MIB);
    const int count = fill(200000);
    CHECK(count > 300 && count < 600);
    empty(count);
    ask_in_vain();
}

static void run_locked(void) {
    if (geteuid() != 0 || mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        return; /* not allowed here: nothing to see */
    }
    for (int round = 0; round < 3; round++) {
        for (int idx = 0; idx < 200; idx++) {
            blocks[idx] = malloc((size_t)idx * 3000 + 1);
            CHECK(blocks[idx] != NULL);
            memset(blocks[idx], 3, (size_t)idx * 3000 + 1);
        }
        empty(200);
    }
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    CHECK(usage.ru_maxrss < 600 * 1024);
}

static int deepen(int depth) {
    volatile char frame[4096];
    void *const block = malloc(64);

    frame[0] = (char)depth;
    const int result = depth == INT_MAX ? 0 : deepen(depth + 1) + frame[0];
    free(block);
    return result;
}

static void on_fault(int signal_number) {
    _exit(signal_number == SIGSEGV ? 77 : 1);
}

static void run_overflow(void) {
    (void)deepen(0);
}

static void run_overflow_handled(void) {
    static char stack_bytes[64 * 1024];
    const stack_t stack = {.ss_sp = stack_bytes, .ss_size = sizeof(stack_bytes)};
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};

    CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
    (void)deepen(0);
}

/* Runs it in a child and returns how that ended. */
static int ending_of(void (*run)(void)) {
    int status = 0;
    const pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        alarm(CHILD_SECONDS);
        run();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

int main(void) {
    if (getenv("TALLY_LIMITS") != NULL) {
        run_limited();
        return 0;
    }
    CHECK(ending_of(run_small_address_space) == 0);
    CHECK(ending_of(run_limited_inside) == 0);
    CHECK(ending_of(run_data_limited_inside) == 0);
    CHECK(ending_of(run_locked) == 0);
    const int overflow = ending_of(run_overflow);
    CHECK(WIFSIGNALED(overflow) && WTERMSIG(overflow) == SIGSEGV);
    const int handled = ending_of(run_overflow_handled);
    CHECK(WIFEXITED(handled) && WEXITSTATUS(handled) == 77);
    return 0;
}
