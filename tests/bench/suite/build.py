# SPDX-License-Identifier: BSD-2-Clause
"""Compiles the workloads into out/bench/bin, when a source is newer than what is there.

By the plain compiler, so that bench.py runs on any machine that has one; tests/bench/BUILD has the
same sources for ./dev check, with all warnings.
"""
import pathlib
import subprocess

SOURCES = pathlib.Path(__file__).resolve().parent.parent

_COMMON = ["-O2", "-g", "-D_GNU_SOURCE", "-Wall", "-Wextra"]
# A call of malloc stays a call: the compiler must not know what it does.
_CALLS = ["-fno-builtin-" + name for name in
          ("malloc", "calloc", "realloc", "free", "posix_memalign")]
_WORK_C = ["work.c", "blocks.c", "calls.c", "threads.c", "servers.c", "memory.c"]
_WORK_CXX = ["operators.c", "operators_new.cc"]
_WORK_H = ["work.h", "threads.h", "operators.h"]


def _run(command):
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(map(str, command))}\n{done.stderr}")


def _is_fresh(product, sources):
    newest = max((SOURCES / source).stat().st_mtime for source in sources)
    return product.exists() and product.stat().st_mtime > newest


def _build_objects(product, sources):
    scratch = product.parent / "objects"
    scratch.mkdir(exist_ok=True)
    objects = []
    for source in sources:
        made = scratch / (source + ".o")
        compiler = ["c++", "-std=c++17"] if source.endswith(".cc") else ["cc", "-std=c17"]
        _run(compiler + _COMMON + _CALLS + ["-I", SOURCES.parent.parent, "-c", source, "-o", made])
        objects.append(made)
    return objects


def _build_work(product):
    _run(["cc", "-o", product] + _build_objects(product, _WORK_C) + ["-lpthread"])


def _build_work_cxx(product):
    objects = _build_objects(product, _WORK_C + _WORK_CXX)
    _run(["c++", "-o", product] + objects + ["-lpthread"])


def _build_launch(product):
    _run(["cc", "-std=c17", "-static"] + _COMMON + ["-o", product, "launch.c"])


def _build_trivial(product):
    _run(["cc", "-std=c17"] + _COMMON + ["-o", product, "trivial.c"])


def _build_unjemalloc(product):
    _run(["cc", "-std=c17", "-shared", "-fPIC", "-Wl,-soname,libjemalloc.so.2"] + _COMMON +
         ["-o", product, "unjemalloc.c"])


def build(folder):
    """Everything the rows need, in `folder`."""
    (folder / "unjemalloc").mkdir(parents=True, exist_ok=True)
    for name, sources, make in (
            ("work", _WORK_C + _WORK_H, _build_work),
            ("work_cxx", _WORK_C + _WORK_CXX + _WORK_H, _build_work_cxx),
            ("launch", ["launch.c"], _build_launch),
            ("trivial", ["trivial.c"], _build_trivial),
            ("unjemalloc/libjemalloc.so.2", ["unjemalloc.c"], _build_unjemalloc)):
        if not _is_fresh(folder / name, sources):
            make(folder / name)
