/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   out of memory is ordinary: NULL and ENOMEM, nothing half-changed, and all is well
 *         again when memory is there again.
 * Method: a sweep. One script of every kind of request runs in a child whose nth call of the
 *         kernel for memory fails, n = 1, 2, …, until a run sees no failure: once as a blip and
 *         once for good. What the script got it may use; afterwards, with the fault gone, the
 *         whole script must succeed, and every structure is walked.
 */
#include "alloc/arena.h"
#include "alloc/control.h"
#include "alloc/malloc.h"
#include "alloc/mallocx.h"
#include "alloc/os.h"
#include "alloc/sample.h"
#include "alloc/thread.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BLOCK_COUNT = 400,
    ENDED_WELL = 0, /* with a failure on the way */
    SAW_NO_FAILURE = 10,
    BROKE_PROMISE = 11,
    CHILD_SECONDS = 60,
    SWEEP_MAX = 10000,
};

/* Of the public header: MALLOCX_TCACHE_NONE and MALLOCX_ARENA. */
enum { FLAG_NO_TCACHE = 1 << 8 };

static int flag_arena(unsigned arena_idx) {
    return (int)(arena_idx + 1) << 20;
}

struct block {
    unsigned char *ptr;
    size_t size_bytes;
};

static struct block blocks[BLOCK_COUNT];
static size_t block_count;
static bool must_succeed;
static uint64_t null_count;

static void promise(bool is_kept, const char *what) {
    if (!is_kept) {
        fprintf(stderr, "broken: %s\n", what);
        _exit(BROKE_PROMISE);
    }
}

static unsigned char byte_of(size_t idx) {
    return (unsigned char)(idx * 7 + 1);
}

/* Enters what a request gave, which may be NULL with ENOMEM while faults are on. */
static void keep(void *ptr, size_t size_bytes) {
    if (ptr == NULL) {
        promise(!must_succeed, "a request fails without a fault");
        promise(errno == ENOMEM, "NULL comes with ENOMEM");
        null_count++;
        return;
    }
    promise(block_count < BLOCK_COUNT, "the script fits its book");
    memset(ptr, byte_of(block_count), size_bytes);
    blocks[block_count].ptr = ptr;
    blocks[block_count++].size_bytes = size_bytes;
}

static void check_block(size_t idx) {
    for (size_t at = 0; at < blocks[idx].size_bytes; at += 1 + blocks[idx].size_bytes / 128) {
        promise(blocks[idx].ptr[at] == byte_of(idx), "a block keeps its bytes");
    }
}

static void *run_thread(void *arg) {
    void *const small = al_malloc(500);
    void *const large = al_malloc(200000);

    promise(!must_succeed || (small != NULL && large != NULL), "a thread gets memory");
    al_free(small);
    al_free(large);
    return arg;
}

/* Every size that a script of sizes asks for, by the entry point `how`. */
static void request(size_t size_bytes, int how) {
    void *out = NULL;

    errno = 0;
    switch (how) {
    case 0:
        keep(al_malloc(size_bytes), size_bytes);
        break;
    case 1:
        keep(al_calloc(1, size_bytes), size_bytes);
        break;
    case 2:
        keep(al_aligned_alloc(4096, size_bytes), size_bytes);
        break;
    case 3:
        errno = al_posix_memalign(&out, 256, size_bytes);
        keep(out, size_bytes);
        break;
    default:
        out = al_mallocx(size_bytes, FLAG_NO_TCACHE);
        errno = ENOMEM; /* mallocx promises no errno */
        keep(out, size_bytes);
        break;
    }
}

/* Grows, shrinks, and keeps what it had when there is no more. */
static void resize(size_t idx, size_t size_bytes) {
    const size_t kept_bytes =
        size_bytes < blocks[idx].size_bytes ? size_bytes : blocks[idx].size_bytes;

    errno = 0;
    unsigned char *const moved = al_realloc(blocks[idx].ptr, size_bytes);
    if (moved == NULL) {
        promise(!must_succeed && errno == ENOMEM, "realloc fails with ENOMEM only");
        null_count++;
        check_block(idx);
        return;
    }
    for (size_t at = 0; at < kept_bytes; at += 1 + kept_bytes / 128) {
        promise(moved[at] == byte_of(idx), "realloc keeps the bytes");
    }
    memset(moved, byte_of(idx), size_bytes);
    blocks[idx].ptr = moved;
    blocks[idx].size_bytes = size_bytes;
}

static void run_script(void) {
    static const size_t sizes[] = {16,    100,    1000,   1024,   5000,     30000,
                                   65536, 100000, 300000, 900000, 5u << 20, 40u << 20};
    unsigned arena_idx = 0;
    pthread_t thread;

    block_count = 0;
    for (int how = 0; how < 5; how++) {
        for (size_t idx = 0; idx < AL_ARRAY_COUNT(sizes); idx++) {
            request(sizes[idx], how);
        }
    }
    for (int count = 0; count < 100; count++) {
        request(3000, 0);
    }
    for (size_t idx = 0; idx < block_count; idx += 3) {
        resize(idx, blocks[idx].size_bytes * 2 + 1);
    }
    for (size_t idx = 0; idx < block_count; idx += 4) {
        resize(idx, blocks[idx].size_bytes / 3 + 1);
    }
    if (al_arena_create(&arena_idx) == 0) {
        void *const ptr = al_mallocx(70000, flag_arena(arena_idx));
        errno = ENOMEM;
        keep(ptr, 70000);
    } else {
        promise(!must_succeed, "an arena can be made");
    }
    if (pthread_create(&thread, NULL, run_thread, NULL) == 0) {
        (void)pthread_join(thread, NULL);
    }
    for (size_t idx = 0; idx < block_count; idx++) {
        check_block(idx);
        al_free(blocks[idx].ptr);
    }
}

static void run_child(uint64_t nth, bool for_good, bool is_sampling) {
    alarm(CHILD_SECONDS);
    if (is_sampling) {
        al_sample_store(true, 0);
    }
    (void)al_os_fail_after(nth, for_good);
    run_script();
    const uint64_t call_count = al_os_fail_after(0, false);
    must_succeed = true;
    run_script();
    al_audit_all();
    _exit(call_count < nth ? SAW_NO_FAILURE : ENDED_WELL);
}

/* `_i`: bit 0 for good, bit 1 every allocation sampled. */
START_TEST(every_nth_call_of_the_kernel_may_fail) {
    uint64_t nth = 1;

    for (; nth < SWEEP_MAX; nth++) {
        int status = 0;
        fflush(NULL);
        const pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            run_child(nth, (_i & 1) != 0, (_i & 2) != 0);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFEXITED(status), "call %llu: ended by signal %d", (unsigned long long)nth,
                      WTERMSIG(status));
        ck_assert_msg(WEXITSTATUS(status) == ENDED_WELL || WEXITSTATUS(status) == SAW_NO_FAILURE,
                      "call %llu: status %d", (unsigned long long)nth, WEXITSTATUS(status));
        if (WEXITSTATUS(status) == SAW_NO_FAILURE) {
            break;
        }
    }
    printf("failed each of %llu calls\n", (unsigned long long)nth - 1);
    ck_assert_uint_gt(nth, 8);
    ck_assert_uint_lt(nth, SWEEP_MAX);
}
END_TEST

START_TEST(sizes_no_machine_has_fail_at_once) {
    const uint64_t before_bytes = al_thread_allocated_bytes();

    for (size_t size = SIZE_MAX; size > (size_t)1 << 48; size /= 2) {
        errno = 0;
        ck_assert_ptr_null(al_malloc(size));
        ck_assert_int_eq(errno, ENOMEM);
        errno = 0;
        ck_assert_ptr_null(al_calloc(size / 8, 16));
        ck_assert_int_eq(errno, ENOMEM);
        errno = 0;
        ck_assert_ptr_null(al_aligned_alloc(4096, size));
        ck_assert_int_eq(errno, ENOMEM);
    }
    ck_assert_uint_eq(al_thread_allocated_bytes(), before_bytes);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("oom");

    tcase_add_loop_test(tcase, every_nth_call_of_the_kernel_may_fail, 0, 4);
    tcase_add_test(tcase, sizes_no_machine_has_fail_at_once);
    return suite_run(tcase, "oom", 280);
}
