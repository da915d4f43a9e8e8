/* SPDX-License-Identifier: BSD-2-Clause
 *
 * print — nested keys and values as text or JSON, through a callback, without memory of its own.
 *
 * Threads: a printer is its caller's.
 * Fails:   never; values of any length are printed whole.
 */
#ifndef CT_PRINT_H
#define CT_PRINT_H

#include "alloc/base.h"

/* One place text leaves by, and how far it has come. */
struct ct_printer {
    void (*write)(void *opaque, const char *text); /* NULL: malloc_message, or descriptor 2 */
    void *opaque;
    bool is_json;
    unsigned depth;
    bool has_item; /* what is open has one already: a comma comes first */
};

void ct_print_text(struct ct_printer *printer, const char *text);

/* key NULL: an element of a list. */
void ct_print_open(struct ct_printer *printer, const char *key, bool is_list);
void ct_print_close(struct ct_printer *printer, bool is_list);
void ct_print_u64(struct ct_printer *printer, const char *key, uint64_t value);
void ct_print_i64(struct ct_printer *printer, const char *key, int64_t value);
void ct_print_bool(struct ct_printer *printer, const char *key, bool value);
void ct_print_str(struct ct_printer *printer, const char *key, const char *value);

#endif
