/* SPDX-License-Identifier: BSD-2-Clause
 *
 * find — libdebuginfod is opened only when it is needed and there: it brings curl and its
 * libraries along, and libdw does the same for stripped files.
 */
#include "tools/symbolize/find.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool sy_find_debug_path(const char *build_id, char *path, size_t path_bytes) {
    const int length = strlen(build_id) < 4
                           ? -1
                           : snprintf(path, path_bytes, "/usr/lib/debug/.build-id/%.2s/%s.debug",
                                      build_id, build_id + 2);
    return length > 0 && (size_t)length < path_bytes;
}

/* `path` below `root`, if it can be read there. */
static char *readable_below(const char *root, const char *path) {
    char *joined = NULL;

    if (asprintf(&joined, "%s%s", root, path) < 0) {
        return NULL;
    }
    if (access(joined, R_OK) == 0) {
        return joined;
    }
    free(joined);
    return NULL;
}

typedef int find_function(void *client, const unsigned char *build_id, int build_id_bytes,
                          char **path);

/* Asks for the debug file, then for the executable. */
static char *ask_servers(void *library, const char *build_id) {
    static const char *const kinds[] = {"debuginfod_find_debuginfo", "debuginfod_find_executable"};
    void *(*begin)(void) = NULL;
    void (*end)(void *) = NULL;
    char *path = NULL;

    *(void **)&begin = dlsym(library, "debuginfod_begin");
    *(void **)&end = dlsym(library, "debuginfod_end");
    void *const client = begin != NULL && end != NULL ? begin() : NULL;
    for (size_t i = 0; client != NULL && path == NULL && i < SY_ARRAY_COUNT(kinds); i++) {
        find_function *find = NULL;
        *(void **)&find = dlsym(library, kinds[i]);
        /* With a length of 0 the build id is hexadecimal text. */
        const int file =
            find != NULL ? find(client, (const unsigned char *)build_id, 0, &path) : -1;
        if (file >= 0) {
            close(file);
        } else {
            path = NULL;
        }
    }
    if (client != NULL) {
        end(client);
    }
    return path;
}

static char *find_on_servers(const char *build_id) {
    const char *const urls = getenv("DEBUGINFOD_URLS");

    if (build_id[0] == '\0' || urls == NULL || urls[0] == '\0') {
        return NULL;
    }
    void *const library = dlopen("libdebuginfod.so.1", RTLD_NOW);
    if (library == NULL) {
        return NULL;
    }
    char *const path = ask_servers(library, build_id);
    dlclose(library);
    return path;
}

char *sy_find_binary(const struct sy_find *find, const char *path, const char *build_id,
                     bool is_main) {
    const bool is_program = is_main && find->program != NULL;
    const char *const root = find->sysroot != NULL ? find->sysroot : "";
    char debug_path[SY_DEBUG_PATH_BYTES];

    char *found = is_program ? readable_below("", find->program) : readable_below(root, path);
    const int why = errno;
    const bool has_debug_path = sy_find_debug_path(build_id, debug_path, sizeof(debug_path));
    if (found == NULL && has_debug_path) {
        found = readable_below(root, debug_path);
    }
    if (found == NULL && has_debug_path && root[0] != '\0') {
        found = readable_below("", debug_path);
    }
    if (found == NULL) {
        found = find_on_servers(build_id);
    }
    errno = why;
    return found;
}
