/* SPDX-License-Identifier: BSD-2-Clause
 *
 * treap — insertion by splitting below the new node, removal by merging its children.
 */
#include "alloc/treap.h"

/* Of 2^26 nodes some 40 are expected. */
enum { DEPTH_MAX = 256 };

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

/* By the links, not by al_treap_previous: that one goes by the keys, and finds them in order in any
 * tree.
 */
void al_treap_check(uint32_t root) {
    uint32_t path_idx[DEPTH_MAX];
    size_t depth = 0;
    uint32_t last_idx = 0;

    while (root != 0 ||
           depth != 0) { /* two turns a node: a loop of links fails by depth or order */
        if (root != 0) {
            const struct al_free_part *const links = &al_extent_at(root)->free;
            AL_CHECK(depth < DEPTH_MAX, "internal: runs I1: treap depth");
            AL_CHECK((links->left_idx == 0 || priority(links->left_idx) < priority(root)) &&
                         (links->right_idx == 0 || priority(links->right_idx) < priority(root)),
                     "internal: runs I1: treap priorities");
            path_idx[depth++] = root;
            root = links->left_idx;
            continue;
        }
        root = path_idx[--depth];
        AL_CHECK(last_idx == 0 || is_before(al_extent_at(last_idx), al_extent_at(root)),
                 "internal: runs I1: treap order");
        last_idx = root;
        root = al_extent_at(root)->free.right_idx;
    }
}
