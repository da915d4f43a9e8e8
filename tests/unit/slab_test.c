/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   a slab that goes back to the page heap is as dirty as its memory: calloc believes it.
 * Method: slabs made of memory that has been written to, given back carved and uncarved.
 */
#include "alloc/arena.h"
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/map.h"
#include "alloc/slab.h"
#include "tests/support/suite.h"

#include <string.h>

enum { SIZE_BYTES = 262144, CLASS_IDX = 96 };

/* The only free run that fits best: dirty, as large as a slab of the class. */
static uintptr_t make_dirty_run(void) {
    char *const block = al_malloc(SIZE_BYTES);

    memset(block, 0x5a, SIZE_BYTES);
    al_free(block);
    ck_assert_int_eq(al_thread_tcache_flush(), 0); /* into the heap, not the thread's hands */
    return (uintptr_t)block;
}

START_TEST(a_slab_never_carved_is_as_dirty_as_before) {
    const uintptr_t base_addr = make_dirty_run();
    struct al_runs *const runs = &al_arena_at(0)->runs;

    for (unsigned kind = AL_EXTENT_SLAB; kind <= AL_EXTENT_SAMPLED; kind++) {
        const uint32_t slab_idx = al_slab_create(runs, CLASS_IDX, kind);
        ck_assert_uint_eq(al_extent_at(slab_idx)->base_addr, base_addr);
        al_slab_destroy(runs, slab_idx);
        ck_assert_uint_eq(al_map_entry_low(al_map_entry((const void *)base_addr)),
                          AL_MAP_FREE_DIRTY);
    }
    const char *const block = al_calloc(1, SIZE_BYTES);
    for (size_t at = 0; at < SIZE_BYTES; at++) {
        ck_assert_int_eq(block[at], 0);
    }
}
END_TEST

START_TEST(a_slab_of_fresh_memory_never_carved_is_clean) {
    al_free(al_malloc(1)); /* there is an arena */
    struct al_runs *const runs = &al_arena_at(0)->runs;
    const uint32_t slab_idx = al_slab_create(runs, CLASS_IDX, AL_EXTENT_SLAB);
    const uintptr_t base_addr = al_extent_at(slab_idx)->base_addr;
    al_slab_destroy(runs, slab_idx);
    ck_assert_uint_eq(al_map_entry_low(al_map_entry((const void *)base_addr)), AL_MAP_FREE_CLEAN);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("slab");

    tcase_add_test(tcase, a_slab_never_carved_is_as_dirty_as_before);
    tcase_add_test(tcase, a_slab_of_fresh_memory_never_carved_is_clean);
    return suite_run(tcase, "slab", 30);
}
