/* SPDX-License-Identifier: BSD-2-Clause
 *
 * options — the parser of "key:value,key:value", and the five places it looks at.
 *
 * It runs inside the first allocation of the process, perhaps before the C library is done
 * with its own start: no stdio, no locale, no allocation.
 */
#include "alloc/options.h"

#include "alloc/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    /* All texts of all sources together: one path and some short lists. */
    TEXT_POOL_BYTES = 3 * AL_OPTION_TEXT_BYTES,
    LINK_BYTES_MAX = 4096,
    MESSAGE_BYTES_MAX = 1024,
};

AL_WEAK const char *malloc_conf;
AL_WEAK const char *malloc_conf_2_conf_harder;

/* ---- the table ---- */

#define AL_OPTION_BOOL(key, init, effect, node, help)                      .key = (init),
#define AL_OPTION_NUM(key, type, init, min, max, clip, effect, node, help) .key = (init),
#define AL_OPTION_WORD(key, words, init, match, effect, node, help)        .key = (init),
#define AL_OPTION_TEXT(key, init, check, effect, node, help)               .key = (init),
static const struct al_options defaults = {
#include "alloc/options.def"
};
struct al_options al_options = {
#include "alloc/options.def"
};
#undef AL_OPTION_BOOL
#undef AL_OPTION_NUM
#undef AL_OPTION_WORD
#undef AL_OPTION_TEXT

#define IS_CLIP   true
#define IS_STRICT false
#define IS_ACTS   true
#define IS_INERT  false
#define IS_NODE   true
#define IS_PLAIN  false
#define IS_PREFIX true
#define IS_EXACT  false
#define AL_OPTION_BOOL(key, init, effect, node, text)                                              \
    {#key,                                                                                         \
     AL_OPTION_TYPE_BOOL,                                                                          \
     offsetof(struct al_options, key),                                                             \
     .is_effective = IS_##effect,                                                                  \
     .is_node = IS_##node,                                                                         \
     .help = (text)},
#define AL_OPTION_NUM(key, kind, init, low, high, clip, effect, node, text)                        \
    {#key,                                                                                         \
     AL_OPTION_TYPE_##kind,                                                                        \
     offsetof(struct al_options, key),                                                             \
     .is_clipped = IS_##clip,                                                                      \
     .is_effective = IS_##effect,                                                                  \
     .is_node = IS_##node,                                                                         \
     .min = (int64_t)(low),                                                                        \
     .max_signed = (int64_t)(high),                                                                \
     .min_unsigned = (uint64_t)(low),                                                              \
     .max_unsigned = (uint64_t)(high),                                                             \
     .help = (text)},
#define AL_OPTION_WORD(key, list, init, match, effect, node, text)                                 \
    {#key,                                                                                         \
     AL_OPTION_TYPE_WORD,                                                                          \
     offsetof(struct al_options, key),                                                             \
     .is_prefix = IS_##match,                                                                      \
     .is_effective = IS_##effect,                                                                  \
     .is_node = IS_##node,                                                                         \
     .words = (list),                                                                              \
     .help = (text)},
#define AL_OPTION_TEXT(key, init, kind, effect, node, text)                                        \
    {#key,                                                                                         \
     AL_OPTION_TYPE_TEXT,                                                                          \
     offsetof(struct al_options, key),                                                             \
     .is_effective = IS_##effect,                                                                  \
     .is_node = IS_##node,                                                                         \
     .check = AL_OPTION_##kind,                                                                    \
     .help = (text)},
const struct al_option_row al_option_rows[] = {
#include "alloc/options.def"
};
#undef AL_OPTION_BOOL
#undef AL_OPTION_NUM
#undef AL_OPTION_WORD
#undef AL_OPTION_TEXT

const size_t al_option_count = AL_ARRAY_COUNT(al_option_rows);

/* The texts of all sources. */
static AL_SPARSE char text_pool[TEXT_POOL_BYTES];

static struct {
    size_t used_bytes;    /* of text_pool */
    bool is_confirm_pass; /* first pass: only confirm_conf is looked for */
    bool has_error;
} parser;

/* A piece of a source: not zero-terminated. */
struct span {
    const char *at;
    size_t len_bytes;
};

static bool span_is(struct span span, const char *word) {
    return strlen(word) == span.len_bytes && memcmp(span.at, word, span.len_bytes) == 0;
}

/* ---- messages, in jemalloc's words: scripts look for them ---- */

static void report(const char *what, struct span key, struct span value) {
    char line[MESSAGE_BYTES_MAX];
    struct al_text text;

    parser.has_error = true;
    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, "<jemalloc>: ");
    al_text_str(&text, what);
    al_text_str(&text, ": ");
    al_text_bytes(&text, key.at, key.len_bytes);
    al_text_str(&text, ":");
    al_text_bytes(&text, value.at, value.len_bytes);
    al_text_str(&text, "\n");
    al_message_write(line);
}

static void report_format(const char *what, const char *conf) {
    char line[MESSAGE_BYTES_MAX];
    struct al_text text;

    parser.has_error = true;
    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, "<jemalloc>: ");
    al_text_str(&text, what);
    al_text_str(&text, " -- ");
    al_text_str(&text, conf);
    al_text_str(&text, "\n");
    al_message_write(line);
}

static void confirm(const struct al_option_row *row, struct span value) {
    char line[MESSAGE_BYTES_MAX];
    struct al_text text;

    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, "<jemalloc>: -- Set conf value: ");
    al_text_str(&text, row->key);
    al_text_str(&text, ":");
    al_text_bytes(&text, value.at, value.len_bytes);
    al_text_str(&text, row->is_effective ? "\n" : " (accepted, without effect in Tally)\n");
    al_message_write(line);
}

/* ---- values ---- */

static void *field_of(const struct al_option_row *row) {
    return (char *)&al_options + row->offset_bytes;
}

/* Decimal, 0x hex or 0 octal, with a sign. False: not a number, or beyond 64 bits. */
static bool parse_number(struct span value, bool *is_negative, uint64_t *magnitude) {
    size_t at = 0;
    unsigned base = 10;

    *is_negative = value.len_bytes > 0 && value.at[0] == '-';
    at += *is_negative || (value.len_bytes > 0 && value.at[0] == '+') ? 1 : 0;
    if (at + 1 < value.len_bytes && value.at[at] == '0') {
        const bool is_hex = value.at[at + 1] == 'x' || value.at[at + 1] == 'X';
        base = is_hex ? 16 : 8;
        at += is_hex ? 2 : 1;
    }
    if (at >= value.len_bytes) {
        return false;
    }
    *magnitude = 0;
    for (; at < value.len_bytes; at++) {
        const char c = value.at[at];
        const unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                               : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                               : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                      : 99;
        if (digit >= base || __builtin_mul_overflow(*magnitude, base, magnitude) ||
            __builtin_add_overflow(*magnitude, digit, magnitude)) {
            return false;
        }
    }
    return true;
}

static const char *set_signed(const struct al_option_row *row, bool is_negative,
                              uint64_t magnitude) {
    const bool is_low = is_negative && magnitude > (uint64_t)INT64_MAX;
    const bool is_high = !is_negative && magnitude > (uint64_t)INT64_MAX;
    int64_t number = is_low    ? INT64_MIN
                     : is_high ? INT64_MAX
                               : (is_negative ? -(int64_t)magnitude : (int64_t)magnitude);

    if (number < row->min || number > row->max_signed) {
        if (!row->is_clipped) {
            return "Out-of-range conf value";
        }
        number = number < row->min ? row->min : row->max_signed;
    }
    *(int64_t *)field_of(row) = number;
    return NULL;
}

static const char *set_unsigned(const struct al_option_row *row, bool is_negative,
                                uint64_t magnitude) {
    uint64_t number = is_negative ? 0 - magnitude : magnitude; /* as strtoumax does */
    const bool is_zero_arenas = strcmp(row->key, "narenas") == 0 && number == 0;

    if (number < row->min_unsigned || number > row->max_unsigned) {
        if (!row->is_clipped || is_zero_arenas) {
            return "Out-of-range conf value";
        }
        number = number < row->min_unsigned ? row->min_unsigned : row->max_unsigned;
    }
    if (row->type == AL_OPTION_TYPE_U32) {
        *(uint32_t *)field_of(row) = (uint32_t)number;
    } else {
        *(uint64_t *)field_of(row) = number;
    }
    return NULL;
}

static const char *set_number(const struct al_option_row *row, struct span value) {
    const bool is_signed = row->type == AL_OPTION_TYPE_SSIZE || row->type == AL_OPTION_TYPE_I64;
    bool is_negative = false;
    uint64_t magnitude = 0;

    if (strcmp(row->key, "narenas") == 0 && span_is(value, "default")) {
        al_options.narenas = 0;
        return NULL;
    }
    if (!parse_number(value, &is_negative, &magnitude)) {
        return "Invalid conf value";
    }
    return is_signed ? set_signed(row, is_negative, magnitude)
                     : set_unsigned(row, is_negative, magnitude);
}

static const char *set_word(const struct al_option_row *row, struct span value) {
    AL_ASSERT(row->words != NULL);
    uint32_t idx = 0;

    for (const char *word = row->words; *word != '\0'; word += strlen(word) + 1) {
        const size_t word_bytes = strlen(word);
        const bool is_match =
            row->is_prefix ? value.len_bytes <= word_bytes : value.len_bytes == word_bytes;
        if (is_match && memcmp(word, value.at, value.len_bytes) == 0) {
            *(uint32_t *)field_of(row) = idx;
            return NULL;
        }
        idx++;
    }
    return "Invalid conf value";
}

/* lo-hi:n joined by |; the word default is for slab_sizes. */
static bool is_list(struct span value) {
    static const char separators[] = {'-', ':', '|'};
    size_t at = 0;
    size_t field = 0;

    if (span_is(value, "default")) {
        return true;
    }
    for (;; field = (field + 1) % 3) { /* at grows each turn */
        const size_t start = at;
        while (at < value.len_bytes && value.at[at] >= '0' && value.at[at] <= '9') {
            at++;
        }
        if (at == start) {
            return false;
        }
        if (at == value.len_bytes) {
            return field == 2;
        }
        if (value.at[at++] != separators[field]) {
            return false;
        }
    }
}

static bool is_ratio(struct span value) {
    size_t digits = 0;
    size_t points = 0;

    if (span_is(value, "-1")) {
        return true;
    }
    for (size_t at = 0; at < value.len_bytes; at++) {
        digits += value.at[at] >= '0' && value.at[at] <= '9';
        points += value.at[at] == '.';
    }
    return digits > 0 && points <= 1 && digits + points == value.len_bytes;
}

static const char *set_text(const struct al_option_row *row, struct span value) {
    char *const copy = text_pool + parser.used_bytes;
    size_t len_bytes = 0;

    if ((row->check == AL_OPTION_LIST && !is_list(value)) ||
        (row->check == AL_OPTION_RATIO && !is_ratio(value))) {
        return "Invalid conf value";
    }
    if (value.len_bytes >= AL_OPTION_TEXT_BYTES ||
        value.len_bytes + 1 > TEXT_POOL_BYTES - parser.used_bytes) {
        return "Out-of-range conf value";
    }
    for (size_t at = 0; at < value.len_bytes; at++) {
        const char c = value.at[at];
        if (row->check == AL_OPTION_LETTERS &&
            (strchr("Jgmdablxeh", c) == NULL || memchr(copy, c, len_bytes) != NULL)) {
            continue; /* unknown and repeated letters are dropped */
        }
        copy[len_bytes++] = c;
    }
    copy[len_bytes] = '\0';
    parser.used_bytes += len_bytes + 1;
    *(const char **)field_of(row) = copy;
    return NULL;
}

static const char *set_value(const struct al_option_row *row, struct span value) {
    switch (row->type) {
    case AL_OPTION_TYPE_BOOL:
        if (!span_is(value, "true") && !span_is(value, "false")) {
            return "Invalid conf value";
        }
        *(bool *)field_of(row) = value.len_bytes == 4;
        return NULL;
    case AL_OPTION_TYPE_WORD:
        return set_word(row, value);
    case AL_OPTION_TYPE_TEXT:
        return set_text(row, value);
    case AL_OPTION_TYPE_U32:
    case AL_OPTION_TYPE_SIZE:
    case AL_OPTION_TYPE_SSIZE:
    case AL_OPTION_TYPE_U64:
    case AL_OPTION_TYPE_I64:
        break;
    }
    return set_number(row, value);
}

/* ---- pairs ---- */

static const struct al_option_row *find_row(struct span key) {
    for (size_t idx = 0; idx < al_option_count; idx++) {
        const struct al_option_row *const row = &al_option_rows[idx];
        if (span_is(key, row->key)) {
            return row;
        }
    }
    for (size_t idx = 0; idx < al_option_count; idx++) { /* jemalloc: dss by "d", and such */
        const struct al_option_row *const row = &al_option_rows[idx];
        if (row->is_prefix && strcmp(row->key, "thp") != 0 && key.len_bytes > 0 &&
            strncmp(row->key, key.at, key.len_bytes) == 0) {
            return row;
        }
    }
    return NULL;
}

static void apply(struct span key, struct span value) {
    if (parser.is_confirm_pass) {
        if (span_is(key, "confirm_conf")) {
            al_options.confirm_conf = span_is(value, "true");
        }
        return;
    }
    const struct al_option_row *const row = find_row(key);
    if (row == NULL) {
        report("Invalid conf pair", key, value);
        return;
    }
    const char *const what = set_value(row, value);
    if (what == NULL) {
        if (al_options.confirm_conf) {
            confirm(row, value);
        }
    } else if (strncmp(row->key, "experimental_", 13) != 0) {
        report(what, key, value);
    } else {
        const bool had_error = parser.has_error; /* never counts for abort_conf */
        report(what, key, value);
        parser.has_error = had_error;
    }
}

/* Not strspn and strcspn: their code and tables lie in 128 KiB of the C library that a short
 * process has no other use for.
 */
static struct span key_at(const char *at) {
    struct span key = {at, 0};
    char c = *at;

    while ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_') {
        c = at[++key.len_bytes];
    }
    return key;
}

static struct span value_at(const char *at) {
    struct span value = {at, 0};

    while (at[value.len_bytes] != '\0' && at[value.len_bytes] != ',') {
        value.len_bytes++;
    }
    return value;
}

static void parse(const char *conf) {
    const char *at = conf;

    while (*at != '\0') { /* each turn reads at least a character */
        const struct span key = key_at(at);
        at += key.len_bytes;
        if (*at != ':') {
            if (!parser.is_confirm_pass) {
                report_format(*at == '\0' ? "Conf string ends with key" : "Malformed conf string",
                              conf);
            }
            return;
        }
        at++;
        const struct span value = value_at(at);
        at += value.len_bytes;
        apply(key, value);
        if (*at == ',' && *++at == '\0' && !parser.is_confirm_pass) {
            report_format("Conf string ends with comma", conf);
        }
    }
}

static void abort_on_error(void) {
    if (al_options.abort_conf) {
        al_message_write(
            "<jemalloc>: Abort (abort_conf:true) on invalid conf value (see above).\n");
        abort();
    }
}

bool al_options_parse(const char *source, const char *conf) {
    parser.has_error = false;
    if (al_options.confirm_conf && !parser.is_confirm_pass) {
        char line[MESSAGE_BYTES_MAX];
        struct al_text text;
        al_text_init(&text, line, sizeof(line));
        al_text_str(&text, "<jemalloc>: malloc_conf ");
        al_text_str(&text, source);
        al_text_str(&text, ": \"");
        al_text_str(&text, conf != NULL ? conf : "");
        al_text_str(&text, "\"\n");
        al_message_write(line);
    }
    if (conf != NULL) {
        parse(conf);
    }
    if (parser.has_error) {
        abort_on_error();
    }
    return !parser.has_error;
}

void al_options_reset(void) {
    al_options = defaults;
    parser.used_bytes = 0;
}

/* The text of the link /etc/malloc.conf; NULL: there is none. */
static const char *link_text(void) {
    static AL_SPARSE char buf[LINK_BYTES_MAX];
    const int saved_errno = errno;
    /* Not by readlink(): it lies in 64 KiB of the C library that a short process has no other use
     * for.
     */
    const long len_bytes =
        syscall(SYS_readlinkat, AT_FDCWD, "/etc/malloc.conf", buf, (size_t)(LINK_BYTES_MAX - 1));

    errno = saved_errno;
    if (len_bytes < 0) {
        return NULL;
    }
    buf[len_bytes] = '\0';
    return buf;
}

const char *al_option_source_texts[AL_OPTION_SOURCE_COUNT];

void al_options_read(void) {
    const struct {
        const char *name;
        const char *conf;
    } sources[] = {
        {"#1 (string compiled into the library)", ""},
        {"#2 (global variable malloc_conf)", malloc_conf},
        {"#3 (name of the file referenced by the symbolic link /etc/malloc.conf)", link_text()},
        {"#4 (value of the environment variable MALLOC_CONF)", secure_getenv("MALLOC_CONF")},
        {"#5 (global variable malloc_conf_2_conf_harder)", malloc_conf_2_conf_harder},
    };

    for (size_t idx = 0; idx < AL_OPTION_SOURCE_COUNT; idx++) {
        al_option_source_texts[idx] = sources[idx + 1].conf;
    }
    parser.is_confirm_pass = true; /* confirm_conf may stand anywhere */
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(sources); idx++) {
        (void)al_options_parse(sources[idx].name, sources[idx].conf);
    }
    parser.is_confirm_pass = false;
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(sources); idx++) {
        (void)al_options_parse(sources[idx].name, sources[idx].conf);
    }
    if (al_options.prof_leak) {
        al_options.prof = true;
        al_options.prof_gdump = false;
    }
    if (al_options.prof_leak_error && !al_options.prof_final) {
        al_message_write("<jemalloc>: prof_leak_error is set w/o prof_final.\n");
        abort_on_error();
    }
}

const char *al_option_word(const struct al_option_row *row, uint32_t idx) {
    const char *word = row->words;

    for (; idx > 0 && *word != '\0'; idx--) {
        word += strlen(word) + 1;
    }
    return word;
}
