/* SPDX-License-Identifier: BSD-2-Clause
 *
 * work CASE COUNT [PARAMETER...] — runs one workload, checks it, says what it took. Without
 * arguments: the names of the cases.
 *
 * Question: what does an allocator cost under this load?
 * Unit:     one line of JSON: operations, wall and processor nanoseconds of the part that counts,
 *           and the case's own figures. Peak memory and page faults are measured from outside,
 *           by launch.c.
 * Noise:    bench.py's matter: it repeats and alternates.
 * Honest:   each block is written and read back, and the sums of what was written and what was
 *           read must agree; otherwise there is no figure.
 */
#include "tests/bench/work.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { NOTE_COUNT_MAX = 64 };

static struct {
    uint64_t wall_ns;
    uint64_t cpu_ns;
    uint64_t op_count;
    size_t note_count;
    struct {
        const char *name;
        uint64_t value;
    } notes[NOTE_COUNT_MAX];
} report;

_Noreturn void work_die(const char *why) {
    static const char prefix[] = "work: ";

    (void)!write(STDERR_FILENO, prefix, sizeof(prefix) - 1);
    (void)!write(STDERR_FILENO, why, strlen(why));
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(1);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void work_start(void) {
    report.wall_ns = clock_ns(CLOCK_MONOTONIC);
    report.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void work_stop(uint64_t op_count) {
    report.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - report.cpu_ns;
    report.wall_ns = clock_ns(CLOCK_MONOTONIC) - report.wall_ns;
    report.op_count = op_count;
}

void work_note(const char *name, uint64_t value) {
    if (report.note_count < NOTE_COUNT_MAX) {
        report.notes[report.note_count].name = name;
        report.notes[report.note_count].value = value;
        report.note_count++;
    }
}

void *work_table(size_t size_bytes) {
    void *const table =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (table == MAP_FAILED) {
        work_die("no memory for a table");
    }
    return table;
}

/* The second number of statm, in pages. */
uint64_t work_rss_kib(void) {
    char text[128];
    const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    const ssize_t length = file < 0 ? -1 : read(file, text, sizeof(text) - 1);

    if (length <= 0) {
        work_die("/proc/self/statm cannot be read");
    }
    (void)close(file);
    text[length] = '\0';
    const char *const blank = strchr(text, ' ');
    return blank == NULL ? 0 : strtoull(blank, NULL, 10) * (WORK_PAGE_BYTES / 1024);
}

void work_sleep_ms(uint64_t duration_ms) {
    struct timespec left = {.tv_sec = (time_t)(duration_ms / 1000),
                            .tv_nsec = (long)(duration_ms % 1000) * 1000000};

    /* Ends: each interruption leaves less. */
    while (nanosleep(&left, &left) != 0) {
    }
}

void work_add(struct work *work, const struct work_books *books) {
    work->books.wanted += books->wanted;
    work->books.found += books->found;
}

char *work_make_pages(struct work_books *books, size_t size_bytes) {
    char *const block = work_make(books, size_bytes);

    for (size_t at = WORK_PAGE_BYTES; at + sizeof(uint64_t) < size_bytes; at += WORK_PAGE_BYTES) {
        const uint64_t mark = books->stamp + at;
        memcpy(block + at - sizeof(mark), &mark, sizeof(mark));
    }
    return block;
}

void work_drop_pages(struct work_books *books, char *block, size_t size_bytes) {
    uint64_t stamp;

    memcpy(&stamp, block, sizeof(stamp));
    for (size_t at = WORK_PAGE_BYTES; at + sizeof(uint64_t) < size_bytes; at += WORK_PAGE_BYTES) {
        uint64_t mark;
        memcpy(&mark, block + at - sizeof(mark), sizeof(mark));
        if (mark != stamp + at) {
            work_die("a page did not keep what was written");
        }
    }
    work_drop(books, block, size_bytes);
}

static const struct work_case *const tables[] = {work_blocks,  work_calls,  work_threads,
                                                 work_servers, work_memory, work_operators};

static const struct work_case *find(const char *name) {
    for (size_t table = 0; table < sizeof(tables) / sizeof(tables[0]); table++) {
        for (const struct work_case *row = tables[table]; row != NULL && row->name != NULL; row++) {
            if (name == NULL) {
                puts(row->name);
            } else if (strcmp(row->name, name) == 0) {
                return row;
            }
        }
    }
    return NULL;
}

static void print_report(const char *name) {
    printf("{\"case\":\"%s\",\"ops\":%" PRIu64 ",\"wall_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
           ",\"notes\":{",
           name, report.op_count, report.wall_ns, report.cpu_ns);
    for (size_t idx = 0; idx < report.note_count; idx++) {
        printf("%s\"%s\":%" PRIu64, idx == 0 ? "" : ",", report.notes[idx].name,
               report.notes[idx].value);
    }
    puts("}}");
}

int main(int argc, char **argv) {
    struct work work = {0};

    if (argc < 2) {
        (void)find(NULL);
        return 0;
    }
    work.shape = find(argv[1]);
    if (work.shape == NULL || argc < 3 || argc > 5) {
        fputs("usage: work CASE COUNT [PARAMETER [PARAMETER]]\n", stderr);
        return 2;
    }
    work.count = strtoull(argv[2], NULL, 10);
    for (int idx = 3; idx < argc; idx++) {
        work.parameters[idx - 3] = strtoull(argv[idx], NULL, 10);
    }
    work.shape->run(&work);
    if (work.books.wanted != work.books.found || report.op_count == 0) {
        work_die("what was read is not what was written");
    }
    print_report(argv[1]);
    return 0;
}
