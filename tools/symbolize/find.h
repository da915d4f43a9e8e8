/* SPDX-License-Identifier: BSD-2-Clause
 *
 * find — where the file of a profiled binary is now: the file itself, else its debug file.
 *
 * Threads: none of its own.
 * Fails:   NULL; errno says why the file itself could not be read.
 */
#ifndef SY_FIND_H
#define SY_FIND_H

#include "tools/symbolize/base.h"

/* "/usr/lib/debug/.build-id/", a build id of up to 64 bytes in hex, ".debug". */
enum { SY_DEBUG_PATH_BYTES = 256 };

struct sy_find {
    const char *program; /* stands in for each dump's main program; NULL without */
    const char *sysroot; /* before every other path, as of a container; NULL without */
};

/* To be freed. In this order: the program, the path itself below the sysroot, the debug file of the
 * build id below /usr/lib/debug (of the sysroot, then ours), and what debuginfod's servers have.
 */
SY_NODISCARD char *sy_find_binary(const struct sy_find *find, const char *path,
                                  const char *build_id, bool is_main);

/* Where the debug file of a build id belongs, as Debian and Fedora install it. */
SY_NODISCARD bool sy_find_debug_path(const char *build_id, char *path, size_t path_bytes);

#endif
