/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a lock lets one thread in, counts who came and who waited, can be taken over by the child
 * of a fork, and ranks hold where they are checked. Method: threads that count without atomics; a
 * waiter that is known to sleep; children that break each rule. The rank functions themselves are
 * in every build, so they are called there.
 */
#include "alloc/lock.h"
#include "tests/support/dies.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREAD_COUNT = 6, TURN_COUNT = 20000, STATE_AWAITED = 2 };

static struct al_lock lock;
static struct al_lock other;
static uint64_t counter;

static void setup(void) {
    lock = (struct al_lock){0};
    other = (struct al_lock){0};
    counter = 0;
}

static uint32_t state_of(struct al_lock *which) {
    return atomic_load_explicit(&which->state, memory_order_relaxed);
}

START_TEST(a_lock_is_taken_and_given) {
    for (uint64_t turn = 1; turn <= 3; turn++) {
        al_lock_take(&lock, AL_RANK_BIN);
        ck_assert_uint_eq(state_of(&lock), 1);
        al_lock_assert_held(&lock);
        ck_assert_uint_eq(lock.take_count, turn);
        al_lock_give(&lock);
        ck_assert_uint_eq(state_of(&lock), 0);
    }
    al_lock_take(&lock, AL_RANK_BIN);
    struct al_lock_stats stats;
    al_lock_stats_read_locked(&lock, &stats);
    al_lock_give(&lock);
    ck_assert_uint_eq(stats.take_count, 4);
    ck_assert_uint_eq(stats.spin_count + stats.wait_count + stats.wait_ns, 0);
}
END_TEST

static struct al_lock_stats stats_of(struct al_lock *which) {
    struct al_lock_stats stats;

    al_lock_stats_read(which, AL_RANK_BIN, &stats);
    return stats;
}

static void *count_up(void *arg) {
    for (int turn = 0; turn < TURN_COUNT; turn++) {
        al_lock_take(&lock, AL_RANK_BIN);
        counter++;
        al_lock_give(&lock);
    }
    return arg;
}

START_TEST(one_thread_at_a_time_and_all_are_counted) {
    pthread_t threads[THREAD_COUNT];

    for (int n = 0; n < THREAD_COUNT; n++) {
        ck_assert_int_eq(pthread_create(&threads[n], NULL, count_up, NULL), 0);
    }
    (void)count_up(NULL);
    for (int n = 0; n < THREAD_COUNT; n++) {
        ck_assert_int_eq(pthread_join(threads[n], NULL), 0);
    }
    ck_assert_uint_eq(counter, (THREAD_COUNT + 1) * (uint64_t)TURN_COUNT);
    ck_assert_uint_eq(lock.take_count, counter);
    ck_assert_uint_eq(state_of(&lock), 0);
    const struct al_lock_stats stats = stats_of(&lock);
    ck_assert_uint_le(stats.switch_count, stats.take_count);
    ck_assert_uint_eq(stats.switch_count, stats.spin_count + stats.wait_count);
    ck_assert_uint_le(stats.wait_ns_max, stats.wait_ns);
    ck_assert_uint_le(stats.waiters_max, THREAD_COUNT);
}
END_TEST

/* Returns an error if the lock changed errno. */
static void *take_once(void *arg) {
    (void)arg;
    errno = EDOM;
    al_lock_take(&lock, AL_RANK_BIN);
    const bool is_kept = errno == EDOM;
    counter++;
    al_lock_give(&lock);
    return is_kept && errno == EDOM ? NULL : &lock;
}

static void await_sleeper(void) {
    while (state_of(&lock) != STATE_AWAITED) { /* ends: who waits says so */
        (void)sched_yield();
    }
}

START_TEST(who_waits_is_woken_and_counted) {
    pthread_t thread;
    void *wrong = NULL;

    al_lock_take(&lock, AL_RANK_BIN);
    ck_assert_int_eq(pthread_create(&thread, NULL, take_once, NULL), 0);
    await_sleeper();
    ck_assert_uint_eq(counter, 0);
    errno = ERANGE;
    al_lock_give(&lock);
    ck_assert_int_eq(errno, ERANGE);
    ck_assert_int_eq(pthread_join(thread, &wrong), 0);
    ck_assert_ptr_null(wrong);
    ck_assert_uint_eq(counter, 1);
    ck_assert_uint_eq(lock.take_count, 2);
    ck_assert_uint_eq(state_of(&lock), 0);
    struct al_lock_stats stats = stats_of(&lock);
    ck_assert_uint_eq(stats.wait_count, 1);
    ck_assert_uint_eq(stats.waiters_max, 1);
    ck_assert_uint_gt(stats.wait_ns, 0);
    al_lock_stats_reset(&lock, AL_RANK_BIN);
    stats = stats_of(&lock);
    ck_assert_uint_eq(stats.wait_count + stats.wait_ns + stats.waiters_max, 0);
    ck_assert_uint_eq(stats.take_count, 1); /* its own reading's */
}
END_TEST

/* As in a fork handler: held, and even awaited by a thread that the child does not have. */
static bool child_takes_over(void) {
    al_lock_reset(&lock);
    al_lock_take(&lock, AL_RANK_BIN);
    const bool is_held = state_of(&lock) == 1;
    al_lock_give(&lock);
    return is_held && state_of(&lock) == 0;
}

START_TEST(the_child_of_a_fork_takes_over) {
    pthread_t thread;
    int status = -1;

    al_lock_take(&lock, AL_RANK_BIN);
    ck_assert_int_eq(pthread_create(&thread, NULL, take_once, NULL), 0);
    await_sleeper();
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        _exit(child_takes_over() ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(state_of(&lock), STATE_AWAITED); /* the parent's is as it was */
    al_lock_give(&lock);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(counter, 1);
}
END_TEST

START_TEST(who_is_free_of_locks_takes_none) {
    al_is_lock_free = true;
    al_lock_take(&lock, AL_RANK_BIN);
    al_lock_take(&lock, AL_RANK_BIN); /* would wait for itself */
    al_lock_assert_held(&lock);
    ck_assert_uint_eq(state_of(&lock), 0);
    al_lock_give(&lock);
    al_is_lock_free = false;
    ck_assert_uint_eq(state_of(&lock), 0);
    ck_assert_uint_eq(lock.take_count, 0);
}
END_TEST

/* ---- ranks ---- */

static void take_downward(void) {
    al_lock_take(&lock, AL_RANK_RUNS);
    al_lock_take(&other, AL_RANK_BIN);
}

static void take_beside(void) {
    al_lock_take(&lock, AL_RANK_BIN);
    al_lock_take(&other, AL_RANK_BIN);
}

static void give_what_is_not_held(void) {
    al_lock_take(&lock, AL_RANK_BIN);
    al_lock_give(&other);
}

static void assert_what_is_not_held(void) {
    al_lock_take(&lock, AL_RANK_BIN);
    al_lock_assert_held(&other);
}

START_TEST(debug_builds_stop_where_a_rule_is_broken) {
    if (al_is_debug) {
        assert_dies(take_downward, "tally: internal: lock taken out of order\n");
        assert_dies(take_beside, "tally: internal: lock taken out of order\n");
        assert_dies(give_what_is_not_held, "tally: internal: lock given by a thread without it\n");
        assert_dies(assert_what_is_not_held, "tally: internal: a lock is not held that must be\n");
    } else {
        assert_ends(take_downward, 0, "");
        assert_ends(take_beside, 0, "");
        assert_ends(give_what_is_not_held, 0, "");
        assert_ends(assert_what_is_not_held, 0, "");
    }
}
END_TEST

static struct al_lock many[AL_RANK_META + 1];

START_TEST(every_rank_may_be_held_and_given_in_any_order) {
    for (unsigned rank = AL_RANK_CTL; rank <= AL_RANK_META; rank++) {
        al_lock_rank_push(&many[rank], rank);
    }
    /* The middle ones first: those on both sides stay held, and in order. */
    for (unsigned rank = AL_RANK_DUMP; rank < AL_RANK_META; rank++) {
        al_lock_rank_pop(&many[rank]);
    }
    al_lock_rank_pop(&many[AL_RANK_META]);
    al_lock_rank_push(&many[AL_RANK_BIN], AL_RANK_BIN); /* above what is left */
    al_lock_rank_pop(&many[AL_RANK_CTL]);
    al_lock_rank_pop(&many[AL_RANK_BIN]);
    al_lock_rank_push(&many[AL_RANK_CTL], AL_RANK_CTL); /* nothing is held */
    al_lock_rank_pop(&many[AL_RANK_CTL]);
}
END_TEST

static void pop_without_push(void) {
    al_lock_rank_pop(&lock);
}

static void push_downward_after_gap(void) {
    al_lock_rank_push(&many[AL_RANK_ARENAS], AL_RANK_ARENAS);
    al_lock_rank_push(&many[AL_RANK_BIN], AL_RANK_BIN);
    al_lock_rank_push(&many[AL_RANK_META], AL_RANK_META);
    al_lock_rank_pop(&many[AL_RANK_BIN]);
    al_lock_rank_push(&many[AL_RANK_RUNS], AL_RANK_RUNS); /* below META, which is held */
}

static void push_beside(void) {
    al_lock_rank_push(&lock, AL_RANK_BIN);
    al_lock_rank_push(&other, AL_RANK_BIN);
}

START_TEST(the_order_survives_a_gap) {
    assert_dies(push_beside, "tally: internal: lock taken out of order\n");
    assert_dies(pop_without_push, "tally: internal: lock given by a thread without it\n");
    assert_dies(push_downward_after_gap, "tally: internal: lock taken out of order\n");
}
END_TEST

START_TEST(ranks_are_not_remembered_while_tracking_is_off) {
    al_lock_rank_track(false);
    for (int turn = 0; turn < 100; turn++) { /* more than can be remembered, all of one rank */
        al_lock_rank_push(&lock, AL_RANK_BIN);
    }
    al_lock_rank_pop(&other);
    al_lock_assert_held(&other);
    al_lock_rank_track(true);
    al_lock_rank_push(&lock, AL_RANK_CTL); /* nothing is left of them */
    al_lock_rank_pop(&lock);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("lock");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, a_lock_is_taken_and_given);
    tcase_add_test(tcase, one_thread_at_a_time_and_all_are_counted);
    tcase_add_test(tcase, who_waits_is_woken_and_counted);
    tcase_add_test(tcase, the_child_of_a_fork_takes_over);
    tcase_add_test(tcase, who_is_free_of_locks_takes_none);
    tcase_add_test(tcase, debug_builds_stop_where_a_rule_is_broken);
    tcase_add_test(tcase, every_rank_may_be_held_and_given_in_any_order);
    tcase_add_test(tcase, the_order_survives_a_gap);
    tcase_add_test(tcase, ranks_are_not_remembered_while_tracking_is_off);
    return suite_run(tcase, "lock", 60);
}
