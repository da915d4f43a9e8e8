/* SPDX-License-Identifier: BSD-2-Clause
 *
 * throw_storm_plugin — falls to a depth and throws out of it, past destructors that allocate.
 */
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Trace {
    explicit Trace(int depth)
        : names(static_cast<std::size_t>(depth % 5 + 1), "a name that allocates memory") {
    }
    ~Trace() {
        const std::string last(names.back() + " and a little more of it");
    }
    Trace(const Trace &) = delete;
    Trace &operator=(const Trace &) = delete;
    std::vector<std::string> names;
};

} // namespace

extern "C" __attribute__((visibility("default"), noinline)) void storm_fall(int depth);

void storm_fall(int depth) {
    const Trace trace(depth);
    if (depth == 0) {
        throw std::runtime_error("fell to the ground, and says so in a text that allocates");
    }
    storm_fall(depth - 1);
}
