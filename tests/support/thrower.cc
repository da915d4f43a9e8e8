/* SPDX-License-Identifier: BSD-2-Clause
 *
 * thrower — constructors and destructors on the way, handlers, a handler that throws again, and a
 * throw through code that knows nothing of exceptions (qsort, as glibc builds it for that).
 */
#include "tests/support/thrower.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace {

using Visit = void (*)();

struct Visitor {
    explicit Visitor(Visit visit) : visit_(visit) {
    }
    Visitor(const Visitor &) = default;
    Visitor &operator=(const Visitor &) = default;
    ~Visitor() {
        visit_();
    }

  private:
    Visit visit_;
};

struct Error : std::runtime_error {
    explicit Error(Visit visit) : std::runtime_error("thrown on purpose"), visit_(visit) {
        visit();
    }
    Error(const Error &) = default;
    Error &operator=(const Error &) = default;
    ~Error() override {
        visit_();
    }

  private:
    Visit visit_;
};

Visit current;

__attribute__((noinline)) int deep(Visit visit, int depth) {
    const Visitor visitor(visit); /* a landing pad with a visit */
    if (depth == 0) {
        throw Error(visit);
    }
    return deep(visit, depth - 1) + 1;
}

__attribute__((noinline)) int again(Visit visit) {
    try {
        return deep(visit, 2);
    } catch (const std::logic_error &) {
        return 0;
    } catch (const Error &) {
        visit();
        throw;
    }
}

int compare(const void *left, const void *right) {
    if (left != right) {
        throw std::string(100, 'x');
    }
    return 0;
}

} // namespace

void thrower_throw_once(Visit visit) {
    int numbers[] = {3, 1, 2};

    try {
        const Visitor visitor(visit);
        std::qsort(numbers, 3, sizeof(numbers[0]), compare);
    } catch (const std::string &) {
        visit();
    }
}

void thrower_run(Visit visit) {
    current = visit;
    try {
        again(visit);
    } catch (const std::exception &error) {
        visit();
        if (error.what()[0] != 't') {
            std::abort();
        }
    }
    thrower_throw_once(visit);
    [] {
        const Visitor visitor(current);
        try {
            throw 1;
        } catch (...) {
            current();
        }
    }();
}
