/* SPDX-License-Identifier: BSD-2-Clause
 *
 * transplant — gives a run that is about to be handed out the pages of free runs elsewhere.
 *
 * A large block that comes where nothing is resident costs a page fault each 4 KiB, some 0.5 to 3
 * us; meanwhile what was freed before lies dirty, and goes back to the kernel by one call more.
 * Linux can move pages from there to here instead: 4 us for 1 MiB.
 *
 * Threads: any; rank AL_RANK_RUNS is held for moments, never around a system call.
 * Fails:   quietly: the run is then as it was, its pages come by faults. What the kernel refuses
 * once is not asked for again. Bound:   a moved range is a mapping of its own in the kernel's eyes,
 * and a process has 65,530 of them by default. Ranges begin and end at multiples of a unit of 512
 * KiB, more in heaps above 8 GiB, so there are never more than AL_TRANSPLANT_MAPPINGS_MAX.
 */
#ifndef AL_TRANSPLANT_H
#define AL_TRANSPLANT_H

#include "alloc/os.h"
#include "alloc/runs.h"

enum { AL_TRANSPLANT_MAPPINGS_MAX = 16384 };

/* The run was just taken (al_runs_take), and its map entries have not been written since, but for
 * the first and the last. Returns AL_OS_MOVED: it no longer reads as zero; AL_OS_STAYED: nothing
 * was done; AL_OS_LOST: part of its addresses may be another's now, the run must never be used.
 */
AL_NODISCARD enum al_os_moved al_transplant(struct al_runs *runs, const struct al_extent *run);

#endif
