/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes_experimental — experimental.*, of which programs use what looks into slabs (defragmenters)
 * and what allocates in batches; max_background_threads.
 *
 * These rows take structs of jemalloc's, so most see the caller's buffers.
 */
#include "alloc/control.h"
#include "alloc/mallocx.h"
#include "alloc/os.h"
#include "ctl/events.h"
#include "ctl/nodes.h"
#include "prof/prof.h"

#include <errno.h>
#include <string.h>

/* The caller's new value, of exactly `bytes`; false: it is missing or of another size. */
static bool read_new(const struct ct_buffers *buffers, void *value, size_t bytes) {
    AL_ASSERT(value != NULL);
    if (buffers->new_value == NULL || buffers->new_bytes != bytes) {
        return false;
    }
    memcpy(value, buffers->new_value, bytes);
    return true;
}

/* Whether there is room for exactly `bytes`; if not, the length says that nothing was written. */
static bool has_old(const struct ct_buffers *buffers, size_t bytes) {
    AL_ASSERT(bytes > 0);
    const bool is_right =
        buffers->old_value != NULL && buffers->old_bytes != NULL && *buffers->old_bytes == bytes;

    if (!is_right && buffers->old_bytes != NULL) {
        *buffers->old_bytes = 0;
    }
    return is_right;
}

/* ---- utilization ---- */

static int query_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    struct al_utilization utilization;
    const void *ptr = NULL;
    struct {
        const void *slab;
        size_t nfree, nregs, size, bin_nfree, bin_nregs;
    } out;

    (void)args;
    if (buffers->old_value == NULL || buffers->old_bytes == NULL ||
        *buffers->old_bytes != sizeof(out) || !read_new(buffers, (void *)&ptr, sizeof(ptr))) {
        return EINVAL;
    }
    al_utilization_read(ptr, &utilization);
    out.slab = utilization.slab;
    out.nfree = utilization.free_count;
    out.nregs = utilization.slot_count;
    out.size = utilization.bytes;
    out.bin_nfree = utilization.bin_free_count;
    out.bin_nregs = utilization.bin_slot_count;
    memcpy(buffers->old_value, &out, sizeof(out));
    return 0;
}

static int batch_query_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    const size_t count = buffers->new_bytes / sizeof(void *);
    const size_t each_bytes = 3 * sizeof(size_t);

    (void)args;
    if (buffers->old_value == NULL || buffers->old_bytes == NULL || buffers->new_value == NULL ||
        count == 0 || buffers->new_bytes % sizeof(void *) != 0 ||
        *buffers->old_bytes != count * each_bytes) {
        return EINVAL;
    }
    for (size_t idx = 0; idx < count; idx++) {
        struct al_utilization utilization;
        const void *ptr = NULL;
        memcpy((void *)&ptr, (const char *)buffers->new_value + idx * sizeof(ptr), sizeof(ptr));
        al_utilization_read(ptr, &utilization);
        const size_t out[] = {utilization.free_count, utilization.slot_count, utilization.bytes};
        memcpy((char *)buffers->old_value + idx * each_bytes, out, sizeof(out));
    }
    return 0;
}

/* ---- batches ---- */

/* Outside the lock: allocating may sample, and a hook of the program's may call mallctl. */
static int batch_alloc_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    size_t count = 0;
    struct {
        void **ptrs;
        size_t num, size;
        int flags;
    } batch;

    (void)args;
    if (!has_old(buffers, sizeof(count)) || !read_new(buffers, &batch, sizeof(batch))) {
        return EINVAL;
    }
    for (; count < batch.num; count++) {
        batch.ptrs[count] = al_mallocx(batch.size, batch.flags);
        if (batch.ptrs[count] == NULL) {
            break;
        }
    }
    memcpy(buffers->old_value, &count, sizeof(count));
    return 0;
}

/* ---- arenas ---- */

static int pactivep_get(const struct ct_args *args, union ct_value *out) {
    AL_ASSERT(args->mib_count >= 3);
    const struct ct_arena *const arena = ct_snapshot_arena(args->mib[2]);

    if (arena == NULL) {
        return ENOENT;
    }
    out->pointer = (void *)(uintptr_t)&arena->active_pages;
    return 0;
}

static int create_ext_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    unsigned arena_idx = 0;
    struct {
        void *hooks;
        bool metadata_use_hooks; /* the books never lie in a program's memory */
    } config = {NULL, false};

    (void)args;
    if (!has_old(buffers, sizeof(arena_idx)) ||
        (buffers->new_value != NULL && !read_new(buffers, &config, sizeof(config)))) {
        return EINVAL;
    }
    if (ct_arena_create(config.hooks, &arena_idx) != 0) {
        return EAGAIN;
    }
    memcpy(buffers->old_value, &arena_idx, sizeof(arena_idx));
    return 0;
}

/* ---- hooks ---- */

static int safety_check_set(const struct ct_args *args, const union ct_value *in) {
    AL_ASSERT(args != NULL);
    (void)args;
    if (in == NULL) {
        return EINVAL;
    }
    al_die_hook = (void (*)(const char *))(uintptr_t)in->pointer;
    return 0;
}

CT_GET(no_hook_get, pointer, NULL)

static int no_hook_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return in->pointer == NULL ? EINVAL : !al_options.prof ? ENOENT : EAGAIN;
}

/* An install would have to see every allocation, which the fast path has no place for. */
static int install_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    (void)args;
    return buffers->old_value == NULL || buffers->old_bytes == NULL || buffers->new_value == NULL
               ? EINVAL
               : EAGAIN;
}

static int remove_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    (void)args;
    return buffers->old_value != NULL || buffers->old_bytes != NULL ? EPERM : EINVAL;
}

static int thread_event_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    AL_ASSERT(buffers != NULL);
    struct ct_event_hook hook;

    (void)args;
    return !read_new(buffers, &hook, sizeof(hook)) ? EINVAL : ct_event_hook_add(&hook);
}

static int activity_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    AL_ASSERT(buffers != NULL);
    struct ct_activity activity = ct_activity_get();

    (void)args;
    if (buffers->new_value != NULL && buffers->new_bytes != sizeof(activity)) {
        return EINVAL;
    }
    if (buffers->old_value != NULL && buffers->old_bytes != NULL) {
        if (*buffers->old_bytes != sizeof(activity)) {
            return EINVAL;
        }
        memcpy(buffers->old_value, &activity, sizeof(activity));
    }
    if (buffers->new_value != NULL) {
        memcpy(&activity, buffers->new_value, sizeof(activity));
        ct_activity_set(activity);
    }
    return 0;
}

/* ---- recent samples: none are kept ---- */

CT_GET(recent_max_get, ssize, 0)

static int recent_max_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    return in->ssize < -1 ? EINVAL : in->ssize == 0 ? 0 : EAGAIN;
}

static int recent_dump_raw(const struct ct_args *args, const struct ct_buffers *buffers) {
    struct {
        void (*write)(void *opaque, const char *text);
        void *opaque;
    } out;

    (void)args;
    if (buffers->old_value != NULL || buffers->old_bytes != NULL) {
        return EPERM;
    }
    if (!read_new(buffers, &out, sizeof(out))) {
        return EINVAL;
    }
    if (out.write != NULL) {
        out.write(out.opaque, "{\"recent_alloc_max\":0,\"recent_alloc\":[]}");
    }
    return 0;
}

/* ---- background threads ---- */

CT_GET(background_max_get, size, al_options.max_background_threads)

/* Tally has one such thread; the number is kept, and means no more than that there may be one. */
static int background_max_set(const struct ct_args *args, const union ct_value *in) {
    (void)args;
    if (in->size == 0 || in->size > 4) {
        return EINVAL;
    }
    al_options.max_background_threads = in->size;
    return 0;
}

/* ---- where options came from ---- */

CT_GET(conf_env_get, text, al_option_source_texts[AL_OPTION_SOURCE_ENV])
CT_GET(conf_global_get, text, al_option_source_texts[AL_OPTION_SOURCE_GLOBAL])
CT_GET(conf_global_2_get, text, al_option_source_texts[AL_OPTION_SOURCE_GLOBAL_2])
CT_GET(conf_link_get, text, al_option_source_texts[AL_OPTION_SOURCE_LINK])

/* clang-format off */
const struct ct_node ct_nodes_experimental[] = {
    {"experimental.arenas.<i>.pactivep", CT_POINTER, CT_R, pactivep_get, NULL, .help = "Address of the number of active pages, as each epoch writes it; size_t *."},
    {"experimental.arenas_create_ext", CT_RAW, CT_RW, NULL, NULL, .help = "As arenas.create, of struct {extent_hooks_t *; bool}; the books never lie in the program's memory.", .raw = create_ext_raw},
    {"experimental.batch_alloc", CT_RAW, CT_RW | CT_UNLOCKED, NULL, NULL, .help = "Allocates many equal objects: struct {void **; size_t num, size; int flags}; reads how many there are now (size_t).", .raw = batch_alloc_raw},
    {"experimental.hooks.install", CT_RAW, CT_RW, NULL, NULL, .help = "Hooks of every allocation are not to be had: EAGAIN.", .raw = install_raw},
    {"experimental.hooks.prof_backtrace", CT_POINTER, CT_RW, no_hook_get, no_hook_set, .help = "The stack walker cannot be replaced: EAGAIN, or ENOENT without opt.prof."},
    {"experimental.hooks.prof_dump", CT_POINTER, CT_RW, no_hook_get, no_hook_set, .help = "Not to be had: EAGAIN, or ENOENT without opt.prof."},
    {"experimental.hooks.prof_sample", CT_POINTER, CT_RW, no_hook_get, no_hook_set, .help = "Not to be had: EAGAIN, or ENOENT without opt.prof."},
    {"experimental.hooks.prof_sample_free", CT_POINTER, CT_RW, no_hook_get, no_hook_set, .help = "Not to be had: EAGAIN, or ENOENT without opt.prof."},
    {"experimental.hooks.remove", CT_RAW, CT_W, NULL, NULL, .help = "No hook was installed: EINVAL.", .raw = remove_raw},
    {"experimental.hooks.safety_check_abort", CT_POINTER, CT_W, NULL, safety_check_set, .help = "void (*)(const char *), called with the message before a misuse of the heap aborts the process."},
    {"experimental.hooks.thread_event", CT_RAW, CT_W | CT_UNLOCKED, NULL, NULL, .help = "struct {void (*)(bool, uint64_t, uint64_t); uint64_t interval; bool}: called after so many bytes allocated by a thread, at the earliest each 256 KiB; up to 4.", .raw = thread_event_raw},
    {"experimental.prof_recent.alloc_dump", CT_RAW, CT_W | CT_UNLOCKED, NULL, NULL, .help = "Writes JSON of the recent samples through struct {write_cb; void *}: none are kept.", .raw = recent_dump_raw},
    {"experimental.prof_recent.alloc_max", CT_SSIZE, CT_RW, recent_max_get, recent_max_set, .help = "Recent samples kept: always 0; other numbers are refused: EAGAIN."},
    {"experimental.thread.activity_callback", CT_RAW, CT_RW | CT_UNLOCKED, NULL, NULL, .help = "struct {void (*)(void *, uint64_t allocated, uint64_t freed); void *}: called in this thread about each 256 KiB it allocates.", .raw = activity_raw},
    {"experimental.utilization.batch_query", CT_RAW, CT_RW, NULL, NULL, .help = "Of void *[n]: size_t[3 * n], free and all slots of each object's slab, and its bytes; zeros for what is not ours.", .raw = batch_query_raw},
    {"experimental.utilization.query", CT_RAW, CT_RW, NULL, NULL, .help = "Of void *: struct {void *slab; size_t nfree, nregs, size, bin_nfree, bin_nregs}; zeros for what is not ours.", .raw = query_raw},
    {"max_background_threads", CT_SIZE, CT_RW, background_max_get, background_max_set, .help = "Most purging threads, 1 to 4; Tally needs one."},
    {"opt.malloc_conf.env_var", CT_TEXT, CT_R, conf_env_get, NULL, .help = "What the environment variable MALLOC_CONF said at start; NULL: nothing."},
    {"opt.malloc_conf.global_var", CT_TEXT, CT_R, conf_global_get, NULL, .help = "What the program's variable malloc_conf said."},
    {"opt.malloc_conf.global_var_2_conf_harder", CT_TEXT, CT_R, conf_global_2_get, NULL, .help = "What the program's variable malloc_conf_2_conf_harder said."},
    {"opt.malloc_conf.symlink", CT_TEXT, CT_R, conf_link_get, NULL, .help = "What the link /etc/malloc.conf said."},
};
/* clang-format on */
const size_t ct_nodes_experimental_count = AL_ARRAY_COUNT(ct_nodes_experimental);
