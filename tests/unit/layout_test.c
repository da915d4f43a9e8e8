/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   an offset becomes the linker's address by the headers of a whole file, and by the
 *         dump's mappings for a debug file; where those do not say, there is no address.
 * Method: ELF files made in memory, with the segments that GNU ld and lld make, their code
 *         section with bytes or without; mappings as dumps list them.
 */
#include "tests/support/suite.h"
#include "tools/symbolize/layout.h"

#include <string.h>

enum { SEGMENTS_MAX = 2, SECTION_COUNT = 2 };

struct image {
    Elf64_Ehdr head;
    Elf64_Phdr segments[SEGMENTS_MAX];
    Elf64_Shdr sections[SECTION_COUNT];
};

static const Elf64_Phdr bfd = {.p_type = PT_LOAD,
                               .p_flags = PF_R | PF_X,
                               .p_offset = 0x1000,
                               .p_vaddr = 0x401000,
                               .p_filesz = 0x1229,
                               .p_memsz = 0x1229};
static const Elf64_Phdr bfd_debug = {.p_type = PT_LOAD,
                                     .p_flags = PF_R | PF_X,
                                     .p_offset = 0,
                                     .p_vaddr = 0x401000,
                                     .p_filesz = 0,
                                     .p_memsz = 0x1229};
static const Elf64_Phdr lld_debug = {.p_type = PT_LOAD,
                                     .p_flags = PF_R | PF_X,
                                     .p_offset = 0x770,
                                     .p_vaddr = 0x1770,
                                     .p_filesz = 0,
                                     .p_memsz = 0x1250};
static const Elf64_Phdr data = {
    .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_vaddr = 0x405000, .p_memsz = 0x1229};

/* An ELF of these segments in `image`; `section_type` is that of its code. */
static Elf *elf_of(struct image *image, const Elf64_Phdr *const *segments, size_t segment_count,
                   uint32_t section_type) {
    *image = (struct image){
        .head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1},
                 .e_type = ET_DYN,
                 .e_machine = EM_X86_64,
                 .e_version = EV_CURRENT,
                 .e_ehsize = sizeof(Elf64_Ehdr),
                 .e_phoff = offsetof(struct image, segments),
                 .e_phentsize = sizeof(Elf64_Phdr),
                 .e_phnum = (uint16_t)segment_count,
                 .e_shoff = offsetof(struct image, sections),
                 .e_shentsize = sizeof(Elf64_Shdr),
                 .e_shnum = SECTION_COUNT},
        .sections = {{0}, {.sh_type = section_type, .sh_flags = SHF_ALLOC | SHF_EXECINSTR}},
    };
    for (size_t idx = 0; idx < segment_count; idx++) {
        image->segments[idx] = *segments[idx];
    }
    (void)elf_version(EV_CURRENT);
    Elf *const elf = elf_memory((char *)image, sizeof(*image));
    ck_assert_ptr_nonnull(elf);
    return elf;
}

static void note_code(struct sy_profile *profile, uint64_t file_offset, uint64_t code_bytes,
                      uint64_t binary_idx) {
    const struct sy_code code = {file_offset, code_bytes, binary_idx};

    ck_assert_uint_ne(sy_intern_put(&profile->code, &code, sizeof(code)), SY_NONE);
}

static const struct {
    const char *what;
    const Elf64_Phdr *segments[SEGMENTS_MAX];
    struct sy_code code[3]; /* of binary 2, but where it says otherwise */
    uint32_t section_type;
    uint64_t offset;
    uint64_t vaddr; /* 0: there is none */
} rows[] = {
    {"a whole file", {&bfd, &data}, {{0}}, SHT_PROGBITS, 0x1010, 0x401010},
    {"before the code", {&bfd, &data}, {{0}}, SHT_PROGBITS, 0xfff, 0},
    {"the last byte", {&bfd, &data}, {{0}}, SHT_PROGBITS, 0x2228, 0x402228},
    {"after the code", {&bfd, &data}, {{0}}, SHT_PROGBITS, 0x2229, 0},
    {"bfd", {&bfd_debug, &data}, {{0x1000, 0x2000, 2}}, SHT_NOBITS, 0x1010, 0x401010},
    /* 0x1770 up to 0x29c0 is two pages, which lld takes from the file's first. */
    {"lld", {&lld_debug, &data}, {{0, 0x2000, 2}}, SHT_NOBITS, 0x780, 0x1780},
    {"in parts, and whole",
     {&bfd_debug, &data},
     {{0x1000, 0x1000, 2}, {0x2000, 0x1000, 2}, {0x1000, 0x2000, 2}},
     SHT_NOBITS,
     0x2010,
     0x402010},
    {"nothing mapped", {&bfd_debug, &data}, {{0}}, SHT_NOBITS, 0x1010, 0},
    {"another size", {&bfd_debug, &data}, {{0x1000, 0x3000, 2}}, SHT_NOBITS, 0x1010, 0},
    {"another binary", {&bfd_debug, &data}, {{0x1000, 0x2000, 3}}, SHT_NOBITS, 0x1010, 0},
    {"no page's start", {&bfd_debug, &data}, {{0x1010, 0x2000, 2}}, SHT_NOBITS, 0x1020, 0},
    {"two that could be", {&bfd_debug, &lld_debug}, {{0, 0x2000, 2}}, SHT_NOBITS, 0x780, 0},
    {"two mappings that overlap",
     {&bfd_debug, &data},
     {{0x1000, 0x2000, 2}, {0x2000, 0x2000, 2}},
     SHT_NOBITS,
     0x1010,
     0},
    {"no code", {&data, &data}, {{0, 0x2000, 2}}, SHT_NOBITS, 0x10, 0},
};

START_TEST(an_offset_has_the_linkers_address_or_none) {
    for (size_t i = 0; i < SY_ARRAY_COUNT(rows); i++) {
        struct image image;
        struct sy_layout layout;
        struct sy_profile profile;
        struct sy_error err;
        uint64_t vaddr = 0;
        ck_assert(sy_profile_init(&profile, &err));
        for (size_t at = 0; at < SY_ARRAY_COUNT(rows[i].code); at++) {
            note_code(&profile, rows[i].code[at].file_offset, rows[i].code[at].code_bytes,
                      rows[i].code[at].binary_idx);
        }
        Elf *const elf = elf_of(&image, rows[i].segments, SEGMENTS_MAX, rows[i].section_type);
        const bool is_known = sy_layout_init(&layout, elf, &profile, 2) &&
                              sy_layout_find(&layout, rows[i].offset, &vaddr);
        ck_assert_msg(is_known == (rows[i].vaddr != 0), "%s", rows[i].what);
        ck_assert_msg(vaddr == rows[i].vaddr, "%s: 0x%llx", rows[i].what,
                      (unsigned long long)vaddr);
        sy_layout_fini(&layout);
        elf_end(elf);
        sy_profile_fini(&profile);
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("layout");

    tcase_add_test(tcase, an_offset_has_the_linkers_address_or_none);
    return suite_run(tcase, "layout", 30);
}
