# SPDX-License-Identifier: BSD-2-Clause
"""One run of a row under an allocator: launched, measured, checked.

A run that fails is a sample with an `error`; it is neither dropped nor repeated. Wall time is worth
little while others use the processors: such runs wait for a quiet moment as long as the suite has
patience, and are repeated a few times; the one with the least of others' work stands, whatever its
figure is.
"""
import dataclasses
import hashlib
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import threading
import time

_STDERR_CHARACTERS_MAX = 400

# Processors that others may use during a run whose wall time counts, and tries for that.
_OUTSIDE_MAX = 0.15
_ATTEMPTS_QUICK, _ATTEMPTS_FULL = 2, 4
_PROBE_S = 0.06


@dataclasses.dataclass
class Suite:
    """Where things are, and how long a run may take."""
    bin: pathlib.Path
    inputs: pathlib.Path
    scratch: pathlib.Path
    is_quick: bool
    timeout_s: float
    # Seconds left for waiting until others are quiet.
    patience_s: float


def clean_environment():
    """The same for every run: nothing of the caller's that an allocator might read."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/nonexistent"}


def scratch_folder(suite, row, allocator):
    folder = suite.scratch / f"{row.name}.{allocator.name}.{threading.get_ident()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def launch_command(suite, row, allocator, report, command):
    """`command` behind launch.c, which sets the environment and writes `report`."""
    settings = {**row.environment, **allocator.environment(row.conf)}
    flags = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
    return [str(part) for part in
            [suite.bin / "launch", "-n", row.times, *flags, "-o", report, *command]]


def stop_group(process):
    """What we started, and what that started: it leads a session of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _failure(text):
    return {"error": text}


def read_report(row, report):
    """The launcher's figures as a sample, or the reason why there is none."""
    try:
        figures = json.loads(report.read_text())
    except (OSError, ValueError) as error:
        return _failure(f"no report of the launcher: {error}")
    status = figures["status"]
    times = figures["times"]
    cpu_s = (figures["user_us"] + figures["system_us"]) / 1e6 / times
    sample = {"cpu_s": cpu_s, "wall_s": figures["wall_us"] / 1e6 / times,
              "user_s": figures["user_us"] / 1e6 / times,
              "faults": figures["minor_faults"] / times, "rss_kib": figures["rss_max_kib"],
              "switches_forced": figures["switches_forced"]}
    if row.time == "process":
        sample["time"] = cpu_s
    if status < 0:
        sample["error"] = f"killed by {signal.Signals(-status).name}"
    elif status > 0:
        sample["error"] = f"status {status}"
    return sample


def _add_case(row, sample, output):
    """What work.c printed about the part that counts."""
    try:
        figures = json.loads(output)
        nanoseconds = figures["wall_ns" if row.time == "case-wall" else "cpu_ns"]
        sample["time"] = nanoseconds / figures["ops"]
        sample["ops"] = figures["ops"]
        sample["notes"] = figures["notes"]
    except (ValueError, KeyError, ZeroDivisionError) as error:
        sample["error"] = f"its line of figures cannot be read: {error}"


def run_plain(suite, row, allocator):
    """A program that runs to its end by itself. Returns the sample."""
    folder = scratch_folder(suite, row, allocator)
    report = folder / "report.json"
    command = launch_command(suite, row, allocator, report, row.command(suite))
    process = subprocess.Popen(command, cwd=folder, env=clean_environment(),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    try:
        output, errors = process.communicate(timeout=suite.timeout_s)
    except subprocess.TimeoutExpired:
        return _failure(f"not done after {suite.timeout_s:.0f} s")
    finally:
        if process.poll() is None:
            stop_group(process)
    sample = read_report(row, report)
    if "error" in sample:
        words = errors.decode(errors="replace").strip()[-_STDERR_CHARACTERS_MAX:]
        sample["error"] += f": {words}" if words else ""
    elif row.time.startswith("case"):
        _add_case(row, sample, output)
    if row.has_answer:
        sample["answer"] = hashlib.sha256(output).hexdigest()[:16]
    shutil.rmtree(folder, ignore_errors=True)
    return sample


class _Outside:
    """How many processors others have used since it was made, the hypervisor's guests included."""

    def __init__(self):
        self.at = time.monotonic()
        self.busy_s = self._busy_s()
        self.own_s = self._own_s()

    @staticmethod
    def _busy_s():
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def _own_s():
        usages = (resource.getrusage(who)
                  for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def processors(self):
        outside_s = self._busy_s() - self.busy_s - (self._own_s() - self.own_s)
        return round(max(0.0, outside_s / (time.monotonic() - self.at)), 2)


def _wait_for_quiet(suite):
    while suite.patience_s > 0:
        outside = _Outside()
        time.sleep(_PROBE_S)
        if outside.processors() <= _OUTSIDE_MAX:
            return
        suite.patience_s -= _PROBE_S


def _attempt(suite, row, allocator):
    if row.time == "case-wall":
        _wait_for_quiet(suite)
    started = time.time()
    outside = _Outside()
    sample = (row.run or run_plain)(suite, row, allocator)
    sample["outside"] = outside.processors()
    sample["at"] = round(started, 3)
    return sample


def run(suite, row, allocator, wanted_answer=None):
    """A sample of the row; `wanted_answer` is the C library's, if it is known."""
    attempts = 1
    if row.time == "case-wall":
        attempts = _ATTEMPTS_QUICK if suite.is_quick else _ATTEMPTS_FULL
    sample = None
    for number in range(attempts):
        other = _attempt(suite, row, allocator)
        if sample is None or "error" in other or other["outside"] < sample["outside"]:
            sample = other
        sample["attempts"] = number + 1
        if "error" in sample or sample["outside"] <= _OUTSIDE_MAX:
            break
    if row.has_answer and "error" not in sample and wanted_answer is not None:
        if sample["answer"] != wanted_answer:
            sample["error"] = f"another answer than glibc's: {sample['answer']}"
    return sample
