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
 * Everything about an option is its row in options.def.
 */
#ifndef AL_OPTIONS_H
#define AL_OPTIONS_H

#include "alloc/base.h"

#include <sys/types.h>

/* Longest text an option holds, with its zero byte: a path (PATH_MAX). */
enum { AL_OPTION_TEXT_BYTES = 4096, AL_OPTION_SHORT_TEXT_BYTES = 64 };

/* Values of the word option zero_realloc, in the order of its row. */
enum { AL_ZERO_REALLOC_ALLOC, AL_ZERO_REALLOC_FREE, AL_ZERO_REALLOC_ABORT };

/* C types of the numeric rows. */
typedef uint32_t al_option_U32;
typedef size_t al_option_SIZE;
typedef ssize_t al_option_SSIZE;
typedef uint64_t al_option_U64;
typedef int64_t al_option_I64;

#define AL_OPTION_BOOL(key, init, effect, node, help)                      bool key;
#define AL_OPTION_NUM(key, type, init, min, max, clip, effect, node, help) al_option_##type key;
#define AL_OPTION_WORD(key, words, init, match, effect, node, help)        uint32_t key;
#define AL_OPTION_TEXT(key, init, check, effect, node, help)               const char *key;
struct al_options {
#include "alloc/options.def"
};
#undef AL_OPTION_BOOL
#undef AL_OPTION_NUM
#undef AL_OPTION_WORD
#undef AL_OPTION_TEXT

extern AL_HIDDEN struct al_options al_options;

enum al_option_type {
    AL_OPTION_TYPE_BOOL,
    AL_OPTION_TYPE_U32,
    AL_OPTION_TYPE_SIZE,
    AL_OPTION_TYPE_SSIZE,
    AL_OPTION_TYPE_U64,
    AL_OPTION_TYPE_I64,
    AL_OPTION_TYPE_WORD, /* uint32_t: index into words */
    AL_OPTION_TYPE_TEXT, /* const char *, never NULL */
};

enum al_option_check { AL_OPTION_ANY, AL_OPTION_LIST, AL_OPTION_RATIO, AL_OPTION_LETTERS };

/* A row as data, for the parser, the opt.* nodes, the docs and the tests. */
struct al_option_row {
    const char *key;
    enum al_option_type type;
    uint32_t offset_bytes; /* of the field in struct al_options */
    bool is_clipped;       /* out-of-range numbers are brought into range */
    bool is_prefix;        /* key and words match by prefix */
    bool is_effective;
    bool is_node;               /* opt.<key> exists */
    enum al_option_check check; /* of texts */
    int64_t min;                /* of signed types */
    int64_t max_signed;
    uint64_t min_unsigned;
    uint64_t max_unsigned;
    const char *words; /* of words: "a\0b\0c\0" */
    const char *help;
};

extern const struct al_option_row al_option_rows[];
extern const size_t al_option_count;

/* Reads all sources into al_options. Never allocates. */
void al_options_read(void);

/* What the sources said, in the order they are read: NULL, there is no such. */
enum al_option_source {
    AL_OPTION_SOURCE_GLOBAL,
    AL_OPTION_SOURCE_LINK,
    AL_OPTION_SOURCE_ENV,
    AL_OPTION_SOURCE_GLOBAL_2,
    AL_OPTION_SOURCE_COUNT,
};
extern AL_HIDDEN const char *al_option_source_texts[AL_OPTION_SOURCE_COUNT];

/* Applies one string of pairs, reporting as `source` (tests; and each source in turn). Returns
 * whether every pair was valid.
 */
bool al_options_parse(const char *source, const char *conf);
void al_options_reset(void);

/* The word of a word option's value: a constant. */
const char *al_option_word(const struct al_option_row *row, uint32_t idx);

/* Public variables of jemalloc's interface; both NULL unless the program defines them. */
AL_EXPORT extern const char *malloc_conf;
AL_EXPORT extern const char *malloc_conf_2_conf_harder;

#endif
