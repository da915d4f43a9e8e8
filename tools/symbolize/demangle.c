/* SPDX-License-Identifier: BSD-2-Clause
 *
 * demangle — by the C++ runtime, which also knows what rustc's legacy names are made of.
 */
#include "tools/symbolize/demangle.h"

char *__cxa_demangle(const char *mangled, char *buf, size_t *len, int *status);

char *sy_demangled(const char *name) {
    int status = 0;
    return name[0] == '_' && name[1] == 'Z' ? __cxa_demangle(name, NULL, NULL, &status) : NULL;
}
