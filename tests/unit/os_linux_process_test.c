/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what os.h says of the machine, the process, time, waiting and threads holds, and errno is
 *         never touched.
 * Method: answers are held against the kernel's own (uname, sched_getaffinity, getrlimit), in
 *         children with other limits too; a pthread_create that fails stands in for the real one
 *         (--wrap).
 */
#include "alloc/os.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ERRNO_MARK = 4711, /* nobody's: what errno must still be */
    NAME_BYTES = 16,
};

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);

static bool is_without_threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg) {
    return is_without_threads ? EAGAIN : __real_pthread_create(thread, attributes, run, arg);
}

static void setup(void) {
    errno = ERRNO_MARK;
}

static void teardown(void) {
    ck_assert_int_eq(errno, ERRNO_MARK);
}

START_TEST(the_kernels_version_is_compared_by_numbers) {
    struct utsname name;
    int major = 0;
    int minor = 0;

    ck_assert_int_eq(uname(&name), 0);
    ck_assert_int_eq(sscanf(name.release, "%d.%d", &major, &minor), 2);
    ck_assert(al_os_is_linux(major, minor));
    ck_assert(al_os_is_linux(0, 0));
    ck_assert(al_os_is_linux(major - 1, 1 << 20));
    ck_assert(!al_os_is_linux(major, minor + 1));
    ck_assert(!al_os_is_linux(major + 1, 0));
    if (minor > 0) {
        ck_assert(al_os_is_linux(major, minor - 1));
    }
}
END_TEST

/* Runs it in a child, whose limits are its own. */
static void assert_in_child(bool (*run)(void)) {
    int status = -1;
    const pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        errno = ERRNO_MARK;
        _exit(run() && errno == ERRNO_MARK ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    errno = ERRNO_MARK;
}

static bool sees_space_limit(void) {
    const struct rlimit limit = {(rlim_t)1 << 46, RLIM_INFINITY};

    return setrlimit(RLIMIT_AS, &limit) == 0 && al_os_space_limit_bytes() == (size_t)1 << 46;
}

START_TEST(the_limit_of_address_space_is_the_process_own) {
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
    ck_assert_uint_eq(al_os_space_limit_bytes(),
                      limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : limit.rlim_cur);
    assert_in_child(sees_space_limit);
}
END_TEST

static bool sees_one_cpu(void) {
    cpu_set_t set;
    cpu_set_t one;

    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return false;
    }
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &set) && CPU_COUNT(&one) == 0) {
            CPU_SET(cpu, &one);
        }
    }
    return sched_setaffinity(0, sizeof(one), &one) == 0 && al_os_cpu_count() == 1;
}

START_TEST(processors_are_those_the_process_may_use) {
    cpu_set_t set;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    ck_assert_uint_eq(al_os_cpu_count(), (unsigned)CPU_COUNT(&set));
    assert_in_child(sees_one_cpu);
}
END_TEST

static uint64_t precise_ns(void) {
    struct timespec now;

    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

START_TEST(time_goes_forward_with_the_systems_clock) {
    uint64_t last_ns = al_os_time_ns();

    for (int turn = 0; turn < 1000; turn++) {
        const uint64_t now_ns = al_os_time_ns();
        ck_assert_uint_ge(now_ns, last_ns);
        ck_assert_uint_le(now_ns, precise_ns()); /* coarse: the last tick */
        last_ns = now_ns;
    }
    ck_assert_uint_gt(last_ns, 0);
}
END_TEST

/* What another start of this program prints (main). */
static uint64_t seed_of_another_start(void) {
    int fds[2];
    uint64_t seed = 0;

    ck_assert_int_eq(pipe(fds), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)execl("/proc/self/exe", "os_linux_process_test", "seed", (char *)NULL);
        _exit(1);
    }
    (void)close(fds[1]);
    ck_assert_int_eq(read(fds[0], &seed, sizeof(seed)), sizeof(seed));
    (void)close(fds[0]);
    (void)waitpid(child, NULL, 0);
    return seed;
}

START_TEST(each_start_has_its_own_seed) {
    const uint64_t first = seed_of_another_start();
    const uint64_t second = seed_of_another_start();

    errno = ERRNO_MARK;
    ck_assert_uint_ne(first, second);
    ck_assert_uint_ne(first, al_os_seed());
}
END_TEST

/* ---- waiting, and threads ---- */

static _Atomic uint32_t word;

START_TEST(nobody_waits_for_a_word_that_differs_or_longer_than_asked) {
    atomic_store(&word, 1);
    al_os_wait(&word, 2, -1);
    al_os_wait(&word, 1, 0);
    al_os_wait(&word, 1, 1000000);
    al_os_wait(&word, 1, 1500000000 / 1000);
    al_os_wake(&word, 1);
    al_os_wake(&word, UINT32_MAX);
}
END_TEST

static void *wait_for_word(void *arg) {
    while (atomic_load(&word) == 0) { /* ends: the test sets it, then wakes */
        al_os_wait(&word, 0, -1);
    }
    return arg;
}

START_TEST(who_waits_is_woken) {
    pthread_t threads[3];

    atomic_store(&word, 0);
    for (size_t n = 0; n < AL_ARRAY_COUNT(threads); n++) {
        ck_assert_int_eq(pthread_create(&threads[n], NULL, wait_for_word, NULL), 0);
    }
    atomic_store(&word, 1);
    al_os_wake(&word, UINT32_MAX);
    for (size_t n = 0; n < AL_ARRAY_COUNT(threads); n++) {
        ck_assert_int_eq(pthread_join(threads[n], NULL), 0);
    }
}
END_TEST

static struct {
    char name[NAME_BYTES];
    bool is_detached;
    bool is_blocking_all;
} seen;

static void *look_around(void *arg) {
    pthread_attr_t attributes;
    int state = PTHREAD_CREATE_JOINABLE;
    sigset_t set;

    al_os_thread_name("tally-test");
    (void)prctl(PR_GET_NAME, seen.name, 0, 0, 0);
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        (void)pthread_attr_getdetachstate(&attributes, &state);
        (void)pthread_attr_destroy(&attributes);
    }
    (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
    seen.is_detached = state == PTHREAD_CREATE_DETACHED;
    seen.is_blocking_all = sigismember(&set, SIGUSR1) == 1 && sigismember(&set, SIGTERM) == 1 &&
                           sigismember(&set, SIGPROF) == 1 && sigismember(&set, SIGSEGV) == 1;
    atomic_store(&word, 1);
    al_os_wake(&word, 1);
    return arg;
}

START_TEST(our_threads_take_no_signals_and_need_no_join) {
    sigset_t before;
    sigset_t after;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    is_without_threads = true;
    ck_assert(!al_os_thread_start(look_around));
    is_without_threads = false;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    ck_assert_mem_eq(&before, &after, sizeof(unsigned long));

    atomic_store(&word, 0);
    ck_assert(al_os_thread_start(look_around));
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    ck_assert_mem_eq(&before, &after, sizeof(unsigned long));
    (void)wait_for_word(NULL);
    ck_assert_str_eq(seen.name, "tally-test");
    ck_assert(seen.is_detached);
    ck_assert(seen.is_blocking_all);
}
END_TEST

static int say_seed(void) {
    const uint64_t seed = al_os_seed();

    return write(STDOUT_FILENO, &seed, sizeof(seed)) == sizeof(seed) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "seed") == 0) {
        return say_seed();
    }
    TCase *const tcase = tcase_create("os_linux_process");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_kernels_version_is_compared_by_numbers);
    tcase_add_test(tcase, the_limit_of_address_space_is_the_process_own);
    tcase_add_test(tcase, processors_are_those_the_process_may_use);
    tcase_add_test(tcase, time_goes_forward_with_the_systems_clock);
    tcase_add_test(tcase, each_start_has_its_own_seed);
    tcase_add_test(tcase, nobody_waits_for_a_word_that_differs_or_longer_than_asked);
    tcase_add_test(tcase, who_waits_is_woken);
    tcase_add_test(tcase, our_threads_take_no_signals_and_need_no_join);
    return suite_run(tcase, "os_linux_process", 60);
}
