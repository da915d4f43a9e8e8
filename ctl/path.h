/* SPDX-License-Identifier: BSD-2-Clause
 *
 * path — "arena.0.purge" <-> a row of the table and its indexes.
 *
 * A MIB names each component by the first row that begins with it, and an index by itself.
 * Component numbers differ between versions, as jemalloc's do: programs ask for them.
 *
 * Threads: any; the tables are constant.
 * Fails:   ENOENT.
 */
#ifndef CT_PATH_H
#define CT_PATH_H

#include "ctl/node.h"

/* A name, or the beginning of one, to a MIB of at most *mib_count numbers; *mib_count becomes
 * how many were written. A shorter *mib_count gives the first numbers only.
 */
int ct_path_to_mib(const char *name, size_t *mib, size_t *mib_count);

/* The row a full MIB names; fills args. For opt.* the row is made in *made. */
int ct_path_find(const size_t *mib, size_t mib_count, struct ct_args *args,
                 const struct ct_node **node, struct ct_node *made);

#endif
