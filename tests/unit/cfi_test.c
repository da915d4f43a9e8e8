/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   an address has the rule that its object's tables give it; what a rule cannot say is left
 *         to others; damaged tables give some rule or none, and nothing outside the object is read.
 * Method: an object assembled by hand with a function a form, this program's own objects with rules
 *         that can be known beforehand, and random damage.
 */
#include "prof/cfi.h"

#include "tests/support/eh_frame.h"
#include "tests/support/suite.h"

#include <dlfcn.h>
#include <link.h>

#define RBX 3
#define RBP PF_DWARF_RBP
#define RSP PF_DWARF_RSP
#define RIP PF_DWARF_RETURN_ADDRESS

enum { FUNCTION_BYTES = 0x100, PROGRAM_BYTES_MAX = 24, RANDOM_COUNT = 100000, CHANGES_MAX = 4 };

struct form {
    const char *what;
    uint8_t program[PROGRAM_BYTES_MAX];
    size_t program_bytes;
    struct pf_rule rule;
};

#define BYTES(...) .program = {__VA_ARGS__}, .program_bytes = sizeof((const uint8_t[]){__VA_ARGS__})
#define OTHER                                                                                      \
    { PF_STEP_OTHER, PF_SAVED_SAME, 0, 0 }

static const struct form forms[] = {
    {"leaf", .program_bytes = 0, .rule = {PF_STEP_RSP, PF_SAVED_SAME, 8, 0}},
    {"frame without rbp", BYTES(0x0e, 0xc0, 0x02), {PF_STEP_RSP, PF_SAVED_SAME, 320, 0}},
    {"rbp saved", BYTES(0x0e, 32, 0x80 + RBP, 3), {PF_STEP_RSP, PF_SAVED_AT_CFA, 32, -24}},
    {"frame with rbp",
     BYTES(0x0c, RBP, 16, 0x80 + RBP, 2),
     {PF_STEP_RBP, PF_SAVED_AT_CFA, 16, -16}},
    {"stack realigned",
     BYTES(0x0f, 3, 0x76, 0x78, 0x06, 0x10, RBP, 2, 0x76, 0x00),
     {PF_STEP_RBP_DEREF, PF_SAVED_AT_RBP, -8, 0}},
    {"outermost", BYTES(0x07, RIP), {PF_STEP_END, PF_SAVED_SAME, 0, 0}},
    {"rbp clobbered", BYTES(0x07, RBP), {PF_STEP_RSP, PF_SAVED_SAME, 8, 0}},
    {"CFA in another register", BYTES(0x0c, RBX, 16), OTHER},
    {"CFA at a number", BYTES(0x0f, 1, 0x31), OTHER},
    {"CFA in memory at rsp", BYTES(0x0f, 3, 0x77, 0x08, 0x06), OTHER},
    {"CFA too far", BYTES(0x0e, 0x80, 0x80, 0x80, 0x80, 0x08), OTHER},
    {"expression refused", BYTES(0x0f, 2, 0x70, 0x08), OTHER},
    {"rbp in another register", BYTES(0x09, RBP, RBX), OTHER},
    {"rbp in memory at rsp", BYTES(0x10, RBP, 2, 0x77, 0x08), OTHER},
    {"rbp too far", BYTES(0x05, RBP, 0x80, 0x80, 0x80, 0x80, 0x08), OTHER},
    {"return address in a register", BYTES(0x09, RIP, RBX), OTHER},
    {"return address elsewhere", BYTES(0x80 + RIP, 2), OTHER},
    {"return address by expression", BYTES(0x10, RIP, 2, 0x77, 0x08), OTHER},
    {"unknown instruction", BYTES(0x3f), OTHER},
};
static_assert(AL_ARRAY_COUNT(forms) > EH_FRAME_ENTRY_COUNT_MAX, "in two objects");

static void assert_rule(struct pf_rule rule, struct pf_rule want, const char *what) {
    const bool is_step =
        want.step == PF_STEP_RSP || want.step == PF_STEP_RBP || want.step == PF_STEP_RBP_DEREF;

    ck_assert_msg(rule.step == want.step, "%s: step %d", what, (int)rule.step);
    ck_assert_msg(!is_step || (rule.cfa_offset == want.cfa_offset && rule.rbp == want.rbp),
                  "%s: CFA %d, rbp %d", what, rule.cfa_offset, (int)rule.rbp);
    ck_assert_msg(!is_step || rule.rbp == PF_SAVED_SAME || rule.rbp_offset == want.rbp_offset,
                  "%s: rbp at %d", what, rule.rbp_offset);
}

START_TEST(each_form_has_its_rule) {
    for (size_t first = 0; first < AL_ARRAY_COUNT(forms); first += EH_FRAME_ENTRY_COUNT_MAX) {
        struct eh_frame_function functions[EH_FRAME_ENTRY_COUNT_MAX];
        const struct eh_frame_common usual = {0};
        struct eh_frame made;
        size_t count = 0;
        for (; count < EH_FRAME_ENTRY_COUNT_MAX && first + count < AL_ARRAY_COUNT(forms); count++) {
            const struct form *const form = &forms[first + count];
            functions[count] =
                (struct eh_frame_function){(uint32_t)count * FUNCTION_BYTES, FUNCTION_BYTES,
                                           form->program, form->program_bytes};
        }
        eh_frame_make(&made, &usual, functions, count);
        for (size_t idx = 0; idx < count; idx++) {
            const struct form *const form = &forms[first + idx];
            const uintptr_t low = made.code + functions[idx].offset;
            assert_rule(pf_cfi_rule(&made.object, low), form->rule, form->what);
            assert_rule(pf_cfi_rule(&made.object, low + FUNCTION_BYTES - 1), form->rule,
                        form->what);
        }
        eh_frame_free(&made);
    }
}
END_TEST

/* The kernel's registers lie where rt_sigreturn looks for them; no other code says so. */
START_TEST(only_rt_sigreturn_returns_from_a_signal) {
    static const uint8_t code[] = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};
    const struct eh_frame_common common = {.letters = "zRS",
                                           .data =
                                               (const uint8_t[]){PF_DWARF_PCREL | PF_DWARF_SDATA4},
                                           .data_bytes = 1};
    const struct eh_frame_function function = {0x0f, 1 + sizeof(code), NULL, 0};
    struct eh_frame made;

    eh_frame_make(&made, &common, &function, 1);
    memcpy((char *)made.code + 0x10, code, sizeof(code));
    const uintptr_t before = made.code + 0x0f;
    ck_assert_int_eq(pf_cfi_rule(&made.object, before).step, PF_STEP_SIGNAL);
    ck_assert_int_eq(pf_cfi_rule(&made.object, before + 1).step, PF_STEP_OTHER);
    for (size_t idx = 0; idx < sizeof(code); idx++) {
        char *const byte = (char *)made.code + 0x10 + idx;
        *byte ^= 1;
        ck_assert_msg(pf_cfi_rule(&made.object, before).step == PF_STEP_OTHER, "byte %zu", idx);
        *byte ^= 1;
    }
    struct pf_object cut = made.object; /* the code may be the object's last */
    cut.header = NULL;
    ck_assert_int_eq(pf_cfi_rule(&cut, before).step, PF_STEP_OTHER);
    eh_frame_free(&made);
}
END_TEST

START_TEST(addresses_without_an_entry_have_no_rule) {
    const struct eh_frame_common usual = {0};
    const struct eh_frame_function function = {0x100, 0x10, NULL, 0};
    struct eh_frame made;

    eh_frame_make(&made, &usual, &function, 1);
    ck_assert_int_eq(pf_cfi_rule(&made.object, made.code).step, PF_STEP_NONE);
    ck_assert_int_eq(pf_cfi_rule(&made.object, made.code + 0xff).step, PF_STEP_NONE);
    ck_assert_int_eq(pf_cfi_rule(&made.object, made.code + 0x100).step, PF_STEP_RSP);
    ck_assert_int_eq(pf_cfi_rule(&made.object, made.code + 0x10f).step, PF_STEP_RSP);
    ck_assert_int_eq(pf_cfi_rule(&made.object, made.code + 0x110).step, PF_STEP_NONE);
    eh_frame_free(&made);
}
END_TEST

/* ---- what the loader mapped ---- */

static struct pf_object object_of(uintptr_t address) {
    struct dl_find_object found;

    ck_assert_int_eq(_dl_find_object((void *)address, &found), 0);
    return (struct pf_object){(uintptr_t)found.dlfo_map_start, (uintptr_t)found.dlfo_map_end,
                              found.dlfo_eh_frame};
}

/* At a function's first byte nothing is pushed yet. */
static void assert_entered(uintptr_t function) {
    const struct pf_object object = object_of(function);
    const struct pf_rule rule = pf_cfi_rule(&object, function);

    assert_rule(rule, (struct pf_rule){PF_STEP_RSP, PF_SAVED_SAME, 8, 0}, "a function's start");
}

START_TEST(real_functions_begin_with_nothing_pushed) {
    static const char *const names[] = {"qsort", "printf", "strtol", "fopen", "getenv", "realpath"};

    assert_entered((uintptr_t)assert_entered);
    assert_entered((uintptr_t)object_of);
    for (size_t idx = 0; idx < AL_ARRAY_COUNT(names); idx++) {
        void *const function = dlsym(RTLD_DEFAULT, names[idx]);
        ck_assert_ptr_nonnull(function);
        assert_entered((uintptr_t)function);
    }
}
END_TEST

struct tally {
    size_t rule_count, none_count, other_count;
};

static int count_rules(struct dl_phdr_info *info, size_t info_bytes, void *arg) {
    struct tally *const tally = arg;

    for (size_t idx = 0; info_bytes >= sizeof(*info) && idx < info->dlpi_phnum; idx++) {
        const ElfW(Phdr) *const header = &info->dlpi_phdr[idx];
        if (header->p_type != PT_LOAD || (header->p_flags & PF_X) == 0) {
            continue;
        }
        const uintptr_t low = info->dlpi_addr + header->p_vaddr;
        const struct pf_object object = object_of(low);
        for (uintptr_t address = low; address < low + header->p_memsz; address += 17) {
            const enum pf_step step = pf_cfi_rule(&object, address).step;
            tally->rule_count += step != PF_STEP_NONE && step != PF_STEP_OTHER;
            tally->none_count += step == PF_STEP_NONE;
            tally->other_count += step == PF_STEP_OTHER;
        }
    }
    return 0;
}

/* All code that is mapped: nearly all of it has a rule, or our own walk would be of no use. */
START_TEST(nearly_all_real_code_has_a_rule) {
    struct tally tally = {0};

    ck_assert_int_eq(dl_iterate_phdr(count_rules, &tally), 0);
    ck_assert_uint_gt(tally.rule_count, 20000);
    ck_assert_msg(tally.other_count * 200 < tally.rule_count, "%zu of %zu are for others",
                  tally.other_count, tally.rule_count);
}
END_TEST

START_TEST(random_damage_gives_a_rule_or_none) {
    struct eh_frame_function functions[EH_FRAME_ENTRY_COUNT_MAX];
    const struct eh_frame_common usual = {0};
    uint64_t state = suite_seed(5);
    struct eh_frame made;
    uint8_t good[2048];

    for (size_t idx = 0; idx < EH_FRAME_ENTRY_COUNT_MAX; idx++) {
        functions[idx] = (struct eh_frame_function){(uint32_t)idx * FUNCTION_BYTES, FUNCTION_BYTES,
                                                    forms[idx].program, forms[idx].program_bytes};
    }
    eh_frame_make(&made, &usual, functions, EH_FRAME_ENTRY_COUNT_MAX);
    const size_t bytes = (size_t)(made.memory.high - made.header);
    ck_assert_uint_le(bytes, sizeof(good));
    memcpy(good, made.header, bytes);
    for (int round = 0; round < RANDOM_COUNT; round++) {
        for (uint64_t left = 1 + suite_random(&state) % CHANGES_MAX; left > 0; left--) {
            made.header[(suite_random(&state) >> 8) % bytes] = (uint8_t)(suite_random(&state) >> 8);
        }
        const struct pf_rule rule =
            pf_cfi_rule(&made.object, made.code + (suite_random(&state) >> 8) % 0x1000);
        ck_assert_int_le(rule.step, PF_STEP_OTHER);
        memcpy(made.header, good, bytes);
    }
    eh_frame_free(&made);
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("cfi");

    tcase_add_test(tcase, each_form_has_its_rule);
    tcase_add_test(tcase, only_rt_sigreturn_returns_from_a_signal);
    tcase_add_test(tcase, addresses_without_an_entry_have_no_rule);
    tcase_add_test(tcase, real_functions_begin_with_nothing_pushed);
    tcase_add_test(tcase, nearly_all_real_code_has_a_rule);
    tcase_add_test(tcase, random_damage_gives_a_rule_or_none);
    return suite_run(tcase, "cfi", 60);
}
