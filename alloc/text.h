/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text — builds a message in a buffer of the caller's.
 *
 * Owns:    nothing; `buf` is the caller's and always ends in a zero byte.
 * Threads: none of its own.
 * Fails:   what does not fit is cut off and `is_cut` says so. Never allocates, keeps errno.
 * Why:     the printf family may allocate and take locks; these five verbs are all we need.
 */
#ifndef AL_TEXT_H
#define AL_TEXT_H

#include "alloc/base.h"

struct al_text {
    char *buf;
    size_t cap_bytes; /* with the closing zero byte */
    size_t len_bytes; /* without it; len_bytes < cap_bytes */
    bool is_cut;
};

/* cap_bytes >= 1. */
void al_text_init(struct al_text *text, char *buf, size_t cap_bytes);

void al_text_str(struct al_text *text, const char *str);
void al_text_bytes(struct al_text *text, const char *bytes, size_t count_bytes);

/* Decimal. */
void al_text_u64(struct al_text *text, uint64_t value);
void al_text_i64(struct al_text *text, int64_t value);

/* Lower-case hex with 0x and no leading zeros. */
void al_text_hex(struct al_text *text, uint64_t value);

#endif
