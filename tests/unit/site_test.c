/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what a thread allocated is shown as its own while any of it lives, also after its end;
 *         then its entry serves another thread, which starts at nothing.
 * Method: threads enter samples at made-up stacks and end; the table is looked at in between.
 */
#include "prof/site.h"

#include "alloc/sample.h"
#include "tests/support/suite.h"

#include <pthread.h>

enum { SIZE_BYTES = 1000 };

static const uintptr_t frames[] = {0x1000, 0x2000};

struct job {
    bool is_silent; /* ends without a word */
    void *slot;     /* what the allocator keeps for it */
    struct pf_record *record;
    struct pf_thread *thread;
    uint64_t uid;
};

static void *run_job(void *arg) {
    struct job *const job = arg;
    const struct al_sampled sampled = {
        .ptr = job, .requested_bytes = SIZE_BYTES, .usable_bytes = SIZE_BYTES, .is_certain = true};

    pf_thread_started(&job->slot);
    ck_assert_ptr_null(job->slot); /* an entry is made with the first sample */
    job->record = pf_site_add(&sampled, frames, 2);
    ck_assert_ptr_nonnull(job->record);
    job->thread = pf_thread_self();
    job->uid = job->thread->uid;
    ck_assert_ptr_eq(job->slot, job->thread);
    if (!job->is_silent) {
        pf_thread_ended(&job->slot);
        ck_assert_ptr_null(job->slot);
    }
    return NULL;
}

/* A thread that takes one sample and ends. */
static struct job run_thread(void) {
    struct job job = {0};
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, run_job, &job), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return job;
}

/* What the only site shows for a thread, NULL: for those of the past. */
static uint64_t shown_bytes(const struct pf_thread *wanted, bool is_total) {
    uint32_t bucket = 0;
    const struct pf_site *const site = pf_site_next(NULL, &bucket);
    struct pf_counts live;
    struct pf_counts total;
    struct pf_thread *thread = NULL;
    uint64_t bytes = 0;

    pf_site_copy(site, NULL, &live, &total, &thread);
    bytes += wanted == NULL ? (is_total ? total.bytes : live.bytes) : 0;
    for (const struct pf_cell *cell = site->cells; cell != NULL; cell = cell->next) {
        pf_site_copy(site, cell, &live, &total, &thread);
        bytes += thread == wanted ? (is_total ? total.bytes : live.bytes) : 0;
    }
    return bytes;
}

START_TEST(an_entry_with_live_samples_stays_its_threads) {
    ck_assert(pf_site_start());
    const struct job first = run_thread();
    const struct job second = run_thread();
    ck_assert_ptr_ne(first.thread, second.thread);
    ck_assert_uint_eq(first.thread->uid, first.uid);
    ck_assert_uint_eq(shown_bytes(first.thread, false), SIZE_BYTES);
    ck_assert_uint_eq(shown_bytes(second.thread, false), SIZE_BYTES);
    pf_site_remove(first.record);
    pf_site_remove(second.record);
}
END_TEST

START_TEST(an_entry_is_used_again_once_its_samples_are_freed) {
    ck_assert(pf_site_start());
    const struct job first = run_thread();
    pf_site_remove(first.record);
    ck_assert_uint_eq(shown_bytes(first.thread, true), SIZE_BYTES);
    const struct job second = run_thread();
    ck_assert_ptr_eq(first.thread, second.thread);
    ck_assert_uint_ne(first.uid, second.uid);
    ck_assert_uint_eq(shown_bytes(second.thread, true), SIZE_BYTES); /* its own alone */
    ck_assert_uint_eq(shown_bytes(NULL, true), SIZE_BYTES);
    pf_site_remove(second.record);
}
END_TEST

START_TEST(threads_that_come_and_go_do_not_pile_up) {
    int entry_count = 0;

    ck_assert(pf_site_start());
    for (int round = 0; round < 100; round++) {
        pf_site_remove(run_thread().record);
    }
    for (const struct pf_thread *thread = pf_thread_first(); thread != NULL;
         thread = thread->next) {
        entry_count++;
    }
    ck_assert_int_eq(entry_count, 1);
}
END_TEST

/* A thread whose end nobody heard of is buried by another one, which keeps its own entry. */
START_TEST(a_thread_that_ended_without_a_word_is_buried_by_another) {
    void *own_slot = NULL;

    ck_assert(pf_site_start());
    pf_thread_started(&own_slot);
    const struct pf_thread *const own = pf_thread_self();
    for (int count = 0; count < 20; count++) {
        struct job job = {.is_silent = true};
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, run_job, &job), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        ck_assert(atomic_load(&job.thread->is_live));
        pf_thread_ended(&job.slot);
        ck_assert(!atomic_load(&job.thread->is_live));
        pf_site_remove(job.record);
    }
    ck_assert_ptr_eq(pf_thread_self(), own);
    ck_assert_ptr_eq(own_slot, own);
    size_t entry_count = 0;
    for (const struct pf_thread *thread = pf_thread_first(); thread != NULL;
         thread = thread->next) {
        entry_count++;
    }
    ck_assert_uint_eq(entry_count, 2);
    pf_thread_ended(&own_slot);
}
END_TEST

START_TEST(a_reset_forgets_and_late_frees_do_no_harm) {
    ck_assert(pf_site_start());
    const struct job first = run_thread();
    pf_site_reset();
    ck_assert_uint_eq(shown_bytes(first.thread, true), 0);
    const struct job second = run_thread();
    pf_site_remove(first.record);
    ck_assert_uint_eq(shown_bytes(second.thread, false), SIZE_BYTES);
    pf_site_remove(second.record);
    ck_assert_uint_eq(shown_bytes(second.thread, false), 0);
}
END_TEST

START_TEST(the_lowest_rate_since_a_reset_is_kept) {
    ck_assert(pf_site_start());
    al_sample_store(false, 19);
    struct al_sampled sampled = {
        .ptr = frames, .requested_bytes = 10, .usable_bytes = 16, .rate_lg = 12};
    struct pf_record *const record = pf_site_add(&sampled, frames, 2);
    ck_assert_ptr_nonnull(record);
    ck_assert_uint_eq(pf_site_rate_lg_min(), 12);
    pf_site_reset();
    ck_assert_uint_eq(pf_site_rate_lg_min(), 19);
    pf_site_remove(record);
}
END_TEST

/* Past both borders where the table grows, by two threads that come to the same stacks. */
enum { STACK_COUNT = 20000 };

static void *run_stacks(void *arg) {
    for (uintptr_t idx = 1; idx <= STACK_COUNT; idx++) {
        const uintptr_t stack[] = {idx * 16, 0x2000};
        const struct al_sampled sampled = {.ptr = arg,
                                           .requested_bytes = SIZE_BYTES,
                                           .usable_bytes = SIZE_BYTES,
                                           .is_certain = true};
        ck_assert_ptr_nonnull(pf_site_add(&sampled, stack, 2));
    }
    return NULL;
}

START_TEST(each_stack_is_one_site_however_many_there_are) {
    static bool is_seen[STACK_COUNT + 1];
    pthread_t threads[2];
    uint32_t bucket = 0;
    uint32_t site_count = 0;

    ck_assert(pf_site_start());
    for (size_t idx = 0; idx < 2; idx++) {
        ck_assert_int_eq(pthread_create(&threads[idx], NULL, run_stacks, threads), 0);
    }
    for (size_t idx = 0; idx < 2; idx++) {
        ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
    }
    for (const struct pf_site *site = pf_site_next(NULL, &bucket); site != NULL;
         site = pf_site_next(site, &bucket)) {
        struct pf_counts live;
        struct pf_counts total;
        const uintptr_t idx = site->frames[0] / 16;
        ck_assert(idx >= 1 && idx <= STACK_COUNT && !is_seen[idx]);
        is_seen[idx] = true;
        pf_site_sum(site, &live, &total);
        ck_assert_uint_eq(live.sample_count, 2);
        ck_assert_uint_eq(total.bytes, 2 * SIZE_BYTES);
        site_count++;
    }
    ck_assert_uint_eq(site_count, STACK_COUNT);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("site");

    tcase_add_test(tcase, each_stack_is_one_site_however_many_there_are);
    tcase_add_test(tcase, an_entry_with_live_samples_stays_its_threads);
    tcase_add_test(tcase, an_entry_is_used_again_once_its_samples_are_freed);
    tcase_add_test(tcase, threads_that_come_and_go_do_not_pile_up);
    tcase_add_test(tcase, a_thread_that_ended_without_a_word_is_buried_by_another);
    tcase_add_test(tcase, a_reset_forgets_and_late_frees_do_no_harm);
    tcase_add_test(tcase, the_lowest_rate_since_a_reset_is_kept);
    return suite_run(tcase, "site", 30);
}
