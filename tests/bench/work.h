/* SPDX-License-Identifier: BSD-2-Clause
 *
 * work — what the workloads of ./dev bench share: blocks that are checked, random numbers, the
 * clock around the part that counts, and the line of JSON at the end.
 *
 * Owns:    nothing between runs; one process runs one case.
 * Threads: books and random states belong to one thread each; work_add joins books at the end.
 * Fails:   a block that was not given, or did not keep what was written, ends the process with
 *          status 1 and a sentence. There is no result then.
 * Honest:  malloc is called by its ordinary name, so that LD_PRELOAD chooses who answers. Tables
 *          of pointers come from mmap and are the same for every allocator.
 */
#ifndef TESTS_BENCH_WORK_H
#define TESTS_BENCH_WORK_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { WORK_PAGE_BYTES = 4096, WORK_BLOCK_BYTES_MIN = 16 };

/* One case: a row of a table. What low, high and live mean is the function's matter, mostly
   smallest block, largest block, blocks live (or threads). */
struct work;
struct work_case {
    const char *name;
    void (*run)(struct work *work);
    size_t low;
    size_t high;
    size_t live;
};

/* The tables, one a file; each ends with a row without a name. */
extern const struct work_case work_blocks[];
extern const struct work_case work_calls[];
extern const struct work_case work_threads[];
extern const struct work_case work_servers[];
extern const struct work_case work_memory[];
/* In the program work_cxx only; elsewhere its address is NULL. */
extern const struct work_case work_operators[] __attribute__((weak));

/* Stamps written into blocks, and stamps found there when they were freed. */
struct work_books {
    uint64_t stamp;
    uint64_t wanted;
    uint64_t found;
};

/* A block whose size the holder keeps. */
struct work_slot {
    char *block;
    size_t size_bytes;
};

/* The case's own run. */
struct work {
    const struct work_case *shape;
    uint64_t count;         /* how much work, from the command line */
    uint64_t parameters[2]; /* what follows the count there */
    struct work_books books;
};

_Noreturn void work_die(const char *why);

/* Memory that no allocator sees, zeroed. Never given back. */
void *work_table(size_t size_bytes);

/* The part that counts. One part a process. */
void work_start(void);
void work_stop(uint64_t op_count);

/* One more figure in the line of JSON; `name` is a literal. */
void work_note(const char *name, uint64_t value);

/* Resident memory of this process, without a call of malloc. */
uint64_t work_rss_kib(void);

void work_sleep_ms(uint64_t duration_ms);

void work_add(struct work *work, const struct work_books *books);

/* xorshift64*; the state is never 0. */
static inline uint64_t work_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* Below `bound`, by multiplication: a division would cost as much as a malloc. */
static inline size_t work_below(uint64_t *state, size_t bound) {
    return (size_t)(((work_random(state) >> 32) * (uint64_t)bound) >> 32);
}

static inline size_t work_between(uint64_t *state, size_t low, size_t high) {
    return low == high ? low : low + work_below(state, high - low + 1);
}

/* The first and the last word of a block hold its stamp, the last one inverted. */
static inline void work_write(struct work_books *books, char *block, size_t size_bytes) {
    const uint64_t stamp = ++books->stamp;
    const uint64_t inverse = ~stamp;

    books->wanted += stamp;
    __builtin_memcpy(block, &stamp, sizeof(stamp));
    __builtin_memcpy(block + size_bytes - sizeof(inverse), &inverse, sizeof(inverse));
}

static inline void work_read(struct work_books *books, const char *block, size_t size_bytes) {
    uint64_t stamp;
    uint64_t inverse;

    __builtin_memcpy(&stamp, block, sizeof(stamp));
    __builtin_memcpy(&inverse, block + size_bytes - sizeof(inverse), sizeof(inverse));
    if (stamp != ~inverse) {
        work_die("a block did not keep what was written");
    }
    books->found += stamp;
}

static inline char *work_make(struct work_books *books, size_t size_bytes) {
    char *const block = malloc(size_bytes);

    if (block == NULL) {
        work_die("malloc said no");
    }
    work_write(books, block, size_bytes);
    return block;
}

static inline void work_drop(struct work_books *books, char *block, size_t size_bytes) {
    work_read(books, block, size_bytes);
    free(block);
}

/* A large block, each page of it written and read. */
char *work_make_pages(struct work_books *books, size_t size_bytes);
void work_drop_pages(struct work_books *books, char *block, size_t size_bytes);

/* A block that carries its size in its second word, for holders who have a pointer only. From 32
   bytes on. */
static inline char *work_make_sized(struct work_books *books, size_t size_bytes) {
    char *const block = work_make(books, size_bytes);

    __builtin_memcpy(block + sizeof(uint64_t), &size_bytes, sizeof(size_bytes));
    return block;
}

static inline void work_drop_sized(struct work_books *books, char *block) {
    size_t size_bytes;

    __builtin_memcpy(&size_bytes, block + sizeof(uint64_t), sizeof(size_bytes));
    if (size_bytes > SIZE_MAX / 2) {
        work_die("a block's size is not one");
    }
    work_drop(books, block, size_bytes);
}

static inline void work_fill_slot(struct work_books *books, struct work_slot *slot,
                                  size_t size_bytes) {
    slot->block = work_make(books, size_bytes);
    slot->size_bytes = size_bytes;
}

static inline void work_empty_slot(struct work_books *books, struct work_slot *slot) {
    if (slot->block != NULL) {
        work_drop(books, slot->block, slot->size_bytes);
        slot->block = NULL;
    }
}

#endif
