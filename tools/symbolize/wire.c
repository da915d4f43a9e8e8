/* SPDX-License-Identifier: BSD-2-Clause
 *
 * wire — varints, and the four wire types that profile.proto's fields can have.
 */
#include "tools/symbolize/wire.h"

#include <string.h>

enum wire_type { TYPE_VARINT = 0, TYPE_FIXED64 = 1, TYPE_BYTES = 2, TYPE_FIXED32 = 5 };

enum sy_wire_step sy_wire_varint(struct sy_wire *wire, uint64_t *value) {
    uint64_t sum = 0;

    if (wire->at == wire->end) {
        return SY_WIRE_END;
    }
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (wire->at == wire->end) {
            return SY_WIRE_BAD;
        }
        const uint8_t byte = *wire->at++;
        const uint64_t bits = byte & 0x7f;
        if (shift == 63 && bits > 1) {
            return SY_WIRE_BAD;
        }
        sum |= bits << shift;
        if ((byte & 0x80) == 0) {
            *value = sum;
            return SY_WIRE_FIELD;
        }
    }
    return SY_WIRE_BAD;
}

/* `count` bytes, little-endian, as a number. */
static enum sy_wire_step read_fixed(struct sy_wire *wire, size_t count, uint64_t *value) {
    if ((size_t)(wire->end - wire->at) < count) {
        return SY_WIRE_BAD;
    }
    *value = 0;
    for (size_t i = 0; i < count; i++) {
        *value |= (uint64_t)wire->at[i] << (8 * i);
    }
    wire->at += count;
    return SY_WIRE_FIELD;
}

static enum sy_wire_step read_bytes(struct sy_wire *wire, struct sy_wire *bytes) {
    uint64_t count = 0;

    if (sy_wire_varint(wire, &count) != SY_WIRE_FIELD || count > (uint64_t)(wire->end - wire->at)) {
        return SY_WIRE_BAD;
    }
    bytes->at = wire->at;
    bytes->end = wire->at + count;
    wire->at += count;
    return SY_WIRE_FIELD;
}

enum sy_wire_step sy_wire_next(struct sy_wire *wire, struct sy_wire_field *field) {
    uint64_t key = 0;
    const enum sy_wire_step step = sy_wire_varint(wire, &key);

    if (step != SY_WIRE_FIELD) {
        return step;
    }
    if (key >> 3 == 0 || key >> 3 >= UINT64_C(1) << 29) {
        return SY_WIRE_BAD;
    }
    *field = (struct sy_wire_field){.number = (uint32_t)(key >> 3)};
    switch (key & 7) {
    case TYPE_VARINT:
        return sy_wire_varint(wire, &field->value) == SY_WIRE_FIELD ? SY_WIRE_FIELD : SY_WIRE_BAD;
    case TYPE_FIXED64:
        return read_fixed(wire, 8, &field->value);
    case TYPE_FIXED32:
        return read_fixed(wire, 4, &field->value);
    case TYPE_BYTES:
        field->is_bytes = true;
        return read_bytes(wire, &field->bytes);
    default:
        return SY_WIRE_BAD;
    }
}
