/* SPDX-License-Identifier: BSD-2-Clause
 *
 * treap — free runs ordered by (granules, base address), for best fit at the lowest address.
 *
 * The heap priority is a hash of the descriptor's index, so a tree has one shape, whatever the
 * order of insertions (R. Seidel, C. Aragon, "Randomized Search Trees", 1996).
 *
 * Owns:    left_idx and right_idx of the descriptors in it.
 * Threads: the caller holds the arena's run lock.
 * Bound:   expected depth 2 ln n; the walks below are loops, never recursion.
 */
#ifndef AL_TREAP_H
#define AL_TREAP_H

#include "alloc/extent.h"

void al_treap_insert(uint32_t *root, uint32_t idx);

/* idx is in the tree, and its key is what it was when inserted. */
void al_treap_remove(uint32_t *root, uint32_t idx);

/* The smallest run with at least `granules`, the lowest of those of equal size; 0: none. */
uint32_t al_treap_best_fit(uint32_t root, uint32_t granules);

/* The run next below `idx` in order, or the largest if idx is 0; 0: none. */
uint32_t al_treap_previous(uint32_t root, uint32_t idx);

/* The run next below a place in the order, whether or not a run stands there; 0: none. */
uint32_t al_treap_below(uint32_t root, uint32_t granules, uintptr_t base_addr);

/* Dies unless order and priorities hold. */
void al_treap_check(uint32_t root);

#endif
