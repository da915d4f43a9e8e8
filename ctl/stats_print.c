/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stats_print — malloc_stats_print: what is known, in text or, with 'J', in JSON with
 * jemalloc's keys. Short and true: what Tally does not count is not printed.
 *
 * Option letters: J JSON; g no general part; m no merged and a no single arenas; the others
 * leave out parts that are not there yet and are accepted.
 */
#include "alloc/control.h"
#include "alloc/options.h"
#include "alloc/os.h"
#include "alloc/text.h"
#include "ctl/mallctl.h"
#include "ctl/nodes.h"
#include "prof/prof.h"

#include <string.h>

enum { LINE_BYTES = 512 };

/* One place text leaves by, and how far JSON has come. */
struct printer {
    void (*write)(void *opaque, const char *text);
    void *opaque;
    bool is_json;
    unsigned depth;
    bool has_item; /* the open object has one already: a comma comes first */
};

static void put(struct printer *printer, const char *text) {
    AL_ASSERT(text != NULL);
    if (printer->write != NULL) {
        printer->write(printer->opaque, text);
    } else if (malloc_message != NULL) {
        malloc_message(printer->opaque, text);
    } else {
        al_message_write(text);
    }
}

static void start_item(struct printer *printer, const char *key) {
    AL_ASSERT(key != NULL);
    AL_ASSERT(printer->depth < 8);
    char line[LINE_BYTES];
    struct al_text text;

    al_text_init(&text, line, sizeof(line));
    if (printer->is_json) {
        al_text_str(&text, printer->has_item ? ",\n" : "\n");
    }
    for (unsigned depth = 0; depth < printer->depth; depth++) {
        al_text_str(&text, printer->is_json ? "\t" : "  ");
    }
    al_text_str(&text, printer->is_json ? "\"" : "");
    al_text_str(&text, key);
    al_text_str(&text, printer->is_json ? "\": " : ": ");
    put(printer, line);
    printer->has_item = true;
}

static void open_object(struct printer *printer, const char *key) {
    start_item(printer, key);
    put(printer, printer->is_json ? "{" : "\n");
    printer->depth++;
    printer->has_item = false;
}

static void close_object(struct printer *printer) {
    AL_ASSERT(printer->depth > 0);
    char line[LINE_BYTES];
    struct al_text text;

    printer->depth--;
    printer->has_item = true;
    if (!printer->is_json) {
        return;
    }
    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, "\n");
    for (unsigned depth = 0; depth < printer->depth; depth++) {
        al_text_str(&text, "\t");
    }
    al_text_str(&text, "}");
    put(printer, line);
}

static void put_value(struct printer *printer, const char *key, const char *value) {
    AL_ASSERT(value != NULL);
    start_item(printer, key);
    put(printer, value);
    if (!printer->is_json) {
        put(printer, "\n");
    }
}

static void put_u64(struct printer *printer, const char *key, uint64_t value) {
    char digits[32];
    struct al_text text;

    al_text_init(&text, digits, sizeof(digits));
    al_text_u64(&text, value);
    put_value(printer, key, digits);
}

static void put_i64(struct printer *printer, const char *key, int64_t value) {
    char digits[32];
    struct al_text text;

    al_text_init(&text, digits, sizeof(digits));
    al_text_i64(&text, value);
    put_value(printer, key, digits);
}

static void put_bool(struct printer *printer, const char *key, bool value) {
    put_value(printer, key, value ? "true" : "false");
}

/* Quotes and backslashes are escaped, control characters left out. In pieces: a text of any length
 * ends in its quote.
 */
static void put_str(struct printer *printer, const char *key, const char *value) {
    AL_ASSERT(value != NULL);
    char line[LINE_BYTES];
    struct al_text text;

    start_item(printer, key);
    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, "\"");
    for (; *value != '\0'; value++) {
        if (text.len_bytes + 4 > sizeof(line)) { /* two characters, a quote, the zero byte */
            put(printer, line);
            al_text_init(&text, line, sizeof(line));
        }
        if (*value == '"' || *value == '\\') {
            al_text_str(&text, "\\");
        }
        if (*value >= ' ') {
            al_text_bytes(&text, value, 1);
        }
    }
    al_text_str(&text, "\"");
    AL_ASSERT(!text.is_cut);
    put(printer, line);
    if (!printer->is_json) {
        put(printer, "\n");
    }
}

static void put_option(struct printer *printer, const struct al_option_row *row) {
    AL_ASSERT(row->is_node);
    const void *const field = (const char *)&al_options + row->offset_bytes;

    switch (row->type) {
    case AL_OPTION_TYPE_BOOL:
        put_bool(printer, row->key, *(const bool *)field);
        break;
    case AL_OPTION_TYPE_U32:
        put_u64(printer, row->key, *(const uint32_t *)field);
        break;
    case AL_OPTION_TYPE_WORD:
        put_str(printer, row->key, al_option_word(row, *(const uint32_t *)field));
        break;
    case AL_OPTION_TYPE_TEXT:
        put_str(printer, row->key, *(const char *const *)field);
        break;
    case AL_OPTION_TYPE_SIZE:
    case AL_OPTION_TYPE_U64:
        put_u64(printer, row->key, *(const uint64_t *)field);
        break;
    case AL_OPTION_TYPE_SSIZE:
    case AL_OPTION_TYPE_I64:
        put_i64(printer, row->key, *(const int64_t *)field);
        break;
    }
}

static void put_general(struct printer *printer) {
    struct pf_cost cost;

    put_str(printer, "version", ct_version);
    put_str(printer, "tally_version", tally_version());
    open_object(printer, "opt");
    for (size_t idx = 0; idx < al_option_count; idx++) {
        if (al_option_rows[idx].is_node && al_option_rows[idx].is_effective) {
            put_option(printer, &al_option_rows[idx]);
        }
    }
    close_object(printer);
    pf_cost_read(&cost);
    open_object(printer, "prof");
    put_bool(printer, "active", pf_active_get());
    put_u64(printer, "lg_sample", pf_rate_lg());
    put_str(printer, "unwinder", pf_unwinder_name());
    put_u64(printer, "samples", cost.samples);
    put_u64(printer, "dropped_samples", cost.dropped_samples);
    put_u64(printer, "memory_bytes", cost.memory_bytes);
    close_object(printer);
    open_object(printer, "arenas");
    put_u64(printer, "narenas", al_arena_count());
    put_u64(printer, "quantum", al_class_quantum_bytes());
    put_u64(printer, "page", AL_PAGE_BYTES);
    put_u64(printer, "tcache_max", al_class_tcache_max_bytes());
    put_u64(printer, "nbins", al_class_small_count());
    close_object(printer);
}

static void put_stats(struct printer *printer) {
    ct_lock_take();
    const struct al_stats stats = ct_snapshot_process()->sums;
    ct_lock_give();
    open_object(printer, "stats");
    put_u64(printer, "allocated", stats.allocated_bytes);
    put_u64(printer, "active", stats.active_bytes);
    put_u64(printer, "metadata", stats.metadata_bytes);
    put_u64(printer, "resident", stats.resident_bytes);
    put_u64(printer, "mapped", stats.mapped_bytes);
    put_u64(printer, "retained", stats.retained_bytes);
    put_u64(printer, "zero_reallocs", stats.zero_realloc_count);
    close_object(printer);
}

/* What the page layer did, by jemalloc's keys: pages, not bytes. */
static void put_stale(struct printer *printer, const struct al_stats_arena *stats) {
    static const struct {
        const char *decay_ms, *pages, *pass_count, *call_count, *purged_pages;
    } keys[AL_STALE_COUNT] = {
        [AL_STALE_DIRTY] = {"dirty_decay_ms", "pdirty", "dirty_npurge", "dirty_nmadvise",
                            "dirty_purged"},
        [AL_STALE_MUZZY] = {"muzzy_decay_ms", "pmuzzy", "muzzy_npurge", "muzzy_nmadvise",
                            "muzzy_purged"},
    };

    for (size_t stale = 0; stale < AL_STALE_COUNT; stale++) {
        const struct al_stats_purge *const purged = &stats->purged[stale];
        put_i64(printer, keys[stale].decay_ms, stats->decay_ms[stale]);
        put_u64(printer, keys[stale].pages, stats->stale_bytes[stale] / AL_PAGE_BYTES);
        put_u64(printer, keys[stale].pass_count, purged->pass_count);
        put_u64(printer, keys[stale].call_count, purged->call_count);
        put_u64(printer, keys[stale].purged_pages, purged->purged_bytes / AL_PAGE_BYTES);
    }
}

static void put_arena(struct printer *printer, unsigned idx) {
    struct al_stats_arena stats;
    char name[32];
    struct al_text text;

    if (!al_stats_arena_read(idx, &stats)) {
        return;
    }
    al_text_init(&text, name, sizeof(name));
    al_text_u64(&text, idx);
    open_object(printer, name);
    put_u64(printer, "nthreads", stats.thread_count);
    put_u64(printer, "allocated_small", stats.allocated_small_bytes);
    put_u64(printer, "allocated_large", stats.allocated_large_bytes);
    put_u64(printer, "active", stats.active_bytes);
    put_u64(printer, "retained", stats.retained_bytes);
    put_u64(printer, "nmalloc_large", stats.nmalloc_large);
    put_u64(printer, "ndalloc_large", stats.ndalloc_large);
    put_stale(printer, &stats);
    close_object(printer);
}

void malloc_stats_print(void (*write_cb)(void *opaque, const char *text), void *cbopaque,
                        const char *opts) {
    const char *const letters = opts != NULL ? opts : "";
    struct printer printer = {
        .write = write_cb, .opaque = cbopaque, .is_json = strchr(letters, 'J') != NULL};
    uint64_t epoch = 1;
    size_t epoch_bytes = sizeof(epoch);

    (void)mallctl("epoch", &epoch, &epoch_bytes, &epoch, sizeof(epoch));
    put(&printer, printer.is_json ? "{" : "___ Begin jemalloc statistics ___\n");
    if (printer.is_json) {
        printer.depth = 1;
        open_object(&printer, "jemalloc");
    }
    if (strchr(letters, 'g') == NULL) {
        put_general(&printer);
    }
    put_stats(&printer);
    if (strchr(letters, 'a') == NULL) {
        open_object(&printer, "stats.arenas");
        for (unsigned idx = 0; idx < al_arena_count(); idx++) {
            put_arena(&printer, idx);
        }
        close_object(&printer);
    }
    if (printer.is_json) {
        close_object(&printer);
    }
    put(&printer, printer.is_json ? "\n}\n" : "--- End jemalloc statistics ---\n");
}
