/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats_print — malloc_stats_print: one walk over the rows of the mallctl tree, as text or as JSON
 * with jemalloc's keys, which are the names' last words. What is a row is printed; nothing is
 * printed that is none.
 *
 * Option letters, as in jemalloc: J JSON; g leaves out the general part, m merged and d destroyed
 * arenas, a single ones, b bins, l large classes, x locks, e free runs, h the huge-page
 * allocator's.
 */
#include "alloc/control.h"
#include "alloc/options.h"
#include "alloc/text.h"
#include "ctl/mallctl.h"
#include "ctl/nodes.h"
#include "ctl/print.h"
#include "prof/prof.h"

#include <string.h>

/* What stands under one beginning of names: rows from `row` on, whose paths agree in
 * `prefix_bytes`. */
struct walk {
    struct ct_printer *printer;
    const char *letters;
    struct ct_args args; /* indexes so far */
    size_t row;
};

static bool has_letter(const struct walk *walk, char letter) {
    return strchr(walk->letters, letter) != NULL;
}

/* ---- one row ---- */

static void put_value(struct ct_printer *printer, const char *key, enum ct_type type,
                      const union ct_value *value) {
    AL_ASSERT(key != NULL && value != NULL);
    switch (type) {
    case CT_BOOL:
        ct_print_bool(printer, key, value->boolean);
        break;
    case CT_U32:
        ct_print_u64(printer, key, value->u32);
        break;
    case CT_SIZE:
    case CT_U64:
        ct_print_u64(printer, key, value->u64);
        break;
    case CT_SSIZE:
        ct_print_i64(printer, key, value->ssize);
        break;
    case CT_TEXT:
        ct_print_str(printer, key, value->text != NULL ? value->text : "");
        break;
    case CT_NONE:
    case CT_POINTER:
    case CT_RAW:
        break;
    }
}

/* Rows that do something, or are not numbers, are not printed. */
static void put_row(struct walk *walk, const struct ct_node *node, const char *key) {
    union ct_value value;

    if ((node->access & CT_R) == 0 || (node->access & (CT_QUERY | CT_STRICT)) != 0) {
        return;
    }
    memset(&value, 0, sizeof(value));
    walk->args.path = node->path;
    walk->args.offset_bytes = node->offset_bytes;
    ct_lock_take();
    const int err = node->type == CT_RAW ? -1 : node->get(&walk->args, &value);
    ct_lock_give();
    if (err == 0) {
        put_value(walk->printer, key, node->type, &value);
    }
}

/* ---- the tree ---- */

enum { KEY_BYTES = 64 };

/* Component `at` of a path, copied. Returns where the next one begins; NULL: it was the last. */
static const char *component(const char *at, char key[KEY_BYTES]) {
    const size_t len_bytes = strcspn(at, ".");

    AL_ASSERT(len_bytes < KEY_BYTES);
    memcpy(key, at, len_bytes);
    key[len_bytes] = '\0';
    return at[len_bytes] == '.' ? at + len_bytes + 1 : NULL;
}

/* Letters that leave out whole parts of an arena. */
static bool is_left_out(const struct walk *walk, const char *key) {
    static const struct {
        const char *key;
        char letter;
    } parts[] = {{"bins", 'b'},  {"lextents", 'l'}, {"mutexes", 'x'},
                 {"mutex", 'x'}, {"extents", 'e'},  {"hpa_shard", 'h'}};

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(parts); idx++) {
        if (strcmp(parts[idx].key, key) == 0 && has_letter(walk, parts[idx].letter)) {
            return true;
        }
    }
    return has_letter(walk, 'h') && strncmp(key, "hpa_", 4) == 0;
}

/* jemalloc's JSON calls three things otherwise than its mallctl does. */
static const char *key_of(const char *key, const char *path) {
    return strcmp(path, "stats.arenas.<i>.uptime") == 0 ? "uptime_ns" : key;
}

/* The row after the last that begins as `row` does, up to `prefix_bytes`. */
static size_t end_of(size_t row, size_t prefix_bytes) {
    const char *const path = ct_node_at(row)->path;
    const size_t count = ct_node_count();

    while (++row < count && strncmp(ct_node_at(row)->path, path, prefix_bytes) == 0) {
    }
    return row;
}

static void put_rows(struct walk *walk, size_t end, size_t prefix_bytes, size_t depth);

/* The rows of an index, once for each that is valid. */
static void put_list(struct walk *walk, size_t end, size_t prefix_bytes, size_t depth) {
    AL_ASSERT(depth < CT_MIB_MAX);
    const size_t first = walk->row;
    const char *const path = ct_node_at(first)->path;

    for (size_t idx = 0;; idx++) { /* ends: there are so many classes and buckets */
        walk->args.mib[depth] = idx;
        if (!ct_index_is_valid(path, walk->args.mib, depth)) {
            break;
        }
        walk->row = first;
        ct_print_open(walk->printer, NULL, false);
        put_rows(walk, end, prefix_bytes + strlen("<j>."), depth + 1);
        ct_print_close(walk->printer, false);
    }
    walk->row = end;
}

/* All rows before `end`, which agree in prefix_bytes; component `depth` begins there. Nested as
 * deep as names are, at most CT_MIB_MAX.
 */
static void put_rows(struct walk *walk, size_t end, size_t prefix_bytes, size_t depth) {
    AL_ASSERT(depth < CT_MIB_MAX);
    while (walk->row < end) { /* each turn goes on by a row at least */
        const struct ct_node *const node = ct_node_at(walk->row);
        char key[KEY_BYTES];
        const char *const rest = component(node->path + prefix_bytes, key);
        walk->args.mib_count = depth + 1;
        if (rest == NULL) {
            if (!is_left_out(walk, key)) {
                put_row(walk, node, key_of(key, node->path));
            }
            walk->row++;
            continue;
        }
        const size_t next_bytes = (size_t)(rest - node->path);
        const size_t next_end = end_of(walk->row, next_bytes);
        /* Arenas have a part of their own. */
        if (is_left_out(walk, key) || (depth == 1 && strcmp(key, "arenas") == 0)) {
            walk->row = next_end;
            continue;
        }
        const bool is_list = rest[0] == '<';
        ct_print_open(walk->printer, key, is_list);
        if (is_list) {
            put_list(walk, next_end, next_bytes, depth + 1);
        } else {
            put_rows(walk, next_end, next_bytes, depth + 1);
        }
        ct_print_close(walk->printer, is_list);
    }
}

/* The rows that begin with `prefix`, "stats.arenas.<i>." or the like, without what is below
 * another. */
static void put_tree(struct walk *walk, const char *prefix, size_t depth) {
    const size_t count = ct_node_count();
    const size_t prefix_bytes = strlen(prefix);
    size_t row = 0;

    while (row < count && strncmp(ct_node_at(row)->path, prefix, prefix_bytes) != 0) {
        row++;
    }
    if (row < count) {
        walk->row = row;
        put_rows(walk, end_of(row, prefix_bytes), prefix_bytes, depth);
    }
}

/* ---- the parts ---- */

static void put_options(struct walk *walk) {
    ct_print_open(walk->printer, "opt", false);
    for (size_t idx = 0; idx < al_option_count; idx++) {
        if (al_option_rows[idx].type == AL_OPTION_TYPE_I64 && al_option_rows[idx].is_node) {
            /* To mallctl it is eight bytes as any other. */
            ct_print_i64(walk->printer, al_option_rows[idx].key,
                         *(const int64_t *)(const void *)((const char *)&al_options +
                                                          al_option_rows[idx].offset_bytes));
        } else if (al_option_rows[idx].is_node) {
            const struct ct_node node = ct_option_node(&al_option_rows[idx]);
            walk->args.option = &al_option_rows[idx];
            put_row(walk, &node, al_option_rows[idx].key);
        }
    }
    walk->args.option = NULL;
    ct_print_close(walk->printer, false);
}

static void put_general(struct walk *walk) {
    struct ct_printer *const printer = walk->printer;
    struct pf_cost cost;

    ct_print_str(printer, "version", ct_version);
    ct_print_str(printer, "tally_version", tally_version());
    ct_print_open(printer, "config", false);
    put_tree(walk, "config.", 1);
    ct_print_close(printer, false);
    put_options(walk);
    pf_cost_read(&cost);
    ct_print_open(printer, "prof", false);
    put_tree(walk, "prof.", 1);
    ct_print_str(printer, "unwinder", pf_unwinder_name());
    ct_print_u64(printer, "samples", cost.samples);
    ct_print_u64(printer, "dropped_samples", cost.dropped_samples);
    ct_print_u64(printer, "memory_bytes", cost.memory_bytes);
    ct_print_close(printer, false);
    ct_print_open(printer, "arenas", false);
    put_tree(walk, "arenas.", 1);
    ct_print_close(printer, false);
}

static void put_arena(struct walk *walk, size_t arena_idx, const char *key) {
    struct al_arena_traits traits;

    if (!ct_snapshot_has_arena(arena_idx)) {
        return;
    }
    walk->args.mib[2] = arena_idx;
    ct_print_open(walk->printer, key, false);
    if (arena_idx < CT_ARENAS_ALL && al_arena_traits_read((unsigned)arena_idx, &traits)) {
        ct_print_str(walk->printer, "name", traits.name);
    }
    put_tree(walk, "stats.arenas.<i>.", 3);
    ct_print_close(walk->printer, false);
}

static void put_arenas(struct walk *walk) {
    const unsigned arena_count = al_arena_count();

    ct_print_open(walk->printer, "stats.arenas", false);
    if (!has_letter(walk, 'm')) {
        put_arena(walk, CT_ARENAS_ALL, "merged");
    }
    if (!has_letter(walk, 'd')) {
        put_arena(walk, CT_ARENAS_DESTROYED, "destroyed");
    }
    for (unsigned idx = 0; idx < arena_count && !has_letter(walk, 'a'); idx++) {
        char digits[16];
        struct al_text text;
        al_text_init(&text, digits, sizeof(digits));
        al_text_u64(&text, idx);
        put_arena(walk, idx, digits);
    }
    ct_print_close(walk->printer, false);
}

void malloc_stats_print(void (*write_cb)(void *opaque, const char *text), void *cbopaque,
                        const char *opts) {
    const char *const letters = opts != NULL ? opts : "";
    struct ct_printer printer = {
        .write = write_cb, .opaque = cbopaque, .is_json = strchr(letters, 'J') != NULL};
    struct walk walk = {.printer = &printer, .letters = letters};
    uint64_t epoch = 1;
    size_t epoch_bytes = sizeof(epoch);

    (void)mallctl("epoch", &epoch, &epoch_bytes, &epoch, sizeof(epoch));
    ct_print_text(&printer, printer.is_json ? "{" : "___ Begin jemalloc statistics ___\n");
    if (printer.is_json) {
        printer.depth = 1;
        ct_print_open(&printer, "jemalloc", false);
    }
    if (!has_letter(&walk, 'g')) {
        put_general(&walk);
    }
    ct_print_open(&printer, "stats", false);
    put_tree(&walk, "stats.", 1);
    ct_print_close(&printer, false);
    put_arenas(&walk);
    if (printer.is_json) {
        ct_print_close(&printer, false);
    }
    ct_print_text(&printer, printer.is_json ? "\n}\n" : "--- End jemalloc statistics ---\n");
}
