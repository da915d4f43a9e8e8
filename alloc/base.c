/* SPDX-License-Identifier: BSD-2-Clause
 *
 * base — the last words of a process, and every line it prints before.
 *
 * A message is built in a buffer on the stack and written with one system call: stdio would
 * allocate, and two threads' lines would mix.
 */
#include "alloc/base.h"

#include "alloc/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longest line of ours: the texts of AL_CHECK and AL_ASSERT, with room for a file's path. */
enum { LINE_BYTES_MAX = 512 };

void (*malloc_message)(void *opaque, const char *text);

AL_TLS_IE bool al_is_lock_free;

void (*al_die_hook)(const char *message);

/* To standard error, whole or as far as it takes it. */
static void write_all(const char *text, size_t left_bytes) {
    while (left_bytes > 0) { /* each turn writes at least a byte, was interrupted, or ends */
        const ssize_t done_bytes = write(STDERR_FILENO, text, left_bytes);
        if (done_bytes > 0) {
            text += done_bytes;
            left_bytes -= (size_t)done_bytes;
        } else if (done_bytes == 0 || errno != EINTR) {
            return;
        }
    }
}

void al_message_write(const char *text) {
    const int saved_errno = errno;

    if (malloc_message != NULL) {
        malloc_message(NULL, text);
    } else {
        write_all(text, strlen(text));
    }
    errno = saved_errno;
}

void al_die(const char *what) {
    char line[LINE_BYTES_MAX];
    struct al_text text;

    al_text_init(&text, line, sizeof(line) - 1); /* a text that is cut ends its line as well */
    al_text_str(&text, "tally: ");
    al_text_str(&text, what);
    line[text.len_bytes] = '\n';
    line[text.len_bytes + 1] = '\0';
    al_is_lock_free = true;
    al_message_write(line);
    if (al_die_hook != NULL) {
        al_die_hook(line);
    }
    abort();
}

void al_die_ptr(const char *what, const void *ptr) {
    char line[LINE_BYTES_MAX];
    struct al_text text;

    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, what);
    al_text_str(&text, ": ");
    al_text_hex(&text, (uintptr_t)ptr);
    al_die(line);
}
