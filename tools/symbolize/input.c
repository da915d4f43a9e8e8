/* SPDX-License-Identifier: BSD-2-Clause
 *
 * input — read to the end, then inflate if the first two bytes say gzip.
 *
 * Read rather than mapped: a profile that is still being written, or cut by another process
 * while we parse, would otherwise end us with SIGBUS.
 */
#include "tools/symbolize/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { STEP_BYTES = 1 << 16 };

static bool fail_too_large(struct sy_error *err) {
    return sy_fail(err, "is larger than %zu MiB; take a dump with a larger sampling interval",
                   SY_INPUT_BYTES_MAX >> 20);
}

/* Room for STEP_BYTES more and the closing NUL. */
static bool make_room(struct sy_input *input, size_t *cap_bytes, struct sy_error *err) {
    if (input->data_bytes > SY_INPUT_BYTES_MAX) {
        return fail_too_large(err);
    }
    char *const data = sy_grown(input->data, cap_bytes, input->data_bytes + STEP_BYTES + 1, 1);
    if (data == NULL) {
        return sy_fail_memory(err);
    }
    input->data = data;
    return true;
}

static bool read_all(struct sy_input *input, int fd, struct sy_error *err) {
    size_t cap_bytes = 0;

    for (;;) { /* bounded by SY_INPUT_BYTES_MAX */
        if (!make_room(input, &cap_bytes, err)) {
            return false;
        }
        const ssize_t got_bytes = read(fd, input->data + input->data_bytes, STEP_BYTES);
        if (got_bytes < 0 && errno != EINTR) {
            return sy_fail(err, "cannot be read: %s", strerror(errno));
        }
        if (got_bytes == 0) {
            input->data[input->data_bytes] = '\0';
            return true;
        }
        input->data_bytes += got_bytes > 0 ? (size_t)got_bytes : 0;
    }
}

/* One or more gzip members, as gzip(1) accepts them; what follows the last is an error. */
static bool inflate_members(struct sy_input *out, const struct sy_input *packed, z_stream *stream,
                            struct sy_error *err) {
    size_t cap_bytes = 0;

    stream->next_in = (unsigned char *)packed->data;
    stream->avail_in = (unsigned)packed->data_bytes; /* SY_INPUT_BYTES_MAX fits */
    for (;;) {
        if (!make_room(out, &cap_bytes, err)) {
            return false;
        }
        stream->next_out = (unsigned char *)out->data + out->data_bytes;
        stream->avail_out = STEP_BYTES;
        const int status = inflate(stream, Z_NO_FLUSH);
        out->data_bytes += STEP_BYTES - stream->avail_out;
        if (status == Z_STREAM_END && stream->avail_in == 0) {
            out->data[out->data_bytes] = '\0';
            return true;
        }
        if (status == Z_STREAM_END) {
            inflateReset(stream);
        } else if (status == Z_BUF_ERROR) {
            return sy_fail(err, "the gzip data ends too early; the file is truncated, copy it or "
                                "take the dump again");
        } else if (status != Z_OK) {
            return sy_fail(err,
                           "the gzip data is damaged (%s); copy the file or take the dump "
                           "again",
                           stream->msg != NULL ? stream->msg : "unknown reason");
        }
    }
}

static bool gunzip(struct sy_input *input, struct sy_error *err) {
    struct sy_input out = {0};
    z_stream stream = {0};

    if (inflateInit2(&stream, 15 + 16) != Z_OK) { /* 32 KiB window, gzip header */
        return sy_fail_memory(err);
    }
    const bool is_ok = inflate_members(&out, input, &stream, err);
    inflateEnd(&stream);
    if (!is_ok) {
        free(out.data);
        return false;
    }
    free(input->data);
    *input = out;
    return true;
}

bool sy_input_read(struct sy_input *input, const char *path, struct sy_error *err) {
    *input = (struct sy_input){0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return sy_fail(err, "cannot be opened: %s", strerror(errno));
    }
    struct stat info;
    bool is_ok = true;
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        is_ok = sy_fail(err, "is a directory; name the dump files in it");
    } else {
        is_ok = read_all(input, fd, err);
    }
    close(fd);
    if (is_ok && input->data_bytes >= 2 && memcmp(input->data, "\x1f\x8b", 2) == 0) {
        is_ok = gunzip(input, err);
    }
    if (!is_ok) {
        sy_input_fini(input);
    }
    return is_ok;
}

void sy_input_fini(struct sy_input *input) {
    free(input->data);
    *input = (struct sy_input){0};
}
