/* SPDX-License-Identifier: BSD-2-Clause
 *
 * layout — by the program headers; for a debug file by the size of its code segments.
 *
 * The kernel and ld.so map a segment from the page it begins in to the page it ends in. So a
 * mapping of a code segment is as long as p_vaddr and p_memsz say, whatever linker laid the
 * file out and whatever became of p_offset, and begins at p_vaddr's page. Two other ways were
 * dropped: p_vaddr less the first segment's is the offset with GNU ld and not with lld, and the
 * distance from the file's first mapping is not in dumps that list only code (pprof's).
 */
#include "tools/symbolize/layout.h"

#include <stdlib.h>
#include <string.h>

/* What Linux has: a file does not say on which it ran. */
static const uint64_t page_sizes_bytes[] = {4096, 16384, 65536};

/* Programs have one code segment, a few two; a mapping fits one or two of them. */
enum { PIECE_COUNT_MAX = 64 };

static bool add_piece(struct sy_layout *layout, const struct sy_piece *piece) {
    for (size_t idx = 0; idx < layout->piece_count; idx++) {
        const struct sy_piece *const other = &layout->pieces[idx];
        const bool is_apart = piece->file_offset - other->file_offset >= other->code_bytes &&
                              other->file_offset - piece->file_offset >= piece->code_bytes;
        if (!is_apart && other->vaddr - other->file_offset != piece->vaddr - piece->file_offset) {
            return false;
        }
    }
    struct sy_piece *const pieces =
        sy_grown(layout->pieces, &layout->piece_cap, layout->piece_count + 1, sizeof(*pieces));
    if (pieces == NULL || layout->piece_count >= PIECE_COUNT_MAX) {
        return false;
    }
    layout->pieces = pieces;
    pieces[layout->piece_count++] = *piece;
    return true;
}

/* A debug file keeps the headers of code sections and none of their bytes. A file without
 * section headers is no debug file.
 */
static bool has_code_bytes(Elf *elf) {
    bool has_code_section = false;

    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL || (header.sh_flags & SHF_EXECINSTR) == 0) {
            continue;
        }
        if (header.sh_type != SHT_NOBITS) {
            return true;
        }
        has_code_section = true;
    }
    return !has_code_section;
}

/* The segment's piece for each mapping of the binary's code that is as long as it. */
static bool add_mapped(struct sy_layout *layout, const GElf_Phdr *segment,
                       const struct sy_profile *profile, uint32_t binary_idx) {
    for (uint32_t id = 0; id < profile->code.count; id++) {
        size_t code_bytes = 0;
        const struct sy_code *const code = sy_intern_get(&profile->code, id, &code_bytes);
        for (size_t i = 0; code->binary_idx == binary_idx && i < SY_ARRAY_COUNT(page_sizes_bytes);
             i++) {
            const uint64_t mask = page_sizes_bytes[i] - 1;
            const uint64_t start = segment->p_vaddr & ~mask;
            const uint64_t limit = (segment->p_vaddr + segment->p_memsz + mask) & ~mask;
            const struct sy_piece piece = {code->file_offset, code->code_bytes, start};
            if ((code->file_offset & mask) == 0 && code->code_bytes == limit - start &&
                !add_piece(layout, &piece)) {
                return false;
            }
        }
    }
    return true;
}

bool sy_layout_init(struct sy_layout *layout, Elf *elf, const struct sy_profile *profile,
                    uint32_t binary_idx) {
    const bool is_whole = has_code_bytes(elf);
    size_t segment_count = 0;
    bool is_known = elf_getphdrnum(elf, &segment_count) == 0;

    *layout = (struct sy_layout){0};
    for (size_t idx = 0; is_known && idx < segment_count; idx++) {
        GElf_Phdr segment;
        if (gelf_getphdr(elf, (int)idx, &segment) == NULL || segment.p_type != PT_LOAD ||
            (segment.p_flags & PF_X) == 0) {
            continue;
        }
        const struct sy_piece piece = {segment.p_offset, segment.p_filesz, segment.p_vaddr};
        is_known = is_whole ? add_piece(layout, &piece)
                            : add_mapped(layout, &segment, profile, binary_idx);
    }
    if (!is_known || layout->piece_count == 0) {
        sy_layout_fini(layout);
        return false;
    }
    return true;
}

void sy_layout_fini(struct sy_layout *layout) {
    free(layout->pieces);
    *layout = (struct sy_layout){0};
}

bool sy_layout_find(const struct sy_layout *layout, uint64_t file_offset, uint64_t *vaddr) {
    for (size_t idx = 0; idx < layout->piece_count; idx++) {
        const struct sy_piece *const piece = &layout->pieces[idx];
        if (file_offset - piece->file_offset < piece->code_bytes) {
            *vaddr = piece->vaddr + (file_offset - piece->file_offset);
            return true;
        }
    }
    return false;
}
