/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nodes — the tables in their order, which numbers may stand for an index, and options as rows.
 *
 * Two differences from jemalloc, both on purpose: prof.* rows exist without opt.prof, because
 * the profiler can be started in any process; and numbers of machinery that Tally does not have
 * are zero, and their rows say so (docs/MALLCTL.md lists every name).
 */
#include "ctl/nodes.h"

#include "alloc/control.h"

#include <string.h>

const char ct_version[] = "5.3.0-0-g0000000000000000000000000000000000000000";

/* Pointers and not counts: those are constants of other files. */
static const struct {
    const struct ct_node *nodes;
    const size_t *count;
} subjects[] = {
    {ct_nodes_arena, &ct_nodes_arena_count},
    {ct_nodes_arenas, &ct_nodes_arenas_count},
    {ct_nodes_config, &ct_nodes_config_count},
    {ct_nodes_experimental, &ct_nodes_experimental_count},
    {ct_nodes_prof, &ct_nodes_prof_count},
    {ct_nodes_stats_arena, &ct_nodes_stats_arena_count},
    {ct_nodes_stats_hpa, &ct_nodes_stats_hpa_count},
    {ct_nodes_stats, &ct_nodes_stats_count},
    {ct_nodes_thread, &ct_nodes_thread_count},
};

size_t ct_node_count(void) {
    size_t count = 0;

    for (size_t subject = 0; subject < AL_ARRAY_COUNT(subjects); subject++) {
        count += *subjects[subject].count;
    }
    return count;
}

const struct ct_node *ct_node_at(size_t idx) {
    size_t subject = 0;

    while (idx >= *subjects[subject].count) { /* ends: idx < ct_node_count() */
        idx -= *subjects[subject++].count;
        AL_ASSERT(subject < AL_ARRAY_COUNT(subjects));
    }
    return &subjects[subject].nodes[idx];
}

/* ---- indexes ---- */

/* The first index of a name: which arena, class or bin. Above the last arena's number there is one
 * that means all of them, as in jemalloc.
 */
static bool is_first_index(const char *path, size_t index) {
    AL_ASSERT(path != NULL);
    if (strncmp(path, "arena.", 6) == 0) {
        return index <= al_arena_count() || index == CT_ARENAS_ALL || index == CT_ARENAS_DESTROYED;
    }
    if (strncmp(path, "stats.arenas.", 13) == 0) {
        return ct_snapshot_has_arena(index);
    }
    if (strncmp(path, "experimental.arenas.", 20) == 0) {
        return index < CT_ARENAS_ALL && ct_snapshot_has_arena(index);
    }
    if (strncmp(path, "arenas.bin.", 11) == 0) {
        return index < al_class_small_count();
    }
    return strncmp(path, "arenas.lextent.", 15) == 0 && index < al_class_large_count();
}

/* Slabs of jemalloc's huge-page allocator by their free pages. */
enum { HPA_BUCKET_COUNT = 64 };

/* The second index, of stats.arenas.<i>. */
static bool is_second_index(const char *path, size_t index) {
    AL_ASSERT(strncmp(path, "stats.arenas.", 13) == 0);
    const char *const what = path + strlen("stats.arenas.<i>.");

    if (strncmp(what, "bins.", 5) == 0) {
        return index < al_class_small_count();
    }
    if (strncmp(what, "lextents.", 9) == 0) {
        return index < al_class_large_count();
    }
    return index < (strncmp(what, "extents.", 8) == 0 ? (size_t)AL_STATS_EXTENT_COUNT
                                                      : (size_t)HPA_BUCKET_COUNT);
}

bool ct_index_is_valid(const char *path, const size_t *mib, size_t depth) {
    AL_ASSERT(path != NULL && mib != NULL && depth < CT_MIB_MAX);
    if (strncmp(path, "prof.stats.", 11) == 0) {
        return false; /* opt.prof_stats is without effect */
    }
    return depth <= 2 ? is_first_index(path, mib[depth]) : is_second_index(path, mib[depth]);
}

/* ---- opt.* ---- */

/* jemalloc's fixed point: 16 bits before the point and 16 behind it; all ones for -1. */
static uint32_t fixed_of(const char *text) {
    AL_ASSERT(text != NULL);
    uint32_t whole = 0;
    uint32_t part = 0;
    uint32_t scale = 1;

    if (*text == '-') {
        return UINT32_MAX;
    }
    for (; *text >= '0' && *text <= '9' && whole < UINT16_MAX / 10; text++) {
        whole = whole * 10 + (uint32_t)(*text - '0');
    }
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9' && scale < 10000; text++) {
            part = part * 10 + (uint32_t)(*text - '0');
            scale *= 10;
        }
    }
    return whole << 16 | (part << 16) / scale;
}

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
        if (row->check == AL_OPTION_RATIO) {
            out->u32 = fixed_of(*(const char *const *)field);
        } else {
            out->text = *(const char *const *)field;
        }
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
        .type = option->check == AL_OPTION_RATIO ? CT_U32 : types[option->type],
        .access = CT_R,
        .get = option_get,
        .help = option->help,
    };
}
