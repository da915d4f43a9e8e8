/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   the allocator works the same whatever room there was for the map: all of 47 bits, fewer
 *         with aliases, or none but a table of tables.
 * Method: each width in a child of its own; the shadow heap, foreign pointers, large objects.
 */
#include "alloc/malloc.h"
#include "alloc/map.h"
#include "alloc/thread.h"
#include "tests/support/dies.h"
#include "tests/support/shadow.h"
#include "tests/support/suite.h"

#include <pthread.h>
#include <string.h>

/* Index bits that al_map_init may take, and the mode that must come of it. */
static const struct {
    unsigned bits;
    enum al_map_mode mode;
} widths[] = {
    {64, AL_MAP_MODE_FLAT},   {30, AL_MAP_MODE_NARROW},    {24, AL_MAP_MODE_NARROW},
    {20, AL_MAP_MODE_NARROW}, {16, AL_MAP_MODE_TWO_LEVEL}, {0, AL_MAP_MODE_TWO_LEVEL},
};

static void *run_shadow(void *arg) {
    uint64_t random = *(const uint64_t *)arg;

    shadow_run(&random, 40000, 400000);
    return NULL;
}

START_TEST(every_width_serves_the_same) {
    uint64_t seeds[2] = {suite_seed(11), suite_seed(12)};
    pthread_t thread;

    al_map_limit_bits(widths[_i].bits);
    al_free(al_malloc(1));
    ck_assert_int_eq(al_map_mode(), widths[_i].mode);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_shadow, &seeds[0]), 0);
    (void)run_shadow(&seeds[1]);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    shadow_clear();
    al_audit_all();
    al_free(al_malloc((size_t)100 << 20));
}
END_TEST

static unsigned limit_bits;
static char foreign[64 * 1024];

static void free_foreign(void) {
    al_map_limit_bits(limit_bits);
    al_free(al_malloc(1));
    al_free(foreign + 4096 - (uintptr_t)foreign % 16);
}

static void free_large_interior(void) {
    al_map_limit_bits(limit_bits);
    al_free((char *)al_malloc(300000) + 65536);
}

START_TEST(every_width_sees_foreign_pointers) {
    limit_bits = widths[_i].bits;
    assert_dies(free_foreign, "tally: pointer that was never allocated: 0xADDR\n");
    assert_dies(free_large_interior, "tally: pointer into the middle of an allocation: 0xADDR\n");
}
END_TEST

START_TEST(entries_are_what_was_set) {
    void *const ptr = al_malloc(200000);
    const uint64_t entry = al_map_entry(ptr);

    ck_assert_uint_eq(al_map_entry_low(entry), AL_MAP_LARGE);
    ck_assert_uint_eq(al_map_entry_low(al_map_entry((char *)ptr + 2 * AL_GRANULE_BYTES)),
                      AL_MAP_LARGE_INTERIOR);
    ck_assert_uint_eq(al_map_entry((const void *)UINTPTR_MAX), 0);
    ck_assert_uint_eq(al_map_entry((const void *)((uintptr_t)1 << 47)), 0);
    ck_assert_uint_eq(al_map_entry(NULL), 0);
    al_free(ptr);
    ck_assert_uint_ne(al_map_entry_low(al_map_entry(ptr)), AL_MAP_LARGE);
}
END_TEST

START_TEST(an_address_out_of_reach_is_refused) {
    al_free(al_malloc(1));
    ck_assert(!al_map_cover((uintptr_t)1 << 47, AL_GRANULE_BYTES));
    ck_assert(!al_map_cover(0, AL_GRANULE_BYTES));
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("map");

    /* These need a process that has not chosen its map yet: CK_FORK=no has only one. */
    const char *const fork_mode = getenv("CK_FORK");
    if (fork_mode == NULL || strcmp(fork_mode, "no") != 0) {
        tcase_add_loop_test(tcase, every_width_serves_the_same, 0, (int)AL_ARRAY_COUNT(widths));
        tcase_add_loop_test(tcase, every_width_sees_foreign_pointers, 0,
                            (int)AL_ARRAY_COUNT(widths));
    }
    tcase_add_test(tcase, entries_are_what_was_set);
    tcase_add_test(tcase, an_address_out_of_reach_is_refused);
    return suite_run(tcase, "map", 120);
}
