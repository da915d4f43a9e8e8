# SPDX-License-Identifier: BSD-2-Clause
"""The report in one picture: on the left where each allocator stands on the whole, on the right
what its rows look like one by one. All are ratios to the best peer of a row; 1 is that peer."""
import math
import random

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot, ticker  # noqa: E402

from . import figures  # noqa: E402
from .figures import RSS, TIME  # noqa: E402

_INK, _FAINT = "#333333", "#dddddd"
_OURS = ("#c2410c", "#ea9a6a", "#8a6d1f", "#7c2d5e")
_PEERS = ("#4b6584", "#2d8a6e", "#5b5ea6", "#8a8f98", "#3a7ca5", "#6b8e23")
# Dots further out are drawn at the edge, hollow.
_RATIO_MIN, _RATIO_MAX = 0.4, 16

_STYLE = {"font.size": 8, "font.family": "DejaVu Sans", "axes.edgecolor": "#999999",
          "axes.linewidth": 0.6, "axes.labelcolor": _INK, "text.color": _INK,
          "xtick.color": _INK, "ytick.color": _INK, "svg.hashsalt": "tally",
          "axes.spines.top": False, "axes.spines.right": False}


def _colors(report):
    ours, others = iter(_OURS * 9), iter(_PEERS * 9)
    return {one["name"]: next(ours if one["is_ours"] else others)
            for one in report["allocators"]}


def _mean(report, name, key):
    found = figures.compare(report, name, figures.best_peer_of(report, key), key)
    return found["mean"] if found else None


def _ticks(axis, low, high):
    """A few round ratios on a logarithmic axis, as people write them."""
    shown = [tick for tick in (0.5, 0.7, 1, 1.2, 1.5, 2, 3, 4, 6, 8, 12, 16)
             if low <= tick <= high]
    axis.set_major_locator(ticker.FixedLocator(shown))
    axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axis.set_minor_locator(ticker.NullLocator())


def _limits(found):
    """A little air around the points, and 1 always in sight."""
    low, high = min([1.0, *found]), max([1.0, *found])
    air = (high / low) ** 0.12 * 1.02
    return low / air, high * air


def _place_labels(points):
    """Labels right of their points; where two points are close, the upper one's goes higher."""
    offsets = {}
    ordered = sorted(points, key=lambda one: one[2])
    for at, (name, time, rss) in enumerate(ordered):
        below = [other for other in ordered[:at]
                 if abs(math.log(other[2] / rss)) < 0.04 and abs(math.log(other[1] / time)) < 0.35]
        offsets[name] = (6, -2.5 + 7 * len(below))
    return offsets


def _scatter(axes, report, colors):
    points = [(name, _mean(report, name, TIME), _mean(report, name, RSS))
              for name in figures.names(report)]
    points = [one for one in points if None not in one]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(1, color=_FAINT, linewidth=0.8, zorder=0)
    axes.axvline(1, color=_FAINT, linewidth=0.8, zorder=0)
    offsets = _place_labels(points)
    for name, time, rss in points:
        is_first = name == report["allocators"][0]["name"]
        axes.plot(time, rss, "o", markersize=7 if is_first else 5, color=colors[name])
        axes.annotate(name, (time, rss), offsets[name], textcoords="offset points",
                      color=colors[name], fontweight="bold" if is_first else "normal")
    if points:
        across, upward = _limits([one[1] for one in points]), _limits([one[2] for one in points])
        # Room for the label of the rightmost point.
        axes.set_xlim(across[0], across[1] * (across[1] / across[0]) ** 0.18)
        axes.set_ylim(*upward)
        _ticks(axes.xaxis, *across)
        _ticks(axes.yaxis, *upward)
    axes.set_xlabel("time, geometric mean")
    axes.set_ylabel("peak memory, geometric mean")
    axes.set_title("all rows: lower left is better", fontsize=8.5, loc="left")


def _strip(axes, report, key, colors, title):
    """A line an allocator, a dot a row."""
    names = figures.names(report)
    chance = random.Random(61)
    rows = figures.counted_rows(report, key)
    best = figures.best_peer_of(report, key)
    axes.set_xscale("log")
    axes.axvline(1, color=_FAINT, linewidth=0.8, zorder=0)
    for line, name in enumerate(names):
        ratios = [found for row in rows if (other := best(row)) is not None
                  and (found := figures.ratio(row, name, other, key)) is not None]
        inside = [one for one in ratios if _RATIO_MIN < one < _RATIO_MAX]
        axes.plot(inside, [line + chance.uniform(-0.22, 0.22) for _ in inside], "o", markersize=2.4,
                  color=colors[name], alpha=0.55, markeredgewidth=0)
        outside = [min(max(one, _RATIO_MIN), _RATIO_MAX) for one in ratios if one not in inside]
        axes.plot(outside, [line + chance.uniform(-0.22, 0.22) for _ in outside], "o",
                  markersize=2.6, markerfacecolor="none", markeredgecolor=colors[name],
                  markeredgewidth=0.6, clip_on=False)
        if ratios:
            middle = figures.geometric_mean(ratios)
            axes.plot([middle, middle], [line - 0.34, line + 0.34], color=_INK, linewidth=1.1)
    axes.set_xlim(_RATIO_MIN, _RATIO_MAX)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    for label, name in zip(axes.get_yticklabels(), names):
        label.set_color(colors[name])
    axes.tick_params(axis="y", length=0)
    _ticks(axes.xaxis, _RATIO_MIN, _RATIO_MAX)
    axes.set_title(title, fontsize=8.5, loc="left")


def _caption(report):
    machine = report["machine"]
    return (f"Ratios to the best peer of each row. A dot is a row, the bar the geometric mean; "
            f"hollow: beyond the edge.\nMedians of {report['rounds']} alternating rounds; "
            f"{machine['cpu']}, {machine['cores']} processors. Tally samples its heap while it is "
            f"measured.")


def draw(report, path):
    """Writes the SVG file."""
    with pyplot.rc_context(_STYLE):
        colors = _colors(report)
        figure = pyplot.figure(figsize=(8.6, 3.9))
        grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.15), hspace=0.5, wspace=0.3, left=0.065,
                                   right=0.985, top=0.93, bottom=0.2)
        _scatter(figure.add_subplot(grid[:, 0]), report, colors)
        _strip(figure.add_subplot(grid[0, 1]), report, TIME, colors, "time, row by row")
        _strip(figure.add_subplot(grid[1, 1]), report, RSS, colors, "peak memory, row by row")
        figure.text(0.065, 0.02, _caption(report), fontsize=6.5, color="#666666", va="bottom")
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "tests/bench"})
        pyplot.close(figure)
