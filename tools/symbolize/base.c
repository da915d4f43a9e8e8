/* SPDX-License-Identifier: BSD-2-Clause
 *
 * base — arrays double, so that n appends cost n moves at most.
 */
#include "tools/symbolize/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool sy_fail(struct sy_error *err, const char *format, ...) {
    va_list args;

    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    return false;
}

bool sy_fail_memory(struct sy_error *err) {
    return sy_fail(err, "not enough memory; load fewer or smaller profiles");
}

void *sy_grown(void *items, size_t *cap_count, size_t need_count, size_t item_bytes) {
    if (need_count <= *cap_count) {
        return items;
    }
    size_t new_count = *cap_count < 16 ? 16 : *cap_count * 2;
    if (new_count < need_count) {
        new_count = need_count;
    }
    if (new_count > SIZE_MAX / 2 / item_bytes) {
        return NULL;
    }
    void *const grown = realloc(items, new_count * item_bytes);
    if (grown != NULL) {
        *cap_count = new_count;
    }
    return grown;
}

void sy_warn(const struct sy_notes *notes, const char *format, ...) {
    struct sy_error line;
    va_list args;

    va_start(args, format);
    vsnprintf(line.text, sizeof(line.text), format, args);
    va_end(args);
    notes->warn(notes->opaque, line.text);
}
