/* SPDX-License-Identifier: BSD-2-Clause
 *
 * demangle — a symbol as the source has it.
 *
 * Threads: any.
 * Fails:   NULL: the name is not mangled, or in a way that is not known.
 */
#ifndef SY_DEMANGLE_H
#define SY_DEMANGLE_H

#include "tools/symbolize/base.h"

/* C++ (Itanium) and Rust's legacy scheme. To be freed. */
SY_NODISCARD char *sy_demangled(const char *name);

#endif
