/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes — what the files of rows share: the special indexes, the macros of rows that are one
 * expression, and options as rows.
 *
 * Threads: the rows' functions are called with the ctl lock held, but those of CT_UNLOCKED rows.
 */
#ifndef CT_NODES_H
#define CT_NODES_H

#include "alloc/options.h"
#include "ctl/node.h"
#include "ctl/snapshot.h"

/* A function that gets one field of a value by an expression. */
#define CT_GET(name, field, expression)                                                            \
    static int name(const struct ct_args *args, union ct_value *out) {                             \
        (void)args;                                                                                \
        out->field = (expression);                                                                 \
        return 0;                                                                                  \
    }

/* A function that is called for what it does. */
#define CT_DO(name, expression)                                                                    \
    static int name(const struct ct_args *args, const union ct_value *in) {                        \
        (void)args;                                                                                \
        (void)in;                                                                                  \
        return (expression);                                                                       \
    }

#define CT_LOCK_ROW(name, type, get, text, offset, field)                                          \
    {                                                                                              \
        name, type, CT_R, get, NULL,                                                               \
            .help = (text),                                                                        \
            .offset_bytes = (uint32_t)((offset) + offsetof(struct al_lock_stats, field))           \
    }

/* The seven rows of one lock, whose struct al_lock_stats lies at `at`. */
#define CT_MUTEX_ROWS(name, get64, get32, at, what)                                                \
    CT_LOCK_ROW(name ".max_num_thds", CT_U32, get32, what ": most threads that waited at once.",   \
                at, waiters_max),                                                                  \
        CT_LOCK_ROW(name ".max_wait_time", CT_U64, get64, what ": longest wait, in nanoseconds.",  \
                    at, wait_ns_max),                                                              \
        CT_LOCK_ROW(name ".num_ops", CT_U64, get64, what ": takings.", at, take_count),            \
        CT_LOCK_ROW(name ".num_owner_switch", CT_U64, get64,                                       \
                    what ": takings that had to wait, so that another thread was before.", at,     \
                    switch_count),                                                                 \
        CT_LOCK_ROW(name ".num_spin_acq", CT_U64, get64, what ": takings after a short spin.", at, \
                    spin_count),                                                                   \
        CT_LOCK_ROW(name ".num_wait", CT_U64, get64, what ": takings that slept.", at,             \
                    wait_count),                                                                   \
        CT_LOCK_ROW(name ".total_wait_time", CT_U64, get64, what ": all waits, in nanoseconds.",   \
                    at, wait_ns)

/* The seven of a lock that Tally does not have. */
#define CT_NO_MUTEX_ROWS(prefix)                                                                   \
    CT_MUTEX_ROWS(prefix, ct_zero_get, ct_zero_get, 0, "No such lock here, all zero")

/* Always zero, of any width. */
int ct_zero_get(const struct ct_args *args, union ct_value *out);

/* Numbers at the row's offset in the snapshot: of the process; of the arena mib[2]; and of its
 * class mib[4], a small one, a large one, or a bucket of free runs.
 */
int ct_process_64_get(const struct ct_args *args, union ct_value *out);
int ct_process_32_get(const struct ct_args *args, union ct_value *out);
int ct_arena_64_get(const struct ct_args *args, union ct_value *out);
int ct_arena_32_get(const struct ct_args *args, union ct_value *out);
int ct_bin_64_get(const struct ct_args *args, union ct_value *out);
int ct_bin_32_get(const struct ct_args *args, union ct_value *out);
int ct_large_64_get(const struct ct_args *args, union ct_value *out);
int ct_extents_64_get(const struct ct_args *args, union ct_value *out);

/* The row opt.<key>. */
struct ct_node ct_option_node(const struct al_option_row *option);

/* arenas.create: hooks may be NULL. EAGAIN. */
int ct_arena_create(void *hooks, unsigned *arena_idx);

/* Whether mib[depth] may stand for the index at that place of a row's path. */
bool ct_index_is_valid(const char *path, const size_t *mib, size_t depth);

/* The rows, by what their names begin with. */
extern const struct ct_node ct_nodes_arena[], ct_nodes_arenas[], ct_nodes_config[],
    ct_nodes_experimental[], ct_nodes_prof[], ct_nodes_stats[], ct_nodes_stats_arena[],
    ct_nodes_stats_hpa[], ct_nodes_thread[];
extern const size_t ct_nodes_arena_count, ct_nodes_arenas_count, ct_nodes_config_count,
    ct_nodes_experimental_count, ct_nodes_prof_count, ct_nodes_stats_count,
    ct_nodes_stats_arena_count, ct_nodes_stats_hpa_count, ct_nodes_thread_count;

/* "5.3.0-0-g…": the jemalloc whose interface this is. */
extern const char ct_version[];

#endif
