/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stale — what free memory that does not read as zero may hold; the word is shared by the page
 * layer and by those who ask about it.
 */
#ifndef AL_STALE_H
#define AL_STALE_H

enum al_stale {
    AL_STALE_DIRTY, /* pages */
    AL_STALE_MUZZY, /* pages that the kernel may take when it wants to, or has taken */
    AL_STALE_COUNT,
};

#endif
