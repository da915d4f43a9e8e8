/* SPDX-License-Identifier: BSD-2-Clause
 *
 * shadowed — whether another library's malloc is the process's, and this copy only lies in it:
 * preloaded behind another, or loaded by a program that had one already. Such a copy must keep
 * still: its messages, its dumps and its statistics would be of a heap nobody uses.
 *
 * Threads: any.
 */
#ifndef AL_SHADOWED_H
#define AL_SHADOWED_H

#include "alloc/base.h"

/* Defined where the C library's names are; NULL in the prefixed library, which has none. Not
 * AL_HIDDEN: a hidden weak symbol that nobody defines is not NULL in a position-independent
 * program.
 */
AL_WEAK bool al_is_shadowed(void);

#endif
