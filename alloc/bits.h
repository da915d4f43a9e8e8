/* SPDX-License-Identifier: BSD-2-Clause
 *
 * bits — rounding and bit scans. Pure arithmetic; nothing here can fail.
 */
#ifndef AL_BITS_H
#define AL_BITS_H

#include "alloc/base.h"

AL_INLINE bool al_is_pow2(uint64_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

/* `unit` is a power of two. The caller makes sure that rounding up does not wrap. */
AL_INLINE uint64_t al_round_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) & ~(unit - 1);
}

AL_INLINE uint64_t al_round_down(uint64_t value, uint64_t unit) {
    return value & ~(unit - 1);
}

AL_INLINE uint64_t al_div_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit;
}

/* value != 0. */
AL_INLINE unsigned al_lg_floor(uint64_t value) {
    return 63U - (unsigned)__builtin_clzll(value);
}

/* xorshift64*: one word of state, never 0 (G. Marsaglia
 * 2003, with S. Vigna's multiplier). For placement and for sampling, not for secrets.
 */
AL_INLINE uint64_t al_rng_next(uint64_t *state) {
    uint64_t x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

#endif
