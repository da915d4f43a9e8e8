/* SPDX-License-Identifier: BSD-2-Clause
 *
 * override_new_plain — where nobody has written the landing pad yet: a handler's exception goes
 * on to the caller, as it would through any C frame.
 */
#include "alloc/override_new.h"

const char al_new_landing[1];
bool al_new_call_catching(new_handler handler) {
    handler();
    return true;
}
