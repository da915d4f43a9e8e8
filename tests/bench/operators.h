/* SPDX-License-Identifier: BSD-2-Clause
 *
 * operators — C++'s operators under names that C can call; see operators_new.cc.
 */
#ifndef TESTS_BENCH_OPERATORS_H
#define TESTS_BENCH_OPERATORS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *operators_new(size_t size_bytes);
void operators_delete(void *block, size_t size_bytes);
void operators_delete_sized(void *block, size_t size_bytes);

#ifdef __cplusplus
}
#endif

#endif
