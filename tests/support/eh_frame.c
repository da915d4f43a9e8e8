/* SPDX-License-Identifier: BSD-2-Clause
 *
 * eh_frame — written twice: once to learn how long it is, once so that it ends where its memory
 * does.
 */
#include "tests/support/eh_frame.h"

enum {
    PCREL_SDATA4 = PF_DWARF_PCREL | PF_DWARF_SDATA4,
    DATAREL_SDATA4 = PF_DWARF_DATAREL | PF_DWARF_SDATA4,
    RECORD_BYTES_MAX = 512,
};

static const uint8_t usual_data[] = {PCREL_SDATA4};
static const uint8_t usual_program[] = {0x0c, PF_DWARF_RSP, 8, 0x80 + PF_DWARF_RETURN_ADDRESS, 1};

struct writer {
    uint8_t bytes[EH_FRAME_ENTRY_COUNT_MAX * RECORD_BYTES_MAX];
    size_t count;
};

static void put(struct writer *writer, const void *bytes, size_t count) {
    ck_assert_uint_le(writer->count + count, sizeof(writer->bytes));
    if (count != 0) {
        memcpy(writer->bytes + writer->count, bytes, count);
    }
    writer->count += count;
}

static void put_u8(struct writer *writer, uint8_t value) {
    put(writer, &value, sizeof(value));
}

static void put_u32(struct writer *writer, uint32_t value) {
    put(writer, &value, sizeof(value));
}

/* The length of the record that began at `at`, now that it is known. */
static void end_record(struct writer *writer, size_t at) {
    const uint32_t bytes = (uint32_t)(writer->count - at - sizeof(uint32_t));

    memcpy(writer->bytes + at, &bytes, sizeof(bytes));
}

static void put_common(struct writer *writer, const struct eh_frame_common *common) {
    const char *const letters = common->letters != NULL ? common->letters : "zR";
    const size_t at = writer->count;

    put_u32(writer, 0); /* the length, later */
    put_u32(writer, 0); /* no entry: a CIE */
    put_u8(writer, common->version != 0 ? common->version : 1);
    put(writer, letters, strlen(letters) + 1);
    put_u8(writer, 1);    /* code_align */
    put_u8(writer, 0x78); /* data_align: -8 */
    put_u8(writer,
           common->return_register != 0 ? common->return_register : PF_DWARF_RETURN_ADDRESS);
    if (letters[0] == 'z') {
        const bool has_data = common->data != NULL;
        put_u8(writer, (uint8_t)(has_data ? common->data_bytes : sizeof(usual_data)));
        put(writer, has_data ? common->data : usual_data,
            has_data ? common->data_bytes : sizeof(usual_data));
    }
    put(writer, common->program != NULL ? common->program : usual_program,
        common->program != NULL ? common->program_bytes : sizeof(usual_program));
    end_record(writer, at);
}

static size_t form_bytes(uint8_t encoding) {
    switch (encoding & PF_DWARF_FORM) {
    case PF_DWARF_UDATA2:
    case PF_DWARF_SDATA2:
        return sizeof(uint16_t);
    case PF_DWARF_UDATA4:
    case PF_DWARF_SDATA4:
        return sizeof(uint32_t);
    default:
        return sizeof(uint64_t);
    }
}

/* `base`: the address that the writer's first byte will have. */
static void put_entry(struct writer *writer, const struct eh_frame_common *common,
                      const struct eh_frame_function *function, uintptr_t code, uintptr_t base) {
    const uint8_t encoding = common->encoding != 0 ? common->encoding : PCREL_SDATA4;
    const size_t at = writer->count;

    put_u32(writer, 0);
    put_u32(writer, (uint32_t)writer->count); /* back to the CIE, which stands first */
    const uintptr_t place = base + writer->count;
    const uint64_t start =
        code + function->offset - ((encoding & PF_DWARF_BASE) == PF_DWARF_PCREL ? place : 0);
    const uint64_t bytes = function->bytes;
    put(writer, &start, form_bytes(encoding));
    put(writer, &bytes, form_bytes(encoding));
    if (common->letters == NULL || common->letters[0] == 'z') {
        put_u8(writer, 0); /* of augmentation data */
    }
    put(writer, function->program, function->program_bytes);
    end_record(writer, at);
}

static void put_header(struct eh_frame *made, const struct eh_frame_function *functions,
                       size_t count) {
    const uint8_t encodings[] = {1, PCREL_SDATA4, PF_DWARF_UDATA4, DATAREL_SDATA4};
    const int32_t frame_offset = (int32_t)(made->common - (made->header + sizeof(encodings)));
    const uint32_t row_count = (uint32_t)count;

    memcpy(made->header, encodings, sizeof(encodings));
    memcpy(made->header + 4, &frame_offset, sizeof(frame_offset));
    memcpy(made->header + 8, &row_count, sizeof(row_count));
    for (size_t idx = 0; idx < count; idx++) {
        const int32_t row[] = {
            (int32_t)((intptr_t)(made->code + functions[idx].offset) - (intptr_t)made->header),
            (int32_t)(made->entries[idx] - made->header)};
        memcpy(made->header + EH_FRAME_HEADER_BYTES + idx * EH_FRAME_ROW_BYTES, row, sizeof(row));
    }
}

void eh_frame_make(struct eh_frame *made, const struct eh_frame_common *common,
                   const struct eh_frame_function *functions, size_t count) {
    static struct writer writer;
    size_t offsets[EH_FRAME_ENTRY_COUNT_MAX];
    const size_t table_bytes = EH_FRAME_HEADER_BYTES + count * EH_FRAME_ROW_BYTES;

    ck_assert_uint_le(count, EH_FRAME_ENTRY_COUNT_MAX);
    *made = (struct eh_frame){.memory = guarded_make(EH_FRAME_CODE_BYTES + sizeof(writer.bytes))};
    made->code = (uintptr_t)made->memory.low;
    for (int pass = 0; pass < 2; pass++) {
        const uintptr_t base = (uintptr_t)made->memory.high - writer.count;
        writer.count = 0;
        put_common(&writer, common);
        for (size_t idx = 0; idx < count; idx++) {
            offsets[idx] = writer.count;
            put_entry(&writer, common, &functions[idx], made->code, base);
        }
    }
    made->common = guarded_put_end(&made->memory, writer.bytes, writer.count);
    for (size_t idx = 0; idx < count; idx++) {
        made->entries[idx] = made->common + offsets[idx];
    }
    made->header = made->common - table_bytes;
    made->header -= (uintptr_t)made->header % sizeof(uint32_t);
    put_header(made, functions, count);
    made->object = (struct pf_object){made->code, (uintptr_t)made->memory.high, made->header};
}

void eh_frame_free(struct eh_frame *made) {
    guarded_free(&made->memory);
}
