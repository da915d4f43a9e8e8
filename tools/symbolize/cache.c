/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cache — lines of text: the head, "T text" in order of their numbers, and
 * "P offset [function file line]..." with these numbers.
 */
#include "tools/symbolize/cache.h"

#include "tools/symbolize/input.h"
#include "tools/symbolize/scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What few places cost to look up is not worth a file. */
static const uint32_t kept_from = 500;
/* A cache as large as an input is none. */
static const uint32_t place_count_max = 1u << 22;

/* ---- where ---- */

static char *folder_of(void) {
    const char *const base = getenv("XDG_CACHE_HOME");
    const char *const home = getenv("HOME");
    char *folder = NULL;
    int length = -1;

    if (base != NULL && base[0] == '/') {
        length = asprintf(&folder, "%s/tally/jeprof", base);
    } else if (home != NULL && home[0] == '/') {
        length = asprintf(&folder, "%s/.cache/tally/jeprof", home);
    }
    return length > 0 ? folder : NULL;
}

/* FNV-1a: the head says in full what it stands for. */
static uint64_t hash_of(const char *text) {
    uint64_t hash = 14695981039346656037u;
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    }
    return hash;
}

/* Every folder on the way; those that are there already are no failure. */
static void make_folders(char *path) {
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
}

static bool name_files(struct sy_cache *cache, const char *binary, const char *build_id) {
    struct stat status;
    char *const real = realpath(binary, NULL);
    char *const folder = folder_of();
    bool is_ok =
        real != NULL && folder != NULL && stat(real, &status) == 0 && strpbrk(real, "\t\n") == NULL;

    if (is_ok && asprintf(&cache->path, "%s/%016" PRIx64, folder,
                          hash_of(real) ^ 31 * hash_of(build_id)) < 0) {
        cache->path = NULL;
    }
    if (is_ok && asprintf(&cache->head, "tally-cache 1\t%s\t%jd\t%jd.%09ld\t%s", real,
                          (intmax_t)status.st_size, (intmax_t)status.st_mtim.tv_sec,
                          status.st_mtim.tv_nsec, build_id) < 0) {
        cache->head = NULL;
    }
    is_ok = is_ok && cache->path != NULL && cache->head != NULL;
    free(real);
    free(folder);
    return is_ok;
}

/* ---- reading ---- */

static bool add_frame(struct sy_cache *cache, const struct sy_cache_frame *frame) {
    struct sy_cache_frame *const frames =
        sy_grown(cache->frames, &cache->frame_cap, cache->frame_count + 1, sizeof(*frames));
    if (frames == NULL) {
        return false;
    }
    cache->frames = frames;
    frames[cache->frame_count++] = *frame;
    return true;
}

/* A place whose frames are the last `count` of all. */
static bool add_place(struct sy_cache *cache, uint64_t offset, uint32_t count) {
    const uint32_t idx = sy_intern_put(&cache->offsets, &offset, sizeof(offset));
    if (idx == SY_NONE || idx + 1 != cache->offsets.count) {
        return false;
    }
    struct sy_cache_place *const places =
        sy_grown(cache->places, &cache->place_cap, cache->offsets.count, sizeof(*places));
    if (places == NULL) {
        return false;
    }
    cache->places = places;
    places[idx] =
        (struct sy_cache_place){.start = (uint32_t)cache->frame_count - count, .count = count};
    return true;
}

static bool scan_number(struct sy_scan *line, uint64_t limit, uint32_t *number) {
    uint64_t value = 0;
    sy_scan_blanks(line);
    const bool is_ok = sy_scan_decimal(line, &value) && value < limit;
    *number = (uint32_t)value;
    return is_ok;
}

static bool parse_place(struct sy_cache *cache, struct sy_scan line) {
    uint64_t offset = 0;
    uint32_t count = 0;

    if (!sy_scan_hex(&line, &offset)) {
        return false;
    }
    for (; line.at < line.end && count < SY_FRAMES_MAX; count++) {
        struct sy_cache_frame frame;
        if (!scan_number(&line, cache->texts.count, &frame.function_id) ||
            !scan_number(&line, cache->texts.count, &frame.file_id) ||
            !scan_number(&line, UINT32_MAX, &frame.line) || !add_frame(cache, &frame)) {
            return false;
        }
    }
    return count > 0 && cache->offsets.count < place_count_max && add_place(cache, offset, count);
}

static bool parse(struct sy_cache *cache, const struct sy_input *input) {
    struct sy_scan rest = {.at = input->data, .end = input->data + input->data_bytes};
    struct sy_scan line;

    if (!sy_scan_line(&rest, &line) || (size_t)(line.end - line.at) != strlen(cache->head) ||
        memcmp(line.at, cache->head, strlen(cache->head)) != 0) {
        return false;
    }
    while (sy_scan_line(&rest, &line)) {
        if (sy_scan_text(&line, "T ")) {
            const uint32_t count = cache->texts.count;
            if (sy_intern_put(&cache->texts, line.at, (size_t)(line.end - line.at)) != count) {
                return false;
            }
        } else if (!sy_scan_text(&line, "P ") || !parse_place(cache, line)) {
            return false;
        }
    }
    return true;
}

static void forget(struct sy_cache *cache) {
    sy_intern_fini(&cache->texts);
    sy_intern_fini(&cache->offsets);
    cache->frame_count = 0;
}

void sy_cache_open(struct sy_cache *cache, const char *binary, const char *build_id) {
    const char *const is_on = getenv("TALLY_JEPROF_CACHE");
    struct sy_input input;
    struct sy_error err;

    *cache = (struct sy_cache){0};
    if ((is_on != NULL && strcmp(is_on, "no") == 0) || !name_files(cache, binary, build_id)) {
        free(cache->path);
        free(cache->head);
        *cache = (struct sy_cache){0};
        return;
    }
    if (access(cache->path, R_OK) == 0 && sy_input_read(&input, cache->path, &err)) {
        if (!parse(cache, &input)) {
            forget(cache);
        }
        sy_input_fini(&input);
    }
}

/* ---- writing ---- */

static bool put_all(const struct sy_cache *cache, FILE *out) {
    fprintf(out, "%s\n", cache->head);
    for (uint32_t id = 0; id < cache->texts.count; id++) {
        fprintf(out, "T %s\n", sy_intern_text(&cache->texts, id));
    }
    for (uint32_t id = 0; id < cache->offsets.count; id++) {
        uint64_t offset = 0;
        size_t offset_bytes = 0;
        memcpy(&offset, sy_intern_get(&cache->offsets, id, &offset_bytes), sizeof(offset));
        fprintf(out, "P 0x%" PRIx64, offset);
        for (uint32_t at = 0; at < cache->places[id].count; at++) {
            const struct sy_cache_frame frame = cache->frames[cache->places[id].start + at];
            fprintf(out, " %" PRIu32 " %" PRIu32 " %" PRIu32, frame.function_id, frame.file_id,
                    frame.line);
        }
        fputc('\n', out);
    }
    return fflush(out) == 0 && ferror(out) == 0;
}

static void save(const struct sy_cache *cache) {
    char *fresh = NULL;

    if (asprintf(&fresh, "%s.%d", cache->path, (int)getpid()) < 0) {
        return;
    }
    make_folders(fresh);
    FILE *const out = fopen(fresh, "wxe");
    if (out != NULL) {
        const bool is_put = put_all(cache, out);
        if ((fclose(out) != 0 || !is_put || rename(fresh, cache->path) != 0)) {
            (void)unlink(fresh);
        }
    }
    free(fresh);
}

void sy_cache_close(struct sy_cache *cache) {
    if (cache->path != NULL && cache->added_count >= kept_from) {
        save(cache);
    }
    forget(cache);
    free(cache->places);
    free(cache->frames);
    free(cache->path);
    free(cache->head);
    *cache = (struct sy_cache){0};
}

/* ---- asking ---- */

size_t sy_cache_find(const struct sy_cache *cache, uint64_t offset,
                     struct sy_frame frames[SY_FRAMES_MAX]) {
    const uint32_t idx = sy_intern_find(&cache->offsets, &offset, sizeof(offset));
    if (idx == SY_NONE) {
        return 0;
    }
    const struct sy_cache_place place = cache->places[idx];
    for (uint32_t at = 0; at < place.count; at++) {
        const struct sy_cache_frame frame = cache->frames[place.start + at];
        frames[at] = (struct sy_frame){.function = sy_intern_text(&cache->texts, frame.function_id),
                                       .file = sy_intern_text(&cache->texts, frame.file_id),
                                       .line = frame.line};
    }
    return place.count;
}

void sy_cache_add(struct sy_cache *cache, uint64_t offset, const struct sy_frame *frames,
                  size_t frame_count) {
    if (cache->path == NULL || frame_count == 0 || cache->offsets.count >= place_count_max) {
        return;
    }
    for (size_t at = 0; at < frame_count; at++) {
        /* A line end in a name would be the end of its line here. */
        if (strchr(frames[at].function, '\n') != NULL || strchr(frames[at].file, '\n') != NULL) {
            cache->frame_count -= at;
            return;
        }
        const struct sy_cache_frame frame = {
            .function_id = sy_intern_put_text(&cache->texts, frames[at].function),
            .file_id = sy_intern_put_text(&cache->texts, frames[at].file),
            .line = frames[at].line,
        };
        if (frame.function_id == SY_NONE || frame.file_id == SY_NONE || !add_frame(cache, &frame)) {
            cache->frame_count -= at;
            return;
        }
    }
    cache->added_count += add_place(cache, offset, (uint32_t)frame_count);
}
