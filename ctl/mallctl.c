/* SPDX-License-Identifier: BSD-2-Clause
 *
 * mallctl — jemalloc's three public functions over the table.
 */
#include "ctl/mallctl.h"

#include "alloc/control.h"
#include "ctl/node.h"
#include "ctl/path.h"

#include <errno.h>
#include <string.h>

int mallctl(const char *name, void *oldp, size_t *oldlenp, void *newp, size_t newlen) {
    size_t mib[CT_MIB_MAX];
    size_t mib_count = CT_MIB_MAX;

    al_init();
    if (name == NULL || ct_path_to_mib(name, mib, &mib_count) != 0) {
        return ENOENT;
    }
    return mallctlbymib(mib, mib_count, oldp, oldlenp, newp, newlen);
}

int mallctlnametomib(const char *name, size_t *mibp, size_t *miblenp) {
    al_init();
    return name == NULL ? ENOENT : ct_path_to_mib(name, mibp, miblenp);
}

int mallctlbymib(const size_t *mib, size_t miblen, void *oldp, size_t *oldlenp, void *newp,
                 size_t newlen) {
    const struct ct_node *node = NULL;
    struct ct_node made;
    struct ct_args args;

    al_init();
    const int err = ct_path_find(mib, miblen, &args, &node, &made);
    return err != 0 ? err : ct_node_call(node, &args, oldp, oldlenp, newp, newlen);
}
