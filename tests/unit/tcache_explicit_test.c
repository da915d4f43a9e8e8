/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   explicit caches serve mallocx by identifier, hold blocks of any arena, and give all back
 * when they are flushed or destroyed. Method: the shadow heap would not see a cache; so the arenas'
 * own numbers are compared.
 */
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/tcache_explicit.h"
#include "alloc/thread.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

static int through(unsigned id, unsigned arena_idx) {
    return (int)((arena_idx + 1) << 20) | (int)((id + 2) << 8);
}

static size_t used(unsigned arena_idx) {
    ctl_refresh();
    return ctl_size(ctl_name("stats.arenas.%u.small.allocated", arena_idx));
}

START_TEST(blocks_go_round_and_come_home) {
    const unsigned id = ctl_unsigned("tcache.create");
    const unsigned arenas[] = {ctl_unsigned("arenas.create"), ctl_unsigned("arenas.create")};
    void *ptrs[600];

    for (size_t idx = 0; idx < 600; idx++) {
        ptrs[idx] = al_mallocx((size_t)16 << idx % 7, through(id, arenas[idx % 2]));
        ck_assert_ptr_nonnull(ptrs[idx]);
        memset(ptrs[idx], (int)idx, (size_t)16 << idx % 7);
    }
    for (size_t idx = 0; idx < 600; idx++) {
        ck_assert_int_eq(((unsigned char *)ptrs[idx])[((size_t)16 << idx % 7) - 1],
                         (int)(idx & 0xff));
        al_dallocx(ptrs[idx], through(id, 0));
    }
    void *const again = al_mallocx(16, through(id, arenas[0]));
    bool is_known = false;
    for (size_t idx = 0; idx < 600; idx++) {
        is_known = is_known || ptrs[idx] == again;
    }
    ck_assert(is_known); /* out of the cache */
    al_sdallocx(again, 16, through(id, 0));
    ck_assert_uint_gt(used(arenas[0]) + used(arenas[1]), 0);
    ck_assert_int_eq(ctl_write("tcache.flush", &id, sizeof(id)), 0);
    ck_assert_uint_eq(used(arenas[0]), 0);
    ck_assert_uint_eq(used(arenas[1]), 0);
    al_audit_all();
    ck_assert_int_eq(ctl_write("tcache.destroy", &id, sizeof(id)), 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arenas[0])), 0);
    ck_assert_int_eq(ctl_do(ctl_name("arena.%u.destroy", arenas[1])), 0);
}
END_TEST

START_TEST(identifiers_are_used_again) {
    const unsigned first = ctl_unsigned("tcache.create");
    const unsigned second = ctl_unsigned("tcache.create");
    const unsigned none = 4000;

    ck_assert_uint_ne(first, second);
    ck_assert_int_eq(ctl_write("tcache.destroy", &first, sizeof(first)), 0);
    ck_assert_int_eq(ctl_write("tcache.destroy", &first, sizeof(first)), EFAULT);
    ck_assert_int_eq(ctl_write("tcache.flush", &first, sizeof(first)), EFAULT);
    ck_assert_int_eq(ctl_write("tcache.flush", &none, sizeof(none)), EFAULT);
    ck_assert_uint_eq(ctl_unsigned("tcache.create"), first);
    ck_assert_int_eq(ctl_do("tcache.flush"), EINVAL);
    ck_assert_int_eq(ctl_write("tcache.flush", &first, 8), EINVAL);
    unsigned id = 0;
    size_t id_bytes = 8;
    ck_assert_int_eq(mallctl("tcache.create", &id, &id_bytes, NULL, 0), EINVAL);
    ck_assert_uint_eq(id_bytes, 0);
    ck_assert_int_eq(ctl_write("tcache.destroy", &first, sizeof(first)), 0);
    ck_assert_int_eq(ctl_write("tcache.destroy", &second, sizeof(second)), 0);
}
END_TEST

/* A name that is nobody's is served without a cache. */
START_TEST(an_unknown_cache_is_none) {
    void *const ptr = al_mallocx(100, (int)((1000 + 2) << 8));

    ck_assert_ptr_nonnull(ptr);
    al_dallocx(ptr, (int)((1000 + 2) << 8));
    ck_assert_ptr_null(al_tcache_explicit_at(1000));
    ck_assert_ptr_null(al_tcache_explicit_at(AL_TCACHE_EXPLICIT_MAX));
    al_audit_all();
}
END_TEST

START_TEST(there_are_as_many_as_flags_can_name) {
    unsigned id = 0;
    size_t id_bytes = sizeof(id);
    unsigned count = 0;
    int err = 0;

    while ((err = mallctl("tcache.create", &id, &id_bytes, NULL, 0)) == 0) {
        count++;
    }
    ck_assert_int_eq(err, EAGAIN);
    ck_assert_uint_eq(count, AL_TCACHE_EXPLICIT_MAX);
    for (id = 0; id < count; id++) {
        ck_assert_int_eq(ctl_write("tcache.destroy", &id, sizeof(id)), 0);
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("tcache_explicit");

    tcase_add_test(tcase, blocks_go_round_and_come_home);
    tcase_add_test(tcase, identifiers_are_used_again);
    tcase_add_test(tcase, an_unknown_cache_is_none);
    tcase_add_test(tcase, there_are_as_many_as_flags_can_name);
    return suite_run(tcase, "tcache_explicit", 60);
}
