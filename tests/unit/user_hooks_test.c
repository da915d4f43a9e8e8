/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   an arena with extent hooks lives in the program's memory alone, asks for it as jemalloc's
 *         contract says, and gives it back.
 * Method: hooks that hand out pieces of one reservation and keep books; refusals of each hook; zero
 * and commit flags; wrapping the default table.
 */
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/os.h"
#include "alloc/thread.h"
#include "alloc/user_hooks.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

enum { TCACHE_NONE = 1 << 8, SPACE_BYTES = 512 << 20, ZEROED = 0x40 };

/* The program's side: a bump pointer, and what it was asked for. */
static struct {
    char *space;
    size_t used_bytes;
    size_t out_bytes; /* given and not taken back */
    unsigned alloc_count, dalloc_count, destroy_count, commit_count, purge_count, lazy_count;
    unsigned arena_idx; /* as told last */
    bool is_refusing, keeps, gives_dirty, gives_uncommitted, refuses_commit, refuses_purge;
} user;

static struct al_user_hooks hooks;

static bool is_inside(const void *ptr, size_t bytes) {
    return (const char *)ptr >= user.space && (const char *)ptr + bytes <= user.space + SPACE_BYTES;
}

static void *user_alloc(struct al_user_hooks *table, void *new_addr, size_t size_bytes,
                        size_t align_bytes, bool *is_zeroed, bool *is_committed,
                        unsigned arena_idx) {
    ck_assert_ptr_eq(table, &hooks);
    ck_assert_ptr_null(new_addr);
    ck_assert(align_bytes >= AL_PAGE_BYTES && (align_bytes & (align_bytes - 1)) == 0);
    ck_assert_uint_eq(size_bytes % AL_PAGE_BYTES, 0);
    user.arena_idx = arena_idx;
    const uintptr_t next = (uintptr_t)user.space + user.used_bytes;
    const uintptr_t base = (next + align_bytes - 1) & ~(uintptr_t)(align_bytes - 1);
    if (user.is_refusing || base + size_bytes > (uintptr_t)user.space + SPACE_BYTES) {
        return NULL;
    }
    user.alloc_count++;
    user.used_bytes = base + size_bytes - (uintptr_t)user.space;
    user.out_bytes += size_bytes;
    if (user.gives_dirty) {
        memset((void *)base, 0xee, size_bytes < 1 << 20 ? size_bytes : 1 << 20);
    }
    *is_zeroed = !user.gives_dirty;
    *is_committed = !user.gives_uncommitted;
    return (void *)base;
}

static bool user_dalloc(struct al_user_hooks *table, void *ptr, size_t size_bytes,
                        bool is_committed, unsigned arena_idx) {
    ck_assert(table == &hooks && is_committed && arena_idx == user.arena_idx);
    ck_assert(is_inside(ptr, size_bytes));
    user.dalloc_count++;
    user.out_bytes -= user.keeps ? 0 : size_bytes;
    return user.keeps;
}

static void user_destroy(struct al_user_hooks *table, void *ptr, size_t size_bytes,
                         bool is_committed, unsigned arena_idx) {
    ck_assert(table == &hooks && is_committed && arena_idx == user.arena_idx);
    ck_assert(is_inside(ptr, size_bytes));
    user.destroy_count++;
    user.out_bytes -= size_bytes;
}

static bool user_commit(struct al_user_hooks *table, void *ptr, size_t size_bytes,
                        size_t offset_bytes, size_t length_bytes, unsigned arena_idx) {
    ck_assert(table == &hooks && arena_idx == user.arena_idx);
    ck_assert(is_inside(ptr, size_bytes) && offset_bytes + length_bytes <= size_bytes);
    user.commit_count++;
    return user.refuses_commit;
}

static bool user_purge(struct al_user_hooks *table, void *ptr, size_t size_bytes,
                       size_t offset_bytes, size_t length_bytes, unsigned arena_idx) {
    ck_assert(table == &hooks && arena_idx == user.arena_idx);
    ck_assert(is_inside(ptr, size_bytes) && offset_bytes + length_bytes <= size_bytes);
    user.purge_count++;
    if (!user.refuses_purge) {
        memset((char *)ptr + offset_bytes, 0, length_bytes);
    }
    return user.refuses_purge;
}

static bool user_purge_lazy(struct al_user_hooks *table, void *ptr, size_t size_bytes,
                            size_t offset_bytes, size_t length_bytes, unsigned arena_idx) {
    user.lazy_count++;
    ck_assert(table == &hooks && arena_idx == user.arena_idx);
    ck_assert(is_inside(ptr, size_bytes) && offset_bytes + length_bytes <= size_bytes);
    return false;
}

static void set_up(void) {
    memset(&user, 0, sizeof(user));
    user.space = al_os_map(NULL, SPACE_BYTES);
    ck_assert_ptr_nonnull(user.space);
    hooks = (struct al_user_hooks){.alloc = user_alloc,
                                   .dalloc = user_dalloc,
                                   .destroy = user_destroy,
                                   .commit = user_commit,
                                   .purge_lazy = user_purge_lazy,
                                   .purge_forced = user_purge};
}

static void tear_down(void) {
    ck_assert(al_os_unmap(user.space, SPACE_BYTES));
}

static int create(unsigned *arena_idx) {
    struct al_user_hooks *table = &hooks;
    size_t arena_idx_bytes = sizeof(*arena_idx);

    return mallctl("arenas.create", arena_idx, &arena_idx_bytes, (void *)&table, sizeof(table));
}

static int in_arena(unsigned arena_idx) {
    return (int)((arena_idx + 1) << 20) | TCACHE_NONE;
}

START_TEST(all_memory_is_the_programs) {
    static const size_t sizes[] = {1, 1000, 65536, 300000, 5 << 20, 50 << 20};
    void *ptrs[6][8];
    unsigned arena_idx = 0;

    ck_assert_int_eq(create(&arena_idx), 0);
    ck_assert_uint_eq(user.arena_idx, arena_idx);
    ck_assert_uint_ge(user.alloc_count, 1); /* asked at once, as jemalloc does */
    for (size_t idx = 0; idx < 6; idx++) {
        for (size_t n = 0; n < (idx < 5 ? 8U : 2U); n++) {
            ptrs[idx][n] = al_mallocx(sizes[idx], in_arena(arena_idx));
            ck_assert_ptr_nonnull(ptrs[idx][n]);
            ck_assert(is_inside(ptrs[idx][n], sizes[idx]));
            memset(ptrs[idx][n], 7, sizes[idx]);
        }
    }
    void *const aligned = al_mallocx(100, in_arena(arena_idx) | 21); /* 2 MiB */
    ck_assert_uint_eq((uintptr_t)aligned % (2 << 20), 0);
    ck_assert(is_inside(aligned, 100));
    void *const grown = al_rallocx(ptrs[4][0], 9 << 20, in_arena(arena_idx));
    ck_assert(is_inside(grown, 9 << 20));
    ck_assert_int_eq(((char *)grown)[(5 << 20) - 1], 7);
    ptrs[4][0] = grown;
    al_audit_all();
    for (size_t idx = 0; idx < 6; idx++) {
        for (size_t n = 0; n < (idx < 5 ? 8U : 2U); n++) {
            al_dallocx(ptrs[idx][n], TCACHE_NONE);
        }
    }
    al_dallocx(aligned, TCACHE_NONE);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.purge", arena_idx)), 0);
    ck_assert_uint_eq(user.out_bytes, 0); /* each gift is free as a whole, and goes back */
    al_audit_all();
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), 0);
    ck_assert_uint_eq(user.out_bytes, 0);
}
END_TEST

START_TEST(what_is_kept_is_purged_used_again_and_destroyed) {
    unsigned arena_idx = 0;

    user.keeps = true;
    ck_assert_int_eq(create(&arena_idx), 0);
    for (int round = 0; round < 3; round++) {
        char *const ptr = al_mallocx(1 << 20, in_arena(arena_idx) | ZEROED);
        ck_assert_ptr_nonnull(ptr);
        for (size_t at = 0; at < 1 << 20; at += 512) {
            ck_assert_int_eq(ptr[at], 0);
        }
        memset(ptr, 3, 1 << 20);
        al_dallocx(ptr, TCACHE_NONE);
        ck_assert_int_eq(ctl_do(ctl_name("arena.%u.purge", arena_idx)), 0);
    }
    ck_assert_uint_ge(user.dalloc_count, 1); /* asked, refused */
    ck_assert_uint_ge(user.purge_count, 3);
    ck_assert_uint_eq(user.alloc_count, 1);
    ck_assert_uint_gt(user.out_bytes, 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), 0);
    ck_assert_uint_eq(user.destroy_count, 1);
    ck_assert_uint_eq(user.out_bytes, 0);
}
END_TEST

START_TEST(memory_that_is_dirty_or_uncommitted_is_taken_as_such) {
    unsigned arena_idx = 0;

    user.gives_dirty = true;
    user.gives_uncommitted = true;
    ck_assert_int_eq(create(&arena_idx), 0);
    ck_assert_uint_ge(user.commit_count, 1);
    for (size_t size_bytes = 64; size_bytes <= 1 << 20; size_bytes *= 4) {
        char *const ptr = al_mallocx(size_bytes, in_arena(arena_idx) | ZEROED);
        ck_assert_ptr_nonnull(ptr);
        for (size_t at = 0; at < size_bytes; at++) {
            ck_assert_int_eq(ptr[at], 0);
        }
    }
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), 0);
    ck_assert_uint_eq(user.out_bytes, 0);

    user.refuses_commit = true;
    ck_assert_int_eq(create(&arena_idx), EAGAIN);
    ck_assert_uint_eq(user.out_bytes, 0);
    user.refuses_commit = false;
    hooks.commit = NULL;
    ck_assert_int_eq(create(&arena_idx), EAGAIN);
    ck_assert_uint_eq(user.out_bytes, 0);
}
END_TEST

START_TEST(refusals_change_nothing) {
    unsigned arena_idx = 0;
    unsigned again_idx = 0;
    void *held[64];
    size_t count = 0;

    user.is_refusing = true;
    ck_assert_int_eq(create(&arena_idx), EAGAIN);
    user.is_refusing = false;
    ck_assert_int_eq(create(&arena_idx), 0);
    user.is_refusing = true;
    while (count < 64) {
        held[count] = al_mallocx(1 << 20, in_arena(arena_idx));
        if (held[count] == NULL) {
            break;
        }
        count++;
    }
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_lt(count, 64);
    ck_assert_ptr_null(al_mallocx(64 << 20, in_arena(arena_idx)));
    ck_assert_ptr_nonnull(al_malloc(1 << 20)); /* other arenas have theirs */
    user.refuses_purge = true;
    user.keeps = true;
    while (count > 0) {
        al_dallocx(held[--count], TCACHE_NONE);
    }
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.purge", arena_idx)), 0);
    ck_assert_ptr_nonnull(al_mallocx(1 << 20, in_arena(arena_idx)));
    al_audit_all();
    hooks.destroy = NULL;
    hooks.dalloc = NULL;
    hooks.purge_forced = NULL;
    hooks.purge_lazy = NULL;
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.purge", arena_idx)), 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), 0);
    user.is_refusing = false;
    ck_assert_int_eq(create(&again_idx), 0);
    ck_assert_uint_eq(again_idx, arena_idx);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), 0);
}
END_TEST

START_TEST(muzzy_decay_asks_for_lazy_purging) {
    const ssize_t muzzy_ms = 100000;
    const ssize_t dirty_ms = 0;
    unsigned arena_idx = 0;

    ck_assert_int_eq(create(&arena_idx), 0);
    ck_assert_int_eq(
        ctl_write(ctl_name("arena.%u.muzzy_decay_ms", arena_idx), &muzzy_ms, sizeof(muzzy_ms)), 0);
    ck_assert_int_eq(
        ctl_write(ctl_name("arena.%u.dirty_decay_ms", arena_idx), &dirty_ms, sizeof(dirty_ms)), 0);
    al_dallocx(al_mallocx(1 << 20, in_arena(arena_idx)), TCACHE_NONE);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.decay", arena_idx)), 0);
    ck_assert_uint_ge(user.lazy_count, 1);
    ck_assert_uint_eq(user.purge_count, 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), 0);
}
END_TEST

static unsigned wrapped_count;

static void *wrap_alloc(struct al_user_hooks *table, void *new_addr, size_t size_bytes,
                        size_t align_bytes, bool *is_zeroed, bool *is_committed,
                        unsigned arena_idx) {
    (void)table;
    wrapped_count++;
    return al_user_hooks_default.alloc(&al_user_hooks_default, new_addr, size_bytes, align_bytes,
                                       is_zeroed, is_committed, arena_idx);
}

/* As programs do it: read the table, replace one function, write it. */
START_TEST(the_default_table_may_be_wrapped) {
    unsigned arena_idx = ctl_unsigned("arenas.create");
    struct al_user_hooks *table = NULL;
    size_t table_bytes = sizeof(table);
    char name[128];

    snprintf(name, sizeof(name), "%s", ctl_name("arena.%u.extent_hooks", arena_idx));
    ck_assert_int_eq(mallctl(name, (void *)&table, &table_bytes, NULL, 0), 0);
    ck_assert_ptr_eq(table, &al_user_hooks_default);
    void *const before = al_mallocx(1 << 20, in_arena(arena_idx));
    static struct al_user_hooks wrapped;
    wrapped = *table;
    wrapped.alloc = wrap_alloc;
    table = &wrapped;
    ck_assert_int_eq(ctl_write(name, (void *)&table, sizeof(table)), 0);
    void *const after = al_mallocx(100 << 20, in_arena(arena_idx));
    ck_assert_ptr_nonnull(after);
    ck_assert_uint_ge(wrapped_count, 1);
    al_dallocx(before, TCACHE_NONE);
    al_dallocx(after, TCACHE_NONE);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.purge", arena_idx)), 0);
    table = NULL;
    ck_assert_int_eq(ctl_write(name, (void *)&table, sizeof(table)), EINVAL);
    ck_assert_int_eq(mallctl(name, (void *)&table, &table_bytes, NULL, 0), 0);
    ck_assert_ptr_eq(table, &wrapped);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), 0);
    ck_assert_int_eq(mallctl("arena.4096.extent_hooks", (void *)&table, &table_bytes, NULL, 0),
                     EFAULT);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("user_hooks");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, all_memory_is_the_programs);
    tcase_add_test(tcase, what_is_kept_is_purged_used_again_and_destroyed);
    tcase_add_test(tcase, memory_that_is_dirty_or_uncommitted_is_taken_as_such);
    tcase_add_test(tcase, refusals_change_nothing);
    tcase_add_test(tcase, muzzy_decay_asks_for_lazy_purging);
    tcase_add_test(tcase, the_default_table_may_be_wrapped);
    return suite_run(tcase, "user_hooks", 60);
}
