/* SPDX-License-Identifier: BSD-2-Clause
 *
 * progress — the clock is read each 256 steps: a step takes a microsecond.
 */
#include "tools/jeprof/progress.h"

#include <stdio.h>

void jp_progress_tell(struct jp_progress *progress, uint32_t done_count, uint32_t count) {
    if (!progress->is_shown || done_count % 256 != 0) {
        return;
    }
    const time_t now = time(NULL);
    if (progress->last == 0) {
        progress->last = now;
    }
    if (now > progress->last) {
        fprintf(stderr, "\rjeprof: looking up addresses: %u of %u", (unsigned)done_count,
                (unsigned)count);
        progress->last = now;
        progress->is_told = true;
    }
}

void jp_progress_end(struct jp_progress *progress) {
    if (progress->is_told) {
        fputs("\r\033[K", stderr);
        progress->is_told = false;
    }
}
