/* SPDX-License-Identifier: BSD-2-Clause
 *
 * maps — reads the lines of /proc/PID/maps that end a text dump.
 *
 * Threads: none of its own.
 * Fails:   false and a line: what is wrong with which line.
 */
#ifndef SY_MAPS_H
#define SY_MAPS_H

#include "tools/symbolize/profile.h"

/* Adds every mapping of the `text_bytes` bytes at `text` to the load, and seals it. Also takes
 * the short form "START-END: PATH". `line_number` is that of the first line, for messages.
 */
SY_NODISCARD bool sy_maps_parse(struct sy_load *load, const char *text, size_t text_bytes,
                                uint32_t line_number, struct sy_error *err);

#endif
