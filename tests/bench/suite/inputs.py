# SPDX-License-Identifier: BSD-2-Clause
"""What the real programs are fed, made once a size into out/bench/inputs: the same everywhere.

The programs' own texts are in tests/bench/programs; here is what is too long to be kept.
"""
import pathlib
import random
import shutil
import subprocess

TEXTS = pathlib.Path(__file__).resolve().parent.parent / "programs"

_QUEENS = 20
_STORES = 22


def _queens(side):
    """Queens on a board, as integers: a search with many small lemmas."""
    lines = []
    for row in range(side):
        lines.append(f"(declare-const q{row} Int)")
        lines.append(f"(assert (and (<= 1 q{row}) (<= q{row} {side})))")
        for other in range(row):
            far = row - other
            lines.append(f"(assert (and (not (= q{row} q{other})) "
                         f"(not (= (- q{row} q{other}) {far})) "
                         f"(not (= (- q{other} q{row}) {far}))))")
    return lines


def _stores(count):
    """A chain of arrays, each the last one with an element changed."""
    lines = ["(declare-const a0 (Array Int Int))"]
    for at in range(count):
        lines.append(f"(declare-const i{at} Int)")
        lines.append(f"(define-fun a{at + 1} () (Array Int Int) "
                     f"(store a{at} i{at} (+ (select a{at} (* 2 i{at})) {at})))")
    lines.append(f"(assert (distinct {' '.join(f'i{at}' for at in range(count))}))")
    lines += [f"(assert (> (select a{count} i{at}) {at * 3}))" for at in range(count)]
    return lines


def write_smt(path, rounds):
    lines = []
    for number in range(rounds):
        for problem in (_queens(_QUEENS + number), _stores(_STORES + number)):
            lines += ["(push)", *problem, "(check-sat)", "(pop)"]
    path.write_text("\n".join(lines) + "\n")


def write_sql(path, row_count):
    text = (TEXTS / "work.sql").read_text()
    path.write_text(text.replace("< ROWS)", f"< {row_count})"))


def _commits(commit_count, file_count):
    """A history for git fast-import: files of words, some lines of some files changed a commit."""
    chance = random.Random(59)
    words = [f"word{chance.randrange(3000)}" for _ in range(5000)]
    files = [[" ".join(chance.choices(words, k=9)) for _ in range(120)] for _ in range(file_count)]
    for number in range(commit_count):
        yield (f"commit refs/heads/main\ncommitter a <a@b> {1600000000 + number} +0000\n"
               f"data <<END\ncommit {number}\nEND\n")
        changed = range(file_count) if number == 0 else chance.sample(range(file_count), 6)
        for at in changed:
            for _ in range(4):
                files[at][chance.randrange(120)] = " ".join(chance.choices(words, k=9))
            text = "\n".join(files[at]) + "\n"
            yield f"M 100644 inline folder{at % 7}/file{at}\ndata {len(text)}\n{text}\n"


def make_repository(path, commit_count):
    shutil.rmtree(path, ignore_errors=True)
    environment = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent",
                   "LC_ALL": "C.UTF-8"}
    subprocess.run(["/usr/bin/git", "init", "-q", "--bare", "-b", "main", path], check=True,
                   env=environment)
    subprocess.run(["/usr/bin/git", "-C", path, "fast-import", "--quiet"], check=True,
                   env=environment, input="".join(_commits(commit_count, 60)).encode())
