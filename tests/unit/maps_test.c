/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   every address of the process is found in its mapping, by the address its file knows it
 *         by and with the file's build id; and a mapped file that is no sound ELF file is only a
 *         file.
 * Method: the loader knows the same and is asked. The unsound files are written and mapped here.
 */
#include "prof/maps.h"

#include "tests/support/suite.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct pf_maps maps;

static int check_object(struct dl_phdr_info *info, size_t info_bytes, void *arg) {
    (void)info_bytes;
    for (size_t idx = 0; idx < info->dlpi_phnum; idx++) {
        const ElfW(Phdr) *const header = &info->dlpi_phdr[idx];
        if (header->p_type != PT_LOAD || (header->p_flags & PF_X) == 0) {
            continue;
        }
        const uintptr_t addr = info->dlpi_addr + header->p_vaddr + header->p_memsz / 2;
        const struct pf_mapping *const mapping = pf_maps_find(&maps, addr);
        ck_assert_msg(mapping != NULL && mapping->is_code, "%s", info->dlpi_name);
        ck_assert_uint_eq(pf_maps_link_addr(&maps, mapping, addr), addr - info->dlpi_addr);
        ck_assert_uint_gt(mapping->build_id_bytes, 0);
        ++*(int *)arg;
    }
    return 0;
}

START_TEST(an_address_is_found_as_its_file_knows_it) {
    int object_count = 0;

    ck_assert(pf_maps_read(&maps));
    pf_maps_find_build_ids(&maps);
    ck_assert_int_eq(dl_iterate_phdr(check_object, &object_count), 0);
    ck_assert_int_ge(object_count, 3); /* the program, the C library, the loader */
    pf_maps_fini(&maps);
}
END_TEST

START_TEST(mappings_are_sorted_and_end_where_they_end) {
    ck_assert(pf_maps_read(&maps));
    ck_assert_uint_gt(maps.entry_count, 10);
    for (size_t idx = 0; idx < maps.entry_count; idx++) {
        const struct pf_mapping *const entry = &maps.entries[idx];
        ck_assert_uint_lt(entry->start, entry->limit);
        ck_assert(idx == 0 || maps.entries[idx - 1].limit <= entry->start);
        ck_assert_ptr_eq(pf_maps_find(&maps, entry->start), entry);
        ck_assert_ptr_eq(pf_maps_find(&maps, entry->limit - 1), entry);
        ck_assert_ptr_ne(pf_maps_find(&maps, entry->limit), entry);
    }
    ck_assert_ptr_null(pf_maps_find(&maps, 1));
    pf_maps_fini(&maps);
    ck_assert_ptr_null(pf_maps_find(&maps, (uintptr_t)&maps));
}
END_TEST

/* Maps a file of one page that begins with these headers, as code. */
static char *map_file(const Elf64_Ehdr *head, const Elf64_Phdr *header) {
    char path[] = "/tmp/tally_maps.XXXXXX";
    const int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, 4096), 0);
    ck_assert_int_eq(pwrite(fd, head, sizeof(*head), 0), (ssize_t)sizeof(*head));
    ck_assert_int_eq(pwrite(fd, header, sizeof(*header), sizeof(*head)), (ssize_t)sizeof(*header));
    char *const page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    (void)close(fd);
    (void)unlink(path);
    return page;
}

START_TEST(files_that_are_not_sound_have_no_build_id) {
    static const Elf64_Phdr headers[] = {
        {.p_type = PT_NOTE, .p_memsz = 0},
        {.p_type = PT_NOTE, .p_vaddr = 1 << 20, .p_memsz = 64}, /* beyond what is mapped */
        {.p_type = PT_NOTE, .p_vaddr = 0, .p_memsz = UINT64_MAX},
        {.p_type = PT_LOAD, .p_vaddr = UINT64_MAX, .p_offset = 0, .p_filesz = UINT64_MAX},
    };
    static const uint16_t counts[] = {0, 1, 64, UINT16_MAX};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(headers) * AL_ARRAY_COUNT(counts); idx++) {
        Elf64_Ehdr head = {.e_phoff = sizeof(head),
                           .e_phentsize = sizeof(Elf64_Phdr),
                           .e_phnum = counts[idx % AL_ARRAY_COUNT(counts)]};
        memcpy(head.e_ident, ELFMAG, SELFMAG);
        char *const page = map_file(&head, &headers[idx / AL_ARRAY_COUNT(counts)]);
        ck_assert(pf_maps_read(&maps));
        pf_maps_find_build_ids(&maps);
        const struct pf_mapping *const mapping = pf_maps_find(&maps, (uintptr_t)page);
        ck_assert_ptr_nonnull(mapping);
        ck_assert_uint_eq(mapping->build_id_bytes, 0);
        (void)pf_maps_link_addr(&maps, mapping, (uintptr_t)page + 100);
        pf_maps_fini(&maps);
        ck_assert_int_eq(munmap(page, 4096), 0);
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("maps");

    tcase_add_test(tcase, an_address_is_found_as_its_file_knows_it);
    tcase_add_test(tcase, mappings_are_sorted_and_end_where_they_end);
    tcase_add_test(tcase, files_that_are_not_sound_have_no_build_id);
    return suite_run(tcase, "maps", 30);
}
