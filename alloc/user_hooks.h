/* SPDX-License-Identifier: BSD-2-Clause
 *
 * user_hooks — memory of an arena that comes from the program's own functions, by jemalloc's
 * contract of extent_hooks_t.
 *
 *   alloc -> one hook extent -> runs of the arena, cut and merged inside it alone
 *                            -> purge_forced or purge_lazy of parts, as decay says
 *         -> dalloc, when all of it is free and purged; else, and when dalloc refuses, it stays
 *         -> destroy, when the arena is
 *
 * Owns:    the list of hook extents of each arena. The last granule of each is never used, so that
 * no run spans two: split and merge need not be asked, and purging names what alloc gave. Threads:
 * the program's functions are called with no lock held, and may allocate from other arenas. The
 * list: the arena's run lock. Fails:   NULL or false: what the program refused, or memory that does
 * not lie at a granule.
 */
#ifndef AL_USER_HOOKS_H
#define AL_USER_HOOKS_H

#include "alloc/runs.h"

/* jemalloc's extent_hooks_t, by its layout. bool: false is success. All but alloc may be NULL. */
struct al_user_hooks {
    void *(*alloc)(struct al_user_hooks *hooks, void *new_addr, size_t size_bytes,
                   size_t align_bytes, bool *is_zeroed, bool *is_committed, unsigned arena_idx);
    bool (*dalloc)(struct al_user_hooks *hooks, void *ptr, size_t size_bytes, bool is_committed,
                   unsigned arena_idx);
    void (*destroy)(struct al_user_hooks *hooks, void *ptr, size_t size_bytes, bool is_committed,
                    unsigned arena_idx);
    bool (*commit)(struct al_user_hooks *hooks, void *ptr, size_t size_bytes, size_t offset_bytes,
                   size_t length_bytes, unsigned arena_idx);
    bool (*decommit)(struct al_user_hooks *hooks, void *ptr, size_t size_bytes, size_t offset_bytes,
                     size_t length_bytes, unsigned arena_idx);
    bool (*purge_lazy)(struct al_user_hooks *hooks, void *ptr, size_t size_bytes,
                       size_t offset_bytes, size_t length_bytes, unsigned arena_idx);
    bool (*purge_forced)(struct al_user_hooks *hooks, void *ptr, size_t size_bytes,
                         size_t offset_bytes, size_t length_bytes, unsigned arena_idx);
    bool (*split)(struct al_user_hooks *hooks, void *ptr, size_t size_bytes, size_t size_a_bytes,
                  size_t size_b_bytes, bool is_committed, unsigned arena_idx);
    bool (*merge)(struct al_user_hooks *hooks, void *a, size_t a_bytes, void *b, size_t b_bytes,
                  bool is_committed, unsigned arena_idx);
};

/* What every arena has that was given no others: plain mappings. Programs read it to wrap it. */
extern struct al_user_hooks al_user_hooks_default;

/* The arena's table; setting it returns the old one. Memory that is there already stays who gave
 * it's. */
struct al_user_hooks *al_user_hooks_get(const struct al_runs *runs);
struct al_user_hooks *al_user_hooks_set(struct al_runs *runs, struct al_user_hooks *hooks);

/* A hook extent with room for `granules`, aligned to align_bytes; NULL: none. *is_zeroed: whether
 * they read as zero.
 */
AL_NODISCARD void *al_user_hooks_map(struct al_runs *runs, uint32_t granules, size_t align_bytes,
                                     bool *is_zeroed);

/* Purges [ptr, ptr + bytes), which lies in one hook extent. False: the program refused. */
enum al_user_purge { AL_USER_PURGE_LAZY, AL_USER_PURGE_FORCED };
AL_NODISCARD bool al_user_hooks_purge(struct al_runs *runs, void *ptr, size_t bytes,
                                      enum al_user_purge how);

/* Whether the address lies in a hook extent. */
bool al_user_hooks_own(struct al_runs *runs, uintptr_t addr);

/* Whether a free run is all there is to use of a hook extent. */
bool al_user_hooks_is_whole(struct al_runs *runs, uintptr_t base_addr, size_t bytes);

/* Gives the hook extent back whose usable part is exactly this free run; false: it is another part,
 * or the program wants it to stay. is_last: the arena ends; then it is destroyed if not given back.
 */
AL_NODISCARD bool al_user_hooks_unmap(struct al_runs *runs, uintptr_t base_addr, size_t bytes,
                                      bool is_last);

#endif
