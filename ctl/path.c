/* SPDX-License-Identifier: BSD-2-Clause
 *
 * path — walks the table row by row: some hundred short comparisons, a few microseconds.
 * Programs that poll translate a name once and call by MIB, which looks at two rows a component:
 * rows that share a beginning are neighbours, since the tables are sorted and '.' sorts before all
 * else that names are made of.
 */
#include "ctl/path.h"

#include "alloc/options.h"
#include "ctl/nodes.h"

#include <errno.h>
#include <string.h>

/* The opt.* rows follow the table: row ct_node_count() + k is option k's. */
static size_t row_count(void) {
    return ct_node_count() + al_option_count;
}

/* The option of a row; NULL: it is of the table. */
static const struct al_option_row *row_option(size_t row) {
    AL_ASSERT(row < row_count());
    const size_t node_count = ct_node_count();

    return row < node_count ? NULL : &al_option_rows[row - node_count];
}

static bool row_exists(size_t row) {
    const struct al_option_row *const option = row_option(row);

    return option == NULL || option->is_node;
}

struct component {
    const char *at;
    size_t len_bytes;
};

/* Component `depth` of a path; len_bytes 0: it has none. */
static struct component component_of(const char *path, size_t depth) {
    AL_ASSERT(path != NULL);
    for (; depth > 0 && *path != '\0'; depth--) {
        path += strcspn(path, ".");
        path += *path == '.';
    }
    return (struct component){path, strcspn(path, ".")};
}

/* Option rows read "opt.<key>". */
static struct component row_component(size_t row, size_t depth) {
    const struct al_option_row *const option = row_option(row);

    if (option == NULL) {
        return component_of(ct_node_at(row)->path, depth);
    }
    return component_of(depth == 0 ? "opt" : option->key, depth == 0 ? 0 : depth - 1);
}

static bool is_index(struct component component) {
    return component.len_bytes == 3 && component.at[0] == '<' && component.at[2] == '>';
}

static bool is_equal(struct component a, struct component b) {
    return a.len_bytes == b.len_bytes && memcmp(a.at, b.at, a.len_bytes) == 0;
}

/* Whether two rows of the table, or two options, agree in their first `depth` components. */
static bool is_same_prefix(size_t row, size_t other, size_t depth) {
    AL_ASSERT(depth > 0 && depth <= CT_MIB_MAX);
    const bool is_option = row_option(row) != NULL;

    if (is_option != (row_option(other) != NULL)) {
        return false;
    }
    if (is_option) {
        return depth == 1 || row == other;
    }
    const char *const path = ct_node_at(row)->path;
    const struct component last = component_of(path, depth - 1);
    const size_t prefix_bytes = (size_t)(last.at - path) + last.len_bytes;
    const char *const other_path = ct_node_at(other)->path;
    return strncmp(path, other_path, prefix_bytes) == 0 &&
           (other_path[prefix_bytes] == '.' || other_path[prefix_bytes] == '\0');
}

/* The number of component depth - 1 of a row: the first that begins with the same components. */
static bool is_first_with_prefix(size_t first, size_t row, size_t depth) {
    return first <= row && is_same_prefix(row, first, depth) &&
           (first == 0 || !is_same_prefix(row, first - 1, depth));
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

/* A place in the tables: the rows from `row` on whose paths agree in their first `offset` bytes. */
struct place {
    size_t row;
    size_t offset_bytes;
};

/* Goes on to the first of the place's rows that has such a component there. False: none has. */
static bool find_component(struct place *place, struct component want, size_t *number) {
    AL_ASSERT(place != NULL && number != NULL);
    const size_t node_count = ct_node_count();
    const char *const prefix = ct_node_at(place->row)->path;

    for (size_t row = place->row; row < node_count; row++) {
        const char *const path = ct_node_at(row)->path;
        if (strncmp(path, prefix, place->offset_bytes) != 0) {
            return false;
        }
        const char *const at = path + place->offset_bytes;
        const struct component have = {at, strcspn(at, ".")};
        if (is_index(have) ? parse_index(want, number) : is_equal(want, have)) {
            *number = is_index(have) ? *number : row;
            *place = (struct place){row, place->offset_bytes + have.len_bytes};
            return true;
        }
    }
    return false;
}

/* A name of the tables, or the beginning of one. */
static int find_node(const char *name, size_t found[CT_MIB_MAX], size_t *depth) {
    AL_ASSERT(name != NULL);
    struct place place = {0, 0};

    for (*depth = 0; *depth < CT_MIB_MAX; (*depth)++) {
        const struct component want = {name, strcspn(name, ".")};
        if (want.len_bytes == 0 || !find_component(&place, want, &found[*depth])) {
            return ENOENT;
        }
        const char *const path = ct_node_at(place.row)->path;
        if (path[place.offset_bytes - 1] == '>' && !ct_index_is_valid(path, found, *depth)) {
            return ENOENT;
        }
        name += want.len_bytes;
        if (*name == '\0') {
            (*depth)++;
            return 0;
        }
        if (path[place.offset_bytes] != '.') {
            return ENOENT;
        }
        name++;
        place.offset_bytes++;
    }
    return ENOENT;
}

/* "opt", or "opt.<key>". */
static int find_option(const char *key, size_t found[CT_MIB_MAX], size_t *depth) {
    AL_ASSERT(depth != NULL);
    size_t option = 0;

    found[0] = ct_node_count();
    *depth = 1;
    if (key == NULL) {
        return 0;
    }
    while (option < al_option_count &&
           (!al_option_rows[option].is_node || strcmp(al_option_rows[option].key, key) != 0)) {
        option++;
    }
    found[1] = ct_node_count() + option;
    *depth = 2;
    return option < al_option_count ? 0 : ENOENT;
}

int ct_path_to_mib(const char *name, size_t *mib, size_t *mib_count) {
    AL_ASSERT(name != NULL && mib != NULL && mib_count != NULL);
    size_t found[CT_MIB_MAX];
    size_t depth = 0;
    const bool is_option = strncmp(name, "opt", 3) == 0 && (name[3] == '.' || name[3] == '\0') &&
                           strncmp(name, "opt.malloc_conf", 15) != 0;
    const int err = is_option ? find_option(name[3] == '.' ? name + 4 : NULL, found, &depth)
                              : find_node(name, found, &depth);

    if (err != 0) {
        return err;
    }
    depth = depth < *mib_count ? depth : *mib_count;
    memcpy(mib, found, depth * sizeof(*mib));
    *mib_count = depth;
    return 0;
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
                                  ? ct_index_is_valid(ct_node_at(row)->path, mib, at)
                                  : is_first_with_prefix(mib[at], row, at + 1);
        if (!is_right) {
            return ENOENT;
        }
        args->mib[at] = mib[at];
    }
    args->mib_count = mib_count;
    args->option = row_option(row);
    if (args->option == NULL) {
        *node = ct_node_at(row);
    } else {
        *made = ct_option_node(args->option);
        *node = made;
    }
    args->path = (*node)->path;
    args->offset_bytes = (*node)->offset_bytes;
    return 0;
}
