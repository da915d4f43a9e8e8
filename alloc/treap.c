/* SPDX-License-Identifier: BSD-2-Clause
 *
 * treap — insertion by splitting below the new node, removal by merging its children.
 */
#include "alloc/treap.h"

/* Knuth's multiplier: neighbouring indexes get far-apart priorities. Distinct for distinct
 * indexes, so ties cannot happen.
 */
static uint32_t priority(uint32_t idx) {
    return idx * UINT32_C(2654435769);
}

static bool is_before(const struct al_extent *a, const struct al_extent *b) {
    return a->granules != b->granules ? a->granules < b->granules : a->base_addr < b->base_addr;
}

void al_treap_insert(uint32_t *root, uint32_t idx) {
    AL_ASSERT(idx != 0);
    struct al_extent *const extent = al_extent_at(idx);
    uint32_t *link = root;

    while (*link != 0 && priority(*link) > priority(idx)) {
        struct al_extent *const node = al_extent_at(*link);
        link = is_before(extent, node) ? &node->free.left_idx : &node->free.right_idx;
    }
    /* What was below splits into what comes before the new node and what comes after. */
    uint32_t below_idx = *link;
    uint32_t *before = &extent->free.left_idx;
    uint32_t *after = &extent->free.right_idx;
    *link = idx;
    while (below_idx != 0) {
        struct al_extent *const node = al_extent_at(below_idx);
        if (is_before(node, extent)) {
            *before = below_idx;
            before = &node->free.right_idx;
            below_idx = *before;
        } else {
            *after = below_idx;
            after = &node->free.left_idx;
            below_idx = *after;
        }
    }
    *before = 0;
    *after = 0;
}

void al_treap_remove(uint32_t *root, uint32_t idx) {
    AL_ASSERT(idx != 0 && *root != 0);
    const struct al_extent *const extent = al_extent_at(idx);
    uint32_t *link = root;

    while (*link != idx) {
        struct al_extent *const node = al_extent_at(*link);
        AL_ASSERT(*link != 0);
        link = is_before(extent, node) ? &node->free.left_idx : &node->free.right_idx;
    }
    uint32_t left_idx = extent->free.left_idx;
    uint32_t right_idx = extent->free.right_idx;
    while (left_idx != 0 && right_idx != 0) {
        if (priority(left_idx) > priority(right_idx)) {
            *link = left_idx;
            link = &al_extent_at(left_idx)->free.right_idx;
            left_idx = *link;
        } else {
            *link = right_idx;
            link = &al_extent_at(right_idx)->free.left_idx;
            right_idx = *link;
        }
    }
    *link = left_idx != 0 ? left_idx : right_idx;
}

uint32_t al_treap_best_fit(uint32_t root, uint32_t granules) {
    AL_ASSERT(granules > 0);
    uint32_t best_idx = 0;

    while (root != 0) {
        const struct al_extent *const node = al_extent_at(root);
        if (node->granules >= granules) {
            best_idx = root;
            root = node->free.left_idx;
        } else {
            root = node->free.right_idx;
        }
    }
    return best_idx;
}

uint32_t al_treap_below(uint32_t root, uint32_t granules, uintptr_t base_addr) {
    const struct al_extent place = {.granules = granules, .base_addr = base_addr};
    uint32_t best_idx = 0;

    while (root != 0) {
        const struct al_extent *const node = al_extent_at(root);
        if (is_before(node, &place)) {
            best_idx = root;
            root = node->free.right_idx;
        } else {
            root = node->free.left_idx;
        }
    }
    return best_idx;
}

uint32_t al_treap_previous(uint32_t root, uint32_t idx) {
    if (idx == 0) {
        return al_treap_below(root, UINT32_MAX, UINTPTR_MAX);
    }
    return al_treap_below(root, al_extent_at(idx)->granules, al_extent_at(idx)->base_addr);
}

void al_treap_check(uint32_t root) {
    uint32_t idx = al_treap_previous(root, 0);

    while (idx != 0) { /* as many turns as there are nodes */
        const struct al_extent *const node = al_extent_at(idx);
        const uint32_t children[] = {node->free.left_idx, node->free.right_idx};
        for (size_t child = 0; child < AL_ARRAY_COUNT(children); child++) {
            AL_CHECK(children[child] == 0 || priority(children[child]) < priority(idx),
                     "internal: runs I1: treap priorities");
        }
        const uint32_t next_idx = al_treap_previous(root, idx);
        AL_CHECK(next_idx == 0 || is_before(al_extent_at(next_idx), node),
                 "internal: runs I1: treap order");
        idx = next_idx;
    }
}
