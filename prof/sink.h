/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sink — where a dump's bytes go: a file that appears whole or not at all.
 *
 * Owns:    the descriptor and a buffer inside the struct; gzip's memory while it is on.
 * Threads: the dump's own (rank AL_RANK_DUMP is held by the caller).
 * Fails:   the first error is kept in `err`; later writes do nothing. Never allocates from the
 *          program's heap.
 *
 * A regular file is written under a name of its own beside the target and renamed when it is
 * complete. A FIFO, a device or anything else that exists and is not regular is written to
 * directly.
 */
#ifndef PF_SINK_H
#define PF_SINK_H

#include "alloc/base.h"

enum { PF_SINK_BUF_BYTES = 64 * 1024, PF_SINK_PATH_BYTES = 4096 };

struct pf_gzip;

struct pf_sink {
    int fd;
    int err; /* errno value of the first failure; 0 so far */
    bool is_direct;
    size_t used_bytes;
    struct pf_gzip *gzip; /* NULL: plain */
    char path[PF_SINK_PATH_BYTES];
    char temporary[PF_SINK_PATH_BYTES];
    char buf[PF_SINK_BUF_BYTES];
};

/* Opens `path`; is_gzip compresses what is written. Returns 0 or an errno value. */
int pf_sink_open(struct pf_sink *sink, const char *path, bool is_gzip);

void pf_sink_write(struct pf_sink *sink, const void *bytes, size_t count_bytes);
void pf_sink_str(struct pf_sink *sink, const char *str);
void pf_sink_u64(struct pf_sink *sink, uint64_t value);
void pf_sink_hex(struct pf_sink *sink, uint64_t value);

/* Flushes, closes and renames; on any failure removes what was written. Returns 0 or the
 * first error.
 */
int pf_sink_close(struct pf_sink *sink);

#endif
