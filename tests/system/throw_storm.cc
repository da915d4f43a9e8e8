/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   stacks are walked while libraries come and go and exceptions fly: no hang, no crash.
 * Method: eight threads load a library of their own copy, throw through it, catch, free what it
 *         allocated and unload it, until the time is over; every allocation is sampled.
 *
 *   throw_storm PLUGIN SECONDS
 */
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int thread_count = 8;
std::atomic<bool> is_over;
std::atomic<unsigned long> load_count, throw_count;

void fail(const char *what) {
    std::fprintf(stderr, "throw_storm: %s\n", what);
    std::_Exit(1);
}

struct Block {
    explicit Block(std::size_t bytes) : at(std::malloc(bytes)) {
        if (at == nullptr) {
            fail("no memory");
        }
    }
    Block(const Block &) = delete;
    Block &operator=(const Block &) = delete;
    ~Block() {
        std::free(at);
    }
    void *at;
};

using Fall = void (*)(int depth);

void throw_once(Fall fall, int depth) {
    const Block block(static_cast<std::size_t>(depth) * 100 + 1);
    try {
        fall(depth);
        fail("nothing was thrown");
    } catch (const std::exception &error) {
        if (error.what()[0] != 'f') {
            fail("another exception");
        }
        throw_count++;
    }
}

void run(const char *path) {
    while (!is_over) {
        void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) {
            fail(dlerror());
        }
        const Fall fall = reinterpret_cast<Fall>(dlsym(library, "storm_fall"));
        if (fall == nullptr) {
            fail("the library has no storm_fall");
        }
        for (int depth = 0; depth < 10; depth++) {
            throw_once(fall, depth);
        }
        if (dlclose(library) != 0) {
            fail("dlclose");
        }
        load_count++;
    }
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 3) {
        fail("PLUGIN SECONDS");
    }
    std::vector<std::thread> threads;
    for (int idx = 0; idx < thread_count; idx++) {
        threads.emplace_back(run, argv[1]);
    }
    std::this_thread::sleep_for(std::chrono::seconds(std::atoi(argv[2])));
    is_over = true;
    for (std::thread &thread : threads) {
        thread.join();
    }
    std::printf("%lu loads, %lu throws\n", load_count.load(), throw_count.load());
    return load_count == 0;
}
