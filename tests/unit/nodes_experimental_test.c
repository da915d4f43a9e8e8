/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what programs use of experimental.* does what jemalloc's does: slabs are described,
 * batches are allocated, callbacks are called; wrong sizes change nothing. Method: through mallctl
 * alone, with the structs as jemalloc lays them out.
 */
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <string.h>

struct use {
    void *slab;
    size_t nfree, nregs, size, bin_nfree, bin_nregs;
};

static struct use query(const void *ptr) {
    struct use use;
    size_t use_bytes = sizeof(use);

    ck_assert_int_eq(mallctl("experimental.utilization.query", &use, &use_bytes,
                             (void *)(uintptr_t)&ptr, sizeof(ptr)),
                     0);
    return use;
}

START_TEST(slabs_are_described) {
    void *const small = al_mallocx(64, 1 << 8 | 1 << 20);
    void *const large = al_malloc(300000);
    const struct use use = query(small);

    ck_assert_uint_eq(use.nregs, 256); /* 16 KiB of 64 bytes */
    ck_assert_uint_eq(use.size, 16384);
    ck_assert_uint_lt(use.nfree, use.nregs);
    ck_assert_uint_le(use.nfree, use.bin_nfree);
    ck_assert_uint_le(use.nregs, use.bin_nregs);
    ck_assert(small >= use.slab && (char *)small < (char *)use.slab + use.size);
    al_dallocx(al_mallocx(64, 1 << 8 | 1 << 20), 1 << 8);
    ck_assert_uint_eq(query(small).nfree, use.nfree);
    ck_assert_uint_eq(query(large).nregs, 1);
    ck_assert_uint_eq(query(large).nfree, 0);
    ck_assert_uint_ge(query(large).size, 300000);
    ck_assert_uint_eq(query(&use).nregs, 0); /* the stack */

    const void *const ptrs[] = {small, large, &use};
    size_t out[9];
    size_t out_bytes = sizeof(out);
    ck_assert_int_eq(mallctl("experimental.utilization.batch_query", out, &out_bytes,
                             (void *)(uintptr_t)ptrs, sizeof(ptrs)),
                     0);
    ck_assert_uint_eq(out[1], 256);
    ck_assert_uint_eq(out[3 + 1], 1);
    ck_assert_uint_eq(out[6 + 2], 0);
    out_bytes = sizeof(out) - 8;
    ck_assert_int_eq(mallctl("experimental.utilization.batch_query", out, &out_bytes,
                             (void *)(uintptr_t)ptrs, sizeof(ptrs)),
                     EINVAL);
    al_dallocx(small, 1 << 8);
    al_free(large);
}
END_TEST

START_TEST(batches_are_allocated) {
    void *ptrs[50] = {NULL};
    struct {
        void **ptrs;
        size_t num, size;
        int flags;
    } batch = {ptrs, 50, 200, 0x40};
    size_t count = 0;
    size_t count_bytes = sizeof(count);

    ck_assert_int_eq(
        mallctl("experimental.batch_alloc", &count, &count_bytes, &batch, sizeof(batch)), 0);
    ck_assert_uint_eq(count, 50);
    for (size_t idx = 0; idx < 50; idx++) {
        ck_assert_ptr_nonnull(ptrs[idx]);
        ck_assert_int_eq(((char *)ptrs[idx])[199], 0);
        memset(ptrs[idx], 1, 200);
        al_free(ptrs[idx]);
    }
    batch.size = (size_t)1 << 63;
    ck_assert_int_eq(
        mallctl("experimental.batch_alloc", &count, &count_bytes, &batch, sizeof(batch)), 0);
    ck_assert_uint_eq(count, 0);
    count_bytes = 4;
    ck_assert_int_eq(
        mallctl("experimental.batch_alloc", &count, &count_bytes, &batch, sizeof(batch)), EINVAL);
    ck_assert_uint_eq(count_bytes, 0);
}
END_TEST

static uint64_t seen_bytes;
static unsigned seen_count;

static void activity(void *opaque, uint64_t allocated_bytes, uint64_t freed_bytes) {
    ck_assert_ptr_eq(opaque, &seen_bytes);
    ck_assert_uint_le(freed_bytes, allocated_bytes);
    seen_bytes = allocated_bytes;
    seen_count++;
}

static unsigned event_count;

static void event(bool is_alloc, uint64_t allocated_bytes, uint64_t freed_bytes) {
    ck_assert(is_alloc);
    ck_assert_uint_le(freed_bytes, allocated_bytes);
    event_count++;
}

START_TEST(callbacks_hear_of_allocations) {
    struct {
        void (*callback)(void *, uint64_t, uint64_t);
        void *opaque;
    } watch = {activity, &seen_bytes};
    struct {
        void (*callback)(bool, uint64_t, uint64_t);
        uint64_t interval_bytes;
        bool is_alloc_only;
    } hook = {event, 4 << 20, true};

    ck_assert_int_eq(ctl_write("experimental.thread.activity_callback", &watch, sizeof(watch)), 0);
    ck_assert_int_eq(ctl_write("experimental.hooks.thread_event", &hook, sizeof(hook)), 0);
    for (int n = 0; n < 200; n++) {
        al_free(al_malloc(200000));
    }
    ck_assert_uint_ge(seen_count, 10);
    ck_assert_uint_gt(seen_bytes, 20 << 20);
    ck_assert_uint_ge(event_count, 3);
    ck_assert_uint_le(event_count, 11);
    watch.callback = NULL;
    ck_assert_int_eq(ctl_write("experimental.thread.activity_callback", &watch, sizeof(watch)), 0);
    hook.callback = NULL;
    ck_assert_int_eq(ctl_write("experimental.hooks.thread_event", &hook, sizeof(hook)), EINVAL);
    ck_assert_int_eq(ctl_write("experimental.hooks.thread_event", &hook, 8), EINVAL);
}
END_TEST

START_TEST(what_is_not_to_be_had_says_so) {
    void *any[4] = {&seen_bytes};
    size_t any_bytes = sizeof(any[0]);

    ck_assert_int_eq(mallctl("experimental.hooks.install", &any[1], &any_bytes, any, sizeof(any)),
                     EAGAIN);
    ck_assert_int_eq(ctl_write("experimental.hooks.remove", any, sizeof(any[0])), EINVAL);
    ck_assert_int_eq(ctl_write("experimental.hooks.prof_backtrace", any, sizeof(any[0])), ENOENT);
    any[0] = NULL;
    ck_assert_int_eq(ctl_write("experimental.hooks.prof_backtrace", any, sizeof(any[0])), EINVAL);
    ck_assert_int_eq(ctl_do("prof.log_start"), EFAULT);
    ck_assert_int_eq(ctl_do("prof.log_stop"), EFAULT);
    ck_assert_uint_eq(ctl_size("experimental.prof_recent.alloc_max"), 0);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("nodes_experimental");

    tcase_add_test(tcase, slabs_are_described);
    tcase_add_test(tcase, batches_are_allocated);
    tcase_add_test(tcase, callbacks_hear_of_allocations);
    tcase_add_test(tcase, what_is_not_to_be_had_says_so);
    return suite_run(tcase, "nodes_experimental", 60);
}
