/* SPDX-License-Identifier: BSD-2-Clause
 *
 * thrower — calls a function from every place that an exception passes.
 */
#ifndef TESTS_THROWER_H
#define TESTS_THROWER_H

#ifdef __cplusplus
extern "C" {
#endif

/* How often `visit` is called by one thrower_run. */
enum { THROWER_VISIT_COUNT = 11 };

/* `visit` must not throw. */
void thrower_run(void (*visit)(void));

/* A part of it: a throw past a destructor and through qsort. */
void thrower_throw_once(void (*visit)(void));

#ifdef __cplusplus
}
#endif

#endif
