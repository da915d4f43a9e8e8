/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tally.h — what Tally offers beyond the C library's malloc.
 *
 * All functions may be called from any thread at any time outside signal handlers. Sizes are
 * in bytes. The interface of mallctl, mallocx and their kin is jemalloc 5.3's: its manual,
 * jemalloc(3), documents it; tally(3) is the short form, docs/MALLCTL.md lists the names, and
 * docs/JEMALLOC.md what is other.
 */
#ifndef TALLY_H
#define TALLY_H

#include "jemalloc/jemalloc.h"

#define TALLY_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is running, in the form "X.Y.Z"; never freed. A program may
 * look it up by name (dlsym) to find out whether it runs under Tally.
 */
const char *tally_version(void);

#ifdef __cplusplus
}
#endif

#endif
