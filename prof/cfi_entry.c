/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi_entry — the one way that every linker has written tables for twenty years; whoever writes
 * another is left to other unwinders.
 *
 * The bytes are the program's, and a program may be damaged: each length and distance is held
 * against the object it is in before it is followed.
 */
#include "prof/cfi_entry.h"

#include <string.h>

/* ---- the table of .eh_frame_hdr ---- */

struct header {
    uint8_t version, frame_encoding, count_encoding, table_encoding;
    int32_t frame_offset;
    uint32_t count;
    struct {
        int32_t address, entry; /* from the header's own address */
    } rows[];                   /* ascending by address */
};

static_assert(sizeof(struct header) == 12, "as it lies in the file");

enum {
    HEADER_VERSION = 1,
    TABLE_ENCODING = PF_DWARF_DATAREL | PF_DWARF_SDATA4,
    FRAME_ENCODING = PF_DWARF_PCREL | PF_DWARF_SDATA4,
};

static bool is_within(const struct pf_object *object, uintptr_t at, uint64_t bytes) {
    return at >= object->low && at <= object->high && object->high - at >= bytes;
}

/* As every linker writes it, and all of it in the object. */
static bool is_usual(const struct pf_object *object) {
    const struct header *const header = (const void *)object->header;

    return header != NULL && (uintptr_t)header % sizeof(int32_t) == 0 &&
           is_within(object, (uintptr_t)header, sizeof(*header)) &&
           header->version == HEADER_VERSION && header->frame_encoding == FRAME_ENCODING &&
           header->count_encoding == PF_DWARF_UDATA4 && header->table_encoding == TABLE_ENCODING &&
           is_within(object, (uintptr_t)header->rows,
                     header->count * (uint64_t)sizeof(header->rows[0]));
}

/* The last entry that begins at or before `address`. 0: there is none. */
static uintptr_t search(const struct header *header, uintptr_t address) {
    const int64_t wanted = (int64_t)(address - (uintptr_t)header);
    uint32_t low = 0;
    uint32_t high = header->count;

    while (low < high) { /* halves each time */
        const uint32_t middle = low + (high - low) / 2;
        if (header->rows[middle].address <= wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    AL_ASSERT(low == high && low <= header->count);
    return low == 0 ? 0 : (uintptr_t)header + (uintptr_t)(intptr_t)header->rows[low - 1].entry;
}

/* ---- entries ---- */

/* A reader of the record at `at`, behind its length. Bad: it is not within the object, or of the
 * 64-bit form, which nobody writes.
 */
static struct pf_dwarf open_record(const struct pf_object *object, uintptr_t at) {
    struct pf_dwarf record = {(const uint8_t *)at, (const uint8_t *)at, true};

    if (!is_within(object, at, sizeof(uint32_t))) {
        return record;
    }
    record = (struct pf_dwarf){(const uint8_t *)at, (const uint8_t *)object->high, false};
    const uint32_t bytes = pf_dwarf_u32(&record);
    record.is_bad = !is_within(object, (uintptr_t)record.at, bytes);
    record.end = record.at + (record.is_bad ? 0 : bytes);
    return record;
}

static void read_augmentation(struct pf_cfi_entry *entry, const char *letters,
                              struct pf_dwarf *from) {
    struct pf_dwarf data = pf_dwarf_block(from);

    for (; *letters != '\0' && !data.is_bad; letters++) {
        switch (*letters) {
        case 'R':
            entry->pointer_encoding = pf_dwarf_u8(&data);
            break;
        case 'L':
            (void)pf_dwarf_u8(&data);
            break;
        case 'P':
            (void)pf_dwarf_form(&data, pf_dwarf_u8(&data) & PF_DWARF_FORM);
            break;
        case 'S':
            entry->is_signal = true;
            break;
        case 'B':
            break; /* of other processors */
        default:
            data.is_bad = true;
            break;
        }
    }
    from->is_bad = from->is_bad || data.is_bad;
}

/* False: of a form that is not known here. */
static bool read_common(struct pf_cfi_entry *entry, struct pf_dwarf from, bool *has_augmentation) {
    const bool is_cie = pf_dwarf_u32(&from) == 0;
    const uint8_t version = pf_dwarf_u8(&from);
    const char *const letters = (const char *)from.at;

    while (pf_dwarf_u8(&from) != 0 && !from.is_bad) {
    }
    if (!is_cie || from.is_bad || (version != 1 && version != 3)) {
        return false;
    }
    AL_ASSERT(memchr(letters, '\0', (size_t)((const char *)from.at - letters)) != NULL);
    entry->code_align = pf_dwarf_uleb(&from);
    entry->data_align = pf_dwarf_sleb(&from);
    const uint64_t return_register = version == 1 ? pf_dwarf_u8(&from) : pf_dwarf_uleb(&from);
    *has_augmentation = letters[0] == 'z';
    if (*has_augmentation) {
        read_augmentation(entry, letters + 1, &from);
    } else if (letters[0] != '\0') {
        return false;
    }
    entry->common = from;
    return !from.is_bad && return_register == PF_DWARF_RETURN_ADDRESS;
}

enum pf_cfi_found pf_cfi_entry_find(struct pf_cfi_entry *entry, const struct pf_object *object,
                                    uintptr_t address) {
    AL_ASSERT(address >= object->low && address < object->high);
    bool has_augmentation = false;

    /* Without a table: a static program, which hands its own to libgcc as it starts. */
    if (!is_usual(object)) {
        return PF_CFI_ENTRY_OTHER;
    }
    const uintptr_t at = search((const void *)object->header, address);
    if (at == 0) {
        return PF_CFI_ENTRY_NONE;
    }
    struct pf_dwarf from = open_record(object, at);
    const uintptr_t cie_offset_at = (uintptr_t)from.at;
    const uint32_t cie_offset = pf_dwarf_u32(&from);
    *entry = (struct pf_cfi_entry){.pointer_encoding = PF_DWARF_ABSOLUTE};
    if (from.is_bad || cie_offset == 0 ||
        !read_common(entry, open_record(object, cie_offset_at - cie_offset), &has_augmentation)) {
        return PF_CFI_ENTRY_OTHER;
    }
    entry->start = pf_dwarf_pointer(&from, entry->pointer_encoding);
    entry->bytes = pf_dwarf_form(&from, entry->pointer_encoding & PF_DWARF_FORM);
    if (has_augmentation) {
        (void)pf_dwarf_block(&from);
    }
    entry->program = from;
    if (from.is_bad) {
        return PF_CFI_ENTRY_OTHER;
    }
    /* Else it is between two functions that have entries. */
    return address - entry->start < entry->bytes ? PF_CFI_ENTRY_FOUND : PF_CFI_ENTRY_NONE;
}
