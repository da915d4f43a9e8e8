/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes_config — config.*: what was built in; epoch.
 */
#include "ctl/nodes.h"

CT_GET(epoch_get, u64, ct_snapshot_epoch())
CT_GET(true_get, boolean, true)
CT_GET(false_get, boolean, false)
CT_GET(debug_get, boolean, al_is_debug)
CT_GET(empty_get, text, "")

static int epoch_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    (void)in;
    (void)ct_snapshot_refresh();
    return 0;
}

/* clang-format off */
const struct ct_node ct_nodes_config[] = {
    {"config.cache_oblivious", CT_BOOL, CT_R, false_get, NULL, .help = "Large allocations start at a granule, never at a random line."},
    {"config.debug", CT_BOOL, CT_R, debug_get, NULL, .help = "Built with internal assertions."},
    {"config.fill", CT_BOOL, CT_R, true_get, NULL, .help = "opt.junk and opt.zero are supported."},
    {"config.lazy_lock", CT_BOOL, CT_R, false_get, NULL, .help = "Locks work from the start."},
    {"config.malloc_conf", CT_TEXT, CT_R, empty_get, NULL, .help = "The option string built in: none."},
    {"config.opt_safety_checks", CT_BOOL, CT_R, true_get, NULL, .help = "Misuse that is seen stops the process."},
    {"config.prof", CT_BOOL, CT_R, true_get, NULL, .help = "The profiler is never compiled out."},
    {"config.prof_frameptr", CT_BOOL, CT_R, true_get, NULL, .help = "opt.prof_unwinder:frame_pointers is supported."},
    {"config.prof_libgcc", CT_BOOL, CT_R, true_get, NULL, .help = "opt.prof_unwinder:libgcc is supported."},
    {"config.prof_libunwind", CT_BOOL, CT_R, true_get, NULL, .help = "opt.prof_unwinder:libunwind is supported."},
    {"config.stats", CT_BOOL, CT_R, true_get, NULL, .help = "Statistics are always on."},
    {"config.utrace", CT_BOOL, CT_R, false_get, NULL, .help = "Linux has no utrace(2)."},
    {"config.xmalloc", CT_BOOL, CT_R, true_get, NULL, .help = "opt.xmalloc is supported."},
    {"epoch", CT_U64, CT_RW | CT_WRITE_FIRST, epoch_get, epoch_set, .help = "Any write refreshes stats.* and counts up."},
};
/* clang-format on */
const size_t ct_nodes_config_count = AL_ARRAY_COUNT(ct_nodes_config);
