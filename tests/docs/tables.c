/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tables options|mallctl — writes docs/OPTIONS.md or docs/MALLCTL.md from the tables that the
 * library itself obeys; ./dev fix remakes them, tables_test.sh compares.
 */
#include "alloc/options.h"
#include "ctl/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* In a cell of a table a bar would end it. */
static void put_cell(const char *text) {
    for (; *text != '\0'; text++) {
        fputs(*text == '|' ? "\\|" : (const char[]){*text, '\0'}, stdout);
    }
}

static void put_signed(int64_t value) {
    if (value == INT64_MAX) {
        fputs("2^63 - 1", stdout);
    } else {
        printf("%" PRId64, value);
    }
}

static void put_unsigned(uint64_t value) {
    if (value == UINT64_MAX) {
        fputs("2^64 - 1", stdout);
    } else if (value == UINT32_MAX) {
        fputs("2^32 - 1", stdout);
    } else {
        printf("%" PRIu64, value);
    }
}

static void put_words(const char *words) {
    for (const char *word = words; *word != '\0'; word += strlen(word) + 1) {
        printf("%s`%s`", word == words ? "" : ", ", word);
    }
}

static void put_values(const struct al_option_row *row) {
    static const char *const texts[] = {"any text", "list `lo-hi:n\\|…`", "decimal number",
                                        "letters"};

    switch (row->type) {
    case AL_OPTION_TYPE_BOOL:
        fputs("`true`, `false`", stdout);
        break;
    case AL_OPTION_TYPE_WORD:
        put_words(row->words);
        break;
    case AL_OPTION_TYPE_TEXT:
        fputs(texts[row->check], stdout);
        break;
    case AL_OPTION_TYPE_SSIZE:
    case AL_OPTION_TYPE_I64:
        put_signed(row->min);
        fputs(" to ", stdout);
        put_signed(row->max_signed);
        break;
    case AL_OPTION_TYPE_U32:
    case AL_OPTION_TYPE_SIZE:
    case AL_OPTION_TYPE_U64:
        put_unsigned(row->min_unsigned);
        fputs(" to ", stdout);
        put_unsigned(row->max_unsigned);
        break;
    }
    fputs(row->is_clipped ? "; brought into range" : "", stdout);
}

static void put_default(const struct al_option_row *row) {
    const void *const field = (const char *)&al_options + row->offset_bytes;

    switch (row->type) {
    case AL_OPTION_TYPE_BOOL:
        /* Two keys have the build's own: the page is of the release, whoever makes it. */
        if (strcmp(row->key, "abort") == 0 || strcmp(row->key, "abort_conf") == 0) {
            fputs("`false`; `true` in debug builds", stdout);
        } else {
            printf("`%s`", *(const bool *)field ? "true" : "false");
        }
        break;
    case AL_OPTION_TYPE_WORD:
        printf("`%s`", al_option_word(row, *(const uint32_t *)field));
        break;
    case AL_OPTION_TYPE_TEXT:
        printf("\"%s\"", *(const char *const *)field);
        break;
    case AL_OPTION_TYPE_SSIZE:
    case AL_OPTION_TYPE_I64:
        put_signed(*(const int64_t *)field);
        break;
    case AL_OPTION_TYPE_U32:
        put_unsigned(*(const uint32_t *)field);
        break;
    case AL_OPTION_TYPE_SIZE:
    case AL_OPTION_TYPE_U64:
        put_unsigned(*(const uint64_t *)field);
        break;
    }
}

static void put_option_rows(bool is_effective) {
    fputs("\n| key | values | default | |\n|---|---|---|---|\n", stdout);
    for (size_t idx = 0; idx < al_option_count; idx++) {
        const struct al_option_row *const row = &al_option_rows[idx];
        if (row->is_effective != is_effective) {
            continue;
        }
        printf("| `%s` | ", row->key);
        put_values(row);
        fputs(" | ", stdout);
        put_default(row);
        fputs(" | ", stdout);
        put_cell(row->help);
        fputs(" |\n", stdout);
    }
}

static void put_options(void) {
    al_options_reset();
    fputs(
        "# Options\n\n"
        "Made from `alloc/options.def` by `./dev fix`; do not edit.\n\n"
        "Sources, later ones win: the program's `malloc_conf`, the link text of `/etc/malloc.conf`,\n"
        "the environment variable `MALLOC_CONF` (not in set-user-id programs), the program's\n"
        "`malloc_conf_2_conf_harder`. Each is `key:value,key:value`; numbers are decimal, `0x…` or "
        "`0…`.\n\n"
        "## What acts\n",
        stdout);
    put_option_rows(true);
    fputs("\n## What is accepted and has no effect\n\n"
          "Keys of jemalloc 5.3 for machinery that Tally does not have, or not yet. With\n"
          "`confirm_conf:true` each is named as such when it is given.\n",
          stdout);
    put_option_rows(false);
}

static const char *type_name(enum ct_type type) {
    static const char *const names[] = {
        [CT_NONE] = "call",           [CT_BOOL] = "`bool`",     [CT_U32] = "`unsigned`",
        [CT_SIZE] = "`size_t`",       [CT_SSIZE] = "`ssize_t`", [CT_U64] = "`uint64_t`",
        [CT_TEXT] = "`const char *`", [CT_POINTER] = "pointer", [CT_RAW] = "its own"};

    return names[type];
}

static const char *access_name(const struct ct_node *node) {
    if ((node->access & CT_CALL) != 0) {
        return "call";
    }
    return (node->access & CT_RW) == CT_RW ? "rw" : (node->access & CT_R) != 0 ? "r" : "w";
}

static void put_mallctl(void) {
    fputs(
        "# mallctl\n\n"
        "Made from `ctl/nodes_*.c` by `./dev fix`; do not edit.\n\n"
        "`int mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen)`\n"
        "returns 0 or an errno value: ENOENT no such name; EPERM a write to a row that is read only,\n"
        "a read of one that is written only; EINVAL a length that is not the type's. `opt.KEY` reads\n"
        "the options of [OPTIONS.md](OPTIONS.md). Any thread may call; calls wait for each other.\n"
        "`stats.*` are those of the last write to `epoch`.\n\n"
        "Other than in jemalloc, `prof.*` may be used in a process that was started without\n"
        "`prof:true`; numbers of machinery that Tally does not have are zero, and their rows say so\n"
        "([JEMALLOC.md](JEMALLOC.md)). `<i>` is an arena, or the class of `arenas.*`; arena 4096 stands\n"
        "for all of them, 4097 for the destroyed ones; `<j>` is a class, or a bucket of free runs by\n"
        "length.\n\n"
        "| name | type | access | |\n|---|---|---|---|\n",
        stdout);
    for (size_t idx = 0; idx < ct_node_count(); idx++) {
        const struct ct_node *const node = ct_node_at(idx);
        printf("| `%s` | %s | %s | ", node->path, type_name(node->type), access_name(node));
        put_cell(node->help);
        fputs(" |\n", stdout);
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "options") == 0) {
        put_options();
    } else if (argc == 2 && strcmp(argv[1], "mallctl") == 0) {
        put_mallctl();
    } else {
        fputs("usage: tables options|mallctl\n", stderr);
        return 2;
    }
    return 0;
}
