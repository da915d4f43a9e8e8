/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sample — when the next sample falls: rate, switch, and the random draw.
 *
 * A Poisson process of one sample every R bytes on average, restricted to the allocations of
 * one size class, is a coin for each allocation that falls with p = 1 - exp(-size / R). So a
 * cache bin counts down a geometric number of allocations, and large sizes count down bytes.
 * docs/SAMPLING.md derives it.
 *
 * Owns:    the global rate and switch, and their epoch.
 * Threads: al_sample_store by any (ctl serialises); a change reaches a thread at its next slow
 *          visit of each class.
 * Fails:   never.
 */
#ifndef AL_SAMPLE_H
#define AL_SAMPLE_H

#include "alloc/base.h"

#include <stdatomic.h>

enum { AL_SAMPLE_RATE_LG_MAX = 63 };

/* A countdown that never ends: sampling is off. Far below overflow when counts are added. */
#define AL_SAMPLE_NEVER (UINT64_C(1) << 62)

/* Sets the switch and the rate (R = 2^rate_lg bytes; 0 samples everything), and opens a new
 * epoch so that every countdown is drawn anew. al_sample_set of control.h does that for the
 * calling thread at once too.
 */
void al_sample_store(bool is_active, unsigned rate_lg);
bool al_sample_is_active(void);
unsigned al_sample_rate_lg(void);

/* What new threads start with (true at first). */
void al_sample_set_thread_init(bool is_active);
bool al_sample_thread_init(void);

/* Changes whenever a countdown drawn before is no longer valid. */
uint32_t al_sample_epoch(void);

/* Allocations of `size_bytes` up to and with the next sampled one, >= 1. `rng` is the state of
 * a thread's generator, never 0.
 */
AL_NODISCARD uint64_t al_sample_draw_count(uint64_t *rng, size_t size_bytes, unsigned rate_lg);

/* Bytes up to the next sample, >= 1, for sizes that count bytes. */
AL_NODISCARD uint64_t al_sample_draw_bytes(uint64_t *rng, unsigned rate_lg);

/* 1 - exp(-x) and -ln(u): the only transcendental functions we need, without libm.
 * x >= 0; 0 < u <= 1. Relative error below 1e-12.
 */
double al_sample_one_minus_exp(double x);
double al_sample_minus_ln(double u);

#endif
