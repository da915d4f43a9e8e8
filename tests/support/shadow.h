/* SPDX-License-Identifier: BSD-2-Clause
 *
 * shadow — a second book of the heap: what is allocated, how large, and what its bytes must
 * be. Random operations through every entry point are checked against it.
 *
 * Threads: shadow_step by any number, each with its own random state; blocks change hands
 *          between threads through the book's slots.
 * Fails:   a broken promise of the allocator prints what and aborts.
 */
#ifndef TESTS_SHADOW_H
#define TESTS_SHADOW_H

#include <stddef.h>
#include <stdint.h>

/* Empties the book, freeing what is in it. Checks every block on the way. */
void shadow_clear(void);

/* `count` random operations with sizes up to `size_bytes_max`. */
void shadow_run(uint64_t *random, uint64_t count, size_t size_bytes_max);

/* Blocks in the book now. */
size_t shadow_count(void);

#endif
