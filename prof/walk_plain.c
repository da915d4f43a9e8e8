/* SPDX-License-Identifier: BSD-2-Clause
 *
 * walk_plain — where no walk of our own is written yet: others walk (stack.c).
 */
#include "prof/walk.h"

uint32_t pf_walk_tables(uintptr_t *frames, uint32_t depth_max, struct pf_code own, bool *is_whole) {
    AL_ASSERT(frames != NULL && depth_max > 0 && own.low <= own.high);
    *is_whole = false;
    return 0;
}

uint32_t pf_walk_frame_pointers(uintptr_t *frames, uint32_t depth_max) {
    AL_ASSERT(frames != NULL && depth_max > 0);
    return 0;
}
