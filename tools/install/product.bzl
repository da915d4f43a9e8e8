# SPDX-License-Identifier: BSD-2-Clause
"""Turns the libraries into what is installed, around one relocatable object.

tally_object   every object of `deps` and of the static system libraries they ask for
               (linkopts "-l:libNAME.a"), linked into one with all but the exports localised
tally_shared   that object as a shared library
tally_archive  that object as a static library

Why not cc_binary(linkshared): the static library must hide its internals too, the shared ones
must be made of the same bytes, and Bazel's toolchain adds -lstdc++ and -lm to every link,
where libtally.so may need the C library alone.
"""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

_TOOLCHAIN = attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain")

def _archives_and_flags(deps):
    archives = []
    flags = []
    for dep in deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            for library in linker_input.libraries:
                archives.append(library.pic_static_library or library.static_library)
            flags += [f for f in linker_input.user_link_flags if f.startswith("-l:")]
    return depset(archives).to_list(), depset(flags).to_list()

def _tally_object_impl(ctx):
    cc = find_cpp_toolchain(ctx)
    archives, flags = _archives_and_flags(ctx.attr.deps)
    out = ctx.actions.declare_file(ctx.label.name + ".o")
    args = ctx.actions.args()
    args.add_all([cc.compiler_executable, cc.objcopy_executable, ctx.file.exports, ctx.file.order, out])
    args.add_all(["-Wl,--whole-archive"] + archives + ["-Wl,--no-whole-archive"] + flags)
    ctx.actions.run_shell(
        outputs = [out],
        inputs = archives + [ctx.file.exports, ctx.file.order],
        tools = cc.all_files,
        command = """set -eu
cc=$1 objcopy=$2 exports=$3 order=$4 out=$5; shift 5
# One section of our own for all code: its ends are how the profiler tells our frames from others
# (prof/stack.c), in a shared library and in a program that has us inside. What every process runs
# comes first.
{ echo 'SECTIONS { tally_text : { *(.text.startup* .text.exit*)'
  sed -e '/^#/d' -e '/^$/d' -e 's/.*/*(.text.& .text.&.* .text.unlikely.&)/' "$order"
  echo '*(.text .text.[!u]* .text.u[!n]*) *(.text.*) }'
  echo '.bss : { *(.bss) } .bss.sparse : { *(.bss.sparse) } }'; } >"$out.ld"
"$cc" -r -nostdlib -fuse-ld=bfd -Wl,-T,"$out.ld" -o "$out.all" "$@"
grep -v -e '^#' -e '^$' "$exports" >"$out.keep"
"$objcopy" --keep-global-symbols="$out.keep" "$out.all" "$out"
rm "$out.all" "$out.keep" "$out.ld"
""",
        arguments = [args],
        mnemonic = "TallyObject",
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

tally_object = rule(
    implementation = _tally_object_impl,
    attrs = {
        "deps": attr.label_list(providers = [CcInfo]),
        "exports": attr.label(allow_single_file = True, mandatory = True),
        "order": attr.label(allow_single_file = True, mandatory = True),
        "_cc_toolchain": _TOOLCHAIN,
    },
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
    incompatible_use_toolchain_transition = True,
)

def _tally_shared_impl(ctx):
    cc = find_cpp_toolchain(ctx)
    out = ctx.actions.declare_file(ctx.label.name)
    args = ctx.actions.args()
    args.add_all([cc.compiler_executable, ctx.file.exports, out, ctx.file.object, ctx.attr.soname])
    ctx.actions.run_shell(
        outputs = [out],
        inputs = [ctx.file.object, ctx.file.exports],
        tools = cc.all_files,
        # An anonymous version script: names without versions, as jemalloc's are, so that a
        # program built against either runs with the other.
        # noseparate-code: headers, code and constants in one mapping, without the rest of a page
        # between them; a process that does nothing has 100 KiB less of us.
        # nodelete: once malloc has answered, its pages and its thread-local data must stay.
        command = """set -eu
cc=$1 exports=$2 out=$3 object=$4 soname=$5
{ echo '{ global:'
  sed -e '/^#/d' -e '/^$/d' -e 's/$/;/' "$exports"
  echo 'local: *; };'; } >"$out.map"
# What a process that does nothing reads lies together, behind the headers that the loader has
# read: what the C runtime adds, constants, our code in its order. libgcc's code and the unwind
# tables come after.
echo 'SECTIONS {
.fini : { KEEP(*(SORT_NONE(.fini))) }
.text.crt : { *crtbegin*.o(.text) *libc_nonshared.a:*(.text .text.*) }
.rodata : { *(.rodata .rodata.*) }
tally_text : { *(tally_text) }
} INSERT BEFORE .text;' >"$out.ld"
"$cc" -shared -fuse-ld=bfd -static-libgcc -o "$out" "$object" -Wl,-T,"$out.ld" \
    -Wl,-soname,"$soname" -Wl,--version-script,"$out.map" -Wl,--as-needed -Wl,--build-id=sha1 \
    -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete -Wl,-z,noexecstack \
    -Wl,-z,noseparate-code -Wl,--gc-sections -Wl,--hash-style=gnu -Wl,-O1
rm "$out.map" "$out.ld"
""",
        arguments = [args],
        mnemonic = "TallyShared",
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

tally_shared = rule(
    implementation = _tally_shared_impl,
    attrs = {
        "exports": attr.label(allow_single_file = True, mandatory = True),
        "object": attr.label(allow_single_file = True, mandatory = True),
        "soname": attr.string(mandatory = True),
        "_cc_toolchain": _TOOLCHAIN,
    },
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
    incompatible_use_toolchain_transition = True,
)

def _tally_archive_impl(ctx):
    cc = find_cpp_toolchain(ctx)
    out = ctx.actions.declare_file(ctx.label.name)
    args = ctx.actions.args()
    args.add_all(["rcsD", out, ctx.file.object])
    ctx.actions.run(
        outputs = [out],
        inputs = [ctx.file.object],
        tools = cc.all_files,
        executable = cc.ar_executable,
        arguments = [args],
        mnemonic = "TallyArchive",
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

tally_archive = rule(
    implementation = _tally_archive_impl,
    attrs = {
        "object": attr.label(allow_single_file = True, mandatory = True),
        "_cc_toolchain": _TOOLCHAIN,
    },
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
    incompatible_use_toolchain_transition = True,
)
