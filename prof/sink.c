/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sink — plain system calls, and zlib with memory of our own.
 */
#include "prof/sink.h"

#include "alloc/os.h"
#include "alloc/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum {
    /* deflate asks for about 268 KB in five pieces with windowBits 15 and memLevel 8
     * (zlib's zconf.h); twice that is reserved.
     */
    GZIP_MEMORY_BYTES = 640 * 1024,
    GZIP_WINDOW_BITS = 15 + 16, /* +16: gzip's header and trailer instead of zlib's */
    GZIP_MEMORY_LEVEL = 8,
    GZIP_OUT_BYTES = 32 * 1024,
    FILE_MODE = 0644,
    NAME_ATTEMPTS = 64, /* names left behind by a killed process with our number */
};

struct pf_gzip {
    z_stream stream;
    size_t used_bytes; /* of memory */
    unsigned char out[GZIP_OUT_BYTES];
    AL_ALIGNED(16) char memory[GZIP_MEMORY_BYTES];
};

static void *gzip_alloc(void *opaque, unsigned count, unsigned size) {
    struct pf_gzip *const gzip = opaque;
    const size_t bytes = ((size_t)count * size + 15) & ~(size_t)15;

    if (bytes > GZIP_MEMORY_BYTES - gzip->used_bytes) {
        return NULL;
    }
    void *const got = gzip->memory + gzip->used_bytes;
    gzip->used_bytes += bytes;
    return got;
}

static void gzip_free(void *opaque, void *address) {
    (void)opaque;
    (void)address; /* all goes with the mapping */
}

static bool gzip_open(struct pf_sink *sink) {
    struct pf_gzip *const gzip = al_os_map(NULL, sizeof(struct pf_gzip));

    if (gzip == NULL) {
        return false;
    }
    gzip->stream.zalloc = gzip_alloc;
    gzip->stream.zfree = gzip_free;
    gzip->stream.opaque = gzip;
    if (deflateInit2(&gzip->stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        al_os_unmap(gzip, sizeof(struct pf_gzip));
        return false;
    }
    sink->gzip = gzip;
    return true;
}

/* write(2), but that a reader who is gone ends us with EPIPE and no signal. A SIGPIPE that was
 * there before stays.
 */
static ssize_t write_quietly(int fd, const void *bytes, size_t count_bytes) {
    AL_ASSERT(fd >= 0 && count_bytes > 0);
    static const struct timespec now = {0};
    sigset_t pipe_set;
    sigset_t old_set;
    sigset_t pending_set;

    (void)sigemptyset(&pipe_set);
    (void)sigaddset(&pipe_set, SIGPIPE);
    (void)sigemptyset(&pending_set);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_set, &old_set);
    (void)sigpending(&pending_set);
    const ssize_t done_bytes = write(fd, bytes, count_bytes);
    const int err = errno;
    if (done_bytes < 0 && err == EPIPE && sigismember(&pending_set, SIGPIPE) == 0) {
        (void)sigtimedwait(&pipe_set, NULL, &now);
    }
    (void)pthread_sigmask(SIG_SETMASK, &old_set, NULL);
    errno = err;
    return done_bytes;
}

/* What to do about a write that failed: 0, try again, or an errno value. */
static int after_failure(int fd, int err) {
    AL_ASSERT(err != 0);
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

    if (err == EINTR) {
        return 0;
    }
    if (err != EAGAIN) {
        return err;
    }
    const int ready_count = poll(&poll_fd, 1, PF_SINK_STALL_MS);
    return ready_count > 0 ? 0 : ready_count == 0 ? ETIMEDOUT : errno == EINTR ? 0 : errno;
}

static void write_all(struct pf_sink *sink, const void *bytes, size_t count_bytes) {
    AL_ASSERT(sink->fd >= 0);
    AL_ASSERT(bytes != NULL || count_bytes == 0);
    const char *at = bytes;

    while (count_bytes > 0 && sink->err == 0) { /* each turn writes a byte, waits, or ends */
        const ssize_t done_bytes = sink->is_direct ? write_quietly(sink->fd, at, count_bytes)
                                                   : write(sink->fd, at, count_bytes);
        if (done_bytes < 0) {
            sink->err = after_failure(sink->fd, errno);
            continue;
        }
        at += done_bytes;
        count_bytes -= (size_t)done_bytes;
    }
}

static void gzip_write(struct pf_sink *sink, const char *bytes, size_t count_bytes, int flush) {
    AL_ASSERT(sink->gzip != NULL);
    struct pf_gzip *const gzip = sink->gzip;
    int status = Z_OK;

    gzip->stream.next_in = (unsigned char *)(uintptr_t)bytes;
    gzip->stream.avail_in = (unsigned)count_bytes;
    do { /* ends when all input is taken, and at the finish when all output is out */
        gzip->stream.next_out = gzip->out;
        gzip->stream.avail_out = GZIP_OUT_BYTES;
        status = deflate(&gzip->stream, flush);
        write_all(sink, gzip->out, GZIP_OUT_BYTES - gzip->stream.avail_out);
    } while (sink->err == 0 &&
             (gzip->stream.avail_in > 0 || (flush == Z_FINISH && status == Z_OK)));
}

static void flush(struct pf_sink *sink) {
    AL_ASSERT(sink->used_bytes <= PF_SINK_BUF_BYTES);
    if (sink->err == 0 && sink->used_bytes > 0) {
        if (sink->gzip != NULL) {
            gzip_write(sink, sink->buf, sink->used_bytes, Z_NO_FLUSH);
        } else {
            write_all(sink, sink->buf, sink->used_bytes);
        }
    }
    sink->used_bytes = 0;
}

/* ---- opening ---- */

/* Opens what is there, or behind a link would be. The descriptor is our own, so that it does not
 * block says nothing to the program's.
 */
static int open_direct(struct pf_sink *sink) {
    struct stat status;
    const bool is_there = stat(sink->path, &status) == 0;

    sink->is_direct = true;
    sink->is_regular = !is_there || S_ISREG(status.st_mode);
    const int flags = sink->is_regular ? O_CREAT | O_TRUNC : O_NOCTTY | O_NONBLOCK;
    sink->fd = open(sink->path, O_WRONLY | O_CLOEXEC | flags, FILE_MODE);
    return sink->fd >= 0 ? 0 : errno;
}

/* FOLDER/.tally.PID.N, new. */
static int open_temporary(struct pf_sink *sink) {
    static _Atomic uint64_t name_count;
    const char *const slash = strrchr(sink->path, '/');
    const size_t folder_bytes = slash == NULL ? 0 : (size_t)(slash - sink->path) + 1;
    int err = EEXIST;

    for (int attempt = 0; attempt < NAME_ATTEMPTS && err == EEXIST; attempt++) {
        struct al_text text;
        al_text_init(&text, sink->temporary, sizeof(sink->temporary));
        al_text_bytes(&text, sink->path, folder_bytes);
        al_text_str(&text, ".tally.");
        al_text_u64(&text, (uint64_t)getpid());
        al_text_str(&text, ".");
        al_text_u64(&text, atomic_fetch_add(&name_count, 1));
        AL_ASSERT(!text.is_cut);
        sink->fd =
            open(sink->temporary, O_WRONLY | O_CLOEXEC | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE);
        err = sink->fd >= 0 ? 0 : errno;
    }
    return err;
}

static int open_target(struct pf_sink *sink) {
    static const char proc[] = "/proc/";
    struct stat status;
    const bool is_there = lstat(sink->path, &status) == 0;

    if (is_there &&
        (!S_ISREG(status.st_mode) || strncmp(sink->path, proc, sizeof(proc) - 1) == 0)) {
        return open_direct(sink);
    }
    const int err = open_temporary(sink);
    return is_there && (err == EACCES || err == EPERM || err == EROFS) ? open_direct(sink) : err;
}

int pf_sink_open(struct pf_sink *sink, const char *path, bool is_gzip) {
    AL_ASSERT(sink != NULL && path != NULL);
    struct al_text text;

    sink->fd = -1;
    sink->err = 0;
    sink->is_direct = false;
    sink->is_regular = false;
    sink->used_bytes = 0;
    sink->gzip = NULL;
    al_text_init(&text, sink->path, sizeof(sink->path));
    al_text_str(&text, path);
    const int err = text.is_cut ? ENAMETOOLONG : open_target(sink);
    if (err != 0) {
        return err;
    }
    if (is_gzip && !gzip_open(sink)) {
        sink->err = ENOMEM;
        return pf_sink_close(sink);
    }
    return 0;
}

void pf_sink_write(struct pf_sink *sink, const void *bytes, size_t count_bytes) {
    AL_ASSERT(sink->used_bytes < PF_SINK_BUF_BYTES);
    const char *at = bytes;

    while (count_bytes > 0) { /* each turn takes a byte at least */
        const size_t room_bytes = PF_SINK_BUF_BYTES - sink->used_bytes;
        const size_t part_bytes = count_bytes < room_bytes ? count_bytes : room_bytes;
        memcpy(sink->buf + sink->used_bytes, at, part_bytes);
        sink->used_bytes += part_bytes;
        at += part_bytes;
        count_bytes -= part_bytes;
        if (sink->used_bytes == PF_SINK_BUF_BYTES) {
            flush(sink);
        }
    }
}

void pf_sink_str(struct pf_sink *sink, const char *str) {
    pf_sink_write(sink, str, strlen(str));
}

void pf_sink_u64(struct pf_sink *sink, uint64_t value) {
    char digits[32];
    struct al_text text;

    al_text_init(&text, digits, sizeof(digits));
    al_text_u64(&text, value);
    pf_sink_write(sink, digits, text.len_bytes);
}

void pf_sink_hex(struct pf_sink *sink, uint64_t value) {
    char digits[32];
    struct al_text text;

    al_text_init(&text, digits, sizeof(digits));
    al_text_hex(&text, value);
    pf_sink_write(sink, digits, text.len_bytes);
}

int pf_sink_close(struct pf_sink *sink) {
    AL_ASSERT(sink->fd >= 0);
    flush(sink);
    if (sink->gzip != NULL) {
        if (sink->err == 0) {
            gzip_write(sink, NULL, 0, Z_FINISH);
        }
        al_os_unmap(sink->gzip, sizeof(struct pf_gzip));
        sink->gzip = NULL;
    }
    if (sink->err != 0 && sink->is_regular && ftruncate(sink->fd, 0) != 0) {
        sink->is_regular = false; /* it was and now is not: nothing is left to be done */
    }
    if (close(sink->fd) != 0 && sink->err == 0) {
        sink->err = errno;
    }
    if (!sink->is_direct && sink->err == 0 && rename(sink->temporary, sink->path) != 0) {
        sink->err = errno;
    }
    if (!sink->is_direct && sink->err != 0) {
        (void)unlink(sink->temporary);
    }
    return sink->err;
}
