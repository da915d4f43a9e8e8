/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proto_format — reads pprof's profile.proto (docs/PROFILE_FORMAT.md, section 3), already
 * decompressed.
 *
 * Threads: none of its own.
 * Fails:   false and a line; the byte offset is in it where one helps.
 * Why by hand: nine small messages of varints and bytes. protobuf-c would bring a generator
 *          into the build and one heap object a message; a dump has a million of them.
 */
#ifndef SY_PROTO_FORMAT_H
#define SY_PROTO_FORMAT_H

#include "tools/symbolize/profile.h"

SY_NODISCARD bool sy_proto_parse(struct sy_load *load, const char *data, size_t data_bytes,
                                 struct sy_error *err);

#endif
