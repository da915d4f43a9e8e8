/* SPDX-License-Identifier: BSD-2-Clause
 *
 * maps — reads /proc/self/maps into memory of its own, as often as it takes to get it whole.
 *
 * dl_iterate_phdr would know the same, but takes the loader's lock: a dump made by a
 * constructor of a library being loaded would wait for itself.
 */
#include "prof/maps.h"

#include "alloc/bits.h"
#include "alloc/os.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    TEXT_BYTES_FIRST = 256 * 1024,
    TEXT_BYTES_MAX = 64 * 1024 * 1024, /* 65,530 mappings of some 100 bytes are 7 MiB */
    LINE_BYTES_MIN = 40,               /* no line of the file is shorter */
    PHDR_COUNT_MAX = 64,
    NOTE_BYTES_MAX = 4096,
};

static size_t entries_bytes(size_t text_bytes) {
    return (text_bytes / LINE_BYTES_MIN + 1) * sizeof(struct pf_mapping);
}

/* The whole file into `text`, which has room for cap_bytes; 0: it does not fit or fails. */
static size_t read_text(char *text, size_t cap_bytes) {
    AL_ASSERT(text != NULL && cap_bytes > 0);
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t len_bytes = 0;

    if (fd < 0) {
        return 0;
    }
    while (len_bytes < cap_bytes) {
        const ssize_t got_bytes = read(fd, text + len_bytes, cap_bytes - len_bytes);
        if (got_bytes < 0 && errno == EINTR) {
            continue;
        }
        if (got_bytes <= 0) {
            break;
        }
        len_bytes += (size_t)got_bytes;
    }
    (void)close(fd);
    return len_bytes < cap_bytes ? len_bytes : 0;
}

static uint64_t take_hex(const char **at, const char *end) {
    AL_ASSERT(*at <= end);
    uint64_t value = 0;

    for (; *at < end; (*at)++) {
        const char c = **at;
        if (c >= '0' && c <= '9') {
            value = value * 16 + (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            value = value * 16 + (uint64_t)(c - 'a') + 10;
        } else {
            break;
        }
    }
    return value;
}

static void skip_field(const char **at, const char *end) {
    AL_ASSERT(*at <= end);
    while (*at < end && **at != ' ') {
        (*at)++;
    }
    while (*at < end && **at == ' ') {
        (*at)++;
    }
}

/* "start-limit perms offset device inode   path" */
static void parse_line(struct pf_mapping *entry, const char *at, const char *end) {
    AL_ASSERT(at <= end);
    *entry = (struct pf_mapping){0};
    entry->start = take_hex(&at, end);
    at += at < end;
    entry->limit = take_hex(&at, end);
    skip_field(&at, end);
    entry->is_code = end - at > 2 && at[2] == 'x';
    skip_field(&at, end);
    entry->file_offset = take_hex(&at, end);
    skip_field(&at, end);
    skip_field(&at, end);
    skip_field(&at, end);
    entry->path = at;
    entry->path_bytes = (size_t)(end - at);
}

bool pf_maps_read(struct pf_maps *maps) {
    AL_ASSERT(maps != NULL);
    *maps = (struct pf_maps){0};
    for (size_t cap_bytes = TEXT_BYTES_FIRST; cap_bytes <= TEXT_BYTES_MAX; cap_bytes *= 4) {
        const size_t block_bytes = al_round_up(cap_bytes + entries_bytes(cap_bytes), AL_PAGE_BYTES);
        char *const block = al_os_map(NULL, block_bytes);
        if (block == NULL) {
            return false;
        }
        const size_t text_bytes = read_text(block, cap_bytes);
        if (text_bytes == 0) {
            al_os_unmap(block, block_bytes);
            continue;
        }
        maps->text = block;
        maps->text_bytes = text_bytes;
        maps->entries = (struct pf_mapping *)(void *)(block + cap_bytes);
        maps->mapped_bytes = block_bytes;
        break;
    }
    for (const char *at = maps->text, *end = at + maps->text_bytes; at < end;) {
        const char *const newline = memchr(at, '\n', (size_t)(end - at));
        const char *const line_end = newline != NULL ? newline : end;
        parse_line(&maps->entries[maps->entry_count++], at, line_end);
        at = line_end + 1;
    }
    return maps->text != NULL;
}

void pf_maps_fini(struct pf_maps *maps) {
    if (maps->text != NULL) {
        al_os_unmap(maps->text, maps->mapped_bytes);
    }
    *maps = (struct pf_maps){0};
}

const struct pf_mapping *pf_maps_find(const struct pf_maps *maps, uintptr_t addr) {
    size_t low = 0;
    size_t high = maps->entry_count;

    while (low < high) { /* halves */
        const size_t middle = low + (high - low) / 2;
        if (addr >= maps->entries[middle].limit) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < maps->entry_count && addr >= maps->entries[low].start ? &maps->entries[low] : NULL;
}

/* ---- what the mapped files say of themselves ---- */

static bool read_memory(uintptr_t addr, void *out, size_t bytes) {
    AL_ASSERT(out != NULL);
    struct iovec to = {out, bytes};
    struct iovec from = {(void *)addr, bytes};

    return bytes > 0 && process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)bytes;
}

/* The program headers of the file that begins at `base_addr`. Returns how many; 0: none. */
static size_t read_headers(uintptr_t base_addr, Elf64_Phdr headers[PHDR_COUNT_MAX]) {
    Elf64_Ehdr head;

    if (!read_memory(base_addr, &head, sizeof(head)) ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phnum > PHDR_COUNT_MAX ||
        head.e_phentsize != sizeof(Elf64_Phdr) ||
        !read_memory(base_addr + head.e_phoff, headers, head.e_phnum * sizeof(Elf64_Phdr))) {
        return 0;
    }
    return head.e_phnum;
}

static bool is_same_file(const struct pf_mapping *a, const struct pf_mapping *b) {
    return a->path_bytes == b->path_bytes && a->path_bytes > 0 &&
           memcmp(a->path, b->path, a->path_bytes) == 0;
}

/* Where the file of a mapping begins in memory, with its ELF header: in its first mapping, a few
 * entries before. 0: nowhere.
 */
static uintptr_t find_base(const struct pf_maps *maps, const struct pf_mapping *mapping) {
    AL_ASSERT(mapping >= maps->entries && mapping < maps->entries + maps->entry_count);
    const struct pf_mapping *first = mapping;

    while (first > maps->entries && first->file_offset != 0 && is_same_file(first - 1, mapping)) {
        first--;
    }
    return first->file_offset == 0 ? first->start : 0;
}

uint64_t pf_maps_link_addr(const struct pf_maps *maps, const struct pf_mapping *mapping,
                           uintptr_t addr) {
    AL_ASSERT(addr >= mapping->start && addr < mapping->limit);
    const uint64_t offset = addr - mapping->start + mapping->file_offset;
    const uintptr_t base_addr = find_base(maps, mapping);
    Elf64_Phdr headers[PHDR_COUNT_MAX];
    const size_t header_count = base_addr != 0 ? read_headers(base_addr, headers) : 0;

    for (size_t idx = 0; idx < header_count; idx++) {
        if (headers[idx].p_type == PT_LOAD && offset >= headers[idx].p_offset &&
            offset - headers[idx].p_offset < headers[idx].p_filesz) {
            return headers[idx].p_vaddr + (offset - headers[idx].p_offset);
        }
    }
    return offset;
}

/* The GNU build id among the notes at `addr`. Returns its length, 0 if there is none. */
static uint32_t note_build_id(uintptr_t addr, size_t bytes, uint8_t *out) {
    AL_ASSERT(out != NULL);
    AL_ALIGNED(4) unsigned char notes[NOTE_BYTES_MAX];
    const size_t len_bytes = bytes < sizeof(notes) ? bytes : sizeof(notes);
    size_t at = 0;

    if (!read_memory(addr, notes, len_bytes)) {
        return 0;
    }
    while (at + sizeof(Elf64_Nhdr) <= len_bytes) { /* `at` grows by 12 at least */
        Elf64_Nhdr head;
        memcpy(&head, notes + at, sizeof(head));
        const size_t name_at = at + sizeof(head);
        const size_t desc_at = name_at + al_round_up(head.n_namesz, 4);
        if (desc_at > len_bytes || head.n_descsz > len_bytes - desc_at) {
            return 0;
        }
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 &&
            memcmp(notes + name_at, "GNU", 4) == 0 && head.n_descsz <= PF_BUILD_ID_BYTES_MAX) {
            memcpy(out, notes + desc_at, head.n_descsz);
            return head.n_descsz;
        }
        at = desc_at + al_round_up(head.n_descsz, 4);
    }
    return 0;
}

static uint32_t elf_build_id(uintptr_t base_addr, uint8_t *out) {
    Elf64_Phdr headers[PHDR_COUNT_MAX];
    const size_t header_count = read_headers(base_addr, headers);
    uintptr_t bias_addr = base_addr;
    uint32_t len_bytes = 0;

    for (size_t idx = 0; idx < header_count; idx++) {
        if (headers[idx].p_type == PT_LOAD) {
            bias_addr = base_addr - al_round_down(headers[idx].p_vaddr, AL_PAGE_BYTES);
            break;
        }
    }
    for (size_t idx = 0; idx < header_count && len_bytes == 0; idx++) {
        if (headers[idx].p_type == PT_NOTE) {
            len_bytes = note_build_id(bias_addr + headers[idx].p_vaddr, headers[idx].p_memsz, out);
        }
    }
    return len_bytes;
}

void pf_maps_find_build_ids(struct pf_maps *maps) {
    for (size_t idx = 0; idx < maps->entry_count; idx++) {
        struct pf_mapping *const entry = &maps->entries[idx];
        const uintptr_t base_addr =
            entry->is_code && entry->path_bytes > 0 ? find_base(maps, entry) : 0;
        if (base_addr != 0) {
            entry->build_id_bytes = elf_build_id(base_addr, entry->build_id);
        }
    }
}
