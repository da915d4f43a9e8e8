/* SPDX-License-Identifier: BSD-2-Clause
 *
 * mib_client — what a program of Rust with jemalloc-ctl does: names are translated once, then epoch
 * and statistics are read by MIB in a loop, while threads allocate; indexes in MIBs are replaced.
 */
#include <errno.h>
#include <jemalloc/jemalloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREAD_COUNT = 3, LOOP_COUNT = 300, FIGURE_COUNT = 6, MIB_MAX = 8 };

struct figure {
    const char *name;
    size_t mib[MIB_MAX];
    size_t mib_count;
    size_t value;
};

static struct figure figures[FIGURE_COUNT] = {
    {.name = "stats.allocated"}, {.name = "stats.active"}, {.name = "stats.metadata"},
    {.name = "stats.resident"},  {.name = "stats.mapped"}, {.name = "stats.retained"},
};

static volatile bool is_done;

static void *work(void *arg) {
    void *slots[100] = {NULL};

    for (size_t n = 0; !is_done; n++) {
        free(slots[n % 100]);
        slots[n % 100] = malloc(1 + n * 37 % 5000);
    }
    for (size_t n = 0; n < 100; n++) {
        free(slots[n]);
    }
    return arg;
}

static void need(int err, const char *what) {
    if (err != 0) {
        printf("mib_client: %s: %s\n", what, strerror(err));
        exit(1);
    }
}

static void translate(const char *name, size_t *mib, size_t *mib_count) {
    *mib_count = MIB_MAX;
    need(mallctlnametomib(name, mib, mib_count), name);
}

static size_t read_size(const size_t *mib, size_t mib_count, const char *what) {
    size_t value = 0;
    size_t value_bytes = sizeof(value);

    need(mallctlbymib(mib, mib_count, &value, &value_bytes, NULL, 0), what);
    return value;
}

static void read_all(const size_t *epoch_mib, size_t epoch_mib_count) {
    static uint64_t last_epoch;
    uint64_t epoch = 1;
    size_t epoch_bytes = sizeof(epoch);

    need(mallctlbymib(epoch_mib, epoch_mib_count, &epoch, &epoch_bytes, &epoch, epoch_bytes),
         "epoch");
    if (epoch <= last_epoch) {
        need(ERANGE, "epoch did not advance");
    }
    last_epoch = epoch;
    for (size_t idx = 0; idx < FIGURE_COUNT; idx++) {
        figures[idx].value = read_size(figures[idx].mib, figures[idx].mib_count, figures[idx].name);
    }
    if (figures[0].value > figures[1].value || figures[1].value > figures[3].value ||
        figures[3].value > figures[4].value || figures[2].value == 0) {
        need(ERANGE, "allocated <= active <= resident <= mapped");
    }
}

/* The sum over bins, by replacing the index in one MIB. */
static size_t sum_bins(unsigned nbins) {
    size_t curregs[MIB_MAX];
    size_t curregs_count = 0;
    size_t bin_size[MIB_MAX];
    size_t bin_size_count = 0;
    size_t sum = 0;

    translate("stats.arenas.4096.bins.0.curregs", curregs, &curregs_count);
    translate("arenas.bin.0.size", bin_size, &bin_size_count);
    for (unsigned idx = 0; idx < nbins; idx++) {
        curregs[4] = idx;
        bin_size[2] = idx;
        sum += read_size(curregs, curregs_count, "curregs") *
               read_size(bin_size, bin_size_count, "size");
    }
    return sum;
}

int main(void) {
    pthread_t threads[THREAD_COUNT];
    size_t epoch_mib[MIB_MAX];
    size_t epoch_mib_count = 0;
    size_t small_mib[MIB_MAX];
    size_t small_mib_count = 0;
    unsigned nbins = 0;
    size_t nbins_bytes = sizeof(nbins);

    translate("epoch", epoch_mib, &epoch_mib_count);
    translate("stats.arenas.4096.small.allocated", small_mib, &small_mib_count);
    for (size_t idx = 0; idx < FIGURE_COUNT; idx++) {
        translate(figures[idx].name, figures[idx].mib, &figures[idx].mib_count);
    }
    need(mallctl("arenas.nbins", &nbins, &nbins_bytes, NULL, 0), "arenas.nbins");
    for (size_t idx = 0; idx < THREAD_COUNT; idx++) {
        need(pthread_create(&threads[idx], NULL, work, NULL), "thread");
    }
    for (int loop = 0; loop < LOOP_COUNT; loop++) {
        read_all(epoch_mib, epoch_mib_count);
        if (sum_bins(nbins) != read_size(small_mib, small_mib_count, "small.allocated")) {
            need(ERANGE, "the sum over bins");
        }
    }
    is_done = true;
    for (size_t idx = 0; idx < THREAD_COUNT; idx++) {
        (void)pthread_join(threads[idx], NULL);
    }
    printf("mib_client: %d epochs, allocated %zu\n", LOOP_COUNT, figures[0].value);
    return 0;
}
