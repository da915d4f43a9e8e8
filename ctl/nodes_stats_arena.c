/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes_stats_arena — the first half of stats.arenas.<i>.*, in sorted order, and how a row's number
 * is found in the snapshot.
 */
#include "ctl/nodes.h"

#include <errno.h>
#include <string.h>

#define PROCESS(field)       offsetof(struct ct_process, field)
#define ARENA(field)         offsetof(struct ct_arena, field)
#define SUMS(field)          offsetof(struct ct_arena, sums.field)
#define EXTENTS(kind, field) offsetof(struct ct_arena, parts.kind[0].field)

CT_GET(dss_get, text, "disabled")

int ct_zero_get(const struct ct_args *args, union ct_value *out) {
    (void)args;
    out->u64 = 0;
    return 0;
}

/* ---- a number by its offset ---- */

static int copy_number(const void *base, size_t offset_bytes, size_t bytes, union ct_value *out) {
    AL_ASSERT(out != NULL && offset_bytes % 4 == 0);
    if (base == NULL) {
        return ENOENT;
    }
    memcpy(out, (const char *)base + offset_bytes, bytes);
    return 0;
}

static const struct ct_arena *arena_of(const struct ct_args *args) {
    AL_ASSERT(args->mib_count >= 3);
    return ct_snapshot_arena(args->mib[2]);
}

int ct_process_64_get(const struct ct_args *args, union ct_value *out) {
    return copy_number(ct_snapshot_process(), args->offset_bytes, sizeof(uint64_t), out);
}

int ct_process_32_get(const struct ct_args *args, union ct_value *out) {
    return copy_number(ct_snapshot_process(), args->offset_bytes, sizeof(uint32_t), out);
}

int ct_arena_64_get(const struct ct_args *args, union ct_value *out) {
    return copy_number(arena_of(args), args->offset_bytes, sizeof(uint64_t), out);
}

int ct_arena_32_get(const struct ct_args *args, union ct_value *out) {
    return copy_number(arena_of(args), args->offset_bytes, sizeof(uint32_t), out);
}

/* In an array of the arena's parts that begins at first_bytes, of elements of each_bytes. */
static int copy_part(const struct ct_args *args, size_t first_bytes, size_t each_bytes,
                     size_t bytes, union ct_value *out) {
    AL_ASSERT(args->mib_count >= 5);
    return copy_number(arena_of(args), first_bytes + args->mib[4] * each_bytes + args->offset_bytes,
                       bytes, out);
}

int ct_bin_64_get(const struct ct_args *args, union ct_value *out) {
    return copy_part(args, ARENA(parts.bins), sizeof(struct al_stats_bin), sizeof(uint64_t), out);
}

int ct_bin_32_get(const struct ct_args *args, union ct_value *out) {
    return copy_part(args, ARENA(parts.bins), sizeof(struct al_stats_bin), sizeof(uint32_t), out);
}

int ct_large_64_get(const struct ct_args *args, union ct_value *out) {
    return copy_part(args, ARENA(parts.large), sizeof(struct al_stats_large), sizeof(uint64_t),
                     out);
}

int ct_extents_64_get(const struct ct_args *args, union ct_value *out) {
    return copy_part(args, 0, sizeof(struct al_stats_extents), sizeof(uint64_t), out);
}

/* clang-format off */
const struct ct_node ct_nodes_stats_arena[] = {
    {"stats.active", CT_SIZE, CT_R, ct_process_64_get, NULL, .help = "Bytes of slabs and large runs.", .offset_bytes = PROCESS(sums.active_bytes)},
    {"stats.allocated", CT_SIZE, CT_R, ct_process_64_get, NULL, .help = "Bytes out of slabs and large runs, those in thread caches included (stats.arenas.4096.tcache_bytes); the sum over all bins and large classes.", .offset_bytes = PROCESS(sums.allocated_bytes)},
    {"stats.arenas.<i>.abandoned_vm", CT_SIZE, CT_R, ct_zero_get, NULL, .help = "Address space lost: none, always zero."},
    {"stats.arenas.<i>.base", CT_SIZE, CT_R, ct_arena_64_get, NULL, .help = "Bytes of the books, all shown with arena 0.", .offset_bytes = ARENA(base_bytes)},
    {"stats.arenas.<i>.bins.<j>.curregs", CT_SIZE, CT_R, ct_bin_64_get, NULL, .help = "Blocks of class j out of the arena; nmalloc less ndalloc.", .offset_bytes = offsetof(struct al_stats_bin, used_count)},
    {"stats.arenas.<i>.bins.<j>.curslabs", CT_SIZE, CT_R, ct_bin_64_get, NULL, .help = "Slabs now.", .offset_bytes = offsetof(struct al_stats_bin, slab_count)},
    CT_MUTEX_ROWS("stats.arenas.<i>.bins.<j>.mutex", ct_bin_64_get, ct_bin_32_get, offsetof(struct al_stats_bin, lock), "Locks of class j"),
    {"stats.arenas.<i>.bins.<j>.ndalloc", CT_U64, CT_R, ct_bin_64_get, NULL, .help = "Blocks of class j that have come back.", .offset_bytes = offsetof(struct al_stats_bin, free_count)},
    {"stats.arenas.<i>.bins.<j>.nfills", CT_U64, CT_R, ct_bin_64_get, NULL, .help = "Times that a cache was filled.", .offset_bytes = offsetof(struct al_stats_bin, fill_count)},
    {"stats.arenas.<i>.bins.<j>.nflushes", CT_U64, CT_R, ct_bin_64_get, NULL, .help = "Times that a cache gave blocks back.", .offset_bytes = offsetof(struct al_stats_bin, flush_count)},
    {"stats.arenas.<i>.bins.<j>.nmalloc", CT_U64, CT_R, ct_bin_64_get, NULL, .help = "Blocks of class j that have left the arena for a cache or a program.", .offset_bytes = offsetof(struct al_stats_bin, malloc_count)},
    {"stats.arenas.<i>.bins.<j>.nonfull_slabs", CT_SIZE, CT_R, ct_bin_64_get, NULL, .help = "Slabs that are not full.", .offset_bytes = offsetof(struct al_stats_bin, nonfull_count)},
    {"stats.arenas.<i>.bins.<j>.nrequests", CT_U64, CT_R, ct_bin_64_get, NULL, .help = "Allocations of class j, by threads that use the arena; since the start of those threads that have ended, and of those that live.", .offset_bytes = offsetof(struct al_stats_bin, request_count)},
    {"stats.arenas.<i>.bins.<j>.nreslabs", CT_U64, CT_R, ct_zero_get, NULL, .help = "No slab of a bin is the current one, so it is never switched: always zero."},
    {"stats.arenas.<i>.bins.<j>.nslabs", CT_U64, CT_R, ct_bin_64_get, NULL, .help = "Slabs ever made.", .offset_bytes = offsetof(struct al_stats_bin, slab_made_count)},
    {"stats.arenas.<i>.dirty_decay_ms", CT_SSIZE, CT_R, ct_arena_64_get, NULL, .help = "Milliseconds that freed pages of arena i stay dirty.", .offset_bytes = SUMS(decay_ms[AL_STALE_DIRTY])},
    {"stats.arenas.<i>.dirty_nmadvise", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "System calls that purged dirty pages.", .offset_bytes = SUMS(purged[AL_STALE_DIRTY].call_count)},
    {"stats.arenas.<i>.dirty_npurge", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Times that dirty pages were purged.", .offset_bytes = SUMS(purged[AL_STALE_DIRTY].pass_count)},
    {"stats.arenas.<i>.dirty_purged", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Dirty pages purged.", .offset_bytes = ARENA(purged_pages[AL_STALE_DIRTY])},
    {"stats.arenas.<i>.dss", CT_TEXT, CT_R, dss_get, NULL, .help = "Always disabled: Tally never uses sbrk."},
    {"stats.arenas.<i>.extent_avail", CT_SIZE, CT_R, ct_zero_get, NULL, .help = "Spare descriptors of an arena: they belong to none, always zero."},
    {"stats.arenas.<i>.extents.<j>.dirty_bytes", CT_SIZE, CT_R, ct_extents_64_get, NULL, .help = "Bytes of dirty pages in free runs of bucket j.", .offset_bytes = EXTENTS(dirty, bytes)},
    {"stats.arenas.<i>.extents.<j>.muzzy_bytes", CT_SIZE, CT_R, ct_extents_64_get, NULL, .help = "Bytes of lazily purged pages in free runs of bucket j.", .offset_bytes = EXTENTS(muzzy, bytes)},
    {"stats.arenas.<i>.extents.<j>.ndirty", CT_SIZE, CT_R, ct_extents_64_get, NULL, .help = "Free runs of bucket j with dirty pages; a run may count in all three kinds.", .offset_bytes = EXTENTS(dirty, count)},
    {"stats.arenas.<i>.extents.<j>.nmuzzy", CT_SIZE, CT_R, ct_extents_64_get, NULL, .help = "Free runs of bucket j with lazily purged pages; a run may count in all three kinds.", .offset_bytes = EXTENTS(muzzy, count)},
    {"stats.arenas.<i>.extents.<j>.nretained", CT_SIZE, CT_R, ct_extents_64_get, NULL, .help = "Free runs of bucket j with purged pages; a run may count in all three kinds.", .offset_bytes = EXTENTS(retained, count)},
    {"stats.arenas.<i>.extents.<j>.retained_bytes", CT_SIZE, CT_R, ct_extents_64_get, NULL, .help = "Bytes of purged pages in free runs of bucket j.", .offset_bytes = EXTENTS(retained, bytes)},
};
/* clang-format on */
const size_t ct_nodes_stats_arena_count = AL_ARRAY_COUNT(ct_nodes_stats_arena);
