/* SPDX-License-Identifier: BSD-2-Clause
 *
 * override_new — the seam between operator new and the one part of it that C cannot express: a
 * call with a landing pad. Bazel picks override_new_x86_64.c, or override_new_plain.c elsewhere.
 *
 * Threads: any.
 */
#ifndef AL_OVERRIDE_NEW_H
#define AL_OVERRIDE_NEW_H

#include "alloc/base.h"

#include <unwind.h>

typedef void (*new_handler)(void);

/* Calls the handler; false if it left by an exception, which ends here: operator new that may
 * not throw says NULL then.
 */
bool al_new_call_catching(new_handler handler);
void al_new_caught(void *exception);
_Unwind_Reason_Code al_new_personality(int version, _Unwind_Action actions,
                                       _Unwind_Exception_Class exception_class,
                                       struct _Unwind_Exception *exception,
                                       struct _Unwind_Context *context);
extern AL_HIDDEN const char al_new_landing[];

#endif
