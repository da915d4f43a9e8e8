# SPDX-License-Identifier: BSD-2-Clause
"""Who is compared: a name, a library to preload, and the environment that configures it.

A peer runs as its distribution ships it, without any setting. Tally runs with heap profiling
active at its default rate: that is the configuration all bounds are stated for.
"""
import dataclasses
import os
import re
import subprocess
import sys

TALLY_CONF = "prof:true,prof_final:false"
TALLY_CONF_OFF = "prof:false"

# In the order of the tables. Names of shared objects as Debian 12's packages install them.
_PEERS = (
    ("jemalloc", ("libjemalloc.so.2",)),
    ("mimalloc", ("libmimalloc.so.2.0", "libmimalloc.so.2")),
    ("tcmalloc", ("libtcmalloc_minimal.so.4",)),
    ("tbbmalloc", ("libtbbmalloc_proxy.so.2",)),
)


@dataclasses.dataclass(frozen=True)
class Allocator:
    """One column. `library` is empty for the C library's own malloc."""
    name: str
    library: str = ""
    conf: str = ""
    is_ours: bool = False

    @property
    def has_background_thread(self):
        """Whether MALLOC_CONF can ask it to purge in a thread of its own."""
        return self.is_ours or self.name.startswith("jemalloc")

    def environment(self, more_conf=""):
        """What the process gets; `more_conf` is for those that read MALLOC_CONF."""
        settings = {}
        if self.library:
            settings["LD_PRELOAD"] = self.library
        conf = self.conf
        if more_conf and self.has_background_thread:
            conf = f"{conf},{more_conf}" if conf else more_conf
        if conf:
            settings["MALLOC_CONF"] = conf
        return settings


def _loader_paths():
    """Name to path, of what the dynamic loader knows."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False)
    paths = {}
    for name, path in re.findall(r"^\s*(\S+) \(.*x86-64.*\) => (\S+)$", listing.stdout, re.M):
        paths.setdefault(name, path)
    return paths


def _package_version(path):
    """'package version' of the package that owns a file; empty if none does."""
    for candidate in (path, os.path.realpath(path), "/usr" + os.path.realpath(path)):
        owner = subprocess.run(["dpkg-query", "-S", candidate], capture_output=True, text=True,
                               check=False)
        if owner.returncode == 0:
            package = owner.stdout.split(": ")[0].split(",")[0]
            shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", package],
                                   capture_output=True, text=True, check=False)
            return shown.stdout.strip()
    return ""


def _pair(text, option):
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise SystemExit(f"bench: {option} wants NAME=VALUE, not {text}")
    return name, value


def _existing(path):
    path = os.path.abspath(path)
    if not os.path.exists(path):
        raise SystemExit(f"bench: there is no {path}")
    return path


def _ours(options):
    """Tally's columns. --tally-conf without a name replaces the configuration of the first."""
    library = _existing(options.tally)
    conf = TALLY_CONF
    columns = []
    for text in options.tally_conf or []:
        name, equals, value = text.partition("=")
        if equals:
            columns.append(Allocator("tally-" + name, library, value, True))
        else:
            conf = text
    columns.insert(0, Allocator("tally", library, conf, True))
    if options.with_prof_off:
        columns.append(Allocator("tally-off", library, TALLY_CONF_OFF, True))
    for text in options.tally_build or []:
        name, path = _pair(text, "--tally-build")
        columns.append(Allocator("tally-" + name, _existing(path), conf, True))
    return columns


def find(options):
    """The columns, ours first, and a dictionary of their versions."""
    paths = _loader_paths()
    columns = _ours(options)
    wanted = re.compile(options.allocators or "")
    if wanted.search("glibc"):
        columns.append(Allocator("glibc"))
    for name, candidates in _PEERS:
        if not wanted.search(name):
            continue
        path = next((paths[soname] for soname in candidates if soname in paths), None)
        if path is None:
            print(f"bench: {name} is not installed ({candidates[0]})", file=sys.stderr)
        else:
            columns.append(Allocator(name, path))
    for text in options.peer or []:
        name, path = _pair(text, "--peer")
        columns.append(Allocator(name, _existing(path)))
    versions = {one.name: _package_version(one.library or paths.get("libc.so.6", ""))
                for one in columns}
    return columns, versions
