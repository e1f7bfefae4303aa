"""What files of other tools hold, in one form that all readers give and all writers take; and the registry of formats.

A reader turns a bundle of documents into items, one after another, and knows neither project nor taxonomy: pictures and
concepts are the file's own texts. What it cannot use becomes a `Bad` item with its place, never an exception, unless
the file as a whole cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pictus.annotate.exchange.formats.documents import Bundle
from pictus.registry import Registry

Shape = dict[str, Any]


class Said(NamedTuple):
    """One answer. `question`: the concept asked about with yes, no or unsure; "" for "which?"."""

    place: str  # "annotations.json task 7"
    picture: str
    annotator: str  # "" where the file names nobody
    question: str
    answer: str


class Drawn(NamedTuple):
    """One shape: {"box": [x1, y1, x2, y2]}, {"polygons": [[x1, y1, x2, y2, …], …]}, {"size": [height, width],
    "counts": RLE} or {"skeleton": name, "points": [[x, y, v], …]}; px, or shares of width and height when `is_share`.
    `words`: what else the tool says of it, kept as text. A mask may carry the tool's own "box".
    """

    place: str
    picture: str
    annotator: str
    concept: str
    kind: str  # box | mask | points
    shape: Shape
    size: tuple[int, int] = (0, 0)  # width and height of the picture as the file says, 0 where it does not
    is_share: bool = False


class Known(NamedTuple):
    """An answer that is known to be right: a control."""

    place: str
    picture: str
    question: str
    answer: str  # yes | no


class Asked(NamedTuple):
    """A question that a file of tasks puts."""

    place: str
    picture: str
    question: str
    group: str  # the task that it stood on


class Bad(NamedTuple):
    """A row that cannot be used, and why."""

    place: str
    what: str


class LeftOut(NamedTuple):
    """A row that is left out by the file's own word: answers that were rejected."""

    place: str
    why: str


Read = Said | Drawn | Known | Asked | Bad | LeftOut


@dataclass(frozen=True, slots=True)
class Sheet:
    """One picture as writers get it. `name`: as other tools may call it, unique in one export; address: where it is."""

    image_id: str
    name: str
    address: str
    width: int  # px, upright
    height: int


@dataclass(frozen=True, slots=True)
class Vote:
    """One answer to write. `question` and `answer` are names of concepts, or yes, no and unsure."""

    sheet: Sheet
    annotator: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One shape to write. `score`: how sure it is, 1 for what a person drew."""

    sheet: Sheet
    annotator: str
    concept: str
    kind: str
    shape: Mapping[str, Any]
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """One question to put. known: "" or the right answer."""

    sheet: Sheet
    kind: str
    concept_id: str
    concept: str
    gloss: str
    known: str


@dataclass(frozen=True)
class Export:
    """What a writer gets: each called afresh gives its rows, those of one picture together, pictures in one order."""

    project: str
    concepts: tuple[str, ...]  # the names that rows use, sorted
    sheets: Callable[[], Iterable[Sheet]]
    votes: Callable[[], Iterable[Vote]] = field(default=lambda: ())
    marks: Callable[[], Iterable[Mark]] = field(default=lambda: ())
    tasks: Callable[[], Iterable[Task]] = field(default=lambda: ())
    seed: int = 0  # of the order of tasks


Reader = Callable[[Bundle], Iterator[Read]]
Writer = Callable[[Export, Path], int]  # writes the file or folder, gives the number of rows in it


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format. `recognises`: whether a bundle is of this kind, by its content; `is_ours`: that Pictus wrote it."""

    name: str
    recognises: Callable[[Bundle], bool] = field(default=lambda _bundle: False)
    is_ours: Callable[[Bundle], bool] = field(default=lambda _bundle: False)
    read: Reader | None = None
    pictures: Callable[[Bundle], Iterable[str]] | None = None  # the pictures' texts, where that is cheaper than `read`
    writes: Mapping[str, Writer] = field(default_factory=dict)  # votes | labels | marks | shapes | tasks -> writer


FORMATS: Registry[Format] = Registry("format", "pictus.formats")
