/* SPDX-License-Identifier: BSD-2-Clause
 *
 * progress — a line on stderr that rewrites itself once a second, for work that takes longer.
 *
 * Threads: none of its own.
 * Fails:   never.
 */
#ifndef JP_PROGRESS_H
#define JP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* All zeros at the start of the work, but for is_shown. */
struct jp_progress {
    bool is_shown;
    bool is_told; /* that there is a line */
    time_t last;
};

void jp_progress_tell(struct jp_progress *progress, uint32_t done_count, uint32_t count);

/* Takes the line away. */
void jp_progress_end(struct jp_progress *progress);

#endif
