/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   arenas.* tells the size classes as alloc/class.h has them and malloc serves them;
 *         arenas are created and found by what is in them.
 * Method: through mallctl, against class.h and usable sizes.
 */
#include "alloc/class.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/os.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <sys/types.h>

START_TEST(bins_are_the_small_classes) {
    const unsigned count = ctl_unsigned("arenas.nbins");

    ck_assert_uint_eq(count, AL_CLASS_COUNT - 1); /* class 0 is nobody's */
    ck_assert_uint_eq(ctl_unsigned("arenas.nhbins"), count);
    for (unsigned bin = 0; bin < count; bin++) {
        const size_t bytes = ctl_size(ctl_name("arenas.bin.%u.size", bin));
        const size_t slab_bytes = ctl_size(ctl_name("arenas.bin.%u.slab_size", bin));
        const unsigned nregs = ctl_unsigned(ctl_name("arenas.bin.%u.nregs", bin));
        ck_assert_uint_eq(bytes, al_class_bytes(bin + 1));
        ck_assert_uint_eq(slab_bytes, (size_t)al_class_slab_granules(bin + 1) << AL_GRANULE_LG);
        ck_assert_uint_eq(nregs, al_class_slab_slots(bin + 1));
        ck_assert_uint_le(nregs * bytes, slab_bytes);
        ck_assert_uint_gt((nregs + 1) * bytes, slab_bytes);
        ck_assert_uint_eq(ctl_unsigned(ctl_name("arenas.bin.%u.nshards", bin)), 1);
        void *const ptr = al_malloc(bytes);
        ck_assert_uint_eq(al_malloc_usable_size(ptr), bytes);
        al_free(ptr);
    }
    ck_assert_int_eq(ctl_do(ctl_name("arenas.bin.%u.size", count)), ENOENT);
}
END_TEST

START_TEST(large_classes_ascend_from_where_bins_end) {
    const unsigned count = ctl_unsigned("arenas.nlextents");
    size_t below_bytes = ctl_size(ctl_name("arenas.bin.%u.size", ctl_unsigned("arenas.nbins") - 1));

    ck_assert_uint_eq(count, AL_LARGE_CLASS_COUNT);
    ck_assert_uint_eq(below_bytes, AL_SMALL_MAX_BYTES);
    for (unsigned large = 0; large < count; large++) {
        const size_t bytes = ctl_size(ctl_name("arenas.lextent.%u.size", large));
        ck_assert_uint_gt(bytes, below_bytes);
        ck_assert_uint_le(bytes - below_bytes, below_bytes / 4); /* four a doubling */
        ck_assert_uint_eq(al_large_class_of(bytes), large);
        ck_assert_uint_eq(al_large_class_of(below_bytes + 1), large);
        below_bytes = bytes;
    }
    ck_assert_uint_eq(below_bytes, AL_SIZE_MAX_BYTES);
    ck_assert_int_eq(ctl_do(ctl_name("arenas.lextent.%u.size", count)), ENOENT);
}
END_TEST

START_TEST(constants_of_the_machine) {
    ck_assert_uint_eq(ctl_size("arenas.quantum"), AL_QUANTUM_BYTES);
    ck_assert_uint_eq(ctl_size("arenas.page"), AL_PAGE_BYTES);
    ck_assert_uint_eq(ctl_size("arenas.hugepage") % ctl_size("arenas.page"), 0);
    ck_assert_uint_gt(ctl_size("arenas.hugepage"), ctl_size("arenas.page"));
    ck_assert_uint_ge(ctl_size("arenas.tcache_max"), AL_QUANTUM_BYTES);
}
END_TEST

static unsigned create(void) {
    unsigned arena_idx = 0;
    size_t arena_idx_bytes = sizeof(arena_idx);

    ck_assert_int_eq(mallctl("arenas.create", &arena_idx, &arena_idx_bytes, NULL, 0), 0);
    return arena_idx;
}

static int lookup(const void *ptr, unsigned *arena_idx) {
    size_t arena_idx_bytes = sizeof(*arena_idx);

    return mallctl("arenas.lookup", arena_idx, &arena_idx_bytes, &ptr, sizeof(ptr));
}

START_TEST(arenas_are_created_and_found) {
    const unsigned first_idx = create();
    const unsigned second_idx = create();
    unsigned found_idx = 0;

    ck_assert_uint_ne(first_idx, second_idx);
    ck_assert_uint_gt(ctl_unsigned("arenas.narenas"), first_idx);
    ck_assert_uint_gt(ctl_unsigned("arenas.narenas"), second_idx);
    static const size_t sizes[] = {1, 5000, 300000, 40 << 20};
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(sizes); idx++) {
        void *const first = al_mallocx(sizes[idx], (int)(first_idx + 1) << 20 | 1 << 8);
        void *const second = al_mallocx(sizes[idx], (int)(second_idx + 1) << 20 | 1 << 8);
        ck_assert_int_eq(lookup(first, &found_idx), 0);
        ck_assert_uint_eq(found_idx, first_idx);
        ck_assert_int_eq(lookup(second, &found_idx), 0);
        ck_assert_uint_eq(found_idx, second_idx);
        al_dallocx(first, 1 << 8);
        al_dallocx(second, 1 << 8);
    }
    ck_assert_int_eq(lookup(&found_idx, &found_idx), EINVAL); /* the stack */
    ck_assert_int_eq(lookup(NULL, &found_idx), EINVAL);
    size_t found_bytes = sizeof(found_idx);
    ck_assert_int_eq(mallctl("arenas.lookup", &found_idx, &found_bytes, NULL, 0), EINVAL);
}
END_TEST

/* A create whose answer has no room must not leave an arena that nobody can name. */
START_TEST(a_create_without_room_creates_nothing) {
    const unsigned count = ctl_unsigned("arenas.narenas");
    uint64_t wide = 0;
    size_t wide_bytes = sizeof(wide);

    ck_assert_int_eq(mallctl("arenas.create", &wide, &wide_bytes, NULL, 0), EINVAL);
    ck_assert_uint_eq(wide_bytes, 0);
    ck_assert_int_eq(ctl_do("arenas.create"), EINVAL);
    ck_assert_uint_eq(ctl_unsigned("arenas.narenas"), count);
    ck_assert_uint_eq(create(), count);
}
END_TEST

static ssize_t read_ms(const char *name) {
    ssize_t ms = 0;
    size_t ms_bytes = sizeof(ms);

    ck_assert_msg(mallctl(name, &ms, &ms_bytes, NULL, 0) == 0, "%s", name);
    return ms;
}

START_TEST(decay_is_that_of_arenas_made_later) {
    const ssize_t old_dirty_ms = read_ms("arenas.dirty_decay_ms");
    const ssize_t old_muzzy_ms = read_ms("arenas.muzzy_decay_ms");
    const unsigned before_idx = create();
    const ssize_t dirty_ms = 4321;
    const ssize_t muzzy_ms = 765;
    const ssize_t wrong_ms = -2;

    ck_assert_int_eq(ctl_write("arenas.dirty_decay_ms", &dirty_ms, sizeof(dirty_ms)), 0);
    ck_assert_int_eq(ctl_write("arenas.muzzy_decay_ms", &muzzy_ms, sizeof(muzzy_ms)), 0);
    ck_assert_int_ne(ctl_write("arenas.dirty_decay_ms", &wrong_ms, sizeof(wrong_ms)), 0);
    ck_assert_int_eq(read_ms("arenas.dirty_decay_ms"), dirty_ms);
    ck_assert_int_eq(read_ms("arenas.muzzy_decay_ms"), muzzy_ms);
    const unsigned after_idx = create();
    ck_assert_int_eq(read_ms(ctl_name("arena.%u.dirty_decay_ms", after_idx)), dirty_ms);
    ck_assert_int_eq(read_ms(ctl_name("arena.%u.muzzy_decay_ms", after_idx)), muzzy_ms);
    ck_assert_int_eq(read_ms(ctl_name("arena.%u.dirty_decay_ms", before_idx)), old_dirty_ms);
    ck_assert_int_eq(ctl_write("arenas.dirty_decay_ms", &old_dirty_ms, sizeof(old_dirty_ms)), 0);
    ck_assert_int_eq(ctl_write("arenas.muzzy_decay_ms", &old_muzzy_ms, sizeof(old_muzzy_ms)), 0);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("nodes_arenas");

    tcase_add_test(tcase, bins_are_the_small_classes);
    tcase_add_test(tcase, large_classes_ascend_from_where_bins_end);
    tcase_add_test(tcase, constants_of_the_machine);
    tcase_add_test(tcase, arenas_are_created_and_found);
    tcase_add_test(tcase, a_create_without_room_creates_nothing);
    tcase_add_test(tcase, decay_is_that_of_arenas_made_later);
    return suite_run(tcase, "nodes_arenas", 60);
}
