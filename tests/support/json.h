/* SPDX-License-Identifier: BSD-2-Clause
 *
 * json — checks that a text is JSON, and finds what stands at a path of keys.
 */
#ifndef TESTS_JSON_H
#define TESTS_JSON_H

#include <stdbool.h>

/* Whether all of the text is one JSON value. */
bool json_is_valid(const char *text);

/* The value at "a/b/0/c": keys, and numbers in lists. NULL: there is none. The text is valid. */
const char *json_find(const char *text, const char *path);

#endif
