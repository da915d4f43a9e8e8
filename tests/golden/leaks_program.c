/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sites of known behaviour, and a dump after each of ROUNDS rounds. A sample of 4 KiB objects at
 * lg_prof_sample:12 stands for 1.58 of them: 63 objects are 40 samples.
 */
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 20, OBJECT_BYTES = 4096, SLOT_COUNT = 1 << 16, STEPS = 8 };

#define SITE __attribute__((noinline))

/* An object and when it dies, in rounds. */
static struct slot {
    void *object;
    double dies;
} slots[SLOT_COUNT];
static size_t slot_count;
static uint64_t state = 88172645463325252;

static double uniform(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return ((double)(state >> 11) + 0.5) / 9007199254740992.0;
}

static unsigned poisson(double mean) {
    const double limit = exp(-mean);
    unsigned count = 0;
    for (double product = uniform(); product > limit; product *= uniform()) {
        count++;
    }
    return count;
}

/* The site is whoever calls: the call must not be its last. */
#define CREATE(mean, death)                                                                        \
    for (unsigned left = poisson(mean); left > 0; left--) {                                        \
        slots[slot_count].object = malloc(OBJECT_BYTES);                                           \
        slots[slot_count++].dies = (death);                                                        \
    }

static SITE void rest_short(double now) {
    CREATE(63.0 / STEPS, now - log(uniform()));
}

static SITE void rest_long(double now) {
    CREATE(12.6 / STEPS, now - 5 * log(uniform()));
}

static SITE void warm_up(double now) {
    CREATE(12.6 / STEPS, now - 3 * log(uniform()));
}

static SITE void sawtooth(double now) {
    CREATE(31.5 / STEPS, 4 * (floor((now + 1) / 4) + 1) - 1);
}

static SITE void leak_fast(void) {
    CREATE(6.3 / STEPS, (double)INFINITY);
}

static SITE void leak_slow(void) {
    CREATE(1.58 / STEPS, (double)INFINITY);
}

static SITE void leak_in_churn(double now) {
    CREATE(22.1 / STEPS, uniform() < 0.43 ? (double)INFINITY : now - log(uniform()));
}

/* Holds the newest 80. */
static SITE void cache_filling(void) {
    static void *ring[80];
    static unsigned at;

    for (unsigned left = poisson(12.6 / STEPS); left > 0; left--) {
        free(ring[at]);
        ring[at] = malloc(OBJECT_BYTES);
        at = (at + 1) % 80;
    }
}

static void bury(double now) {
    size_t kept = 0;
    for (size_t at = 0; at < slot_count; at++) {
        if (slots[at].dies <= now) {
            free(slots[at].object);
        } else {
            slots[kept++] = slots[at];
        }
    }
    slot_count = kept;
}

int main(void) {
    int (*mallctl)(const char *, void *, size_t *, void *, size_t) = NULL;

    *(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
    if (mallctl == NULL) {
        fputs("leaks_program: no mallctl: run me under the library\n", stderr);
        return 1;
    }
    for (double now = -15; now < ROUNDS; now += 1.0 / STEPS) {
        bury(now);
        rest_short(now);
        rest_long(now);
        if (now >= 0) {
            warm_up(now);
            sawtooth(now);
            leak_fast();
            leak_slow();
            leak_in_churn(now);
            cache_filling();
        }
        if (now >= 0 && now == floor(now) && mallctl("prof.dump", NULL, NULL, NULL, 0) != 0) {
            fputs("leaks_program: no dump: is prof:true set?\n", stderr);
            return 1;
        }
    }
    return 0;
}
