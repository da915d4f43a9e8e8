/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes — the rows of the mallctl tree, sorted, and the functions that move their values.
 *
 * Two differences from jemalloc, both on purpose: prof.* rows exist without opt.prof, because
 * the profiler can be started in any process; and names of machinery that Tally does not have
 * are not answered with invented numbers (docs/MALLCTL.md lists every name).
 */
#include "ctl/nodes.h"

#include "alloc/background.h"
#include "alloc/control.h"
#include "alloc/os.h"
#include "alloc/sample.h"
#include "prof/prof.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

const char ct_version[] = "5.3.0-0-g0000000000000000000000000000000000000000";

static struct {
    uint64_t epoch;
    struct al_stats stats;
} snapshot;

uint64_t ct_epoch_advance(void) {
    al_stats_read(&snapshot.stats);
    return ++snapshot.epoch;
}

const struct al_stats *ct_stats_snapshot(void) {
    if (snapshot.epoch == 0) {
        (void)ct_epoch_advance();
    }
    return &snapshot.stats;
}

void ct_stats_copy(struct al_stats *out) {
    ct_lock_take();
    *out = *ct_stats_snapshot();
    ct_lock_give();
}

bool ct_index_is_valid(const char *path, size_t index) {
    AL_ASSERT(strstr(path, "<i>") != NULL);
    if (strncmp(path, "arena.", 6) == 0) {
        return index <= al_arena_count() || index == CT_ARENAS_ALL || index == CT_ARENAS_DESTROYED;
    }
    if (strncmp(path, "stats.arenas.", 13) == 0) {
        struct al_stats_arena stats;
        return index == CT_ARENAS_ALL ||
               (index < CT_ARENAS_ALL && al_stats_arena_read((unsigned)index, &stats));
    }
    if (strncmp(path, "arenas.bin.", 11) == 0) {
        return index < al_class_small_count();
    }
    return index < al_class_large_count(); /* arenas.lextent */
}

/* ---- rows that are one expression ---- */

#define GET(name, field, expression)                                                               \
    static int name(const struct ct_args *args, union ct_value *out) {                             \
        (void)args;                                                                                \
        out->field = (expression);                                                                 \
        return 0;                                                                                  \
    }
GET(version_get, text, ct_version)
GET(epoch_get, u64, snapshot.epoch)
GET(true_get, boolean, true)
GET(false_get, boolean, false)
GET(debug_get, boolean, al_is_debug)
GET(empty_get, text, "")
GET(thread_arena_get, u32, al_thread_arena_get())
GET(thread_allocated_get, u64, al_thread_allocated_bytes())
GET(thread_deallocated_get, u64, al_thread_deallocated_bytes())
GET(thread_allocatedp_get, pointer, al_thread_allocated_ptr())
GET(thread_deallocatedp_get, pointer, al_thread_deallocated_ptr())
GET(tcache_enabled_get, boolean, al_thread_tcache_enabled())
GET(thread_prof_name_get, text, pf_thread_name_get())
GET(thread_prof_active_get, boolean, al_sample_thread_is_active())
GET(arenas_narenas_get, u32, al_arena_count())
GET(background_get, boolean, al_background_get())
GET(background_max_get, size, al_options.max_background_threads)
GET(quantum_get, size, al_class_quantum_bytes())
GET(page_get, size, AL_PAGE_BYTES)
GET(hugepage_get, size, 2 * 1024 * 1024)
GET(tcache_max_get, size, al_class_tcache_max_bytes())
GET(nbins_get, u32, al_class_small_count())
GET(nlextents_get, u32, al_class_large_count())
GET(prof_active_get, boolean, pf_active_get())
GET(prof_gdump_get, boolean, pf_gdump_get())
GET(prof_lg_sample_get, size, pf_rate_lg())
GET(prof_interval_get, u64, pf_interval_bytes())
GET(prof_thread_init_get, boolean, al_sample_thread_init())
GET(stats_allocated_get, size, ct_stats_snapshot()->allocated_bytes)
GET(stats_active_get, size, ct_stats_snapshot()->active_bytes)
GET(stats_metadata_get, size, ct_stats_snapshot()->metadata_bytes)
GET(stats_resident_get, size, ct_stats_snapshot()->resident_bytes)
GET(stats_mapped_get, size, ct_stats_snapshot()->mapped_bytes)
GET(stats_retained_get, size, ct_stats_snapshot()->retained_bytes)
GET(stats_zero_reallocs_get, size, ct_stats_snapshot()->zero_realloc_count)
#undef GET

/* ---- epoch, thread.* ---- */

static int epoch_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    (void)in;
    (void)ct_epoch_advance();
    return 0;
}

static int thread_arena_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return al_thread_arena_set(in->u32);
}

static int tcache_enabled_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    al_thread_tcache_set_enabled(in->boolean);
    return 0;
}

static int tcache_flush(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    (void)in;
    return al_thread_tcache_flush();
}

static int thread_idle(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    (void)in;
    (void)al_thread_tcache_flush(); /* a thread without a cache has nothing to give back */
    return 0;
}

static int thread_prof_name_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return in == NULL ? EINVAL : pf_thread_name_set(in->text);
}

static int thread_prof_active_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    al_sample_set_thread(in->boolean);
    return 0;
}

/* ---- arena.<i>.*, arenas.* ---- */

/* UINT_MAX: all of them. */
static unsigned arena_of(const struct ct_args *args) {
    AL_ASSERT(args->mib_count >= 2);
    const size_t index = args->mib[1];

    return index == CT_ARENAS_ALL || index == al_arena_count() ? UINT_MAX : (unsigned)index;
}

static int arena_initialized_get(const struct ct_args *args, union ct_value *out) {
    struct al_stats_arena stats;

    out->boolean = arena_of(args) == UINT_MAX || al_stats_arena_read(arena_of(args), &stats);
    return 0;
}

static int arena_purge(const struct ct_args *args, const union ct_value *in) {
    (void)in;
    return args->mib[1] == CT_ARENAS_DESTROYED ? 0 : al_arena_purge(arena_of(args));
}

static int arena_decay(const struct ct_args *args, const union ct_value *in) {
    (void)in;
    return args->mib[1] == CT_ARENAS_DESTROYED ? 0 : al_arena_decay(arena_of(args));
}

/* The first letter of a *_decay_ms row's last word says which. */
static enum al_stale stale_of(const struct ct_args *args) {
    AL_ASSERT(strrchr(args->path, '.') != NULL);
    return strrchr(args->path, '.')[1] == 'm' ? AL_STALE_MUZZY : AL_STALE_DIRTY;
}

static int arena_decay_get(const struct ct_args *args, union ct_value *out) {
    return al_arena_decay_ms_get(arena_of(args), stale_of(args), &out->ssize);
}

static int arena_decay_set(const struct ct_args *args, const union ct_value *in) {
    return arena_of(args) == UINT_MAX
               ? EFAULT
               : al_arena_decay_ms_set(arena_of(args), stale_of(args), in->ssize);
}

static int arenas_decay_get(const struct ct_args *args, union ct_value *out) {
    out->ssize = al_arenas_decay_ms_get(stale_of(args));
    return 0;
}

static int arenas_decay_set(const struct ct_args *args, const union ct_value *in) {
    return al_arenas_decay_ms_set(stale_of(args), in->ssize);
}

static int background_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return al_background_set(in->boolean);
}

/* Tally has one such thread; the number is kept, and means no more than that there may be one. */
static int background_max_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    if (in->size == 0 || in->size > 4) {
        return EINVAL;
    }
    al_options.max_background_threads = in->size;
    return 0;
}

static int bin_size_get(const struct ct_args *args, union ct_value *out) {
    AL_ASSERT(args->mib_count >= 3);
    out->size = al_class_small_bytes((unsigned)args->mib[2]);
    return 0;
}

static int bin_slab_size_get(const struct ct_args *args, union ct_value *out) {
    AL_ASSERT(args->mib_count >= 3);
    out->size = al_class_small_slab_bytes((unsigned)args->mib[2]);
    return 0;
}

static int bin_nregs_get(const struct ct_args *args, union ct_value *out) {
    AL_ASSERT(args->mib_count >= 3);
    out->u32 = al_class_small_slots((unsigned)args->mib[2]);
    return 0;
}

static int bin_nshards_get(const struct ct_args *args, union ct_value *out) {
    AL_ASSERT(args->mib_count >= 3);
    out->u32 = 1;
    return 0;
}

static int lextent_size_get(const struct ct_args *args, union ct_value *out) {
    AL_ASSERT(args->mib_count >= 3);
    out->size = al_class_large_bytes((unsigned)args->mib[2]);
    return 0;
}

/* Hooks of the program's own are refused, not ignored: its memory would not be used. */
static int arenas_create_get(const struct ct_args *args, union ct_value *out) {
    if (args->query != NULL && args->query->pointer != NULL) {
        return EAGAIN;
    }
    return al_arena_create(&out->u32) == 0 ? 0 : EAGAIN;
}

static int arenas_lookup_get(const struct ct_args *args, union ct_value *out) {
    return args->query == NULL ? EINVAL : al_arena_lookup(args->query->pointer, &out->u32);
}

/* ---- prof.* ---- */

static int prof_active_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return pf_active_set(in->boolean);
}

static int prof_thread_init_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    al_sample_set_thread_init(in->boolean);
    return 0;
}

static int prof_dump_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return pf_dump(in != NULL ? in->text : NULL) == 0 ? 0 : EFAULT;
}

static int prof_gdump_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return pf_gdump_set(in->boolean);
}

static int prof_prefix_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return in == NULL || in->text == NULL ? EINVAL : pf_prefix_set(in->text);
}

static int prof_reset_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    const size_t rate_lg = in != NULL ? in->size : pf_rate_lg();

    return pf_reset(rate_lg < AL_SAMPLE_RATE_LG_MAX ? (unsigned)rate_lg : AL_SAMPLE_RATE_LG_MAX);
}

/* ---- the table ---- */

/* clang-format off */
const struct ct_node ct_nodes[] = {
    {"arena.<i>.decay", CT_NONE, CT_CALL, NULL, arena_decay, "Purges what decay says may no longer stay."},
    {"arena.<i>.dirty_decay_ms", CT_SSIZE, CT_RW, arena_decay_get, arena_decay_set, "Milliseconds freed pages stay; -1 for good, 0 not at all."},
    {"arena.<i>.initialized", CT_BOOL, CT_R, arena_initialized_get, NULL, "Whether the arena exists."},
    {"arena.<i>.muzzy_decay_ms", CT_SSIZE, CT_RW, arena_decay_get, arena_decay_set, "Milliseconds purged pages stay ours until the kernel wants them; 0, the default: not at all."},
    {"arena.<i>.purge", CT_NONE, CT_CALL, NULL, arena_purge, "Gives an arena's freed pages back now."},
    {"arenas.bin.<i>.nregs", CT_U32, CT_R, bin_nregs_get, NULL, "Objects in a slab of small class i."},
    {"arenas.bin.<i>.nshards", CT_U32, CT_R, bin_nshards_get, NULL, "Lock shards of small class i: always 1."},
    {"arenas.bin.<i>.size", CT_SIZE, CT_R, bin_size_get, NULL, "Object size of small class i."},
    {"arenas.bin.<i>.slab_size", CT_SIZE, CT_R, bin_slab_size_get, NULL, "Slab bytes of small class i."},
    {"arenas.create", CT_U32, CT_RW | CT_QUERY | CT_STRICT, arenas_create_get, NULL, "Makes an arena and returns its index; own extent hooks are refused."},
    {"arenas.dirty_decay_ms", CT_SSIZE, CT_RW, arenas_decay_get, arenas_decay_set, "Dirty decay of arenas made later."},
    {"arenas.hugepage", CT_SIZE, CT_R, hugepage_get, NULL, "Size of a huge page."},
    {"arenas.lextent.<i>.size", CT_SIZE, CT_R, lextent_size_get, NULL, "Size of large class i; Tally rounds to pages within it."},
    {"arenas.lookup", CT_U32, CT_RW | CT_QUERY, arenas_lookup_get, NULL, "The arena that owns the object whose address is written."},
    {"arenas.muzzy_decay_ms", CT_SSIZE, CT_RW, arenas_decay_get, arenas_decay_set, "Muzzy decay of arenas made later."},
    {"arenas.narenas", CT_U32, CT_R, arenas_narenas_get, NULL, "Number of arena indexes."},
    {"arenas.nbins", CT_U32, CT_R, nbins_get, NULL, "Number of small classes."},
    {"arenas.nhbins", CT_U32, CT_R, nbins_get, NULL, "Number of classes thread caches hold."},
    {"arenas.nlextents", CT_U32, CT_R, nlextents_get, NULL, "Number of large classes."},
    {"arenas.page", CT_SIZE, CT_R, page_get, NULL, "Size of an OS page."},
    {"arenas.quantum", CT_SIZE, CT_R, quantum_get, NULL, "Spacing of the smallest classes."},
    {"arenas.tcache_max", CT_SIZE, CT_R, tcache_max_get, NULL, "Largest size thread caches hold."},
    {"background_thread", CT_BOOL, CT_RW, background_get, background_set, "Whether a thread of its own purges; may be switched at any time."},
    {"config.cache_oblivious", CT_BOOL, CT_R, false_get, NULL, "Large allocations start at a granule, never at a random line."},
    {"config.debug", CT_BOOL, CT_R, debug_get, NULL, "Built with internal assertions."},
    {"config.fill", CT_BOOL, CT_R, true_get, NULL, "opt.junk and opt.zero are supported."},
    {"config.lazy_lock", CT_BOOL, CT_R, false_get, NULL, "Locks work from the start."},
    {"config.malloc_conf", CT_TEXT, CT_R, empty_get, NULL, "The option string built in: none."},
    {"config.opt_safety_checks", CT_BOOL, CT_R, true_get, NULL, "Misuse that is seen stops the process."},
    {"config.prof", CT_BOOL, CT_R, true_get, NULL, "The profiler is never compiled out."},
    {"config.prof_frameptr", CT_BOOL, CT_R, true_get, NULL, "opt.prof_unwinder:frame_pointers is supported."},
    {"config.prof_libgcc", CT_BOOL, CT_R, true_get, NULL, "opt.prof_unwinder:libgcc is supported."},
    {"config.prof_libunwind", CT_BOOL, CT_R, true_get, NULL, "opt.prof_unwinder:libunwind is supported."},
    {"config.stats", CT_BOOL, CT_R, true_get, NULL, "Statistics are always on."},
    {"config.utrace", CT_BOOL, CT_R, false_get, NULL, "Linux has no utrace(2)."},
    {"config.xmalloc", CT_BOOL, CT_R, true_get, NULL, "opt.xmalloc is supported."},
    {"epoch", CT_U64, CT_RW | CT_WRITE_FIRST, epoch_get, epoch_set, "Any write refreshes stats.* and counts up."},
    {"max_background_threads", CT_SIZE, CT_RW, background_max_get, background_max_set, "Most purging threads, 1 to 4; Tally needs one."},
    {"prof.active", CT_BOOL, CT_RW | CT_STARTS_PROF, prof_active_get, prof_active_set, "Whether allocations are sampled; may be set in any process."},
    {"prof.dump", CT_TEXT, CT_W | CT_STARTS_PROF | CT_UNLOCKED, NULL, prof_dump_set, "Writes a profile to the named file, or to the next automatic name."},
    {"prof.gdump", CT_BOOL, CT_RW | CT_STARTS_PROF, prof_gdump_get, prof_gdump_set, "Whether a dump is written at each new maximum of the heap's address space."},
    {"prof.interval", CT_U64, CT_R, prof_interval_get, NULL, "Bytes allocated between two automatic dumps; 0 for none."},
    {"prof.lg_sample", CT_SIZE, CT_R, prof_lg_sample_get, NULL, "Mean bytes between samples, as a power of two."},
    {"prof.prefix", CT_TEXT, CT_W | CT_UNLOCKED, NULL, prof_prefix_set, "Prefix of automatic dump names from now on."},
    {"prof.reset", CT_SIZE, CT_W | CT_STARTS_PROF, NULL, prof_reset_set, "Forgets all samples and may set a new rate."},
    {"prof.thread_active_init", CT_BOOL, CT_RW, prof_thread_init_get, prof_thread_init_set, "Whether new threads are sampled."},
    {"stats.active", CT_SIZE, CT_R, stats_active_get, NULL, "Bytes of slabs and large runs."},
    {"stats.allocated", CT_SIZE, CT_R, stats_allocated_get, NULL, "Bytes handed to the program; other threads' cached blocks count as handed out."},
    {"stats.arenas.<i>.dirty_decay_ms", CT_SSIZE, CT_R, ct_stats_arena_decay_get, NULL, "Milliseconds freed pages of arena i stay."},
    {"stats.arenas.<i>.dirty_nmadvise", CT_U64, CT_R, ct_stats_arena_purge_get, NULL, "System calls that purged dirty pages."},
    {"stats.arenas.<i>.dirty_npurge", CT_U64, CT_R, ct_stats_arena_purge_get, NULL, "Times that dirty pages were purged."},
    {"stats.arenas.<i>.dirty_purged", CT_U64, CT_R, ct_stats_arena_purge_get, NULL, "Dirty pages purged."},
    {"stats.arenas.<i>.muzzy_decay_ms", CT_SSIZE, CT_R, ct_stats_arena_decay_get, NULL, "Milliseconds lazily purged pages of arena i stay."},
    {"stats.arenas.<i>.muzzy_nmadvise", CT_U64, CT_R, ct_stats_arena_purge_get, NULL, "System calls that purged muzzy pages."},
    {"stats.arenas.<i>.muzzy_npurge", CT_U64, CT_R, ct_stats_arena_purge_get, NULL, "Times that muzzy pages were purged."},
    {"stats.arenas.<i>.muzzy_purged", CT_U64, CT_R, ct_stats_arena_purge_get, NULL, "Muzzy pages purged."},
    {"stats.arenas.<i>.nthreads", CT_U32, CT_R, ct_stats_arena_threads_get, NULL, "Threads bound to arena i."},
    {"stats.arenas.<i>.pactive", CT_SIZE, CT_R, ct_stats_arena_size_get, NULL, "Pages of slabs and large runs."},
    {"stats.arenas.<i>.pdirty", CT_SIZE, CT_R, ct_stats_arena_size_get, NULL, "Free pages not given back."},
    {"stats.arenas.<i>.pmuzzy", CT_SIZE, CT_R, ct_stats_arena_size_get, NULL, "Free pages that the kernel may take."},
    {"stats.arenas.<i>.retained", CT_SIZE, CT_R, ct_stats_arena_size_get, NULL, "Address space without pages, in bytes."},
    {"stats.background_thread.num_runs", CT_U64, CT_R, ct_stats_background_get, NULL, "Times the purging thread has looked for work."},
    {"stats.background_thread.num_threads", CT_SIZE, CT_R, ct_stats_background_get, NULL, "Purging threads running: 0 or 1."},
    {"stats.background_thread.run_interval", CT_U64, CT_R, ct_stats_background_get, NULL, "Mean nanoseconds between two looks."},
    {"stats.mapped", CT_SIZE, CT_R, stats_mapped_get, NULL, "Bytes of memory that may hold pages."},
    {"stats.metadata", CT_SIZE, CT_R, stats_metadata_get, NULL, "Bytes of the allocator's own books."},
    {"stats.resident", CT_SIZE, CT_R, stats_resident_get, NULL, "Upper bound of bytes that occupy pages."},
    {"stats.retained", CT_SIZE, CT_R, stats_retained_get, NULL, "Address space kept without pages."},
    {"stats.zero_reallocs", CT_SIZE, CT_R, stats_zero_reallocs_get, NULL, "Calls of realloc with a live pointer and size 0."},
    {"thread.allocated", CT_U64, CT_R, thread_allocated_get, NULL, "Bytes this thread has allocated, exact."},
    {"thread.allocatedp", CT_POINTER, CT_R, thread_allocatedp_get, NULL, "Address of that counter; puts the thread into exact mode."},
    {"thread.arena", CT_U32, CT_RW, thread_arena_get, thread_arena_set, "The arena of this thread."},
    {"thread.deallocated", CT_U64, CT_R, thread_deallocated_get, NULL, "Bytes this thread has freed, exact."},
    {"thread.deallocatedp", CT_POINTER, CT_R, thread_deallocatedp_get, NULL, "Address of that counter; puts the thread into exact mode."},
    {"thread.idle", CT_NONE, CT_CALL, NULL, thread_idle, "Empties this thread's cache: it will not allocate for a while."},
    {"thread.prof.active", CT_BOOL, CT_RW, thread_prof_active_get, thread_prof_active_set, "Whether this thread is sampled; prof.active must be on too."},
    {"thread.prof.name", CT_TEXT, CT_RW | CT_EITHER, thread_prof_name_get, thread_prof_name_set, "Name of this thread in dumps."},
    {"thread.tcache.enabled", CT_BOOL, CT_RW | CT_WRITE_ANYWAY, tcache_enabled_get, tcache_enabled_set, "Whether this thread has a cache."},
    {"thread.tcache.flush", CT_NONE, CT_CALL, NULL, tcache_flush, "Gives all cached blocks of this thread back."},
    {"version", CT_TEXT, CT_R, version_get, NULL, "The jemalloc version whose interface this is."},
};
/* clang-format on */
const size_t ct_node_count = AL_ARRAY_COUNT(ct_nodes);

/* ---- opt.* ---- */

static int option_get(const struct ct_args *args, union ct_value *out) {
    AL_ASSERT(args->option != NULL && args->option->is_node);
    const struct al_option_row *const row = args->option;
    const void *const field = (const char *)&al_options + row->offset_bytes;

    switch (row->type) {
    case AL_OPTION_TYPE_BOOL:
        out->boolean = *(const bool *)field;
        break;
    case AL_OPTION_TYPE_U32:
        out->u32 = *(const uint32_t *)field;
        break;
    case AL_OPTION_TYPE_WORD:
        out->text = al_option_word(row, *(const uint32_t *)field);
        break;
    case AL_OPTION_TYPE_TEXT:
        out->text = *(const char *const *)field;
        break;
    case AL_OPTION_TYPE_SIZE:
    case AL_OPTION_TYPE_SSIZE:
    case AL_OPTION_TYPE_U64:
    case AL_OPTION_TYPE_I64:
        out->u64 = *(const uint64_t *)field;
        break;
    }
    if (row->offset_bytes == offsetof(struct al_options, narenas) && al_options.narenas == 0) {
        out->u32 = al_arena_auto_count();
    }
    return 0;
}

struct ct_node ct_option_node(const struct al_option_row *option) {
    static const enum ct_type types[] = {
        [AL_OPTION_TYPE_BOOL] = CT_BOOL, [AL_OPTION_TYPE_U32] = CT_U32,
        [AL_OPTION_TYPE_SIZE] = CT_SIZE, [AL_OPTION_TYPE_SSIZE] = CT_SSIZE,
        [AL_OPTION_TYPE_U64] = CT_U64,   [AL_OPTION_TYPE_I64] = CT_U64,
        [AL_OPTION_TYPE_WORD] = CT_TEXT, [AL_OPTION_TYPE_TEXT] = CT_TEXT,
    };

    return (struct ct_node){
        .path = option->key,
        .type = types[option->type],
        .access = CT_R,
        .get = option_get,
        .help = option->help,
    };
}
