/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   hooks hear of each interval a thread has allocated, with the thread's totals; there are
 *         four of them and no fifth; a thread's own callback is its own.
 * Method: allocations reported by hand, so that each interval ends where the test says. Hooks never
 *         go: one test adds them all, and the others stand beside them.
 */
#include "ctl/events.h"

#include "alloc/control.h"
#include "alloc/malloc.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>

enum { HOOK_COUNT = 4 };

static unsigned called_count[HOOK_COUNT];
static uint64_t seen_allocated_bytes, seen_freed_bytes;

static void hear(unsigned hook, bool is_alloc, uint64_t allocated_bytes, uint64_t freed_bytes) {
    ck_assert(is_alloc);
    seen_allocated_bytes = allocated_bytes;
    seen_freed_bytes = freed_bytes;
    called_count[hook]++;
}

static void hear_0(bool is_alloc, uint64_t allocated_bytes, uint64_t freed_bytes) {
    hear(0, is_alloc, allocated_bytes, freed_bytes);
}

static void hear_1(bool is_alloc, uint64_t allocated_bytes, uint64_t freed_bytes) {
    hear(1, is_alloc, allocated_bytes, freed_bytes);
}

static void hear_2(bool is_alloc, uint64_t allocated_bytes, uint64_t freed_bytes) {
    hear(2, is_alloc, allocated_bytes, freed_bytes);
}

static void hear_3(bool is_alloc, uint64_t allocated_bytes, uint64_t freed_bytes) {
    hear(3, is_alloc, allocated_bytes, freed_bytes);
}

static const struct ct_event_hook hooks[HOOK_COUNT] = {
    {.callback = hear_0, .interval_bytes = 1},
    {.callback = hear_1, .interval_bytes = 1000},
    {.callback = hear_2, .interval_bytes = 3000, .is_alloc_only = true},
    {.callback = hear_3, .interval_bytes = UINT64_MAX},
};

static void *report_less_than_an_interval(void *arg) {
    ct_events_allocated(999); /* its own count, from nothing */
    return arg;
}

START_TEST(hooks_hear_of_each_interval) {
    pthread_t thread;

    ck_assert_int_eq(ct_event_hook_add(&(struct ct_event_hook){.interval_bytes = 1}), EINVAL);
    ck_assert_int_eq(ct_event_hook_add(&(struct ct_event_hook){.callback = hear_0}), EINVAL);
    for (unsigned hook = 0; hook < HOOK_COUNT; hook++) { /* those two took no place */
        ck_assert_int_eq(ct_event_hook_add(&hooks[hook]), 0);
    }
    for (int attempt = 0; attempt < 3; attempt++) {
        ck_assert_int_eq(ct_event_hook_add(&hooks[0]), EINVAL);
    }

    ct_events_allocated(999);
    ck_assert_uint_eq(called_count[0], 1);
    ck_assert_uint_eq(called_count[1], 0);
    ct_events_allocated(1);
    ck_assert_uint_eq(called_count[0], 2);
    ck_assert_uint_eq(called_count[1], 1);
    ct_events_allocated(999);
    ck_assert_uint_eq(called_count[1], 1);
    ck_assert_uint_eq(called_count[2], 0);
    ct_events_allocated(1001);
    ck_assert_uint_eq(called_count[1], 2);
    ck_assert_uint_eq(called_count[2], 1);
    ct_events_allocated(5000); /* several intervals at once: one call */
    ck_assert_uint_eq(called_count[0], 5);
    ck_assert_uint_eq(called_count[1], 3);
    ck_assert_uint_eq(called_count[2], 2);

    ct_events_allocated(999);
    ck_assert_int_eq(pthread_create(&thread, NULL, report_less_than_an_interval, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(called_count[1], 3);
    ck_assert_uint_eq(called_count[3], 0);

    void *const block = al_malloc(100);
    ck_assert_ptr_nonnull(block);
    ct_events_allocated(1);
    ck_assert_uint_eq(called_count[1], 4);
    ck_assert_uint_eq(seen_allocated_bytes, al_thread_allocated_bytes());
    ck_assert_uint_eq(seen_freed_bytes, al_thread_deallocated_bytes());
    const uint64_t before_bytes = seen_allocated_bytes;
    const uint64_t freed_before_bytes = seen_freed_bytes;
    al_free(block);
    ct_events_allocated(1);
    ck_assert_uint_ge(seen_allocated_bytes, before_bytes);
    ck_assert_uint_ge(seen_freed_bytes, freed_before_bytes + 100);
}
END_TEST

struct heard {
    unsigned count;
    uint64_t allocated_bytes, freed_bytes;
};

static void hear_activity(void *opaque, uint64_t allocated_bytes, uint64_t freed_bytes) {
    struct heard *const heard = opaque;

    heard->count++;
    heard->allocated_bytes = allocated_bytes;
    heard->freed_bytes = freed_bytes;
}

static void *have_none(void *arg) {
    ck_assert(ct_activity_get().callback == NULL);
    ct_events_allocated(1); /* nor is the other thread's called */
    return arg;
}

START_TEST(a_threads_callback_is_its_own) {
    struct heard heard = {0};
    pthread_t thread;

    ct_activity_set((struct ct_activity){.callback = hear_activity, .opaque = &heard});
    ck_assert(ct_activity_get().callback == hear_activity);
    ck_assert_ptr_eq(ct_activity_get().opaque, &heard);
    ct_events_allocated(1);
    ct_events_allocated(1);
    ck_assert_uint_eq(heard.count, 2); /* at every report, whatever its length */
    ck_assert_uint_eq(heard.allocated_bytes, al_thread_allocated_bytes());
    ck_assert_uint_eq(heard.freed_bytes, al_thread_deallocated_bytes());
    ck_assert_int_eq(pthread_create(&thread, NULL, have_none, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(heard.count, 2);
    ct_activity_set((struct ct_activity){.callback = NULL});
    ct_events_allocated(1);
    ck_assert_uint_eq(heard.count, 2);
}
END_TEST

START_TEST(allocations_report_themselves) {
    struct heard heard = {0};

    ct_activity_set((struct ct_activity){.callback = hear_activity, .opaque = &heard});
    for (int count = 0; count < 100; count++) {
        al_free(al_malloc(200000));
    }
    ct_activity_set((struct ct_activity){.callback = NULL});
    ck_assert_uint_ge(heard.count, 10);
    ck_assert_uint_ge(heard.allocated_bytes, 10 << 20);
    ck_assert_uint_le(heard.freed_bytes, heard.allocated_bytes);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("events");

    tcase_add_test(tcase, hooks_hear_of_each_interval);
    tcase_add_test(tcase, a_threads_callback_is_its_own);
    tcase_add_test(tcase, allocations_report_themselves);
    return suite_run(tcase, "events", 20);
}
