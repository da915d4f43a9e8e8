/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text — digits are made from the right into a small array, then copied.
 */
#include "alloc/text.h"

#include <string.h>

/* 2^64 has 20 decimal digits. */
enum { DIGIT_COUNT_MAX = 20 };

void al_text_init(struct al_text *text, char *buf, size_t cap_bytes) {
    AL_ASSERT(buf != NULL && cap_bytes >= 1);
    AL_ASSERT(cap_bytes >= 1);
    *text = (struct al_text){.buf = buf, .cap_bytes = cap_bytes};
    buf[0] = '\0';
}

void al_text_bytes(struct al_text *text, const char *bytes, size_t count_bytes) {
    AL_ASSERT(text->len_bytes < text->cap_bytes);
    const size_t room_bytes = text->cap_bytes - 1 - text->len_bytes;

    if (count_bytes > room_bytes) {
        count_bytes = room_bytes;
        text->is_cut = true;
    }
    memcpy(text->buf + text->len_bytes, bytes, count_bytes);
    text->len_bytes += count_bytes;
    text->buf[text->len_bytes] = '\0';
}

void al_text_str(struct al_text *text, const char *str) {
    al_text_bytes(text, str, strlen(str));
}

static void text_number(struct al_text *text, uint64_t value, unsigned base) {
    char digits[DIGIT_COUNT_MAX];
    size_t count = 0;

    do {
        count++;
        digits[DIGIT_COUNT_MAX - count] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    al_text_bytes(text, digits + DIGIT_COUNT_MAX - count, count);
}

void al_text_u64(struct al_text *text, uint64_t value) {
    text_number(text, value, 10);
}

void al_text_i64(struct al_text *text, int64_t value) {
    uint64_t magnitude = (uint64_t)value;

    if (value < 0) {
        al_text_str(text, "-");
        magnitude = 0 - magnitude;
    }
    text_number(text, magnitude, 10);
}

void al_text_hex(struct al_text *text, uint64_t value) {
    al_text_str(text, "0x");
    text_number(text, value, 16);
}
