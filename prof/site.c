/* SPDX-License-Identifier: BSD-2-Clause
 *
 * site — tables of buckets with lists that only grow.
 *
 * 2^16 buckets at most: a program has some thousands of sampled stacks, 50,000 at the worst seen,
 * so lists stay around one entry.
 */
#include "prof/site.h"

#include "alloc/os.h"
#include "alloc/sample.h"
#include "prof/pool.h"

#include <stdatomic.h>
#include <string.h>

/* Three tables, one behind the other: a site goes into the last one in use, and stays there. Most
 * programs have some hundred sites: in one large table each of them would touch a page of its own.
 */
enum { LEVEL_COUNT = 3, SITES_PER_BUCKET = 2 };
static const unsigned level_lg[LEVEL_COUNT] = {9, 12, 16};

enum {
    LEVEL_1_FIRST = 1 << 9, /* buckets before those of a level */
    LEVEL_2_FIRST = LEVEL_1_FIRST + (1 << 12),
    BUCKET_COUNT = LEVEL_2_FIRST + (1 << 16),
};
static const uint32_t level_first[LEVEL_COUNT + 1] = {0, LEVEL_1_FIRST, LEVEL_2_FIRST,
                                                      BUCKET_COUNT};

static struct {
    _Atomic(struct pf_site *) *buckets; /* set once by start */
    _Atomic(struct pf_thread *) threads;
    _Atomic uint32_t site_count; /* written under lock */
    _Atomic uint64_t thread_count;
    _Atomic uint64_t sample_count;
    _Atomic uint32_t rate_lg_min;

    /* Guarded by lock: unused records and threads, threads' names, adding sites. */
    struct al_lock lock;
    struct pf_record *unused;
    struct pf_thread *unused_threads;
} table;

static AL_SPARSE _Atomic(struct pf_site *) first_buckets[BUCKET_COUNT];

static AL_TLS_IE struct pf_thread *self;

/* Where the allocator keeps the same beside the thread's cache, for who buries it; NULL: it has
 * none yet, or no more.
 */
static AL_TLS_IE void **self_slot;

bool pf_site_start(void) {
    if (table.buckets != NULL) {
        return true;
    }
    table.buckets = first_buckets;
    atomic_store(&table.rate_lg_min, AL_SAMPLE_RATE_LG_MAX);
    return table.buckets != NULL;
}

uint64_t pf_site_sample_count(void) {
    return atomic_load_explicit(&table.sample_count, memory_order_relaxed);
}

unsigned pf_site_rate_lg_min(void) {
    const unsigned lowest = atomic_load_explicit(&table.rate_lg_min, memory_order_relaxed);
    const unsigned now = al_sample_rate_lg();

    return lowest < now ? lowest : now;
}

/* Sequentially consistent, unless nobody else is there. Returns what it was. */
static uint64_t count_add(_Atomic uint64_t *count, uint64_t more) {
    if (al_is_alone()) {
        const uint64_t old = atomic_load_explicit(count, memory_order_relaxed);
        atomic_store_explicit(count, old + more, memory_order_relaxed);
        return old;
    }
    return atomic_fetch_add(count, more);
}

/* ---- records ---- */

static struct pf_record *take_record(struct pf_thread *thread) {
    struct pf_record *record = thread->records;

    if (record != NULL) {
        thread->records = record->unused_next;
        thread->record_count--;
        return record;
    }
    al_lock_take(&table.lock, AL_RANK_PROF_SITE);
    record = table.unused;
    if (record != NULL) {
        table.unused = record->unused_next;
    }
    al_lock_give(&table.lock);
    return record != NULL ? record : pf_pool_take(sizeof(struct pf_record));
}

static void give_record(struct pf_record *record) {
    AL_ASSERT(record != NULL);
    struct pf_thread *const thread = self;

    if (thread != NULL && thread->record_count < PF_THREAD_RECORD_COUNT_MAX) {
        record->unused_next = thread->records;
        thread->records = record;
        thread->record_count++;
        return;
    }
    al_lock_take(&table.lock, AL_RANK_PROF_SITE);
    record->unused_next = table.unused;
    table.unused = record;
    al_lock_give(&table.lock);
}

/* ---- threads ---- */

struct pf_thread *pf_thread_first(void) {
    return atomic_load_explicit(&table.threads, memory_order_acquire);
}

/* An entry that nobody holds, with the number of a new thread. NULL: there is none. */
static struct pf_thread *reuse_thread(uint64_t uid) {
    al_lock_take(&table.lock, AL_RANK_PROF_SITE);
    struct pf_thread *const thread = table.unused_threads;
    if (thread != NULL) {
        AL_ASSERT(atomic_load(&thread->hold_count) == 0 && !atomic_load(&thread->is_live));
        table.unused_threads = thread->unused_next;
        thread->name[0] = '\0';
        atomic_store(&thread->uid, uid);
        atomic_store(&thread->hold_count, 1);
        atomic_store(&thread->is_live, true);
    }
    al_lock_give(&table.lock);
    return thread;
}

/* The thread has ended, or one of its samples is freed. */
static void let_go(struct pf_thread *thread) {
    AL_ASSERT(atomic_load(&thread->hold_count) > 0);
    if (count_add(&thread->hold_count, UINT64_MAX) == 1) {
        al_lock_take(&table.lock, AL_RANK_PROF_SITE);
        thread->unused_next = table.unused_threads;
        table.unused_threads = thread;
        al_lock_give(&table.lock);
    }
}

static struct pf_thread *make_thread(void) {
    const uint64_t uid = atomic_fetch_add(&table.thread_count, 1);
    struct pf_thread *thread = reuse_thread(uid);
    if (thread != NULL) {
        return thread;
    }
    thread = pf_pool_take(sizeof(struct pf_thread));
    if (thread == NULL) {
        return NULL;
    }
    atomic_store(&thread->uid, uid);
    atomic_store(&thread->hold_count, 1);
    atomic_store(&thread->is_live, true);
    thread->next = pf_thread_first();
    while (!atomic_compare_exchange_weak_explicit(&table.threads, &thread->next, thread,
                                                  memory_order_release, memory_order_acquire)) {
    }
    return thread;
}

struct pf_thread *pf_thread_self(void) {
    if (AL_UNLIKELY(self == NULL)) {
        self = make_thread();
        if (self_slot != NULL) {
            *self_slot = self;
        }
    }
    return self;
}

void pf_thread_set_name(struct pf_thread *thread, const char *name) {
    AL_ASSERT(thread != NULL && name != NULL);
    size_t len_bytes = strlen(name);
    len_bytes = len_bytes < PF_THREAD_NAME_BYTES - 1 ? len_bytes : PF_THREAD_NAME_BYTES - 1;

    al_lock_take(&table.lock, AL_RANK_PROF_SITE);
    memcpy(thread->name, name, len_bytes);
    thread->name[len_bytes] = '\0';
    al_lock_give(&table.lock);
}

void pf_thread_copy_name(const struct pf_thread *thread, char name[PF_THREAD_NAME_BYTES]) {
    al_lock_take(&table.lock, AL_RANK_PROF_SITE);
    memcpy(name, thread->name, PF_THREAD_NAME_BYTES);
    al_lock_give(&table.lock);
}

void pf_thread_started(void **slot) {
    AL_ASSERT(slot != NULL);
    self_slot = slot;
    *slot = self;
}

void pf_thread_ended(void **slot) {
    AL_ASSERT(slot != NULL);
    struct pf_thread *const thread = *slot;

    *slot = NULL;
    if (slot == self_slot) { /* else another thread's, which ended without a word */
        self_slot = NULL;
        self = NULL;
    }
    if (thread != NULL) {
        while (thread->records != NULL) { /* at most PF_THREAD_RECORD_COUNT_MAX */
            give_record(take_record(thread));
        }
        atomic_store(&thread->is_live, false);
        let_go(thread); /* survivors keep the entry, and their lines in dumps, as they are */
    }
}

/* ---- sites and cells ---- */

static uint64_t hash_of(const uintptr_t *frames, uint32_t depth) {
    AL_ASSERT(frames != NULL);
    uint64_t hash = depth;

    for (uint32_t idx = 0; idx < depth; idx++) {
        hash = (hash ^ frames[idx]) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    return hash;
}

static struct pf_site *find_site(struct pf_site *site, uint64_t hash, const uintptr_t *frames,
                                 uint32_t depth) {
    for (; site != NULL; site = site->next) {
        if (site->hash == hash && site->depth == depth &&
            memcmp(site->frames, frames, depth * sizeof(*frames)) == 0) {
            return site;
        }
    }
    return NULL;
}

/* The level that new sites go into. */
static unsigned last_level(void) {
    const uint32_t count = atomic_load_explicit(&table.site_count, memory_order_relaxed);
    unsigned level = 0;

    while (level < LEVEL_COUNT - 1 && count >> level_lg[level] >= SITES_PER_BUCKET) {
        level++;
    }
    return level;
}

static _Atomic(struct pf_site *) *bucket_of(uint64_t hash, unsigned level) {
    AL_ASSERT(level < LEVEL_COUNT);
    return &table.buckets[level_first[level] + (uint32_t)(hash >> (64 - level_lg[level]))];
}

/* NULL: there is no such site, or it is being added now. */
static struct pf_site *find(uint64_t hash, const uintptr_t *frames, uint32_t depth) {
    struct pf_site *found = NULL;

    for (unsigned level = last_level() + 1; level-- > 0 && found == NULL;) {
        found = find_site(atomic_load_explicit(bucket_of(hash, level), memory_order_acquire), hash,
                          frames, depth);
    }
    return found;
}

static struct pf_site *intern(const uintptr_t *frames, uint32_t depth) {
    AL_ASSERT(table.buckets != NULL);
    AL_ASSERT(frames != NULL);
    const uint64_t hash = hash_of(frames, depth);
    struct pf_site *found = find(hash, frames, depth);

    if (AL_LIKELY(found != NULL)) {
        return found;
    }
    struct pf_site *const site = pf_pool_take(sizeof(struct pf_site) + depth * sizeof(*frames));
    if (site == NULL) {
        return NULL;
    }
    site->hash = hash;
    site->depth = depth;
    memcpy(site->frames, frames, depth * sizeof(*frames));
    /* Readers need no lock; adding takes one so that fork can hold all sites still. */
    al_lock_take(&table.lock, AL_RANK_PROF_SITE);
    found = find(hash, frames, depth);
    if (found == NULL) {
        _Atomic(struct pf_site *) *const bucket = bucket_of(hash, last_level());
        site->next = atomic_load_explicit(bucket, memory_order_relaxed);
        atomic_store_explicit(bucket, site, memory_order_release);
        atomic_fetch_add_explicit(&table.site_count, 1, memory_order_release);
        found = site;
    } /* else another thread was first; ours is lost, some hundred bytes */
    al_lock_give(&table.lock);
    return found;
}

static bool is_past(const struct pf_cell *cell) {
    return cell->uid != atomic_load_explicit(&cell->thread->uid, memory_order_relaxed);
}

static bool is_idle(const struct pf_cell *cell) {
    AL_ASSERT(cell->thread != NULL);
    return cell->live.sample_count == 0 && (is_past(cell) || !atomic_load(&cell->thread->is_live));
}

/* Gives an idle cell to a thread; what it counted stays with the site. */
static void take_over_locked(struct pf_site *site, struct pf_cell *cell, struct pf_thread *thread) {
    al_lock_assert_held(&site->lock);
    AL_ASSERT(is_idle(cell));
    pf_counts_add(&site->past, &cell->total);
    cell->total = (struct pf_counts){0};
    cell->thread = thread;
    cell->uid = atomic_load_explicit(&thread->uid, memory_order_relaxed);
}

/* The calling thread's cell of a site, if it has one. Nobody gives a living thread's cell away. */
static struct pf_cell *find_cell(struct pf_site *site, const struct pf_thread *thread) {
    AL_ASSERT(thread == self);
    const uint64_t uid = atomic_load_explicit(&thread->uid, memory_order_relaxed);
    struct pf_cell *cell = atomic_load_explicit(&site->cells, memory_order_acquire);

    while (cell != NULL && (atomic_load_explicit(&cell->thread, memory_order_relaxed) != thread ||
                            atomic_load_explicit(&cell->uid, memory_order_relaxed) != uid)) {
        cell = cell->next;
    }
    return cell;
}

/* The calling thread's cell of a site, by adding one if it has none. NULL: no memory. */
static struct pf_cell *cell_of(struct pf_site *site, struct pf_thread *thread) {
    AL_ASSERT(site != NULL && thread != NULL);
    struct pf_cell *const own = find_cell(site, thread);
    if (AL_LIKELY(own != NULL)) {
        return own;
    }
    al_lock_take(&site->lock, AL_RANK_PROF_SITE);
    struct pf_cell *cell = atomic_load_explicit(&site->cells, memory_order_acquire);
    while (cell != NULL && !is_idle(cell)) {
        cell = cell->next;
    }
    if (cell != NULL) {
        take_over_locked(site, cell, thread);
    }
    al_lock_give(&site->lock);
    if (cell != NULL) {
        return cell;
    }
    cell = pf_pool_take(sizeof(struct pf_cell));
    if (cell != NULL) {
        cell->thread = thread;
        cell->uid = atomic_load_explicit(&thread->uid, memory_order_relaxed);
        cell->next = atomic_load_explicit(&site->cells, memory_order_acquire);
        while (!atomic_compare_exchange_weak_explicit(&site->cells, &cell->next, cell,
                                                      memory_order_release, memory_order_acquire)) {
        }
    }
    return cell;
}

/* ---- samples ---- */

void pf_counts_add(struct pf_counts *sum, const struct pf_counts *more) {
    sum->sample_count += more->sample_count;
    sum->objects_fixed += more->objects_fixed;
    sum->bytes += more->bytes;
    sum->requested_bytes += more->requested_bytes;
    sum->raw_bytes += more->raw_bytes;
    sum->variance += more->variance;
}

static void counts_remove(struct pf_counts *sum, const struct pf_counts *less) {
    AL_ASSERT(sum->sample_count >= less->sample_count);
    AL_ASSERT(sum->objects_fixed >= less->objects_fixed);
    AL_ASSERT(sum->bytes >= less->bytes);
    AL_ASSERT(sum->requested_bytes >= less->requested_bytes);
    AL_ASSERT(sum->raw_bytes >= less->raw_bytes);
    sum->sample_count -= less->sample_count;
    sum->objects_fixed -= less->objects_fixed;
    sum->bytes -= less->bytes;
    sum->requested_bytes -= less->requested_bytes;
    sum->raw_bytes -= less->raw_bytes;
    /* The only sum that is not an integer: rounding may leave a trace, nothing may not. */
    sum->variance = sum->sample_count == 0 ? 0.0 : sum->variance - less->variance;
}

/* What one sample stands for: inverse probability weights (docs/SAMPLING.md). */
static struct pf_counts share_of(const struct al_sampled *sampled) {
    AL_ASSERT(sampled->usable_bytes > 0);
    AL_ASSERT(sampled->requested_bytes <= sampled->usable_bytes);
    AL_ASSERT(sampled->rate_lg <= AL_SAMPLE_RATE_LG_MAX);
    AL_ASSERT(sampled->is_certain == (sampled->rate_lg == 0));
    const double size = (double)sampled->usable_bytes;
    const double mean = (double)(UINT64_C(1) << sampled->rate_lg);
    const double p = sampled->is_certain ? 1.0 : al_sample_one_minus_exp(size / mean);
    const double weight = 1.0 / p;

    /* A weight is at most R / 16 < 2^59, so objects_fixed needs a cap at absurd rates. */
    const double objects_fixed = weight * (double)(1 << PF_OBJECT_LG);
    return (struct pf_counts){
        .sample_count = 1,
        .objects_fixed = objects_fixed < 9e18 ? (uint64_t)(objects_fixed + 0.5) : UINT64_C(1) << 63,
        .bytes = (uint64_t)(size * weight + 0.5),
        .requested_bytes = (uint64_t)((double)sampled->requested_bytes * weight + 0.5),
        .raw_bytes = sampled->usable_bytes,
        .variance = size * size * (1.0 - p) * weight * weight,
    };
}

static void note_rate(unsigned rate_lg) {
    AL_ASSERT(rate_lg <= AL_SAMPLE_RATE_LG_MAX);
    uint32_t lowest = atomic_load_explicit(&table.rate_lg_min, memory_order_relaxed);

    while (rate_lg < lowest &&
           !atomic_compare_exchange_weak(&table.rate_lg_min, &lowest, rate_lg)) {
    }
}

struct pf_record *pf_site_add(const struct al_sampled *sampled, const uintptr_t *frames,
                              uint32_t depth) {
    AL_ASSERT(sampled->ptr != NULL);
    struct pf_thread *const thread = pf_thread_self();
    struct pf_site *const site = thread != NULL ? intern(frames, depth) : NULL;
    struct pf_cell *const cell = site != NULL ? cell_of(site, thread) : NULL;
    struct pf_record *const record = cell != NULL ? take_record(thread) : NULL;

    if (record == NULL) {
        return NULL;
    }
    (void)count_add(&thread->hold_count, 1);
    *record = (struct pf_record){
        .site = site,
        .cell = cell,
        .thread = thread,
        .share = share_of(sampled),
        .birth_ns = al_os_time_ns(),
        .rate_lg = (uint8_t)sampled->rate_lg,
    };
    al_lock_take(&site->lock, AL_RANK_PROF_SITE);
    /* Here, so that a reset either forgets the sample or finds its rate noted after its own. */
    note_rate(sampled->rate_lg);
    record->generation = site->generation;
    pf_counts_add(&cell->live, &record->share);
    pf_counts_add(&cell->total, &record->share);
    if (record->share.bytes > site->weight_bytes_max) {
        site->weight_bytes_max = record->share.bytes;
    }
    al_lock_give(&site->lock);
    (void)count_add(&table.sample_count, 1);
    return record;
}

void pf_site_remove(struct pf_record *record) {
    AL_ASSERT(record != NULL && record->site != NULL && record->cell != NULL);
    struct pf_site *const site = record->site;

    al_lock_take(&site->lock, AL_RANK_PROF_SITE);
    if (record->generation == site->generation) {
        counts_remove(&record->cell->live, &record->share);
    }
    al_lock_give(&site->lock);
    let_go(record->thread);
    give_record(record);
}

void pf_site_reset(void) {
    uint32_t bucket = 0;

    atomic_store(&table.rate_lg_min, AL_SAMPLE_RATE_LG_MAX);
    for (struct pf_site *site = (struct pf_site *)(uintptr_t)pf_site_next(NULL, &bucket);
         site != NULL; site = (struct pf_site *)(uintptr_t)pf_site_next(site, &bucket)) {
        al_lock_take(&site->lock, AL_RANK_PROF_SITE);
        site->generation++;
        site->past = (struct pf_counts){0};
        site->weight_bytes_max = 0;
        for (struct pf_cell *cell = atomic_load(&site->cells); cell != NULL; cell = cell->next) {
            cell->live = (struct pf_counts){0};
            cell->total = (struct pf_counts){0};
        }
        al_lock_give(&site->lock);
    }
}

/* ---- reading ---- */

const struct pf_site *pf_site_next(const struct pf_site *site, uint32_t *bucket) {
    if (table.buckets == NULL) {
        return NULL;
    }
    if (site == NULL) {
        *bucket = 0;
    } else if (site->next != NULL) {
        return site->next;
    } else {
        (*bucket)++;
    }
    const uint32_t end = level_first[last_level() + 1];
    for (; *bucket < end; (*bucket)++) {
        const struct pf_site *const head =
            atomic_load_explicit(&table.buckets[*bucket], memory_order_acquire);
        if (head != NULL) {
            return head;
        }
    }
    return NULL;
}

void pf_site_copy(const struct pf_site *site, const struct pf_cell *cell, struct pf_counts *live,
                  struct pf_counts *total, struct pf_thread **thread) {
    struct al_lock *const lock = (struct al_lock *)(uintptr_t)&site->lock;

    al_lock_take(lock, AL_RANK_PROF_SITE);
    if (cell != NULL) {
        *live = cell->live;
        *total = cell->total;
        *thread = is_past(cell) ? NULL : cell->thread;
    } else {
        *live = (struct pf_counts){0};
        *total = site->past;
        *thread = NULL;
    }
    al_lock_give(lock);
}

void pf_site_sum(const struct pf_site *site, struct pf_counts *live, struct pf_counts *total) {
    AL_ASSERT(site != NULL && live != NULL && total != NULL);
    struct pf_counts cell_live;
    struct pf_counts cell_total;
    struct pf_thread *thread = NULL;

    pf_site_copy(site, NULL, live, total, &thread);
    for (const struct pf_cell *cell = atomic_load_explicit(&site->cells, memory_order_acquire);
         cell != NULL; cell = cell->next) {
        pf_site_copy(site, cell, &cell_live, &cell_total, &thread);
        pf_counts_add(live, &cell_live);
        pf_counts_add(total, &cell_total);
    }
}

/* ---- fork ---- */

/* A site's lock may be held by another thread at the moment of the fork, in the middle of one
 * update. All of them are taken: a fork is rare, and a site costs some nanoseconds.
 */
static void fork_all(bool is_child, bool is_taking) {
    uint32_t bucket = 0;

    al_lock_rank_track(false);
    for (struct pf_site *site = (struct pf_site *)(uintptr_t)pf_site_next(NULL, &bucket);
         site != NULL; site = (struct pf_site *)(uintptr_t)pf_site_next(site, &bucket)) {
        if (is_taking) {
            al_lock_take(&site->lock, AL_RANK_PROF_SITE);
        } else if (is_child) {
            al_lock_reset(&site->lock);
        } else {
            al_lock_give(&site->lock);
        }
    }
    al_lock_rank_track(true);
}

void pf_site_fork_prepare(void) {
    al_lock_take(&table.lock, AL_RANK_PROF_SITE);
    fork_all(false, true);
}

void pf_site_fork_parent(void) {
    fork_all(false, false);
    al_lock_give(&table.lock);
}

void pf_site_fork_child(void) {
    fork_all(true, false);
    al_lock_reset(&table.lock);
    /* The other threads are gone: their entries may be used again. */
    for (struct pf_thread *thread = pf_thread_first(); thread != NULL; thread = thread->next) {
        if (thread != self && atomic_exchange(&thread->is_live, false)) {
            let_go(thread);
        }
    }
}
