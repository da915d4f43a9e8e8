/* SPDX-License-Identifier: BSD-2-Clause
 *
 * version — the one function that only the installed header declares; a file of its own
 * because that header declares malloc_message and its kin again.
 */
#include "ctl/include/tally.h"

__attribute__((visibility("default"))) const char *tally_version(void) {
    return TALLY_VERSION;
}
