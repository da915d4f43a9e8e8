/* SPDX-License-Identifier: BSD-2-Clause
 *
 * print — a line at a time, from the stack.
 */
#include "ctl/print.h"

#include "alloc/text.h"

enum { LINE_BYTES = 512, DEPTH_MAX = 16 };

void ct_print_text(struct ct_printer *printer, const char *text) {
    AL_ASSERT(text != NULL);
    if (printer->write != NULL) {
        printer->write(printer->opaque, text);
    } else if (malloc_message != NULL) {
        malloc_message(printer->opaque, text);
    } else {
        al_message_write(text);
    }
}

/* The comma, the indent, the key. */
static void start_item(struct ct_printer *printer, const char *key) {
    AL_ASSERT(printer->depth < DEPTH_MAX);
    char line[LINE_BYTES];
    struct al_text text;

    al_text_init(&text, line, sizeof(line));
    if (printer->is_json) {
        al_text_str(&text, printer->has_item ? ",\n" : "\n");
    }
    for (unsigned depth = 0; depth < printer->depth; depth++) {
        al_text_str(&text, printer->is_json ? "\t" : "  ");
    }
    if (key != NULL) {
        al_text_str(&text, printer->is_json ? "\"" : "");
        al_text_str(&text, key);
        al_text_str(&text, printer->is_json ? "\": " : ": ");
    } else if (!printer->is_json) {
        al_text_str(&text, "- ");
    }
    ct_print_text(printer, line);
    printer->has_item = true;
}

void ct_print_open(struct ct_printer *printer, const char *key, bool is_list) {
    start_item(printer, key);
    ct_print_text(printer, !printer->is_json ? "\n" : is_list ? "[" : "{");
    printer->depth++;
    printer->has_item = false;
}

void ct_print_close(struct ct_printer *printer, bool is_list) {
    AL_ASSERT(printer->depth > 0);
    char line[LINE_BYTES];
    struct al_text text;

    printer->depth--;
    printer->has_item = true;
    if (!printer->is_json) {
        return;
    }
    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, "\n");
    for (unsigned depth = 0; depth < printer->depth; depth++) {
        al_text_str(&text, "\t");
    }
    al_text_str(&text, is_list ? "]" : "}");
    ct_print_text(printer, line);
}

static void put_value(struct ct_printer *printer, const char *key, const char *value) {
    AL_ASSERT(value != NULL);
    start_item(printer, key);
    ct_print_text(printer, value);
    if (!printer->is_json) {
        ct_print_text(printer, "\n");
    }
}

void ct_print_u64(struct ct_printer *printer, const char *key, uint64_t value) {
    char digits[32];
    struct al_text text;

    al_text_init(&text, digits, sizeof(digits));
    al_text_u64(&text, value);
    put_value(printer, key, digits);
}

void ct_print_i64(struct ct_printer *printer, const char *key, int64_t value) {
    char digits[32];
    struct al_text text;

    al_text_init(&text, digits, sizeof(digits));
    al_text_i64(&text, value);
    put_value(printer, key, digits);
}

void ct_print_bool(struct ct_printer *printer, const char *key, bool value) {
    put_value(printer, key, value ? "true" : "false");
}

/* Quotes and backslashes are escaped, control characters left out. In pieces: a text of any length
 * ends in its quote.
 */
void ct_print_str(struct ct_printer *printer, const char *key, const char *value) {
    AL_ASSERT(value != NULL);
    char line[LINE_BYTES];
    struct al_text text;

    start_item(printer, key);
    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, "\"");
    for (; *value != '\0'; value++) {
        if (text.len_bytes + 4 > sizeof(line)) { /* two characters, a quote, the zero byte */
            ct_print_text(printer, line);
            al_text_init(&text, line, sizeof(line));
        }
        if (*value == '"' || *value == '\\') {
            al_text_str(&text, "\\");
        }
        if ((unsigned char)*value >= ' ') {
            al_text_bytes(&text, value, 1);
        }
    }
    al_text_str(&text, "\"");
    AL_ASSERT(!text.is_cut);
    ct_print_text(printer, line);
    if (!printer->is_json) {
        ct_print_text(printer, "\n");
    }
}
