"""The taxonomy: a DAG of concepts, its questions (height, ancestors, lowest common ancestor) and its lint.

Heights and depths are lengths of longest paths: a leaf has height 0, a root depth 0. Where two
concepts share no ancestor, a virtual root one above the highest concept stands for it.
"""

from __future__ import annotations

import difflib
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pictus.errors import UserError
from pictus.project import Project
from pictus.records import Concept

if TYPE_CHECKING:
    import pyarrow as pa

_NEAR_FROM = 5_000
"""Above so many names, "did you mean" compares only names with the same first letter (difflib is slow)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a taxonomy: what, which concepts, what to type."""

    kind: str  # cycle | missing-parent | unreachable | ancestor-descendant | twin | shared-name | thin | orphan
    concept_ids: tuple[str, ...]
    message: str
    fix: str


@dataclass(frozen=True)
class Taxonomy:
    """Concepts by id, in the order given. Built by `Taxonomy.of`; it may be ill: `lint` says how."""

    concepts: Mapping[str, Concept]

    @classmethod
    def of(cls, concepts: Iterable[Concept]) -> "Taxonomy":
        """Index the concepts; two with one id are a bug of the caller."""
        found: dict[str, Concept] = {}
        for concept in concepts:
            if concept.concept_id in found:
                message = f"concept {concept.concept_id!r} is given twice"
                raise ValueError(message)
            found[concept.concept_id] = concept
        return cls(found)

    def __len__(self) -> int:
        return len(self.concepts)

    def __iter__(self) -> Iterator[Concept]:
        return iter(self.concepts.values())

    def __contains__(self, concept_id: object) -> bool:
        return concept_id in self.concepts

    def get(self, concept_id: str) -> Concept:
        """The concept with this id; a UserError when there is none."""
        if concept_id not in self.concepts:
            raise self._unknown(concept_id)
        return self.concepts[concept_id]

    def name(self, concept_id: str) -> str:
        """Its first name, for people."""
        concept = self.get(concept_id)
        return concept.names[0] if concept.names else concept_id

    def called(self, concept_id: str) -> str:
        """Its first name; the id itself where it is not here (any more)."""
        return self.name(concept_id) if concept_id in self.concepts else concept_id

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The chosen concepts, sorted by id: position = label."""
        return tuple(sorted(concept.concept_id for concept in self if concept.is_class))

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """Concepts without a parent that exists, sorted by id."""
        return tuple(sorted(concept_id for concept_id, parents in self._present_parents.items() if not parents))

    def parents(self, concept_id: str) -> tuple[str, ...]:
        """Its direct parents that exist, in their stated order."""
        return tuple(parent for parent in self.get(concept_id).parents if parent in self.concepts)

    def children(self, concept_id: str) -> tuple[str, ...]:
        """Its direct children, sorted by id."""
        self.get(concept_id)
        return self._children.get(concept_id, ())

    def ancestors(self, concept_id: str) -> frozenset[str]:
        """Every concept above it, itself not included."""
        return self._reached(self.parents(concept_id), upwards=True) - {concept_id}

    def descendants(self, concept_id: str) -> frozenset[str]:
        """Every concept below it, itself not included."""
        return self._reached(self.children(concept_id), upwards=False) - {concept_id}

    def height(self, concept_id: str) -> int:
        """Length of the longest path down to a leaf."""
        self.get(concept_id)
        return self._heights[concept_id]

    def depth(self, concept_id: str) -> int:
        """Length of the longest path up to a root."""
        self.get(concept_id)
        return self._depths[concept_id]

    @cached_property
    def greatest_height(self) -> int:
        """The height above which no common ancestor lies: the root's, or the virtual root's when there are several."""
        highest = max(self._heights.values(), default=0)
        return highest if len(self.roots) == 1 else highest + 1

    def lca_height(self, a: str, b: str) -> int:
        """Height of the lowest common ancestor of two concepts (a concept is its own ancestor); 0 when a == b."""
        self.get(a), self.get(b)
        if a == b:
            return 0
        common = (self.ancestors(a) | {a}) & (self.ancestors(b) | {b})
        return min((self._heights[concept_id] for concept_id in common), default=self.greatest_height)

    def lca_height_matrix(self, classes: Sequence[str]) -> NDArray[np.float32]:
        """lca_height of every pair -> f32[K, K], zero on the diagonal.

        Ancestors are painted from high to low, each over the square of the classes below it, so
        that the lowest stays.
        """
        below: dict[str, list[int]] = {}
        for position, concept_id in enumerate(classes):
            self.get(concept_id)
            for above in self.ancestors(concept_id) | {concept_id}:
                below.setdefault(above, []).append(position)
        heights_KK = np.full((len(classes), len(classes)), self.greatest_height, dtype=np.float32)
        for above in sorted(below, key=self._heights.__getitem__, reverse=True):
            positions = below[above]
            if len(positions) > 1:
                heights_KK[np.ix_(positions, positions)] = self._heights[above]
        _, code_K = np.unique(np.asarray(classes, dtype=np.str_), return_inverse=True)
        heights_KK[code_K[:, None] == code_K[None, :]] = 0
        return heights_KK

    def find(self, text: str) -> tuple[str, ...]:
        """Ids of the concepts a text may mean: itself if an id, else all with that name (if any are classes, those)."""
        if text in self.concepts:
            return (text,)
        found = self._by_name.get(plain(text), ())
        chosen = tuple(concept_id for concept_id in found if self.concepts[concept_id].is_class)
        return chosen or found

    def resolve(self, text: str) -> str:
        """The one concept a text means: an id, or a name whatever its case (`_` = space)."""
        found = self.find(text)
        if len(found) == 1:
            return found[0]
        if not found:
            raise self._unknown(text)
        listed = "\n".join(f"  {concept_id}  {self._described(concept_id)}" for concept_id in found[:20])
        raise UserError(f"{text!r} means {len(found)} concepts:\n{listed}", fix=f"use the id, for example {found[0]}")

    @cached_property
    def cycles(self) -> tuple[tuple[str, ...], ...]:
        """One cycle for each knot of concepts that are their own ancestors: (a, b) means a -> b -> a, downwards."""
        found = [self._cycle_in(knot) for knot in _knots(self._children)]
        return tuple(sorted(found))

    def lint(self, pictures: Mapping[str, int] | None = None, thin: int = 20) -> list[Problem]:
        """Everything wrong, worst first. `pictures` counts them per concept; a class with fewer than `thin` is told."""
        return [
            *self._lint_shape(),
            *self._lint_pairs(),
            *self._lint_names(),
            *(() if pictures is None else self._lint_pictures(pictures, thin)),
        ]

    @cached_property
    def _present_parents(self) -> dict[str, tuple[str, ...]]:
        return {
            concept.concept_id: tuple(parent for parent in concept.parents if parent in self.concepts)
            for concept in self
        }

    @cached_property
    def _children(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for concept in self:
            for parent in dict.fromkeys(concept.parents):
                if parent in self.concepts:
                    found.setdefault(parent, []).append(concept.concept_id)
        return {parent: tuple(sorted(children)) for parent, children in found.items()}

    @cached_property
    def _heights(self) -> dict[str, int]:
        return self._levels(self._children, self._present_parents)

    @cached_property
    def _depths(self) -> dict[str, int]:
        return self._levels(self._present_parents, self._children)

    @cached_property
    def _by_name(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for concept in self:
            for name in dict.fromkeys(plain(name) for name in concept.names):
                found.setdefault(name, []).append(concept.concept_id)
        return {name: tuple(concept_ids) for name, concept_ids in found.items()}

    def _levels(
        self, behind: Mapping[str, tuple[str, ...]], ahead: Mapping[str, tuple[str, ...]]
    ) -> dict[str, int]:  # fmt: skip
        levels: dict[str, int] = {}
        for concept_id in _peeled(behind, self.concepts, ahead):
            levels[concept_id] = max((levels[one] + 1 for one in behind.get(concept_id, ())), default=0)
        if len(levels) < len(self.concepts):
            circle = self.circle(self.cycles[0])
            raise UserError(f"The taxonomy goes in a circle: {circle}.", fix="pictus taxonomy check")
        return levels

    def _reached(self, first: Iterable[str], *, upwards: bool) -> frozenset[str]:
        links = self._present_parents if upwards else self._children
        found = set(first)
        waiting = deque(found)
        while waiting:
            for concept_id in links.get(waiting.popleft(), ()):
                if concept_id not in found:
                    found.add(concept_id)
                    waiting.append(concept_id)
        return frozenset(found)

    def _cycle_in(self, knot: frozenset[str]) -> tuple[str, ...]:
        """Walk down inside the knot until a concept comes again."""
        path: dict[str, int] = {}
        here = min(knot)
        while here not in path:
            path[here] = len(path)
            here = next(child for child in self._children[here] if child in knot)
        cycle = list(path)[path[here] :]
        smallest = cycle.index(min(cycle))
        return tuple(cycle[smallest:] + cycle[:smallest])

    def _lint_shape(self) -> Iterator[Problem]:
        for cycle in self.cycles:
            message = f"goes in a circle: {self.circle(cycle)}"
            yield Problem("cycle", cycle, message, f"pictus taxonomy add {cycle[0]} --parent ANOTHER-PARENT")
        for concept in self:
            missing = [parent for parent in concept.parents if parent not in self.concepts]
            if missing:
                which = f"the parent {', '.join(missing)}, which is not in the taxonomy"
                message = f"{self.quoted(concept.concept_id)} names {which}"
                fix = f"pictus taxonomy add {concept.concept_id} --parent ANOTHER-PARENT"
                yield Problem("missing-parent", (concept.concept_id,), message, fix)
        reached = self._reached(self.roots, upwards=False)
        on_cycle = {concept_id for cycle in self.cycles for concept_id in cycle}
        for concept_id in sorted(set(self.concepts) - reached - on_cycle):
            message = f"no path from a root leads to {self.quoted(concept_id)}"
            yield Problem("unreachable", (concept_id,), message, "mend the circle above it")

    def _lint_pairs(self) -> Iterator[Problem]:
        contained: dict[str, list[str]] = {}
        chosen = set(self.classes)
        for concept_id in self.classes:
            for above in self.ancestors(concept_id) & chosen:
                contained.setdefault(above, []).append(concept_id)
        for above, below in sorted(contained.items()):
            listed = ", ".join(self.quoted(concept_id) for concept_id in below[:3])
            more = f" and {len(below) - 3:,} more classes" if len(below) > 3 else ""  # noqa: PLR2004  a line's worth
            message = f"class {self.quoted(above)} contains {listed}{more}: one picture fits both"
            yield Problem("ancestor-descendant", (above, *below), message, f"pictus taxonomy add {above} --role group")

    def _lint_names(self) -> Iterator[Problem]:
        shared: dict[tuple[str, str], list[str]] = {}
        for name, found in self._by_name.items():
            chosen = [concept_id for concept_id in found if self.concepts[concept_id].is_class]
            for pair in combinations(sorted(chosen), 2):
                shared.setdefault(pair, []).append(name)
        for (a, b), names in sorted(shared.items()):
            same = {plain(name) for name in self.concepts[a].names} == {plain(name) for name in self.concepts[b].names}
            listed = ", ".join(repr(name) for name in names)
            message = f"classes {self.quoted(a)} and {self.quoted(b)} are both called {listed}"
            fix = f"use the ids {a}, {b} in files and folder names"
            fix += f"; if they mean the same: pictus taxonomy add {b} --role group" if same else ""
            yield Problem("twin" if same else "shared-name", (a, b), message, fix)

    def _lint_pictures(self, pictures: Mapping[str, int], thin: int) -> Iterator[Problem]:
        for concept_id in self.classes:
            count = pictures.get(concept_id, 0)
            if count < thin:
                counted = f"{count} picture{'s' if count != 1 else ''}"
                message = f"class {self.quoted(concept_id)} has {counted}, fewer than {thin}"
                fix = f"pictus taxonomy queries {concept_id}, then pictus collect fetch"
                yield Problem("thin", (concept_id,), message, fix)
        for concept_id, count in sorted(pictures.items()):
            if concept_id and count and concept_id not in self.concepts:
                message = f"{count:,} pictures claim the concept {concept_id!r}, which is not in the taxonomy"
                fix = "pictus taxonomy import … the list that has it"
                yield Problem("orphan", (concept_id,), message, fix)

    def quoted(self, concept_id: str) -> str:
        """Name and id, for messages: 'whippet' (n02091134)."""
        return f"{self.name(concept_id)!r} ({concept_id})"

    def circle(self, cycle: Sequence[str]) -> str:
        """A cycle for messages, downwards, its middle left out when it is long."""
        steps = [self.quoted(concept_id) for concept_id in (*cycle, cycle[0])]
        if len(steps) > 12:  # noqa: PLR2004  a few lines' worth
            steps[6:-5] = [f"… {len(steps) - 11:,} more …"]
        return " -> ".join(steps)

    def _described(self, concept_id: str) -> str:
        concept = self.concepts[concept_id]
        return ", ".join(concept.names) + (f": {concept.gloss}" if concept.gloss else "")

    def _unknown(self, text: str) -> UserError:
        wanted = plain(text)
        names = {*self._by_name, *self.concepts}
        if len(names) > _NEAR_FROM:
            names = {name for name in names if name[:1] == wanted[:1] and abs(len(name) - len(wanted)) < 4}  # noqa: PLR2004
        # of a word of three letters two of which were swapped, difflib calls .67 alike
        near = next(filter(None, (
            difflib.get_close_matches(wanted, sorted(names), n=3, cutoff=cutoff) for cutoff in (0.7, 0.6)
        )), [])  # fmt: skip
        fix = f"pictus taxonomy add {text!r}" if self.concepts else "pictus taxonomy import …"
        if near:
            fix = f"did you mean {' or '.join(near)}?    else: {fix}"
        return UserError(f"There is no concept {text!r}.", fix=fix)


def plain(name: str) -> str:
    """A name as it is compared: case folded, `_` = space, one space between words."""
    return " ".join(name.replace("_", " ").split()).casefold()


def concept_of(project: Project) -> pa.Table:
    """Rows image_id, concept_id of every picture that has a concept: the settled label, else the first claim.

    Of several accepted labels the most probable counts, of equals the first concept_id. What counts pictures by their
    concept, draws a line for one, or shows them, asks here, so that a page and a step mean the same pictures.
    """
    import pyarrow as pa  # noqa: PLC0415  with its compute 0.1 s that --help does not pay
    import pyarrow.compute as pc  # noqa: PLC0415

    columns = ["image_id", "concept_id"]
    labels = project.tables.read("labels", [*columns, "posterior"], where="status = 'accepted'")
    labels = labels.sort_by([("posterior", "descending"), ("concept_id", "ascending")]).select(columns)
    claims = project.tables.read("sources", columns, where="concept_id != ''")
    rows = pa.concat_tables([labels, claims.cast(labels.schema)])
    rows = rows.append_column("turn", pa.array(np.arange(rows.num_rows)))
    rows = rows.sort_by([("image_id", "ascending"), ("turn", "ascending")]).select(columns).combine_chunks()
    if rows.num_rows < 2:  # noqa: PLR2004  nothing to compare
        return rows
    ids = rows.column("image_id").combine_chunks()
    return rows.filter(pa.concat_arrays([pa.array([True]), pc.not_equal(ids[1:], ids[:-1])]))


def load_taxonomy(project: Project) -> Taxonomy:
    """The project's concepts, sorted by id; empty before the first import."""
    found = project.tables.records("concepts", Concept)
    return Taxonomy.of(sorted(found, key=lambda concept: concept.concept_id))


class LiveTaxonomy:
    """A project's concepts as they are now, for servers: call it. Read anew only when they changed: 21,841 take some
    tenths of a second.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._read = (-1, Taxonomy.of(()))  # the stamp of its table, and itself

    def __call__(self) -> Taxonomy:
        with self._lock:
            stamp = self._project.tables.stamp("concepts")
            if stamp != self._read[0]:
                self._read = (stamp, load_taxonomy(self._project))
            return self._read[1]


def _peeled(
    behind: Mapping[str, tuple[str, ...]], concepts: Iterable[str], ahead: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:  # fmt: skip
    """Concepts in an order where all that lie `behind` one come before it; those on or past a cycle never come."""
    left = {concept_id: len(set(behind.get(concept_id, ()))) for concept_id in concepts}
    ready = deque(concept_id for concept_id, count in left.items() if count == 0)
    while ready:
        concept_id = ready.popleft()
        yield concept_id
        for one in dict.fromkeys(ahead.get(concept_id, ())):
            left[one] -= 1
            if left[one] == 0:
                ready.append(one)


def _knots(children: Mapping[str, tuple[str, ...]]) -> Iterator[frozenset[str]]:  # noqa: C901  one known algorithm
    """Strongly connected components that hold a cycle (Tarjan 1972, without recursion: taxonomies may be deep)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for start in children:
        if start in number:
            continue
        work: list[tuple[str, Iterator[str]]] = [(start, iter(children[start]))]
        number[start] = low[start] = len(number)
        stack.append(start)
        on_stack.add(start)
        while work:
            here, rest = work[-1]
            child = next(rest, None)
            if child is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[here])
                if low[here] == number[here]:
                    knot = {here}
                    while (top := stack.pop()) != here:
                        knot.add(top)
                    on_stack -= knot
                    if len(knot) > 1 or here in children.get(here, ()):
                        yield frozenset(knot)
            elif child not in number:
                work.append((child, iter(children.get(child, ()))))
                number[child] = low[child] = len(number)
                stack.append(child)
                on_stack.add(child)
            elif child in on_stack:
                low[here] = min(low[here], number[child])
