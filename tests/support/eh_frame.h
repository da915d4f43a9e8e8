/* SPDX-License-Identifier: BSD-2-Clause
 *
 * eh_frame — an object with call frame information, assembled by hand as a linker would write it.
 *
 * Its memory is, from low to high: code, .eh_frame_hdr, .eh_frame (the CIE, then the entries in
 * order), and ends with the last byte of the last entry; behind it is a page that cannot be read.
 */
#ifndef TESTS_EH_FRAME_H
#define TESTS_EH_FRAME_H

#include "prof/cfi_entry.h"
#include "tests/support/guarded.h"

#include <stddef.h>
#include <stdint.h>

enum {
    EH_FRAME_CODE_BYTES = 4096,
    EH_FRAME_HEADER_BYTES = 12,
    EH_FRAME_ROW_BYTES = 8,
    EH_FRAME_ENTRY_COUNT_MAX = 16,
};

/* What all entries share; zero: as gcc writes it. */
struct eh_frame_common {
    uint8_t version;     /* 1 */
    const char *letters; /* "zR" */
    const uint8_t *data; /* of the letters; pcrel, 4 signed bytes */
    size_t data_bytes;
    uint8_t encoding;        /* of the entries' addresses; the same */
    uint8_t return_register; /* 16 */
    const uint8_t *program;  /* CFA = rsp + 8, the return address below it */
    size_t program_bytes;
};

struct eh_frame_function {
    uint32_t offset, bytes; /* in the code */
    const uint8_t *program;
    size_t program_bytes;
};

struct eh_frame {
    struct guarded memory;
    struct pf_object object;
    uintptr_t code; /* functions' offsets are from here */
    uint8_t *header;
    uint8_t *common;
    uint8_t *entries[EH_FRAME_ENTRY_COUNT_MAX]; /* their length words */
};

/* `functions`: ascending, at most EH_FRAME_ENTRY_COUNT_MAX. */
void eh_frame_make(struct eh_frame *made, const struct eh_frame_common *common,
                   const struct eh_frame_function *functions, size_t count);
void eh_frame_free(struct eh_frame *made);

#endif
