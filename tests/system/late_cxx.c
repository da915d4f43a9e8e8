/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   operator new throws, and calls its handler, in a C program that loads C++ late and for
 * itself alone, as Python does. Method: late_cxx PLUGIN, which is late_cxx_plugin.cc.
 */
#include "tests/system/check.h"

#include <dlfcn.h>

int main(int argc, char **argv) {
    int (*check)(void) = NULL;

    CHECK(argc == 2);
    void *const plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&check = dlsym(plugin, "late_cxx_check");
    CHECK(check != NULL);
    const int failed = check();
    if (failed != 0) {
        fprintf(stderr, "part %d\n", failed);
    }
    return failed;
}
