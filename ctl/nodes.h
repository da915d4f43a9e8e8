/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes — what the table's rows need from one another: options as rows, indexes, the snapshot.
 *
 * Threads: ct_stats_snapshot and ct_epoch_advance are called with the ctl lock held; ct_stats_copy
 *          without.
 */
#ifndef CT_NODES_H
#define CT_NODES_H

#include "alloc/options.h"
#include "alloc/stats.h"
#include "ctl/node.h"

/* jemalloc's special arena indexes. */
enum { CT_ARENAS_ALL = 4096, CT_ARENAS_DESTROYED = 4097 };

/* The row opt.<key>. */
struct ct_node ct_option_node(const struct al_option_row *option);

/* Whether an index may stand in the "<i>" of a row's path. */
bool ct_index_is_valid(const char *path, size_t index);

/* The numbers stats.* shows: of the last epoch. */
const struct al_stats *ct_stats_snapshot(void);
void ct_stats_copy(struct al_stats *out); /* takes the lock */
uint64_t ct_epoch_advance(void);

/* Rows of nodes_stats.c; the last word of the name says which number. */
int ct_stats_arena_size_get(const struct ct_args *args, union ct_value *out);
int ct_stats_arena_purge_get(const struct ct_args *args, union ct_value *out);
int ct_stats_arena_decay_get(const struct ct_args *args, union ct_value *out);
int ct_stats_arena_threads_get(const struct ct_args *args, union ct_value *out);
int ct_stats_background_get(const struct ct_args *args, union ct_value *out);

/* "5.3.0-0-g…": the jemalloc whose interface this is. */
extern const char ct_version[];

#endif
