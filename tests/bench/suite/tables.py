# SPDX-License-Identifier: BSD-2-Clause
"""The report in text: a block a row, matrices of ratios, the verdict."""
from . import figures
from .figures import RSS, TIME

# Every row above this is named, and it is the bound for a single row.
_WORST_SHOWN = 12
_OUTSIDE_SHOWN = 0.1
_TIME_ROW_MAX = 1.15
_RSS_ROW_MAX = 1.30

_GROUPS = {
    "micro": "malloc and free of one thread; processor ns an operation",
    "threads": "threads; wall ns an operation",
    "memory": "memory over time; processor ns an operation",
    "start": "processes that do nothing; processor time of a process",
    "programs": "real programs; processor seconds",
    "redis": "redis-server under redis-benchmark; processor seconds of the server",
    "idle": "a peak, then sleep; resident MiB without the workload's own table",
}


def show_time(row, value):
    """Nanoseconds an operation, or milliseconds of a process."""
    if row["unit"] == "s":
        return f"{value * 1000:.1f} ms" if value < 10 else f"{value:.2f} s"
    if value < 1e4:
        return f"{value:.1f} ns"
    return f"{value / 1000:.1f} us" if value < 1e6 else f"{value / 1000:.0f} us"


def _ratio_text(value):
    return f"{value:.2f}" if value is not None else "-"


def _interval_text(interval):
    return f"{interval[0]:.2f}..{interval[1]:.2f}" if interval else "-"


def _line(row, name, best_time, best_rss, ours):
    """One allocator's figures in a row's block."""
    errors = figures.failures(row, name)
    if errors:
        runs = len(row["samples"][name])
        return f"  {name:<14} FAILED {len(errors)} of {runs} runs: {errors[0]}"
    time = figures.median(row, name, TIME)
    if time is None:
        return f"  {name:<14} not run"
    low, high = figures.spread(row, name, TIME)
    rss = figures.median(row, name, RSS)
    against = None if name == ours else figures.ratio_interval(row, ours, name, TIME)
    edges = f"{show_time(row, low)}..{show_time(row, high)}"
    noisy = "~" if figures.is_noisy(row, name, TIME) else " "
    return (f"  {name:<14} {show_time(row, time):>10}{noisy} {edges:<24}"
            f"{_ratio_text(time / best_time if best_time else None):>6} "
            f"{_interval_text(against):>13} "
            f"{figures.median(row, name, 'cpu_s'):>8.3f} "
            f"{figures.median(row, name, 'faults'):>9.0f} "
            f"{rss / 1024:>9.2f} {rss / best_rss:>6.2f}")


_BLOCK_HEAD = (f"  {'':<14} {'time':>10}  {'p10..p90':<24}{'x best':>6} {'tally/it 95%':>13} "
               f"{'CPU s':>8} {'faults':>9} {'peak MiB':>9} {'x best':>6}")


def _block(report, row):
    peers = figures.peers(report)
    best_time = figures.best(row, peers, TIME)[1]
    best_rss = figures.best(row, peers, RSS)[1] or 1
    ours = report["allocators"][0]["name"]
    outside = figures.outside(row)
    disturbed = f" (others used {outside:.2f} processors)" if outside > _OUTSIDE_SHOWN else ""
    lines = [f"{row['name']}: {row['what']}{disturbed}", _BLOCK_HEAD]
    lines += [_line(row, name, best_time, best_rss, ours)
              for name in figures.names(report) if row["samples"].get(name)]
    return lines


def details(report):
    """All figures: per group, a block a row."""
    lines = []
    for group, title in _GROUPS.items():
        rows = [row for row in report["rows"] if row["group"] == group]
        if rows and group != "idle":
            lines += ["", f"== {group}: {title}"]
            for row in rows:
                lines += [""] + _block(report, row)
    return lines + _idle(report)


def _idle(report):
    """Resident memory after a peak, by the time slept."""
    rows = [row for row in report["rows"] if row["group"] == "idle"]
    lines = ["", f"== idle: {_GROUPS['idle']}"] if rows else []
    points = ("peak", "0x", "half", "1x", "2x", "visit")
    for row in rows:
        lines += ["", f"{row['name']}: {row['what']}",
                  f"  {'':<14} {'live':>8} " + " ".join(f"{point:>8}" for point in points)]
        for name, samples in row["samples"].items():
            errors = figures.failures(row, name)
            if errors or not samples:
                lines.append(f"  {name:<14} FAILED: {errors[0] if errors else 'not run'}")
                continue
            notes = [sample["notes"] for sample in samples]
            table_kib = notes[0]["table_kib"]
            shown = [figures.quantile([one[f"rss_{point}_kib"] - table_kib for one in notes], 0.5)
                     for point in points]
            lines.append(f"  {name:<14} {notes[0]['live_kib'] / 1024:>8.1f} " +
                         " ".join(f"{kib / 1024:>8.1f}" for kib in shown))
    return lines


def matrix(report, key):
    """Each row's ratio to the best peer, an allocator a column."""
    names = figures.names(report)
    peers = figures.peers(report)
    title = "time" if key == TIME else "peak RSS"
    lines = ["", f"== {title}: by the best peer of the row",
             f"  {'':<24}{'best peer':>20} " + " ".join(f"{name[:10]:>10}" for name in names)]
    for row in figures.counted_rows(report, key):
        name, value = figures.best(row, peers, key)
        if name is None:
            lines.append(f"  {row['name']:<24}{'no peer':>20}")
            continue
        shown = show_time(row, value) if key == TIME else f"{value / 1024:.2f} MiB"
        cells = []
        for one in names:
            mine = figures.median(row, one, key)
            failed = figures.failures(row, one)
            cells.append("FAILED" if failed else _ratio_text(mine / value if mine else None))
        lines.append(f"  {row['name']:<24}{name[:9] + ' ' + shown:>20} " +
                     " ".join(f"{cell:>10}" for cell in cells))
    return lines


def _means(report, ours, key):
    """Ours against each peer, and against the best of each row."""
    lines = []
    versus = [(name, name) for name in figures.names(report) if name != ours]
    versus.append(("best peer of each row", figures.best_peer_of(report, key)))
    for title, theirs in versus:
        found = figures.compare(report, ours, theirs, key)
        if found is None:
            lines.append(f"  {ours + ' / ' + title:<38} no row in common")
            continue
        lines.append(f"  {ours + ' / ' + title:<38}{found['mean']:>7.3f}  "
                     f"{found['interval'][0]:.3f}..{found['interval'][1]:.3f}  "
                     f"{found['rows']:>3} rows  worst {found['worst'][0][0]:.2f} "
                     f"{found['worst'][0][1]['name']}")
    return lines


def _groups(report, ours, key):
    """The same against the best, group by group."""
    lines = []
    for group in _GROUPS:
        part = {**report, "rows": [row for row in report["rows"] if row["group"] == group]}
        found = figures.compare(part, ours, figures.best_peer_of(report, key), key)
        if found is not None:
            lines.append(f"    {group:<36}{found['mean']:>7.3f}  "
                         f"{found['interval'][0]:.3f}..{found['interval'][1]:.3f}  "
                         f"{found['rows']:>3} rows")
    return lines


def _worst(report, ours, key, bound):
    found = figures.compare(report, ours, figures.best_peer_of(report, key), key)
    if found is None:
        return []
    lines = []
    surely = 0
    for value, row, other in found["worst"]:
        interval = figures.ratio_interval(row, ours, other, key)
        surely += interval[0] > bound
        if len(lines) < _WORST_SHOWN:
            lines.append(f"    {value:>6.2f}  {_interval_text(interval):>13}  {row['name']:<24} "
                         f"against {other}")
    above = sum(one[0] > bound for one in found["worst"])
    lines.insert(0, f"  {above} of {found['rows']} rows above {bound}, {surely} of them with all "
                    f"of their interval; the worst:")
    return lines


def summary(report):
    """What the bounds of the project are stated in."""
    lines = []
    ours = report["allocators"][0]["name"]
    for key, title, bound in ((TIME, "time", _TIME_ROW_MAX), (RSS, "peak RSS", _RSS_ROW_MAX)):
        lines += ["", f"== {title}: geometric means of the ratios of medians, with 95 % intervals"]
        lines += _means(report, ours, key)
        lines += _groups(report, ours, key)
        lines += _worst(report, ours, key, bound)
    return lines + _failed(report)


def _failed(report):
    lines = []
    for row in report["rows"]:
        for name in figures.names(report):
            errors = figures.failures(row, name)
            if errors:
                lines.append(f"  {row['name']} {name}: {len(errors)} of "
                             f"{len(row['samples'][name])} runs: {errors[0]}")
    title = f"== {len(lines)} failures, each of an allocator on a row; none is in the means"
    return ["", title] + lines if lines else []


def head(report):
    """Whose figures these are."""
    machine = report["machine"]
    lines = [f"{machine['cpu']}, {machine['cores']} processors, Linux {machine['kernel']}, "
             f"huge pages {machine['huge_pages']}, load {machine['load_before']}"
             f" to {machine['load_after']}",
             f"{report['rounds']} rounds, {report['seconds']:.0f} s, "
             f"{'quick' if report['is_quick'] else 'full'}; a process of nothing through the "
             f"launcher peaks at {machine['launcher_floor_kib']} KiB"]
    disturbed = sorted(figures.outside(row) for row in report["rows"] if row["group"] != "idle")
    if disturbed and disturbed[len(disturbed) // 2] > _OUTSIDE_SHOWN:
        lines.append(f"others used {disturbed[len(disturbed) // 2]:.2f} processors during the "
                     f"median row: wall times are not to be trusted")
    for one in report["allocators"]:
        what = " ".join(filter(None, (one["version"], one["library"], one["conf"])))
        lines.append(f"  {one['name']:<14} {what}")
    return lines
