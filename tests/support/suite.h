/* SPDX-License-Identifier: BSD-2-Clause
 *
 * suite — the main function of a Check test in one line.
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Runs a case of tests, each given `timeout_s` seconds. Returns main's exit status. */
static inline int suite_run(TCase *tcase, const char *name, double timeout_s) {
    Suite *const suite = suite_create(name);
    SRunner *const runner = srunner_create(suite);

    tcase_set_timeout(tcase, timeout_s);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The seed of this run: TALLY_SEED, else `fallback`. Printed, so that a failure can be rerun. */
static inline uint64_t suite_seed(uint64_t fallback) {
    const char *const text = getenv("TALLY_SEED");
    const uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : fallback;

    printf("TALLY_SEED=%llu\n", (unsigned long long)seed);
    return seed != 0 ? seed : 1;
}

static inline uint64_t suite_random(uint64_t *state) {
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

#endif
