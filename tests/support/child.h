/* SPDX-License-Identifier: BSD-2-Clause
 *
 * child — what a test does in a process of its own, so that it finds and leaves no state: run it
 * with assert_ends (dies.h), and check in it with CHILD_CHECK, whose words assert_ends shows.
 */
#ifndef TESTS_CHILD_H
#define TESTS_CHILD_H

#include "tests/support/dies.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHILD_CHECK(cond)                                                                          \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)dprintf(STDERR_FILENO, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Makes a folder and goes there. Static: so that it can be named in messages of the child. */
static inline const char *child_enter_folder(void) {
    static char folder[512];
    const char *const parent = getenv("TEST_TMPDIR");

    (void)snprintf(folder, sizeof(folder), "%s/child.XXXXXX", parent != NULL ? parent : "/tmp");
    CHILD_CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
    return folder;
}

/* Files in the folder we are in whose names have `part` in them; hidden ones too. */
static inline int child_count_files(const char *part) {
    DIR *const dir = opendir(".");
    const struct dirent *entry = NULL;
    int count = 0;

    CHILD_CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        const bool is_file = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        count += is_file && strstr(entry->d_name, part) != NULL ? 1 : 0;
    }
    (void)closedir(dir);
    return count;
}

/* The whole file, with a zero behind it. */
static inline size_t child_read_file(const char *path, char *bytes, size_t room) {
    FILE *const file = fopen(path, "r");

    CHILD_CHECK(file != NULL);
    const size_t count = fread(bytes, 1, room - 1, file);
    CHILD_CHECK(count < room - 1);
    (void)fclose(file);
    bytes[count] = '\0';
    return count;
}

#endif
