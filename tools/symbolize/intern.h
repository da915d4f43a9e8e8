/* SPDX-License-Identifier: BSD-2-Clause
 *
 * intern — equal byte strings get equal small numbers: 0, 1, 2, … in order of first sight.
 *
 * Owns:    a copy of each string, 8-aligned and followed by a NUL, so a value may be text or
 *          an array of integers.
 * Threads: none of its own.
 * Fails:   SY_NONE without memory, or past 4 GiB of one string or 2^31 strings.
 * Why:     names, files, stacks and addresses all repeat, by the thousand; everything above
 *          compares and counts numbers.
 */
#ifndef SY_INTERN_H
#define SY_INTERN_H

#include "tools/symbolize/base.h"

struct sy_intern_entry {
    size_t at_bytes; /* where the copy starts in data */
    uint32_t value_bytes;
    uint32_t hash;
};

/* Invariants, walked by sy_intern_check:
 *   I1  count <= slot_count / 2, and slot_count is 0 or a power of two
 *   I2  entry i's copy lies inside data_bytes
 *   I3  looking entry i up gives i
 */
struct sy_intern {
    char *data;
    size_t data_bytes;
    size_t data_cap;
    struct sy_intern_entry *entries;
    size_t entry_cap;
    uint32_t *slots; /* entry number + 1; 0 is empty */
    uint32_t slot_count;
    uint32_t count;
};

void sy_intern_init(struct sy_intern *intern);
void sy_intern_fini(struct sy_intern *intern);

/* The number of this string; it is copied if new. */
SY_NODISCARD uint32_t sy_intern_put(struct sy_intern *intern, const void *value,
                                    size_t value_bytes);

/* The number of this string; SY_NONE if it was never put. */
uint32_t sy_intern_find(const struct sy_intern *intern, const void *value, size_t value_bytes);

/* As sy_intern_put, for a C string. */
SY_NODISCARD uint32_t sy_intern_put_text(struct sy_intern *intern, const char *text);

/* The copy; valid until the next put. */
const void *sy_intern_get(const struct sy_intern *intern, uint32_t id, size_t *value_bytes);
const char *sy_intern_text(const struct sy_intern *intern, uint32_t id);

/* Whether all invariants hold. Reads only. */
bool sy_intern_check(const struct sy_intern *intern);

#endif
