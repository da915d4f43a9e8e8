/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scan — small steps over a piece of text that has no NUL at its end.
 *
 * Threads: none of its own.
 * Fails:   false, and the scan stays where it was.
 */
#ifndef SY_SCAN_H
#define SY_SCAN_H

#include "tools/symbolize/base.h"

struct sy_scan {
    const char *at;
    const char *end;
};

/* The next line without its newline; false at the end of the text. */
bool sy_scan_line(struct sy_scan *rest, struct sy_scan *line);

/* The next run of bytes that are not blanks. */
bool sy_scan_word(struct sy_scan *scan, struct sy_scan *word);

void sy_scan_blanks(struct sy_scan *scan);
bool sy_scan_text(struct sy_scan *scan, const char *text);

/* A number of at least one digit that fits 64 bits; hexadecimal with or without "0x". */
bool sy_scan_hex(struct sy_scan *scan, uint64_t *value);
bool sy_scan_decimal(struct sy_scan *scan, uint64_t *value);

#endif
