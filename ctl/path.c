/* SPDX-License-Identifier: BSD-2-Clause
 *
 * path — walks the table row by row: some hundred short comparisons, a few microseconds.
 * Programs that poll translate a name once and call by MIB.
 */
#include "ctl/path.h"

#include "alloc/options.h"
#include "ctl/nodes.h"

#include <errno.h>
#include <string.h>

/* The opt.* rows follow the table: row ct_node_count + k is option k's. */
static size_t row_count(void) {
    return ct_node_count + al_option_count;
}

struct component {
    const char *at;
    size_t len_bytes;
};

/* Component `depth` of a row; len_bytes 0: it has none. Option rows read "opt.<key>". */
static struct component row_component(size_t row, size_t depth) {
    AL_ASSERT(row < row_count());
    const char *at = row < ct_node_count ? ct_nodes[row].path : "opt";

    if (row >= ct_node_count && depth == 1) {
        at = al_option_rows[row - ct_node_count].key;
        depth = 0;
    }
    for (; depth > 0 && *at != '\0'; depth--) {
        at += strcspn(at, ".");
        at += *at == '.';
    }
    return (struct component){at, strcspn(at, ".")};
}

static bool row_exists(size_t row) {
    AL_ASSERT(row < row_count());
    return row < ct_node_count || al_option_rows[row - ct_node_count].is_node;
}

static bool is_index(struct component component) {
    return component.len_bytes == 3 && memcmp(component.at, "<i>", 3) == 0;
}

static bool is_equal(struct component a, struct component b) {
    return a.len_bytes == b.len_bytes && memcmp(a.at, b.at, a.len_bytes) == 0;
}

/* Whether two rows agree in their first `depth` components. */
static bool is_same_prefix(size_t row, size_t other, size_t depth) {
    AL_ASSERT(depth <= CT_MIB_MAX);
    for (size_t at = 0; at < depth; at++) {
        if (!is_equal(row_component(row, at), row_component(other, at))) {
            return false;
        }
    }
    return true;
}

static size_t first_with_prefix(size_t row, size_t depth) {
    AL_ASSERT(row < row_count() && depth <= CT_MIB_MAX);
    size_t first = row;

    for (size_t other = row; other-- > 0;) {
        if (row_exists(other) && is_same_prefix(row, other, depth)) {
            first = other;
        }
    }
    return first;
}

/* As strtoul reads: blanks, a sign, digits, then anything. False: no digit, or too large. */
static bool parse_index(struct component text, size_t *value) {
    AL_ASSERT(value != NULL);
    size_t at = 0;
    bool has_digit = false;

    while (at < text.len_bytes && memchr(" \t\n\v\f\r", text.at[at], 6) != NULL) {
        at++;
    }
    const bool is_negative = at < text.len_bytes && text.at[at] == '-';
    at += at < text.len_bytes && (text.at[at] == '-' || text.at[at] == '+');
    *value = 0;
    for (; at < text.len_bytes && text.at[at] >= '0' && text.at[at] <= '9'; at++) {
        if (__builtin_mul_overflow(*value, (size_t)10, value) ||
            __builtin_add_overflow(*value, (size_t)(text.at[at] - '0'), value)) {
            return false;
        }
        has_digit = true;
    }
    *value = is_negative ? 0 - *value : *value;
    return has_digit;
}

/* Matches the whole name against the beginning of a row; fills the indexes it has. */
static bool match_row(size_t row, const char *name, size_t mib[CT_MIB_MAX], size_t *depth) {
    AL_ASSERT(name != NULL);
    *depth = 0;
    for (const char *at = name;; at++) {
        const struct component want = {at, strcspn(at, ".")};
        const struct component have = row_component(row, *depth);
        if (want.len_bytes == 0 || have.len_bytes == 0 || *depth == CT_MIB_MAX) {
            return false;
        }
        if (is_index(have) ? !parse_index(want, &mib[*depth]) : !is_equal(want, have)) {
            return false;
        }
        (*depth)++;
        at += want.len_bytes;
        if (*at == '\0') {
            return true;
        }
    }
}

int ct_path_to_mib(const char *name, size_t *mib, size_t *mib_count) {
    AL_ASSERT(name != NULL && mib != NULL && mib_count != NULL);
    size_t found[CT_MIB_MAX];
    size_t depth = 0;

    for (size_t row = 0; row < row_count(); row++) {
        if (!row_exists(row) || !match_row(row, name, found, &depth)) {
            continue;
        }
        for (size_t at = 0; at < depth; at++) {
            if (!is_index(row_component(row, at))) {
                found[at] = first_with_prefix(row, at + 1);
            } else if (!ct_index_is_valid(row_component(row, 0).at, found[at])) {
                return ENOENT;
            }
        }
        depth = depth < *mib_count ? depth : *mib_count;
        memcpy(mib, found, depth * sizeof(*mib));
        *mib_count = depth;
        return 0;
    }
    return ENOENT;
}

int ct_path_find(const size_t *mib, size_t mib_count, struct ct_args *args,
                 const struct ct_node **node, struct ct_node *made) {
    if (mib_count == 0 || mib_count > CT_MIB_MAX || mib[mib_count - 1] >= row_count()) {
        return ENOENT;
    }
    const size_t row = mib[mib_count - 1];
    if (!row_exists(row) || row_component(row, mib_count - 1).len_bytes == 0 ||
        row_component(row, mib_count).len_bytes != 0) {
        return ENOENT;
    }
    memset(args, 0, sizeof(*args));
    for (size_t at = 0; at < mib_count; at++) {
        const bool is_right = is_index(row_component(row, at))
                                  ? ct_index_is_valid(row_component(row, 0).at, mib[at])
                                  : mib[at] == first_with_prefix(row, at + 1);
        if (!is_right) {
            return ENOENT;
        }
        args->mib[at] = mib[at];
    }
    args->mib_count = mib_count;
    if (row < ct_node_count) {
        *node = &ct_nodes[row];
    } else {
        args->option = &al_option_rows[row - ct_node_count];
        *made = ct_option_node(args->option);
        *node = made;
    }
    args->path = (*node)->path;
    return 0;
}
