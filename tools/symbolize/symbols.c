/* SPDX-License-Identifier: BSD-2-Clause
 *
 * symbols — a module a binary, opened when first asked for, through libdwfl.
 */
#include "tools/symbolize/symbols.h"

#include "tools/symbolize/cache.h"
#include "tools/symbolize/demangle.h"
#include "tools/symbolize/layout.h"

#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A build id of up to 64 bytes in hex. */
enum { BUILD_ID_BYTES = 2 * 64 + 1 };

/* FOUND: its file is known; it is opened when the cache does not know a place of it. */
enum sy_module_state { MODULE_NEW, MODULE_FOUND, MODULE_OPEN, MODULE_MISSING };

struct sy_module {
    enum sy_module_state state;
    char *path; /* where its file is; NULL before MODULE_FOUND */
    struct sy_cache cache;
    bool is_cached; /* that what is looked up goes into the cache */
    Dwfl *dwfl;
    Dwfl_Module *dwfl_module;
    struct sy_layout layout;
    struct sy_scopes *scopes; /* NULL: no debug information */
    GElf_Addr debug_bias;     /* from the debug information's addresses to libdwfl's */
    GElf_Addr bias;           /* from the file's own addresses to libdwfl's */
    bool is_lack_warned;      /* that it lacks debug information */
};

void sy_symbols_init(struct sy_symbols *symbols, const struct sy_find *find,
                     const struct sy_notes *notes) {
    *symbols = (struct sy_symbols){.notes = notes, .find = *find};
}

bool sy_symbols_read_perf_map(struct sy_symbols *symbols, const char *path, struct sy_error *err) {
    sy_perf_map_fini(&symbols->perf_map);
    return sy_perf_map_read(&symbols->perf_map, path, err);
}

static void drop_text(struct sy_symbols *symbols) {
    free(symbols->text);
    symbols->text = NULL;
}

void sy_symbols_fini(struct sy_symbols *symbols) {
    drop_text(symbols);
    for (size_t idx = 0; idx < symbols->module_count; idx++) {
        sy_layout_fini(&symbols->modules[idx].layout);
        sy_scopes_free(symbols->modules[idx].scopes);
        sy_cache_close(&symbols->modules[idx].cache);
        free(symbols->modules[idx].path);
        if (symbols->modules[idx].dwfl != NULL) {
            dwfl_end(symbols->modules[idx].dwfl);
        }
    }
    free(symbols->modules);
    sy_perf_map_fini(&symbols->perf_map);
    *symbols = (struct sy_symbols){0};
}

/* ---- opening ---- */

static Dwfl *begin(void) {
    static char *debuginfo_path; /* NULL: libdwfl's standard folders */
    static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_build_id_find_elf,
        .find_debuginfo = dwfl_standard_find_debuginfo,
        .section_address = dwfl_offline_section_address,
        .debuginfo_path = &debuginfo_path,
    };
    return dwfl_begin(&callbacks);
}

/* The file's own build id in hex; "" if it has none. */
static void build_id_of(Dwfl_Module *dwfl_module, char *hex, size_t hex_bytes) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bits = NULL;
    GElf_Addr addr = 0;
    const int bits_count = dwfl_module_build_id(dwfl_module, &bits, &addr);
    size_t at = 0;

    for (int i = 0; i < bits_count && at + 3 <= hex_bytes; i++) {
        hex[at++] = digits[bits[i] >> 4];
        hex[at++] = digits[bits[i] & 15];
    }
    hex[at] = '\0';
}

static const char *without_names(const char *path) {
    const char *const slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Whether the opened file is the one the dump was taken from. */
static bool is_same_build(struct sy_symbols *symbols, const struct sy_module *module,
                          const char *path, const char *wanted_id) {
    char have_id[BUILD_ID_BYTES];

    build_id_of(module->dwfl_module, have_id, sizeof(have_id));
    if (wanted_id[0] == '\0' || strcmp(wanted_id, have_id) == 0) {
        return true;
    }
    sy_warn(symbols->notes,
            "%s: is another build (%s) than the profiled one (%s), so its functions stay as "
            "addresses; give the profiled program, or put its debug file below "
            "/usr/lib/debug/.build-id",
            path, have_id[0] != '\0' ? have_id : "without a build id", wanted_id);
    return false;
}

/* The file in libdwfl; NULL if it is no program. */
static Elf *open_elf(struct sy_symbols *symbols, struct sy_module *module, const char *path) {
    module->dwfl = begin();
    if (module->dwfl == NULL) {
        sy_warn(symbols->notes, "%s: libdw: %s", path, dwfl_errmsg(-1));
        return NULL;
    }
    dwfl_report_begin(module->dwfl);
    module->dwfl_module = dwfl_report_offline(module->dwfl, without_names(path), path, -1);
    (void)dwfl_report_end(module->dwfl, NULL, NULL);
    if (module->dwfl_module == NULL) {
        sy_warn(symbols->notes,
                "%s: cannot be read as a program (%s); its functions stay as addresses", path,
                dwfl_errmsg(-1));
        return NULL;
    }
    Elf *const elf = dwfl_module_getelf(module->dwfl_module, &module->bias);
    if (elf == NULL) {
        sy_warn(symbols->notes, "%s: %s; its functions stay as addresses", path, dwfl_errmsg(-1));
    }
    return elf;
}

static bool open_file(struct sy_symbols *symbols, const struct sy_profile *profile,
                      uint32_t binary_idx, const char *path) {
    struct sy_module *const module = &symbols->modules[binary_idx];
    const uint32_t build_id_id = profile->binaries[binary_idx].build_id_id;
    Elf *const elf = open_elf(symbols, module, path);

    if (elf == NULL ||
        !is_same_build(symbols, module, path, sy_profile_text(profile, build_id_id))) {
        return false;
    }
    if (!sy_layout_init(&module->layout, elf, profile, binary_idx)) {
        sy_warn(symbols->notes,
                "%s: no code segment of it is what the profile has mapped (a debug file of "
                "another build, or unusually linked), so its functions stay as addresses; give "
                "the profiled program itself",
                path);
        return false;
    }
    return true;
}

/* Says which file is missing, which build of it, and what to do. */
static void warn_missing(struct sy_symbols *symbols, const char *path, const char *why,
                         const char *build_id, bool is_main) {
    char debug_path[SY_DEBUG_PATH_BYTES];
    const bool has_debug_path = sy_find_debug_path(build_id, debug_path, sizeof(debug_path));

    sy_warn(symbols->notes, "%s: %s%s%s; its functions stay as addresses%s%s%s", path, why,
            build_id[0] != '\0' ? ", build id " : "", build_id,
            is_main ? "; if it has moved, give PROGRAM before the profiles" : "",
            has_debug_path ? "; or put its debug file at " : "", has_debug_path ? debug_path : "");
}

static void find_module(struct sy_symbols *symbols, const struct sy_profile *profile,
                        uint32_t binary_idx) {
    const struct sy_binary *const binary = &profile->binaries[binary_idx];
    const char *const own_path = sy_profile_text(profile, binary->path_id);
    const char *const build_id = sy_profile_text(profile, binary->build_id_id);
    const bool is_program = binary->is_main && symbols->find.program != NULL;
    struct sy_module *const module = &symbols->modules[binary_idx];

    module->state = MODULE_MISSING;
    module->path = sy_find_binary(&symbols->find, own_path, build_id, binary->is_main);
    if (module->path == NULL) {
        warn_missing(symbols, is_program ? symbols->find.program : own_path, strerror(errno),
                     build_id, binary->is_main);
        return;
    }
    if (binary->home == SY_HOME_DELETED && !is_program && build_id[0] == '\0') {
        sy_warn(symbols->notes,
                "%s: was removed or replaced before the dump was written; names come from the "
                "file that is there now and may be wrong",
                module->path);
    }
    sy_cache_open(&module->cache, module->path, build_id);
    module->state = MODULE_FOUND;
}

/* Whether the code itself is not in the file: a debug file, whose places the dump's own mappings
 * tell and must tell each time.
 */
static bool is_debug_file(Elf *elf) {
    for (Elf_Scn *section = elf_nextscn(elf, NULL); section != NULL;
         section = elf_nextscn(elf, section)) {
        GElf_Shdr head;
        if (gelf_getshdr(section, &head) != NULL && (head.sh_flags & SHF_EXECINSTR) != 0) {
            return head.sh_type == SHT_NOBITS;
        }
    }
    return true;
}

static void open_module(struct sy_symbols *symbols, const struct sy_profile *profile,
                        uint32_t binary_idx) {
    struct sy_module *const module = &symbols->modules[binary_idx];

    module->state = MODULE_MISSING;
    if (open_file(symbols, profile, binary_idx, module->path)) {
        Dwarf *const dwarf = dwfl_module_getdwarf(module->dwfl_module, &module->debug_bias);
        GElf_Addr bias = 0;
        module->scopes = dwarf != NULL ? sy_scopes_new(dwarf) : NULL;
        module->is_cached = !is_debug_file(dwfl_module_getelf(module->dwfl_module, &bias));
        module->state = MODULE_OPEN;
    }
}

/* The module of a binary, its file found; NULL: it cannot be had. */
static struct sy_module *module_of(struct sy_symbols *symbols, const struct sy_profile *profile,
                                   uint32_t binary_idx) {
    if (binary_idx >= symbols->module_count) {
        struct sy_module *const modules = sy_grown(symbols->modules, &symbols->module_cap,
                                                   profile->binary_count, sizeof(*modules));
        if (modules == NULL) {
            return NULL;
        }
        memset(modules + symbols->module_count, 0,
               (profile->binary_count - symbols->module_count) * sizeof(*modules));
        symbols->modules = modules;
        symbols->module_count = profile->binary_count;
    }
    struct sy_module *const module = &symbols->modules[binary_idx];
    if (module->state == MODULE_NEW) {
        find_module(symbols, profile, binary_idx);
    }
    return module->state == MODULE_MISSING ? NULL : module;
}

/* ---- looking up ---- */

/* Demangled where it is mangled; owned by `symbols`, or the given text itself. */
static const char *readable(struct sy_symbols *symbols, const char *name) {
    drop_text(symbols);
    symbols->text = sy_demangled(name);
    return symbols->text != NULL ? symbols->text : name;
}

/* Names that the dump itself carries. */
static size_t given_frames(const struct sy_profile *profile, uint32_t given_id,
                           struct sy_frame frames[SY_FRAMES_MAX]) {
    size_t given_bytes = 0;
    const struct sy_given *const given = sy_intern_get(&profile->given, given_id, &given_bytes);
    size_t count = given_bytes / sizeof(*given);

    count = count < SY_FRAMES_MAX ? count : SY_FRAMES_MAX;
    for (size_t idx = 0; idx < count; idx++) {
        frames[idx].function = sy_profile_text(profile, given[idx].name_id);
        frames[idx].file = sy_profile_text(profile, given[idx].file_id);
        frames[idx].line = given[idx].line;
    }
    return count;
}

/* Once a module: a place had no name because the file was stripped. */
static void warn_lack(struct sy_symbols *symbols, struct sy_module *module, const char *path) {
    char build_id[BUILD_ID_BYTES];
    char debug_path[SY_DEBUG_PATH_BYTES];

    if (module->is_lack_warned || module->scopes != NULL) {
        return;
    }
    module->is_lack_warned = true;
    build_id_of(module->dwfl_module, build_id, sizeof(build_id));
    if (!sy_find_debug_path(build_id, debug_path, sizeof(debug_path))) {
        sy_warn(symbols->notes,
                "%s: has neither debug information nor a build id to find it by, so some of its "
                "functions stay as addresses; build it with -g -Wl,--build-id",
                path);
        return;
    }
    sy_warn(symbols->notes,
            "%s: has no debug information (build id %s), so some of its functions stay as "
            "addresses; set DEBUGINFOD_URLS, or put its debug file at %s; on Debian "
            "`find-dbgsym-packages %s` (debian-goodies) names the package that has it",
            path, build_id, debug_path, path);
}

/* By debug information, else by symbol. */
static size_t opened_frames(struct sy_symbols *symbols, const struct sy_profile *profile,
                            struct sy_module *module, const struct sy_location *location,
                            struct sy_frame frames[SY_FRAMES_MAX]) {
    Dwarf_Addr addr = 0;

    if (!sy_layout_find(&module->layout, location->offset, &addr)) {
        return 0;
    }
    addr += module->bias;
    frames[0] = (struct sy_frame){.function = "", .file = ""};
    const size_t count = module->scopes != NULL
                             ? sy_scopes_lookup(module->scopes, addr - module->debug_bias, frames)
                             : 0;
    if (count != 0) {
        if (module->is_cached) {
            sy_cache_add(&module->cache, location->offset, frames, count);
        }
        return count;
    }
    GElf_Off offset = 0;
    GElf_Sym symbol;
    const char *const name =
        dwfl_module_addrinfo(module->dwfl_module, addr, &offset, &symbol, NULL, NULL, NULL);
    /* The nearest symbol before is not good enough: a sized one must reach as far. */
    if (name == NULL || (symbol.st_size != 0 && offset >= symbol.st_size)) {
        const uint32_t path_id = profile->binaries[location->binary_idx].path_id;
        warn_lack(symbols, module, sy_profile_text(profile, path_id));
        return 0;
    }
    frames[0].function = readable(symbols, name);
    return 1;
}

size_t sy_symbols_lookup(struct sy_symbols *symbols, const struct sy_profile *profile,
                         const struct sy_location *location,
                         struct sy_frame frames[SY_FRAMES_MAX]) {
    const uint32_t idx = location->binary_idx;
    const enum sy_home home = profile->binaries[idx].home;

    drop_text(symbols);
    if (location->given_id != SY_NONE) {
        return given_frames(profile, location->given_id, frames);
    }
    if (home == SY_HOME_NONE || home == SY_HOME_ANON) {
        const char *const name = sy_perf_map_find(&symbols->perf_map, location->offset);
        frames[0] = (struct sy_frame){.function = name, .file = ""};
        return name != NULL ? 1 : 0;
    }
    struct sy_module *const module =
        home == SY_HOME_SPECIAL ? NULL : module_of(symbols, profile, idx);
    if (module == NULL) {
        return 0;
    }
    const size_t count = sy_cache_find(&module->cache, location->offset, frames);
    if (count != 0) {
        return count;
    }
    if (module->state == MODULE_FOUND) {
        open_module(symbols, profile, idx);
    }
    return module->state == MODULE_OPEN ? opened_frames(symbols, profile, module, location, frames)
                                        : 0;
}
