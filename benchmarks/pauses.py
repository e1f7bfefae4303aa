"""How often the desk's rule about known answers pauses honest people, and how soon others.

    python benchmarks/pauses.py [--people 1000] [--pages 100]

Simulated people, four known answers a page (1 picture in 12 of 48); the rule of `pictus.annotate.desk.conduct` is asked
after every page. Beside it a 95 % interval of Wilson's on all known answers, "unsure" counted as wrong, that must
end below 0.6, from 20 of them on: what the desk used before. Seed 0.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from statistics import median, quantiles

from pictus.annotate.desk.conduct import Limits, Worked, is_guessing, latest_known
from pictus.stats import wilson

PER_PAGE = 4
LIMITS = Limits()
Rule = Callable[[list[Worked]], bool]
Right = Callable[[int], float]

PEOPLE: tuple[tuple[str, Right, float], ...] = (
    ("right on 95 %", lambda _: 0.95, 0.0),
    ("right on 75 %", lambda _: 0.75, 0.0),
    ("right on 75 %, and unsure on 30 %", lambda _: 0.75, 0.3),
    ("right on 85 %, and unsure on 30 %", lambda _: 0.85, 0.3),
    ("right on 85 %, and unsure on 50 %", lambda _: 0.85, 0.5),
    ("right on 70 %", lambda _: 0.7, 0.0),
    ("right on 65 %", lambda _: 0.65, 0.0),
    ("right on 60 %", lambda _: 0.6, 0.0),
    ("half right on the first 12, then 95 %", lambda seen: 0.5 if seen < 12 else 0.95, 0.0),
    ("half right on the first 60, then 95 %", lambda seen: 0.5 if seen < 60 else 0.95, 0.0),
    ("half right", lambda _: 0.5, 0.0),
    ("half right, and unsure on 40 %", lambda _: 0.5, 0.4),
    ("unsure of everything", lambda _: 1.0, 1.0),
    ("right on 95 % for 50 pages, then half right", lambda seen: 0.95 if seen < 200 else 0.5, 0.0),
)


def sequential(pages: list[Worked]) -> bool:
    return is_guessing(latest_known(pages, LIMITS.latest), LIMITS)


def by_interval(pages: list[Worked]) -> bool:
    golds = sum(page.golds + page.unsures for page in pages)
    return golds >= 20 and wilson(sum(page.rights for page in pages), golds).high < 0.6


def stays(chance: random.Random, rule: Rule, right: Right, unsure: float, pages: int) -> int:
    """After which page somebody is paused; 0 for never."""
    done: list[Worked] = []
    for page in range(pages):
        said = [chance.random() >= unsure for _ in range(PER_PAGE)]
        rights = sum(one and chance.random() < right(PER_PAGE * page + place) for place, one in enumerate(said))
        done.insert(0, Worked(48, 60.0, "", "no,yes", sum(said), rights, PER_PAGE - sum(said)))
        if rule(done):
            return page + 1
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--pages", type=int, default=100)
    given = parser.parse_args()
    print(f"{given.people:,} people of each sort, {given.pages} pages: paused, after how many pages (median, 9 in 10)")
    for name, right, unsure in PEOPLE:
        told = []
        for rule in (sequential, by_interval):
            chance = random.Random(0)
            found = [stays(chance, rule, right, unsure, given.pages) for _ in range(given.people)]
            gone = [page for page in found if page]
            tenths = quantiles(gone, n=10, method="inclusive") if len(gone) > 1 else ()
            told.append(f"{len(gone):6,}  " + (f"{median(gone):3.0f} {tenths[-1]:4.0f}" if tenths else "  -    -"))
        print(f"{name:46} {told[0]}     by interval {told[1]}")


if __name__ == "__main__":
    main()
