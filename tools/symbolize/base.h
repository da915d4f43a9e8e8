/* SPDX-License-Identifier: BSD-2-Clause
 *
 * base — how this library reports failure and grows its arrays.
 *
 * Threads: none of its own.
 * Fails:   every function that can fail returns false (or NULL) and leaves one line in the
 *          caller's struct sy_error: what is wrong and what to do, without a newline.
 */
#ifndef SY_BASE_H
#define SY_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SY_NODISCARD          __attribute__((warn_unused_result))
#define SY_FORMAT(at, first)  __attribute__((format(printf, at, first)))
#define SY_ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* No id, no index. */
#define SY_NONE UINT32_MAX

/* Long enough for a path (PATH_MAX, 4096) and a sentence. */
struct sy_error {
    char text[4608];
};

/* Writes the text and returns false, so that a caller can return it. */
bool sy_fail(struct sy_error *err, const char *format, ...) SY_FORMAT(2, 3);

/* sy_fail with the words for a lack of memory. */
bool sy_fail_memory(struct sy_error *err);

/* `items` with room for at least `need_count` items: the same block or a larger one, and
 * *cap_count follows. NULL without memory; then `items` is still valid and unchanged.
 */
SY_NODISCARD void *sy_grown(void *items, size_t *cap_count, size_t need_count, size_t item_bytes);

/* Where a line for the user goes that is not an error. */
struct sy_notes {
    void (*warn)(void *opaque, const char *text);
    void *opaque;
};

/* Formats one line and hands it to `notes`. */
void sy_warn(const struct sy_notes *notes, const char *format, ...) SY_FORMAT(2, 3);

#endif
