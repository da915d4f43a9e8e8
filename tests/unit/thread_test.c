/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a thread gets a cache once, and leaves it to the next one whatever its last words are; no
 *         byte it has allocated or freed is lost to the sums, and nothing it does after its end
 *         gives it a cache again.
 * Method: threads that allocate and free in chosen rounds of their destructors of thread-specific
 *         data, one after the other and side by side; counts of threads, caches and bytes after.
 */
#include "alloc/thread.h"

#include "alloc/arena.h"
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/meta.h"
#include "tests/support/shadow.h"
#include "tests/support/suite.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The thread sanitizer takes a thread for ended in the middle of its last round, and what is born
 * in one round dies two later.
 */
#ifdef __SANITIZE_THREAD__
enum { ROUND_COUNT = PTHREAD_DESTRUCTOR_ITERATIONS - 3 };
#else
enum { ROUND_COUNT = PTHREAD_DESTRUCTOR_ITERATIONS };
#endif

enum {
    NEVER = ROUND_COUNT + 1,
    THREAD_COUNT = 40,
    BESIDE_COUNT = 6,
    BLOCK_COUNT = 300,
    MANY_COUNT = 150,
    /* The C library keeps 40 MiB of stacks for next threads: so few that all are kept. */
    STACK_BYTES = 512 * 1024,
};

/* What a thread does when: in its own function (round 0), then in each round of destructors. */
struct plan {
    int first_round; /* of allocating */
    int last_round;  /* and of freeing */
    int round;
    bool is_kept; /* blocks are left to who comes next */
    bool is_late; /* takes and gives once more in the last round */
    void *blocks[BLOCK_COUNT];
    const struct al_tcache *cache; /* found in the last round */
};

static pthread_key_t key;

static size_t size_of(size_t idx) {
    return idx % 50 == 49 ? 70000 : 16 + idx * 7 % 2000;
}

static void take_all(struct plan *plan) {
    for (size_t idx = 0; idx < BLOCK_COUNT; idx++) {
        plan->blocks[idx] = memset(al_malloc(size_of(idx)), (int)idx, size_of(idx));
    }
}

static void give_all(struct plan *plan) {
    for (size_t idx = 0; idx < BLOCK_COUNT; idx++) {
        const unsigned char *const block = plan->blocks[idx];
        ck_assert_uint_eq(block[0], (unsigned char)idx);
        ck_assert_uint_eq(block[size_of(idx) - 1], (unsigned char)idx);
        al_free(plan->blocks[idx]);
    }
}

static void live_a_round(struct plan *plan) {
    if (plan->round == plan->first_round) {
        take_all(plan);
    }
    if (plan->round == plan->last_round && !plan->is_kept) {
        give_all(plan);
    }
    if (plan->round == ROUND_COUNT && plan->is_late) {
        take_all(plan);
        give_all(plan);
    }
    plan->cache = al_self;
    plan->round++;
}

static void on_end(void *value) {
    struct plan *const plan = value;

    live_a_round(plan);
    if (plan->round <= ROUND_COUNT) {
        (void)pthread_setspecific(key, plan);
    }
}

static void *live(void *arg) {
    struct plan *const plan = arg;

    (void)pthread_setspecific(key, plan);
    live_a_round(plan);
    return NULL;
}

static void make_key(void) {
    static bool is_made;

    if (!is_made) {
        is_made = pthread_key_create(&key, on_end) == 0;
    }
    ck_assert(is_made);
}

static uint32_t thread_count(void) {
    uint32_t sum = 0;

    for (unsigned idx = 0; idx < al_arena_count(); idx++) {
        const struct al_arena *const arena = al_arena_at(idx);
        sum += arena != NULL ? atomic_load(&arena->thread_count) : 0;
    }
    return sum;
}

static uint64_t live_bytes(void) {
    uint64_t allocated_bytes = 0;
    uint64_t freed_bytes = 0;

    al_threads_sum(&allocated_bytes, &freed_bytes);
    return allocated_bytes - freed_bytes;
}

static void run(struct plan *plans, int count) {
    pthread_t threads[BESIDE_COUNT];
    pthread_attr_t attr;

    ck_assert_int_eq(pthread_attr_init(&attr), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, STACK_BYTES), 0);
    for (int idx = 0; idx < count; idx++) {
        ck_assert_int_eq(pthread_create(&threads[idx], &attr, live, &plans[idx]), 0);
    }
    ck_assert_int_eq(pthread_attr_destroy(&attr), 0);
    for (int idx = 0; idx < count; idx++) {
        ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
        ck_assert_int_eq(plans[idx].round, ROUND_COUNT + 1);
    }
}

/* A thread that ends as most do, after whose start nobody waits for one at its place. */
static void run_plain(void) {
    struct plan plans[1] = {{.first_round = 0, .last_round = 0}};

    run(plans, 1);
}

/* `_i`: the round of the first allocation in tens, and the round of the frees. */
START_TEST(a_cache_is_left_to_the_next_thread_whenever_it_was_born) {
    const struct plan plan = {.first_round = _i / 10, .last_round = _i % 10};

    if (plan.last_round < plan.first_round || plan.last_round > ROUND_COUNT) {
        return;
    }
    al_free(al_malloc(1));
    make_key();
    run_plain();
    const uint32_t threads_before = thread_count();
    const uint64_t bytes_before = live_bytes();
    const size_t meta_before = al_meta_bytes();
    for (int nth = 0; nth < THREAD_COUNT; nth++) {
        struct plan plans[1] = {plan};
        run(plans, 1);
        ck_assert_uint_le(thread_count(), threads_before + 1);
    }
    run_plain();
    ck_assert_uint_eq(thread_count(), threads_before);
    ck_assert_uint_eq(live_bytes(), bytes_before);
    ck_assert_uint_eq(al_meta_bytes(), meta_before);
    al_audit_all();
}
END_TEST

/* The same with several threads at once: as many caches may wait. */
START_TEST(caches_of_threads_side_by_side_are_left_too) {
    static struct plan plans[BESIDE_COUNT];
    uint32_t threads_before = 0;

    al_free(al_malloc(1));
    make_key();
    threads_before = thread_count();
    for (int nth = 0; nth < THREAD_COUNT / 2; nth++) {
        for (int idx = 0; idx < BESIDE_COUNT; idx++) {
            const int first = ROUND_COUNT - (idx + nth) % 3;
            plans[idx] = (struct plan){.first_round = first, .last_round = ROUND_COUNT};
        }
        run(plans, BESIDE_COUNT);
        ck_assert_uint_le(thread_count(), threads_before + BESIDE_COUNT);
    }
}
END_TEST

/* What is freed or taken behind the end of the cache goes the way that needs none. */
START_TEST(nothing_after_its_end_revives_a_cache) {
    struct plan plans[1] = {{.first_round = 0, .last_round = ROUND_COUNT}};

    al_free(al_malloc(1));
    make_key();
    run(plans, 1); /* what the key and the thread itself need is there now */
    const uint32_t threads_before = thread_count();
    const uint64_t bytes_before = live_bytes();
    const size_t meta_before = al_meta_bytes();
    for (int nth = 0; nth < THREAD_COUNT; nth++) {
        plans[0] = (struct plan){.first_round = 0, .last_round = ROUND_COUNT};
        plans[0].is_late = nth % 2 == 1; /* half of them allocate there, too */
        run(plans, 1);
        ck_assert_ptr_eq(plans[0].cache, &al_null_tcache);
        ck_assert_uint_eq(thread_count(), threads_before);
        ck_assert_uint_eq(live_bytes(), bytes_before);
    }
    ck_assert_uint_eq(al_meta_bytes(), meta_before);
    al_audit_all();
}
END_TEST

/* What a thread leaves behind is somebody's to free, and counted once. */
START_TEST(blocks_outlive_their_thread) {
    struct plan plans[1] = {{.first_round = 0, .last_round = 0, .is_kept = true}};
    struct plan later[1] = {{.first_round = NEVER, .last_round = ROUND_COUNT}};

    al_free(al_malloc(1));
    make_key();
    for (int nth = 0; nth < 4; nth++) {
        run_plain();
        const uint64_t bytes_before = live_bytes();
        plans[0].round = 0;
        plans[0].first_round = nth % 2 == 0 ? 0 : ROUND_COUNT;
        run(plans, 1);
        uint64_t bytes = 0;
        for (size_t idx = 0; idx < BLOCK_COUNT; idx++) {
            bytes += al_malloc_usable_size(plans[0].blocks[idx]);
        }
        run_plain();
        ck_assert_uint_eq(live_bytes(), bytes_before + bytes);
        if (nth < 2) {
            give_all(&plans[0]);
        } else { /* another thread frees them with its last breath */
            memcpy(later[0].blocks, plans[0].blocks, sizeof(later[0].blocks));
            later[0].round = 0;
            run(later, 1);
        }
        run_plain();
        ck_assert_uint_eq(live_bytes(), bytes_before);
    }
    al_audit_all();
}
END_TEST

/* ---- many at once ---- */

static pthread_barrier_t barrier;

/* Alive with a cache while the main thread looks; nobody may have taken it meanwhile. */
static void *stay(void *arg) {
    void *const block = memset(al_malloc(100), 1, 100);
    const struct al_tcache *const cache = al_self;

    (void)pthread_barrier_wait(&barrier);
    (void)pthread_barrier_wait(&barrier);
    al_tcache_check(cache);
    ck_assert_ptr_eq(al_self, cache);
    ck_assert_uint_eq(al_thread_allocated_bytes() - al_thread_deallocated_bytes(),
                      al_malloc_usable_size(block));
    al_free(block);
    return arg;
}

/* In the child: the main thread is the only one, and in the sums. */
static _Noreturn void look_alone(void) {
    const uint64_t bytes_before = live_bytes();
    void *const block = al_malloc(5000);
    const bool is_counted = live_bytes() == bytes_before + al_malloc_usable_size(block);

    al_audit_all();
    _exit(is_counted && thread_count() == 1 ? 0 : 1);
}

START_TEST(many_threads_keep_their_caches_and_a_fork_drops_them) {
    static pthread_t threads[MANY_COUNT];
    int status = 0;

    al_free(al_malloc(1));
    const uint32_t threads_before = thread_count();
    ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, MANY_COUNT + 1), 0);
    for (int idx = 0; idx < MANY_COUNT; idx++) {
        ck_assert_int_eq(pthread_create(&threads[idx], NULL, stay, NULL), 0);
    }
    (void)pthread_barrier_wait(&barrier);
    ck_assert_uint_eq(thread_count(), threads_before + MANY_COUNT);
    fflush(NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        look_alone();
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    (void)pthread_barrier_wait(&barrier);
    for (int idx = 0; idx < MANY_COUNT; idx++) {
        ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
    }
    ck_assert_uint_eq(thread_count(), threads_before);
}
END_TEST

/* ---- everything at once ---- */

enum { STORM_THREAD_COUNT = 5, STORM_WAVE_COUNT = 6, STORM_TURN_COUNT = 60, STORM_ARENA_COUNT = 3 };

static unsigned storm_arenas[STORM_ARENA_COUNT];

/* What a program may ask for at any time, of itself or of all. */
static void disturb(uint64_t random) {
    uint64_t sums[2];

    switch (random % 12) {
    case 0:
        (void)al_thread_tcache_flush(); /* EFAULT without a cache */
        break;
    case 1:
        al_thread_tcache_set_enabled((random & 256) != 0);
        break;
    case 2:
        ck_assert_int_eq(al_thread_arena_set(storm_arenas[(random >> 8) % STORM_ARENA_COUNT]), 0);
        break;
    case 3:
        al_sample_set((random & 256) != 0, (unsigned)(random >> 10) % 24);
        break;
    case 4:
        al_sample_set_thread((random & 256) != 0);
        break;
    case 5:
        ck_assert_ptr_nonnull(al_thread_allocated_ptr());
        break;
    case 6:
        ck_assert_int_eq(al_arena_purge(storm_arenas[(random >> 8) % STORM_ARENA_COUNT]), 0);
        break;
    case 7:
        al_threads_sum(&sums[0], &sums[1]);
        break;
    default:
        ck_assert_uint_ge(al_thread_allocated_bytes(), 0);
    }
}

static void *storm(void *arg) {
    uint64_t random = (uint64_t)(uintptr_t)arg;

    for (int turn = 0; turn < STORM_TURN_COUNT; turn++) {
        disturb(suite_random(&random));
        shadow_run(&random, 100, (size_t)64 << suite_random(&random) % 14);
    }
    return NULL;
}

/* Threads come and go, blocks change hands, and each of them changes everything all the time. */
START_TEST(a_storm_of_control_loses_nothing) {
    uint64_t random = suite_seed(41);

    al_init();
    for (int idx = 0; idx < STORM_ARENA_COUNT; idx++) {
        ck_assert_int_eq(al_arena_create(&storm_arenas[idx]), 0);
    }
    const uint64_t bytes_before = live_bytes();
    for (int wave = 0; wave < STORM_WAVE_COUNT; wave++) {
        pthread_t threads[STORM_THREAD_COUNT];
        for (int idx = 0; idx < STORM_THREAD_COUNT; idx++) {
            const uintptr_t seed = suite_random(&random) | 1;
            ck_assert_int_eq(pthread_create(&threads[idx], NULL, storm, (void *)seed), 0);
        }
        for (int idx = 0; idx < STORM_THREAD_COUNT; idx++) {
            ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
        }
    }
    al_sample_set(false, 19);
    shadow_clear();
    ck_assert_uint_eq(live_bytes(), bytes_before);
    al_audit_all();
}
END_TEST

START_TEST(a_thread_that_changes_its_arena_takes_nothing_along) {
    unsigned arena_idx = 0;
    const unsigned home_idx = al_thread_arena_get();
    const uint64_t bytes_before = live_bytes();
    void *blocks[2][BLOCK_COUNT];

    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    for (unsigned turn = 0; turn < 4; turn++) {
        const unsigned want_idx = turn % 2 == 0 ? arena_idx : home_idx;
        const uint32_t threads_before = thread_count();
        ck_assert_int_eq(al_thread_arena_set(want_idx), 0);
        ck_assert_uint_eq(al_thread_arena_get(), want_idx);
        ck_assert_uint_eq(thread_count(), threads_before);
        for (size_t idx = 0; idx < BLOCK_COUNT; idx++) {
            unsigned found_idx = 0;
            blocks[turn % 2][idx] = al_malloc(size_of(idx));
            ck_assert_int_eq(al_arena_lookup(blocks[turn % 2][idx], &found_idx), 0);
            ck_assert_uint_eq(found_idx, want_idx);
        }
        for (size_t idx = 0; idx < BLOCK_COUNT && turn % 2 == 1; idx++) {
            al_free(blocks[0][idx]); /* the other arena's */
            al_free(blocks[1][idx]);
        }
    }
    ck_assert_uint_eq(live_bytes(), bytes_before);
    ck_assert_int_ne(al_thread_arena_set(AL_ARENA_COUNT_MAX), 0);
    ck_assert_int_eq(al_thread_arena_set(home_idx), 0);
    al_audit_all();
}
END_TEST

/* The program reads the counters behind our back: each operation is in them at once. */
START_TEST(counters_by_address_are_exact_at_once) {
    const uint64_t *const freed = al_thread_deallocated_ptr();
    const uint64_t *const allocated = al_thread_allocated_ptr();

    for (size_t idx = 0; idx < BLOCK_COUNT; idx++) {
        const uint64_t allocated_before = *allocated;
        const uint64_t freed_before = *freed;
        void *const block = al_malloc(size_of(idx));
        const size_t bytes = al_malloc_usable_size(block);
        ck_assert_uint_eq(*allocated, allocated_before + bytes);
        ck_assert_uint_eq(*freed, freed_before);
        al_free(block);
        ck_assert_uint_eq(*allocated, allocated_before + bytes);
        ck_assert_uint_eq(*freed, freed_before + bytes);
        ck_assert_uint_eq(al_thread_allocated_bytes(), *allocated);
        ck_assert_uint_eq(al_thread_deallocated_bytes(), *freed);
        al_thread_tcache_set_enabled(idx % 2 == 0);
        ck_assert(al_thread_tcache_enabled() == (idx % 2 == 0));
    }
    al_thread_tcache_set_enabled(true);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("thread");

    tcase_add_loop_test(tcase, a_cache_is_left_to_the_next_thread_whenever_it_was_born, 0, 45);
    if (ROUND_COUNT == PTHREAD_DESTRUCTOR_ITERATIONS) {
        tcase_add_test(tcase, caches_of_threads_side_by_side_are_left_too);
        tcase_add_test(tcase, nothing_after_its_end_revives_a_cache);
    }
    tcase_add_test(tcase, blocks_outlive_their_thread);
    tcase_add_test(tcase, many_threads_keep_their_caches_and_a_fork_drops_them);
    tcase_add_test(tcase, a_storm_of_control_loses_nothing);
    tcase_add_test(tcase, a_thread_that_changes_its_arena_takes_nothing_along);
    tcase_add_test(tcase, counters_by_address_are_exact_at_once);
    return suite_run(tcase, "thread", 60);
}
