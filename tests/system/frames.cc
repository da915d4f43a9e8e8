/* SPDX-License-Identifier: BSD-2-Clause
 *
 * frames ROUNDS — allocates from every kind of frame: throws and their landing pads, handlers of
 * signals on both stacks, recursion deeper than any walk, alloca and realigned frames, coroutines,
 * code without unwind data; and asks the vdso for the time in between.
 */
#include <alloca.h>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <regex>
#include <setjmp.h>
#include <signal.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <ucontext.h>
#include <vector>

namespace {

void *volatile held;

__attribute__((noinline)) void allocate() {
    held = std::malloc(40);
    std::free(held);
}

struct Allocating {
    ~Allocating() {
        allocate();
    }
};

__attribute__((noinline)) int throw_deep(int depth) {
    const Allocating allocating;
    if (depth == 0) {
        throw std::runtime_error("a text that is too long to be kept in place, so it allocates");
    }
    return throw_deep(depth - 1) + 1;
}

void throw_around() {
    try {
        throw_deep(10);
    } catch (const std::exception &) {
        allocate();
        try {
            throw;
        } catch (const std::runtime_error &) {
            allocate();
        }
    }
}

__attribute__((noinline)) int recurse(int depth) {
    volatile int local = depth;
    if (depth == 0) {
        allocate();
        return 0;
    }
    return recurse(depth - 1) + local - depth + 1;
}

__attribute__((noinline)) void odd_frames(std::size_t bytes) {
    alignas(128) volatile char aligned[128];
    volatile char *const block = static_cast<volatile char *>(alloca(bytes));
    aligned[0] = 1;
    block[0] = aligned[0];
    allocate();
}

void handle(int) {
    allocate();
}

void raise_signals() {
    (void)raise(SIGUSR1);
    (void)raise(SIGUSR2);
}

void ask_the_time() {
    struct timespec now;
    for (int turn = 0; turn < 100; turn++) {
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    }
}

ucontext_t main_context, other_context;

void run_coroutine() {
    recurse(5);
    odd_frames(100);
}

void switch_stacks() {
    static std::vector<char> stack(65536);
    (void)getcontext(&other_context);
    other_context.uc_stack.ss_sp = stack.data();
    other_context.uc_stack.ss_size = stack.size();
    other_context.uc_link = &main_context;
    makecontext(&other_context, run_coroutine, 0);
    (void)swapcontext(&main_context, &other_context);
}

void match() {
    const std::regex pattern("(a|b)*c([0-9]+)");
    const std::string text = "ababababc1234 and more";
    std::smatch found;
    if (!std::regex_search(text, found, pattern)) {
        std::abort();
    }
}

int compare(const void *left, const void *right) {
    allocate();
    return *static_cast<const int *>(left) - *static_cast<const int *>(right);
}

} // namespace

extern "C" void frames_call_bare(void (*function)());

/* Calls what it is given, and has no unwind data. */
__asm__(".text\n"
        ".type frames_call_bare, @function\n"
        "frames_call_bare:\n"
        "  push %rbx\n"
        "  call *%rdi\n"
        "  pop %rbx\n"
        "  ret\n"
        ".size frames_call_bare, .-frames_call_bare\n");

namespace {

void run(int rounds, bool is_first) {
    for (int round = 0; round < rounds; round++) {
        int numbers[] = {5, 2, 4, 1, 3};
        throw_around();
        match();
        odd_frames(static_cast<std::size_t>(round % 500 + 1));
        std::qsort(numbers, 5, sizeof(numbers[0]), compare);
        frames_call_bare(allocate);
        ask_the_time();
        if (is_first) {
            raise_signals();
            switch_stacks();
            recurse(round % 20 == 0 ? 1000 : 20);
        }
    }
}

void set_handlers() {
    static char stack[65536];
    stack_t alternate = {};
    alternate.ss_sp = stack;
    alternate.ss_size = sizeof(stack);
    (void)sigaltstack(&alternate, nullptr);
    struct sigaction action = {};
    action.sa_handler = handle;
    (void)sigaction(SIGUSR1, &action, nullptr);
    action.sa_flags = SA_ONSTACK;
    (void)sigaction(SIGUSR2, &action, nullptr);
}

} // namespace

int main(int argc, char **argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 100;
    set_handlers();
    std::thread other(run, rounds, false);
    run(rounds, true);
    other.join();
    return 0;
}
