/* SPDX-License-Identifier: BSD-2-Clause
 *
 * profile — the sum of all loaded dumps: which stacks hold how much, in terms of files and
 * offsets, so that dumps of two runs add up wherever the kernel put the program.
 *
 * Owns:    everything below; names are interned in `texts`.
 * Threads: none of its own.
 * Fails:   false and a line without the file's name (the caller knows it). A load that fails
 *          may leave part of the file in the sums: give the profile up.
 * Why offsets: with address space randomisation an address means nothing outside its own
 *          process. Each dump's addresses go through that dump's own map, at once.
 */
#ifndef SY_PROFILE_H
#define SY_PROFILE_H

#include "tools/symbolize/base.h"
#include "tools/symbolize/intern.h"

/* Stacks deeper than this are refused: no profiler we know keeps more than 1,024 frames. */
enum { SY_STACK_FRAMES_MAX = 4096 };

/* What a stack holds; after subtraction also less than nothing. */
enum sy_value {
    SY_INUSE_OBJECTS,
    SY_INUSE_SPACE,
    SY_ALLOC_OBJECTS,
    SY_ALLOC_SPACE,
    SY_VALUE_COUNT,
};

/* How far sampling lets a stack's values be off: docs/DIFF.md has the formulas. */
struct sy_spread {
    double variance[SY_VALUE_COUNT];
    double weight_max[SY_VALUE_COUNT]; /* the largest (Z/p) sqrt(1-p) of a sample */
};

/* Where an address was found. */
enum sy_home {
    SY_HOME_NONE,    /* in no mapping of the dump */
    SY_HOME_ANON,    /* in a mapping without a name: code made at run time */
    SY_HOME_SPECIAL, /* in the kernel's own: [vdso], [vsyscall], … */
    SY_HOME_FILE,
    SY_HOME_DELETED, /* in a file that was gone or replaced when the dump was written */
};

/* What was mapped: a file, or one of the other homes. */
struct sy_binary {
    uint32_t path_id;     /* text; without " (deleted)" */
    uint32_t build_id_id; /* text, lower-case hex; "" when the dump does not say */
    enum sy_home home;
    bool is_main; /* a dump's first program mapping: PROGRAM may stand in for it */
};

/* The two that every profile has. */
enum { SY_BINARY_NONE = 0, SY_BINARY_ANON = 1 };

/* One place in one binary. */
struct sy_location {
    uint64_t offset;     /* in the file; in the mapping for SPECIAL; else the address itself */
    uint32_t binary_idx; /* into binaries */
    uint32_t given_id;   /* into given: names that the dump itself carries; SY_NONE without */
};

/* One function at a location, innermost first, as the dump names it. */
struct sy_given {
    uint32_t name_id;
    uint32_t file_id;
    uint32_t line;
};

struct sy_mapping {
    uint64_t start_addr;
    uint64_t limit_addr;
    uint64_t file_offset;
    uint32_t binary_idx;
    bool is_code;
};

/* Code of a file as some dump had it mapped, in one piece or in neighbouring ones. */
struct sy_code {
    uint64_t file_offset;
    uint64_t code_bytes;
    uint64_t binary_idx; /* 64 bits: no padding, for the struct is interned */
};

/* Invariants:
 *   I1  value_cap and spread_cap >= stacks.count
 *   I2  every location's binary_idx is below binary_count
 *   I3  a stack is an array of uint32_t location ids, leaf first
 */
struct sy_profile {
    struct sy_intern texts;
    struct sy_intern locations;       /* struct sy_location */
    struct sy_intern given;           /* arrays of struct sy_given */
    struct sy_intern stacks;          /* arrays of uint32_t */
    struct sy_intern code;            /* struct sy_code */
    double (*values)[SY_VALUE_COUNT]; /* one row a stack */
    size_t value_cap;
    struct sy_spread *spreads; /* one row a stack */
    size_t spread_cap;
    struct sy_intern binary_keys; /* path_id, build_id_id, home: the same numbers as binaries */
    struct sy_binary *binaries;   /* SY_BINARY_NONE and SY_BINARY_ANON come first */
    size_t binary_cap;
    uint32_t binary_count;
    uint32_t empty_id; /* the text "" */
};

/* A dump while it is being read. */
struct sy_load {
    struct sy_profile *profile;
    const struct sy_notes *notes;
    const char *path;
    double sign;        /* 1 adds, -1 subtracts */
    bool is_one_thread; /* only thread_uid's share */
    uint64_t thread_uid;
    bool is_thread_found;        /* that thread_uid was in the dump */
    double interval_bytes;       /* mean bytes between samples; up to 1: the values are exact */
    struct sy_mapping *mappings; /* sorted by start once sy_load_seal_maps has run */
    size_t mapping_cap;
    uint32_t mapping_count;
    bool has_main;
};

SY_NODISCARD bool sy_profile_init(struct sy_profile *profile, struct sy_error *err);
void sy_profile_fini(struct sy_profile *profile);

/* No thread in particular. */
#define SY_THREAD_ALL UINT64_MAX

/* Reads a dump of any known format and adds it, or subtracts it with sign -1. Of one thread, its
 * share alone: false if the dump has no such thread.
 */
SY_NODISCARD bool sy_profile_load_thread(struct sy_profile *profile, const char *path, double sign,
                                         uint64_t thread_uid, const struct sy_notes *notes,
                                         struct sy_error *err);

/* The same for all threads. */
SY_NODISCARD bool sy_profile_load(struct sy_profile *profile, const char *path, double sign,
                                  const struct sy_notes *notes, struct sy_error *err);

/* Whether these bytes begin like a dump rather than like a program. Reads no more than 16. */
bool sy_profile_is_dump_start(const char *data, size_t data_bytes);

/* Sets all values to 0; the stacks and places stay known. */
void sy_profile_clear_values(struct sy_profile *profile);

const struct sy_location *sy_profile_location(const struct sy_profile *profile, uint32_t id);
const char *sy_profile_text(const struct sy_profile *profile, uint32_t id);

/* For the format readers only. */

/* Adds a mapping; `path` may be empty, and may end in " (deleted)". `is_program` says that it
 * holds code: the first such file of a dump is its main program.
 */
SY_NODISCARD bool sy_load_map(struct sy_load *load, const struct sy_mapping *where,
                              const char *path, const char *build_id, bool is_program,
                              struct sy_error *err);

/* Sorts the mappings, so that addresses can be located, and notes which are code. */
SY_NODISCARD bool sy_load_seal_maps(struct sy_load *load, struct sy_error *err);

/* The binary of a path: known, or new. SY_NONE without memory. */
SY_NODISCARD uint32_t sy_load_binary(struct sy_load *load, const char *path, const char *build_id);

/* The location of an address by this dump's own map. SY_NONE without memory. */
SY_NODISCARD uint32_t sy_load_locate(struct sy_load *load, uint64_t addr, uint32_t given_id);

/* Adds one stack's values, estimates by now, and what interval_bytes says of their spread. */
SY_NODISCARD bool sy_load_add(struct sy_load *load, const uint32_t *location_ids,
                              size_t location_count, const double values[SY_VALUE_COUNT],
                              struct sy_error *err);

#endif
