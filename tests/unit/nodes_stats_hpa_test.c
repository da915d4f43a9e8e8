/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   what jemalloc tells of a huge-page allocator is there for programs that read it, and is
 *         zero, with memory in use and after it has been freed.
 * Method: every row by name and by MIB, into bytes that were not zero before.
 */
#include "alloc/malloc.h"
#include "ctl/nodes.h"
#include "tests/support/ctl.h"
#include "tests/support/suite.h"

#include <errno.h>

enum { BUCKET_COUNT = 64 };

/* The row's name in arena 0, and in bucket `bucket`. */
static void concrete(const char *path, unsigned bucket, char *name, size_t name_room) {
    const char *const bucket_at = strstr(path, "<j>");
    const char *const rest = path + strlen("stats.arenas.<i>");

    if (bucket_at == NULL) {
        (void)snprintf(name, name_room, "stats.arenas.0%s", rest);
    } else {
        (void)snprintf(name, name_room, "stats.arenas.0%.*s%u%s", (int)(bucket_at - rest), rest,
                       bucket, bucket_at + 3);
    }
}

static void assert_zero(const struct ct_node *node, unsigned bucket) {
    char name[128];
    size_t mib[CT_MIB_MAX];
    size_t mib_count = CT_MIB_MAX;
    uint64_t value = ~UINT64_C(0);
    size_t value_bytes = sizeof(value);

    concrete(node->path, bucket, name, sizeof(name));
    ck_assert_msg(mallctl(name, &value, &value_bytes, NULL, 0) == 0, "%s", name);
    ck_assert_msg(value == 0 && value_bytes == sizeof(value), "%s", name);
    value = ~UINT64_C(0);
    ck_assert_int_eq(mallctlnametomib(name, mib, &mib_count), 0);
    ck_assert_int_eq(mallctlbymib(mib, mib_count, &value, &value_bytes, NULL, 0), 0);
    ck_assert_msg(value == 0, "%s", name);
    ck_assert_int_eq(ctl_write(name, &value, sizeof(value)), EPERM);
}

static void assert_all_zero(void) {
    for (size_t idx = 0; idx < ct_nodes_stats_hpa_count; idx++) {
        ck_assert_ptr_nonnull(strstr(ct_nodes_stats_hpa[idx].help, "always zero"));
        assert_zero(&ct_nodes_stats_hpa[idx], 0);
        assert_zero(&ct_nodes_stats_hpa[idx], BUCKET_COUNT - 1);
    }
}

START_TEST(every_row_is_zero) {
    void *blocks[8];

    for (size_t idx = 0; idx < AL_ARRAY_COUNT(blocks); idx++) {
        blocks[idx] = al_malloc((size_t)3 << 20);
        ck_assert_ptr_nonnull(blocks[idx]);
        memset(blocks[idx], 1, (size_t)3 << 20);
    }
    ctl_refresh();
    assert_all_zero();
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(blocks); idx++) {
        al_free(blocks[idx]);
    }
    ctl_refresh();
    assert_all_zero();
}
END_TEST

START_TEST(buckets_end) {
    ck_assert_int_eq(ctl_do("stats.arenas.0.hpa_shard.nonfull_slabs.64.ndirty_huge"), ENOENT);
    ck_assert_int_eq(ctl_do("stats.arenas.0.hpa_shard.nonfull_slabs.63.ndirty_huge"), 0);
    ck_assert_int_eq(ctl_do("stats.arenas.999.hpa_shard.ndirty"), ENOENT);
    ck_assert_int_eq(ctl_do("stats.arenas.0.hpa_shard.nothing"), ENOENT);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("nodes_stats_hpa");

    tcase_add_test(tcase, every_row_is_zero);
    tcase_add_test(tcase, buckets_end);
    return suite_run(tcase, "nodes_stats_hpa", 60);
}
