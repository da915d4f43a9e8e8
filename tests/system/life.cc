/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   memory is there before main, after main, and while threads end.
 * Method: static objects that allocate, constructors of the earliest priority, atexit handlers
 *         and static destructors that free; keys whose destructors allocate and re-arm
 *         themselves, so that they run after our own; thread_local objects; a block that
 *         outlives its thread; exceptions thrown through frames that hold memory.
 */

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

void check(bool is_so, const char *what) {
    if (!is_so) {
        std::fprintf(stderr, "not so: %s\n", what);
        std::_Exit(1);
    }
}

char *early_block;

__attribute__((constructor(101))) void run_early() {
    early_block = static_cast<char *>(std::malloc(100));
    std::strcpy(early_block, "before main");
}

/* A static object with a tree inside; freed after main. */
struct Registry {
    std::map<int, std::string> names;

    Registry() {
        for (int n = 0; n < 1000; n++) {
            names[n] = std::string(static_cast<size_t>(n % 90), 'x');
        }
    }
    ~Registry() {
        check(names.size() == 1000, "the static map is whole at exit");
    }
};
Registry registry;

void *at_exit_block;

void run_at_exit() {
    std::free(at_exit_block);
    std::free(std::malloc(1 << 20));
}

constexpr int KEY_COUNT = 4;
pthread_key_t keys[KEY_COUNT];

/* Allocates, frees, and stays for another round: PTHREAD_DESTRUCTOR_ITERATIONS is 4. */
void run_key_destructor(void *value) {
    auto *const rounds = static_cast<int *>(value);
    std::free(std::malloc(48));
    std::free(std::calloc(3, 70000));
    if (--rounds[0] > 0) {
        for (pthread_key_t key : keys) {
            if (pthread_getspecific(key) == nullptr) {
                auto *const fresh = static_cast<int *>(std::malloc(sizeof(int)));
                *fresh = rounds[0];
                pthread_setspecific(key, fresh);
                break;
            }
        }
    }
    std::free(rounds);
}

struct Local {
    std::unique_ptr<std::string> text = std::make_unique<std::string>(300, 'l');
    ~Local() {
        check(text->size() == 300, "the thread's object is whole when it ends");
    }
};
thread_local Local local;

void *outliving_block;

void run_thread() {
    check(local.text->size() == 300, "the thread's object is made");
    for (pthread_key_t key : keys) {
        auto *const rounds = static_cast<int *>(std::malloc(sizeof(int)));
        *rounds = 3;
        pthread_setspecific(key, rounds);
    }
    outliving_block = std::malloc(200);
    std::memset(outliving_block, 7, 200);
}

void throw_deep(int depth) {
    const std::vector<std::string> held(static_cast<size_t>(depth), std::string(40, 'h'));
    if (depth == 0) {
        throw std::runtime_error("deep enough");
    }
    throw_deep(depth - 1);
}

void run_exceptions() {
    for (int round = 0; round < 200; round++) {
        try {
            throw_deep(10);
            check(false, "it throws");
        } catch (const std::runtime_error &error) {
            check(std::string(error.what()) == "deep enough", "the exception's text");
        }
    }
}

int handler_calls;

/* Gives up at the third call, as a handler that has nothing left to free does. */
void run_new_handler() {
    if (++handler_calls == 3) {
        throw std::bad_alloc();
    }
}

void run_operators() {
    constexpr size_t too_large = ~size_t{0} >> 1;
    volatile size_t size = too_large;

    std::set_new_handler(run_new_handler);
    bool is_thrown = false;
    try {
        ::operator delete(::operator new(size));
    } catch (const std::bad_alloc &) {
        is_thrown = true;
    }
    check(is_thrown && handler_calls == 3, "operator new calls the handler until it throws");
    handler_calls = 0;
    check(::operator new(size, std::nothrow) == nullptr &&handler_calls == 3,
          "nothrow new says null when the handler throws");
    std::set_new_handler(nullptr);
    check(::operator new[](size, std::nothrow) == nullptr, "nothrow new without a handler");
    void *const aligned = ::operator new (100, std::align_val_t{256});
    check(reinterpret_cast<uintptr_t>(aligned) % 256 == 0, "aligned new");
    ::operator delete (aligned, 100, std::align_val_t{256});
    ::operator delete (::operator new(64), size_t{64});
    ::operator delete[](::operator new[](0));
    ::operator delete(nullptr);
}

} /* namespace */

int main() {
    check(std::strcmp(early_block, "before main") == 0, "the earliest block is whole");
    std::free(early_block);
    at_exit_block = std::malloc(123456);
    std::atexit(run_at_exit);
    for (pthread_key_t &key : keys) {
        pthread_key_create(&key, run_key_destructor);
    }
    for (int round = 0; round < 50; round++) {
        std::thread(run_thread).join();
        const auto *const bytes = static_cast<const unsigned char *>(outliving_block);
        check(bytes[0] == 7 && bytes[199] == 7, "the block outlives its thread");
        std::free(outliving_block);
    }
    run_exceptions();
    run_operators();
    return 0;
}
