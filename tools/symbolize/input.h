/* SPDX-License-Identifier: BSD-2-Clause
 *
 * input — a whole file in memory, decompressed if it is gzip.
 *
 * Owns:    the bytes, until sy_input_fini.
 * Threads: none of its own.
 * Fails:   false and a line: cannot be opened or read, is a directory, too large, gzip damaged
 *          or cut short. The limit holds for what is read and for what it decompresses to, so
 *          a small hostile file cannot take the machine's memory.
 */
#ifndef SY_INPUT_H
#define SY_INPUT_H

#include "tools/symbolize/base.h"

/* A dump of 50,000 sites is 9 MB as text; a million sites with deep stacks stay below this. */
#define SY_INPUT_BYTES_MAX ((size_t)256 << 20)

struct sy_input {
    char *data; /* always followed by one NUL that is not counted */
    size_t data_bytes;
};

SY_NODISCARD bool sy_input_read(struct sy_input *input, const char *path, struct sy_error *err);
void sy_input_fini(struct sy_input *input);

#endif
