/* SPDX-License-Identifier: BSD-2-Clause
 *
 * override_new — C++'s operators new and delete, in C.
 *
 * The library must not need the C++ runtime, so what it takes from it is looked for when it is
 * needed: by weak symbols, and in the one case where a foreign exception must be caught, by
 * name. A C program that calls an operator by accident gets a message instead of a throw.
 *
 * Names are the Itanium C++ ABI's: m is size_t, Pv void *, St11align_val_t and RKSt9nothrow_t
 * the further arguments.
 */
#include "alloc/override_new.h"

#include "alloc/bits.h"
#include "alloc/malloc.h"
#include "alloc/malloc_fast.h"
#include "alloc/options.h"
#include "alloc/request.h"

#include <dlfcn.h>

/* std::get_new_handler, std::__throw_bad_alloc, and the catching of an exception. */
extern AL_WEAK new_handler _ZSt15get_new_handlerv(void);
extern AL_WEAK _Noreturn void _ZSt17__throw_bad_allocv(void);
extern AL_WEAK void *__cxa_begin_catch(void *exception);
extern AL_WEAK void __cxa_end_catch(void);

/* The C++ runtime, found when it is needed: weak names were looked up when this library was loaded,
 * and a C program may load a plugin in C++ later. NULL: there is none in the process.
 */
struct runtime {
    new_handler (*get_new_handler)(void);
    void (*throw_bad_alloc)(void);
    void *(*begin_catch)(void *exception);
    void (*end_catch)(void);
};

static struct runtime find_runtime(void) {
    struct runtime runtime = {_ZSt15get_new_handlerv, _ZSt17__throw_bad_allocv, __cxa_begin_catch,
                              __cxa_end_catch};

    if (runtime.throw_bad_alloc == NULL) {
        void *const library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
        if (library != NULL) { /* never closed: an exception from it is on its way */
            *(void **)&runtime.get_new_handler = dlsym(library, "_ZSt15get_new_handlerv");
            *(void **)&runtime.throw_bad_alloc = dlsym(library, "_ZSt17__throw_bad_allocv");
            *(void **)&runtime.begin_catch = dlsym(library, "__cxa_begin_catch");
            *(void **)&runtime.end_catch = dlsym(library, "__cxa_end_catch");
        }
    }
    return runtime;
}

/* A function of the unwinder that is at work, not of the copy linked into this library, which might
 * lay out its context differently.
 */
static void *find_unwinder(const char *name) {
    void *const found = dlsym(RTLD_DEFAULT, name);

    if (found != NULL) {
        return found;
    }
    void *const library = dlopen("libgcc_s.so.1", RTLD_LAZY | RTLD_NOLOAD);
    return library != NULL ? dlsym(library, name) : NULL;
}

AL_HIDDEN void al_new_caught(void *exception) {
    const struct runtime runtime = find_runtime();

    (void)runtime.begin_catch(exception);
    runtime.end_catch();
}

/* The unwinder asks each frame's personality whether it handles an exception. This one always
 * does.
 */
AL_HIDDEN _Unwind_Reason_Code al_new_personality(int version, _Unwind_Action actions,
                                                 _Unwind_Exception_Class exception_class,
                                                 struct _Unwind_Exception *exception,
                                                 struct _Unwind_Context *context) {
    void (*set_gr)(struct _Unwind_Context *, int, _Unwind_Word) = NULL;
    void (*set_ip)(struct _Unwind_Context *, _Unwind_Ptr) = NULL;

    (void)exception_class;
    *(void **)&set_gr = find_unwinder("_Unwind_SetGR");
    *(void **)&set_ip = find_unwinder("_Unwind_SetIP");
    if (version != 1 || set_gr == NULL || set_ip == NULL || find_runtime().begin_catch == NULL ||
        (actions & _UA_FORCE_UNWIND) != 0) {
        return _URC_CONTINUE_UNWIND; /* thread cancellation must go on */
    }
    if ((actions & _UA_SEARCH_PHASE) != 0) {
        return _URC_HANDLER_FOUND;
    }
    if ((actions & _UA_HANDLER_FRAME) == 0) {
        return _URC_CONTINUE_UNWIND;
    }
    set_gr(context, __builtin_eh_return_data_regno(0), (_Unwind_Word)(uintptr_t)exception);
    set_ip(context, (_Unwind_Ptr)al_new_landing);
    return _URC_INSTALL_CONTEXT;
}

/* ---- the loop the standard asks for ---- */

static _Noreturn void throw_bad_alloc(struct runtime runtime) {
    if (!al_options.experimental_infallible_new && runtime.throw_bad_alloc != NULL) {
        runtime.throw_bad_alloc();
    }
    al_die("operator new: out of memory");
}

/* align_bytes 1: none asked for. NULL only if `may_throw` is false. */
static AL_NOINLINE void *new_slow(size_t size_bytes, size_t align_bytes, bool may_throw) {
    for (;;) { /* ends as the program's handler decides */
        void *const ptr = !al_is_pow2(align_bytes)
                              ? NULL
                              : al_request_malloc_aligned(size_bytes, align_bytes, NULL);
        if (ptr != NULL) {
            return ptr;
        }
        const struct runtime runtime = find_runtime();
        const new_handler handler =
            runtime.get_new_handler != NULL ? runtime.get_new_handler() : NULL;
        if (handler == NULL) {
            if (may_throw || al_options.experimental_infallible_new) {
                throw_bad_alloc(runtime);
            }
            return NULL;
        }
        if (may_throw) {
            handler();
        } else if (!al_new_call_catching(handler)) {
            return NULL;
        }
    }
}

AL_INLINE void *new_fast(size_t size_bytes, bool may_throw) {
    void *const block = al_malloc_pop(size_bytes);

    return AL_LIKELY(block != NULL) ? block : new_slow(size_bytes, 1, may_throw);
}

#define AL_NEW(name)                                                                               \
    AL_EXPORT void *name(size_t size);                                                             \
    void *name(size_t size) {                                                                      \
        return new_fast(size, true);                                                               \
    }
#define AL_NEW_NOTHROW(name)                                                                       \
    AL_EXPORT void *name(size_t size, const void *nothrow);                                        \
    void *name(size_t size, const void *nothrow) {                                                 \
        (void)nothrow;                                                                             \
        return new_fast(size, false);                                                              \
    }
#define AL_NEW_ALIGNED(name)                                                                       \
    AL_EXPORT void *name(size_t size, size_t alignment);                                           \
    void *name(size_t size, size_t alignment) {                                                    \
        return new_slow(size, alignment, true);                                                    \
    }
#define AL_NEW_ALIGNED_NOTHROW(name)                                                               \
    AL_EXPORT void *name(size_t size, size_t alignment, const void *nothrow);                      \
    void *name(size_t size, size_t alignment, const void *nothrow) {                               \
        (void)nothrow;                                                                             \
        return new_slow(size, alignment, false);                                                   \
    }
AL_NEW(_Znwm)
AL_NEW(_Znam)
AL_NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
AL_NEW_NOTHROW(_ZnamRKSt9nothrow_t)
AL_NEW_ALIGNED(_ZnwmSt11align_val_t)
AL_NEW_ALIGNED(_ZnamSt11align_val_t)
AL_NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
AL_NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)

#define AL_DELETE(name)                                                                            \
    AL_EXPORT void name(void *ptr);                                                                \
    void name(void *ptr) {                                                                         \
        al_free_fast(ptr);                                                                         \
    }
#define AL_DELETE_SIZED(name)                                                                      \
    AL_EXPORT void name(void *ptr, size_t size);                                                   \
    void name(void *ptr, size_t size) {                                                            \
        al_free_sized(ptr, size);                                                                  \
    }
/* An alignment or a nothrow tag: of no use to us. */
#define AL_DELETE_WITH(name)                                                                       \
    AL_EXPORT void name(void *ptr, size_t ignored);                                                \
    void name(void *ptr, size_t ignored) {                                                         \
        (void)ignored;                                                                             \
        al_free_fast(ptr);                                                                         \
    }
#define AL_DELETE_ALIGNED_NOTHROW(name)                                                            \
    AL_EXPORT void name(void *ptr, size_t alignment, const void *nothrow);                         \
    void name(void *ptr, size_t alignment, const void *nothrow) {                                  \
        (void)alignment;                                                                           \
        (void)nothrow;                                                                             \
        al_free_fast(ptr);                                                                         \
    }
#define AL_DELETE_SIZED_ALIGNED(name)                                                              \
    AL_EXPORT void name(void *ptr, size_t size, size_t alignment);                                 \
    void name(void *ptr, size_t size, size_t alignment) {                                          \
        al_free_aligned_sized(ptr, alignment, size);                                               \
    }
AL_DELETE(_ZdlPv)
AL_DELETE(_ZdaPv)
AL_DELETE_SIZED(_ZdlPvm)
AL_DELETE_SIZED(_ZdaPvm)
AL_DELETE_WITH(_ZdlPvRKSt9nothrow_t)
AL_DELETE_WITH(_ZdaPvRKSt9nothrow_t)
AL_DELETE_WITH(_ZdlPvSt11align_val_t)
AL_DELETE_WITH(_ZdaPvSt11align_val_t)
AL_DELETE_ALIGNED_NOTHROW(_ZdlPvSt11align_val_tRKSt9nothrow_t)
AL_DELETE_ALIGNED_NOTHROW(_ZdaPvSt11align_val_tRKSt9nothrow_t)
AL_DELETE_SIZED_ALIGNED(_ZdlPvmSt11align_val_t)
AL_DELETE_SIZED_ALIGNED(_ZdaPvmSt11align_val_t)
