/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ctl — mallctl in one line, for tests: what must not fail dies with its name.
 */
#ifndef TESTS_CTL_H
#define TESTS_CTL_H

#include "ctl/mallctl.h"

#include <check.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline size_t ctl_size(const char *name) {
    size_t value = 0;
    size_t value_bytes = sizeof(value);

    ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == 0, "%s", name);
    return value;
}

static inline unsigned ctl_unsigned(const char *name) {
    unsigned value = 0;
    size_t value_bytes = sizeof(value);

    ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == 0, "%s", name);
    return value;
}

/* "arena.<n>.purge" and the like: `format` has one %u. */
static inline const char *ctl_name(const char *format, unsigned idx) {
    static _Thread_local char name[128];
    const char *const percent = strstr(format, "%u");

    ck_assert_ptr_nonnull(percent);
    snprintf(name, sizeof(name), "%.*s%u%s", (int)(percent - format), format, idx, percent + 2);
    return name;
}

static inline int ctl_do(const char *name) {
    return mallctl(name, NULL, NULL, NULL, 0);
}

static inline int ctl_write(const char *name, const void *value, size_t value_bytes) {
    return mallctl(name, NULL, NULL, (void *)(uintptr_t)value, value_bytes);
}

static inline void ctl_refresh(void) {
    uint64_t epoch = 1;

    ck_assert_int_eq(mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)), 0);
}

#endif
