/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rows — all rows are read before any is written: q-values depend on all of them.
 */
#include "tools/jeprof/rows.h"

#include "tools/symbolize/stats.h"

#include <stdlib.h>
#include <string.h>

struct table {
    struct sy_estimate *cells;
    size_t cap;
    size_t row_count;
    size_t column_count; /* estimates a row */
};

static bool say(const char *what) {
    fprintf(stderr, "jeprof: %s\n", what);
    return false;
}

/* Exactly the numbers of one row. */
static bool parse_row(struct sy_estimate *cells, size_t count, const char *line) {
    char *end = NULL;

    for (size_t i = 0; i < 3 * count; i++) {
        const double number = strtod(line, &end);
        if (end == line) {
            return false;
        }
        line = end;
        double *const fields[] = {&cells[i / 3].value, &cells[i / 3].variance,
                                  &cells[i / 3].weight_max};
        *fields[i % 3] = number;
    }
    return line[strspn(line, " \t\n")] == '\0';
}

static bool read_table(FILE *in, struct table *table) {
    char *line = NULL;
    size_t line_cap = 0;
    bool is_ok = true;

    while (is_ok && getline(&line, &line_cap, in) > 0) {
        const size_t cell_count = table->row_count * table->column_count;
        struct sy_estimate *const cells =
            sy_grown(table->cells, &table->cap, cell_count + table->column_count, sizeof(*cells));
        if (cells == NULL) {
            is_ok = say("no memory for this many rows");
            break;
        }
        table->cells = cells;
        is_ok = parse_row(cells + cell_count, table->column_count, line) ||
                say("the front end and its helper are of different versions");
        table->row_count += is_ok;
    }
    free(line);
    return is_ok;
}

static void put_row(FILE *out, const struct sy_comparison *row) {
    fprintf(out, "%.9g\t%.9g\t%.9g\t%.9g\t%.6g\t%.6g\t%.6g\n", row->base, row->fresh,
            row->interval.low, row->interval.high, row->p, row->q, row->overdispersion);
}

bool jp_rows_compare(FILE *in, FILE *out, size_t base_count, size_t fresh_count) {
    struct table table = {.column_count = base_count + fresh_count};
    struct sy_comparison *rows = NULL;

    if (base_count == 0 || fresh_count == 0 || table.column_count > JP_RUN_COUNT_MAX) {
        return say("a comparison needs 1 to 4096 runs in all, and one on each side");
    }
    bool is_ok = read_table(in, &table);
    if (is_ok) {
        rows = calloc(table.row_count + 1, sizeof(*rows));
        is_ok = rows != NULL &&
                sy_stats_compare(table.cells, table.row_count, base_count, fresh_count, rows);
        is_ok = is_ok || say("no memory for this many rows");
    }
    for (size_t i = 0; is_ok && i < table.row_count; i++) {
        put_row(out, &rows[i]);
    }
    free(rows);
    free(table.cells);
    return is_ok && ((fflush(out) == 0 && ferror(out) == 0) || say("cannot write the comparison"));
}
