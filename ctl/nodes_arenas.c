/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes_arenas — arenas.*: arenas together, and size classes; background_thread.
 */
#include "alloc/background.h"
#include "alloc/control.h"
#include "alloc/os.h"
#include "ctl/nodes.h"

#include <errno.h>
#include <string.h>

CT_GET(arenas_narenas_get, u32, al_arena_count())
CT_GET(background_get, boolean, al_background_get())
CT_GET(quantum_get, size, al_class_quantum_bytes())
CT_GET(page_get, size, AL_PAGE_BYTES)
CT_GET(hugepage_get, size, 2 * 1024 * 1024)
CT_GET(tcache_max_get, size, al_class_tcache_max_bytes())
CT_GET(nbins_get, u32, al_class_small_count())
CT_GET(nlextents_get, u32, al_class_large_count())

/* The first letter of a *_decay_ms row's last word says which. */
static enum al_stale stale_of(const struct ct_args *args) {
    AL_ASSERT(strrchr(args->path, '.') != NULL);
    return strrchr(args->path, '.')[1] == 'm' ? AL_STALE_MUZZY : AL_STALE_DIRTY;
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

int ct_arena_create(void *hooks, unsigned *arena_idx) {
    return al_arena_create_hooked(hooks, arena_idx) == 0 ? 0 : EAGAIN;
}

static int arenas_create_get(const struct ct_args *args, union ct_value *out) {
    return ct_arena_create(args->query != NULL ? args->query->pointer : NULL, &out->u32);
}

static int arenas_lookup_get(const struct ct_args *args, union ct_value *out) {
    return args->query == NULL ? EINVAL : al_arena_lookup(args->query->pointer, &out->u32);
}

/* clang-format off */
const struct ct_node ct_nodes_arenas[] = {
    {"arenas.bin.<i>.nregs", CT_U32, CT_R, bin_nregs_get, NULL, .help = "Objects in a slab of small class i."},
    {"arenas.bin.<i>.nshards", CT_U32, CT_R, bin_nshards_get, NULL, .help = "Lock shards of small class i: always 1."},
    {"arenas.bin.<i>.size", CT_SIZE, CT_R, bin_size_get, NULL, .help = "Object size of small class i."},
    {"arenas.bin.<i>.slab_size", CT_SIZE, CT_R, bin_slab_size_get, NULL, .help = "Slab bytes of small class i."},
    {"arenas.create", CT_U32, CT_RW | CT_QUERY | CT_STRICT, arenas_create_get, NULL, .help = "Makes an arena and returns its index; extent_hooks_t * may be written: where its memory comes from."},
    {"arenas.dirty_decay_ms", CT_SSIZE, CT_RW, arenas_decay_get, arenas_decay_set, .help = "Dirty decay of arenas made later."},
    {"arenas.hugepage", CT_SIZE, CT_R, hugepage_get, NULL, .help = "Size of a huge page."},
    {"arenas.lextent.<i>.size", CT_SIZE, CT_R, lextent_size_get, NULL, .help = "Size of large class i; Tally rounds to pages within it."},
    {"arenas.lookup", CT_U32, CT_RW | CT_QUERY, arenas_lookup_get, NULL, .help = "The arena that owns the object whose address is written."},
    {"arenas.muzzy_decay_ms", CT_SSIZE, CT_RW, arenas_decay_get, arenas_decay_set, .help = "Muzzy decay of arenas made later."},
    {"arenas.narenas", CT_U32, CT_R, arenas_narenas_get, NULL, .help = "Number of arena indexes."},
    {"arenas.nbins", CT_U32, CT_R, nbins_get, NULL, .help = "Number of small classes."},
    {"arenas.nhbins", CT_U32, CT_R, nbins_get, NULL, .help = "Number of classes thread caches hold."},
    {"arenas.nlextents", CT_U32, CT_R, nlextents_get, NULL, .help = "Number of large classes."},
    {"arenas.page", CT_SIZE, CT_R, page_get, NULL, .help = "Size of an OS page."},
    {"arenas.quantum", CT_SIZE, CT_R, quantum_get, NULL, .help = "Spacing of the smallest classes."},
    {"arenas.tcache_max", CT_SIZE, CT_R, tcache_max_get, NULL, .help = "Largest size thread caches hold."},
    {"background_thread", CT_BOOL, CT_RW, background_get, background_set, .help = "Whether a thread of its own purges; may be switched at any time."},
};
/* clang-format on */
const size_t ct_nodes_arenas_count = AL_ARRAY_COUNT(ct_nodes_arenas);
