/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes_stats_hpa — stats.arenas.<i>.hpa_*: of a huge-page allocator that Tally does not have.
 */
#include "ctl/nodes.h"

static const char nothing[] = "Of jemalloc's huge-page allocator: always zero.";

#define SIZE_ROW(name)                                                                             \
    { "stats.arenas.<i>." name, CT_SIZE, CT_R, ct_zero_get, NULL, .help = nothing }
#define COUNT_ROW(name)                                                                            \
    { "stats.arenas.<i>." name, CT_U64, CT_R, ct_zero_get, NULL, .help = nothing }
#define SLAB_ROWS(name)                                                                            \
    SIZE_ROW(name ".nactive_huge"), SIZE_ROW(name ".nactive_nonhuge"),                             \
        SIZE_ROW(name ".ndirty_huge"), SIZE_ROW(name ".ndirty_nonhuge"),                           \
        SIZE_ROW(name ".npageslabs_huge"), SIZE_ROW(name ".npageslabs_nonhuge")

/* clang-format off */
const struct ct_node ct_nodes_stats_hpa[] = {
    SIZE_ROW("hpa_sec_bytes"),
    SIZE_ROW("hpa_sec_dalloc_flush"),
    SIZE_ROW("hpa_sec_dalloc_noflush"),
    SIZE_ROW("hpa_sec_hits"),
    SIZE_ROW("hpa_sec_misses"),
    SIZE_ROW("hpa_sec_overfills"),
    SLAB_ROWS("hpa_shard.empty_slabs"),
    SLAB_ROWS("hpa_shard.full_slabs"),
    SIZE_ROW("hpa_shard.nactive"),
    COUNT_ROW("hpa_shard.ndehugifies"),
    SIZE_ROW("hpa_shard.ndirty"),
    COUNT_ROW("hpa_shard.nhugifies"),
    COUNT_ROW("hpa_shard.nhugify_failures"),
    SLAB_ROWS("hpa_shard.nonfull_slabs.<j>"),
    SIZE_ROW("hpa_shard.npageslabs"),
    COUNT_ROW("hpa_shard.npurge_passes"),
    COUNT_ROW("hpa_shard.npurges"),
    SLAB_ROWS("hpa_shard.slabs"),
};
/* clang-format on */
const size_t ct_nodes_stats_hpa_count = AL_ARRAY_COUNT(ct_nodes_stats_hpa);
