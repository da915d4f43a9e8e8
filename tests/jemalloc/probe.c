/* SPDX-License-Identifier: BSD-2-Clause
 *
 * probe LIBRARY NAMES [walk]: what a library's mallctl answers to every name of a table, right and
 * wrong.
 *
 * Without `walk` it prints a line a question, for comparing two libraries. With it, it checks the
 * answers against the table instead, from eight threads at once, by name and by MIB, and prints
 * what is wrong.
 *
 * LIBRARY may be "-": the one that is preloaded.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 160, ROWS_MAX = 600, THREAD_COUNT = 8, MIB_MAX = 8 };

typedef int mallctl_fn(const char *, void *, size_t *, void *, size_t);
typedef int nametomib_fn(const char *, size_t *, size_t *);
typedef int bymib_fn(const size_t *, size_t, void *, size_t *, void *, size_t);

static mallctl_fn *ctl;
static nametomib_fn *name_to_mib;
static bymib_fn *by_mib;

struct row {
    char path[NAME_BYTES];
    char name[NAME_BYTES]; /* with 0 for each index */
    size_t bytes;          /* 0: a call, or a struct */
    bool is_struct, can_read, can_write;
};

static struct row rows[ROWS_MAX];
static size_t row_count;
static _Atomic int wrong_count;

/* ---- the table ---- */

static size_t bytes_of(const char *type) {
    if (strncmp(type, "bool", 4) == 0) {
        return 1;
    }
    if (strncmp(type, "void", 4) == 0 && strchr(type, '*') == NULL) {
        return 0;
    }
    return strncmp(type, "unsigned", 8) == 0 || strncmp(type, "uint32_t", 8) == 0 ? 4 : 8;
}

/* What creates, or takes structs or two values at once, has rules of its own. */
static bool has_own_rules(const char *path, const char *type) {
    static const char *const own[] = {"tcache.create",
                                      "arenas.create",
                                      "arenas.lookup",
                                      "arena.<i>.name",
                                      "thread.tcache.ncached_max.read_sizeclass",
                                      "thread.prof.name"};

    for (size_t idx = 0; idx < sizeof(own) / sizeof(own[0]); idx++) {
        if (strcmp(own[idx], path) == 0) {
            return true;
        }
    }
    return strncmp(path, "experimental.", 13) == 0 || strncmp(type, "struct", 6) == 0;
}

static void add_row(char *line) {
    struct row *const row = &rows[row_count++];
    const char *const path = strtok(line, "\t\n");
    const char *const type = strtok(NULL, "\t\n");
    const char *const access = strtok(NULL, "\t\n");
    char *to = row->name;

    snprintf(row->path, sizeof(row->path), "%s", path);
    for (const char *from = path; *from != '\0'; from++) {
        const bool is_index = from[0] == '<' && from[2] == '>';
        *to++ = is_index ? '0' : *from;
        from += is_index ? 2 : 0;
    }
    *to = '\0';
    row->bytes = bytes_of(type);
    row->is_struct = has_own_rules(path, type);
    row->can_read = access[0] == 'r';
    row->can_write = strchr(access, 'w') != NULL && strncmp(access, "--", 2) != 0;
}

static void read_rows(const char *file_name) {
    char line[1024];
    FILE *const file = fopen(file_name, "r");

    if (file == NULL) {
        perror(file_name);
        exit(2);
    }
    while (fgets(line, sizeof(line), file) != NULL && row_count < ROWS_MAX) {
        if (line[0] != '#' && line[0] != '\n') {
            add_row(line);
        }
    }
    (void)fclose(file);
}

/* ---- printing, for comparison ---- */

static const char *error_name(int err) {
    return err == 0 ? "ok" : strerrorname_np(err);
}

static void print_answers(const struct row *row) {
    char old_value[512];
    char new_value[512] = {0};
    size_t mib[MIB_MAX];
    size_t mib_count = MIB_MAX;
    const int mib_err = name_to_mib(row->name, mib, &mib_count);

    printf("%s\tmib\t%s %zu\n", row->path, error_name(mib_err), mib_err == 0 ? mib_count : 0);
    if (row->is_struct || mib_err != 0) {
        return;
    }
    if (row->can_read) {
        for (size_t bytes = row->bytes - 1; bytes <= row->bytes + 1; bytes++) {
            size_t got_bytes = bytes;
            const int err = ctl(row->name, old_value, &got_bytes, NULL, 0);
            printf("%s\tread %+d\t%s %zu\n", row->path, (int)(bytes - row->bytes), error_name(err),
                   got_bytes);
        }
        printf("%s\tread nothing\t%s\n", row->path,
               error_name(ctl(row->name, NULL, NULL, NULL, 0)));
    } else {
        size_t got_bytes = 8;
        printf("%s\tread\t%s\n", row->path,
               error_name(ctl(row->name, old_value, &got_bytes, NULL, 0)));
    }
    printf("%s\twrite +1\t%s\n", row->path,
           error_name(ctl(row->name, NULL, NULL, new_value, row->bytes + 1)));
    if (row->can_read && row->can_write) {
        size_t got_bytes = row->bytes;
        const int read_err = ctl(row->name, new_value, &got_bytes, NULL, 0);
        if (read_err == 0) {
            printf("%s\twrite back\t%s\n", row->path,
                   error_name(ctl(row->name, NULL, NULL, new_value, row->bytes)));
        }
    }
}

/* ---- checking ---- */

static void expect(const struct row *row, const char *what, int err, int wanted) {
    if (err != wanted) {
        printf("%s: %s: %s, not %s\n", row->name, what, error_name(err), error_name(wanted));
        wrong_count++;
    }
}

static void expect_bytes(const struct row *row, const char *what, size_t bytes, size_t wanted) {
    if (bytes != wanted) {
        printf("%s: %s: %zu bytes, not %zu\n", row->name, what, bytes, wanted);
        wrong_count++;
    }
}

static void check_read(const struct row *row, const size_t *mib, size_t mib_count) {
    char value[16];

    for (size_t bytes = row->bytes - 1; bytes <= row->bytes + 1; bytes++) {
        const int wanted = bytes == row->bytes ? 0 : EINVAL;
        const size_t wanted_bytes = bytes < row->bytes ? bytes : row->bytes;
        size_t got_bytes = bytes;
        expect(row, "read by name", ctl(row->name, value, &got_bytes, NULL, 0), wanted);
        expect_bytes(row, "read by name", got_bytes, wanted_bytes);
        got_bytes = bytes;
        expect(row, "read by mib", by_mib(mib, mib_count, value, &got_bytes, NULL, 0), wanted);
        expect_bytes(row, "read by mib", got_bytes, wanted_bytes);
    }
    expect(row, "read without a place", ctl(row->name, NULL, NULL, NULL, 0), 0);
}

static void check_write(const struct row *row, const size_t *mib, size_t mib_count) {
    char value[16] = {0};

    for (size_t bytes = row->bytes > 1 ? row->bytes - 1 : 2; bytes <= row->bytes + 1; bytes += 2) {
        const int wanted = row->can_write ? EINVAL : EPERM;
        expect(row, "write by name", ctl(row->name, NULL, NULL, value, bytes), wanted);
        expect(row, "write by mib", by_mib(mib, mib_count, NULL, NULL, value, bytes), wanted);
    }
    if (row->can_read && row->can_write) {
        size_t got_bytes = row->bytes;
        expect(row, "read to write", ctl(row->name, value, &got_bytes, NULL, 0), 0);
        expect(row, "write back", by_mib(mib, mib_count, NULL, NULL, value, row->bytes), 0);
    }
}

static void check_row(const struct row *row) {
    size_t mib[MIB_MAX];
    size_t mib_count = MIB_MAX;
    char value[16] = {0};
    size_t value_bytes = 8;
    /* Statistics that no option can switch on here: no index is one. */
    const bool is_refused = strncmp(row->path, "prof.stats.", 11) == 0;

    expect(row, "mib", name_to_mib(row->name, mib, &mib_count), is_refused ? ENOENT : 0);
    if (row->is_struct || is_refused) {
        return;
    }
    if (row->bytes == 0) {
        const bool is_careless = strcmp(row->name, "stats.mutexes.reset") == 0 ||
                                 strcmp(row->name, "prof.log_stop") == 0;
        if (!is_careless) {
            expect(row, "call with a value", ctl(row->name, NULL, NULL, value, 1), EPERM);
            expect(row, "call with a place", ctl(row->name, value, &value_bytes, NULL, 0), EPERM);
        }
        return;
    }
    if (row->can_read) {
        check_read(row, mib, mib_count);
    } else {
        expect(row, "read", ctl(row->name, value, &value_bytes, NULL, 0), EPERM);
    }
    check_write(row, mib, mib_count);
}

static void *walk(void *arg) {
    for (int round = 0; round < 10; round++) {
        for (size_t idx = 0; idx < row_count; idx++) {
            check_row(&rows[idx]);
        }
    }
    return arg;
}

static int walk_at_once(void) {
    pthread_t threads[THREAD_COUNT];

    for (size_t idx = 0; idx < THREAD_COUNT; idx++) {
        if (pthread_create(&threads[idx], NULL, walk, NULL) != 0) {
            return 2;
        }
    }
    for (size_t idx = 0; idx < THREAD_COUNT; idx++) {
        (void)pthread_join(threads[idx], NULL);
    }
    printf("%zu names, %d wrong\n", row_count, wrong_count);
    return wrong_count == 0 && row_count > 400 ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fputs("usage: probe LIBRARY NAMES [walk]\n", stderr);
        return 2;
    }
    /* Preloaded: some libraries' thread-local data has no room later. */
    void *const library = strcmp(argv[1], "-") == 0 ? RTLD_DEFAULT : dlopen(argv[1], RTLD_NOW);
    if (library == NULL && strcmp(argv[1], "-") != 0) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    *(void **)&ctl = dlsym(library, "mallctl");
    *(void **)&name_to_mib = dlsym(library, "mallctlnametomib");
    *(void **)&by_mib = dlsym(library, "mallctlbymib");
    if (ctl == NULL || name_to_mib == NULL || by_mib == NULL) {
        fprintf(stderr, "%s: no mallctl\n", argv[1]);
        return 2;
    }
    read_rows(argv[2]);
    if (argc > 3) {
        return walk_at_once();
    }
    for (size_t idx = 0; idx < row_count; idx++) {
        print_answers(&rows[idx]);
    }
    return 0;
}
