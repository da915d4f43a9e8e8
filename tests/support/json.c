/* SPDX-License-Identifier: BSD-2-Clause
 *
 * json — a recursive reader of what malloc_stats_print can write: no escapes but \" and \\.
 */
#include "tests/support/json.h"

#include <stdlib.h>
#include <string.h>

static const char *skip_blanks(const char *at) {
    return at + strspn(at, " \t\r\n");
}

/* Each returns what follows, NULL if there is no such thing at `at`. */
static const char *skip_value(const char *at);

static const char *skip_string(const char *at) {
    if (*at++ != '"') {
        return NULL;
    }
    while (*at != '"') {
        if (*at == '\0' || (unsigned char)*at < ' ') {
            return NULL;
        }
        at += *at == '\\' ? 2 : 1;
    }
    return at + 1;
}

static const char *skip_member(const char *at, bool is_object) {
    if (is_object) {
        at = skip_string(skip_blanks(at));
        at = at != NULL ? skip_blanks(at) : NULL;
        if (at == NULL || *at++ != ':') {
            return NULL;
        }
    }
    at = skip_value(skip_blanks(at));
    return at != NULL ? skip_blanks(at) : NULL;
}

static const char *skip_group(const char *at) {
    const bool is_object = *at == '{';
    const char last = is_object ? '}' : ']';

    at = skip_blanks(at + 1);
    if (*at == last) {
        return at + 1;
    }
    for (;; at++) { /* each turn goes on in the text */
        at = skip_member(at, is_object);
        if (at == NULL || (*at != ',' && *at != last)) {
            return NULL;
        }
        if (*at == last) {
            return at + 1;
        }
    }
}

static const char *skip_value(const char *at) {
    static const char *const words[] = {"true", "false", "null"};
    char *end = NULL;

    if (*at == '{' || *at == '[') {
        return skip_group(at);
    }
    if (*at == '"') {
        return skip_string(at);
    }
    for (size_t idx = 0; idx < sizeof(words) / sizeof(words[0]); idx++) {
        if (strncmp(at, words[idx], strlen(words[idx])) == 0) {
            return at + strlen(words[idx]);
        }
    }
    (void)strtod(at, &end);
    return end != at ? end : NULL;
}

bool json_is_valid(const char *text) {
    const char *const end = skip_value(skip_blanks(text));

    return end != NULL && *skip_blanks(end) == '\0';
}

/* The member of a group with this key, or with this number. */
static const char *member(const char *at, const char *key, size_t key_bytes) {
    const bool is_object = *at == '{';
    unsigned long number = is_object ? 0 : strtoul(key, NULL, 10);

    for (at = skip_blanks(at + 1); *at != '}' && *at != ']'; at++) {
        at = skip_blanks(at);
        const char *const value = is_object ? skip_blanks(skip_blanks(skip_string(at)) + 1) : at;
        if (is_object ? strncmp(at + 1, key, key_bytes) == 0 && at[1 + key_bytes] == '"'
                      : number-- == 0) {
            return value;
        }
        at = skip_blanks(skip_value(value));
        if (*at != ',') {
            return NULL;
        }
    }
    return NULL;
}

const char *json_find(const char *text, const char *path) {
    const char *at = skip_blanks(text);

    while (at != NULL && *path != '\0') {
        const size_t key_bytes = strcspn(path, "/");
        at = *at == '{' || *at == '[' ? member(at, path, key_bytes) : NULL;
        path += key_bytes + (path[key_bytes] == '/');
    }
    return at;
}
