/* SPDX-License-Identifier: BSD-2-Clause
 *
 * jeprof-helper — reads, sums and symbolises dumps; writes lines for jeprof (stream.h).
 *
 *   jeprof-helper [--program FILE] [--sysroot FOLDER] [--perf-map FILE] [--base DUMP]... [--thread
 * N] [--each] [--spread] [--] DUMP... jeprof-helper --compare BASE_RUNS,NEW_RUNS     statistics as
 * a filter (rows.h) jeprof-helper --leaks DUMPS jeprof-helper --intervals
 *
 * Exit status: 0; 1 a dump cannot be read; 2 wrong use.
 */
#include "tools/jeprof/rows.h"
#include "tools/jeprof/stream.h"
#include "tools/jeprof/table.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
    struct sy_find find;
    const char *perf_map; /* NULL without */
    bool is_each;         /* the dumps are runs of their own and not added up */
    struct jp_stream_options stream;
    size_t base_run_count; /* of --compare; 0: no comparison */
    size_t fresh_run_count;
    size_t dump_count; /* of --leaks; 0: no series */
    bool is_intervals;
    bool is_table;
    struct jp_table_options table;
};

static void warn(void *opaque, const char *text) {
    (void)opaque;
    fprintf(stderr, "jeprof: warning: %s\n", text);
}

/* For dumps that are read a second time. */
static void keep_quiet(void *opaque, const char *text) {
    (void)opaque;
    (void)text;
}

static const struct sy_notes notes = {.warn = warn};
static const struct sy_notes no_notes = {.warn = keep_quiet};

static int usage(void) {
    fputs(
        "usage: jeprof-helper [--program FILE] [--sysroot FOLDER] [--perf-map FILE] [--base DUMP]... [--thread N] [--each] [--spread] [--] DUMP...\n"
        "       jeprof-helper --compare BASE_RUNS,NEW_RUNS\n",
        stderr);
    return 2;
}

/* Of --thread: holds for every dump of the command line. */
static uint64_t thread_uid = SY_THREAD_ALL;

static bool load(struct sy_profile *profile, const char *path, double sign,
                 const struct sy_notes *told) {
    struct sy_error err;

    if (sy_profile_load_thread(profile, path, sign, thread_uid, told, &err)) {
        return true;
    }
    fprintf(stderr, "jeprof: %s: %s\n", path, err.text);
    return false;
}

/* All dumps as one, or each for itself: then every dump must be read before the first place is
 * looked up, for a debug file alone is placed by what all of them had mapped.
 */
static bool write_dumps(struct sy_profile *profile, struct jp_stream *stream,
                        const struct settings *settings, char **dumps) {
    for (char **dump = dumps; *dump != NULL; dump++) {
        if (!load(profile, *dump, 1, &notes)) {
            return false;
        }
    }
    if (settings->is_table) {
        struct jp_table_options options = settings->table;
        options.is_progress = settings->stream.is_progress;
        return jp_table_write(stdin, stdout, profile, stream->symbols, &options);
    }
    bool is_written = jp_stream_places(stream);
    if (!settings->is_each) {
        is_written = is_written && jp_stream_stacks(stream);
    }
    for (char **dump = dumps; settings->is_each && is_written && *dump != NULL; dump++) {
        sy_profile_clear_values(profile);
        if (!load(profile, *dump, 1, &no_notes)) {
            return false;
        }
        is_written = jp_stream_run(stream, *dump) && jp_stream_stacks(stream);
    }
    if (!is_written) {
        fprintf(stderr, "jeprof: cannot write: %s\n", strerror(errno));
    }
    return is_written;
}

static int run(struct sy_profile *profile, const struct settings *settings, char **dumps) {
    struct sy_symbols symbols;
    struct jp_stream stream = {
        .out = stdout, .profile = profile, .symbols = &symbols, .options = settings->stream};

    sy_symbols_init(&symbols, &settings->find, &notes);
    bool is_ok = true;
    if (settings->perf_map != NULL) {
        struct sy_error err;
        is_ok = sy_symbols_read_perf_map(&symbols, settings->perf_map, &err);
        if (!is_ok) {
            fprintf(stderr, "jeprof: %s: %s\n", settings->perf_map, err.text);
        }
    }
    is_ok = is_ok && write_dumps(profile, &stream, settings, dumps);
    sy_symbols_fini(&symbols);
    return is_ok ? 0 : 1;
}

/* "BASE,NEW" */
static bool parse_runs(struct settings *settings, const char *text) {
    char *end = NULL;

    settings->base_run_count = strtoul(text, &end, 10);
    if (*end != ',') {
        return false;
    }
    settings->fresh_run_count = strtoul(end + 1, &end, 10);
    return *end == '\0' && settings->base_run_count > 0;
}

static int parse(struct settings *settings, struct sy_profile *profile, int argc, char **argv) {
    static const struct option options[] = {
        {"sysroot", required_argument, NULL, 'r'},
        {"perf-map", required_argument, NULL, 'm'},
        {"thread", required_argument, NULL, 't'},
        {"intervals", no_argument, NULL, 'i'},
        {"table", required_argument, NULL, 'T'},
        {"focused", no_argument, NULL, 'f'},
        {"program", required_argument, NULL, 'p'},
        {"base", required_argument, NULL, 'b'},
        {"each", no_argument, NULL, 'e'},
        {"spread", no_argument, NULL, 's'},
        {"compare", required_argument, NULL, 'c'},
        {"leaks", required_argument, NULL, 'l'},
        {NULL, 0, NULL, 0},
    };

    for (int option = 0; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'p') {
            settings->find.program = optarg;
        } else if (option == 'r') {
            settings->find.sysroot = optarg;
        } else if (option == 't') {
            thread_uid = strtoull(optarg, NULL, 10);
        } else if (option == 'm') {
            settings->perf_map = optarg;
        } else if (option == 'e') {
            settings->is_each = true;
        } else if (option == 's') {
            settings->stream.is_spread = true;
        } else if (option == 'b') {
            if (!load(profile, optarg, -1, &notes)) {
                return 1;
            }
        } else if (option == 'T') {
            settings->is_table = true;
            settings->table.value = (enum sy_value)(strtoul(optarg, NULL, 10) % SY_VALUE_COUNT);
        } else if (option == 'f') {
            settings->table.is_focused = true;
        } else if (option == 'i') {
            settings->is_intervals = true;
        } else if (option == 'l') {
            settings->dump_count = strtoul(optarg, NULL, 10);
        } else if (option != 'c' || !parse_runs(settings, optarg)) {
            return usage();
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    struct settings settings = {.stream.is_progress = isatty(STDERR_FILENO) != 0};
    struct sy_profile profile;
    struct sy_error err;

    if (!sy_profile_init(&profile, &err)) {
        fprintf(stderr, "jeprof: %s\n", err.text);
        return 1;
    }
    int status = parse(&settings, &profile, argc, argv);
    if (status == 0 && settings.base_run_count > 0) {
        status = jp_rows_compare(stdin, stdout, settings.base_run_count, settings.fresh_run_count)
                     ? 0
                     : 1;
    } else if (status == 0 && settings.is_intervals) {
        status = jp_rows_intervals(stdin, stdout) ? 0 : 1;
    } else if (status == 0 && settings.dump_count > 0) {
        status = jp_rows_judge(stdin, stdout, settings.dump_count) ? 0 : 1;
    } else if (status == 0) {
        status = optind == argc ? usage() : run(&profile, &settings, argv + optind);
    }
    sy_profile_fini(&profile);
    return status;
}
