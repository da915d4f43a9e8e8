/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   mallctl keeps jemalloc's rules: names and MIBs, lengths, access, and numbers that
 *         satisfy the equations the documentation states.
 * Method: the whole library without the C library's names. Every row of the table is read with
 *         right and wrong lengths; then one test a family.
 */
#include "alloc/malloc.h"
#include "alloc/options.h"
#include "ctl/mallctl.h"
#include "ctl/node.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static size_t read_size(const char *name) {
    size_t value = 0;
    size_t value_bytes = sizeof(value);

    ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == 0, "%s", name);
    return value;
}

static uint64_t read_u64(const char *name) {
    uint64_t value = 0;
    size_t value_bytes = sizeof(value);

    ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == 0, "%s", name);
    return value;
}

static void refresh(void) {
    uint64_t epoch = 1;

    ck_assert_int_eq(mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)), 0);
}

/* "arena.<i>.purge" with every index 0. */
static void concrete(const char *path, char *name) {
    for (; *path != '\0'; path++) {
        if (path[0] == '<' && path[2] == '>') {
            *name++ = '0';
            path += 2;
        } else {
            *name++ = *path;
        }
    }
    *name = '\0';
}

START_TEST(every_row_obeys_the_rules_of_lengths) {
    char name[128];

    for (size_t idx = 0; idx < ct_node_count(); idx++) {
        const struct ct_node *const node = ct_node_at(idx);
        concrete(node->path, name);
        if ((node->access & CT_R) == 0 || node->type == CT_RAW ||
            (node->access & (CT_QUERY | CT_STRICT)) != 0) {
            continue;
        }
        union ct_value value;
        const size_t type_bytes = ct_type_bytes(node->type);
        size_t value_bytes = type_bytes;
        ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == 0, "read %s", name);
        value_bytes = type_bytes + 1;
        ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == EINVAL, "long %s", name);
        ck_assert_uint_eq(value_bytes, type_bytes);
        value_bytes = type_bytes - 1;
        ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == EINVAL, "short %s", name);
        ck_assert_uint_eq(value_bytes, type_bytes - 1);
        if ((node->access & CT_W) == 0) {
            ck_assert_msg(mallctl(name, NULL, NULL, &value, type_bytes) == EPERM, "write %s", name);
        }
    }
}
END_TEST

START_TEST(rows_are_sorted_and_explained) {
    for (size_t idx = 0; idx < ct_node_count(); idx++) {
        ck_assert(idx == 0 || strcmp(ct_node_at(idx - 1)->path, ct_node_at(idx)->path) < 0);
        ck_assert_uint_gt(strlen(ct_node_at(idx)->help), 8);
    }
}
END_TEST

START_TEST(a_mib_is_its_name) {
    char name[128];

    for (size_t idx = 0; idx < ct_node_count(); idx++) {
        size_t mib[CT_MIB_MAX];
        size_t mib_count = CT_MIB_MAX;
        if (strncmp(ct_node_at(idx)->path, "prof.stats.", 11) == 0) {
            continue; /* no index */
        }
        concrete(ct_node_at(idx)->path, name);
        ck_assert_msg(mallctlnametomib(name, mib, &mib_count) == 0, "%s", name);
        if (ct_node_at(idx)->access != CT_R || ct_node_at(idx)->type == CT_POINTER ||
            ct_node_at(idx)->type == CT_RAW) {
            continue;
        }
        uint64_t by_name = 0;
        uint64_t by_mib = 0;
        size_t name_bytes = ct_type_bytes(ct_node_at(idx)->type);
        size_t mib_bytes = name_bytes;
        ck_assert_int_eq(mallctl(name, &by_name, &name_bytes, NULL, 0), 0);
        ck_assert_int_eq(mallctlbymib(mib, mib_count, &by_mib, &mib_bytes, NULL, 0), 0);
        ck_assert_msg(by_name == by_mib, "%s", name);
    }
}
END_TEST

START_TEST(names_that_are_not_there_say_so) {
    static const char *const wrong[] = {
        "",       "versio",  "version.", "version.x",      ".version",    "arenas.bin.x",
        "arenas", "arena.0", "arena",    "stats.arenas.0", "opt.nothing", "arena.99999.purge"};
    size_t mib[CT_MIB_MAX];

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(wrong); idx++) {
        size_t mib_count = CT_MIB_MAX;
        ck_assert_msg(mallctl(wrong[idx], NULL, NULL, NULL, 0) == ENOENT, "%s", wrong[idx]);
        (void)mallctlnametomib(wrong[idx], mib, &mib_count);
    }
    const size_t wild[] = {999999, 4, 7};
    ck_assert_int_eq(mallctlbymib(wild, 3, NULL, NULL, NULL, 0), ENOENT);
    ck_assert_int_eq(mallctlbymib(wild, 0, NULL, NULL, NULL, 0), ENOENT);
}
END_TEST

/* What an index may look like: strtoul's rules, and nothing that is not there. */
START_TEST(indexes_are_read_as_jemalloc_reads_them) {
    static const struct {
        const char *name;
        int want;
    } names[] = {
        {"arena.0.purge", 0},
        {"arena.\t0.purge", 0},
        {"arena. \n\v\f\r+0x.purge", 0},
        {"arena.x.purge", ENOENT},
        {"arena. .purge", ENOENT},
        {"arena.-1.purge", ENOENT},
        {"arena.18446744073709551616.purge", ENOENT},
        {"arena.184467440737095516160000000000.purge", ENOENT},
        {"stats.arenas.18446744073709551616.pactive", ENOENT},
        {"arenas.bin.0.size", 0},
        {"arenas.bin.9999.size", ENOENT},
        {"arenas.bin.18446744073709551616.size", ENOENT},
        {"arenas.bin.9999.nshards", ENOENT},
        {"arenas.lextent.0.size", 0},
        {"arenas.lextent.9999.size", ENOENT},
    };

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(names); idx++) {
        size_t mib[CT_MIB_MAX];
        size_t mib_count = CT_MIB_MAX;
        ck_assert_msg(mallctlnametomib(names[idx].name, mib, &mib_count) == names[idx].want, "%s",
                      names[idx].name);
    }
    size_t mib[CT_MIB_MAX];
    size_t mib_count = CT_MIB_MAX;
    ck_assert_int_eq(mallctlnametomib("arenas.bin.0.size", mib, &mib_count), 0);
    mib[2] = 9999;
    ck_assert_int_eq(mallctlbymib(mib, mib_count, NULL, NULL, NULL, 0), ENOENT);
}
END_TEST

START_TEST(a_wrong_length_stops_the_write_but_on_the_marked_rows) {
    ssize_t old_ms = 0;
    ssize_t new_ms = 1234;
    size_t old_bytes = sizeof(old_ms);

    ck_assert_int_eq(mallctl("arena.0.dirty_decay_ms", &old_ms, &old_bytes, NULL, 0), 0);
    const ssize_t before_ms = old_ms;
    old_bytes = 4;
    ck_assert_int_eq(mallctl("arena.0.dirty_decay_ms", &old_ms, &old_bytes, &new_ms, 8), EINVAL);
    ck_assert_uint_eq(old_bytes, 4);
    old_bytes = sizeof(old_ms);
    ck_assert_int_eq(mallctl("arena.0.dirty_decay_ms", &old_ms, &old_bytes, NULL, 0), 0);
    ck_assert_int_eq(old_ms, before_ms);

    bool is_on = false;
    bool was_on[2] = {false};
    size_t was_on_bytes = sizeof(was_on);
    ck_assert_int_eq(mallctl("thread.tcache.enabled", was_on, &was_on_bytes, &is_on, 1), EINVAL);
    ck_assert_uint_eq(was_on_bytes, 1);
    ck_assert(was_on[0]); /* what was before */
    was_on_bytes = 1;
    ck_assert_int_eq(mallctl("thread.tcache.enabled", was_on, &was_on_bytes, NULL, 0), 0);
    ck_assert(!was_on[0]);
    is_on = true;
    ck_assert_int_eq(mallctl("thread.tcache.enabled", NULL, NULL, &is_on, 1), 0);

    const uint64_t epoch = read_u64("epoch");
    uint32_t low = 0;
    uint64_t any = 7;
    size_t low_bytes = sizeof(low);
    ck_assert_int_eq(mallctl("epoch", &low, &low_bytes, &any, sizeof(any)), EINVAL);
    ck_assert_uint_eq(read_u64("epoch"), epoch + 1);
}
END_TEST

START_TEST(an_epoch_that_is_written_is_read_anew) {
    uint64_t epoch = 0;
    size_t epoch_bytes = sizeof(epoch);
    const uint64_t before = read_u64("epoch");

    ck_assert_int_eq(mallctl("epoch", &epoch, &epoch_bytes, &epoch, sizeof(epoch)), 0);
    ck_assert_uint_eq(epoch, before + 1);
}
END_TEST

START_TEST(options_are_readable_as_they_stand) {
    char name[128];

    for (size_t idx = 0; idx < al_option_count; idx++) {
        if (!al_option_rows[idx].is_node) {
            continue;
        }
        union ct_value value;
        size_t value_bytes = sizeof(value);
        snprintf(name, sizeof(name), "opt.%s", al_option_rows[idx].key);
        const int err = mallctl(name, &value, &value_bytes, NULL, 0);
        ck_assert_msg(err == 0 || err == EINVAL, "%s: %d", name, err);
        ck_assert_int_eq(mallctl(name, NULL, NULL, &value, value_bytes), EPERM);
    }
    const char *word = NULL;
    size_t word_bytes = sizeof(word);
    ck_assert_int_eq(mallctl("opt.zero_realloc", &word, &word_bytes, NULL, 0), 0);
    const char *const first = word;
    ck_assert_int_eq(mallctl("opt.thp", &word, &word_bytes, NULL, 0), 0);
    ck_assert_str_eq(first, "free"); /* what was read stays what it was */
}
END_TEST

START_TEST(statistics_satisfy_their_equations) {
    void *held[300];

    ck_assert_int_eq(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
    refresh();
    const size_t before = read_size("stats.allocated");
    for (size_t idx = 0; idx < 300; idx++) {
        held[idx] = al_malloc(idx * 1000 + 1);
    }
    refresh();
    const size_t after = read_size("stats.allocated");
    ck_assert_uint_ge(after, before + 44000000);
    ck_assert_uint_le(after, read_size("stats.active"));
    ck_assert_uint_le(read_size("stats.active"), read_size("stats.resident"));
    ck_assert_uint_le(read_size("stats.resident"), read_size("stats.mapped"));
    ck_assert_uint_gt(read_size("stats.metadata"), 0);
    for (size_t idx = 0; idx < 300; idx++) {
        al_free(held[idx]);
    }
    ck_assert_uint_eq(read_size("stats.allocated"), after); /* until the next epoch */
    ck_assert_int_eq(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
    refresh();
    ck_assert_uint_eq(read_size("stats.allocated"), before);
}
END_TEST

START_TEST(thread_counters_are_exact) {
    uint64_t *counter = NULL;
    size_t counter_bytes = sizeof(counter);
    const uint64_t before = read_u64("thread.allocated");

    al_free(al_malloc(1000));
    ck_assert_uint_eq(read_u64("thread.allocated"), before + 1008);
    ck_assert_int_eq(mallctl("thread.allocatedp", &counter, &counter_bytes, NULL, 0), 0);
    ck_assert_uint_eq(*counter, before + 1008);
    void *const ptr = al_malloc(100000);
    ck_assert_uint_eq(*counter, before + 1008 + al_malloc_usable_size(ptr));
    al_free(ptr);
}
END_TEST

START_TEST(caches_and_arenas_of_a_thread) {
    bool is_enabled = false;
    size_t is_enabled_bytes = sizeof(is_enabled);
    unsigned arena_idx = 0;
    size_t arena_idx_bytes = sizeof(arena_idx);
    bool off = false;

    ck_assert_int_eq(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
    ck_assert_int_eq(mallctl("thread.tcache.enabled", &is_enabled, &is_enabled_bytes, &off, 1), 0);
    ck_assert(is_enabled);
    ck_assert_int_eq(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), EFAULT);
    al_free(al_malloc(100));
    ck_assert_int_eq(mallctl("arenas.create", &arena_idx, &arena_idx_bytes, NULL, 0), 0);
    ck_assert_int_eq(mallctl("thread.arena", NULL, NULL, &arena_idx, sizeof(arena_idx)), 0);
    void *const ptr = al_malloc(100);
    unsigned found_idx = 0;
    size_t found_bytes = sizeof(found_idx);
    ck_assert_int_eq(
        mallctl("arenas.lookup", &found_idx, &found_bytes, (void *)(uintptr_t)&ptr, sizeof(ptr)),
        0);
    ck_assert_uint_eq(found_idx, arena_idx);
    al_free(ptr);
    ck_assert_int_eq(mallctl("arena.0.purge", NULL, NULL, NULL, 0), 0);
    ck_assert_int_eq(mallctl("arena.4096.purge", NULL, NULL, NULL, 0), 0);
}
END_TEST

/* prof.active in a process that was started without any option. */
START_TEST(profiling_can_be_switched_on) {
    bool on = true;
    bool is_active = true;
    size_t is_active_bytes = sizeof(is_active);
    size_t rate_lg = 0;
    const char *path = "mallctl_test.heap";
    char folder[512];

    snprintf(folder, sizeof(folder), "%s/mallctl_test.heap",
             getenv("TEST_TMPDIR") != NULL ? getenv("TEST_TMPDIR") : "/tmp");
    path = folder;
    ck_assert_int_eq(mallctl("prof.active", &is_active, &is_active_bytes, NULL, 0), 0);
    ck_assert(!is_active);
    ck_assert_int_eq(mallctl("prof.reset", NULL, NULL, &rate_lg, sizeof(rate_lg)), 0);
    ck_assert_int_eq(mallctl("prof.active", NULL, NULL, &on, sizeof(on)), 0);
    void *const ptr = al_malloc(12345);
    ck_assert_int_eq(mallctl("prof.dump", NULL, NULL, (void *)&path, sizeof(path)), 0);
    al_free(ptr);
    FILE *const dump = fopen(path, "r");
    ck_assert_ptr_nonnull(dump);
    char text[4096] = "";
    ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, dump), 100);
    (void)fclose(dump);
    ck_assert_ptr_nonnull(strstr(text, "heap_v2/1\n"));
    ck_assert_ptr_nonnull(strstr(text, "14336")); /* the class of 12,345 bytes */

    const char *const nowhere = "/nonexistent/folder/x.heap";
    ck_assert_int_eq(mallctl("prof.dump", NULL, NULL, (void *)(uintptr_t)&nowhere, sizeof(nowhere)),
                     EFAULT);
}
END_TEST

static void *run_reader(void *arg) {
    for (int round = 0; round < 20; round++) {
        every_row_obeys_the_rules_of_lengths_fn(0);
    }
    return arg;
}

START_TEST(rows_may_be_read_from_many_threads) {
    pthread_t threads[8];

    for (size_t idx = 0; idx < 8; idx++) {
        ck_assert_int_eq(pthread_create(&threads[idx], NULL, run_reader, NULL), 0);
    }
    for (size_t idx = 0; idx < 8; idx++) {
        ck_assert_int_eq(pthread_join(threads[idx], NULL), 0);
    }
}
END_TEST

struct printed {
    char text[8 << 20];
    size_t text_bytes;
};

static void collect(void *opaque, const char *text) {
    struct printed *const printed = opaque;
    const size_t text_bytes = strlen(text);

    ck_assert_uint_lt(printed->text_bytes + text_bytes, sizeof(printed->text));
    memcpy(printed->text + printed->text_bytes, text, text_bytes + 1);
    printed->text_bytes += text_bytes;
}

START_TEST(statistics_print_as_text_and_json) {
    static struct printed printed;
    int depth = 0;

    malloc_stats_print(collect, &printed, NULL);
    ck_assert_ptr_nonnull(strstr(printed.text, "___ Begin jemalloc statistics ___\n"));
    ck_assert_ptr_nonnull(strstr(printed.text, "--- End jemalloc statistics ---\n"));
    ck_assert_ptr_nonnull(strstr(printed.text, "allocated: "));
    printed.text_bytes = 0;
    malloc_stats_print(collect, &printed, "J");
    for (const char *at = printed.text; *at != '\0'; at++) {
        depth += *at == '{' ? 1 : *at == '}' ? -1 : 0;
        ck_assert_int_ge(depth, 0);
    }
    ck_assert_int_eq(depth, 0);
    ck_assert_ptr_nonnull(strstr(printed.text, "\"jemalloc\": {"));
    ck_assert_ptr_nonnull(strstr(printed.text, "\"allocated\": "));
}
END_TEST

/* Longer than a line, full of what JSON escapes. */
START_TEST(a_long_text_is_printed_whole) {
    static struct printed printed;
    static char prefix[2000];

    memset(prefix, '"', sizeof(prefix) - 1);
    const char *const saved = al_options.prof_prefix;
    al_options.prof_prefix = prefix;
    malloc_stats_print(collect, &printed, "J");
    al_options.prof_prefix = saved;
    const char *const at = strstr(printed.text, "\"prof_prefix\": \"");
    ck_assert_ptr_nonnull(at);
    const char *const text = at + strlen("\"prof_prefix\": \"");
    for (size_t idx = 0; idx < sizeof(prefix) - 1; idx++) {
        ck_assert(text[2 * idx] == '\\' && text[2 * idx + 1] == '"');
    }
    ck_assert_int_eq(text[2 * (sizeof(prefix) - 1)], '"');
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("mallctl");

    tcase_add_test(tcase, every_row_obeys_the_rules_of_lengths);
    tcase_add_test(tcase, rows_are_sorted_and_explained);
    tcase_add_test(tcase, a_mib_is_its_name);
    tcase_add_test(tcase, names_that_are_not_there_say_so);
    tcase_add_test(tcase, indexes_are_read_as_jemalloc_reads_them);
    tcase_add_test(tcase, a_wrong_length_stops_the_write_but_on_the_marked_rows);
    tcase_add_test(tcase, an_epoch_that_is_written_is_read_anew);
    tcase_add_test(tcase, options_are_readable_as_they_stand);
    tcase_add_test(tcase, statistics_satisfy_their_equations);
    tcase_add_test(tcase, thread_counters_are_exact);
    tcase_add_test(tcase, caches_and_arenas_of_a_thread);
    tcase_add_test(tcase, profiling_can_be_switched_on);
    tcase_add_test(tcase, rows_may_be_read_from_many_threads);
    tcase_add_test(tcase, statistics_print_as_text_and_json);
    tcase_add_test(tcase, a_long_text_is_printed_whole);
    return suite_run(tcase, "mallctl", 60);
}
