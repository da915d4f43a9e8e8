/* SPDX-License-Identifier: BSD-2-Clause
 *
 * node — one row a name of the mallctl tree, and the one function that obeys a row.
 *
 * Owns:    the table. A row's get and set move a value and nothing else: they see no caller's
 *          buffer and no length.
 * Threads: any; calls are serialised by one lock (rank AL_RANK_CTL), but those of CT_UNLOCKED rows.
 * Fails:   errno values, by jemalloc's rules:
 *          EPERM   write to a read-only row, read of a write-only one, any argument to a call
 *          EINVAL  a length that is not the type's; on reads the bytes that fit are copied and
 *                  the length is set to that number; a write does not happen then, except on
 *                  rows marked CT_WRITE_FIRST or CT_WRITE_ANYWAY
 *          ENOENT  no such name; else what the row's function says
 */
#ifndef CT_NODE_H
#define CT_NODE_H

#include "alloc/base.h"

#include <sys/types.h>

enum ct_type {
    CT_NONE, /* a call */
    CT_BOOL,
    CT_U32, /* unsigned and uint32_t */
    CT_SIZE,
    CT_SSIZE,
    CT_U64,
    CT_TEXT,    /* const char * */
    CT_POINTER, /* any other pointer */
    CT_RAW,     /* the row's own: its function sees the caller's buffers */
};

enum ct_access {
    CT_R = 1,
    CT_W = 2,
    CT_RW = CT_R | CT_W,
    CT_CALL = 4,
    /* The new value steers the read (arenas.lookup), or may be missing (arenas.create). */
    CT_QUERY = 8,
    /* Reading and writing in one call is refused (thread.prof.name). */
    CT_EITHER = 16,
    /* A read with the wrong length does nothing at all and says 0 bytes (arenas.create). */
    CT_STRICT = 32,
    /* Needs the profiler: it is started before the call. */
    CT_STARTS_PROF = 64,
    /* A write may take as long as a file or its reader does: it guards itself. */
    CT_UNLOCKED = 128,
    /* A call that writes and reads shows what is after the write (epoch). */
    CT_WRITE_FIRST = 256,
    /* The write happens even if the read's length is wrong (thread.tcache.enabled). */
    CT_WRITE_ANYWAY = 512,
    /* A call that does not look at its arguments (stats.mutexes.reset). */
    CT_ANY = 1024,
};

union ct_value {
    bool boolean;
    uint32_t u32;
    size_t size;
    ssize_t ssize;
    uint64_t u64;
    const char *text;
    void *pointer;
};

enum { CT_MIB_MAX = 8 };

/* What a call is about: the indexes in its name, and the option of an opt.* row. */
struct ct_args {
    size_t mib[CT_MIB_MAX];
    size_t mib_count;
    const char *path;      /* the row's */
    uint32_t offset_bytes; /* the row's */
    const struct al_option_row *option;
    const union ct_value *query; /* CT_QUERY: the new value, NULL if there is none */
};

struct ct_buffers {
    void *old_value;
    size_t *old_bytes;
    const void *new_value;
    size_t new_bytes;
};

struct ct_node {
    const char *path; /* "<i>" stands for an index */
    enum ct_type type;
    unsigned access; /* of enum ct_access */
    int (*get)(const struct ct_args *args, union ct_value *out);
    int (*set)(const struct ct_args *args, const union ct_value *in);
    const char *help;      /* one sentence: docs/MALLCTL.md is made from it */
    uint32_t offset_bytes; /* of the number, to the functions that read one of a struct */
    /* CT_RAW: in place of get and set; old and new as mallctl was called. Lengths and access are
     * its own business.
     */
    int (*raw)(const struct ct_args *args, const struct ct_buffers *buffers);
};

/* All rows in one order. */
size_t ct_node_count(void);
const struct ct_node *ct_node_at(size_t idx);

size_t ct_type_bytes(enum ct_type type);

int ct_node_call(const struct ct_node *node, const struct ct_args *args, void *old_value,
                 size_t *old_bytes, const void *new_value, size_t new_bytes);

/* Of the one lock; the caller has it. */
struct al_lock_stats;
void ct_lock_stats(struct al_lock_stats *stats, bool is_reset);

/* For readers of several values that must belong together. */
void ct_lock_take(void);
void ct_lock_give(void);

void ct_fork_prepare(void);
void ct_fork_parent(void);
void ct_fork_child(void);

#endif
