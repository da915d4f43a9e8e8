/* SPDX-License-Identifier: BSD-2-Clause
 *
 * format — the words of a dump file, shared by the profiler that writes them and the tools
 * that read them, so that the two cannot drift apart. docs/PROFILE_FORMAT.md has the grammar.
 *
 * Threads: constants only.
 * Fails:   never.
 */
#ifndef PF_FORMAT_H
#define PF_FORMAT_H

/* Text dump: the first line is this and the mean sampling interval in bytes, in decimal. */
#define PF_FORMAT_HEADER "heap_v2/"

/* The row form that gperftools and pprof write and read; "@ heap_v2/INTERVAL" ends its head. */
#define PF_FORMAT_ROWS_HEADER "heap profile:"

/* The total of all threads; "t" and a decimal number name one thread. */
#define PF_FORMAT_ALL_THREADS "t*"

/* Its own line, after an empty one; /proc/self/maps follows unchanged. */
#define PF_FORMAT_MAPS "MAPPED_LIBRARIES:"

/* What the kernel appends to the path of a mapped file that was removed or replaced. */
#define PF_FORMAT_DELETED " (deleted)"

/* Sample types of the protobuf form, and their units. */
#define PF_FORMAT_ALLOC_OBJECTS "alloc_objects"
#define PF_FORMAT_ALLOC_SPACE   "alloc_space"
#define PF_FORMAT_INUSE_OBJECTS "inuse_objects"
#define PF_FORMAT_INUSE_SPACE   "inuse_space"
#define PF_FORMAT_UNIT_COUNT    "count"
#define PF_FORMAT_UNIT_BYTES    "bytes"
#define PF_FORMAT_PERIOD_TYPE   "space"

/* The protobuf label of a sample's thread: a number, as N of "tN". */
#define PF_FORMAT_THREAD "thread"

/* File names: PREFIX.PID.SEQ.<letter><n>.heap, the final one without <n>; protobuf: .pb.gz. */
#define PF_FORMAT_LETTER_INTERVAL 'i'
#define PF_FORMAT_LETTER_MANUAL   'm'
#define PF_FORMAT_LETTER_PEAK     'u'
#define PF_FORMAT_LETTER_FINAL    'f'
#define PF_FORMAT_SUFFIX_TEXT     ".heap"
#define PF_FORMAT_SUFFIX_PROTO    ".pb.gz"

#endif
