/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes_arena — arena.<i>.*: what is done to one arena, or to all of them.
 */
#include "alloc/arena_pool.h"
#include "alloc/control.h"
#include "ctl/nodes.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

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

/* ---- what Tally does not have, kept and told ---- */

static int arena_dss_get(const struct ct_args *args, union ct_value *out) {
    const unsigned arena_idx = arena_of(args);
    struct al_arena_traits traits;

    out->text = "disabled";
    return arena_idx == UINT_MAX || al_arena_traits_read(arena_idx, &traits) ? 0 : EFAULT;
}

static int arena_dss_set(const struct ct_args *args, const union ct_value *in) {
    AL_ASSERT(in != NULL);
    static const char *const words[] = {"disabled", "primary", "secondary"};
    size_t word = 0;

    (void)args;
    while (word < AL_ARRAY_COUNT(words) &&
           (in->text == NULL || strcmp(in->text, words[word]) != 0)) {
        word++;
    }
    return word == 0 ? 0 : word < AL_ARRAY_COUNT(words) ? EFAULT : EINVAL;
}

static int arena_oversize_get(const struct ct_args *args, union ct_value *out) {
    struct al_arena_traits traits;

    if (!al_arena_traits_read(arena_of(args), &traits)) {
        return EFAULT;
    }
    out->size = traits.oversize_bytes;
    return 0;
}

static int arena_oversize_set(const struct ct_args *args, const union ct_value *in) {
    return al_arena_set_oversize(arena_of(args), in->size);
}

/* ---- growth, names ---- */

static int arena_grow_get(const struct ct_args *args, union ct_value *out) {
    struct al_arena_traits traits;

    if (!al_options.retain) {
        return ENOENT;
    }
    if (!al_arena_traits_read(arena_of(args), &traits)) {
        return EFAULT;
    }
    out->size = traits.grow_limit_bytes;
    return 0;
}

static int arena_grow_set(const struct ct_args *args, const union ct_value *in) {
    return !al_options.retain ? ENOENT : al_arena_set_grow_limit(arena_of(args), in->size);
}

/* Both sides are pointers to pointers: the old name is copied to where *oldp points. */
static int arena_name_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    AL_ASSERT(buffers != NULL);
    struct al_arena_traits traits;
    char *old_name = NULL;
    const char *new_name = NULL;

    if (!al_arena_traits_read(arena_of(args), &traits)) {
        return EFAULT;
    }
    if (buffers->old_value != NULL && buffers->old_bytes != NULL) {
        if (*buffers->old_bytes != sizeof(old_name)) {
            return EINVAL;
        }
        memcpy(&old_name, buffers->old_value, sizeof(old_name));
        if (old_name == NULL) {
            return EINVAL;
        }
        memcpy(old_name, traits.name, sizeof(traits.name));
    }
    if (buffers->new_value == NULL) {
        return buffers->new_bytes == 0 ? 0 : EINVAL;
    }
    if (buffers->new_bytes != sizeof(new_name)) {
        return EINVAL;
    }
    memcpy(&new_name, buffers->new_value, sizeof(new_name));
    return new_name == NULL ? EINVAL : al_arena_set_name(arena_of(args), new_name);
}

/* ---- hooks, reset, destroy ---- */

static int arena_hooks_get(const struct ct_args *args, union ct_value *out) {
    struct al_user_hooks *hooks = NULL;
    const int err = al_arena_hooks_get(arena_of(args), &hooks);

    out->pointer = hooks;
    return err;
}

static int arena_hooks_set(const struct ct_args *args, const union ct_value *in) {
    return in->pointer == NULL ? EINVAL : al_arena_hooks_set(arena_of(args), in->pointer);
}

static int arena_reset(const struct ct_args *args, const union ct_value *in) {
    (void)in;
    return al_arena_reset(arena_of(args));
}

static int arena_destroy(const struct ct_args *args, const union ct_value *in) {
    static struct al_stats_parts parts; /* guarded by the ctl lock: too large for a stack */
    struct al_stats_arena sums;
    const int err = al_arena_destroy(arena_of(args), &sums, &parts);

    (void)in;
    if (err == 0) {
        ct_snapshot_bury(&sums, &parts);
    }
    return err;
}

static int approximate_get(const struct ct_args *args, union ct_value *out) {
    struct al_stats stats;

    (void)args;
    al_stats_read(&stats);
    out->size = stats.active_bytes;
    return 0;
}

/* clang-format off */
const struct ct_node ct_nodes_arena[] = {
    {"approximate_stats.active", CT_SIZE, CT_R, approximate_get, NULL, .help = "Bytes of slabs and large runs now, whatever the epoch; of no use beside stats.*."},
    {"arena.<i>.decay", CT_NONE, CT_CALL, NULL, arena_decay, .help = "Purges what decay says may no longer stay."},
    {"arena.<i>.destroy", CT_NONE, CT_CALL, NULL, arena_destroy, .help = "Gives up a created arena and all that is in it; its index is the next one's. EFAULT: automatic, or threads are bound to it."},
    {"arena.<i>.dirty_decay_ms", CT_SSIZE, CT_RW, arena_decay_get, arena_decay_set, .help = "Milliseconds freed pages stay; -1 for good, 0 not at all."},
    {"arena.<i>.dss", CT_TEXT, CT_RW, arena_dss_get, arena_dss_set, .help = "Always disabled: Tally never uses sbrk. Other words are refused: EFAULT."},
    {"arena.<i>.extent_hooks", CT_POINTER, CT_RW | CT_WRITE_ANYWAY, arena_hooks_get, arena_hooks_set, .help = "extent_hooks_t *: where the arena's memory comes from, from now on."},
    {"arena.<i>.initialized", CT_BOOL, CT_R, arena_initialized_get, NULL, .help = "Whether the arena exists."},
    {"arena.<i>.muzzy_decay_ms", CT_SSIZE, CT_RW, arena_decay_get, arena_decay_set, .help = "Milliseconds purged pages stay ours until the kernel wants them; 0, the default: not at all."},
    {"arena.<i>.name", CT_RAW, CT_RW, NULL, NULL, .help = "A text of up to 31 bytes; oldp points to a pointer to 32 bytes of the caller, newp to a pointer to the text (type char *).", .raw = arena_name_raw},
    {"arena.<i>.oversize_threshold", CT_SIZE, CT_RW, arena_oversize_get, arena_oversize_set, .help = "Kept and told; 32 MiB and more always have a mapping of their own."},
    {"arena.<i>.purge", CT_NONE, CT_CALL, NULL, arena_purge, .help = "Gives an arena's freed pages back now."},
    {"arena.<i>.reset", CT_NONE, CT_CALL, NULL, arena_reset, .help = "Frees all that is in a created arena at once; caches must be flushed before. EFAULT: automatic."},
    {"arena.<i>.retain_grow_limit", CT_SIZE, CT_RW, arena_grow_get, arena_grow_set, .help = "Most address space asked for at a time beyond what a request needs, rounded down to a granule of 16 KiB; 4 MiB at first."},
};
/* clang-format on */
const size_t ct_nodes_arena_count = AL_ARRAY_COUNT(ct_nodes_arena);
