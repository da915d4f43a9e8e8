/* SPDX-License-Identifier: BSD-2-Clause
 *
 * own_conf — a program's own option string, as jemalloc's manual has it.
 */
extern const char *malloc_conf;

const char *malloc_conf = "lg_prof_sample:7";
