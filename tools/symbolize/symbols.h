/* SPDX-License-Identifier: BSD-2-Clause
 *
 * symbols — from a place in a file to functions, files and lines, inlined calls included.
 *
 * Owns:    one open module a binary, until sy_symbols_fini.
 * Threads: none of its own.
 * Fails:   a place without a name gets no frame; why is told once a binary through `notes`:
 *          which file, which build id, what to do.
 * Source:  libdwfl finds separate debug files by itself: beside the file, below /usr/lib/debug
 *          by .gnu_debuglink and by build id, and from debuginfod where DEBUGINFOD_URLS is set.
 */
#ifndef SY_SYMBOLS_H
#define SY_SYMBOLS_H

#include "tools/symbolize/find.h"
#include "tools/symbolize/perf_map.h"
#include "tools/symbolize/profile.h"
#include "tools/symbolize/scopes.h"

struct sy_module;

struct sy_symbols {
    const struct sy_notes *notes;
    struct sy_find find;
    struct sy_perf_map perf_map;
    struct sy_module *modules;
    size_t module_cap;
    size_t module_count;
    char *text; /* a symbol's name as last looked up; NULL */
};

/* Texts of `find` must outlive the symbols. */
void sy_symbols_init(struct sy_symbols *symbols, const struct sy_find *find,
                     const struct sy_notes *notes);
void sy_symbols_fini(struct sy_symbols *symbols);

/* Names for code made at run time, of one process: the last map read holds. */
SY_NODISCARD bool sy_symbols_read_perf_map(struct sy_symbols *symbols, const char *path,
                                           struct sy_error *err);

/* The frames at a location, innermost first; 0: it has no name. Texts are valid until the next. */
SY_NODISCARD size_t sy_symbols_lookup(struct sy_symbols *symbols, const struct sy_profile *profile,
                                      const struct sy_location *location,
                                      struct sy_frame frames[SY_FRAMES_MAX]);

#endif
