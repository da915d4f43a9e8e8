/* SPDX-License-Identifier: BSD-2-Clause
 *
 * large_blocks — large blocks of an arena of the test's own, and what the map, their descriptors
 * and the arena's counters must say of them.
 *
 * Threads: one.
 * Fails:   what does not hold fails the running Check test.
 */
#ifndef TESTS_LARGE_BLOCKS_H
#define TESTS_LARGE_BLOCKS_H

#include "alloc/arena.h"
#include "alloc/extent.h"

extern struct al_arena *large_arena;

/* A fixture: a new arena, which never purges by itself, and a kernel that refuses nothing. */
void large_setup(void);

uint64_t large_entry(const void *ptr);
struct al_extent *large_extent(const void *ptr);

/* NULL: no memory. is_zeroed as of al_large_malloc, or NULL. */
unsigned char *large_take_aligned(size_t size_bytes, size_t align_bytes, bool *is_zeroed);
unsigned char *large_take(size_t size_bytes); /* never NULL */
void large_give(void *ptr);

/* A word a page, each another: to be found again wherever the pages are. */
void large_mark(unsigned char *ptr, size_t bytes);
bool large_is_marked(const unsigned char *ptr, size_t bytes);

/* What the map and the descriptor say of a block in use. */
void large_check(const unsigned char *ptr, size_t usable_bytes);

/* Everything in use went back. */
void large_expect_empty(void);

#endif
