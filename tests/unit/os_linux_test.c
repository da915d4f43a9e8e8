/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   each question for memory is answered as os.h says, refusals too, and errno is never
 * touched. Method: what is mapped is counted by the kernel (/proc/self/statm) and looked at page by
 * page; refusals are provoked by addresses there cannot be, by al_os_fail_after, and by functions
 *         that stand in for the C library's (--wrap).
 */
#include "alloc/os.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PAGES = 8,
    BYTES = PAGES * AL_PAGE_BYTES,
    ERRNO_MARK = 4711, /* nobody's: what errno must still be */
};

/* No process has memory here: above what user space may use. */
#define NOWHERE ((void *)(uintptr_t)0x7ffffffff000ULL)

void *__real_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t bytes);
int __wrap_munmap(void *addr, size_t bytes);

static bool is_ignoring_hints; /* mmap as before Linux 4.17, which did not know NOREPLACE */
static bool is_refusing_unmap; /* as of a process with as many mappings as it may have */

void *__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset) {
    return __real_mmap(is_ignoring_hints ? NULL : addr, bytes, prot,
                       is_ignoring_hints ? flags & ~MAP_FIXED_NOREPLACE : flags, fd, offset);
}

int __wrap_munmap(void *addr, size_t bytes) {
    if (is_refusing_unmap) {
        errno = ENOMEM;
        return -1;
    }
    return __real_munmap(addr, bytes);
}

static void setup(void) {
    (void)al_os_fail_after(0, false);
    errno = ERRNO_MARK;
}

static void teardown(void) {
    ck_assert_int_eq(errno, ERRNO_MARK);
}

/* Pages of address space the process has. Keeps errno. */
static size_t space_pages(void) {
    const int saved_errno = errno;
    char text[64] = "";
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
    (void)close(fd);
    errno = saved_errno;
    return strtoull(text, NULL, 10);
}

static bool is_zero(const char *bytes, size_t count) {
    for (size_t at = 0; at < count; at++) {
        if (bytes[at] != 0) {
            return false;
        }
    }
    return true;
}

static char *map(size_t bytes) {
    char *const ptr = al_os_map(NULL, bytes);

    ck_assert_ptr_nonnull(ptr);
    return ptr;
}

/* Whether a range has pages that can be read, by asking the kernel about each. */
static bool is_readable(const char *ptr, size_t bytes) {
    for (size_t at = 0; at < bytes; at += AL_PAGE_BYTES) {
        if (!al_os_is_readable(ptr + at)) {
            return false;
        }
    }
    return true;
}

START_TEST(memory_comes_zeroed_and_goes) {
    const size_t pages = space_pages();
    char *const ptr = map(BYTES);

    ck_assert_uint_eq((uintptr_t)ptr % AL_PAGE_BYTES, 0);
    ck_assert(is_zero(ptr, BYTES));
    memset(ptr, 1, BYTES);
    ck_assert_uint_eq(space_pages(), pages + PAGES);
    ck_assert(al_os_unmap(ptr, BYTES));
    ck_assert_uint_eq(space_pages(), pages);
    ck_assert(!al_os_is_readable(ptr));
    is_refusing_unmap = true;
    ck_assert(!al_os_unmap(ptr, BYTES));
    is_refusing_unmap = false;
}
END_TEST

START_TEST(a_hint_is_obeyed_or_refused) {
    char *const ptr = map(3 * (size_t)BYTES);

    ck_assert_ptr_null(al_os_map(ptr, BYTES)); /* taken */
    ck_assert(al_os_unmap(ptr + BYTES, BYTES));
    ck_assert_ptr_null(al_os_map(ptr + BYTES, 2 * (size_t)BYTES)); /* taken in part */
    ck_assert_ptr_eq(al_os_map(ptr + BYTES, BYTES), ptr + BYTES);
    ck_assert(al_os_unmap(ptr + BYTES, BYTES));
    is_ignoring_hints = true;
    const size_t pages = space_pages();
    ck_assert_ptr_null(al_os_map((void *)(uintptr_t)0x10000, BYTES));
    ck_assert_uint_eq(space_pages(), pages); /* what came instead is gone again */
    is_ignoring_hints = false;
    ck_assert(al_os_unmap(ptr, 3 * (size_t)BYTES));
}
END_TEST

START_TEST(what_no_machine_has_is_refused) {
    const size_t bytes = (size_t)1 << 60;

    ck_assert_ptr_null(al_os_map(NULL, bytes));
    ck_assert_ptr_null(al_os_map_aligned(bytes, bytes));
    ck_assert_ptr_null(al_os_reserve(bytes));
    ck_assert(!al_os_commit(NOWHERE, BYTES));
    ck_assert(!al_os_purge(NOWHERE, BYTES));
    ck_assert(!al_os_purge_lazy(NOWHERE, BYTES));
    ck_assert(!al_os_resize(NOWHERE, BYTES, 2 * (size_t)BYTES));
    al_os_huge(NOWHERE, BYTES);
    al_os_no_huge(NOWHERE, BYTES);
}
END_TEST

/* `_i`: lg of the alignment. Nothing is left of what was mapped to find such a place. */
START_TEST(an_aligned_place_is_cut_to_size) {
    const size_t align_bytes = (size_t)1 << _i;
    const size_t pages = space_pages();
    char *ptrs[4];

    for (size_t n = 0; n < AL_ARRAY_COUNT(ptrs); n++) {
        const size_t bytes = (n + 1) * (size_t)BYTES + AL_PAGE_BYTES;
        ptrs[n] = al_os_map_aligned(bytes, align_bytes);
        ck_assert_ptr_nonnull(ptrs[n]);
        ck_assert_uint_eq((uintptr_t)ptrs[n] % align_bytes, 0);
        memset(ptrs[n], 1, bytes);
    }
    ck_assert_uint_eq(space_pages(), pages + 10 * PAGES + 4);
    for (size_t n = 0; n < AL_ARRAY_COUNT(ptrs); n++) {
        ck_assert(al_os_unmap(ptrs[n], (n + 1) * (size_t)BYTES + AL_PAGE_BYTES));
    }
    ck_assert_uint_eq(space_pages(), pages);
}
END_TEST

/* A second call is needed for all but one in 2^18 of such places. */
START_TEST(a_failure_on_the_way_to_an_aligned_place_leaves_nothing) {
    const size_t pages = space_pages();

    for (uint64_t nth = 1; nth <= 2; nth++) {
        (void)al_os_fail_after(nth, false);
        ck_assert_ptr_null(al_os_map_aligned(BYTES, (size_t)1 << 30));
        ck_assert_uint_eq(al_os_fail_after(0, false), nth);
        ck_assert_uint_eq(space_pages(), pages);
    }
}
END_TEST

START_TEST(reserved_space_is_nobodys_until_committed) {
    char *const ptr = al_os_reserve(BYTES);

    ck_assert_ptr_nonnull(ptr);
    ck_assert(!al_os_is_readable(ptr));
    ck_assert(al_os_commit(ptr + AL_PAGE_BYTES, AL_PAGE_BYTES));
    ck_assert(!al_os_is_readable(ptr));
    ck_assert(!al_os_is_readable(ptr + 2 * (size_t)AL_PAGE_BYTES));
    ck_assert(is_zero(ptr + AL_PAGE_BYTES, AL_PAGE_BYTES));
    memset(ptr + AL_PAGE_BYTES, 1, AL_PAGE_BYTES);
    ck_assert(al_os_unmap(ptr, BYTES));
    ck_assert(!al_os_commit(ptr, BYTES));
}
END_TEST

START_TEST(purged_pages_read_as_zero) {
    char *const ptr = map(BYTES);

    memset(ptr, 1, BYTES);
    ck_assert(al_os_purge(ptr + AL_PAGE_BYTES, 2 * (size_t)AL_PAGE_BYTES));
    ck_assert_int_eq(ptr[AL_PAGE_BYTES - 1], 1);
    ck_assert(is_zero(ptr + AL_PAGE_BYTES, 2 * (size_t)AL_PAGE_BYTES));
    ck_assert_int_eq(ptr[3 * AL_PAGE_BYTES], 1);
    ck_assert(al_os_unmap(ptr, BYTES));
}
END_TEST

START_TEST(locked_pages_are_not_purged) {
    char *const ptr = map(AL_PAGE_BYTES);

    memset(ptr, 1, AL_PAGE_BYTES);
    /* By number: sanitizers make the function do nothing. RLIMIT_MEMLOCK may be 0. */
    if (syscall(SYS_mlock, ptr, (size_t)AL_PAGE_BYTES) == 0) {
        ck_assert(!al_os_purge(ptr, AL_PAGE_BYTES));
        ck_assert(!al_os_purge_lazy(ptr, AL_PAGE_BYTES));
        ck_assert_int_eq(syscall(SYS_munlock, ptr, (size_t)AL_PAGE_BYTES), 0);
    }
    errno = ERRNO_MARK;
    ck_assert(al_os_purge(ptr, AL_PAGE_BYTES));
    ck_assert(is_zero(ptr, AL_PAGE_BYTES));
    ck_assert(al_os_unmap(ptr, AL_PAGE_BYTES));
}
END_TEST

/* Until they are written again, each page is what it was or zero. */
START_TEST(lazily_purged_pages_may_still_be_there) {
    char *const ptr = map(BYTES);

    memset(ptr, 1, BYTES);
    ck_assert_int_eq(al_os_purge_lazy(ptr, BYTES), al_os_is_linux(4, 5));
    for (size_t at = 0; at < BYTES; at += AL_PAGE_BYTES) {
        const char first = ptr[at];
        ck_assert(first == 0 || first == 1);
        ptr[at] = 2;
        ck_assert_int_eq(ptr[at], 2);
    }
    ck_assert(al_os_unmap(ptr, BYTES));
}
END_TEST

START_TEST(a_mapping_changes_its_size_in_place) {
    char *const ptr = map(2 * (size_t)BYTES);

    memset(ptr, 1, 2 * (size_t)BYTES);
    ck_assert(al_os_resize(ptr, 2 * (size_t)BYTES, BYTES));
    ck_assert(!al_os_is_readable(ptr + BYTES));
    ck_assert(al_os_resize(ptr, BYTES, 2 * (size_t)BYTES)); /* room that was just given up */
    ck_assert_int_eq(ptr[BYTES - 1], 1);
    ck_assert(is_zero(ptr + BYTES, BYTES));
    ck_assert(al_os_resize(ptr, 2 * (size_t)BYTES, BYTES));
    char *const wall = al_os_map(ptr + BYTES, AL_PAGE_BYTES);
    ck_assert_ptr_nonnull(wall);
    wall[0] = 3;
    ck_assert(!al_os_resize(ptr, BYTES, 2 * (size_t)BYTES));
    ck_assert_int_eq(ptr[0], 1);
    ck_assert_int_eq(wall[0], 3);
    ck_assert(al_os_unmap(ptr, BYTES));
    ck_assert(al_os_unmap(wall, AL_PAGE_BYTES));
}
END_TEST

START_TEST(pages_move_without_a_copy) {
    char *const from = map(BYTES);
    char *const to = map(BYTES);
    const size_t pages = space_pages();

    for (size_t at = 0; at < BYTES; at++) {
        from[at] = (char)(at * 7 + at / AL_PAGE_BYTES);
    }
    memset(to, 9, BYTES);
    const enum al_os_moved moved = al_os_move(from, to, BYTES);
    if (al_os_is_linux(5, 7)) {
        ck_assert_int_eq(moved, AL_OS_MOVED);
        for (size_t at = 0; at < BYTES; at++) {
            ck_assert_int_eq(to[at], (char)(at * 7 + at / AL_PAGE_BYTES));
        }
        ck_assert(is_zero(from, BYTES));
        ck_assert_uint_eq(space_pages(), pages);
    } else {
        ck_assert_int_ne(moved, AL_OS_MOVED);
    }
    ck_assert(al_os_unmap(from, BYTES));
    ck_assert(al_os_unmap(to, BYTES));
}
END_TEST

START_TEST(a_move_that_is_refused_keeps_the_source) {
    char *const from = map(BYTES);
    char *const to = map(BYTES);

    memset(from, 1, BYTES);
    (void)al_os_fail_after(1, false);
    ck_assert_int_eq(al_os_move(from, to, BYTES), AL_OS_STAYED);
    ck_assert_int_eq(from[BYTES - 1], 1);
    ck_assert(is_readable(to, BYTES));
    const enum al_os_moved moved = al_os_move(NOWHERE, to, BYTES);
    ck_assert_int_ne(moved, AL_OS_MOVED);
    if (moved == AL_OS_STAYED) {
        ck_assert(is_readable(to, BYTES));
    }
    ck_assert(al_os_unmap(from, BYTES));
    ck_assert(al_os_unmap(to, BYTES));
}
END_TEST

START_TEST(what_can_be_read_is_told_by_eight_bytes) {
    char *const ptr = map(2 * (size_t)AL_PAGE_BYTES);
    sigset_t before;
    sigset_t after;

    (void)sigprocmask(SIG_SETMASK, NULL, &before);
    ck_assert_int_eq(mprotect(ptr + AL_PAGE_BYTES, AL_PAGE_BYTES, PROT_NONE), 0);
    memset(ptr, 0xff, AL_PAGE_BYTES); /* as a signal mask: all blocked */
    ck_assert(al_os_is_readable(ptr));
    ck_assert(al_os_is_readable(ptr + AL_PAGE_BYTES - 8));
    ck_assert(!al_os_is_readable(ptr + AL_PAGE_BYTES - 7));
    ck_assert(!al_os_is_readable(ptr + AL_PAGE_BYTES));
    ck_assert(!al_os_is_readable((const void *)(uintptr_t)8));
    ck_assert(!al_os_is_readable(NOWHERE));
    ck_assert(!al_os_is_readable((const void *)UINTPTR_MAX));
    ck_assert(!al_os_is_readable((const void *)(uintptr_t)0xffff800000000000));
    (void)sigprocmask(SIG_SETMASK, NULL, &after);
    ck_assert_mem_eq(&before, &after, sizeof(unsigned long));
    ck_assert(al_os_unmap(ptr, 2 * (size_t)AL_PAGE_BYTES));
}
END_TEST

/* Every call that asks for memory, in turn, with the answer it gives when it fails. */
static bool ask(int which, char *ptr, char *to) {
    switch (which) {
    case 0:
        return al_os_map(NULL, BYTES) != NULL;
    case 1:
        return al_os_reserve(BYTES) != NULL;
    case 2:
        return al_os_commit(ptr, BYTES);
    case 3:
        return al_os_resize(ptr, BYTES, BYTES);
    default:
        return al_os_move(ptr, to, BYTES) == AL_OS_MOVED || !al_os_is_linux(5, 7);
    }
}

START_TEST(tests_choose_which_call_fails) {
    enum { ASK_COUNT = 5 };
    char *const ptr = map(BYTES);
    char *const to = map(BYTES);

    for (int nth = 1; nth <= ASK_COUNT; nth++) {
        (void)al_os_fail_after((uint64_t)nth, false);
        for (int which = 0; which < ASK_COUNT; which++) {
            ck_assert_int_eq(ask(which, ptr, to), which + 1 != nth);
        }
        ck_assert_uint_eq(al_os_fail_after((uint64_t)nth, true), ASK_COUNT);
        for (int which = 0; which < ASK_COUNT; which++) {
            ck_assert_int_eq(ask(which, ptr, to), which + 1 < nth);
        }
        ck_assert_uint_eq(al_os_fail_after(0, false), ASK_COUNT);
        ck_assert(ask(0, ptr, to));
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("os_linux");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, memory_comes_zeroed_and_goes);
    tcase_add_test(tcase, a_hint_is_obeyed_or_refused);
    tcase_add_test(tcase, what_no_machine_has_is_refused);
    tcase_add_loop_test(tcase, an_aligned_place_is_cut_to_size, AL_PAGE_LG, 31);
    tcase_add_test(tcase, a_failure_on_the_way_to_an_aligned_place_leaves_nothing);
    tcase_add_test(tcase, reserved_space_is_nobodys_until_committed);
    tcase_add_test(tcase, purged_pages_read_as_zero);
    tcase_add_test(tcase, locked_pages_are_not_purged);
    tcase_add_test(tcase, lazily_purged_pages_may_still_be_there);
    tcase_add_test(tcase, a_mapping_changes_its_size_in_place);
    tcase_add_test(tcase, pages_move_without_a_copy);
    tcase_add_test(tcase, a_move_that_is_refused_keeps_the_source);
    tcase_add_test(tcase, what_can_be_read_is_told_by_eight_bytes);
    tcase_add_test(tcase, tests_choose_which_call_fails);
    return suite_run(tcase, "os_linux", 60);
}
