/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes_stats — the second half of stats.arenas.<i>.*, in sorted order, and stats of the process.
 */
#include "alloc/control.h"
#include "ctl/nodes.h"

#include <errno.h>

#define PROCESS(field) offsetof(struct ct_process, field)
#define ARENA(field)   offsetof(struct ct_arena, field)
#define SUMS(field)    offsetof(struct ct_arena, sums.field)

static int mutexes_reset(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    (void)in;
    ct_snapshot_reset_locks();
    return 0;
}

static int large_current_get(const struct ct_args *args, union ct_value *out) {
    AL_ASSERT(args->mib_count >= 5);
    const struct ct_arena *const arena = ct_snapshot_arena(args->mib[2]);

    if (arena == NULL) {
        return ENOENT;
    }
    const struct al_stats_large *const large = &arena->parts.large[args->mib[4]];
    out->size = large->malloc_count - large->free_count;
    return 0;
}

CT_GET(edata_get, size, al_extent_table_bytes())

/* clang-format off */
const struct ct_node ct_nodes_stats[] = {
    {"stats.arenas.<i>.internal", CT_SIZE, CT_R, ct_zero_get, NULL, .help = "Books that lie among the arena's objects: none do, always zero."},
    {"stats.arenas.<i>.large.allocated", CT_SIZE, CT_R, ct_arena_64_get, NULL, .help = "Bytes of large runs in use.", .offset_bytes = SUMS(allocated_large_bytes)},
    {"stats.arenas.<i>.large.ndalloc", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Large runs given back.", .offset_bytes = SUMS(ndalloc_large)},
    {"stats.arenas.<i>.large.nfills", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "The same as nmalloc, as in jemalloc.", .offset_bytes = SUMS(nmalloc_large)},
    {"stats.arenas.<i>.large.nflushes", CT_U64, CT_R, ct_zero_get, NULL, .help = "Caches give large runs back one by one: always zero."},
    {"stats.arenas.<i>.large.nmalloc", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Large runs taken; one that changes its size is given and taken.", .offset_bytes = SUMS(nmalloc_large)},
    {"stats.arenas.<i>.large.nrequests", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "The same as nmalloc.", .offset_bytes = SUMS(nmalloc_large)},
    {"stats.arenas.<i>.lextents.<j>.curlextents", CT_SIZE, CT_R, large_current_get, NULL, .help = "Large runs of class j in use."},
    {"stats.arenas.<i>.lextents.<j>.ndalloc", CT_U64, CT_R, ct_large_64_get, NULL, .help = "Large runs of class j given back.", .offset_bytes = offsetof(struct al_stats_large, free_count)},
    {"stats.arenas.<i>.lextents.<j>.nmalloc", CT_U64, CT_R, ct_large_64_get, NULL, .help = "Large runs of class j taken.", .offset_bytes = offsetof(struct al_stats_large, malloc_count)},
    {"stats.arenas.<i>.lextents.<j>.nrequests", CT_U64, CT_R, ct_large_64_get, NULL, .help = "The same as nmalloc.", .offset_bytes = offsetof(struct al_stats_large, malloc_count)},
    {"stats.arenas.<i>.mapped", CT_SIZE, CT_R, ct_arena_64_get, NULL, .help = "Bytes that may hold pages.", .offset_bytes = ARENA(mapped_bytes)},
    {"stats.arenas.<i>.metadata_edata", CT_SIZE, CT_R, ct_zero_get, NULL, .help = "Descriptors are not counted by arena: always zero."},
    {"stats.arenas.<i>.metadata_rtree", CT_SIZE, CT_R, ct_zero_get, NULL, .help = "There is no such tree: always zero."},
    {"stats.arenas.<i>.metadata_thp", CT_SIZE, CT_R, ct_zero_get, NULL, .help = "The books use no huge pages: always zero."},
    CT_MUTEX_ROWS("stats.arenas.<i>.mutexes.base", ct_arena_64_get, ct_arena_32_get, offsetof(struct ct_arena, parts.locks[AL_STATS_LOCK_META]), "Lock of the books, shown with arena 0"),
    CT_NO_MUTEX_ROWS("stats.arenas.<i>.mutexes.decay_dirty"),
    CT_NO_MUTEX_ROWS("stats.arenas.<i>.mutexes.decay_muzzy"),
    CT_MUTEX_ROWS("stats.arenas.<i>.mutexes.extent_avail", ct_arena_64_get, ct_arena_32_get, offsetof(struct ct_arena, parts.locks[AL_STATS_LOCK_EXTENTS]), "Lock of the descriptors, shown with arena 0"),
    CT_MUTEX_ROWS("stats.arenas.<i>.mutexes.extents_dirty", ct_arena_64_get, ct_arena_32_get, offsetof(struct ct_arena, parts.locks[AL_STATS_LOCK_RUNS]), "Lock of the arena's runs"),
    CT_NO_MUTEX_ROWS("stats.arenas.<i>.mutexes.extents_muzzy"),
    CT_NO_MUTEX_ROWS("stats.arenas.<i>.mutexes.extents_retained"),
    CT_NO_MUTEX_ROWS("stats.arenas.<i>.mutexes.hpa_sec"),
    CT_NO_MUTEX_ROWS("stats.arenas.<i>.mutexes.hpa_shard"),
    CT_NO_MUTEX_ROWS("stats.arenas.<i>.mutexes.hpa_shard_grow"),
    CT_NO_MUTEX_ROWS("stats.arenas.<i>.mutexes.large"),
    CT_MUTEX_ROWS("stats.arenas.<i>.mutexes.tcache_list", ct_arena_64_get, ct_arena_32_get, offsetof(struct ct_arena, parts.locks[AL_STATS_LOCK_THREADS]), "Lock of the list of threads, shown with arena 0"),
    {"stats.arenas.<i>.muzzy_decay_ms", CT_SSIZE, CT_R, ct_arena_64_get, NULL, .help = "Milliseconds that freed pages of arena i stay muzzy.", .offset_bytes = SUMS(decay_ms[AL_STALE_MUZZY])},
    {"stats.arenas.<i>.muzzy_nmadvise", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "System calls that purged muzzy pages.", .offset_bytes = SUMS(purged[AL_STALE_MUZZY].call_count)},
    {"stats.arenas.<i>.muzzy_npurge", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Times that muzzy pages were purged.", .offset_bytes = SUMS(purged[AL_STALE_MUZZY].pass_count)},
    {"stats.arenas.<i>.muzzy_purged", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Muzzy pages purged.", .offset_bytes = ARENA(purged_pages[AL_STALE_MUZZY])},
    {"stats.arenas.<i>.nthreads", CT_U32, CT_R, ct_arena_32_get, NULL, .help = "Threads bound to arena i.", .offset_bytes = SUMS(thread_count)},
    {"stats.arenas.<i>.pactive", CT_SIZE, CT_R, ct_arena_64_get, NULL, .help = "Pages of slabs and large runs.", .offset_bytes = ARENA(active_pages)},
    {"stats.arenas.<i>.pdirty", CT_SIZE, CT_R, ct_arena_64_get, NULL, .help = "Free pages not given back.", .offset_bytes = ARENA(dirty_pages)},
    {"stats.arenas.<i>.pmuzzy", CT_SIZE, CT_R, ct_arena_64_get, NULL, .help = "Free pages that the kernel may take.", .offset_bytes = ARENA(muzzy_pages)},
    {"stats.arenas.<i>.resident", CT_SIZE, CT_R, ct_arena_64_get, NULL, .help = "Upper bound of bytes that occupy pages.", .offset_bytes = ARENA(resident_bytes)},
    {"stats.arenas.<i>.retained", CT_SIZE, CT_R, ct_arena_64_get, NULL, .help = "Address space without pages, in bytes.", .offset_bytes = SUMS(retained_bytes)},
    {"stats.arenas.<i>.small.allocated", CT_SIZE, CT_R, ct_arena_64_get, NULL, .help = "Bytes of blocks out of slabs; the sum over the bins.", .offset_bytes = SUMS(allocated_small_bytes)},
    {"stats.arenas.<i>.small.ndalloc", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Sum over the bins.", .offset_bytes = SUMS(ndalloc_small)},
    {"stats.arenas.<i>.small.nfills", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Sum over the bins.", .offset_bytes = SUMS(nfills_small)},
    {"stats.arenas.<i>.small.nflushes", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Sum over the bins.", .offset_bytes = SUMS(nflushes_small)},
    {"stats.arenas.<i>.small.nmalloc", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Sum over the bins.", .offset_bytes = SUMS(nmalloc_small)},
    {"stats.arenas.<i>.small.nrequests", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Sum over the bins.", .offset_bytes = SUMS(nrequests_small)},
    {"stats.arenas.<i>.tcache_bytes", CT_SIZE, CT_R, ct_arena_64_get, NULL, .help = "About what the caches of the arena's threads hold: what is out of the arena and not in the hands of their programs.", .offset_bytes = ARENA(parts.cached_bytes)},
    {"stats.arenas.<i>.tcache_stashed_bytes", CT_SIZE, CT_R, ct_zero_get, NULL, .help = "Nothing is stashed to find uses after free: always zero."},
    {"stats.arenas.<i>.uptime", CT_U64, CT_R, ct_arena_64_get, NULL, .help = "Nanoseconds since the arena was made.", .offset_bytes = ARENA(parts.uptime_ns)},
    {"stats.background_thread.num_runs", CT_U64, CT_R, ct_process_64_get, NULL, .help = "Times the purging thread has looked for work.", .offset_bytes = PROCESS(background.run_count)},
    {"stats.background_thread.num_threads", CT_SIZE, CT_R, ct_process_64_get, NULL, .help = "Purging threads running: 0 or 1.", .offset_bytes = PROCESS(background_thread_count)},
    {"stats.background_thread.run_interval", CT_U64, CT_R, ct_process_64_get, NULL, .help = "Mean nanoseconds between two looks.", .offset_bytes = PROCESS(background.interval_ns)},
    {"stats.mapped", CT_SIZE, CT_R, ct_process_64_get, NULL, .help = "Bytes of memory that may hold pages.", .offset_bytes = PROCESS(sums.mapped_bytes)},
    {"stats.metadata", CT_SIZE, CT_R, ct_process_64_get, NULL, .help = "Bytes of the allocator's own books.", .offset_bytes = PROCESS(sums.metadata_bytes)},
    {"stats.metadata_edata", CT_SIZE, CT_R, edata_get, NULL, .help = "Bytes of descriptors ever made, 64 each."},
    {"stats.metadata_rtree", CT_SIZE, CT_R, ct_zero_get, NULL, .help = "There is no such tree: always zero."},
    {"stats.metadata_thp", CT_SIZE, CT_R, ct_zero_get, NULL, .help = "The books use no huge pages: always zero."},
    CT_NO_MUTEX_ROWS("stats.mutexes.background_thread"),
    CT_MUTEX_ROWS("stats.mutexes.ctl", ct_process_64_get, ct_process_32_get, offsetof(struct ct_process, locks[CT_LOCK_CTL]), "Lock of mallctl"),
    CT_NO_MUTEX_ROWS("stats.mutexes.max_per_bg_thd"),
    CT_MUTEX_ROWS("stats.mutexes.prof", ct_process_64_get, ct_process_32_get, offsetof(struct ct_process, locks[CT_LOCK_PROF]), "Lock of switching the profiler"),
    CT_MUTEX_ROWS("stats.mutexes.prof_dump", ct_process_64_get, ct_process_32_get, offsetof(struct ct_process, locks[CT_LOCK_DUMP]), "Lock of dumps' names"),
    CT_NO_MUTEX_ROWS("stats.mutexes.prof_recent_alloc"),
    CT_NO_MUTEX_ROWS("stats.mutexes.prof_recent_dump"),
    CT_NO_MUTEX_ROWS("stats.mutexes.prof_stats"),
    CT_MUTEX_ROWS("stats.mutexes.prof_thds_data", ct_process_64_get, ct_process_32_get, offsetof(struct ct_process, locks[CT_LOCK_SAMPLES]), "Lock of samples' records"),
    {"stats.mutexes.reset", CT_NONE, CT_CALL | CT_ANY, NULL, mutexes_reset, .help = "Sets all that locks have counted back to zero."},
    {"stats.resident", CT_SIZE, CT_R, ct_process_64_get, NULL, .help = "Upper bound of bytes that occupy pages.", .offset_bytes = PROCESS(sums.resident_bytes)},
    {"stats.retained", CT_SIZE, CT_R, ct_process_64_get, NULL, .help = "Address space kept without pages.", .offset_bytes = PROCESS(sums.retained_bytes)},
    {"stats.zero_reallocs", CT_SIZE, CT_R, ct_process_64_get, NULL, .help = "Calls of realloc with a live pointer and size 0.", .offset_bytes = PROCESS(sums.zero_realloc_count)},
};
/* clang-format on */
const size_t ct_nodes_stats_count = AL_ARRAY_COUNT(ct_nodes_stats);
