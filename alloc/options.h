/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options — what the user may set, read once from five sources at start.
 *
 * Owns:    al_options: written by al_options_read during start-up, constant ever after.
 * Threads: al_options_read by the initialising thread alone; reading by any.
 * Fails:   a bad pair is reported as jemalloc reports it and ignored; with abort_conf the
 *          process stops after the source that held it.
 * Sources, later wins: a string built in; malloc_conf; the text of the link /etc/malloc.conf;
 *          MALLOC_CONF (ignored in set-user-id programs); malloc_conf_2_conf_harder.
 *
 * Everything about an option is its row in options.def: the struct, the defaults, the parser,
 * the opt.* nodes, docs/OPTIONS.md and their tests come from there.
 */
#ifndef AL_OPTIONS_H
#define AL_OPTIONS_H

#include "alloc/base.h"

#include <stdint.h>
#include <sys/types.h>

/* Longest text an option holds, with its zero byte: a path (PATH_MAX). */
enum { AL_OPTION_TEXT_BYTES = 4096 };

struct al_options; /* one field a row of options.def; see the end of this file */

/* Reads all sources into al_options. Never allocates. */
void al_options_read(void);

#endif
