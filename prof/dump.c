/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dump — names as jemalloc makes them, so that scripts find the files.
 *
 * Writing may take as long as a disk or a reader does, so a fork must not wait for it: it takes
 * the lock of the names alone. The child's sink may be half a dump of its parent's; it is made
 * anew by the next dump, and its descriptor is closed by exec or exit.
 */
#include "prof/dump.h"

#include "alloc/lock.h"
#include "alloc/options.h"
#include "alloc/text.h"
#include "prof/format.h"
#include "prof/heap_text.h"
#include "prof/pprof.h"
#include "prof/sink.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static AL_SPARSE struct pf_sink sink; /* guarded by dump.lock */

static struct {
    struct al_lock lock; /* one dump at a time; held while it is written */
    /* Guarded by lock. */
    bool is_closed; /* the process ends: no dump begins but of the thread that ends it */

    struct al_lock name_lock; /* never held together with lock */
    /* Guarded by name_lock. */
    bool has_prefix; /* set by prof.prefix; else opt.prof_prefix */
    char prefix[PF_SINK_PATH_BYTES];
    uint64_t seq;                         /* of all automatic names */
    uint64_t letter_count['z' - 'a' + 1]; /* of each letter's */
} dump;

static AL_TLS_IE bool is_dumping; /* this thread holds dump.lock */
static AL_TLS_IE bool is_closer;  /* this thread called pf_dump_close */

static bool ends_with(const char *str, const char *end) {
    const size_t str_bytes = strlen(str);
    const size_t end_bytes = strlen(end);

    return str_bytes >= end_bytes && strcmp(str + str_bytes - end_bytes, end) == 0;
}

static int write_locked(const char *path) {
    al_lock_assert_held(&dump.lock);
    AL_ASSERT(path != NULL && is_dumping);
    const bool is_pprof = ends_with(path, PF_FORMAT_SUFFIX_PROTO);
    struct pf_maps maps;
    const bool has_maps = pf_maps_read(&maps);
    int err = pf_sink_open(&sink, path, is_pprof);

    if (err == 0) {
        if (is_pprof) {
            pf_maps_find_build_ids(&maps);
            const int pprof_err = pf_pprof_write(&sink, &maps);
            sink.err = sink.err != 0 ? sink.err : pprof_err;
        } else {
            pf_heap_text_write(&sink, has_maps ? &maps : NULL, al_options.prof_accum);
        }
        err = pf_sink_close(&sink);
    }
    pf_maps_fini(&maps);
    return err;
}

static int write_to(const char *path) {
    if (is_dumping) {
        return EDEADLK;
    }
    int err = ECANCELED;
    al_lock_take(&dump.lock, AL_RANK_DUMP);
    if (!dump.is_closed || is_closer) {
        is_dumping = true;
        err = write_locked(path);
        AL_ASSERT(is_dumping);
        is_dumping = false;
    }
    al_lock_give(&dump.lock);
    return err;
}

static const char *describe(int err) {
    if (err == ENXIO) {
        return "nobody reads from it";
    }
    if (err == ETIMEDOUT) {
        return "its reader has taken nothing for half a minute";
    }
    const char *const text = strerrordesc_np(err);
    return text != NULL ? text : "unknown error";
}

static void report(const char *path, int err) {
    AL_ASSERT(err != 0);
    char line[PF_SINK_PATH_BYTES + 128];
    struct al_text text;

    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, "<jemalloc>: failed to write \"");
    al_text_str(&text, path);
    al_text_str(&text, "\": ");
    al_text_str(&text, describe(err));
    al_text_str(&text, "\n");
    al_message_write(line);
}

int pf_dump_to(const char *path) {
    const int err = write_to(path);

    if (err == ENXIO || err == ETIMEDOUT) {
        report(path, err);
    }
    return err;
}

void pf_dump_close(void) {
    is_closer = true;
    if (!is_dumping) {
        al_lock_take(&dump.lock, AL_RANK_DUMP);
        dump.is_closed = true;
        al_lock_give(&dump.lock);
    }
}

/* PREFIX.PID.SEQ.i0.heap. EFAULT: the prefix is empty; ENAMETOOLONG: it does not fit. */
static int make_name_locked(char *name, size_t name_bytes, char letter) {
    al_lock_assert_held(&dump.name_lock);
    AL_ASSERT(name_bytes > 0);
    AL_ASSERT(letter >= 'a' && letter <= 'z');
    const char *const prefix = dump.has_prefix ? dump.prefix : al_options.prof_prefix;
    const char mark[2] = {letter, '\0'};
    struct al_text text;

    al_text_init(&text, name, name_bytes);
    al_text_str(&text, prefix);
    if (prefix[0] == '\0') {
        return EFAULT;
    }
    al_text_str(&text, ".");
    al_text_u64(&text, (uint64_t)getpid());
    al_text_str(&text, ".");
    al_text_u64(&text, dump.seq++);
    al_text_str(&text, ".");
    al_text_str(&text, mark);
    if (letter != PF_FORMAT_LETTER_FINAL) {
        al_text_u64(&text, dump.letter_count[letter - 'a']++);
    }
    al_text_str(&text, PF_FORMAT_SUFFIX_TEXT);
    return text.is_cut ? ENAMETOOLONG : 0;
}

int pf_dump_automatic(char letter, bool is_loud) {
    char name[PF_SINK_PATH_BYTES];

    al_lock_take(&dump.name_lock, AL_RANK_DUMP);
    int err = make_name_locked(name, sizeof(name), letter);
    al_lock_give(&dump.name_lock);
    if (err == 0) {
        err = write_to(name);
    }
    if (err != 0 && err != EFAULT && err != ECANCELED && is_loud) {
        report(name, err);
    }
    return err;
}

int pf_dump_set_prefix(const char *prefix) {
    AL_ASSERT(prefix != NULL);
    const size_t len_bytes = strlen(prefix);

    if (len_bytes >= sizeof(dump.prefix)) {
        return ENAMETOOLONG;
    }
    al_lock_take(&dump.name_lock, AL_RANK_DUMP);
    memcpy(dump.prefix, prefix, len_bytes + 1);
    dump.has_prefix = true;
    al_lock_give(&dump.name_lock);
    return 0;
}

void pf_dump_lock_stats(struct al_lock_stats *stats, bool is_reset) {
    al_lock_take(&dump.name_lock, AL_RANK_DUMP);
    if (is_reset) {
        al_lock_stats_reset_locked(&dump.name_lock);
    }
    al_lock_stats_read_locked(&dump.name_lock, stats);
    al_lock_give(&dump.name_lock);
}

void pf_dump_fork_prepare(void) {
    al_lock_take(&dump.name_lock, AL_RANK_DUMP);
}

void pf_dump_fork_parent(void) {
    al_lock_give(&dump.name_lock);
}

void pf_dump_fork_child(void) {
    al_lock_reset(&dump.name_lock);
    if (!is_dumping) { /* else a handler forked in the middle of ours, which goes on */
        dump.lock = (struct al_lock){0};
    }
}
