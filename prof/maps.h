/* SPDX-License-Identifier: BSD-2-Clause
 *
 * maps — a copy of the process's mappings, and the build ids of what is mapped.
 *
 * Owns:    one mapping that holds the text and the parsed entries.
 * Threads: the dump's own.
 * Fails:   false: /proc is not there or there is no memory; a dump then has no maps.
 */
#ifndef PF_MAPS_H
#define PF_MAPS_H

#include "alloc/base.h"

enum { PF_BUILD_ID_BYTES_MAX = 32 };

struct pf_mapping {
    uintptr_t start, limit;
    uint64_t file_offset;
    const char *path; /* in the text; path_bytes long, not zero-terminated; may be empty */
    size_t path_bytes;
    bool is_code;
    uint8_t build_id[PF_BUILD_ID_BYTES_MAX];
    uint32_t build_id_bytes; /* 0: none found */
};

struct pf_maps {
    char *text; /* of /proc/self/maps */
    size_t text_bytes;
    struct pf_mapping *entries; /* by address */
    size_t entry_count;
    size_t mapped_bytes; /* of the block that holds both */
};

AL_NODISCARD bool pf_maps_read(struct pf_maps *maps);
void pf_maps_fini(struct pf_maps *maps);

/* The mapping of an address; NULL: none. */
const struct pf_mapping *pf_maps_find(const struct pf_maps *maps, uintptr_t addr);

/* The address that the file's symbols and debug information know it by: what addr2line -e FILE
 * takes. Read from the program headers; where they cannot be, the offset in the file.
 */
uint64_t pf_maps_link_addr(const struct pf_maps *maps, const struct pf_mapping *mapping,
                           uintptr_t addr);

/* Finds the build ids of all code mappings by reading the process's memory through the kernel,
 * so that a library unloaded meanwhile cannot make us fault.
 */
void pf_maps_find_build_ids(struct pf_maps *maps);

#endif
