/* SPDX-License-Identifier: BSD-2-Clause
 *
 * operators_new — operator new and delete for operators.c. Called as functions, so that no compiler
 * may pair and remove them.
 */
#include "tests/bench/operators.h"

#include <new>

void *operators_new(size_t size_bytes) {
    return ::operator new(size_bytes);
}

void operators_delete(void *block, size_t) {
    ::operator delete(block);
}

void operators_delete_sized(void *block, size_t size_bytes) {
    ::operator delete(block, size_bytes);
}
