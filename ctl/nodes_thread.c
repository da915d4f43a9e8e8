/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes_thread — thread.* and tcache.*: the calling thread, its cache, and explicit caches;
 * version.
 */
#include "alloc/control.h"
#include "alloc/tcache_control.h"
#include "ctl/nodes.h"
#include "prof/prof.h"

#include <errno.h>

CT_GET(version_get, text, ct_version)
CT_GET(thread_arena_get, u32, al_thread_arena_get())
CT_GET(thread_allocated_get, u64, al_thread_allocated_bytes())
CT_GET(thread_deallocated_get, u64, al_thread_deallocated_bytes())
CT_GET(thread_allocatedp_get, pointer, al_thread_allocated_ptr())
CT_GET(thread_deallocatedp_get, pointer, al_thread_deallocated_ptr())
CT_GET(tcache_enabled_get, boolean, al_thread_tcache_enabled())
CT_GET(thread_prof_name_get, text, pf_thread_name_get())
CT_GET(thread_prof_active_get, boolean, al_sample_thread_is_active())
CT_GET(peak_get, u64, al_thread_peak_bytes())
CT_GET(tcache_max_thread_get, size, al_thread_tcache_max_bytes())
CT_DO(tcache_flush, al_thread_tcache_flush())
CT_DO(thread_idle, al_thread_idle())
CT_DO(peak_reset, al_thread_peak_reset())

static int thread_arena_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return al_thread_arena_set(in->u32);
}

static int tcache_enabled_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    al_thread_tcache_set_enabled(in->boolean);
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

static int tcache_max_thread_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return al_thread_tcache_set_max(in->size);
}

static int ncached_max_get(const struct ct_args *args, union ct_value *out) {
    AL_ASSERT(args != NULL);
    return args->query == NULL ? EINVAL
                               : al_thread_tcache_cap_get((size_t)args->query->size, &out->size);
}

static int ncached_max_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return in == NULL || in->text == NULL ? EINVAL : al_thread_tcache_set_caps(in->text);
}

/* ---- explicit caches ---- */

static int tcache_create_get(const struct ct_args *args, union ct_value *out) {
    (void)args;
    return al_tcache_explicit_create(&out->u32);
}

static int tcache_flush_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return in == NULL ? EINVAL : al_tcache_explicit_flush(in->u32);
}

static int tcache_destroy_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return in == NULL ? EINVAL : al_tcache_explicit_destroy(in->u32);
}

/* clang-format off */
const struct ct_node ct_nodes_thread[] = {
    {"tcache.create", CT_U32, CT_R | CT_STRICT, tcache_create_get, NULL, .help = "Makes an explicit cache, for MALLOCX_TCACHE."},
    {"tcache.destroy", CT_U32, CT_W, NULL, tcache_destroy_set, .help = "Empties the explicit cache and gives its number up; EFAULT: there is none."},
    {"tcache.flush", CT_U32, CT_W, NULL, tcache_flush_set, .help = "Empties the explicit cache; EFAULT: there is none."},
    {"thread.allocated", CT_U64, CT_R, thread_allocated_get, NULL, .help = "Bytes this thread has allocated, exact."},
    {"thread.allocatedp", CT_POINTER, CT_R, thread_allocatedp_get, NULL, .help = "Address of that counter; puts the thread into exact mode."},
    {"thread.arena", CT_U32, CT_RW, thread_arena_get, thread_arena_set, .help = "The arena of this thread."},
    {"thread.deallocated", CT_U64, CT_R, thread_deallocated_get, NULL, .help = "Bytes this thread has freed, exact."},
    {"thread.deallocatedp", CT_POINTER, CT_R, thread_deallocatedp_get, NULL, .help = "Address of that counter; puts the thread into exact mode."},
    {"thread.idle", CT_NONE, CT_CALL, NULL, thread_idle, .help = "Empties this thread's cache: it will not allocate for a while."},
    {"thread.peak.read", CT_U64, CT_R, peak_get, NULL, .help = "Most bytes this thread had allocated and not freed since the last reset, or since it was first read, seen each 256 KiB and when it is read."},
    {"thread.peak.reset", CT_NONE, CT_CALL, NULL, peak_reset, .help = "Begins anew: the peak is what the thread has now, counted as zero."},
    {"thread.prof.active", CT_BOOL, CT_RW, thread_prof_active_get, thread_prof_active_set, .help = "Whether this thread is sampled; prof.active must be on too."},
    {"thread.prof.name", CT_TEXT, CT_RW | CT_EITHER, thread_prof_name_get, thread_prof_name_set, .help = "Name of this thread in dumps."},
    {"thread.tcache.enabled", CT_BOOL, CT_RW | CT_WRITE_ANYWAY, tcache_enabled_get, tcache_enabled_set, .help = "Whether this thread has a cache."},
    {"thread.tcache.flush", CT_NONE, CT_CALL, NULL, tcache_flush, .help = "Gives all cached blocks of this thread back."},
    {"thread.tcache.max", CT_SIZE, CT_RW, tcache_max_thread_get, tcache_max_thread_set, .help = "Largest size this thread caches, up to 64 KiB; of larger classes at most a block or two stay."},
    {"thread.tcache.ncached_max.read_sizeclass", CT_SIZE, CT_RW | CT_QUERY, ncached_max_get, NULL, .help = "Most blocks of the class of the written size that this thread keeps on either of its two lists."},
    {"thread.tcache.ncached_max.write", CT_TEXT, CT_W, NULL, ncached_max_set, .help = "Sets that for ranges of sizes: 8-128:100|256-512:20."},
    {"version", CT_TEXT, CT_R, version_get, NULL, .help = "The jemalloc version whose interface this is."},
};
/* clang-format on */
const size_t ct_nodes_thread_count = AL_ARRAY_COUNT(ct_nodes_thread);
