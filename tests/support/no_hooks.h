/* SPDX-License-Identifier: BSD-2-Clause
 *
 * no_hooks — what the hooks of alloc's own tests have seen.
 *
 * Threads: any.
 */
#ifndef TESTS_NO_HOOKS_H
#define TESTS_NO_HOOKS_H

#include "alloc/hooks.h"

#include <stdatomic.h>

extern _Atomic uint64_t test_sample_count;
extern _Atomic uint64_t test_sample_freed_count;
extern _Atomic uint64_t test_sample_weight_bytes; /* sum of usable bytes of samples */
extern _Atomic uint64_t test_allocated_bytes;

#endif
