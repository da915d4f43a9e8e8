/* SPDX-License-Identifier: BSD-2-Clause
 *
 * late_cxx_plugin — C++ in a C program, loaded late. Says how its operators new fail.
 */
#include <new>

static int handler_calls;

static void handler() {
    handler_calls++;
    std::set_new_handler(nullptr);
}

extern "C" int late_cxx_check();

/* 0: as the standard says; else which part is not so. */
extern "C" __attribute__((visibility("default"))) int late_cxx_check() {
    volatile std::size_t too_large = std::size_t{1} << 60;
    volatile std::size_t no_alignment = 0; /* volatile: the compiler must not see it */

    try {
        static char *volatile block = new char[too_large];
        (void)block;
        return 1;
    } catch (const std::bad_alloc &) {
    }
    std::set_new_handler(handler);
    if (new (std::nothrow) char[too_large] != nullptr || handler_calls != 1) {
        return 2;
    }
    try {
        ::operator delete (::operator new (64, std::align_val_t{no_alignment}),
                           std::align_val_t{1});
        return 3;
    } catch (const std::bad_alloc &) {
    }
    return 0;
}
