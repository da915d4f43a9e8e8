/* SPDX-License-Identifier: BSD-2-Clause
 *
 * layout — from a place in a program's file to the address the linker gave it.
 *
 * Owns:    a handful of pieces, until sy_layout_fini.
 * Threads: none of its own.
 * Fails:   false where the address cannot be known; never a guess, for a guess is a wrong name.
 * Why:     a dump knows offsets in the file that ran. Its program headers say where those went,
 *          but the headers of a debug file that stands in for it do not: objcopy
 *          --only-keep-debug moves p_offset to where the bytes are that it kept. There the
 *          dump's own mappings are the only witness of the program's offsets.
 */
#ifndef SY_LAYOUT_H
#define SY_LAYOUT_H

#include "tools/symbolize/base.h"
#include "tools/symbolize/profile.h"

#include <gelf.h>

/* Offsets from file_offset on, code_bytes of them, have addresses from vaddr on. */
struct sy_piece {
    uint64_t file_offset;
    uint64_t code_bytes;
    uint64_t vaddr;
};

/* Invariant: pieces that share an offset agree on its address. */
struct sy_layout {
    struct sy_piece *pieces;
    size_t piece_cap;
    size_t piece_count;
};

/* Reads the layout of a binary out of `elf`: the binary's own file, or its debug file. */
SY_NODISCARD bool sy_layout_init(struct sy_layout *layout, Elf *elf,
                                 const struct sy_profile *profile, uint32_t binary_idx);
void sy_layout_fini(struct sy_layout *layout);

/* The file's own address of an offset in code. */
SY_NODISCARD bool sy_layout_find(const struct sy_layout *layout, uint64_t file_offset,
                                 uint64_t *vaddr);

#endif
