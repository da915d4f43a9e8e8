/* SPDX-License-Identifier: BSD-2-Clause
 *
 * base — attributes, the three checks, and the one way a message leaves the library.
 *
 * Threads: everything here may be called from any thread, at any time, also before main.
 * Fails:   never returns an error; nothing here allocates or touches errno.
 */
#ifndef AL_BASE_H
#define AL_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0 release, 1 debug (AL_ASSERT), 2 audit (AL_AUDIT too); set by the build's configuration. */
#ifndef AL_LEVEL
#define AL_LEVEL 0
#endif

#define AL_LIKELY(cond)   __builtin_expect(!!(cond), 1)
#define AL_UNLIKELY(cond) __builtin_expect(!!(cond), 0)
#define AL_EXPORT         __attribute__((visibility("default")))
/* On data that the fast path reads: without it the compiler goes through the GOT. */
#define AL_HIDDEN __attribute__((visibility("hidden")))
#define AL_WEAK   __attribute__((weak))
/* Zeroed data most of which most processes never touch: behind all else, so that what each process
 * writes to fills few pages.
 */
#define AL_SPARSE __attribute__((section(".bss.sparse")))
/* Never written to, though a pointer to it may be one that is written through. */
#define AL_READ_ONLY          __attribute__((section(".data.rel.ro.tally")))
#define AL_COLD               __attribute__((cold, noinline))
#define AL_NOINLINE           __attribute__((noinline))
#define AL_INLINE             static inline __attribute__((always_inline))
#define AL_NODISCARD          __attribute__((warn_unused_result))
#define AL_ALIGNED(bytes)     __attribute__((aligned(bytes)))
#define AL_TLS_IE             __thread __attribute__((tls_model("initial-exec")))
#define AL_UNUSED             __attribute__((unused))
#define AL_ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What a spinning core tells its sibling. */
#if defined(__x86_64__)
#define AL_SPIN_HINT() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define AL_SPIN_HINT() __asm__ volatile("yield")
#else
#define AL_SPIN_HINT() ((void)0)
#endif

/* One cache line of every machine we run on; two adjacent ones are fetched together on x86. */
enum { AL_CACHE_LINE_BYTES = 64 };

/* Set while this thread holds every lock there is (fork), or once it is about to abort: then it
 * takes none. What a fork handler or a handler of SIGABRT allocates must not wait for itself.
 */
extern AL_HIDDEN AL_TLS_IE bool al_is_lock_free;

/* Called before the process is aborted for a misuse of the heap; NULL: nobody is. */
extern AL_HIDDEN void (*al_die_hook)(const char *message);

/* Writes one line "tally: WHAT" through al_message_write, then aborts. */
AL_COLD _Noreturn void al_die(const char *what);

/* The same, naming an address: "tally: WHAT: 0xADDR". */
AL_COLD _Noreturn void al_die_ptr(const char *what, const void *ptr);

/* Hands `text` to malloc_message if the program has set it, else writes it to descriptor 2.
 * Keeps errno. A write that fails is not reported: there is nowhere left to report it.
 */
void al_message_write(const char *text);

/* Public variable of jemalloc's interface: where messages go; NULL means descriptor 2. */
AL_EXPORT extern void (*malloc_message)(void *opaque, const char *text);

/* Three kinds, by who made the mistake and what the check costs:
 *   AL_CHECK   the program broke the heap's rules. On in every build: a few cycles each.
 *              The text is for the program's author: what it did, in its words, not ours.
 *   AL_ASSERT  we broke our own rules. Debug and audit builds.
 *   AL_AUDIT   a whole structure walked. Audit build only: may cost more than the work itself.
 */
#define AL_CHECK(cond, what)                                                                       \
    do {                                                                                           \
        if (AL_UNLIKELY(!(cond))) {                                                                \
            al_die(what);                                                                          \
        }                                                                                          \
    } while (0)

#if AL_LEVEL >= 1
#define AL_LINE_TEXT(line) #line
#define AL_LINE(line)      AL_LINE_TEXT(line)
#define AL_ASSERT(cond)    AL_CHECK(cond, "internal: " __FILE__ ":" AL_LINE(__LINE__) ": " #cond)
#else
#define AL_ASSERT(cond) ((void)sizeof(cond))
#endif

/* Compiled in every build, run in audit builds. */
#define AL_AUDIT(walk)                                                                             \
    do {                                                                                           \
        if (al_is_audit) {                                                                         \
            walk;                                                                                  \
        }                                                                                          \
    } while (0)

/* For products that pass 64 bits. */
__extension__ typedef unsigned __int128 al_u128;

static const bool al_is_debug AL_UNUSED = AL_LEVEL >= 1;
static const bool al_is_audit AL_UNUSED = AL_LEVEL >= 2;

#endif
