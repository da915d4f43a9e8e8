# SPDX-License-Identifier: BSD-2-Clause
"""What the samples say: medians, intervals, ratios, geometric means.

Works on the report as it stands in the JSON file (see bench.py). A row's samples lie by round, one
an allocator, so that two allocators' samples of one round belong together.
"""
import math
import random
import statistics

RESAMPLES = 1000

# The two figures that are compared.
TIME, RSS = "time", "rss_kib"


def values(row, name, key):
    """The figures of the runs that succeeded."""
    return [sample[key] for sample in row["samples"].get(name, ())
            if "error" not in sample and key in sample]


def failures(row, name):
    return [sample["error"] for sample in row["samples"].get(name, ()) if "error" in sample]


def median(row, name, key):
    """None if there is no figure, or if any run failed: half an answer is none."""
    found = values(row, name, key)
    return statistics.median(found) if found and not failures(row, name) else None


def quantile(found, share):
    ordered = sorted(found)
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def spread(row, name, key):
    """p10 and p90."""
    found = values(row, name, key)
    return (quantile(found, 0.1), quantile(found, 0.9)) if found else None


def peers(report):
    return [one["name"] for one in report["allocators"] if not one["is_ours"]]


def names(report):
    return [one["name"] for one in report["allocators"]]


def best(row, among, key):
    """The allocator with the smallest median, and that median."""
    found = [(value, name) for name in among if (value := median(row, name, key))]
    if not found:
        return None, None
    value, name = min(found)
    return name, value


def counted_rows(report, key):
    """The rows whose figure belongs to the geometric means."""
    return [row for row in report["rows"] if key in row["counts"]]


def ratio(row, ours, theirs, key):
    """Median by median; None if one is missing."""
    over, under = median(row, ours, key), median(row, theirs, key)
    return over / under if over and under else None


def _resampled_ratios(row, ours, theirs, key, generator):
    """RESAMPLES ratios of medians, each of rounds drawn with replacement. Rounds stay together:
    what disturbs the machine disturbs both."""
    mine, other = values(row, ours, key), values(row, theirs, key)
    rounds = min(len(mine), len(other))
    drawn = []
    for _ in range(RESAMPLES):
        chosen = generator.choices(range(rounds), k=rounds)
        drawn.append(statistics.median([mine[at] for at in chosen]) /
                     statistics.median([other[at] for at in chosen]))
    return drawn


def _interval(drawn):
    return quantile(drawn, 0.025), quantile(drawn, 0.975)


def ratio_interval(row, ours, theirs, key):
    """The 95 % interval of the ratio of medians; None without a ratio."""
    if ratio(row, ours, theirs, key) is None:
        return None
    generator = random.Random(row["name"] + theirs)
    return _interval(_resampled_ratios(row, ours, theirs, key, generator))


def geometric_mean(found):
    return math.exp(sum(map(math.log, found)) / len(found))


def compare(report, ours, theirs, key):
    """Ours by theirs over all rows both have: mean, interval, rows. `theirs` may be a function of
    the row: the best of each."""
    pairs = []
    for row in counted_rows(report, key):
        other = theirs(row) if callable(theirs) else theirs
        if other is not None and ratio(row, ours, other, key) is not None:
            pairs.append((row, other))
    if not pairs:
        return None
    generator = random.Random(ours + key)
    sums = [0.0] * RESAMPLES
    for row, other in pairs:
        for at, drawn in enumerate(_resampled_ratios(row, ours, other, key, generator)):
            sums[at] += math.log(drawn)
    ratios = [(ratio(row, ours, other, key), row, other) for row, other in pairs]
    return {"mean": geometric_mean([one[0] for one in ratios]),
            "interval": _interval([math.exp(one / len(pairs)) for one in sums]),
            "rows": len(pairs), "worst": sorted(ratios, key=lambda one: -one[0])}


def best_peer_of(report, key, without=None):
    """The function for compare: the best peer of a row, chosen once by the medians. Of several
    noisy medians the least is too small by some of the noise: what is compared with it looks
    worse by that, never better."""
    among = [name for name in peers(report) if name != without]
    return lambda row: best(row, among, key)[0]


def outside(row):
    """How many processors others used during the row's runs, in the median."""
    found = [sample["outside"] for samples in row["samples"].values() for sample in samples
             if "outside" in sample]
    return statistics.median(found) if found else 0.0


def is_noisy(row, name, key):
    """Whether p10..p90 is wider than a tenth of the median."""
    edges = spread(row, name, key)
    middle = median(row, name, key)
    return bool(edges and middle and edges[1] - edges[0] > middle / 10)
