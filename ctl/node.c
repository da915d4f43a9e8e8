/* SPDX-License-Identifier: BSD-2-Clause
 *
 * node — mallctl's rules, written once.
 */
#include "ctl/node.h"

#include "alloc/lock.h"
#include "prof/prof.h"

#include <errno.h>
#include <string.h>

static struct al_lock lock;

size_t ct_type_bytes(enum ct_type type) {
    switch (type) {
    case CT_NONE:
    case CT_RAW:
        return 0;
    case CT_BOOL:
        return sizeof(bool);
    case CT_U32:
        return sizeof(uint32_t);
    case CT_SIZE:
    case CT_SSIZE:
        return sizeof(size_t);
    case CT_U64:
        return sizeof(uint64_t);
    case CT_TEXT:
    case CT_POINTER:
        break;
    }
    return sizeof(void *);
}

/* Whether the row allows what the arguments ask for. */
static bool is_allowed(const struct ct_node *node, const void *old_value, const size_t *old_bytes,
                       const void *new_value, size_t new_bytes) {
    const bool has_old = old_value != NULL || old_bytes != NULL;
    const bool has_new = new_value != NULL || new_bytes != 0;

    if ((node->access & CT_CALL) != 0) {
        return (node->access & CT_ANY) != 0 || (!has_old && !has_new);
    }
    if ((node->access & CT_EITHER) != 0 && has_old && has_new) {
        return false;
    }
    return (!has_old || (node->access & CT_R) != 0) && (!has_new || (node->access & CT_W) != 0);
}

static int read_locked(const struct ct_node *node, const struct ct_args *args, void *old_value,
                       size_t *old_bytes) {
    al_lock_assert_held(&lock);
    AL_ASSERT(node->get != NULL);
    AL_ASSERT((node->access & CT_R) != 0);
    const size_t type_bytes = ct_type_bytes(node->type);
    union ct_value value;

    memset(&value, 0, sizeof(value));
    const int err = node->get(args, &value);
    if (err != 0 || old_value == NULL || old_bytes == NULL) {
        return err;
    }
    const size_t copied_bytes = *old_bytes < type_bytes ? *old_bytes : type_bytes;
    memcpy(old_value, &value, copied_bytes);
    if (*old_bytes != type_bytes) {
        *old_bytes = copied_bytes;
        return EINVAL;
    }
    return 0;
}

/* The new value, as the row's function wants it. */
static union ct_value value_of(const struct ct_node *node, const void *new_value) {
    AL_ASSERT(new_value != NULL);
    union ct_value value;

    memset(&value, 0, sizeof(value));
    memcpy(&value, new_value,
           (node->access & CT_QUERY) != 0 ? sizeof(void *) : ct_type_bytes(node->type));
    return value;
}

/* The read shows what was before the write, and a read with a wrong length leaves all as it was:
 * so jemalloc does, except on the rows that are marked.
 */
static int call_locked(const struct ct_node *node, struct ct_args *args, void *old_value,
                       size_t *old_bytes, const union ct_value *in) {
    al_lock_assert_held(&lock);
    AL_ASSERT(in == NULL || node->set != NULL || (node->access & CT_QUERY) != 0);
    const bool is_query = (node->access & CT_QUERY) != 0;
    const bool is_write = in != NULL && !is_query;
    int read_err = 0;

    args->query = is_query ? in : NULL;
    if (is_write && (node->access & CT_WRITE_FIRST) != 0) {
        const int write_err = node->set(args, in);
        return write_err != 0 ? write_err : read_locked(node, args, old_value, old_bytes);
    }
    if ((node->access & CT_R) != 0) {
        read_err = read_locked(node, args, old_value, old_bytes);
    }
    const bool is_wrong_length = read_err == EINVAL && (node->access & CT_WRITE_ANYWAY) != 0;
    if (is_write && (read_err == 0 || is_wrong_length)) {
        const int write_err = node->set(args, in);
        return write_err != 0 ? write_err : read_err;
    }
    return read_err;
}

/* A write of false asks for nothing. */
static bool is_request(const struct ct_node *node, const void *new_value) {
    AL_ASSERT(node != NULL);
    return node->type != CT_BOOL || (new_value != NULL && *(const bool *)new_value);
}

static int call_raw(const struct ct_node *node, const struct ct_args *args,
                    const struct ct_buffers *buffers) {
    AL_ASSERT(buffers != NULL);
    AL_ASSERT(node->raw != NULL);
    if ((node->access & CT_UNLOCKED) != 0) {
        return node->raw(args, buffers);
    }
    al_lock_take(&lock, AL_RANK_CTL);
    const int err = node->raw(args, buffers);
    al_lock_give(&lock);
    return err;
}

int ct_node_call(const struct ct_node *node, const struct ct_args *args, void *old_value,
                 size_t *old_bytes, const void *new_value, size_t new_bytes) {
    AL_ASSERT(node != NULL && args != NULL);
    AL_ASSERT(args->mib_count <= CT_MIB_MAX);
    const bool is_query = (node->access & CT_QUERY) != 0;
    const size_t type_bytes = ct_type_bytes(node->type);
    const size_t new_type_bytes = is_query ? sizeof(void *) : type_bytes;
    struct ct_args own_args = *args;
    union ct_value value;
    const union ct_value *in = NULL;
    int err = 0;

    if (node->type == CT_RAW) {
        return call_raw(node, args,
                        &(struct ct_buffers){old_value, old_bytes, new_value, new_bytes});
    }
    if (!is_allowed(node, old_value, old_bytes, new_value, new_bytes)) {
        return EPERM;
    }
    if ((node->access & CT_CALL) == 0 && new_value != NULL && new_bytes != new_type_bytes) {
        return EINVAL;
    }
    /* A write-only row without a value: only prof.dump and the like know what that means. */
    if ((node->access & CT_STRICT) != 0 &&
        (old_value == NULL || old_bytes == NULL || *old_bytes != type_bytes)) {
        if (old_bytes != NULL) {
            *old_bytes = 0;
        }
        return EINVAL;
    }
    if ((node->access & CT_STARTS_PROF) != 0 && is_request(node, new_value)) {
        /* Opens a library: not under a lock that a constructor of it may want. */
        const int start_err = pf_start();
        if (start_err != 0) {
            return start_err;
        }
    }
    if (new_value != NULL && (node->access & CT_CALL) == 0) {
        value = value_of(node, new_value);
        in = &value;
    }
    if ((node->access & CT_UNLOCKED) != 0) {
        return node->set(&own_args, in);
    }
    al_lock_take(&lock, AL_RANK_CTL);
    const bool is_plain_set =
        (node->access & CT_CALL) != 0 || ((node->access & CT_R) == 0 && in == NULL);
    err = is_plain_set ? node->set(&own_args, NULL)
                       : call_locked(node, &own_args, old_value, old_bytes, in);
    al_lock_give(&lock);
    return err;
}

void ct_lock_stats(struct al_lock_stats *stats, bool is_reset) {
    if (is_reset) {
        al_lock_stats_reset_locked(&lock);
    }
    al_lock_stats_read_locked(&lock, stats);
}

void ct_lock_take(void) {
    al_lock_take(&lock, AL_RANK_CTL);
}

void ct_lock_give(void) {
    al_lock_give(&lock);
}

void ct_fork_prepare(void) {
    al_lock_take(&lock, AL_RANK_CTL);
}

void ct_fork_parent(void) {
    al_lock_give(&lock);
}

void ct_fork_child(void) {
    al_lock_reset(&lock);
}
