#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fuzz.py HELPER JEPROF TEXT_DUMP PPROF_DUMP: damages dumps and watches both programs read them.

Fails, and leaves the damaged dump as `damaged`, where one ends by a signal, with a status other
than 0 and 1, without a word, after more than LIMIT_S seconds, or with a value that is no number.
"""
import gzip
import os
import random
import re
import subprocess
import sys

LIMIT_S = 20
# Files that do not exist cost no look-up: most runs go to the readers, the rest to the look-up.
CHANGES_OF_HIDDEN, CHANGES_OF_REAL, CHANGES_BY_FRONT_END = 1200, 60, 12
HUGE = [b"0", b"1", b"-1", b"4294967296", b"18446744073709551615", b"18446744073709551616", b"9" * 400]
NOT_A_NUMBER = re.compile(rb"^S\t.*(nan|inf)", re.MULTILINE)


class Run:
    def __init__(self):
        self.counts = {}

    def check(self, command, data, what):
        """Runs a command on the bytes as its last argument."""
        with open("damaged", "wb") as out:
            out.write(data)
        try:
            done = subprocess.run(
                command + ["damaged"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired:
            sys.exit(f"{what}: {command[0]} takes more than {LIMIT_S} s")
        if done.returncode not in (0, 1):
            sys.exit(f"{what}: {command[0]} ends with {done.returncode}: {done.stderr[-2000:]}")
        if done.returncode == 1 and not done.stderr.startswith(b"jeprof: "):
            sys.exit(f"{what}: {command[0]} fails and says {done.stderr[-2000:]}")
        if NOT_A_NUMBER.search(done.stdout):
            sys.exit(f"{what}: a value is no number")
        self.counts[done.returncode] = self.counts.get(done.returncode, 0) + 1


def flip_bits(rng, data):
    changed = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng, data):
    return data[: rng.randrange(len(data))]


def copy_part(rng, data):
    """A part of it once more, somewhere else."""
    start, to = rng.randrange(len(data)), rng.randrange(len(data))
    return data[:to] + data[start : start + rng.randrange(60)] + data[to:]


def huge_number(rng, data):
    """One of its numbers, as text, becomes another."""
    spans = [match.span() for match in re.finditer(rb"[0-9]+", data)]
    start, end = rng.choice(spans or [(0, 0)])
    return data[:start] + rng.choice(HUGE) + data[end:]


def main():
    helper, jeprof, text_path, pprof_path = sys.argv[1:]
    seed = int(os.environ.get("TALLY_SEED", "5"), 0)
    print(f"TALLY_SEED={seed}")
    rng = random.Random(seed)
    with open(text_path, "rb") as file:
        text = file.read()
    with open(pprof_path, "rb") as file:
        packed = file.read()
    pprof = gzip.decompress(packed)
    real = [text, pprof, packed]
    # Of the same length, so that the lengths in pprof still hold.
    hidden = [re.sub(rb"/(?=(home|root|tmp|usr|lib|work)/)", b"!", data) for data in (text, pprof)]
    run = Run()

    # A tenth of the mappings: a cut in one is like a cut in another.
    head, mappings = hidden[0].split(b"MAPPED_LIBRARIES:\n")
    small = head + b"MAPPED_LIBRARIES:\n" + b"".join(mappings.splitlines(True)[::10])
    for data in [small, hidden[1], packed]:
        for end in range(len(data)):
            run.check([helper, "--"], data[:end], f"the first {end} of {len(data)} bytes")
    changes = [flip_bits, cut, copy_part, huge_number]
    for corpus, count, command in (
        (hidden, CHANGES_OF_HIDDEN, [helper, "--"]),
        (real, CHANGES_OF_REAL, [helper, "--"]),
        (real, CHANGES_BY_FRONT_END, [jeprof, "--text"]),
        (real, CHANGES_BY_FRONT_END, [jeprof, "--dot", "--lines"]),
    ):
        for number in range(count):
            change = rng.choice(changes)
            run.check(command, change(rng, rng.choice(corpus)), f"{change.__name__} number {number}")
    print(f"read: {run.counts.get(0, 0)}, refused: {run.counts.get(1, 0)}")
    # If one of them never happens, this test tests nothing.
    if min(run.counts.get(0, 0), run.counts.get(1, 0)) < 50:
        sys.exit("too few dumps were read, or refused")


main()
