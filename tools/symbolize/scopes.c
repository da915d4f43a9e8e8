/* SPDX-License-Identifier: BSD-2-Clause
 *
 * scopes — a unit's tree is walked once, when the first address in it is asked for. What has
 * addresses becomes pieces, sorted so that the innermost is found by one binary search and a few
 * steps outward.
 */
#include "tools/symbolize/scopes.h"

#include "tools/symbolize/demangle.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t none = UINT32_MAX;

/* Deeper nesting than any compiler writes: the walk is recursive. */
enum { DEPTH_MAX = 512 };
enum { OUTER_NAMES_MAX = 16 };

/* A function, or an inlined call of one. */
struct function {
    Dwarf_Die die;
    uint32_t caller_idx; /* the function around it; none for one with code of its own */
    bool is_inlined;
    bool is_named; /* that what follows is known */
    char *name;    /* owned; NULL: it has none */
    const char *call_file;
    uint32_t call_line;
};

/* Addresses from low up to high belong to a function, unless a piece inside says otherwise. */
struct piece {
    uint64_t low;
    uint64_t high;
    uint32_t function_idx;
    uint32_t outer_idx; /* the piece around it; none */
};

struct unit {
    Dwarf_Die die;   /* with the functions: of a split unit the one in its .dwo file */
    Dwarf_Die lines; /* with the line table */
    bool is_walked;
    struct function *functions;
    size_t function_cap;
    uint32_t function_count;
    struct piece *pieces;
    size_t piece_cap;
    uint32_t piece_count;
};

/* Addresses of a unit. */
struct range {
    uint64_t low;
    uint64_t high;
    uint32_t unit_idx;
};

struct sy_scopes {
    struct unit *units;
    size_t unit_cap;
    uint32_t unit_count;
    struct range *ranges; /* sorted by low */
    size_t range_cap;
    uint32_t range_count;
};

/* ---- units ---- */

static bool add_range(struct sy_scopes *scopes, uint64_t low, uint64_t high) {
    struct range *const ranges = sy_grown(scopes->ranges, &scopes->range_cap,
                                          (size_t)scopes->range_count + 1, sizeof(*ranges));
    if (ranges == NULL) {
        return false;
    }
    scopes->ranges = ranges;
    ranges[scopes->range_count++] =
        (struct range){.low = low, .high = high, .unit_idx = scopes->unit_count - 1};
    return true;
}

static bool add_unit(struct sy_scopes *scopes, Dwarf_Die *lines, Dwarf_Die *die) {
    struct unit *const units =
        sy_grown(scopes->units, &scopes->unit_cap, (size_t)scopes->unit_count + 1, sizeof(*units));
    ptrdiff_t offset = 0;
    Dwarf_Addr base = 0;
    Dwarf_Addr low = 0;
    Dwarf_Addr high = 0;

    if (units == NULL) {
        return false;
    }
    scopes->units = units;
    units[scopes->unit_count++] = (struct unit){.die = *die, .lines = *lines};
    /* Ends: each call moves the offset on, and gives 0 after the last range. */
    while ((offset = dwarf_ranges(lines, offset, &base, &low, &high)) > 0) {
        if (high > low && !add_range(scopes, low, high)) {
            return false;
        }
    }
    return true;
}

static int compare_ranges(const void *a_ptr, const void *b_ptr) {
    const struct range *const a = a_ptr;
    const struct range *const b = b_ptr;
    return (a->low > b->low) - (a->low < b->low);
}

struct sy_scopes *sy_scopes_new(Dwarf *dwarf) {
    struct sy_scopes *const scopes = calloc(1, sizeof(*scopes));
    Dwarf_CU *cu = NULL;
    Dwarf_Die die;
    Dwarf_Die sub_die;
    uint8_t kind = 0;

    while (scopes != NULL && dwarf_get_units(dwarf, cu, &cu, NULL, &kind, &die, &sub_die) == 0) {
        const bool is_split = kind == DW_UT_skeleton && dwarf_tag(&sub_die) != DW_TAG_invalid;
        if (kind != DW_UT_compile && kind != DW_UT_skeleton) {
            continue;
        }
        if (!add_unit(scopes, &die, is_split ? &sub_die : &die)) {
            sy_scopes_free(scopes);
            return NULL;
        }
    }
    if (scopes != NULL && scopes->range_count > 0) {
        qsort(scopes->ranges, scopes->range_count, sizeof(*scopes->ranges), compare_ranges);
    }
    return scopes;
}

void sy_scopes_free(struct sy_scopes *scopes) {
    if (scopes == NULL) {
        return;
    }
    for (uint32_t idx = 0; idx < scopes->unit_count; idx++) {
        struct unit *const unit = &scopes->units[idx];
        for (uint32_t at = 0; at < unit->function_count; at++) {
            free(unit->functions[at].name);
        }
        free(unit->functions);
        free(unit->pieces);
    }
    free(scopes->units);
    free(scopes->ranges);
    free(scopes);
}

/* ---- walking a unit ---- */

static bool add_piece(struct unit *unit, uint64_t low, uint64_t high) {
    struct piece *const pieces =
        sy_grown(unit->pieces, &unit->piece_cap, (size_t)unit->piece_count + 1, sizeof(*pieces));
    if (pieces == NULL) {
        return false;
    }
    unit->pieces = pieces;
    pieces[unit->piece_count++] = (struct piece){
        .low = low, .high = high, .function_idx = unit->function_count - 1, .outer_idx = none};
    return true;
}

/* A function with code; its number, or `caller_idx` if it has none. */
static bool add_function(struct unit *unit, Dwarf_Die *die, uint32_t caller_idx, uint32_t *idx) {
    const bool is_inlined = dwarf_tag(die) == DW_TAG_inlined_subroutine;
    ptrdiff_t offset = 0;
    Dwarf_Addr base = 0;
    Dwarf_Addr low = 0;
    Dwarf_Addr high = 0;
    bool is_added = false;

    *idx = caller_idx;
    /* Ends: as in add_unit. */
    while ((offset = dwarf_ranges(die, offset, &base, &low, &high)) > 0) {
        /* Linkers leave what they threw away at 0. */
        if (low == 0 || high <= low) {
            continue;
        }
        if (!is_added) {
            struct function *const functions =
                sy_grown(unit->functions, &unit->function_cap, (size_t)unit->function_count + 1,
                         sizeof(*functions));
            if (functions == NULL) {
                return false;
            }
            unit->functions = functions;
            *idx = unit->function_count;
            functions[unit->function_count++] =
                (struct function){.die = *die,
                                  .caller_idx = is_inlined ? caller_idx : none,
                                  .is_inlined = is_inlined};
            is_added = true;
        }
        if (!add_piece(unit, low, high)) {
            return false;
        }
    }
    return true;
}

/* Whether functions may lie below an entry of this tag. */
static bool may_hold_code(int tag) {
    switch (tag) {
    case DW_TAG_subprogram:
    case DW_TAG_inlined_subroutine:
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
    case DW_TAG_with_stmt:
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type: /* rustc puts methods there */
        return true;
    default:
        return false;
    }
}

/* Recursive, for a tree of known depth: at most DEPTH_MAX calls of some 200 bytes. */
static bool walk(struct unit *unit, Dwarf_Die *parent, uint32_t caller_idx, int depth) {
    Dwarf_Die die;

    if (depth >= DEPTH_MAX || dwarf_child(parent, &die) != 0) {
        return true;
    }
    do {
        const int tag = dwarf_tag(&die);
        uint32_t idx = caller_idx;
        if (!may_hold_code(tag)) {
            continue;
        }
        if ((tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine) &&
            !add_function(unit, &die, caller_idx, &idx)) {
            return false;
        }
        if (!walk(unit, &die, idx, depth + 1)) {
            return false;
        }
    } while (dwarf_siblingof(&die, &die) == 0);
    return true;
}

/* By address, the outer before the inner; of equals the one that was found first is outer. */
static int compare_pieces(const void *a_ptr, const void *b_ptr) {
    const struct piece *const a = a_ptr;
    const struct piece *const b = b_ptr;
    if (a->low != b->low) {
        return a->low > b->low ? 1 : -1;
    }
    if (a->high != b->high) {
        return a->high < b->high ? 1 : -1;
    }
    return (a->function_idx > b->function_idx) - (a->function_idx < b->function_idx);
}

static void nest_pieces(struct unit *unit) {
    uint32_t outer_idx = none;

    if (unit->piece_count > 0) {
        qsort(unit->pieces, unit->piece_count, sizeof(*unit->pieces), compare_pieces);
    }
    for (uint32_t idx = 0; idx < unit->piece_count; idx++) {
        while (outer_idx != none && unit->pieces[outer_idx].high <= unit->pieces[idx].low) {
            outer_idx = unit->pieces[outer_idx].outer_idx;
        }
        unit->pieces[idx].outer_idx = outer_idx;
        outer_idx = idx;
    }
}

static bool walk_unit(struct unit *unit) {
    if (!unit->is_walked) {
        unit->is_walked = true;
        if (!walk(unit, &unit->die, none, 0)) {
            unit->piece_count = 0;
        }
        nest_pieces(unit);
    }
    return unit->piece_count > 0;
}

static const struct piece *piece_of(const struct unit *unit, uint64_t addr) {
    uint32_t low = 0;
    uint32_t high = unit->piece_count;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (unit->pieces[mid].low <= addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    uint32_t idx = low == 0 ? none : low - 1;
    while (idx != none && unit->pieces[idx].high <= addr) {
        idx = unit->pieces[idx].outer_idx;
    }
    return idx == none ? NULL : &unit->pieces[idx];
}

/* ---- names ---- */

/* "outer::<lambda(int)>::operator()": what has no linkage name is told by where it stands. */
static char *qualified(Dwarf_Die *die, const char *name) {
    Dwarf_Attribute attr;
    Dwarf_Die origin = *die;
    Dwarf_Die *outer = NULL;
    char *text = NULL;
    size_t text_bytes = 0;

    if (dwarf_attr(die, DW_AT_abstract_origin, &attr) != NULL) {
        (void)dwarf_formref_die(&attr, &origin);
    }
    FILE *const out = open_memstream(&text, &text_bytes);
    if (out == NULL) {
        return NULL;
    }
    const int outer_count = dwarf_getscopes_die(&origin, &outer);
    for (int at = outer_count > OUTER_NAMES_MAX ? OUTER_NAMES_MAX : outer_count - 1; at > 0; at--) {
        const int tag = dwarf_tag(&outer[at]);
        const char *const outer_name = dwarf_diename(&outer[at]);
        if (outer_name != NULL && tag != DW_TAG_compile_unit && tag != DW_TAG_lexical_block) {
            fprintf(out, "%s::", outer_name);
        }
    }
    fputs(name, out);
    free(outer);
    return fclose(out) == 0 ? text : NULL;
}

static char *name_of(Dwarf_Die *die) {
    static const unsigned kinds[] = {DW_AT_linkage_name, DW_AT_MIPS_linkage_name};
    Dwarf_Attribute attr;

    for (size_t i = 0; i < SY_ARRAY_COUNT(kinds); i++) {
        const char *const name = dwarf_formstring(dwarf_attr_integrate(die, kinds[i], &attr));
        char *const text = name != NULL ? sy_demangled(name) : NULL;
        if (text != NULL) {
            return text;
        }
    }
    const char *const name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attr));
    if (name == NULL) {
        const char *const mangled =
            dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attr));
        return mangled != NULL ? strdup(mangled) : NULL;
    }
    return strncmp(name, "operator()", strlen("operator()")) == 0 ? qualified(die, name)
                                                                  : strdup(name);
}

/* Where an inlined function was called: file and line of the frame around it. */
static void note_call(struct unit *unit, struct function *function) {
    Dwarf_Attribute attr;
    Dwarf_Word line = 0;
    Dwarf_Word file_idx = 0;
    Dwarf_Files *files = NULL;
    size_t file_count = 0;

    function->call_file = "";
    if (dwarf_formudata(dwarf_attr(&function->die, DW_AT_call_line, &attr), &line) == 0) {
        function->call_line = (uint32_t)line;
    }
    if (dwarf_formudata(dwarf_attr(&function->die, DW_AT_call_file, &attr), &file_idx) == 0 &&
        dwarf_getsrcfiles(&unit->die, &files, &file_count) == 0 && file_idx < file_count) {
        const char *const file = dwarf_filesrc(files, file_idx, NULL, NULL);
        function->call_file = file != NULL ? file : "";
    }
}

static const struct function *named(struct unit *unit, uint32_t function_idx) {
    struct function *const function = &unit->functions[function_idx];

    if (!function->is_named) {
        function->is_named = true;
        function->name = name_of(&function->die);
        if (function->is_inlined) {
            note_call(unit, function);
        }
    }
    return function;
}

/* ---- looking up ---- */

static void note_line(struct unit *unit, uint64_t addr, struct sy_frame *frame) {
    Dwarf_Line *const line = dwarf_getsrc_die(&unit->lines, addr);
    const char *const file = line != NULL ? dwarf_linesrc(line, NULL, NULL) : NULL;
    int line_number = 0;

    if (file != NULL && dwarf_lineno(line, &line_number) == 0) {
        frame->file = file;
        frame->line = (uint32_t)line_number;
    }
}

static size_t frames_at(struct unit *unit, uint64_t addr, struct sy_frame frames[SY_FRAMES_MAX]) {
    struct sy_frame place = {.function = "", .file = ""};
    size_t count = 0;

    note_line(unit, addr, &place);
    frames[0] = place;
    const struct piece *const piece = walk_unit(unit) ? piece_of(unit, addr) : NULL;
    uint32_t idx = piece != NULL ? piece->function_idx : none;
    while (idx != none && count < SY_FRAMES_MAX) {
        const struct function *const function = named(unit, idx);
        if (function->name == NULL) {
            return count;
        }
        frames[count] = place;
        frames[count++].function = function->name;
        place.file = function->call_file;
        place.line = function->call_line;
        idx = function->caller_idx;
    }
    return count;
}

size_t sy_scopes_lookup(struct sy_scopes *scopes, uint64_t addr,
                        struct sy_frame frames[SY_FRAMES_MAX]) {
    uint32_t low = 0;
    uint32_t high = scopes->range_count;

    frames[0] = (struct sy_frame){.function = "", .file = ""};
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (scopes->ranges[mid].low <= addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0 || addr >= scopes->ranges[low - 1].high) {
        return 0;
    }
    return frames_at(&scopes->units[scopes->ranges[low - 1].unit_idx], addr, frames);
}
