# SPDX-License-Identifier: BSD-2-Clause
"""redis-server under redis-benchmark: the figure is the server's processor time, from its start to
its end; the client is not measured and runs without any library preloaded.

Debian's redis-server is linked with jemalloc. unjemalloc.c stands in for it, so that the column of
the C library is the C library's, and no other one carries a second allocator along.
"""
import functools
import socket
import subprocess
import time

from . import runner
from .rows import FULL_FACTOR, Row

_KEYS = 50_000
_PIPELINE = 32
_ANSWER_TIMEOUT_S = 20

_SERVER = ["/usr/bin/redis-server", "--port", "0", "--unixsocket", "redis.sock", "--save", "",
           "--appendonly", "no", "--daemonize", "no", "--logfile", "redis.log"]


class _Client:
    """As much of redis's protocol as the checks need."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(_ANSWER_TIMEOUT_S)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rwb")

    def ask(self, *words):
        """The number or the line that comes back."""
        self.file.write(b"*%d\r\n" % len(words))
        for word in words:
            self.file.write(b"$%d\r\n%s\r\n" % (len(word), word.encode()))
        self.file.flush()
        line = self.file.readline().decode().strip()
        if line.startswith("$") and line != "$-1":
            line = self.file.readline().decode().strip()
        return int(line[1:]) if line.startswith(":") else line

    def end(self):
        """The server says nothing: it ends."""
        self.ask("shutdown", "nosave")
        self.socket.close()


def _connect(path, process):
    """Waits for the server. Ends: by the server's end, or by the clock."""
    until = time.monotonic() + _ANSWER_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        try:
            return _Client(path)
        except OSError:
            time.sleep(0.005)
    return None


def _distinct(draws):
    """How many keys are expected of so many draws, and how far off may it be."""
    expected = _KEYS * (1 - (1 - 1 / _KEYS) ** draws)
    return expected * 0.98, expected * 1.02


def _counted(ask, words, low, high):
    """None, or what is wrong."""
    found = ask(*words)
    if isinstance(found, int) and low <= found <= high:
        return None
    return f"{' '.join(words)} says {found}, not {low:.0f} to {high:.0f}"


def _check_set(ask, count):
    sizes = {ask("strlen", "key:%012d" % key) for key in range(0, _KEYS, 997)} - {0}
    if sizes != {100}:
        return f"values of {sizes} bytes, not 100"
    return _counted(ask, ["dbsize"], *_distinct(count))


def _check_list(ask, count):
    # The last pipeline is sent in full.
    return _counted(ask, ["llen", "mylist"], count, count + 20 * _PIPELINE)


def _check_hash(ask, count):
    return _counted(ask, ["hlen", "myhash"], *_distinct(count))


def _check_members(ask, count):
    return _counted(ask, ["scard", "myset"], *_distinct(count))


# name, redis-benchmark's test, flags, requests of a quick run, what holds afterwards.
_TESTS = (
    ("redis_set", "set", ["-d", "100", "-r", _KEYS], 300_000, _check_set),
    ("redis_lpush", "lpush", ["-d", "100"], 400_000, _check_list),
    ("redis_lrange", "lrange_300", ["-d", "32"], 20_000, _check_list),
    ("redis_hset", "hset", ["-d", "100", "-r", _KEYS], 300_000, _check_hash),
    ("redis_sadd", "sadd", ["-r", _KEYS], 400_000, _check_members),
)


def _load(suite, folder, test, count):
    """The client. None, or what is wrong."""
    name, flags = test[1], test[2]
    command = ["/usr/bin/redis-benchmark", "-s", folder / "redis.sock", "-q", "-c", 20, "-P",
               _PIPELINE, "-n", count, *flags, "-t", name]
    try:
        done = subprocess.run([str(part) for part in command], env=runner.clean_environment(),
                              capture_output=True, text=True, timeout=suite.timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return f"redis-benchmark not done after {suite.timeout_s:.0f} s"
    return None if done.returncode == 0 else f"redis-benchmark: {done.stderr.strip()[-200:]}"


def _drive(suite, folder, process, test, count):
    """Load, check, end. None, or what is wrong."""
    client = _connect(folder / "redis.sock", process)
    if client is None:
        return "the server does not answer"
    error = _load(suite, folder, test, count)
    if error is None:
        error = test[4](client.ask, count)
    client.end()
    process.wait(timeout=_ANSWER_TIMEOUT_S)
    return error


def _run(test, count, suite, row, allocator):
    folder = runner.scratch_folder(suite, row, allocator)
    report = folder / "report.json"
    command = runner.launch_command(suite, row, allocator, report, _SERVER)
    # Asked for by a library's name, ours comes before the system's.
    command[1:1] = ["-e", f"LD_LIBRARY_PATH={suite.bin / 'unjemalloc'}"]
    process = subprocess.Popen(command, cwd=folder, env=runner.clean_environment(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        error = _drive(suite, folder, process, test, count)
    except (OSError, subprocess.TimeoutExpired) as problem:
        error = f"the server went away: {problem}"
    runner.stop_group(process)
    sample = runner.read_report(row, report)
    if error is not None:
        # How the server ended tells more, if it ended by itself.
        ended = f", {sample['error']}" if "cpu_s" in sample and "error" in sample else ""
        sample["error"] = error + ended
    return sample


def redis_rows(is_quick):
    for test in _TESTS:
        count = test[3] * (1 if is_quick else FULL_FACTOR)
        yield Row(test[0], "redis", f"{test[1]}, pipelined by {_PIPELINE}", "process",
                  run=functools.partial(_run, test, count))
