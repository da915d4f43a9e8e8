/* SPDX-License-Identifier: BSD-2-Clause
 *
 * heap_text — heap_v2, line by line, as docs/PROFILE_FORMAT.md has it.
 */
#include "prof/heap_text.h"

#include "alloc/options.h"
#include "alloc/sample.h"
#include "prof/format.h"

#include <stdatomic.h>

void pf_heap_text_distort(const struct pf_counts *counts, unsigned rate_lg, uint64_t *objects,
                          uint64_t *bytes) {
    AL_ASSERT(rate_lg <= AL_SAMPLE_RATE_LG_MAX);
    AL_ASSERT(objects != NULL && bytes != NULL);
    const double object_count =
        (double)counts->objects_fixed / (double)(UINT64_C(1) << PF_OBJECT_LG);
    const double byte_count = (double)counts->bytes;

    if (counts->sample_count == 0 || counts->bytes == 0 || counts->objects_fixed == 0) {
        *objects = 0;
        *bytes = 0;
        return;
    }
    if (!al_options.prof_unbias) { /* the raw sample, as it was drawn */
        *objects = counts->sample_count;
        *bytes = counts->raw_bytes;
        return;
    }
    const double mean = byte_count / object_count;
    const double distorted =
        byte_count * al_sample_one_minus_exp(mean / (double)(UINT64_C(1) << rate_lg));
    *bytes = (uint64_t)(distorted + 0.5);
    *objects = (uint64_t)(distorted / mean + 0.5);
    if (*objects == 0 || *bytes == 0) { /* readers divide by both */
        *objects = *objects == 0 ? 1 : *objects;
        *bytes = *bytes == 0 ? 1 : *bytes;
    }
}

/* One rate for the whole dump: readers know the header's alone. */
struct writer {
    struct pf_sink *sink;
    unsigned rate_lg;
    bool has_accum;
};

static void write_counts(const struct writer *writer, const struct pf_counts *live,
                         const struct pf_counts *total) {
    uint64_t objects = 0;
    uint64_t bytes = 0;

    pf_heap_text_distort(live, writer->rate_lg, &objects, &bytes);
    pf_sink_u64(writer->sink, objects);
    pf_sink_str(writer->sink, ": ");
    pf_sink_u64(writer->sink, bytes);
    pf_sink_str(writer->sink, " [");
    objects = 0;
    bytes = 0;
    if (writer->has_accum) {
        pf_heap_text_distort(total, writer->rate_lg, &objects, &bytes);
    }
    pf_sink_u64(writer->sink, objects);
    pf_sink_str(writer->sink, ": ");
    pf_sink_u64(writer->sink, bytes);
    pf_sink_str(writer->sink, "]");
}

/* "  t3: " and the counts; no end of line. */
static void write_thread(const struct writer *writer, const struct pf_thread *thread,
                         const struct pf_counts *live, const struct pf_counts *total) {
    AL_ASSERT(thread != NULL);
    pf_sink_str(writer->sink, "  t");
    pf_sink_u64(writer->sink, atomic_load_explicit(&thread->uid, memory_order_relaxed));
    pf_sink_str(writer->sink, ": ");
    write_counts(writer, live, total);
}

static bool is_shown(const struct pf_counts *live, const struct pf_counts *total, bool has_accum) {
    return has_accum ? total->sample_count != 0 : live->sample_count != 0;
}

/* Sums every thread's cells into its entry, and all of them into the totals. */
static void sum_threads(struct pf_counts *live, struct pf_counts *total) {
    uint32_t bucket = 0;

    for (struct pf_thread *thread = pf_thread_first(); thread != NULL; thread = thread->next) {
        thread->live = (struct pf_counts){0};
        thread->total = (struct pf_counts){0};
    }
    for (const struct pf_site *site = pf_site_next(NULL, &bucket); site != NULL;
         site = pf_site_next(site, &bucket)) {
        struct pf_counts cell_live;
        struct pf_counts cell_total;
        struct pf_thread *thread = NULL;
        pf_site_copy(site, NULL, &cell_live, &cell_total, &thread);
        pf_counts_add(total, &cell_total);
        for (const struct pf_cell *cell = atomic_load_explicit(&site->cells, memory_order_acquire);
             cell != NULL; cell = cell->next) {
            pf_site_copy(site, cell, &cell_live, &cell_total, &thread);
            if (thread != NULL) {
                pf_counts_add(&thread->live, &cell_live);
                pf_counts_add(&thread->total, &cell_total);
            }
            pf_counts_add(live, &cell_live);
            pf_counts_add(total, &cell_total);
        }
    }
}

static void write_head(const struct writer *writer) {
    struct pf_sink *const sink = writer->sink;
    struct pf_counts live = {0};
    struct pf_counts total = {0};
    char name[PF_THREAD_NAME_BYTES];

    sum_threads(&live, &total);
    pf_sink_str(sink, PF_FORMAT_HEADER);
    pf_sink_u64(sink, UINT64_C(1) << writer->rate_lg);
    pf_sink_str(sink, "\n  " PF_FORMAT_ALL_THREADS ": ");
    write_counts(writer, &live, &total);
    pf_sink_str(sink, "\n");
    for (const struct pf_thread *thread = pf_thread_first(); thread != NULL;
         thread = thread->next) {
        write_thread(writer, thread, &thread->live, &thread->total);
        pf_thread_copy_name(thread, name);
        if (name[0] != '\0') {
            pf_sink_str(sink, " ");
            pf_sink_str(sink, name);
        }
        pf_sink_str(sink, "\n");
    }
}

static void write_site(const struct writer *writer, const struct pf_site *site) {
    AL_ASSERT(site != NULL);
    struct pf_sink *const sink = writer->sink;
    struct pf_counts live;
    struct pf_counts total;

    pf_site_sum(site, &live, &total);
    if (!is_shown(&live, &total, writer->has_accum) || site->depth == 0) {
        return;
    }
    pf_sink_str(sink, "@");
    for (uint32_t idx = 0; idx < site->depth; idx++) {
        pf_sink_str(sink, " ");
        pf_sink_hex(sink, site->frames[idx]);
    }
    pf_sink_str(sink, "\n  " PF_FORMAT_ALL_THREADS ": ");
    write_counts(writer, &live, &total);
    pf_sink_str(sink, "\n");
    for (const struct pf_cell *cell = atomic_load_explicit(&site->cells, memory_order_acquire);
         cell != NULL; cell = cell->next) {
        struct pf_thread *thread = NULL;
        pf_site_copy(site, cell, &live, &total, &thread);
        if (thread != NULL && is_shown(&live, &total, writer->has_accum)) {
            write_thread(writer, thread, &live, &total);
            pf_sink_str(sink, "\n");
        }
    }
}

void pf_heap_text_write(struct pf_sink *sink, const struct pf_maps *maps, bool has_accum) {
    const struct writer writer = {sink, pf_site_rate_lg_min(), has_accum};
    uint32_t bucket = 0;

    write_head(&writer);
    for (const struct pf_site *site = pf_site_next(NULL, &bucket); site != NULL;
         site = pf_site_next(site, &bucket)) {
        write_site(&writer, site);
    }
    if (maps != NULL) {
        pf_sink_str(sink, "\n" PF_FORMAT_MAPS "\n");
        pf_sink_write(sink, maps->text, maps->text_bytes);
    }
}
