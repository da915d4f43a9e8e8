/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scan — sscanf would need a NUL, a locale and ten times the time.
 */
#include "tools/symbolize/scan.h"

#include <string.h>

bool sy_scan_line(struct sy_scan *rest, struct sy_scan *line) {
    if (rest->at == rest->end) {
        return false;
    }
    const char *const newline = memchr(rest->at, '\n', (size_t)(rest->end - rest->at));
    line->at = rest->at;
    line->end = newline != NULL ? newline : rest->end;
    rest->at = newline != NULL ? newline + 1 : rest->end;
    return true;
}

void sy_scan_blanks(struct sy_scan *scan) {
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t')) {
        scan->at++;
    }
}

bool sy_scan_word(struct sy_scan *scan, struct sy_scan *word) {
    struct sy_scan ahead = *scan;

    sy_scan_blanks(&ahead);
    word->at = ahead.at;
    while (ahead.at < ahead.end && *ahead.at != ' ' && *ahead.at != '\t') {
        ahead.at++;
    }
    word->end = ahead.at;
    if (word->at == word->end) {
        return false;
    }
    *scan = ahead;
    return true;
}

bool sy_scan_text(struct sy_scan *scan, const char *text) {
    const size_t text_bytes = strlen(text);

    if ((size_t)(scan->end - scan->at) < text_bytes || memcmp(scan->at, text, text_bytes) != 0) {
        return false;
    }
    scan->at += text_bytes;
    return true;
}

/* 0 to 15, or 16 for what is no digit of any base. */
static unsigned digit_of(char c) {
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (unsigned)(c - 'a') + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return (unsigned)(c - 'A') + 10;
    }
    return 16;
}

static bool scan_number(struct sy_scan *scan, unsigned base, uint64_t *value) {
    const char *at = scan->at;
    uint64_t sum = 0;

    for (; at < scan->end && digit_of(*at) < base; at++) {
        const unsigned digit = digit_of(*at);
        if (sum > (UINT64_MAX - digit) / base) {
            return false;
        }
        sum = sum * base + digit;
    }
    if (at == scan->at) {
        return false;
    }
    scan->at = at;
    *value = sum;
    return true;
}

bool sy_scan_hex(struct sy_scan *scan, uint64_t *value) {
    struct sy_scan ahead = *scan;

    sy_scan_text(&ahead, "0x");
    if (!scan_number(&ahead, 16, value)) {
        return false;
    }
    *scan = ahead;
    return true;
}

bool sy_scan_decimal(struct sy_scan *scan, uint64_t *value) {
    return scan_number(scan, 10, value);
}
