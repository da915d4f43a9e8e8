/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sink — where a dump's bytes go: a file that appears whole or not at all.
 *
 * Owns:    the descriptor and a buffer inside the struct; gzip's memory while it is on.
 * Threads: the dump's own (rank AL_RANK_DUMP is held by the caller).
 * Fails:   the first error is kept in `err`; later writes do nothing. Never allocates from the
 *          program's heap.
 *
 * A regular file, or a name that is free, is written under a short name of its own in the same
 * folder and renamed when it is complete. Everything else is opened and written as it stands: a
 * symbolic link (so /dev/stdout and /proc/self/fd/N), a FIFO, a device, what is below /proc. So is
 * a regular file in a folder where none can be made. What is regular behind a link is emptied
 * first, and again if the dump fails.
 *
 * Whoever reads from a FIFO or a terminal may stop: after PF_SINK_STALL_MS without a byte taken the
 * dump fails with ETIMEDOUT. A FIFO that nobody reads is ENXIO at once. No SIGPIPE gets out.
 */
#ifndef PF_SINK_H
#define PF_SINK_H

#include "alloc/base.h"

enum {
    PF_SINK_BUF_BYTES = 64 * 1024,
    PF_SINK_PATH_BYTES = 4096,
    PF_SINK_NAME_BYTES = 64, /* of the temporary name, at most */
    PF_SINK_STALL_MS = 30000,
};

struct pf_gzip;

struct pf_sink {
    int fd;
    int err;         /* errno value of the first failure; 0 so far */
    bool is_direct;  /* written as it stands: no other name, no rename */
    bool is_regular; /* a direct one: can be emptied again */
    size_t used_bytes;
    struct pf_gzip *gzip; /* NULL: plain */
    char path[PF_SINK_PATH_BYTES];
    char temporary[PF_SINK_PATH_BYTES + PF_SINK_NAME_BYTES];
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
