/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/walk_twice.h"

#include "prof/walk.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unwind.h>

static const struct pf_code no_own; /* no code is left out */

static _Unwind_Reason_Code enter(struct _Unwind_Context *context, void *arg) {
    struct walk_frames *const frames = arg;

    if (frames->count == WALK_TWICE_DEPTH_MAX ||
        _Unwind_GetIP(context) == 0) { /* 0: the caller of _start */
        return _URC_END_OF_STACK;
    }
    frames->pcs[frames->count++] = (uintptr_t)_Unwind_GetIP(context);
    return _URC_NO_REASON;
}

struct walk_seen walk_seen;

/* The first frame of each is in the function that walks, at two places of it. */
static bool is_same(const struct walk_frames *ours, const struct walk_frames *theirs,
                    bool is_whole) {
    if (is_whole ? ours->count != theirs->count : ours->count > theirs->count) {
        return false;
    }
    return memcmp(ours->pcs + 1, theirs->pcs + 1, (ours->count - 1) * sizeof(ours->pcs[0])) == 0;
}

AL_NOINLINE bool walk_twice_is_same(uintptr_t interrupted) {
    static struct walk_frames ours, theirs;
    bool is_whole = false;

    ours.count = pf_walk_tables(ours.pcs, WALK_TWICE_DEPTH_MAX, no_own, &is_whole);
    theirs.count = 0;
    (void)_Unwind_Backtrace(enter, &theirs);
    walk_seen.count++;
    walk_seen.part_count += is_whole ? 0 : 1;
    if (walk_seen.different_count == 0) {
        walk_seen.ours = ours;
        walk_seen.theirs = theirs;
        walk_seen.interrupted = interrupted;
    }
    return ours.count > 0 && is_same(&ours, &theirs, is_whole);
}

void walk_twice(uintptr_t interrupted) {
    walk_seen.different_count += walk_twice_is_same(interrupted) ? 0 : 1;
}

void walk_twice_here(void) {
    walk_twice(0);
}

void walk_twice_assert(const char *what) {
    if (walk_seen.different_count != 0) {
        printf("%s: %zu of %zu differ; the first, at %#lx:\n", what, walk_seen.different_count,
               walk_seen.count, walk_seen.interrupted);
        for (uint32_t idx = 0; idx < walk_seen.ours.count || idx < walk_seen.theirs.count; idx++) {
            printf("  %#18lx %#18lx\n", idx < walk_seen.ours.count ? walk_seen.ours.pcs[idx] : 0,
                   idx < walk_seen.theirs.count ? walk_seen.theirs.pcs[idx] : 0);
        }
    }
    (void)fflush(stdout); /* before Check leaves */
    ck_assert_msg(walk_seen.count > 0, "%s: nothing was walked", what);
    ck_assert_msg(walk_seen.different_count == 0, "%s: stacks differ", what);
}

void walk_twice_begin(void) {
    memset(&walk_seen, 0, sizeof(walk_seen));
}
