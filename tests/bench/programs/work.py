# SPDX-License-Identifier: BSD-2-Clause
"""work.py ROUNDS — what Python programs do all day: JSON, text, objects, dictionaries, sorting.

Run with PYTHONMALLOC=malloc, so that each object is a malloc. Prints a digest of all it made.
"""
import collections
import json
import re
import sys
import zlib


class Order:
    """An object with attributes, some of them shared."""

    def __init__(self, number, customer):
        self.number = number
        self.customer = customer
        self.lines = [(item, item * number % 97) for item in range(number % 9)]

    def total(self):
        return sum(item * price for item, price in self.lines)


def json_work(seed):
    records = [{"id": n, "name": f"user {n * seed}", "tags": [str(n % 7)] * (n % 5),
                "place": {"x": n / 3, "y": -n}} for n in range(4000)]
    text = json.dumps(records)
    assert json.loads(text) == records
    return text


def text_work(text):
    words = re.findall(r"[a-z]+|\d+", text)
    counts = collections.Counter(words)
    lines = [" ".join(words[at:at + 11]) for at in range(0, len(words), 11)]
    return "\n".join(sorted(lines)), counts.most_common(5)


def object_work(seed):
    orders = [Order(n * seed % 1009, f"customer {n % 53}") for n in range(9000)]
    by_customer = collections.defaultdict(list)
    for order in orders:
        by_customer[order.customer].append(order)
    return {name: sum(order.total() for order in found) for name, found in by_customer.items()}


def tree_work(depth):
    return (tree_work(depth - 1), tree_work(depth - 1)) if depth else (None, None)


def main(rounds):
    digest = 0
    for seed in range(1, rounds + 1):
        text = json_work(seed)
        joined, common = text_work(text)
        totals = object_work(seed)
        tree = tree_work(13)
        made = repr((len(text), common, sorted(totals.items()), len(str(tree)))) + joined
        digest = zlib.crc32(made.encode(), digest)
    print(digest)


main(int(sys.argv[1]))
