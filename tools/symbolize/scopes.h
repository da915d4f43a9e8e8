/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scopes — from an address to functions and lines by debug information alone, inlined calls
 * included.
 *
 * Owns:    per compilation unit that was asked for, its functions by address; until
 *          sy_scopes_free. Texts in frames live as long.
 * Threads: none of its own.
 * Fails:   0 frames: no unit covers the address, its debug information is damaged, or no memory.
 * Why not dwarf_getscopes: it walks the unit's whole tree for each address, and finds nothing in
 *          units whose functions lie below entries without addresses, as link-time optimisation
 *          writes them. Why not .debug_aranges: Clang writes none.
 */
#ifndef SY_SCOPES_H
#define SY_SCOPES_H

#include "tools/symbolize/base.h"

#include <elfutils/libdw.h>

/* One function at a place. */
struct sy_frame {
    const char *function; /* demangled; never NULL */
    const char *file;     /* "" if unknown */
    uint32_t line;        /* 0 if unknown */
};

/* More inlining than this in one place: the outermost are left out. */
enum { SY_FRAMES_MAX = 64 };

struct sy_scopes;

/* Notes which unit covers which addresses. NULL without memory. `dwarf` must outlive it. */
SY_NODISCARD struct sy_scopes *sy_scopes_new(Dwarf *dwarf);
void sy_scopes_free(struct sy_scopes *scopes);

/* The frames at an address of the file's own, innermost first. Without functions there, but with a
 * line, it is left in frames[0], whose function is "", and 0 returned.
 */
SY_NODISCARD size_t sy_scopes_lookup(struct sy_scopes *scopes, uint64_t addr,
                                     struct sy_frame frames[SY_FRAMES_MAX]);

#endif
