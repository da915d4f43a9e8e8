/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rows — all rows are read before any is written: q-values depend on all of them.
 */
#include "tools/jeprof/rows.h"

#include "tools/symbolize/series.h"
#include "tools/symbolize/stats.h"

#include <stdlib.h>
#include <string.h>

struct table {
    double *numbers;
    size_t cap;
    size_t row_count;
    size_t column_count; /* numbers a row */
};

static bool say(const char *what) {
    fprintf(stderr, "jeprof: %s\n", what);
    return false;
}

/* Exactly the numbers of one row. */
static bool parse_row(double *numbers, size_t count, const char *line) {
    char *end = NULL;

    for (size_t i = 0; i < count; i++) {
        numbers[i] = strtod(line, &end);
        if (end == line) {
            return false;
        }
        line = end;
    }
    return line[strspn(line, " \t\n")] == '\0';
}

static bool read_table(FILE *in, struct table *table) {
    char *line = NULL;
    size_t line_cap = 0;
    bool is_ok = true;

    while (is_ok && getline(&line, &line_cap, in) > 0) {
        const size_t count = table->row_count * table->column_count;
        double *const numbers =
            sy_grown(table->numbers, &table->cap, count + table->column_count, sizeof(*numbers));
        if (numbers == NULL) {
            is_ok = say("no memory for this many rows");
            break;
        }
        table->numbers = numbers;
        is_ok = parse_row(numbers + count, table->column_count, line) ||
                say("the front end and its helper are of different versions");
        table->row_count += is_ok;
    }
    free(line);
    return is_ok;
}

static bool end_output(FILE *out) {
    return (fflush(out) == 0 && ferror(out) == 0) || say("cannot write the rows");
}

static void put_row(FILE *out, const struct sy_comparison *row) {
    fprintf(out, "%.9g\t%.9g\t%.9g\t%.9g\t%.6g\t%.6g\t%.6g\n", row->base, row->fresh,
            row->interval.low, row->interval.high, row->p, row->q, row->overdispersion);
}

bool jp_rows_compare(FILE *in, FILE *out, size_t base_count, size_t fresh_count) {
    const size_t run_count = base_count + fresh_count;
    struct table table = {.column_count = 3 * run_count};
    struct sy_comparison *rows = NULL;
    struct sy_estimate *runs = NULL;

    if (base_count == 0 || fresh_count == 0 || run_count > JP_RUN_COUNT_MAX) {
        return say("a comparison needs 1 to 4096 runs in all, and one on each side");
    }
    bool is_ok = read_table(in, &table);
    if (is_ok) {
        rows = calloc(table.row_count + 1, sizeof(*rows));
        runs = calloc(table.row_count * run_count + 1, sizeof(*runs));
        for (size_t i = 0; runs != NULL && i < table.row_count * run_count; i++) {
            const double *const numbers = table.numbers + 3 * i;
            runs[i] = (struct sy_estimate){numbers[0], numbers[1], numbers[2]};
        }
        is_ok = (rows != NULL && runs != NULL &&
                 sy_stats_compare(runs, table.row_count, base_count, fresh_count, rows)) ||
                say("no memory for this many rows");
    }
    for (size_t i = 0; is_ok && i < table.row_count; i++) {
        put_row(out, &rows[i]);
    }
    free(runs);
    free(rows);
    free(table.numbers);
    return is_ok && end_output(out);
}

bool jp_rows_intervals(FILE *in, FILE *out) {
    struct table table = {.column_count = 3};
    const bool is_ok = read_table(in, &table);

    for (size_t i = 0; is_ok && i < table.row_count; i++) {
        const double *const numbers = table.numbers + 3 * i;
        const struct sy_estimate estimate = {numbers[0], numbers[1], numbers[2]};
        const struct sy_interval interval = sy_stats_interval(&estimate, 0.05);
        fprintf(out, "%.9g\t%.9g\n", interval.low, interval.high);
    }
    free(table.numbers);
    return is_ok && end_output(out);
}

static void put_trend(FILE *out, const struct sy_trend *trend) {
    fprintf(out, "%d\t%.9g\t%.9g\t%.9g\t%.6g\t%.9g\t%.9g\t%.6g\t%.6g\t%.6g\n", (int)trend->growth,
            trend->slope, trend->slope_low, trend->slope_high, trend->trend_p, trend->births,
            trend->deaths, trend->age_low, trend->p, trend->q);
}

bool jp_rows_judge(FILE *in, FILE *out, size_t dump_count) {
    struct table table = {.column_count = 2 * dump_count};
    struct sy_trend *trends = NULL;
    struct sy_point *points = NULL;

    if (dump_count < SY_SERIES_DUMPS_MIN || dump_count > SY_SERIES_DUMPS_MAX) {
        return say("a series needs 6 to 4096 dumps");
    }
    bool is_ok = read_table(in, &table);
    if (is_ok) {
        trends = calloc(table.row_count + 1, sizeof(*trends));
        points = calloc(table.row_count * dump_count + 1, sizeof(*points));
        for (size_t i = 0; points != NULL && i < table.row_count * dump_count; i++) {
            points[i] = (struct sy_point){table.numbers[2 * i], table.numbers[2 * i + 1]};
        }
        is_ok = (trends != NULL && points != NULL &&
                 sy_series_judge(points, table.row_count, dump_count, trends)) ||
                say("no memory for this many rows");
    }
    for (size_t i = 0; is_ok && i < table.row_count; i++) {
        put_trend(out, &trends[i]);
    }
    free(points);
    free(trends);
    free(table.numbers);
    return is_ok && end_output(out);
}
