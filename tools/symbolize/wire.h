/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire — protobuf's encoding, one field at a time.
 *
 * Threads: none of its own.
 * Fails:   SY_WIRE_BAD on anything that the encoding does not allow: a varint past 10 bytes or
 *          64 bits, a length past the end, a group, field number 0.
 */
#ifndef SY_WIRE_H
#define SY_WIRE_H

#include "tools/symbolize/base.h"

struct sy_wire {
    const uint8_t *at;
    const uint8_t *end;
};

struct sy_wire_field {
    uint32_t number;
    bool is_bytes; /* `bytes` holds the value; else `value` does */
    uint64_t value;
    struct sy_wire bytes;
};

enum sy_wire_step { SY_WIRE_FIELD, SY_WIRE_END, SY_WIRE_BAD };

enum sy_wire_step sy_wire_next(struct sy_wire *wire, struct sy_wire_field *field);

/* One varint, as packed lists hold them. SY_WIRE_END when nothing is left. */
enum sy_wire_step sy_wire_varint(struct sy_wire *wire, uint64_t *value);

#endif
