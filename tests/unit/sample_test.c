/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the sampler draws what docs/SAMPLING.md says: each allocation of size s on its own
 *         with p = 1 - exp(-s / R), by every entry point, and the estimate 1/p is unbiased.
 * Method: hooks of our own count. Seeds are fixed, so a passing run passes again; the bounds
 *         are five standard deviations of the law, which another seed breaks once in a million.
 */
#include "alloc/arena.h"
#include "alloc/class.h"
#include "alloc/control.h"
#include "alloc/hooks.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/sample.h"
#include "alloc/tcache.h"
#include "alloc/thread.h"
#include "tests/support/suite.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEED = 20240229, GAP_COUNT_MAX = 100000 };

/* Of the public header: MALLOCX_TCACHE_NONE and MALLOCX_ARENA. */
enum { FLAG_NO_TCACHE = 1 << 8 };

static int flag_arena(unsigned arena_idx) {
    return (int)(arena_idx + 1) << 20;
}

static const double sigma_count_max = 5.0;

/* What the hooks have seen. One thread writes at a time, but for the counts. */
static struct {
    _Atomic uint64_t sample_count;
    _Atomic uint64_t freed_count;
    double weight_bytes;  /* sum of s / p */
    double weight_count;  /* sum of 1 / p */
    double variance;      /* of weight_bytes: sum of s^2 (1-p) / p^2 */
    uint64_t alloc_count; /* allocations so far, counted by the test */
    uint64_t last_alloc;  /* alloc_count at the last sample */
    uint64_t gaps[GAP_COUNT_MAX];
    size_t gap_count;
} seen;

static char record;

static double probability(size_t size_bytes, unsigned rate_lg) {
    return rate_lg == 0 ? 1.0 : -expm1(-(double)size_bytes / (double)(UINT64_C(1) << rate_lg));
}

static void *on_sample(const struct al_sampled *sampled) {
    const double p = probability(sampled->usable_bytes, sampled->rate_lg);
    const double bytes = (double)sampled->usable_bytes;

    ck_assert_uint_le(sampled->requested_bytes, sampled->usable_bytes);
    ck_assert(sampled->is_certain == (sampled->rate_lg == 0));
    atomic_fetch_add(&seen.sample_count, 1);
    seen.weight_bytes += bytes / p;
    seen.weight_count += 1 / p;
    seen.variance += bytes * bytes * (1 - p) / (p * p);
    if (seen.gap_count < GAP_COUNT_MAX) {
        seen.gaps[seen.gap_count++] = seen.alloc_count - seen.last_alloc;
    }
    seen.last_alloc = seen.alloc_count;
    return &record;
}

static void on_freed(void *given) {
    ck_assert_ptr_eq(given, &record);
    atomic_fetch_add(&seen.freed_count, 1);
}

static void on_allocated(uint64_t bytes) {
    (void)bytes;
}

static void on_thread(void **slot) {
    (void)slot;
}

static void on_fork(void) {
}

const struct al_hooks al_hooks = {
    .sample = on_sample,
    .sample_freed = on_freed,
    .allocated = on_allocated,
    .thread_started = on_thread,
    .thread_ended = on_thread,
    .fork_prepare = on_fork,
    .fork_parent = on_fork,
    .fork_child = on_fork,
};

/* Sampling on from here, with a known sequence of draws. */
static void start(unsigned rate_lg, uint64_t seed) {
    al_free(al_malloc(1));
    al_self->rng = seed;
    al_sample_set(true, rate_lg);
    seen.alloc_count = 0;
    seen.last_alloc = 0;
    seen.gap_count = 0;
    seen.weight_bytes = 0;
    seen.weight_count = 0;
    seen.variance = 0;
    atomic_store(&seen.sample_count, 0);
    atomic_store(&seen.freed_count, 0);
}

/* One allocation that is freed at once. */
static void touch(size_t size_bytes) {
    seen.alloc_count++;
    void *const ptr = al_malloc(size_bytes);
    ck_assert_ptr_nonnull(ptr);
    al_free(ptr);
}

static void assert_near(double found, double wanted, double variance, const char *what,
                        size_t which) {
    const double sigmas = (found - wanted) / sqrt(variance);

    ck_assert_msg(fabs(sigmas) < sigma_count_max, "%s (%zu): %.6g, not %.6g: %.1f sigma", what,
                  which, found, wanted, sigmas);
}

static const size_t class_sizes[] = {16,   64,    240,   1024,  1280,   4096,
                                     8192, 20480, 65536, 81920, 300000, 1 << 20};

/* The count of samples is binomial, and the sum of weights estimates the truth. */
START_TEST(each_class_is_drawn_with_its_probability) {
    const size_t size = class_sizes[_i];
    const unsigned rate_lg = 14;
    const double p = probability(al_nallocx(size, 0), rate_lg);
    const double count = size < 80000 ? 400000 : 20000;

    start(rate_lg, SEED + (uint64_t)_i);
    for (double n = 0; n < count; n++) {
        touch(size);
    }
    if (p * count > count - 10) {
        ck_assert_double_ge((double)seen.sample_count, count - 20);
    } else {
        assert_near((double)seen.sample_count, p * count, count * p * (1 - p), "samples", size);
        assert_near(seen.weight_count, count, count * (1 - p) / p, "estimated objects", size);
    }
    ck_assert_uint_eq(seen.freed_count, seen.sample_count);
}
END_TEST

START_TEST(mixed_sizes_are_estimated_without_bias) {
    uint64_t random = SEED;
    double truth_bytes = 0;
    void *held[512] = {NULL};

    start(16, SEED);
    for (int n = 0; n < 600000; n++) {
        const uint64_t pick = suite_random(&random);
        const size_t size = pick % 50 == 0 ? suite_random(&random) % 200000 : pick % 700;
        void **const slot = &held[suite_random(&random) % 512];
        al_free(*slot);
        *slot = al_malloc(size);
        truth_bytes += (double)al_malloc_usable_size(*slot);
    }
    assert_near(seen.weight_bytes, truth_bytes, seen.variance, "estimated bytes", 0);
    for (size_t idx = 0; idx < 512; idx++) {
        al_free(held[idx]);
    }
    ck_assert_uint_eq(seen.freed_count, seen.sample_count);
}
END_TEST

/* Chi-square over ten ranges of equal probability; 27.9 is its 99.9 % quantile at 9 degrees. */
START_TEST(gaps_between_samples_are_geometric) {
    const size_t size = 512;
    const double p = probability(size, 14);
    double observed[10] = {0};
    double expected[10] = {0};
    double chi_square = 0;

    start(14, SEED + (uint64_t)_i);
    for (int n = 0; n < 2000000; n++) {
        touch(size);
    }
    const size_t gap_count = seen.gap_count;
    ck_assert_uint_gt(gap_count, 50000);
    for (size_t idx = 0; idx < gap_count; idx++) {
        const double tail = pow(1 - p, (double)seen.gaps[idx]); /* P(gap > this) */
        const int range = (int)((1 - tail) * 10);
        observed[range > 9 ? 9 : range]++;
    }
    /* The exact probability of each range, as gaps are whole numbers. */
    double last = 0;
    for (int gap = 1; gap < 5000; gap++) {
        const double at = 1 - pow(1 - p, gap);
        const int range = (int)(at * 10);
        expected[range > 9 ? 9 : range] += (at - last) * (double)gap_count;
        last = at;
    }
    for (int range = 0; range < 10; range++) {
        const double difference = observed[range] - expected[range];
        chi_square += difference * difference / expected[range];
    }
    ck_assert_msg(chi_square < 27.9, "chi-square %.1f", chi_square);
}
END_TEST

START_TEST(consecutive_gaps_do_not_know_each_other) {
    double sum = 0;
    double products = 0;
    double squares = 0;

    start(14, SEED);
    for (int n = 0; n < 2000000; n++) {
        touch(512);
    }
    for (size_t idx = 0; idx < seen.gap_count; idx++) {
        sum += (double)seen.gaps[idx];
    }
    const double mean = sum / (double)seen.gap_count;
    for (size_t idx = 1; idx < seen.gap_count; idx++) {
        const double own = (double)seen.gaps[idx] - mean;
        products += own * ((double)seen.gaps[idx - 1] - mean);
        squares += own * own;
    }
    const double correlation = products / squares;
    ck_assert_double_lt(fabs(correlation), sigma_count_max / sqrt((double)seen.gap_count));
}
END_TEST

/* Rate 0 has no chance in it: each allocation by each entry point is one sample. */
START_TEST(at_rate_0_every_entry_point_is_sampled) {
    void *out = NULL;
    unsigned arena_idx = 0;

    ck_assert_int_eq(al_arena_create(&arena_idx), 0);
    start(0, SEED);
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(class_sizes); idx++) {
        const size_t size = class_sizes[idx];
        void *const ptrs[] = {
            al_malloc(size),
            al_calloc(1, size),
            al_aligned_alloc(64, size),
            al_posix_memalign(&out, 16, size) == 0 ? out : NULL,
            al_realloc(NULL, size),
            al_mallocx(size, 0),
            al_mallocx(size, FLAG_NO_TCACHE),
            al_mallocx(size, flag_arena(arena_idx) | FLAG_NO_TCACHE),
        };
        ck_assert_uint_eq(seen.sample_count, (idx + 1) * AL_ARRAY_COUNT(ptrs));
        for (size_t at = 0; at < AL_ARRAY_COUNT(ptrs); at++) {
            ck_assert_ptr_nonnull(ptrs[at]);
            al_free(ptrs[at]);
        }
        ck_assert_uint_eq(seen.freed_count, seen.sample_count);
    }
}
END_TEST

/* Samples of many sizes, one after another, hold no more than a slab of large slots. */
START_TEST(one_empty_slab_of_large_classes_stays) {
    const unsigned first_idx = al_class_of(4096);

    start(0, SEED);
    const struct al_arena *const arena = al_arena_at(al_self->arena->idx);
    for (unsigned class_idx = first_idx; class_idx < AL_CLASS_COUNT; class_idx++) {
        touch(al_class_bytes(class_idx));
        unsigned slab_count = 0;
        for (unsigned idx = first_idx; idx < AL_CLASS_COUNT; idx++) {
            slab_count += arena->sampled[idx].slab_count;
        }
        ck_assert_uint_eq(slab_count, 1);
        ck_assert_uint_eq(arena->sampled[class_idx].slab_count, 1); /* for the next sample */
    }
    void *const held = al_malloc(4096);
    touch(8192);
    ck_assert_uint_eq(arena->sampled[first_idx].slab_count, 1); /* it is not empty */
    al_free(held);
}
END_TEST

/* In place or not, a new size is a free and an allocation. */
START_TEST(realloc_is_a_free_and_an_allocation) {
    static const size_t steps[] = {100, 5000, 70000, 200000, 1 << 20, 40 << 20, 300000, 90000, 50};
    void *ptr = NULL;

    start(0, SEED);
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(steps); idx++) {
        ptr = al_realloc(ptr, steps[idx]);
        ck_assert_ptr_nonnull(ptr);
        ck_assert_uint_eq(seen.sample_count, idx + 1);
        ck_assert_uint_eq(seen.freed_count, idx);
        ck_assert_ptr_eq(al_realloc(ptr, steps[idx]), ptr); /* the same size is neither */
        ck_assert_uint_eq(seen.sample_count, idx + 1);
    }
    al_free(ptr);
    ck_assert_uint_eq(seen.freed_count, seen.sample_count);
}
END_TEST

START_TEST(switching_off_ends_it_at_once_and_frees_are_still_seen) {
    void *ptrs[100];

    start(0, SEED);
    for (size_t idx = 0; idx < 100; idx++) {
        ptrs[idx] = al_malloc(idx * 50);
    }
    al_sample_set(false, 0);
    for (int n = 0; n < 1000; n++) {
        touch(64);
    }
    ck_assert_uint_eq(seen.sample_count, 100);
    for (size_t idx = 0; idx < 100; idx++) {
        al_free(ptrs[idx]);
    }
    ck_assert_uint_eq(seen.freed_count, 100);
    al_sample_set(true, 0);
    touch(64);
    ck_assert_uint_eq(seen.sample_count, 101);
}
END_TEST

START_TEST(a_thread_may_leave_itself_out) {
    start(0, SEED);
    al_sample_set_thread(false);
    touch(64);
    touch(300000);
    ck_assert_uint_eq(seen.sample_count, 0);
    al_sample_set_thread(true);
    touch(64);
    touch(300000);
    ck_assert_uint_eq(seen.sample_count, 2);
}
END_TEST

static void *run_short_thread(void *arg) {
    for (int n = 0; n < 100; n++) {
        al_free(al_malloc(256));
    }
    return arg;
}

/* Sampling goes on on both sides of a fork: neither keeps the mark that fork puts on. */
START_TEST(a_fork_leaves_sampling_on) {
    int status = 0;

    start(0, SEED);
    fflush(NULL);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        touch(64);
        touch(300000);
        _exit(seen.sample_count == 2 && seen.freed_count == 2 ? 0 : 1);
    }
    touch(64);
    ck_assert_uint_eq(seen.sample_count, 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* An ended thread's cache, with the countdowns it has drawn, goes to the next thread. */
static void *switch_off_and_touch(void *arg) {
    touch(64);
    al_sample_set_thread(false);
    touch(64);
    touch(300000);
    return arg;
}

static void *touch_all(void *arg) {
    touch(64);
    touch(5000);
    touch(300000);
    return arg;
}

static void run_thread(void *(*function)(void *)) {
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, function, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(a_cache_that_changes_hands_is_sampled_as_its_new_thread_is) {
    enum { THREAD_COUNT = 40 }; /* more than are parked: some caches come from the pool */
    start(0, SEED);
    for (int n = 0; n < THREAD_COUNT; n++) {
        run_thread(switch_off_and_touch);
    }
    const uint64_t before = seen.sample_count;
    ck_assert_uint_eq(before, THREAD_COUNT);
    for (int n = 0; n < THREAD_COUNT; n++) {
        run_thread(touch_all);
    }
    ck_assert_uint_eq(seen.sample_count, before + 3 * THREAD_COUNT);
    al_sample_set_thread_init(false);
    for (int n = 0; n < THREAD_COUNT; n++) {
        run_thread(touch_all);
    }
    al_sample_set_thread_init(true);
    ck_assert_uint_eq(seen.sample_count, before + 3 * THREAD_COUNT);
}
END_TEST

/* A countdown that died with its thread would lose samples: each thread's first draw counts. */
START_TEST(short_threads_are_sampled_like_long_ones) {
    const unsigned rate_lg = 14;
    const int thread_count = 2000;
    const double p = probability(256, rate_lg);
    const double count = thread_count * 100.0;

    start(rate_lg, SEED);
    al_sample_set_thread(false); /* only the threads' own allocations, of one size */
    for (int n = 0; n < thread_count; n++) {
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, run_short_thread, NULL), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
    }
    assert_near((double)seen.sample_count, p * count, count * p * (1 - p), "samples", 256);
}
END_TEST

START_TEST(own_logarithm_and_exponential_are_exact_enough) {
    for (double x = 1e-12; x < 60; x *= 1.01) {
        ck_assert_double_lt(fabs(al_sample_one_minus_exp(x) / -expm1(-x) - 1), 1e-12);
    }
    for (double u = 1; u > 1e-16; u *= 0.97) {
        const double exact = -log(u);
        ck_assert_double_le(fabs(al_sample_minus_ln(u) - exact), 1e-12 * exact + 1e-15);
    }
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("sample");

    tcase_add_loop_test(tcase, each_class_is_drawn_with_its_probability, 0,
                        (int)AL_ARRAY_COUNT(class_sizes));
    tcase_add_test(tcase, mixed_sizes_are_estimated_without_bias);
    tcase_add_loop_test(tcase, gaps_between_samples_are_geometric, 0, 3);
    tcase_add_test(tcase, consecutive_gaps_do_not_know_each_other);
    tcase_add_test(tcase, at_rate_0_every_entry_point_is_sampled);
    tcase_add_test(tcase, one_empty_slab_of_large_classes_stays);
    tcase_add_test(tcase, realloc_is_a_free_and_an_allocation);
    tcase_add_test(tcase, switching_off_ends_it_at_once_and_frees_are_still_seen);
    tcase_add_test(tcase, a_thread_may_leave_itself_out);
    tcase_add_test(tcase, a_fork_leaves_sampling_on);
    tcase_add_test(tcase, a_cache_that_changes_hands_is_sampled_as_its_new_thread_is);
    tcase_add_test(tcase, short_threads_are_sampled_like_long_ones);
    tcase_add_test(tcase, own_logarithm_and_exponential_are_exact_enough);
    return suite_run(tcase, "sample", 200);
}
