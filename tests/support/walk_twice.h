/* SPDX-License-Identifier: BSD-2-Clause
 *
 * walk_twice — walks a stack by our own walk and by libgcc's, and keeps book of what differs.
 *
 * Threads: one at a time; in signal handlers too.
 */
#ifndef TESTS_WALK_TWICE_H
#define TESTS_WALK_TWICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WALK_TWICE_DEPTH_MAX = 512 };

struct walk_frames {
    uintptr_t pcs[WALK_TWICE_DEPTH_MAX];
    uint32_t count;
};

struct walk_seen {
    struct walk_frames ours, theirs; /* of the latest, or of the first that differed */
    uintptr_t interrupted;           /* its place; 0: in no handler */
    size_t count;
    size_t part_count; /* ended at a frame of a rare form, and said so */
    size_t different_count;
};
extern struct walk_seen walk_seen;

/* Forgets what was seen. */
void walk_twice_begin(void);

/* Walks its caller's stack. False: they differ, which walk_twice counts. */
bool walk_twice_is_same(uintptr_t interrupted);
void walk_twice(uintptr_t interrupted);
void walk_twice_here(void);

/* Fails the running Check test if stacks differed, or there were none. */
void walk_twice_assert(const char *what);

#endif
