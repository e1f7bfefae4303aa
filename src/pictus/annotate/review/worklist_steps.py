"""What is worth a look: where people disagree, which concepts are mixed up, what a model doubts, one person's answers.

A `Worklist` is opened once for a server and is thread-safe. It holds the votes as numbers (some 60 bytes a vote), the
labels and the rulings, and looks again when they changed, at the votes every FRESH_S seconds at most. The order of a
wall is kept under a token, so that it stays while somebody scrolls and rules.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa

from pictus.annotate.review.counting import Counting
from pictus.annotate.review.review_steps import rulings_since
from pictus.annotate.review.rulings import IS, IS_NOT, UNKNOWN, WITHDRAWN, Pair, Ruling, Shown, shown
from pictus.annotate.review.said_steps import Labelled, by_models, labels_now
from pictus.annotate.truth.annotators import YES
from pictus.annotate.truth.consensus import Consensus
from pictus.annotate.truth.questions import UNSURE
from pictus.concepts import Taxonomy
from pictus.errors import UserError
from pictus.project import Project

WALLS = 24
"""Orders that are kept: people scroll through a few walls at a time."""
BATCHES = 12
NAMED = 3
"""Concepts named of one act."""
KINDS = ("disagreements", "pair", "suspects", "concept", "person", "batch")


class Asked(NamedTuple):
    """Which wall. `concept`, `other`: ids; `name`: of a person or a batch."""

    of: str
    concept: str = ""
    other: str = ""
    name: str = ""


class Wall(NamedTuple):
    """Pictures in order. `concepts`: what each is asked about here; `others`: what else it may be; `notes`: why."""

    token: str
    images: list[str]
    concepts: list[str]
    others: list[str]
    notes: list[str]


class Tile(NamedTuple):
    """One picture of a wall as it is now."""

    image_id: str
    concept_id: str
    other_id: str
    note: str
    shown: Shown


class Mixed(NamedTuple):
    """Two concepts that people or models take for each other, and on how many pictures."""

    concept_id: str
    other_id: str
    pictures: int
    by_people: int
    by_models: int


class Act(NamedTuple):
    """One batch of rulings. `standing`: its pictures on which it still has the last word."""

    batch: str
    at: str
    reviewer: str
    reason: str
    pictures: int
    standing: int
    is_withdrawal: bool
    what: str  # what was decided, in words: "not owl", "wren instead of owl"


class Worklist:
    """One project's. `clock`: seconds that never go back."""

    def __init__(
        self, project: Project, taxonomy: Callable[[], Taxonomy], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._project = project
        self._taxonomy = taxonomy
        self._clock = clock
        self._lock = threading.RLock()
        self._first: threading.Thread | None = None
        self._lock_of_first = threading.Lock()
        self._is_read = threading.Event()
        self._counting = Counting(project, clock)
        self._known: tuple[int, Taxonomy | None] = (0, None)
        self._labels: tuple[int, Labelled] = (-1, Labelled([], [], [], np.zeros(0), []))
        self._suspects: tuple[int, list[dict[str, str]]] = (-1, [])
        self._models: tuple[object, dict[Pair, list[str]]] = (None, {})
        self._ruled: list[Ruling] = []
        self._of_image: dict[str, dict[str, Ruling]] = {}
        self._walls: OrderedDict[str, Wall] = OrderedDict()

    def is_ready(self, wait_s: float) -> bool:
        """Whether all has been read for the first time, within `wait_s`; it goes on beside whoever asks."""
        with self._lock_of_first:
            if self._first is None:
                self._first = threading.Thread(target=self._read, name="review", daemon=True)
                self._first.start()
        return self._is_read.wait(wait_s)

    def _read(self) -> None:
        with suppress(Exception):  # whoever looks next reads it again, and is told
            self.disagreements()
        self._is_read.set()

    def wall(self, asked: Asked, token: str = "") -> Wall:
        """The pictures of one wall, the order of `token` where that is still kept."""
        with self._lock:
            self._catch_up()
            if token in self._walls:
                self._walls.move_to_end(token)
                return self._walls[token]
            versions = (self._labels[0], self._suspects[0], self._models[0], self._counting.mark, self._known[0])
            token = hashlib.sha256(repr((asked, *versions, len(self._ruled))).encode()).hexdigest()[:16]
            if token in self._walls:
                return self._walls[token]
            rows = self._rows(asked)
            columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
            wall = self._walls[token] = Wall(token, *columns)
            while len(self._walls) > WALLS:
                self._walls.popitem(last=False)
            return wall

    def tiles(self, wall: Wall, offset: int, count: int) -> list[Tile]:
        """Some of them as they are now, rulings of this moment included."""
        with self._lock:
            self._catch_up()
            chosen = slice(offset, offset + count)
            parts = (wall.images[chosen], wall.concepts[chosen], wall.others[chosen], wall.notes[chosen])
            return [Tile(*row, self._shown(row[0])) for row in zip(*parts, strict=True)]

    def now(self, image_ids: Sequence[str]) -> dict[str, Shown]:
        """What pictures are at this moment."""
        with self._lock:
            self._catch_up()
            return {one: self._shown(one) for one in image_ids}

    def disagreements(self) -> dict[str, int]:
        """Concept -> pictures whose votes on it are split and on which nobody ruled, the most first."""
        with self._lock:
            found = Counter(self.wall(Asked("disagreements")).concepts)
            return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))

    def pairs(self) -> list[Mixed]:
        """Concepts that are mixed up, the most pictures first; without pictures on which somebody ruled."""
        with self._lock:
            self._catch_up()
            by_people, by_models = self._mixed()
            found = []
            for pair in {**by_people, **by_models}:
                people, models = (
                    {one for one in by.get(pair, ()) if one not in self._of_image} for by in (by_people, by_models)
                )
                if people or models:
                    found.append(Mixed(*pair, len(people | models), len(people), len(models)))
            return sorted(found, key=lambda one: (-one.pictures, one.concept_id, one.other_id))

    def suspects(self) -> int:
        """Labels that a model doubts and on which nobody ruled."""
        with self._lock:
            self._catch_up()
            return len(self._suspected(Asked("suspects")))

    def counts(self) -> dict[str, int]:
        """Concept -> pictures that are accepted as it at this moment."""
        with self._lock:
            self._catch_up()
            labels, found = self._labels[1], dict[str, int]()
            for image_id, concept_id, status in zip(labels.images, labels.concepts, labels.statuses, strict=True):
                if status == "accepted" and image_id not in self._of_image:
                    found[concept_id] = found.get(concept_id, 0) + 1
            for image_id in self._of_image:
                one = self._shown(image_id)
                if one.status == "accepted":
                    found[one.concept_id] = found.get(one.concept_id, 0) + 1
            return found

    def acts(self) -> list[Act]:
        """The latest batches of rulings, the latest first."""
        with self._lock:
            self._catch_up()
            found: dict[str, list[Ruling]] = {}
            standing: dict[str, set[str]] = {}
            later: set[Pair] = set()
            for one in reversed(self._ruled):
                if one.batch not in found and len(found) == BATCHES:
                    break
                found.setdefault(one.batch, []).append(one)
                standing.setdefault(one.batch, set()).update(() if one.pair in later else (one.image_id,))
                later.add(one.pair)
            return [
                Act(
                    batch, rows[-1].ruled_at, rows[-1].reviewer, rows[-1].reason, len({one.image_id for one in rows}),
                    len(standing[batch]), any(one.ruling == WITHDRAWN for one in rows),
                    self._what(rows),
                )
                for batch, rows in found.items()
            ]  # fmt: skip

    def _what(self, rows: Sequence[Ruling]) -> str:
        """What one act decided, in words."""
        taxonomy, names = self._taxonomy(), dict[str, list[str]]()
        for one in reversed(rows):  # as they were ruled
            name = taxonomy.called(one.concept_id)
            if name not in (found := names.setdefault(one.ruling, [])):
                found.append(name)
        shown = {ruling: ", ".join(found[:NAMED]) + (", …" if len(found) > NAMED else "")
                 for ruling, found in names.items()}  # fmt: skip
        if WITHDRAWN in shown:
            return f"taken back: {shown[WITHDRAWN]}"
        if IS in shown and IS_NOT in shown:
            return f"{shown[IS]} instead of {shown[IS_NOT]}"
        return shown[IS] if IS in shown else f"not {shown[IS_NOT]}"

    # --- what changed -----------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        self._catch_up_rulings()
        version = self._project.tables.version("labels")
        if version != self._labels[0]:
            self._labels = (version, labels_now(self._project))
        version = self._project.tables.version("suspects")
        if version != self._suspects[0]:
            rows = self._project.tables.read("suspects").sort_by([("quality", "ascending"), ("image_id", "ascending")])
            self._suspects = (version, rows.to_pylist())
        if self._counting.look():
            self._models = by_models(self._project, self._models)
        taxonomy = self._taxonomy()
        if taxonomy is not self._known[1]:
            self._known = (self._known[0] + 1, taxonomy)

    def _catch_up_rulings(self) -> None:
        last = self._ruled[-1].ruling_id if self._ruled else 0
        with self._project.journal.reading() as connection:
            if connection.dialect.name == "postgresql":  # it may show a row with a lower number later
                query = sa.text("SELECT COUNT(*) FROM rulings WHERE ruling_id <= :last")
                if connection.execute(query, {"last": last}).scalar_one() != len(self._ruled):
                    self._ruled, self._of_image, last = [], {}, 0
            fresh = rulings_since(connection, last)
        for one in fresh:
            texts = (one.image_id, one.concept_id, one.ruling, one.reviewer, one.reason, one.batch, one.ruled_at)
            kept = Ruling(one.ruling_id, *(sys.intern(text) for text in texts))  # most of them are many rows' own
            self._ruled.append(kept)
            of_image = self._of_image.setdefault(kept.image_id, {})
            of_image.pop(kept.concept_id, None)
            if kept.ruling in (IS, IS_NOT):
                of_image[kept.concept_id] = kept
            if not of_image:
                del self._of_image[kept.image_id]

    # --- the walls: (image_id, concept in question, other concept, note) ------------------------------------------

    def _rows(self, asked: Asked) -> list[tuple[str, str, str, str]]:
        if asked.of == "disagreements":
            return self._disputed(asked.concept)
        if asked.of == "pair":
            return self._side(asked.concept, asked.other)
        if asked.of == "suspects":
            return self._suspected(asked)
        if asked.of == "concept":
            return self._of_concept(asked.concept)
        if asked.of == "person":
            return self._differing(asked.name)
        if asked.of == "batch":
            return self._of_batch(asked.name)
        raise UserError(f"There is no wall {asked.of[:40]!r}.", fix="one of: " + ", ".join(KINDS))

    def _shown(self, image_id: str) -> Shown:
        labels = self._labels[1]
        row = labels.row.get(image_id)
        settled = None if row is None else (labels.concepts[row], labels.statuses[row], labels.methods[row])
        ruled = self._of_image.get(image_id)
        if settled is None and not ruled:
            return UNKNOWN
        return shown(settled, list(ruled.values()) if ruled else ())

    def _disputed(self, concept_id: str) -> list[tuple[str, str, str, str]]:
        votes = self._counting.said
        if votes is None:
            return []
        ballots, taxonomy = votes.ballots, self._taxonomy()
        wanted = {concept_id, *(taxonomy.descendants(concept_id) if concept_id in taxonomy else ())}
        found: list[tuple[float, int, str, str, str, str]] = []
        of = votes.of_asked
        for item, entropy, yes_first, many, few in zip(
            of.item_S.tolist(), of.entropy_S.tolist(), (of.first_S == YES).tolist(), of.n_first_S.tolist(),
            of.n_second_S.tolist(), strict=True,
        ):  # fmt: skip
            image_id = ballots.images[votes.asked.image_U[item]]
            concept = ballots.concepts[votes.asked.concept_U[item]]
            if (not concept_id or concept in wanted) and concept not in self._of_image.get(image_id, ()):
                yes, no = (many, few) if yes_first else (few, many)
                found.append((-entropy, -many - few, image_id, concept, "", f"{yes} yes, {no} no"))
        of = votes.of_free
        columns = (of.item_S, of.entropy_S, of.first_S, of.second_S, of.n_first_S, of.n_second_S)
        for item, entropy, first, second, many, few in zip(*(one.tolist() for one in columns), strict=True):
            image_id = ballots.images[votes.free.image_I[item]]
            one, other = ballots.concepts[first], ballots.concepts[second]
            if (not concept_id or wanted & {one, other}) and image_id not in self._of_image:
                note = f"{taxonomy.called(one)} {many}, {taxonomy.called(other)} {few}"
                found.append((-entropy, -many - few, image_id, one, other, note))
        return [row[2:] for row in sorted(found)]

    def _mixed(self) -> tuple[dict[Pair, list[str]], dict[Pair, list[str]]]:
        """By people, by models: pair of concepts -> pictures."""
        found: dict[Pair, list[str]] = {}
        votes, taxonomy = self._counting.said, self._taxonomy()
        if votes is not None:
            for pair, pictures in votes.mixed.items():
                one, other = pair
                is_kin = all(each in taxonomy for each in pair) and (
                    one in taxonomy.ancestors(other) or other in taxonomy.ancestors(one)
                )
                if not is_kin:
                    found[pair] = pictures
        by_models = {pair: list(pictures) for pair, pictures in self._models[1].items()}
        for row in self._suspects[1]:
            one, other = sorted((row["given_id"], row["suggested_id"]))
            by_models.setdefault((one, other), []).append(row["image_id"])
        return found, by_models

    def _side(self, concept_id: str, other_id: str) -> list[tuple[str, str, str, str]]:
        """Pictures that are one concept now: those taken for the other first, then the rest, the least sure first."""
        first, second = sorted((concept_id, other_id))
        people, models = (set(by.get((first, second), ())) for by in self._mixed())
        found = []
        for image_id in sorted(people | models):
            now = self._shown(image_id)
            is_open = now.concept_id not in (first, second) or now.status == "rejected"
            if concept_id == (first if is_open else now.concept_id):
                who = [word for word, by in (("people", people), ("a model", models)) if image_id in by]
                found.append((image_id, concept_id, other_id, f"mixed by {' and '.join(who)}"))
        there = {row[0] for row in found}
        return found + [
            (row[0], concept_id, other_id, row[3]) for row in self._of_concept(concept_id) if row[0] not in there
        ]

    def _suspected(self, asked: Asked) -> list[tuple[str, str, str, str]]:
        return [
            (row["image_id"], row["given_id"], row["suggested_id"], row["reason"]) for row in self._suspects[1]
            if row["image_id"] not in self._of_image and asked.concept in ("", row["given_id"])
            and asked.other in ("", row["suggested_id"])
        ]  # fmt: skip

    def _of_concept(self, concept_id: str) -> list[tuple[str, str, str, str]]:
        """All that are it now or may be: the least sure first, those ruled on last."""
        labels = self._labels[1]
        rows = [
            row for row, one in enumerate(labels.concepts)
            if one == concept_id and labels.statuses[row] != "rejected" and labels.images[row] not in self._of_image
        ]  # fmt: skip
        rows.sort(key=lambda row: (labels.posteriors[row], labels.images[row]))
        found = [
            (labels.images[row], concept_id, "", f"{labels.statuses[row]}, P = {labels.posteriors[row]:.2f}")
            for row in rows
        ]
        ruled = [one for one in self._of_image if self._shown(one)[:2] == (concept_id, "accepted")]
        return found + [(one, concept_id, "", "ruled" if concept_id in self._of_image[one] else "") for one in ruled]

    def _differing(self, name: str) -> list[tuple[str, str, str, str]]:
        """Answers of one person that differ from what is settled: yes and no first by how sure that is."""
        votes = self._counting.said
        if votes is None or name not in votes.ballots.annotators:
            return []
        ballots, who, taxonomy = votes.ballots, votes.ballots.annotators.index(name), self._taxonomy()
        found: list[tuple[float, str, str, str, str]] = []
        asked, free = votes.asked.votes, votes.free.votes
        for at in np.flatnonzero((asked.annotator_V == who) & (asked.answer_V != UNSURE)).tolist():
            item, said = int(asked.item_V[at]), int(asked.answer_V[at])
            image_id = ballots.images[votes.asked.image_U[item]]
            concept = ballots.concepts[votes.asked.concept_U[item]]
            true, sure, by = self._truth(image_id, concept, votes.truth, item)
            if true is not None and true != (said == YES):
                words = f"said {'yes' if said == YES else 'no'}; {by} says {'yes' if true else 'no'}"
                found.append((-sure, image_id, concept, "", words))
        for at in np.flatnonzero(free.annotator_V == who).tolist():
            item, said_id = int(free.item_V[at]), ballots.concepts[int(free.answer_V[at])]
            image_id = ballots.images[votes.free.image_I[item]]
            now = self._shown(image_id)
            if now.status == "accepted" and now.concept_id != said_id:
                words = f"said {taxonomy.called(said_id)}; {now.by or 'settled'} as {taxonomy.called(now.concept_id)}"
                found.append((-1.0, image_id, said_id, now.concept_id, words))
        return [row[1:] for row in sorted(found)]

    def _truth(
        self, image_id: str, concept_id: str, consensus: Consensus, item: int
    ) -> tuple[bool | None, float, str]:  # fmt: skip
        """Whether a picture shows a concept, how sure that is, and who says so; None where it is not known."""
        ruled = self._of_image.get(image_id, {}).get(concept_id)
        if ruled:
            return ruled.ruling == IS, 1.0, ruled.reviewer
        sure, label = float(consensus.posterior_I[item]), int(consensus.label_I[item])
        is_known = label != UNSURE and sure >= 0.75  # noqa: PLR2004  half way from a tie to certainty
        return (label == YES if is_known else None), sure, "the others together"

    def _of_batch(self, batch: str) -> list[tuple[str, str, str, str]]:
        found: dict[str, tuple[str, str, str, str]] = {}
        for one in self._ruled:
            if one.batch == batch and (one.image_id not in found or one.ruling == IS):
                words = f"{one.ruling.replace('-', ' ')}: {one.reason}"
                found[one.image_id] = (one.image_id, one.concept_id, "", words)
        return list(found.values())
