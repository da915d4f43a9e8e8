/* SPDX-License-Identifier: BSD-2-Clause
 *
 * walk_x86_64 — a rule an address, looked up in a direct-mapped table, and three registers.
 *
 * A slot of the table is two words, written without a lock: the rule, and the key mixed with the
 * rule. A reader that meets the halves of two writers finds a key that is nobody's.
 *
 * A library can be unloaded and another one loaded in its place. So the key names the object too,
 * by a hash of where it lies and of how its unwind tables begin; whose object an address is in, the
 * loader's table says without a lock, asked once for each run of frames in one object.
 */
#include "prof/walk.h"

#include "alloc/os.h"
#include "prof/cfi.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FIRST_LG = 9, /* slots, as a power of two */
    LAST_LG = 15,
    GROWTH_LG = 3,
    ADDRESS_BITS = 47,
    /* How far above the stack pointer its thread's stack may end and still be believed to be the
     * stack it runs on; most are 8 MiB.
     */
    STACK_BYTES_MAX = 16 << 20,
    MEMO_FRAMES_MAX = 48, /* 32 bytes each */
    MEMO_LG = 5,          /* memos, as a power of two */
    OWN_FRAMES_MAX = 32,  /* between a sample and the program's call; some ten in truth */
    /* Below the stack pointer, and nobody's to overwrite: where a function that was interrupted in
     * its last instructions has left what it restored (psABI 3.2.2).
     */
    RED_ZONE_BYTES = 128,
    /* ucontext_t: the interrupted registers, as the kernel lays them out (uapi/asm/sigcontext.h).
     */
    SIGNAL_RBP = 120,
    SIGNAL_RSP = 160,
    SIGNAL_RIP = 168,
};

/* ---- the cache ---- */

struct slot {
    _Atomic uint64_t mixed; /* key ^ rule */
    _Atomic uint64_t rule;
};

struct table {
    struct slot *slots;
    unsigned lg;
    _Atomic uint64_t miss_count;
};

static AL_SPARSE struct slot first_slots[1 << FIRST_LG];
static struct table first_table = {.slots = first_slots, .lg = FIRST_LG};
static _Atomic(struct table *) current = &first_table;

/* A rule in one word: a cfa_offset of 32 bits, an rbp_offset of 27, where rbp is, how to step. */
enum { RBP_OFFSET_BITS = 27, RBP_OFFSET_SHIFT = 32, SAVED_SHIFT = 59, STEP_SHIFT = 61 };

static uint64_t pack(struct pf_rule rule) {
    const int32_t limit = 1 << (RBP_OFFSET_BITS - 1);

    if (rule.rbp_offset < -limit || rule.rbp_offset >= limit) {
        rule = (struct pf_rule){.step = PF_STEP_OTHER};
    }
    const uint64_t rbp_offset = (uint64_t)rule.rbp_offset & ((UINT64_C(1) << RBP_OFFSET_BITS) - 1);
    return (uint32_t)rule.cfa_offset | rbp_offset << RBP_OFFSET_SHIFT |
           (uint64_t)rule.rbp << SAVED_SHIFT | (uint64_t)rule.step << STEP_SHIFT;
}

AL_INLINE struct pf_rule unpack(uint64_t packed) {
    return (struct pf_rule){
        .step = (enum pf_step)(packed >> STEP_SHIFT),
        .rbp = (enum pf_saved)(packed >> SAVED_SHIFT & 3),
        .cfa_offset = (int32_t)(uint32_t)packed,
        .rbp_offset = (int32_t)((int64_t)(packed << (64 - SAVED_SHIFT)) >>
                                (64 - SAVED_SHIFT + RBP_OFFSET_SHIFT)),
    };
}

AL_INLINE struct slot *slot_of(const struct table *table, uint64_t key) {
    AL_ASSERT(table->lg >= FIRST_LG && table->lg <= LAST_LG);
    return &table->slots[(key * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - table->lg)];
}

/* A larger table, empty; the old one stays mapped, for others may be reading it. */
static AL_COLD void grow(struct table *table) {
    AL_ASSERT(table->lg < LAST_LG);
    const unsigned lg = table->lg + GROWTH_LG;
    const size_t slots_bytes = sizeof(struct slot) << lg;
    struct table *const larger = al_os_map(NULL, slots_bytes + AL_PAGE_BYTES);

    if (larger == NULL) {
        return;
    }
    larger->slots = (struct slot *)((char *)larger + AL_PAGE_BYTES);
    larger->lg = lg;
    struct table *expected = table;
    if (!atomic_compare_exchange_strong(&current, &expected, larger)) {
        (void)al_os_unmap(larger, slots_bytes + AL_PAGE_BYTES);
    }
}

static AL_COLD uint64_t learn(struct table *table, const struct pf_object *object, uint64_t key,
                              uintptr_t address) {
    const uint64_t rule = pack(pf_cfi_rule(object, address));
    AL_ASSERT((key & ((UINT64_C(1) << ADDRESS_BITS) - 1)) == address);
    struct slot *const slot = slot_of(table, key);

    atomic_store_explicit(&slot->rule, rule, memory_order_relaxed);
    atomic_store_explicit(&slot->mixed, key ^ rule, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&table->miss_count, 1, memory_order_relaxed) >> table->lg != 0 &&
        table->lg < LAST_LG) {
        grow(table);
    }
    return rule;
}

/* ---- the walk ---- */

struct walk {
    uintptr_t pc, sp, rbp;
    uintptr_t rbp_at;       /* where rbp was read by the last step; 0: it was kept */
    uintptr_t readable_end; /* [sp, readable_end) is stack */
    bool is_exact;          /* pc is where it was interrupted, not a return address */
    struct pf_object object;
    uint64_t tag; /* of the object, above ADDRESS_BITS */
};

/* Where the kernel put what a process starts with: above the first thread's stack. */
static uintptr_t first_stack_end(void) {
    static _Atomic uintptr_t known;
    uintptr_t end = atomic_load_explicit(&known, memory_order_relaxed);

    if (AL_UNLIKELY(end == 0)) {
        end = getauxval(AT_RANDOM) & ~(uintptr_t)(sizeof(uintptr_t) - 1);
        atomic_store_explicit(&known, end, memory_order_relaxed);
    }
    return end;
}

/* Where this thread's own data is. */
AL_INLINE uintptr_t thread_data(void) {
    uintptr_t thread = 0;

    __asm__("mov %%fs:0, %0" : "=r"(thread));
    return thread;
}

/* Of this thread's stack, how much below its own data was found to be there, page by page. */
static AL_TLS_IE uintptr_t own_stack_bytes;

/* Whether this thread's own data lies elsewhere than on its stack. */
static bool is_first_thread(void) {
    static AL_TLS_IE enum { UNKNOWN, FIRST, LATER } which;

    if (which == UNKNOWN) { /* stays what it was in the child of a fork, where it is still true */
        which = getpid() == (pid_t)syscall(SYS_gettid) ? FIRST : LATER;
    }
    return which == FIRST;
}

/* Where what is mapped from `sp` on has a hole, if there is one below `thread`. A coroutine's stack
 * may lie below a thread's: then there is its guard page in between, at the least.
 */
static AL_NOINLINE uintptr_t find_stack_end(uintptr_t sp, uintptr_t thread) {
    const uintptr_t low = sp & ~(uintptr_t)(AL_PAGE_BYTES - 1);

    if (thread - sp > STACK_BYTES_MAX || is_first_thread()) {
        return sp;
    }
    AL_ASSERT(own_stack_bytes <= STACK_BYTES_MAX + AL_PAGE_BYTES);
    for (uintptr_t page = low; page < thread - own_stack_bytes; page += AL_PAGE_BYTES) {
        if (!al_os_is_readable((const void *)page)) {
            return page;
        }
    }
    own_stack_bytes = thread - low;
    return thread;
}

/* The stack that `sp` is on ends at the thread's own data, which glibc puts on its top, or, of the
 * first thread, where the kernel says. Of another stack (a coroutine's) we know what we have seen.
 */
static uintptr_t stack_end(uintptr_t sp) {
    const uintptr_t thread = thread_data();

    if (thread - sp <= own_stack_bytes) {
        return thread;
    }
    return first_stack_end() - sp <= STACK_BYTES_MAX ? first_stack_end()
                                                     : find_stack_end(sp, thread);
}

/* Whether a word beyond the known end of the stack can be read; often it goes on there. */
static AL_NOINLINE bool is_readable_beyond(struct walk *walk, uintptr_t address) {
    const uintptr_t page = address & ~(uintptr_t)(AL_PAGE_BYTES - 1);

    if (!al_os_is_readable((const void *)page)) {
        return false;
    }
    if (page <= walk->readable_end) { /* the next one; others are asked for again */
        walk->readable_end = page + AL_PAGE_BYTES;
    }
    return true;
}

/* False: there is nothing to read, or it is not where a stack can go on. */
AL_INLINE bool read_word(struct walk *walk, uintptr_t address, uintptr_t *value) {
    const uintptr_t low = walk->sp - RED_ZONE_BYTES;

    if (AL_UNLIKELY(address % sizeof(*value) != 0 || address < low ||
                    (address >= walk->readable_end && !is_readable_beyond(walk, address)))) {
        return false;
    }
    AL_ASSERT(address + sizeof(*value) <= walk->readable_end || walk->readable_end <= address);
    *value = *(const uintptr_t *)address;
    return true;
}

static bool find_object(struct walk *walk, uintptr_t address) {
    struct dl_find_object found;

    if (_dl_find_object((void *)address, &found) != 0) {
        return false;
    }
    walk->object = (struct pf_object){(uintptr_t)found.dlfo_map_start,
                                      (uintptr_t)found.dlfo_map_end, found.dlfo_eh_frame};
    uint64_t hash = walk->object.low ^ (uintptr_t)found.dlfo_link_map << 16;
    if (found.dlfo_eh_frame != NULL) {
        uint64_t words[2]; /* encodings, distance to .eh_frame; its count, its first function */
        memcpy(words, found.dlfo_eh_frame, sizeof(words));
        hash = (hash ^ words[0]) * UINT64_C(0xD6E8FEB86659FD93) ^ words[1];
    }
    walk->tag = (hash * UINT64_C(0x9E3779B97F4A7C15)) >> ADDRESS_BITS << ADDRESS_BITS;
    return true;
}

/* False: the address is in no object. */
AL_INLINE bool rule_at(struct walk *walk, uintptr_t address, struct pf_rule *rule) {
    if (AL_UNLIKELY(address - walk->object.low >= walk->object.high - walk->object.low) &&
        !find_object(walk, address)) {
        return false;
    }
    struct table *const table = atomic_load_explicit(&current, memory_order_acquire);
    const uint64_t key = address | walk->tag;
    struct slot *const slot = slot_of(table, key);
    uint64_t packed = atomic_load_explicit(&slot->rule, memory_order_relaxed);
    if (AL_UNLIKELY((atomic_load_explicit(&slot->mixed, memory_order_relaxed) ^ packed) != key)) {
        packed = learn(table, &walk->object, key, address);
    }
    *rule = unpack(packed);
    return true;
}

/* To what a signal interrupted; its stack may be another one. False: it cannot be read. */
static bool step_signal(struct walk *walk) {
    const uintptr_t saved = walk->sp;
    uintptr_t sp = 0;

    if (!read_word(walk, saved + SIGNAL_RBP, &walk->rbp) ||
        !read_word(walk, saved + SIGNAL_RIP, &walk->pc) ||
        !read_word(walk, saved + SIGNAL_RSP, &sp)) {
        return false;
    }
    walk->sp = sp;
    walk->readable_end = stack_end(sp);
    walk->is_exact = true;
    return true;
}

/* To the caller. False: the stack ends or cannot be followed. */
AL_INLINE bool step(struct walk *walk, struct pf_rule rule) {
    const uintptr_t cfa_offset = (uintptr_t)(intptr_t)rule.cfa_offset;
    uintptr_t cfa = walk->sp + cfa_offset;

    if (rule.step == PF_STEP_RBP) {
        cfa = walk->rbp + cfa_offset;
    } else if (AL_UNLIKELY(rule.step == PF_STEP_RBP_DEREF)) {
        if (!read_word(walk, walk->rbp + cfa_offset, &cfa)) {
            return false;
        }
    } else if (AL_UNLIKELY(rule.step != PF_STEP_RSP)) {
        return rule.step == PF_STEP_SIGNAL && step_signal(walk);
    }
    const uintptr_t rbp_offset = (uintptr_t)(intptr_t)rule.rbp_offset;
    const uintptr_t rbp_at = (rule.rbp == PF_SAVED_AT_RBP ? walk->rbp : cfa) + rbp_offset;
    if (cfa <= walk->sp || !read_word(walk, cfa - sizeof(cfa), &walk->pc) ||
        (rule.rbp != PF_SAVED_SAME && !read_word(walk, rbp_at, &walk->rbp))) {
        return false;
    }
    walk->sp = cfa;
    walk->rbp_at = rule.rbp != PF_SAVED_SAME ? rbp_at : 0;
    walk->is_exact = false;
    return true;
}

/* The function that expands this has a frame pointer, and begins with its caller. */
#define BEGIN_AT_CALLER(walk)                                                                      \
    do {                                                                                           \
        const uintptr_t *const frame = __builtin_frame_address(0);                                 \
        (walk)->rbp = frame[0];                                                                    \
        (walk)->pc = frame[1];                                                                     \
        (walk)->sp = (uintptr_t)(frame + 2);                                                       \
        (walk)->readable_end = stack_end((walk)->sp);                                              \
    } while (0)

/* Out of our own code, whose every caller has a frame pointer (tools/dev/copts.bzl): two words a
 * frame, and our own tables stay unread. False: the chain is broken, and nothing has changed.
 */
static bool leave(struct walk *walk, struct pf_code own) {
    struct walk at = *walk;

    for (int count = 0; at.pc - own.low < own.high - own.low; count++) {
        const uintptr_t frame = at.rbp;
        if (count == OWN_FRAMES_MAX || frame < at.sp || !read_word(&at, frame, &at.rbp) ||
            !read_word(&at, frame + sizeof(frame), &at.pc)) {
            return false;
        }
        at.sp = frame + 2 * sizeof(frame);
    }
    *walk = at;
    return true;
}

/* ---- the memo ---- */

/* A frame of a walk that was: where the walk was, and where it read the caller's rbp (0: it
 * was kept). The return address lies below the caller's sp.
 */
struct memo_frame {
    uintptr_t pc, sp, rbp, rbp_at;
};

/* A walk that comes to a frame in the state it was in then, and finds the two words unchanged that
 * led to the caller, is at the caller in the state it was in then: by no other rule, for a library
 * is not unloaded under its own frames. So a walk that differs from the last one by its innermost
 * frames reads two words for each of the others, and asks for no rule.
 */
struct memo {
    _Atomic bool is_busy; /* a walk's; another one does without */
    bool is_ended;        /* the last frame is the outermost */
    uint32_t count;
    struct memo_frame frames[MEMO_FRAMES_MAX]; /* the innermost first: sp ascends */
};

/* Threads share them by a hash: what another thread left is not believed, it is on another stack.
 * Not in thread-local storage, where so much would keep the library from being opened late.
 */
static AL_SPARSE struct memo memos[1 << MEMO_LG];

/* Of the walk that is under way. */
struct record {
    struct memo *memo; /* NULL: it does without */
    bool is_on;
    bool is_joined;  /* frames go on in the memo itself */
    uint32_t cursor; /* frames of the memo before it lie below the walk */
    uint32_t count;
    struct memo_frame fresh[MEMO_FRAMES_MAX];
};

/* The last frame of the memo from `at` on that stands as it did. */
static uint32_t still_standing(const struct walk *walk, const struct memo *memo, uint32_t at) {
    for (; at + 1 < memo->count; at++) {
        const struct memo_frame *const frame = &memo->frames[at];
        const struct memo_frame *const caller = frame + 1;
        if (caller->sp > walk->readable_end || *(const uintptr_t *)(caller->sp - 8) != caller->pc ||
            (frame->rbp_at != 0 && (frame->rbp_at + sizeof(uintptr_t) > walk->readable_end ||
                                    *(const uintptr_t *)frame->rbp_at != caller->rbp))) {
            break;
        }
    }
    return at;
}

/* The memo becomes the walk so far and its own frames from `first` to `last`. */
static void join_at(struct record *record, uint32_t first, uint32_t last) {
    struct memo *const memo = record->memo;
    const uint32_t room = MEMO_FRAMES_MAX - record->count;
    const uint32_t kept = last - first + 1 < room ? last - first + 1 : room;

    memo->is_ended = memo->is_ended && last + 1 == memo->count && kept == last - first + 1;
    if (record->count != first) {
        memmove(&memo->frames[record->count], &memo->frames[first], kept * sizeof(memo->frames[0]));
    }
    memcpy(memo->frames, record->fresh, record->count * sizeof(memo->frames[0]));
    memo->count = record->count + kept;
    record->is_joined = true;
    record->is_on = kept == last - first + 1;
}

/* Takes over what still stands of the memo, if the walk has come to a frame of it: the walk is then
 * at the last of these frames, and all of them are in `frames`. False: it has not.
 */
static bool join(struct walk *walk, struct record *record, uintptr_t *frames, uint32_t room,
                 uint32_t *count) {
    const struct memo *const memo = record->memo;

    while (record->cursor < memo->count && memo->frames[record->cursor].sp < walk->sp) {
        record->cursor++;
    }
    const uint32_t first = record->cursor;
    const struct memo_frame *const frame = &memo->frames[first];
    if (first == memo->count || frame->sp != walk->sp || frame->pc != walk->pc ||
        frame->rbp != walk->rbp) {
        return false;
    }
    const uint32_t last = still_standing(walk, memo, first);
    for (uint32_t idx = first; idx <= last && *count < room; idx++) {
        frames[(*count)++] = memo->frames[idx].pc;
    }
    walk->pc = memo->frames[last].pc;
    walk->sp = memo->frames[last].sp;
    walk->rbp = memo->frames[last].rbp;
    join_at(record, first, last);
    return true;
}

/* Enters the frame that the walk is at. */
AL_INLINE void note(struct record *record, const struct walk *walk) {
    const struct memo_frame frame = {walk->pc, walk->sp, walk->rbp, 0};
    uint32_t *const count = record->is_joined ? &record->memo->count : &record->count;

    if (AL_UNLIKELY(*count == MEMO_FRAMES_MAX)) {
        record->is_on = false;
        return;
    }
    (record->is_joined ? record->memo->frames : record->fresh)[(*count)++] = frame;
}

/* The walk has gone to the caller of the frame that was noted last. */
AL_INLINE void note_step(struct record *record, const struct walk *walk, enum pf_step step) {
    if (record->is_joined) {
        record->memo->frames[record->memo->count - 1].rbp_at = walk->rbp_at;
    } else {
        record->fresh[record->count - 1].rbp_at = walk->rbp_at;
    }
    /* Others read more than two words, or go to another stack. */
    record->is_on = step == PF_STEP_RSP || step == PF_STEP_RBP;
}

AL_INLINE void begin_record(struct record *record) {
    struct memo *const memo =
        &memos[(thread_data() * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - MEMO_LG)];

    record->is_on = !atomic_exchange_explicit(&memo->is_busy, true, memory_order_acquire);
    record->memo = record->is_on ? memo : NULL;
    record->is_joined = false;
    record->cursor = 0;
    record->count = 0;
}

AL_INLINE void end_record(const struct record *record, bool is_ended) {
    struct memo *const memo = record->memo;

    if (memo == NULL) {
        return;
    }
    if (!record->is_joined) {
        memcpy(memo->frames, record->fresh, record->count * sizeof(memo->frames[0]));
        memo->count = record->count;
    }
    memo->is_ended = is_ended && record->is_on;
    atomic_store_explicit(&memo->is_busy, false, memory_order_release);
}

AL_NOINLINE uint32_t pf_walk_tables(uintptr_t *frames, uint32_t depth_max, struct pf_code own,
                                    bool *is_whole) {
    AL_ASSERT(frames != NULL && depth_max > 0 && own.low <= own.high);
    struct walk walk = {.is_exact = false};
    struct record record;
    struct pf_rule rule = {.step = PF_STEP_NONE};
    uint32_t count = 0;

    BEGIN_AT_CALLER(&walk);
    (void)leave(&walk, own);
    begin_record(&record);
    while (count < depth_max && walk.pc != 0) {
        rule.step = PF_STEP_NONE;
        if (record.is_on && !record.is_joined && join(&walk, &record, frames, depth_max, &count)) {
            if (record.memo->is_ended) {
                rule.step = PF_STEP_END;
                break;
            }
        } else {
            frames[count++] = walk.pc;
            if (record.is_on) {
                note(&record, &walk);
            }
        }
        if (!rule_at(&walk, walk.pc - (walk.is_exact ? 0 : 1), &rule) || !step(&walk, rule)) {
            break;
        }
        if (record.is_on) {
            note_step(&record, &walk, rule.step);
        }
    }
    end_record(&record, rule.step == PF_STEP_END);
    *is_whole = rule.step != PF_STEP_OTHER;
    return count;
}

AL_NOINLINE uint32_t pf_walk_frame_pointers(uintptr_t *frames, uint32_t depth_max) {
    AL_ASSERT(frames != NULL && depth_max > 0);
    struct walk walk = {.is_exact = false};
    uint32_t count = 0;

    BEGIN_AT_CALLER(&walk);
    while (count < depth_max && walk.pc != 0) {
        frames[count++] = walk.pc;
        const uintptr_t frame = walk.rbp;
        if (!read_word(&walk, frame, &walk.rbp) ||
            !read_word(&walk, frame + sizeof(frame), &walk.pc)) {
            break;
        }
        walk.sp = frame + 2 * sizeof(frame);
    }
    return count;
}
