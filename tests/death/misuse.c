/* SPDX-License-Identifier: BSD-2-Clause
 *
 * misuse CASE: one misuse of the heap, in a process of its own; misuse_test.sh says what each
 * must end in, and docs/MISUSE.md is the table of it.
 *
 * "small" objects lie in slabs, "large" ones have runs of their own. TALLY_EXACT puts the
 * thread into exact mode first, where every free takes the slow path.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { SMALL_BYTES = 100, LARGE_BYTES = 300000 };

/* Behind a volatile pointer: the compiler knows too much about free. */
static void (*volatile give)(void *) = free;
static void *(*volatile resize)(void *, size_t) = realloc;
static size_t (*volatile ask)(void *) = malloc_usable_size;
static void (*give_sized)(void *, size_t);
static char static_bytes[64 * 1024];

static void *made(size_t size_bytes) {
    void *const ptr = malloc(size_bytes);

    if (ptr == NULL) {
        perror("misuse");
        exit(2);
    }
    memset(ptr, 1, size_bytes);
    return ptr;
}

static char *small_object(void) {
    return made(SMALL_BYTES);
}

static char *large_object(void) {
    return made(LARGE_BYTES);
}

static void *run_free(void *ptr) {
    give(ptr);
    return NULL;
}

/* In another thread, which may live in another arena. */
static void give_elsewhere(void *ptr) {
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_free, ptr) != 0 || pthread_join(thread, NULL) != 0) {
        exit(2);
    }
}

static void free_static(void) {
    give(static_bytes + 4096);
}

static void free_stack(void) {
    char bytes[256];

    give((void *)(((uintptr_t)bytes + 15) & ~(uintptr_t)15));
}

/* Far from all that is ours: 2 GiB around an address of ours would get the message. */
static void free_mapping(void) {
    void *const far = (void *)(uintptr_t)0x100000000000u;

    give(mmap(far, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void free_null_page(void) {
    give((void *)(uintptr_t)16);
}

static void free_noncanonical(void) {
    give((void *)(uintptr_t)0x5a5a5a5a5a5a5a50u);
}

static void realloc_static(void) {
    (void)!resize(static_bytes + 4096, 100);
}

static void ask_static(void) {
    (void)!ask(static_bytes + 4096);
}

static void small_interior(void) {
    give(small_object() + 16);
}

static void small_interior_elsewhere(void) {
    give_elsewhere(small_object() + 16);
}

static void large_interior(void) {
    give(large_object() + 65536);
}

static void large_interior_first_page(void) {
    give(large_object() + 4096);
}

static void small_unaligned(void) {
    give(small_object() + 1);
}

static void large_unaligned(void) {
    give(large_object() + 8);
}

static void realloc_unaligned(void) {
    (void)!resize(small_object() + 1, 200);
}

static void small_twice(void) {
    char *const ptr = small_object();

    give(ptr);
    give(ptr);
}

static void small_twice_later(void) {
    char *const ptr = small_object();
    char *const other = small_object();

    give(ptr);
    give(other);
    give(ptr);
}

static void small_twice_elsewhere(void) {
    char *const ptr = small_object();

    give_elsewhere(ptr);
    give_elsewhere(ptr);
}

static void large_twice(void) {
    char *const ptr = large_object();

    give(ptr);
    give(ptr);
}

static void huge_twice(void) {
    char *const ptr = made((size_t)48 << 20);

    give(ptr);
    give(ptr);
}

static void realloc_after_free(void) {
    char *const ptr = large_object();

    give(ptr);
    (void)!resize(ptr, 2 * LARGE_BYTES);
}

static void small_wrong_size(void) {
    give_sized(small_object(), SMALL_BYTES * 3);
}

static void large_wrong_size(void) {
    give_sized(large_object(), LARGE_BYTES * 2);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"free_static", free_static},
    {"free_stack", free_stack},
    {"free_mapping", free_mapping},
    {"free_null_page", free_null_page},
    {"free_noncanonical", free_noncanonical},
    {"realloc_static", realloc_static},
    {"ask_static", ask_static},
    {"small_interior", small_interior},
    {"small_interior_elsewhere", small_interior_elsewhere},
    {"large_interior", large_interior},
    {"large_interior_first_page", large_interior_first_page},
    {"small_unaligned", small_unaligned},
    {"large_unaligned", large_unaligned},
    {"realloc_unaligned", realloc_unaligned},
    {"small_twice", small_twice},
    {"small_twice_later", small_twice_later},
    {"small_twice_elsewhere", small_twice_elsewhere},
    {"large_twice", large_twice},
    {"huge_twice", huge_twice},
    {"realloc_after_free", realloc_after_free},
    {"small_wrong_size", small_wrong_size},
    {"large_wrong_size", large_wrong_size},
};

/* What crash handlers do: the process ends all the same, though a lock may be held. */
static void allocate_last(int signal_number) {
    void *last[100];

    (void)signal_number;
    for (size_t idx = 0; idx < 100; idx++) {
        last[idx] = malloc(idx * 37);
    }
    for (size_t idx = 0; idx < 100; idx++) {
        free(last[idx]);
    }
}

int main(int argc, char **argv) {
    const struct rlimit no_core = {0, 0};
    int (*mallctl)(const char *, void *, size_t *, void *, size_t) = NULL;
    uint64_t *counter = NULL;
    size_t counter_bytes = sizeof(counter);

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)signal(SIGABRT, allocate_last);
    free(malloc(1)); /* the thread has its cache */
    *(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
    *(void **)&give_sized = dlsym(RTLD_DEFAULT, "free_sized");
    if (mallctl == NULL || give_sized == NULL) {
        fputs("misuse: not under the library\n", stderr);
        return 3;
    }
    if (getenv("TALLY_EXACT") != NULL &&
        mallctl("thread.allocatedp", &counter, &counter_bytes, NULL, 0) != 0) {
        return 2;
    }
    if (argc > 1 && strcmp(argv[1], "is_debug") == 0) {
        bool is_debug = false;
        size_t is_debug_bytes = sizeof(is_debug);
        (void)mallctl("config.debug", &is_debug, &is_debug_bytes, NULL, 0);
        return is_debug ? 0 : 1;
    }
    for (size_t idx = 0; idx < sizeof(cases) / sizeof(cases[0]); idx++) {
        if (argc > 1 && strcmp(argv[1], cases[idx].name) == 0) {
            cases[idx].run();
            return 0;
        }
    }
    for (size_t idx = 0; idx < sizeof(cases) / sizeof(cases[0]); idx++) {
        puts(cases[idx].name);
    }
    return 2;
}
