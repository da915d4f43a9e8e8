/* SPDX-License-Identifier: BSD-2-Clause
 *
 * leak — jemalloc's two lines, then the ten sites that hold most.
 *
 * The quantiles come from the incomplete gamma function's series, found by halving; libm is
 * not ours to call. docs/SAMPLING.md has the interval and its coverage.
 */
#include "prof/leak.h"

#include "alloc/options.h"
#include "alloc/sample.h"
#include "alloc/text.h"
#include "prof/maps.h"

#include <string.h>

enum {
    TOP_COUNT = 10,
    LINE_BYTES = 4096,
    FRAME_COUNT = 4, /* of a site, shown */
    /* Beyond this many degrees Wilson and Hilferty's cube (1931) is exact to 1e-4. */
    CUBE_FREEDOM = 400,
    SERIES_TERMS_MAX = 2000,
    HALVINGS = 60,
};

/* ---- the interval ---- */

static double ln(double x) {
    AL_ASSERT(x > 0.0);
    return x <= 1.0 ? -al_sample_minus_ln(x) : al_sample_minus_ln(1.0 / x);
}

static double exp_minus(double x) {
    return x <= 0.0 ? 1.0 : 1.0 - al_sample_one_minus_exp(x);
}

/* Stirling's series after moving the argument above 8. */
static double ln_gamma(double a) {
    double shift = 0.0;

    for (; a < 8.0; a += 1.0) { /* at most 8 turns */
        shift += ln(a);
    }
    const double inverse = 1.0 / a;
    const double square = inverse * inverse;
    return (a - 0.5) * ln(a) - a + 0.91893853320467274 +
           inverse * (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260))) - shift;
}

/* P(a, x): the probability that a gamma variable of shape a is below x. */
static double gamma_below(double a, double x) {
    AL_ASSERT(a > 0.0 && x >= 0.0);
    if (x <= 0.0) {
        return 0.0;
    }
    double term = 1.0 / a;
    double sum = term;
    for (int n = 1; n < SERIES_TERMS_MAX && term > sum * 1e-12; n++) {
        term *= x / (a + n);
        sum += term;
    }
    const double exponent = x - a * ln(x) + ln_gamma(a);
    const double below = exponent >= 0.0 ? sum * exp_minus(exponent) : sum / exp_minus(-exponent);
    return below < 1.0 ? below : 1.0;
}

static double square_root(double x) {
    AL_ASSERT(x >= 0.0);
    double root = x > 1.0 ? x : 1.0;

    for (int turn = 0; turn < 2 * HALVINGS && root * root - x > x * 1e-14; turn++) {
        root = 0.5 * (root + x / root);
    }
    return root;
}

double pf_leak_chi2(double freedom, bool is_upper) {
    AL_ASSERT(freedom > 0.0);
    const double wanted = is_upper ? 0.975 : 0.025;
    const double z = is_upper ? 1.9599639845 : -1.9599639845;

    if (freedom > CUBE_FREEDOM) {
        const double spread = 2.0 / (9.0 * freedom);
        const double root = 1.0 - spread + z * square_root(spread);
        return freedom * root * root * root;
    }
    double low = 0.0;
    double high = freedom + 8.0 * square_root(freedom) + 16.0; /* above the 0.9999 quantile */
    for (int turn = 0; turn < HALVINGS; turn++) {
        const double middle = 0.5 * (low + high);
        if (gamma_below(freedom / 2.0, middle / 2.0) < wanted) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return 0.5 * (low + high);
}

void pf_leak_interval(double bytes, double variance, double weight_bytes_max, double *low,
                      double *high) {
    const double weight_variance = weight_bytes_max * weight_bytes_max;

    if (bytes <= 0.0 || variance <= 0.0) { /* every object was sampled: the number is exact */
        *low = bytes;
        *high = bytes;
        return;
    }
    const double up_bytes = bytes + weight_bytes_max;
    const double up_variance = variance + weight_variance;
    *low = variance / (2.0 * bytes) * pf_leak_chi2(2.0 * bytes * bytes / variance, false);
    AL_ASSERT(*low <= bytes);
    *high = up_variance / (2.0 * up_bytes) *
            pf_leak_chi2(2.0 * up_bytes * up_bytes / up_variance, true);
}

/* ---- the report ---- */

struct top {
    const struct pf_site *site;
    struct pf_counts live;
};

static void enter(struct top tops[TOP_COUNT], const struct pf_site *site,
                  const struct pf_counts *live) {
    for (size_t idx = 0; idx < TOP_COUNT; idx++) {
        if (tops[idx].site == NULL || live->bytes > tops[idx].live.bytes) {
            memmove(&tops[idx + 1], &tops[idx], (TOP_COUNT - 1 - idx) * sizeof(*tops));
            tops[idx] = (struct top){site, *live};
            AL_ASSERT(idx == 0 || tops[idx - 1].live.bytes >= live->bytes);
            return;
        }
    }
}

static uint64_t objects_of(const struct pf_counts *counts) {
    return (counts->objects_fixed + (UINT64_C(1) << (PF_OBJECT_LG - 1))) >> PF_OBJECT_LG;
}

/* "libfoo.so+0x1234", as addr2line takes it. A frame is a return address: one less lies within the
 * call.
 */
static void put_frame(struct al_text *text, const struct pf_maps *maps, uintptr_t frame) {
    AL_ASSERT(frame != 0);
    const uintptr_t addr = frame - 1;
    const struct pf_mapping *const mapping = pf_maps_find(maps, addr);

    if (mapping == NULL || mapping->path_bytes == 0) {
        al_text_hex(text, addr);
        return;
    }
    size_t name_at = mapping->path_bytes;
    while (name_at > 0 && mapping->path[name_at - 1] != '/') {
        name_at--;
    }
    al_text_bytes(text, mapping->path + name_at, mapping->path_bytes - name_at);
    al_text_str(text, "+");
    al_text_hex(text, pf_maps_link_addr(maps, mapping, addr));
}

static void put_site(struct al_text *text, const struct pf_maps *maps, const struct top *top) {
    AL_ASSERT(top->site != NULL);
    double low = 0.0;
    double high = 0.0;

    pf_leak_interval((double)top->live.bytes, top->live.variance,
                     (double)top->site->weight_bytes_max, &low, &high);
    al_text_str(text, "<jemalloc>:   ~");
    al_text_u64(text, top->live.bytes);
    al_text_str(text, " bytes (95 %: ");
    al_text_u64(text, (uint64_t)low);
    al_text_str(text, " to ");
    al_text_u64(text, (uint64_t)high);
    al_text_str(text, "), ~");
    al_text_u64(text, objects_of(&top->live));
    al_text_str(text, " objects, at");
    for (uint32_t idx = 0; idx < top->site->depth && idx < FRAME_COUNT; idx++) {
        al_text_str(text, idx == 0 ? " " : " < ");
        put_frame(text, maps, top->site->frames[idx]);
    }
    al_text_str(text, "\n");
}

bool pf_leak_report(void) {
    struct top tops[TOP_COUNT + 1] = {{NULL, {0}}};
    struct pf_counts sum = {0};
    uint64_t context_count = 0;
    uint32_t bucket = 0;
    char line[LINE_BYTES];
    struct al_text text;
    struct pf_maps maps;

    for (const struct pf_site *site = pf_site_next(NULL, &bucket); site != NULL;
         site = pf_site_next(site, &bucket)) {
        struct pf_counts live;
        struct pf_counts total;
        pf_site_sum(site, &live, &total);
        if (live.sample_count != 0) {
            pf_counts_add(&sum, &live);
            context_count++;
            enter(tops, site, &live);
        }
    }
    if (sum.sample_count == 0) {
        return false;
    }
    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, "<jemalloc>: Leak approximation summary: ~");
    al_text_u64(&text, sum.bytes);
    al_text_str(&text, " bytes, ~");
    al_text_u64(&text, objects_of(&sum));
    al_text_str(&text, " objects, >= ");
    al_text_u64(&text, context_count);
    al_text_str(&text, context_count == 1 ? " context\n" : " contexts\n");
    al_text_str(&text, "<jemalloc>: Run jeprof on dump output for leak detail\n");
    al_message_write(line);
    if (!pf_maps_read(&maps)) { /* then frames are bare addresses */
        maps.entry_count = 0;
    }
    for (size_t idx = 0; idx < TOP_COUNT && tops[idx].site != NULL; idx++) {
        al_text_init(&text, line, sizeof(line));
        put_site(&text, &maps, &tops[idx]);
        al_message_write(line);
    }
    pf_maps_fini(&maps);
    return true;
}
