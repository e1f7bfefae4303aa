"""Many labels per picture: questions down a tree beside asking every class (Deng et al. 2014 report up to 6x).

    python benchmarks/hierarchy.py [--pictures 20000] [--error 0.02]

Pictures and labels are those of "Are we done with ImageNet?" (ReaL: 50,000 validation pictures, 1.15 labels each over
1,000 classes); frequencies come from every second picture, what is measured from the others. Two trees: WordNet's
is-a, a DAG, and BREEDS' cleaned one. A question takes one second, and in a second line two seconds where it is about
a group. With --error each answer is wrong with that probability (seed 0): what the tree loses by a wrong no, and how
many labels of each picture are false; asking all 1,000 classes finds 1 - error of them, with 1,000 × error false ones.
"""

from __future__ import annotations

import argparse
import functools
import json
import lzma
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pictus.annotate.queues.hierarchy import Questions, questions, simulated, telling
from pictus.concepts import Taxonomy
from pictus.records import Concept

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))


def wordnet(classes: list[str]) -> Taxonomy:
    with lzma.open(REAL / "imagenet_taxonomy" / "wordnet.is_a.txt.xz", "rt") as lines:
        pairs = [line.split() for line in lines]
    parents: dict[str, list[str]] = {}
    for parent, child in pairs:
        parents.setdefault(child, []).append(parent)
    wanted, waiting = set(classes), list(classes)
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in wanted:
                wanted.add(parent)
                waiting.append(parent)
    chosen = set(classes)
    return Taxonomy.of(
        Concept(one, (one,), parents=tuple(parents.get(one, ())), is_class=one in chosen) for one in sorted(wanted)
    )


def breeds(classes: list[str]) -> Taxonomy:
    """Every line of the file is "parent child"."""
    folder = REAL / "imagenet_taxonomy"
    parents: dict[str, list[str]] = {}
    for line in (folder / "breeds_class_hierarchy.txt").read_text().splitlines():
        parent, child = line.split()
        parents.setdefault(child, []).append(parent)
    chosen = set(classes)
    every = sorted({*parents, *(one for above in parents.values() for one in above), *chosen})
    return Taxonomy.of(
        Concept(one, (one,), parents=tuple(parents.get(one, ())), is_class=one in chosen) for one in every
    )


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pictures", type=int, default=20_000)
    arguments.add_argument("--error", type=float, default=0.02)
    told = arguments.parse_args()
    classes = (REAL / "imagenet_taxonomy" / "imagenet_synsets.txt").read_text().split()
    with lzma.open(REAL / "imagenet_real" / "real.json.xz", "rt") as file:
        shown = [[classes[label] for label in labels] for labels in json.load(file)]
    known, measured = shown[::2], shown[1::2][: told.pictures]
    counts = Counter(one for labels in known for one in labels)
    shares = {one: counts[one] / len(known) for one in classes}
    mean = sum(map(len, measured)) / len(measured)
    print(f"{len(measured):,} pictures, {len(classes):,} classes, {mean:.2f} labels each")
    heads = f"{'questions':>10}{'of all':>8}{'s':>8}{'ratio':>8}{'recall':>8}{'with errors':>13}{'false':>8}"
    print(f"{'tree':<10}{'groups':<22}{heads}")
    for name, make in (("WordNet", wordnet), ("BREEDS", breeds)):
        taxonomy = make(classes)
        for label, seconds in (("chosen", 1.0), ("chosen, 2 s a group", 2.0)):
            cost = cost_of(taxonomy, seconds)
            start = time.perf_counter()
            chosen = questions(taxonomy, shares, cost)
            took = time.perf_counter() - start
            numbers = report(taxonomy, chosen, measured, cost, told.error)
            print(f"{name:<10}{label:<22}{numbers}   (chosen in {took:.1f} s)")
            if seconds == 1.0:
                print(f"{'':<10}until the last label is found: {order(taxonomy, chosen, shares, measured[:500])}")
        every = questions(taxonomy, shares, cost_of(taxonomy, 1e-9))
        print(f"{name:<10}{'every group':<22}{report(taxonomy, every, measured, cost_of(taxonomy, 1.0), told.error)}")


def order(taxonomy: Taxonomy, chosen: Questions, shares: dict[str, float], measured: list[list[str]]) -> str:
    """Questions until nothing is left to be found: by most information per second, and as they come."""
    above = {one: group for group, below in chosen.opens.items() for one in below}

    @functools.cache
    def telling_of(one: str) -> float:
        """Asked once the group above it was answered yes: shares are of those pictures."""
        given = chosen.shares[above[one]] if one in above else 1.0
        below = [one, *taxonomy.descendants(one)]
        return telling(taxonomy, one, {leaf: min(1.0, shares[leaf] / given) for leaf in below if leaf in shares})

    generator = random.Random(0)
    mixed = {one: generator.random() for one in taxonomy.concepts}
    told = []
    for name, rank in (("most telling first", telling_of), ("in any order", mixed.__getitem__)):
        last = [
            max((asked.index(one) + 1 for one in labels), default=0)
            for labels in measured for asked, _ in [simulated(chosen, taxonomy, labels, rank=rank)]
        ]  # fmt: skip
        told.append(f"{name} {sum(last) / len(last):.1f}")
    return ", ".join(told)


def cost_of(taxonomy: Taxonomy, group_s: float) -> Callable[[str], float]:
    return lambda one: 1.0 if taxonomy.get(one).is_class else group_s


def report(
    taxonomy: Taxonomy, chosen: Questions, measured: list[list[str]], cost: Callable[[str], float], error: float
) -> str:
    """One line of the table."""
    generator = random.Random(0)
    asked = seconds = found = found_with_errors = false_labels = 0.0
    total = sum(map(len, measured))
    for labels in measured:
        said, right = simulated(chosen, taxonomy, labels)
        asked += len(said)
        seconds += sum(map(cost, said))
        found += len(right & set(labels))
    for labels in measured[:2_000]:
        _, right = simulated(
            chosen, taxonomy, labels, lambda _one, truth: truth if generator.random() >= error else not truth
        )
        found_with_errors += len(right & set(labels))
        false_labels += len(right - set(labels))
    n, few = len(measured), max(1, sum(map(len, measured[:2_000])))
    every = len(taxonomy.classes)
    return (
        f"{asked / n:>10.1f}{asked / n / every:>8.1%}{seconds / n:>8.1f}{every / (seconds / n):>7.1f}x"
        f"{found / max(1, total):>8.1%}{found_with_errors / few:>13.1%}"
        f"{false_labels / len(measured[:2_000]):>8.2f}"
    )


if __name__ == "__main__":
    main()
