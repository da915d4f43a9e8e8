/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sample — the draw is made with -ln(u), an exponential variable, divided by the mean gap.
 *
 * Each allocation of `size` bytes is sampled with p = 1 - exp(-size / R), so the number of
 * allocations up to and with the next sample is geometric: floor(E * R / size) + 1 for an
 * exponential E of mean 1, because P(E * R / size >= n) = exp(-n * size / R) = (1 - p)^n.
 */
#include "alloc/sample.h"

#include "alloc/bits.h"

#include <string.h>

/* State of the sampler; written by al_sample_set, read on slow paths. One word, so that rate
 * and switch can never be seen torn: bit 63 the switch, low 8 bits rate_lg.
 */
static struct {
    _Atomic uint64_t setting;
    _Atomic uint32_t epoch;
    _Atomic bool thread_init;
} sampler = {.setting = 19, .epoch = 1, .thread_init = true};

static const uint64_t setting_active = UINT64_C(1) << 63;
static const uint64_t setting_rate_mask = 0xff;

void al_sample_store(bool is_active, unsigned rate_lg) {
    AL_ASSERT(rate_lg <= AL_SAMPLE_RATE_LG_MAX);
    const uint64_t setting = (is_active ? setting_active : 0) | rate_lg;

    atomic_store_explicit(&sampler.setting, setting, memory_order_relaxed);
    /* Release: who sees the epoch sees the setting. */
    atomic_fetch_add_explicit(&sampler.epoch, 1, memory_order_release);
}

bool al_sample_is_active(void) {
    return (atomic_load_explicit(&sampler.setting, memory_order_relaxed) & setting_active) != 0;
}

unsigned al_sample_rate_lg(void) {
    return (unsigned)(atomic_load_explicit(&sampler.setting, memory_order_relaxed) &
                      setting_rate_mask);
}

uint32_t al_sample_epoch(void) {
    return atomic_load_explicit(&sampler.epoch, memory_order_acquire);
}

void al_sample_set_thread_init(bool is_active) {
    atomic_store_explicit(&sampler.thread_init, is_active, memory_order_relaxed);
}

bool al_sample_thread_init(void) {
    return atomic_load_explicit(&sampler.thread_init, memory_order_relaxed);
}

/* A double: 52 bits of the mantissa, above them the exponent. */
enum { MANTISSA_BITS = 52 };

double al_sample_minus_ln(double u) {
    AL_ASSERT(u > 0.0 && u <= 1.0);
    /* 2 / (2 k + 1): no division is left to the sample. */
    static const double factors[] = {2.0 / 17, 2.0 / 15, 2.0 / 13, 2.0 / 11, 2.0 / 9,
                                     2.0 / 7,  2.0 / 5,  2.0 / 3,  2.0 / 1};
    uint64_t bits = 0;

    /* u = m 2^e with m in [1/sqrt 2, sqrt 2): what is below the bits of 1/sqrt 2 borrows one. */
    memcpy(&bits, &u, sizeof(bits));
    const uint64_t root_half_bits = UINT64_C(0x3FE6A09E667F3BCD);
    const int64_t exponent = (int64_t)(bits - root_half_bits) >> MANTISSA_BITS;
    bits -= (uint64_t)exponent << MANTISSA_BITS;
    double m = 0.0;
    memcpy(&m, &bits, sizeof(m));
    /* ln m = 2 atanh z, z = (m - 1) / (m + 1), |z| < 0.1716: the term z^19 is below 1e-15. */
    const double z = (m - 1.0) / (m + 1.0);
    const double z2 = z * z;
    double sum = 0.0;
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(factors); idx++) {
        sum = sum * z2 + factors[idx];
    }
    return -(z * sum + (double)exponent * 0.69314718055994531);
}

double al_sample_one_minus_exp(double x) {
    AL_ASSERT(x >= 0.0);
    if (x > 40.0) {
        return 1.0; /* exp(-40) is 4e-18: below the last bit of 1 */
    }
    /* expm1(-x) by halving the argument to below 1/16, a series, and doubling back:
     * 1 - e^(-2y) = d (2 - d) with d = 1 - e^(-y). At most 10 halvings for x <= 40.
     */
    int halvings = 0;
    while (x > 0.0625) {
        x *= 0.5;
        halvings++;
    }
    /* x (1 - x/2 (1 - x/3 (...))); x^10 / 10! is below 3e-19. */
    static const double factors[] = {1.0 / 9, 1.0 / 8, 1.0 / 7, 1.0 / 6,
                                     1.0 / 5, 1.0 / 4, 1.0 / 3, 1.0 / 2};
    double d = 1.0;
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(factors); idx++) {
        d = 1.0 - x * factors[idx] * d;
    }
    for (d *= x; halvings > 0; halvings--) {
        d = d * (2.0 - d);
    }
    return d;
}

/* Exponential with mean 1, from 53 random bits in (0, 1]. */
static double draw_exponential(uint64_t *rng) {
    const uint64_t bits = (al_rng_next(rng) >> 11) + 1;

    return al_sample_minus_ln((double)bits * (1.0 / 9007199254740992.0)); /* 2^-53 */
}

static uint64_t draw_scaled(uint64_t *rng, double mean) {
    const double gap = draw_exponential(rng) * mean;

    /* 2^61: beyond any program's life, and AL_SAMPLE_NEVER stays larger. */
    return gap >= 2305843009213693952.0 ? UINT64_C(1) << 61 : (uint64_t)gap + 1;
}

uint64_t al_sample_draw_count(uint64_t *rng, size_t size_bytes, unsigned rate_lg) {
    AL_ASSERT(size_bytes > 0);
    if (rate_lg == 0) {
        return 1;
    }
    return draw_scaled(rng, (double)(UINT64_C(1) << rate_lg) / (double)size_bytes);
}

uint64_t al_sample_draw_bytes(uint64_t *rng, unsigned rate_lg) {
    if (rate_lg == 0) {
        return 1;
    }
    return draw_scaled(rng, (double)(UINT64_C(1) << rate_lg));
}
