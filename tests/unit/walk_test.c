/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   our own walk finds the frames that libgcc's finds; and whatever lies on the stack, it
 * ends and reads nothing else. Method: both walk the same stack at the same moment, called from all
 * kinds of frames; then only ours, where the caller's rbp was bent.
 */
#include "prof/walk.h"

#include "tests/support/guarded.h"
#include "tests/support/suite.h"
#include "tests/support/thrower.h"
#include "tests/support/walk_twice.h"

#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static const struct pf_code no_own; /* no code is left out */

enum { COROUTINE_BYTES = 64 * 1024, HOSTILE_COUNT = 10000, WANDER_COUNT = 300 };

/* ---- frames of all kinds ---- */

static AL_NOINLINE int recurse(int depth) {
    if (depth == 0) {
        walk_twice_here();
        return 0;
    }
    return recurse(depth - 1) + 1;
}

static AL_NOINLINE void with_alloca(size_t bytes) {
    volatile char *const block = alloca(bytes);

    block[0] = 1;
    walk_twice_here();
    ck_assert_int_eq(block[0], 1);
}

static AL_NOINLINE void realigned(size_t bytes) {
    _Alignas(128) volatile char block[128];
    volatile char *const more = alloca(bytes);

    block[0] = (char)(uintptr_t)more;
    more[0] = 1;
    walk_twice_here();
    ck_assert_int_eq(block[0], (char)(uintptr_t)more);
}

__attribute__((format(printf, 1, 2))) static AL_NOINLINE void variadic(const char *format, ...) {
    char text[64];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    walk_twice_here();
}

static int compare_visit(const void *left, const void *right) {
    walk_twice_here();
    return *(const int *)left - *(const int *)right;
}

static void *run_thread(void *arg) {
    ck_assert_int_eq(recurse(3), 3);
    return arg;
}

START_TEST(frames_of_c) {
    int numbers[] = {3, 1, 2};
    pthread_t thread;

    walk_twice_begin();
    ck_assert_int_eq(recurse(10), 10);
    for (size_t bytes = 1; bytes < 5000; bytes = bytes * 3 + 1) {
        with_alloca(bytes);
        realigned(bytes);
    }
    variadic("%d %f", 1, 2.0);
    qsort(numbers, 3, sizeof(numbers[0]), compare_visit);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_thread, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    walk_twice_assert("C");
    ck_assert_uint_eq(walk_seen.part_count, 0);
}
END_TEST

START_TEST(frames_of_exceptions) {
    walk_twice_begin();
    thrower_run(walk_twice_here);
    ck_assert_uint_eq(walk_seen.count, THROWER_VISIT_COUNT);
    walk_twice_assert("exceptions");
    ck_assert_uint_eq(walk_seen.part_count, 0);
}
END_TEST

START_TEST(a_stack_deeper_than_asked_for_is_its_innermost_part) {
    walk_twice_begin();
    ck_assert_int_eq(recurse(5000), 5000);
    ck_assert_uint_eq(walk_seen.ours.count, WALK_TWICE_DEPTH_MAX);
    walk_twice_assert("deep recursion");
    ck_assert_uint_eq(walk_seen.ours.pcs[WALK_TWICE_DEPTH_MAX - 1],
                      walk_seen.ours.pcs[WALK_TWICE_DEPTH_MAX - 2]);
}
END_TEST

START_TEST(no_frame_more_than_asked_for) {
    uintptr_t frames[4] = {0, 0, 0, 42};
    bool is_whole = false;

    ck_assert_uint_eq(pf_walk_tables(frames, 1, no_own, &is_whole), 1);
    ck_assert_uint_eq(frames[1], 0);
    ck_assert_uint_eq(pf_walk_tables(frames, 3, no_own, &is_whole), 3);
    ck_assert_uint_le(pf_walk_frame_pointers(frames, 3), 3);
    ck_assert_uint_eq(frames[3], 42);
}
END_TEST

/* ---- other stacks ---- */

static void handle(int number) {
    (void)number;
    walk_twice_here();
}

static void set_handler(int number, int flags) {
    const struct sigaction action = {.sa_handler = handle, .sa_flags = flags};

    ck_assert_int_eq(sigaction(number, &action, NULL), 0);
}

static void make_alternate_stack(void) {
    const stack_t stack = {.ss_sp = guarded_make(COROUTINE_BYTES).low, .ss_size = COROUTINE_BYTES};

    ck_assert_int_eq(sigaltstack(&stack, NULL), 0);
}

START_TEST(frames_of_signals) {
    walk_twice_begin();
    make_alternate_stack();
    set_handler(SIGUSR1, 0);
    set_handler(SIGUSR2, SA_ONSTACK);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    ck_assert_int_eq(raise(SIGUSR2), 0);
    ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
    ck_assert_uint_eq(walk_seen.count, 3);
    walk_twice_assert("signals");
    ck_assert_uint_eq(walk_seen.part_count, 0);
}
END_TEST

static ucontext_t main_context, coroutine_context;

static void run_on(const struct guarded *stack, void (*function)(void)) {
    ck_assert_int_eq(getcontext(&coroutine_context), 0);
    coroutine_context.uc_stack.ss_sp = stack->low;
    coroutine_context.uc_stack.ss_size = (size_t)(stack->high - stack->low);
    coroutine_context.uc_link = &main_context;
    makecontext(&coroutine_context, function, 0);
    ck_assert_int_eq(swapcontext(&main_context, &coroutine_context), 0);
}

static void run_coroutine(void) {
    (void)recurse(5);
    with_alloca(100);
}

/* A stack that nobody told us of; behind its end is nothing. */
START_TEST(frames_of_a_coroutine) {
    const struct guarded stack = guarded_make(COROUTINE_BYTES);

    walk_twice_begin();
    run_on(&stack, run_coroutine);
    ck_assert_uint_eq(walk_seen.count, 2);
    walk_twice_assert("a coroutine");
}
END_TEST

/* ---- code that no table tells of ---- */

/* call_bare(function): calls it, and has no unwind data.
 * call_bent(function, value): calls it with `value` where the caller's rbp is to be found.
 */
void walk_test_call_bare(void (*function)(void));
void walk_test_call_bent(void (*function)(void), uintptr_t value);

__asm__(".text\n"
        ".type walk_test_call_bare, @function\n"
        "walk_test_call_bare:\n"
        "  push %rbx\n"
        "  call *%rdi\n"
        "  pop %rbx\n"
        "  ret\n"
        ".size walk_test_call_bare, .-walk_test_call_bare\n"
        ".type walk_test_call_bent, @function\n"
        "walk_test_call_bent:\n"
        "  .cfi_startproc\n"
        "  push %rbp\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_rel_offset %rbp, 0\n"
        "  push %r12\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  .cfi_rel_offset %r12, 0\n"
        "  mov %rbp, %r12\n"
        "  mov %rsi, 8(%rsp)\n"
        "  sub $8, %rsp\n"
        "  .cfi_adjust_cfa_offset 8\n"
        "  call *%rdi\n"
        "  add $8, %rsp\n"
        "  mov %r12, %rbp\n"
        "  pop %r12\n"
        "  add $8, %rsp\n"
        "  ret\n"
        "  .cfi_endproc\n"
        ".size walk_test_call_bent, .-walk_test_call_bent\n");

static void assert_ends_in(uintptr_t low, uintptr_t bytes) {
    const uint32_t count = walk_seen.ours.count;

    ck_assert_uint_eq(walk_seen.count, 1);
    ck_assert_uint_eq(walk_seen.part_count, 0);
    ck_assert(count == 3 || count == 4); /* what walks, walk_twice_here, and there */
    ck_assert(walk_seen.ours.pcs[count - 1] - low < bytes);
    walk_twice_assert("code without unwind data");
}

START_TEST(code_without_unwind_data_ends_a_stack) {
    walk_twice_begin();
    walk_test_call_bare(walk_twice_here);
    assert_ends_in((uintptr_t)walk_test_call_bare, 8);
}
END_TEST

START_TEST(code_made_at_run_time_ends_a_stack) {
    static const uint8_t code[] = {0x53, 0xff, 0xd7, 0x5b, 0xc3}; /* as call_bare */
    const struct guarded memory = guarded_make(sizeof(code));
    void (*call)(void (*)(void)) = NULL;

    walk_twice_begin();
    memcpy(memory.low, code, sizeof(code));
    ck_assert_int_eq(mprotect(memory.low, GUARDED_PAGE_BYTES, PROT_READ | PROT_EXEC), 0);
    *(void **)&call = memory.low;
    call(walk_twice_here);
    assert_ends_in((uintptr_t)memory.low, sizeof(code));
}
END_TEST

/* libgcc would follow it into the void; so only ours walks here. */
static void walk_alone(void) {
    uintptr_t frames[WALK_TWICE_DEPTH_MAX];
    bool is_whole = false;
    const uint32_t by_tables = pf_walk_tables(frames, WALK_TWICE_DEPTH_MAX, no_own, &is_whole);

    ck_assert_uint_ge(by_tables, 3);
    ck_assert_uint_le(by_tables, WALK_TWICE_DEPTH_MAX);
    ck_assert_uint_ge(pf_walk_frame_pointers(frames, WALK_TWICE_DEPTH_MAX), 1);
    walk_seen.count++;
}

static AL_NOINLINE void call_with_rbp(uintptr_t value) {
    volatile char *const block = alloca(100 + (value & 1)); /* so that the CFA is by rbp */

    block[0] = 1;
    walk_test_call_bent(walk_alone, value);
    block[99] = block[0];
}

static AL_NOINLINE void call_realigned_with_rbp(uintptr_t value) {
    _Alignas(128) volatile char aligned[128]; /* so that the CFA lies in memory, by rbp */
    volatile char *const block = alloca(100 + (value & 1));

    aligned[0] = 1;
    block[0] = aligned[0];
    walk_test_call_bent(walk_alone, value);
    block[99] = aligned[0];
}

static void call_both(uintptr_t value) {
    call_with_rbp(value);
    call_realigned_with_rbp(value);
}

START_TEST(any_saved_rbp_ends_a_walk_and_no_more) {
    const struct guarded memory = guarded_make(GUARDED_PAGE_BYTES);
    uint64_t state = suite_seed(6);
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    const uintptr_t values[] = {
        0,
        1,
        8,
        16,
        UINTPTR_MAX,
        UINTPTR_MAX - 7,
        UINTPTR_MAX - 15,
        UINT64_C(1) << 63,
        UINT64_C(0x7fffffffffff),
        UINT64_C(0x7ffffffff000),
        UINT64_C(0x800000000000),
        UINT64_C(0xffffffffff600000),
        (uintptr_t)memory.low,
        (uintptr_t)memory.high,
        (uintptr_t)memory.high - 16,
        (uintptr_t)memory.low - 16,
        (uintptr_t)walk_alone,
        here,
        here + 3,
        here + 8,
        here - 4096,
        here + 4096,
        here + (8 << 20),
        here + (64 << 20),
    };

    walk_twice_begin();
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(values); idx++) {
        call_both(values[idx]);
    }
    for (int round = 0; round < HOSTILE_COUNT; round++) {
        const uint64_t random = suite_random(&state);
        call_both(random % 2 == 0 ? random >> (random >> 1 & 63) : here + (random & 0xffff));
    }
    ck_assert_uint_eq(walk_seen.count, 2 * (AL_ARRAY_COUNT(values) + HOSTILE_COUNT));
}
END_TEST

static struct guarded coroutine_stack;

static void run_bent_coroutine(void) {
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    for (uintptr_t value = here; value < (uintptr_t)coroutine_stack.high + 64; value++) {
        call_both(value);
    }
}

static void *run_bent(void *arg) {
    walk_twice_begin();
    coroutine_stack = guarded_make(COROUTINE_BYTES);
    run_on(&coroutine_stack, run_bent_coroutine);
    ck_assert_uint_gt(walk_seen.count, 2 * 64);
    return arg;
}

/* Right up to the end of a stack that we do not know the end of. */
START_TEST(nothing_behind_a_coroutines_stack_is_read) {
    pthread_t thread;

    (void)run_bent(NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_bent, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* ---- what is remembered of the last walk ---- */

/* Frames of few sizes and few callers, so that another frame often stands where one stood, with
 * the same callers or with others, at the next walk.
 */
static AL_NOINLINE void wander(uint64_t *state, int depth);

static AL_NOINLINE void wander_realigned(uint64_t *state, int depth) {
    _Alignas(64) volatile char block[64];

    block[0] = (char)depth;
    wander(state, depth);
    ck_assert_int_eq(block[0], (char)depth);
}

static AL_NOINLINE void wander(uint64_t *state, int depth) {
    const size_t bytes = 16 * (1 + (suite_random(state) >> 8) % 4);
    volatile char *const block = alloca(bytes);

    block[0] = 1;
    for (uint64_t turn = (suite_random(state) >> 8) % 3; depth > 0 && turn > 0; turn--) {
        const uint64_t way = (suite_random(state) >> 8) % 8;
        if (way == 0) {
            wander_realigned(state, depth - 1);
        } else if (way < 4) {
            wander(state, depth - 1);
        } else {
            wander(state, depth - 1 - (depth > 1 ? 1 : 0));
        }
    }
    if ((suite_random(state) >> 8) % 2 == 0) {
        walk_twice_here();
    }
    ck_assert_int_eq(block[0], 1);
}

START_TEST(stacks_that_resemble_the_last_one) {
    uint64_t state = suite_seed(7);

    walk_twice_begin();
    for (int round = 0; round < WANDER_COUNT; round++) {
        wander(&state, 12);
    }
    ck_assert_uint_gt(walk_seen.count, WANDER_COUNT);
    walk_twice_assert("stacks that resemble each other");
}
END_TEST

/* More frames than are remembered, again and again, from two places. */
START_TEST(deep_stacks_that_resemble_the_last_one) {
    walk_twice_begin();
    for (int depth = 30; depth < 130; depth += 3) {
        ck_assert_int_eq(recurse(depth), depth);
        ck_assert_int_eq(recurse(depth), depth);
        ck_assert_int_eq(recurse(depth + 1), depth + 1);
    }
    walk_twice_assert("deep stacks that resemble each other");
}
END_TEST

static AL_NOINLINE int recurse_and_raise(int depth) {
    if (depth > 0) {
        return recurse_and_raise(depth - 1) + 1;
    }
    return raise(SIGUSR2);
}

/* The handler's frames stand at the same place each time, above others. */
START_TEST(signals_on_a_stack_of_their_own) {
    make_alternate_stack();
    set_handler(SIGUSR2, SA_ONSTACK);
    walk_twice_begin();
    for (int depth = 0; depth < 40; depth++) {
        ck_assert_int_eq(recurse_and_raise(depth * 7 % 11), depth * 7 % 11);
    }
    walk_twice_assert("signals on a stack of their own");
}
END_TEST

static uintptr_t dive_end;

static AL_NOINLINE int dive(void) {
    if ((uintptr_t)__builtin_frame_address(0) > dive_end) {
        return dive() + 1;
    }
    walk_twice_here();
    return 0;
}

static void dive_on_coroutine(void) {
    ck_assert_int_gt(dive(), 0);
}

/* What was remembered goes on where now the stack has ended: at every offset of its frames. */
START_TEST(a_stack_that_has_become_smaller) {
    const struct guarded stack = guarded_make(COROUTINE_BYTES);
    uint8_t *const middle = stack.low + COROUTINE_BYTES / 2;

    walk_twice_begin();
    for (size_t offset = 0; offset < 512; offset += 16) {
        const struct guarded half = {stack.low, middle - offset};
        ck_assert_int_eq(mprotect(middle, COROUTINE_BYTES / 2, PROT_READ | PROT_WRITE), 0);
        dive_end = (uintptr_t)middle - 1500; /* past the middle, by fewer frames than are kept */
        run_on(&stack, dive_on_coroutine);
        ck_assert_int_eq(mprotect(middle, COROUTINE_BYTES / 2, PROT_NONE), 0);
        run_on(&half, dive_on_coroutine);
    }
    ck_assert_uint_eq(walk_seen.count, 2 * 32);
    walk_twice_assert("a stack that has become smaller");
}
END_TEST

/* This file is compiled with frame pointers, so both know its frames. */
static AL_NOINLINE uint32_t chain(uintptr_t *by_rbp, uintptr_t *by_tables, int depth) {
    bool is_whole = false;

    if (depth > 0) {
        const uint32_t count = chain(by_rbp, by_tables, depth - 1);
        return count + (by_rbp[0] == 0 ? 1 : 0); /* no tail call */
    }
    (void)pf_walk_tables(by_tables, WALK_TWICE_DEPTH_MAX, no_own, &is_whole);
    return pf_walk_frame_pointers(by_rbp, WALK_TWICE_DEPTH_MAX);
}

START_TEST(the_chain_of_rbp) {
    uintptr_t by_rbp[WALK_TWICE_DEPTH_MAX];
    uintptr_t by_tables[WALK_TWICE_DEPTH_MAX];
    const uint32_t count = chain(by_rbp, by_tables, 20);

    ck_assert_uint_ge(count, 22);
    ck_assert(memcmp(by_rbp + 1, by_tables + 1, 21 * sizeof(by_rbp[0])) == 0);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("walk");

    tcase_add_test(tcase, frames_of_c);
    tcase_add_test(tcase, frames_of_exceptions);
    tcase_add_test(tcase, a_stack_deeper_than_asked_for_is_its_innermost_part);
    tcase_add_test(tcase, no_frame_more_than_asked_for);
    tcase_add_test(tcase, frames_of_signals);
    tcase_add_test(tcase, frames_of_a_coroutine);
    tcase_add_test(tcase, code_without_unwind_data_ends_a_stack);
    tcase_add_test(tcase, code_made_at_run_time_ends_a_stack);
    tcase_add_test(tcase, any_saved_rbp_ends_a_walk_and_no_more);
    tcase_add_test(tcase, nothing_behind_a_coroutines_stack_is_read);
    tcase_add_test(tcase, stacks_that_resemble_the_last_one);
    tcase_add_test(tcase, deep_stacks_that_resemble_the_last_one);
    tcase_add_test(tcase, signals_on_a_stack_of_their_own);
    tcase_add_test(tcase, a_stack_that_has_become_smaller);
    tcase_add_test(tcase, the_chain_of_rbp);
    return suite_run(tcase, "walk", 60);
}
