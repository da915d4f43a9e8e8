/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   at any instruction of any code our own walk finds the frames that libgcc's finds, or says
 *         that it cannot.
 * Method: the processor traps after each instruction of what is run; in the handler both walk.
 */
#include "prof/walk.h"
#include "tests/support/suite.h"
#include "tests/support/thrower.h"
#include "tests/support/walk_twice.h"

#include <alloca.h>
#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>

enum { LEAVING_DEPTH_MAX = 16 };

static const struct pf_code no_own; /* no code is left out */

/* Functions of libgcc that leave for a landing pad. Before they set the stack pointer to another
 * frame's they put the landing pad's registers where they have saved their caller's: a stack above
 * them cannot be known any more. libgcc follows what it finds there and may crash.
 */
static struct { uintptr_t low, bytes; } leaving[4];

static void find_leaving(void) {
    static const char *const names[AL_ARRAY_COUNT(leaving)] = {
        "_Unwind_RaiseException", "_Unwind_Resume", "_Unwind_Resume_or_Rethrow",
        "_Unwind_ForcedUnwind"};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(leaving); idx++) {
        void *const function = dlsym(RTLD_DEFAULT, names[idx]);
        void *symbol = NULL;
        Dl_info info;
        ck_assert(function != NULL && dladdr1(function, &info, &symbol, RTLD_DL_SYMENT) != 0);
        leaving[idx].low = (uintptr_t)function;
        leaving[idx].bytes = ((const ElfW(Sym) *)symbol)->st_size;
    }
}

static bool is_leaving(const uintptr_t *pcs, uint32_t count) {
    for (uint32_t at = 0; at < count && at < LEAVING_DEPTH_MAX; at++) {
        for (size_t idx = 0; idx < AL_ARRAY_COUNT(leaving); idx++) {
            if (pcs[at] - leaving[idx].low < leaving[idx].bytes) {
                return true;
            }
        }
    }
    return false;
}

static size_t alone_count; /* libgcc's stack was another one, or it crashed */
static sigjmp_buf libgcc_crashed;
static volatile sig_atomic_t is_libgcc_walking;

static void handle_crash(int number) {
    if (!is_libgcc_walking) {
        (void)signal(number, SIG_DFL);
        (void)raise(number);
    }
    siglongjmp(libgcc_crashed, 1);
}

static void handle(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)info;
    const ucontext_t *const interrupted = context;
    const uintptr_t pc = (uintptr_t)interrupted->uc_mcontext.gregs[REG_RIP];
    uintptr_t frames[LEAVING_DEPTH_MAX];
    bool is_whole = false;
    const uint32_t count = pf_walk_tables(frames, LEAVING_DEPTH_MAX, no_own, &is_whole);

    if (!is_leaving(frames, count)) {
        walk_twice(pc);
        return;
    }
    is_libgcc_walking = 1;
    const bool is_same = sigsetjmp(libgcc_crashed, 1) == 0 && walk_twice_is_same(pc);
    is_libgcc_walking = 0;
    alone_count += is_same ? 0 : 1;
}

/* The processor's trap flag, with unwind data for each step of the way: libgcc believes it. */
void walk_test_trap_on(void);
void walk_test_trap_off(void);

#define SET_FLAGS(name, instruction)                                                               \
    __asm__(".type " name ", @function\n" name ":\n"                                               \
            "  .cfi_startproc\n"                                                                   \
            "  pushfq\n"                                                                           \
            "  .cfi_adjust_cfa_offset 8\n"                                                         \
            "  " instruction ", (%rsp)\n"                                                          \
            "  popfq\n"                                                                            \
            "  .cfi_adjust_cfa_offset -8\n"                                                        \
            "  ret\n"                                                                              \
            "  .cfi_endproc\n"                                                                     \
            ".size " name ", .-" name "\n")
SET_FLAGS("walk_test_trap_on", "orq $0x100");
SET_FLAGS("walk_test_trap_off", "andq $~0x100");

/* Runs `function` one instruction at a time, and walks twice after each. At a first call the loader
 * looks symbols up, from a frame of a rare form: that stack ends there.
 */
static void single_step(void (*function)(void), const char *what, size_t count_min,
                        size_t part_percent_max) {
    find_leaving();
    const struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    const struct sigaction crash = {.sa_handler = handle_crash};
    ck_assert_int_eq(sigaction(SIGTRAP, &action, NULL), 0);
    ck_assert_int_eq(sigaction(SIGSEGV, &crash, NULL), 0);
    for (int round = 0; round < 2; round++) {
        walk_twice_begin();
        alone_count = 0;
        walk_test_trap_on();
        function();
        walk_test_trap_off();
        printf("%s: %zu instructions, %zu in or below frames of a rare form, %zu walked alone\n",
               what, walk_seen.count, walk_seen.part_count, alone_count);
        ck_assert_msg(walk_seen.count >= count_min, "%s: only %zu instructions", what,
                      walk_seen.count);
        walk_twice_assert(what);
        ck_assert_msg(alone_count * 100 <= walk_seen.count, "%s: %zu of %zu alone", what,
                      alone_count, walk_seen.count);
    }
    ck_assert_msg(walk_seen.part_count * 100 <= walk_seen.count * part_percent_max,
                  "%s: %zu of %zu are for others", what, walk_seen.part_count, walk_seen.count);
}

static void nothing(void) {
}

static void ask_the_vdso(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    (void)time(NULL);
}

static int compare_ints(const void *left, const void *right) {
    return *(const int *)left - *(const int *)right;
}

static void call_libc(void) {
    int numbers[] = {3, 1, 2, 9, 7};
    char text[64];

    qsort(numbers, AL_ARRAY_COUNT(numbers), sizeof(numbers[0]), compare_ints);
    (void)snprintf(text, sizeof(text), "%d %s %.3f", numbers[0], "text", 1.5);
    (void)strtod(text, NULL);
    free(malloc(100000));
}

static AL_NOINLINE void frame_of_alloca(size_t bytes) {
    _Alignas(64) volatile char block[64];
    volatile char *const more = alloca(bytes);

    block[0] = 1;
    more[0] = block[0];
}

static jmp_buf target;

static AL_NOINLINE void jump(void) {
    longjmp(target, 1);
}

static void change_frames(void) {
    frame_of_alloca(10);
    frame_of_alloca(1000);
    if (setjmp(target) == 0) {
        jump();
    }
}

static void throw_once(void) {
    thrower_throw_once(nothing);
}

START_TEST(each_instruction_of_the_vdso) {
    single_step(ask_the_vdso, "vdso", 50, 0);
}
END_TEST

/* With what the loader does at a first call: this test is linked for it. */
START_TEST(each_instruction_of_libc) {
    single_step(call_libc, "libc", 2000, 1);
}
END_TEST

START_TEST(each_instruction_of_frames_that_change) {
    single_step(change_frames, "frames", 50, 25);
}
END_TEST

START_TEST(each_instruction_of_a_throw) {
    single_step(throw_once, "exceptions", 5000, 1);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("walk_step");

    tcase_add_test(tcase, each_instruction_of_the_vdso);
    tcase_add_test(tcase, each_instruction_of_libc);
    tcase_add_test(tcase, each_instruction_of_frames_that_change);
    tcase_add_test(tcase, each_instruction_of_a_throw);
    return suite_run(tcase, "walk_step", 60);
}
