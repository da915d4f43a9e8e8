/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes_prof — prof.*: the profiler of the process.
 */
#include "alloc/sample.h"
#include "ctl/nodes.h"
#include "prof/prof.h"

#include <errno.h>

CT_GET(prof_active_get, boolean, pf_active_get())
CT_GET(prof_gdump_get, boolean, pf_gdump_get())
CT_GET(prof_lg_sample_get, size, pf_rate_lg())
CT_GET(prof_interval_get, u64, pf_interval_bytes())
CT_GET(prof_thread_init_get, boolean, al_sample_thread_init())

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

CT_DO(prof_log_set, EFAULT)

/* Never called: ct_index_is_valid refuses every index. */
static int prof_stats_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    (void)args;
    (void)buffers;
    return ENOENT;
}

/* clang-format off */
const struct ct_node ct_nodes_prof[] = {
    {"prof.active", CT_BOOL, CT_RW | CT_STARTS_PROF, prof_active_get, prof_active_set, .help = "Whether allocations are sampled; may be set in any process."},
    {"prof.dump", CT_TEXT, CT_W | CT_STARTS_PROF | CT_UNLOCKED, NULL, prof_dump_set, .help = "Writes a profile to the named file, or to the next automatic name."},
    {"prof.gdump", CT_BOOL, CT_RW | CT_STARTS_PROF, prof_gdump_get, prof_gdump_set, .help = "Whether a dump is written at each new maximum of the heap's address space."},
    {"prof.interval", CT_U64, CT_R, prof_interval_get, NULL, .help = "Bytes allocated between two automatic dumps; 0 for none."},
    {"prof.lg_sample", CT_SIZE, CT_R, prof_lg_sample_get, NULL, .help = "Mean bytes between samples, as a power of two."},
    {"prof.log_start", CT_TEXT, CT_W, NULL, prof_log_set, .help = "The JSON log of allocations does not exist in Tally: EFAULT."},
    {"prof.log_stop", CT_NONE, CT_CALL | CT_ANY, NULL, prof_log_set, .help = "As prof.log_start."},
    {"prof.prefix", CT_TEXT, CT_W | CT_UNLOCKED, NULL, prof_prefix_set, .help = "Prefix of automatic dump names from now on."},
    {"prof.reset", CT_SIZE, CT_W | CT_STARTS_PROF, NULL, prof_reset_set, .help = "Forgets all samples and may set a new rate."},
    {"prof.stats.bins.<i>.accum", CT_RAW, CT_R, NULL, NULL, .help = "Counters of opt.prof_stats, which is without effect: no index is accepted.", .raw = prof_stats_raw},
    {"prof.stats.bins.<i>.live", CT_RAW, CT_R, NULL, NULL, .help = "Counters of opt.prof_stats, which is without effect: no index is accepted.", .raw = prof_stats_raw},
    {"prof.stats.lextents.<i>.accum", CT_RAW, CT_R, NULL, NULL, .help = "Counters of opt.prof_stats, which is without effect: no index is accepted.", .raw = prof_stats_raw},
    {"prof.stats.lextents.<i>.live", CT_RAW, CT_R, NULL, NULL, .help = "Counters of opt.prof_stats, which is without effect: no index is accepted.", .raw = prof_stats_raw},
    {"prof.thread_active_init", CT_BOOL, CT_RW, prof_thread_init_get, prof_thread_init_set, .help = "Whether new threads are sampled."},
};
/* clang-format on */
const size_t ct_nodes_prof_count = AL_ARRAY_COUNT(ct_nodes_prof);
