# SPDX-License-Identifier: BSD-2-Clause
"""The driver behind ./dev bench, by what each module owns:

allocators  who is compared, and by which library and environment
build       the workloads, compiled
inputs      what the real programs are fed
rows        the table of workloads; programs: the table of real programs; server: redis
runner      one run, measured and checked
figures     medians, intervals, ratios, geometric means
tables      the report in text; chart: the report in one picture
"""
