/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dump — names as jemalloc makes them, so that scripts find the files.
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

static struct {
    /* Guarded by lock. */
    struct al_lock lock;
    bool has_prefix; /* set by prof.prefix; else opt.prof_prefix */
    char prefix[PF_SINK_PATH_BYTES];
    uint64_t seq;              /* of all automatic names */
    uint64_t letter_count[26]; /* of each letter's */
    struct pf_sink sink;
} dump;

static bool ends_with(const char *str, const char *end) {
    const size_t str_bytes = strlen(str);
    const size_t end_bytes = strlen(end);

    return str_bytes >= end_bytes && strcmp(str + str_bytes - end_bytes, end) == 0;
}

static int write_locked(const char *path) {
    al_lock_assert_held(&dump.lock);
    AL_ASSERT(path != NULL);
    const bool is_pprof = ends_with(path, PF_FORMAT_SUFFIX_PROTO);
    struct pf_maps maps;
    const bool has_maps = pf_maps_read(&maps);
    int err = pf_sink_open(&dump.sink, path, is_pprof);

    if (err == 0) {
        if (is_pprof) {
            pf_maps_find_build_ids(&maps);
            const int pprof_err = pf_pprof_write(&dump.sink, &maps);
            dump.sink.err = dump.sink.err != 0 ? dump.sink.err : pprof_err;
        } else {
            pf_heap_text_write(&dump.sink, has_maps ? &maps : NULL, al_options.prof_accum);
        }
        err = pf_sink_close(&dump.sink);
    }
    pf_maps_fini(&maps);
    return err;
}

int pf_dump_to(const char *path) {
    al_lock_take(&dump.lock, AL_RANK_DUMP);
    const int err = write_locked(path);
    al_lock_give(&dump.lock);
    return err;
}

static void report(const char *path, int err) {
    char line[PF_SINK_PATH_BYTES + 128];
    struct al_text text;

    al_text_init(&text, line, sizeof(line));
    al_text_str(&text, "<jemalloc>: failed to write \"");
    al_text_str(&text, path);
    al_text_str(&text, "\": ");
    al_text_str(&text, strerrordesc_np(err) != NULL ? strerrordesc_np(err) : "unknown error");
    al_text_str(&text, "\n");
    al_message_write(line);
}

/* PREFIX.PID.SEQ.i0.heap. False: it does not fit. */
static bool make_name_locked(char *name, size_t name_bytes, char letter) {
    al_lock_assert_held(&dump.lock);
    AL_ASSERT(name_bytes > 0);
    const char mark[2] = {letter, '\0'};
    struct al_text text;

    al_text_init(&text, name, name_bytes);
    al_text_str(&text, dump.has_prefix ? dump.prefix : al_options.prof_prefix);
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
    return !text.is_cut;
}

int pf_dump_automatic(char letter, bool is_loud) {
    char name[PF_SINK_PATH_BYTES];
    int err = 0;

    AL_ASSERT(letter >= 'a' && letter <= 'z');
    al_lock_take(&dump.lock, AL_RANK_DUMP);
    const char *const prefix = dump.has_prefix ? dump.prefix : al_options.prof_prefix;
    if (prefix[0] == '\0') {
        err = EFAULT;
    } else if (!make_name_locked(name, sizeof(name), letter)) {
        err = ENAMETOOLONG;
    } else {
        err = write_locked(name);
    }
    al_lock_give(&dump.lock);
    if (err != 0 && err != EFAULT && is_loud) {
        report(name, err);
    }
    return err;
}

int pf_dump_set_prefix(const char *prefix) {
    const size_t len_bytes = strlen(prefix);

    if (len_bytes >= sizeof(dump.prefix)) {
        return ENAMETOOLONG;
    }
    al_lock_take(&dump.lock, AL_RANK_DUMP);
    memcpy(dump.prefix, prefix, len_bytes + 1);
    dump.has_prefix = true;
    al_lock_give(&dump.lock);
    return 0;
}

void pf_dump_fork_prepare(void) {
    al_lock_take(&dump.lock, AL_RANK_DUMP);
}

void pf_dump_fork_parent(void) {
    al_lock_give(&dump.lock);
}

void pf_dump_fork_child(void) {
    al_lock_reset(&dump.lock);
}
