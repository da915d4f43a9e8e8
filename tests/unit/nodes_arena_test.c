/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   arena.<i>.* acts on the arena that is named and on no other, and a bad index or value
 *         says so and changes nothing.
 * Method: through mallctl, on arenas made for each test.
 */
#include "alloc/class.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/options.h"
#include "alloc/os.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <sys/types.h>

/* No arena: neither automatic, created, nor one of the special numbers. */
enum { NOBODY = 4000, ALL = 4096, NAME_BYTES = 32 };

static unsigned create(void) {
    unsigned arena_idx = 0;
    size_t arena_idx_bytes = sizeof(arena_idx);

    ck_assert_int_eq(mallctl("arenas.create", &arena_idx, &arena_idx_bytes, NULL, 0), 0);
    return arena_idx;
}

static ssize_t read_ms(const char *name) {
    ssize_t ms = 0;
    size_t ms_bytes = sizeof(ms);

    ck_assert_msg(mallctl(name, &ms, &ms_bytes, NULL, 0) == 0, "%s", name);
    return ms;
}

static size_t dirty_pages(unsigned arena_idx) {
    ctl_refresh();
    return ctl_size(ctl_name("stats.arenas.%u.pdirty", arena_idx));
}

/* Frees 8 blocks of 1 MiB in the arena, whose pages then are dirty. */
static void make_dirty(unsigned arena_idx) {
    const int flags = (int)(arena_idx + 1) << 20 | 1 << 8; /* no cache */
    void *blocks[8];

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(blocks); idx++) {
        blocks[idx] = al_mallocx(1 << 20, flags);
        ck_assert_ptr_nonnull(blocks[idx]);
        memset(blocks[idx], 1, 1 << 20);
    }
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(blocks); idx++) {
        al_dallocx(blocks[idx], flags);
    }
}

static unsigned create_that_keeps(void) {
    const unsigned arena_idx = create();
    const ssize_t for_good_ms = -1;

    ck_assert_int_eq(ctl_write(ctl_name("arena.%u.dirty_decay_ms", arena_idx), &for_good_ms,
                               sizeof(for_good_ms)),
                     0);
    return arena_idx;
}

START_TEST(a_purge_gives_all_of_this_arena_back) {
    const unsigned one_idx = create_that_keeps();
    const unsigned other_idx = create_that_keeps();

    make_dirty(one_idx);
    make_dirty(other_idx);
    const size_t other_pages = dirty_pages(other_idx);
    ck_assert_uint_ge(dirty_pages(one_idx), (8 << 20) / AL_PAGE_BYTES);
    ck_assert_uint_ge(other_pages, (8 << 20) / AL_PAGE_BYTES);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.purge", one_idx)), 0);
    ck_assert_uint_eq(dirty_pages(one_idx), 0);
    ck_assert_uint_eq(dirty_pages(other_idx), other_pages);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.purge", ALL)), 0);
    ck_assert_uint_eq(dirty_pages(other_idx), 0);
}
END_TEST

START_TEST(decay_gives_back_what_its_time_says) {
    const unsigned arena_idx = create_that_keeps();
    const ssize_t at_once_ms = 0;

    make_dirty(arena_idx);
    const size_t pages = dirty_pages(arena_idx);
    ck_assert_uint_gt(pages, 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.decay", arena_idx)), 0);
    ck_assert_uint_eq(dirty_pages(arena_idx), pages); /* -1: for good */
    ck_assert_int_eq(
        ctl_write(ctl_name("arena.%u.dirty_decay_ms", arena_idx), &at_once_ms, sizeof(at_once_ms)),
        0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.decay", arena_idx)), 0);
    ck_assert_uint_eq(dirty_pages(arena_idx), 0);
}
END_TEST

START_TEST(times_are_one_arenas_own) {
    const unsigned arena_idx = create();
    const unsigned other_idx = create();
    const ssize_t other_ms = read_ms(ctl_name("arena.%u.dirty_decay_ms", other_idx));
    const ssize_t dirty_ms = 1234;
    const ssize_t muzzy_ms = 567;
    const ssize_t wrong_ms = -2;

    ck_assert_int_eq(
        ctl_write(ctl_name("arena.%u.dirty_decay_ms", arena_idx), &dirty_ms, sizeof(dirty_ms)), 0);
    ck_assert_int_eq(
        ctl_write(ctl_name("arena.%u.muzzy_decay_ms", arena_idx), &muzzy_ms, sizeof(muzzy_ms)), 0);
    ck_assert_int_eq(
        ctl_write(ctl_name("arena.%u.dirty_decay_ms", arena_idx), &wrong_ms, sizeof(wrong_ms)),
        EFAULT);
    ck_assert_int_eq(read_ms(ctl_name("arena.%u.dirty_decay_ms", arena_idx)), dirty_ms);
    ck_assert_int_eq(read_ms(ctl_name("arena.%u.muzzy_decay_ms", arena_idx)), muzzy_ms);
    ck_assert_int_eq(read_ms(ctl_name("arena.%u.dirty_decay_ms", other_idx)), other_ms);
    ck_assert_int_eq(
        ctl_write(ctl_name("arena.%u.dirty_decay_ms", ALL), &dirty_ms, sizeof(dirty_ms)), EFAULT);
}
END_TEST

START_TEST(initialized_tells_who_is_there) {
    bool is_there = false;
    size_t is_there_bytes = sizeof(is_there);
    const unsigned arena_idx = create();

    ck_assert_int_eq(
        mallctl(ctl_name("arena.%u.initialized", arena_idx), &is_there, &is_there_bytes, NULL, 0),
        0);
    ck_assert(is_there);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arena_idx)), 0);
    ck_assert_int_eq(
        mallctl(ctl_name("arena.%u.initialized", arena_idx), &is_there, &is_there_bytes, NULL, 0),
        0);
    ck_assert(!is_there);
}
END_TEST

static int move_name(unsigned arena_idx, char *old_name, const char *new_name) {
    size_t old_bytes = sizeof(old_name);

    return mallctl(ctl_name("arena.%u.name", arena_idx), old_name != NULL ? &old_name : NULL,
                   old_name != NULL ? &old_bytes : NULL, new_name != NULL ? &new_name : NULL,
                   new_name != NULL ? sizeof(new_name) : 0);
}

START_TEST(names_are_kept_and_cut) {
    const unsigned arena_idx = create();
    const unsigned other_idx = create();
    char name[NAME_BYTES] = "";
    char other_name[NAME_BYTES] = "";
    char after[NAME_BYTES] = "";

    ck_assert_int_eq(move_name(other_idx, other_name, NULL), 0);
    ck_assert_int_eq(move_name(arena_idx, NULL, "pictures"), 0);
    ck_assert_int_eq(move_name(arena_idx, name, "0123456789012345678901234567890123456789"), 0);
    ck_assert_str_eq(name, "pictures"); /* the old one */
    ck_assert_int_eq(move_name(arena_idx, name, NULL), 0);
    ck_assert_str_eq(name, "0123456789012345678901234567890");
    ck_assert_int_eq(move_name(other_idx, after, NULL), 0);
    ck_assert_str_eq(after, other_name);
    const char *const nothing = NULL;
    ck_assert_int_eq(ctl_write(ctl_name("arena.%u.name", arena_idx), &nothing, sizeof(nothing)),
                     EINVAL);
    ck_assert_int_eq(ctl_write(ctl_name("arena.%u.name", arena_idx), &nothing, 1), EINVAL);
}
END_TEST

START_TEST(growth_has_a_limit_in_granules) {
    const unsigned arena_idx = create();
    size_t bytes = ctl_size(ctl_name("arena.%u.retain_grow_limit", arena_idx));

    ck_assert_uint_eq(bytes, 4 << 20);
    bytes = (1 << 20) + 1;
    ck_assert_int_eq(
        ctl_write(ctl_name("arena.%u.retain_grow_limit", arena_idx), &bytes, sizeof(bytes)), 0);
    ck_assert_uint_eq(ctl_size(ctl_name("arena.%u.retain_grow_limit", arena_idx)), 1 << 20);
    bytes = AL_PAGE_BYTES;
    ck_assert_int_eq(
        ctl_write(ctl_name("arena.%u.retain_grow_limit", arena_idx), &bytes, sizeof(bytes)), 0);
    ck_assert_uint_eq(ctl_size(ctl_name("arena.%u.retain_grow_limit", arena_idx)),
                      AL_GRANULE_BYTES);
    bytes = AL_PAGE_BYTES - 1;
    ck_assert_int_eq(
        ctl_write(ctl_name("arena.%u.retain_grow_limit", arena_idx), &bytes, sizeof(bytes)),
        EFAULT);
    ck_assert_uint_eq(ctl_size(ctl_name("arena.%u.retain_grow_limit", arena_idx)),
                      AL_GRANULE_BYTES);
    al_options.retain = false;
    const int err = ctl_do(ctl_name("arena.%u.retain_grow_limit", arena_idx));
    al_options.retain = true;
    ck_assert_int_eq(err, ENOENT);
}
END_TEST

START_TEST(a_bad_index_is_no_arena) {
    static const char *const rows[] = {"arena.%u.purge",          "arena.%u.decay",
                                       "arena.%u.dirty_decay_ms", "arena.%u.muzzy_decay_ms",
                                       "arena.%u.initialized",    "arena.%u.name",
                                       "arena.%u.destroy",        "arena.%u.retain_grow_limit",
                                       "arena.%u.reset"};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(rows); idx++) {
        ck_assert_msg(ctl_do(ctl_name(rows[idx], NOBODY)) == ENOENT, "%s", rows[idx]);
    }
    ck_assert_int_eq(ctl_do("arena.0.reset"), EFAULT); /* automatic */
    ck_assert_int_eq(ctl_do("arena.0.destroy"), EFAULT);
    ck_assert_int_eq(ctl_do("arena.x.purge"), ENOENT);
    const int any = 1;
    ck_assert_int_eq(ctl_write("arena.0.purge", &any, sizeof(any)), EPERM);
    ck_assert_int_eq(ctl_write("arena.0.initialized", &any, 1), EPERM);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("nodes_arena");

    tcase_add_test(tcase, a_purge_gives_all_of_this_arena_back);
    tcase_add_test(tcase, decay_gives_back_what_its_time_says);
    tcase_add_test(tcase, times_are_one_arenas_own);
    tcase_add_test(tcase, initialized_tells_who_is_there);
    tcase_add_test(tcase, names_are_kept_and_cut);
    tcase_add_test(tcase, growth_has_a_limit_in_granules);
    tcase_add_test(tcase, a_bad_index_is_no_arena);
    return suite_run(tcase, "nodes_arena", 60);
}
