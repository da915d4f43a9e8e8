/* SPDX-License-Identifier: BSD-2-Clause
 *
 * jeprof-helper — reads, sums and symbolises dumps; writes lines for jeprof (stream.h).
 *
 *   jeprof-helper [--program FILE] [--base DUMP]... [--] DUMP...
 *
 * Exit status: 0; 1 a dump cannot be read; 2 wrong use.
 */
#include "tools/jeprof/stream.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void warn(void *opaque, const char *text) {
    (void)opaque;
    fprintf(stderr, "jeprof: warning: %s\n", text);
}

static const struct sy_notes notes = {.warn = warn};

static int usage(void) {
    fputs("usage: jeprof-helper [--program FILE] [--base DUMP]... [--] DUMP...\n", stderr);
    return 2;
}

static bool load(struct sy_profile *profile, const char *path, double sign) {
    struct sy_error err;

    if (sy_profile_load(profile, path, sign, &notes, &err)) {
        return true;
    }
    fprintf(stderr, "jeprof: %s: %s\n", path, err.text);
    return false;
}

static int run(struct sy_profile *profile, const char *program, char **dumps) {
    struct sy_symbols symbols;

    for (; *dumps != NULL; dumps++) {
        if (!load(profile, *dumps, 1)) {
            return 1;
        }
    }
    sy_symbols_init(&symbols, program, &notes);
    const bool is_written = jp_stream_write(stdout, profile, &symbols, isatty(STDERR_FILENO) != 0);
    sy_symbols_fini(&symbols);
    if (!is_written) {
        fprintf(stderr, "jeprof: cannot write: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"program", required_argument, NULL, 'p'},
        {"base", required_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    struct sy_profile profile;
    struct sy_error err;
    const char *program = NULL;
    int status = 0;

    if (!sy_profile_init(&profile, &err)) {
        fprintf(stderr, "jeprof: %s\n", err.text);
        return 1;
    }
    for (int option = 0; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'p') {
            program = optarg;
        } else if (option != 'b') {
            status = usage();
        } else if (!load(&profile, optarg, -1)) {
            status = 1;
        }
    }
    if (status == 0) {
        status = optind == argc ? usage() : run(&profile, program, argv + optind);
    }
    sy_profile_fini(&profile);
    return status;
}
