/* SPDX-License-Identifier: BSD-2-Clause
 *
 * mallctl — the public functions of control, as include/tally.h documents them.
 */
#ifndef CT_MALLCTL_H
#define CT_MALLCTL_H

#include "alloc/base.h"

AL_EXPORT int mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen);
AL_EXPORT int mallctlnametomib(const char *name, size_t *mibp, size_t *miblenp);
AL_EXPORT int mallctlbymib(const size_t *mib, size_t miblen, void *oldp, size_t *oldlenp,
                           void *newp, size_t newlen);
AL_EXPORT void malloc_stats_print(void (*write_cb)(void *opaque, const char *text), void *cbopaque,
                                  const char *opts);
AL_EXPORT const char *tally_version(void);

#endif
