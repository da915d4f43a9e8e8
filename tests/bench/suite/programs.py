# SPDX-License-Identifier: BSD-2-Clause
"""The table of real programs: Debian's, by absolute path; the output is the answer.

Each is a process, or a few, whose processor time and peak memory are taken as a whole.
"""
from . import inputs
from .rows import Row

# Quick runs take some 0.3 s of processor time, full ones about a second.
_QUICK = {"python": 5, "perl": 4, "lua": 8, "node": 4, "sqlite": 90_000, "gs": 5, "cxx": 11,
          "z3": 1, "git": 250}
_FULL = {"python": 18, "perl": 15, "lua": 32, "node": 20, "sqlite": 280_000, "gs": 20, "cxx": 80,
         "z3": 4, "git": 500}

_GIT = {"GIT_CONFIG_NOSYSTEM": "1"}


def _size(suite, name):
    return (_QUICK if suite.is_quick else _FULL)[name]


def _input(suite, name, kind):
    """The file of this size. Its number is its size, so that none is taken for another."""
    return suite.inputs / f"{name}-{_size(suite, name)}{kind}"


def _script(interpreter, name, kind, *flags):
    return lambda suite: [interpreter, *flags, inputs.TEXTS / f"work{kind}", _size(suite, name)]


def _sqlite(suite):
    return ["/usr/bin/sqlite3", "-init", "/dev/null", ":memory:",
            f".read {_input(suite, 'sqlite', '.sql')}"]


def _z3(suite):
    return ["/usr/bin/z3", "-smt2", _input(suite, "z3", ".smt2")]


def _cxx(suite):
    return ["/usr/bin/g++", "-std=c++17", "-O1", "-S", f"-DLINKS={_size(suite, 'cxx')}", "-o", "-",
            inputs.TEXTS / "work.cc"]


def _ghostscript(suite):
    return ["/usr/bin/gs", "-q", "-dBATCH", "-dNOPAUSE", "-dSAFER", "-sDEVICE=ppmraw", "-r100",
            f"-dpages={_size(suite, 'gs')}", "-sOutputFile=%stdout", "-sstdout=%stderr",
            inputs.TEXTS / "work.ps"]


def _git(suite):
    """All deltas made anew, by one thread: the pack's name is a digest of what is in it."""
    repository = _input(suite, "git", ".git")
    return ["/bin/sh", "-c", f"/usr/bin/git -C '{repository}' -c pack.threads=1 repack -a -d -f -q "
                             f"--window=20 && ls '{repository}/objects/pack'"]


def program_rows():
    for name, what, command, environment in (
            ("sqlite3", "tables, indexes and joins in memory", _sqlite, {}),
            ("python3", "JSON, text, objects; PYTHONMALLOC=malloc",
             _script("/usr/bin/python3", "python", ".py", "-I"),
             {"PYTHONMALLOC": "malloc"}),
            ("perl", "hashes, lists, sorting", _script("/usr/bin/perl", "perl", ".pl"),
             {"PERL_HASH_SEED": "0"}),
            ("lua5.4", "trees, strings, closures", _script("/usr/bin/lua5.4", "lua", ".lua"), {}),
            ("z3", "queens and chains of arrays", _z3, {}),
            ("g++", "-O1 of templates and containers", _cxx, {}),
            ("ghostscript", "pages of curves and text", _ghostscript, {}),
            ("git_repack", "all deltas anew, one thread", _git, _GIT),
            ("node", "buffers, JSON, zlib", _script("/usr/bin/node", "node", ".js"), {})):
        yield Row(name, "programs", what, "process", command, environment=environment,
                  has_answer=True)


def prepare(suite, rows):
    """Makes the inputs that the rows need and that are not there."""
    needed = {row.name for row in rows}
    suite.inputs.mkdir(parents=True, exist_ok=True)
    for row, name, kind, make in (("sqlite3", "sqlite", ".sql", inputs.write_sql),
                                  ("z3", "z3", ".smt2", inputs.write_smt),
                                  ("git_repack", "git", ".git", inputs.make_repository)):
        path = _input(suite, name, kind)
        if row in needed and not path.exists():
            fresh = path.with_name(path.name + ".new")
            make(fresh, _size(suite, name))
            fresh.rename(path)
