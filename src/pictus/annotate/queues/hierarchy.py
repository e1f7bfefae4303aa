"""Many labels per picture by questions from the top of the tree down (Deng et al. 2014, "Scalable multi-label
annotation", CHI). Pure.

"Any animal?" A no answers the whole subtree, a yes opens what lies below. Which groups are worth a question is
decided beforehand: with P(v) the share of pictures that show anything below v, s(v) seconds for the question, and
answers that are right, the expected seconds of a picture are

    sum over the asked v of s(v) P(above(v)),    above(v): the nearest group above v that is asked

least over all choices of groups: a dynamic programme over pairs (concept, group above it), exact on a tree. A group
whose question costs more than it saves is passed over, such as "any dog?" where nearly every picture shows one. In a
DAG each concept is opened by the one group above it with the fewest pictures; that a no to any other concept above it
excludes it too is what `moot` says. Classes below another class are opened with that class, not by it.

Which of the open questions comes first: the one with the most expected information per second, the drop of the sum
of the entropies of the labels below it (`telling`), labels taken as independent of each other.

Legend: L classes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.queues.priorities import entropy
from pictus.annotate.tasks import ACCEPTED, Closed, Wanted
from pictus.concepts import Taxonomy

Floats = NDArray[np.float64]

LABELS = 2.0
"""Labels a picture is expected to have where no frequencies are known."""

DEEPEST = 16
"""Questions one below the other; WordNet's nouns are 19 deep, and most of that holds one child."""


@dataclass(frozen=True)
class Questions:
    """Which concepts are asked about. `first`: of every picture; `opens`: what a yes to a group opens.

    shares: P(any class at or below it), for every asked concept.
    """

    first: tuple[str, ...]
    opens: Mapping[str, tuple[str, ...]]
    shares: Mapping[str, float]
    seconds: float  # expected for one picture


def questions(
    taxonomy: Taxonomy, shares: Mapping[str, float] | None = None,
    seconds: Callable[[str], float] = lambda _concept_id: 1.0, deepest: int = DEEPEST,
) -> Questions:  # fmt: skip
    """Choose the groups worth asking. shares: P(concept) of every class; without them all are equally frequent."""
    tree = _Tree(taxonomy)
    return _Choice(tree, tree.shares(shares), (seconds, deepest)).questions()


def first(taxonomy: Taxonomy) -> tuple[str, ...]:
    """The questions every picture is asked first, by what `questions` chooses where nothing is known of frequencies."""
    return _usual(taxonomy)[1].first


def follow(closed: Closed, taxonomy: Taxonomy) -> Sequence[Wanted]:
    """The questions that a yes about a group opens. A no opens none, nor does a class: it is a label."""
    if closed.state != ACCEPTED or closed.concept_id not in taxonomy or taxonomy.get(closed.concept_id).is_class:
        return ()
    tree, chosen = _usual(taxonomy)
    below = chosen.opens.get(closed.concept_id)
    if below is None:  # a group that is not worth a question, but was asked: claimed by a folder, say
        below = tree.children.get(closed.concept_id, ())
    reason = f"it is {taxonomy.name(closed.concept_id)}: which?"
    return tuple(Wanted(closed.kind, one, closed.image_id, 0, reason) for one in below)


def moot(concept_id: str, taxonomy: Taxonomy) -> frozenset[str]:
    """What a no answers besides: everything below, by whichever parent."""
    return taxonomy.descendants(concept_id) if concept_id in taxonomy else frozenset()


def telling(taxonomy: Taxonomy, concept_id: str, shares: Mapping[str, float], seconds: float = 1.0) -> float:
    """Expected information of the question, bits per second: how far it lowers the entropies of the labels below it.

    shares: P(class) for every class still open; labels are taken as independent of each other. A no lowers all to
    0; a yes, of probability q = 1 - product of (1 - p), raises each p to p / q.
    """
    below = [concept_id, *taxonomy.descendants(concept_id)]
    open_L = np.array([shares[one] for one in below if one in shares], np.float64)
    if not open_L.size:
        return 0.0
    yes = -np.expm1(np.log1p(-np.minimum(open_L, 1 - 1e-12)).sum())
    left = yes * entropy(np.minimum(1.0, open_L / max(yes, 1e-300))).sum()
    return max(0.0, float(entropy(open_L).sum() - left)) / seconds


def simulated(
    chosen: Questions, taxonomy: Taxonomy, shown: Collection[str], says: Callable[[str, bool], bool] | None = None,
    rank: Callable[[str], float] | None = None,
) -> tuple[list[str], set[str]]:  # fmt: skip
    """One picture labelled by these questions -> what was asked, in order, and the labels found.

    shown: the classes it shows. says: from (concept, truth) what a person answers; without it the truth. rank: the
    open question with the highest goes first; without it the one opened last.
    """
    true = {above for one in shown for above in (one, *taxonomy.ancestors(one))}
    asked: list[str] = []
    answered: dict[str, bool] = {}
    found: set[str] = set()
    out: set[str] = set()
    waiting = list(chosen.first)
    while waiting:
        one = waiting.pop() if rank is None else max(waiting, key=rank)
        if rank is not None:
            waiting.remove(one)
        if one in answered or one in out:
            continue
        asked.append(one)
        answered[one] = is_yes = one in true if says is None else says(one, one in true)
        if not is_yes:
            out |= moot(one, taxonomy)
        elif taxonomy.get(one).is_class:
            found.add(one)
        waiting += chosen.opens.get(one, ()) if is_yes else ()
    return asked, found - out


class _Tree:
    """The groups and classes as a tree: of several parents the one with the fewest classes below. No cycles."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        torn = {one for cycle in taxonomy.cycles for one in cycle}
        torn |= {one for cycle in torn for one in taxonomy.descendants(cycle)}
        self.classes = tuple(one for one in taxonomy.classes if one not in torn)
        self.above = {one: taxonomy.ancestors(one) for one in self.classes}
        self.n_below: dict[str, int] = dict.fromkeys(self.classes, 1)
        for above in self.above.values():
            for one in above:
                if not taxonomy.get(one).is_class:
                    self.n_below[one] = self.n_below.get(one, 0) + 1

    @cached_property
    def children(self) -> dict[str, tuple[str, ...]]:
        """What lies under each group that has classes; the roots under ""."""
        found: dict[str, list[str]] = {}
        for one in self.n_below:
            found.setdefault(self._parent(one), []).append(one)
        return {parent: tuple(sorted(children)) for parent, children in found.items()}

    def shares(self, known: Mapping[str, float] | None) -> dict[str, float]:
        """P(any class at or below) of every concept, labels taken as independent."""
        usual = min(0.5, LABELS / max(1, len(self.classes)))
        log: dict[str, float] = {}
        for one in self.classes:
            share = usual if known is None else known.get(one, 0.0)
            none = float(np.log1p(-min(max(share, 1e-9), 1 - 1e-9)))
            for concept_id in (one, *self.above[one]):
                log[concept_id] = log.get(concept_id, 0.0) + none
        return {one: -float(np.expm1(log[one])) for one in self.n_below}

    def _parent(self, concept_id: str) -> str:
        """The nearest group above with the fewest classes, "" for none; classes above are passed over."""
        groups: set[str] = set()
        waiting, seen = list(self.taxonomy.parents(concept_id)), set[str]()
        while waiting:
            one = waiting.pop()
            if one in self.n_below and not self.taxonomy.get(one).is_class:
                groups.add(one)
            elif one not in seen:
                seen.add(one)
                waiting += self.taxonomy.parents(one)
        return min(groups, key=lambda one: (self.n_below[one], one), default="")


class _Choice:
    """The dynamic programme. Concepts are visited from the leaves up, so no depth of a tree is too much."""

    def __init__(self, tree: _Tree, shares: Mapping[str, float], price: tuple[Callable[[str], float], int]) -> None:
        self.tree, self.shares, (self.seconds, self.deepest) = tree, shares, price
        self.cost: dict[tuple[str, str], float] = {}
        self.asks: dict[tuple[str, str], bool] = {}

    def questions(self) -> Questions:
        """The cheapest choice."""
        order, paths = self._walk()
        for one in reversed(order):
            for above in paths[one]:
                self._weigh(one, above, is_bounded=len(paths[one]) > self.deepest)
        opens: dict[str, tuple[str, ...]] = {}
        waiting = [""]
        while waiting:
            above = waiting.pop()
            opens[above] = tuple(self._opened(above))
            waiting += [one for one in opens[above] if one in self.tree.children]
        first = opens.pop("")
        asked = {*first, *(one for below in opens.values() for one in below)}
        total = sum(self.cost[one, ""] for one in self.tree.children.get("", ()))
        return Questions(first, opens, {one: self.shares[one] for one in asked}, total)

    def _walk(self) -> tuple[list[str], dict[str, tuple[str, ...]]]:
        """Concepts from the top down, and the groups above each, "" the highest."""
        paths: dict[str, tuple[str, ...]] = {}
        order: list[str] = []
        waiting: list[tuple[str, tuple[str, ...]]] = [(one, ("",)) for one in self.tree.children.get("", ())]
        while waiting:
            one, above = waiting.pop()
            paths[one] = above
            order.append(one)
            waiting += [(child, (*above, one)) for child in self.tree.children.get(one, ())]
        return order, paths

    def _weigh(self, one: str, above: str, *, is_bounded: bool) -> None:
        here = self.seconds(one) * (self.shares[above] if above else 1.0)
        below = self.tree.children.get(one, ())
        asked = here + sum(self.cost[child, one] for child in below)
        passed = sum(self.cost[child, above] for child in below)
        is_asked = not below or (asked < passed and not is_bounded)
        self.cost[one, above] = asked if is_asked else passed
        self.asks[one, above] = is_asked

    def _opened(self, above: str) -> list[str]:
        found, waiting = [], list(self.tree.children.get(above, ()))
        while waiting:
            one = waiting.pop()
            if self.asks[one, above]:
                found.append(one)
            else:
                waiting += self.tree.children[one]
        return sorted(found)


_last: list[tuple[Taxonomy, _Tree, Questions]] = []


def _usual(taxonomy: Taxonomy) -> tuple[_Tree, Questions]:
    """`questions` of the taxonomy asked about last is kept: the desk asks after every page."""
    for known, tree, chosen in _last:
        if known is taxonomy:
            return tree, chosen
    tree = _Tree(taxonomy)
    chosen = _Choice(tree, tree.shares(None), (lambda _: 1.0, DEEPEST)).questions()
    _last[:] = [(taxonomy, tree, chosen)]
    return tree, chosen
