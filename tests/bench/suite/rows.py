# SPDX-License-Identifier: BSD-2-Clause
"""The table of rows: what is run, how much of it, and which of its figures is "the time".

A row's time is one of
  case-cpu   processor nanoseconds an operation, of the part that counts (work.c says)
  case-wall  wall nanoseconds an operation, likewise: threads that wait for each other
  process    processor seconds of a whole process with its children (launch.c says)
"""
import dataclasses
import typing

# How much longer the full run of a workload is than the quick one.
FULL_FACTOR = 3


@dataclasses.dataclass
class Row:
    """One line of the tables. `command` is what to run, given the settings of the suite."""
    name: str
    group: str
    what: str
    time: str
    command: typing.Callable = None
    times: int = 1
    environment: dict = dataclasses.field(default_factory=dict)
    conf: str = ""
    # Runs the row in a way of its own: server.py's.
    run: typing.Callable = None
    # The output is the answer, and must be the C library's.
    has_answer: bool = False
    # Mostly asleep: all allocators at once, only memory is compared; the peak in MiB.
    idle_mib: int = 0
    # Of those who can do without being asked by a call of malloc only.
    needs_background_thread: bool = False

    @property
    def unit(self):
        return "s" if self.time == "process" else "ns"


# name, operations of a quick run, what it asks. tests/bench/blocks.c, calls.c.
_MICRO = (
    ("pair_64", 6_000_000, "64 bytes, freed at once"),
    ("batch_lifo_64", 5_000_000, "1,000 of 64 bytes, last in first out"),
    ("batch_fifo_64", 5_000_000, "1,000 of 64 bytes, first in first out"),
    ("batch_random_64", 5_000_000, "1,000 of 64 bytes, freed in random order"),
    ("replace_64_1k", 4_000_000, "one of 1,000 of 64 bytes replaced at random"),
    ("replace_64_10k", 4_000_000, "one of 10,000 of 64 bytes replaced at random"),
    ("replace_64_100k", 2_500_000, "one of 100,000 of 64 bytes replaced at random"),
    ("mixed_16_528_20k", 2_500_000, "one of 20,000 of 16 to 528 bytes replaced at random"),
    ("pair_1k", 4_000_000, "1 KiB, freed at once"),
    ("replace_1k_5k", 2_000_000, "one of 5,000 of 1 KiB replaced at random"),
    ("pair_8k", 2_500_000, "8 KiB, freed at once"),
    ("replace_8k_1k", 1_200_000, "one of 1,000 of 8 KiB replaced at random"),
    ("pair_100k", 1_000_000, "100 KiB, freed at once"),
    ("replace_100k_200", 300_000, "one of 200 of 100 KiB replaced at random"),
    ("large_1m_30m", 50, "1 to 30 MiB, 100 MiB live, all pages written and read"),
    ("realloc_small_steps", 2_500_000, "8 buffers grow to 4 KiB by 16 bytes"),
    ("realloc_geometric", 40_000, "8 buffers grow to 1 MiB by half"),
    ("realloc_large", 200, "2 buffers grow to 32 MiB by 1 MiB, all pages written"),
    ("calloc_fresh_256", 200_000, "256 zeroed bytes, never freed"),
    ("calloc_fresh_1m", 150, "1 MiB zeroed, read in full, never freed"),
    ("calloc_recycled_256", 2_000_000, "one of 1,000 of 256 zeroed bytes replaced, dirty"),
    ("calloc_recycled_64k", 25_000, "one of 50 of 64 KiB zeroed replaced, dirty"),
    ("aligned_64", 2_000_000, "posix_memalign to 64, 64 to 512 bytes, 1,000 live"),
    ("aligned_4096", 400_000, "posix_memalign to 4,096, 4 to 32 KiB, 500 live"),
    ("new_delete", 3_000_000, "operator new and delete, 16 to 256 bytes, 10,000 live"),
    ("sized_delete", 3_000_000, "operator new and sized delete, 16 to 256 bytes, 10,000 live"),
)

# tests/bench/threads.c, servers.c.
_THREADS = (
    ("belt_one_way_2", 3_000_000, "one thread allocates, another one frees"),
    ("belt_both_ways_2", 2_000_000, "two threads, each frees what the other one allocates"),
    ("belt_both_ways_8", 500_000, "four such pairs"),
    ("many_to_many_4x4", 800_000, "4 threads allocate, 4 others free, in bags of 64"),
    ("exchange_2", 3_000_000, "2 threads, each frees what any of them put into a box"),
    ("exchange_8", 3_000_000, "8 threads, likewise"),
    ("exchange_64", 3_000_000, "64 threads, likewise"),
    ("larson_2", 400, "2 lines of short-lived threads that hand their blocks on"),
    ("larson_16", 50, "16 such lines"),
    ("thread_churn", 4_000, "threads of 200 blocks that leave half of them behind"),
    ("false_sharing_active", 100_000, "two threads write small blocks of their own"),
    ("false_sharing_passive", 100_000, "likewise, after each freed a neighbour of the other's"),
)


def _case(name, count, *parameters):
    # C++'s operators are in a program of their own.
    program = "work_cxx" if name.endswith("_delete") else "work"
    return lambda suite: [suite.bin / program, name, str(count), *map(str, parameters)]


def _workloads(table, group, time, factor):
    for name, count, what in table:
        yield Row(name, group, what, time, _case(name, count * factor))


def _memory_rows(is_quick):
    factor = 1 if is_quick else FULL_FACTOR
    yield Row("size_drift", "memory", "48 MiB live, sizes drift from 32 bytes to 8 KiB",
              "case-cpu", _case("size_drift", 16 * factor))
    yield Row("large_waves", "memory", "256 KiB to 8 MiB, from 16 to 192 MiB live and back",
              "case-cpu", _case("large_waves", 2 * factor))
    yield Row("idle_full_cache", "memory", "a thread works while another one sleeps on full caches",
              "case-cpu", _case("idle_full_cache", 2_000_000 * factor))
    yield Row("idle_threads_200", "memory", "200 threads do little, and wait",
              "case-cpu", _case("idle_threads_200", 3 * factor))
    yield from _peaks(is_quick)


def _peaks(is_quick):
    """A peak, then sleep. In the quick run "1x" is made a second for those who can be told."""
    mib, decay_ms = (256, 1000) if is_quick else (4096, 10000)
    for case, what in (("peak_whole", "one block in 8 lives on, in whole slabs"),
                       ("peak_scattered", "one block in each 16 KiB lives on")):
        for suffix, conf in (("", ""), ("_bg", "background_thread:true")):
            row = Row(case + suffix, "idle", f"{mib} MiB, then {what}", "case-cpu",
                      _case(case, mib, decay_ms), idle_mib=mib)
            row.conf = ",".join(filter(None, (conf, f"dirty_decay_ms:{decay_ms}")))
            row.needs_background_thread = conf != ""
            yield row


def _start_rows(is_quick):
    times = 20 if is_quick else 50
    yield Row("trivial", "start", "main returns", "process",
              lambda suite: [suite.bin / "trivial"], times=times)
    yield Row("trivial_sh", "start", "/bin/sh -c :", "process",
              lambda suite: ["/bin/sh", "-c", ":"], times=times)
    yield Row("trivial_python", "start", "python3 -c pass", "process",
              lambda suite: ["/usr/bin/python3", "-I", "-S", "-c", "pass"], times=times // 4,
              environment={"PYTHONMALLOC": "malloc"})


def workload_rows(is_quick):
    """All rows but the real programs."""
    factor = 1 if is_quick else FULL_FACTOR
    yield from _workloads(_MICRO, "micro", "case-cpu", factor)
    yield from _workloads(_THREADS, "threads", "case-wall", factor)
    yield from _memory_rows(is_quick)
    yield from _start_rows(is_quick)
