/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control — what ctl/ may ask of the allocator besides statistics.
 *
 * Threads: any, unless it says "calling thread". No lock of alloc may be held.
 * Fails:   0 or an errno value, as the mallctl of the same name returns it.
 */
#ifndef AL_CONTROL_H
#define AL_CONTROL_H

#include "alloc/base.h"
#include "alloc/stale.h"

#include <sys/types.h>

/* jemalloc's limit: an index fits the flags of mallocx. */
enum { AL_ARENA_COUNT_MAX = 4094 };

/* Starts the allocator if nobody has allocated yet. */
void al_init(void);

/* Number of arena indexes in use: automatic ones first, then created ones. */
unsigned al_arena_count(void);
unsigned al_arena_auto_count(void);

struct al_user_hooks;

/* A new arena that no thread uses by itself; hooks: where its memory comes from (user_hooks.h).
 * EAGAIN: there can be no more, or the hooks gave nothing.
 */
int al_arena_create(unsigned *arena_idx);
int al_arena_create_hooked(struct al_user_hooks *hooks, unsigned *arena_idx);

/* The hooks of an arena, which is made if it is an automatic one. EFAULT: no such arena. */
int al_arena_hooks_get(unsigned arena_idx, struct al_user_hooks **hooks);
int al_arena_hooks_set(unsigned arena_idx, struct al_user_hooks *hooks);

/* The arena that owns the object at `ptr` (its start). EINVAL: no object of ours. */
int al_arena_lookup(const void *ptr, unsigned *arena_idx);

/* Calling thread's arena; setting gives the cache back first. EFAULT: no such arena. */
unsigned al_thread_arena_get(void);
int al_thread_arena_set(unsigned arena_idx);

/* What a program may tell an arena of itself. */
enum { AL_ARENA_NAME_BYTES = 32 };
struct al_arena_traits {
    size_t oversize_bytes;   /* without effect here */
    size_t grow_limit_bytes; /* most address space asked for beyond what a request needs */
    char name[AL_ARENA_NAME_BYTES];
};
AL_NODISCARD bool al_arena_traits_read(unsigned arena_idx, struct al_arena_traits *traits);

/* EFAULT: no such arena; of grow_limit also less than a page. Names are cut to 31 bytes. */
int al_arena_set_oversize(unsigned arena_idx, size_t bytes);
int al_arena_set_grow_limit(unsigned arena_idx, size_t bytes);
int al_arena_set_name(unsigned arena_idx, const char *name);

/* How full the memory around an object is; all zero if ptr is none of ours. */
struct al_utilization {
    size_t free_count, slot_count;         /* of the object's slab; 0 and 1 for a large object */
    size_t bytes;                          /* of the slab, or the large object */
    size_t bin_free_count, bin_slot_count; /* of all slabs of the class in the arena */
    const void *slab;                      /* NULL for a large object */
};
void al_utilization_read(const void *ptr, struct al_utilization *out);

/* Bytes of descriptors ever made. */
size_t al_extent_table_bytes(void);

/* Purges all dirty pages (arena_idx == UINT_MAX: of all arenas), the calling thread's cache emptied
 * first; or as decay says now.
 */
int al_arena_purge(unsigned arena_idx);
int al_arena_decay(unsigned arena_idx);
int al_arena_decay_ms_get(unsigned arena_idx, enum al_stale stale, ssize_t *decay_ms);
/* EFAULT: no such arena, or below -1, or more than 2^64 ns. */
int al_arena_decay_ms_set(unsigned arena_idx, enum al_stale stale, ssize_t decay_ms);

/* Of arenas made later. */
ssize_t al_arenas_decay_ms_get(enum al_stale stale);
int al_arenas_decay_ms_set(enum al_stale stale, ssize_t decay_ms);

/* Calling thread. Bytes ever allocated and freed, by usable size, exact. Asking for the
 * addresses puts the thread in exact mode: each operation keeps the counters (up to 70
 * instructions a pair), because the program reads them without telling us.
 */
uint64_t al_thread_allocated_bytes(void);
uint64_t al_thread_deallocated_bytes(void);
uint64_t *al_thread_allocated_ptr(void);
uint64_t *al_thread_deallocated_ptr(void);

/* Calling thread's cache. Turning it off flushes it. al_thread_tcache_flush: EFAULT without. */
bool al_thread_tcache_enabled(void);
void al_thread_tcache_set_enabled(bool is_enabled);
int al_thread_tcache_flush(void);

/* Sampling: al_sample_store (sample.h), and the calling thread's countdowns drawn anew at once.
 * Then the calling thread's own switch; both must be on for a sample.
 */
void al_sample_set(bool is_active, unsigned rate_lg);
void al_sample_set_thread(bool is_active);
bool al_sample_thread_is_active(void);

/* Size classes: small ones are slabs', large ones have runs of their own. */
unsigned al_class_small_count(void);
size_t al_class_small_bytes(unsigned class_idx);      /* object size */
size_t al_class_small_slab_bytes(unsigned class_idx); /* slab size */
uint32_t al_class_small_slots(unsigned class_idx);    /* objects a slab */
unsigned al_class_large_count(void);
size_t al_class_large_bytes(unsigned class_idx);
size_t al_class_tcache_max_bytes(void); /* largest size a thread cache holds */
size_t al_class_quantum_bytes(void);

#endif
