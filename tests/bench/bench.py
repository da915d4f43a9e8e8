#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""bench.py — Tally beside every other allocator that is installed: time and memory.

Question: on which loads is which allocator ahead, by how much, and how sure is that?
Unit:     by row: nanoseconds an operation or processor seconds; peak resident memory; page faults.
Noise:    in each round every allocator runs a row before the next row is begun, in an order that
          rotates; medians over the rounds, p10..p90 beside them, intervals by resampling rounds.
          A median whose p10..p90 is wider than a tenth of it is marked ~.
Honest:   Tally samples at its default rate all the time; peers run as they are shipped. Every
          workload checks its blocks, every program's output is compared with the C library's. A
          run that fails is shown as failed. docs/BENCH.md says what the numbers do not mean.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

from suite import allocators, build, figures, programs, rows, runner, server, tables  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "bench"

# Sleepers run side by side as long as this share of the memory holds their peaks.
_IDLE_MEMORY_SHARE = 0.6
_IDLE_ROUNDS_MAX = 2
# How long all runs together may wait for others to be quiet: where wall time is what counts.
_PATIENCE_QUICK_S, _PATIENCE_FULL_S = 30, 900


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="./dev bench", description="Compares Tally with the allocators that are installed.")
    add = parser.add_argument
    add("--quick", action="store_true", help="smaller loads, 3 rounds: the whole in 5 minutes")
    add("--only", metavar="REGEX[,REGEX]", help="rows whose GROUP/NAME has a match")
    add("--rounds", type=int, metavar="N", help="default 7; with --quick 3")
    add("--peer", action="append", metavar="NAME=LIB", help="one more peer, preloaded from LIB")
    add("--allocators", metavar="REGEX", help="of the installed peers only those that match")
    add("--tally", metavar="LIB", default=str(ROOT / "out/lib/libtally.so"),
        help="the library to measure")
    add("--tally-conf", action="append", metavar="[NAME=]CONF",
        help=f"tally's MALLOC_CONF instead of {allocators.TALLY_CONF}; with NAME a further column")
    add("--tally-build", action="append", metavar="NAME=LIB",
        help="a column for another build of Tally, configured like the first")
    add("--with-prof-off", action="store_true", help="a column for Tally without profiling")
    add("--json", metavar="FILE", default=str(OUT / "bench.json"), help="all samples")
    add("--svg", metavar="FILE", default=str(OUT / "bench.svg"), help="the chart")
    add("--text", metavar="FILE", default=str(OUT / "bench.txt"), help="the tables")
    add("--brief", action="store_true", help="print the summary only")
    add("--replay", metavar="FILE", help="tables and chart of a former run's JSON")
    add("--list", action="store_true", help="the rows, and nothing is run")
    return parser.parse_args(arguments)


def chosen_rows(options):
    found = [*rows.workload_rows(options.quick), *programs.program_rows(),
             *server.redis_rows(options.quick)]
    if options.only:
        patterns = [re.compile(pattern) for pattern in options.only.split(",")]
        found = [row for row in found
                 if any(pattern.search(f"{row.group}/{row.name}") for pattern in patterns)]
    if not found:
        raise SystemExit("bench: no row has that name; --list shows all")
    return found


def _first_line(path, pattern=""):
    for line in pathlib.Path(path).read_text().splitlines():
        if pattern in line:
            return line
    return ""


def _load():
    return f"{os.getloadavg()[0]:.1f}"


def launcher_floor_kib(suite):
    """The peak of a process of nothing, started by a driver that has grown: what launch.c is for.
    Stops the suite if the driver's memory is in it."""
    ballast = bytearray(b"x" * (64 << 20))
    row = next(row for row in rows.workload_rows(True) if row.name == "trivial")
    sample = runner.run(suite, row, allocators.Allocator("glibc"))
    if "error" in sample:
        raise SystemExit(f"bench: a process of nothing fails: {sample['error']}")
    if sample["rss_kib"] * 1024 > len(ballast) / 8:
        raise SystemExit("bench: the launcher does not hide the driver's memory")
    return sample["rss_kib"]


def machine_facts(suite):
    huge = _first_line("/sys/kernel/mm/transparent_hugepage/enabled")
    tree = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return {"cpu": _first_line("/proc/cpuinfo", "model name").partition(": ")[2],
            "cores": os.cpu_count(), "kernel": os.uname().release,
            "memory_kib": int(_first_line("/proc/meminfo", "MemTotal").split()[1]),
            "huge_pages": re.search(r"\[(.*)\]", huge).group(1) if huge else "none",
            "tree": tree.stdout.strip(), "load_before": _load(),
            "launcher_floor_kib": launcher_floor_kib(suite)}


class Progress:
    """One line a row and round on standard error."""

    def __init__(self, rounds, row_count):
        self.started = time.monotonic()
        self.rounds = rounds
        self.row_count = row_count

    def say(self, round_number, at, row, columns):
        cells = []
        for column in columns:
            sample = row["samples"][column.name][-1]
            value = sample.get("time")
            cells.append(f"{column.name} " + ("FAILED" if "error" in sample else
                                              tables.show_time(row, value)))
        print(f"[{time.monotonic() - self.started:5.0f} s] {round_number + 1}/{self.rounds} "
              f"{at + 1}/{self.row_count} {row['name']}: {', '.join(cells)}", file=sys.stderr,
              flush=True)


def _entry(row):
    """A row of the report, as yet without samples."""
    counts = [figures.RSS] if row.idle_mib else [figures.TIME, figures.RSS]
    if row.needs_background_thread:
        counts = []
    return {"name": row.name, "group": row.group, "what": row.what, "time": row.time,
            "unit": row.unit, "counts": counts, "samples": {}}


def _columns_of(row, columns):
    return [column for column in columns
            if column.has_background_thread or not row.needs_background_thread]


def reference_answer(suite, row):
    """What the C library's malloc leads to, from a run that is not measured: it also brings the
    program and its input into the page cache."""
    sample = runner.run(suite, row, allocators.Allocator("glibc"))
    if "error" in sample:
        print(f"bench: {row.name} under glibc: {sample['error']}", file=sys.stderr)
        return None
    return sample["answer"]


def run_row(suite, what, columns, turn):
    """Every allocator once; each turn another one begins."""
    row, entry, answer = what
    first = turn % len(columns)
    for column in columns[first:] + columns[:first]:
        sample = runner.run(suite, row, column, answer)
        entry["samples"].setdefault(column.name, []).append(sample)


def run_rounds(suite, chosen, columns, rounds):
    """Every row but the sleepers. Returns their entries."""
    entries = [_entry(row) for row in chosen]
    answers = {row.name: reference_answer(suite, row) for row in chosen if row.has_answer}
    progress = Progress(rounds, len(chosen))
    try:
        for number in range(rounds):
            for at, (row, entry) in enumerate(zip(chosen, entries)):
                run_row(suite, (row, entry, answers.get(row.name)), columns, number + at)
                progress.say(number, at, entry, columns)
    except KeyboardInterrupt:
        print("bench: stopped; the report is of what was run", file=sys.stderr)
    return entries


def run_idle(suite, chosen, columns, rounds):
    """The sleepers, as many at once as memory holds: what is measured is no time."""
    entries = [_entry(row) for row in chosen]
    if not chosen:
        return entries
    free_kib = int(_first_line("/proc/meminfo", "MemAvailable").split()[1])
    peak_kib = max(row.idle_mib for row in chosen) * 1024 * 1.3
    workers = max(1, int(free_kib * _IDLE_MEMORY_SHARE / peak_kib))
    print(f"bench: {len(chosen)} rows that sleep, {workers} processes at a time", file=sys.stderr)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = [(entry, column, pool.submit(runner.run, suite, row, column))
                   for _ in range(rounds) for row, entry in zip(chosen, entries)
                   for column in _columns_of(row, columns)]
        for entry, column, future in waiting:
            entry["samples"].setdefault(column.name, []).append(future.result())
    return entries


def measure(options):
    """The report: everything that was measured, as it goes into the JSON file."""
    chosen = chosen_rows(options)
    columns, versions = allocators.find(options)
    build.build(OUT / "bin")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="tally-bench."))
    suite = runner.Suite(OUT / "bin", OUT / "inputs", scratch, options.quick,
                         timeout_s=60 if options.quick else 300,
                         patience_s=_PATIENCE_QUICK_S if options.quick else _PATIENCE_FULL_S)
    rounds = options.rounds or (3 if options.quick else 7)
    started = time.monotonic()
    try:
        programs.prepare(suite, chosen)
        machine = machine_facts(suite)
        busy = [row for row in chosen if not row.idle_mib]
        asleep = [row for row in chosen if row.idle_mib]
        entries = run_rounds(suite, busy, columns, rounds)
        entries += run_idle(suite, asleep, columns,
                            1 if options.quick else min(rounds, _IDLE_ROUNDS_MAX))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    machine["load_after"] = _load()
    return {"machine": machine, "is_quick": options.quick, "rounds": rounds,
            "seconds": time.monotonic() - started,
            "allocators": [{"name": one.name, "library": one.library, "conf": one.conf,
                            "is_ours": one.is_ours, "version": versions[one.name]}
                           for one in columns],
            "rows": entries}


def write_text(report, options):
    full = [*tables.head(report), *tables.details(report)]
    short = [*tables.matrix(report, figures.TIME), *tables.matrix(report, figures.RSS),
             *tables.summary(report)]
    _parent(options.text).write_text("\n".join(full + short) + "\n")
    print("\n".join((tables.head(report) if options.brief else full) + short))


def write_chart(report, options):
    try:
        from suite import chart
    except ImportError as error:
        print(f"bench: no chart: {error} (python3-matplotlib)", file=sys.stderr)
        return
    chart.draw(report, _parent(options.svg))


def _parent(path):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def main(arguments):
    options = parse(arguments)
    if options.list:
        for row in chosen_rows(options):
            print(f"{row.group + '/' + row.name:<36} {row.what}")
        return 0
    if options.replay:
        report = json.loads(pathlib.Path(options.replay).read_text())
    else:
        report = measure(options)
        _parent(options.json).write_text(json.dumps(report, indent=1) + "\n")
    write_text(report, options)
    write_chart(report, options)
    has_failed = any(figures.failures(row, name)
                     for row in report["rows"] for name in figures.names(report))
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
