"""What other tools' files say, fitted to the project: which picture, which concept, by whom, shapes in its pixels."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pictus.annotate.exchange.entries import concept_meant, yes_no_meant
from pictus.annotate.exchange.formats.contents import Asked, Bad, Drawn, Format, Known, LeftOut, Read, Said, Shape
from pictus.annotate.exchange.formats.documents import Bundle
from pictus.annotate.exchange.formats.figures import WrongFigureError
from pictus.annotate.exchange.references import Resolved
from pictus.annotate.shapes.shapes import is_endless
from pictus.concepts import Taxonomy
from pictus.errors import clipped

SLACK = 0.02
"""Shares of a picture of another size are taken while its form differs by no more than this."""

DIGITS = 3
"""Shapes are kept to a thousandth of a pixel."""

_SUGGESTED = 20


class Wishes(NamedTuple):
    """What the person who takes a file in said."""

    question: str = ""  # the concept that yes/no answers are about, where the file does not say
    skip_bad: bool = False
    skip_unknown: bool = False
    as_proposals: bool = False
    keep_names: bool = False


class World(NamedTuple):
    """What the project knows. size_of: image_id -> width and height upright, (0, 0) unknown."""

    taxonomy: Taxonomy
    pictures: Resolved
    size_of: Callable[[str], tuple[int, int]]
    people: People


class People(NamedTuple):
    """How the project calls the annotators of files. here: names with an @ that stand in it already, in clear."""

    key: bytes
    keeps_names: bool = False
    here: frozenset[str] = frozenset()

    def called(self, name: str, platform: str = "person") -> tuple[str, str]:
        """The name that is kept, or ("", why there is none). Ids of a platform, and e-mail addresses, are not kept."""
        if self.keeps_names or name in self.here:
            return name, ""
        if platform == "person" and name.startswith(("source:", "model:")):
            return "", f"{clipped(name)} is no person: such names stand for folders and models"
        if platform != "person" or "@" in name:
            digest = hmac.new(self.key, f"{platform}\0{name}".encode(), hashlib.sha256).hexdigest()
            return f"{platform}-{digest[:12]}", ""
        return name, ""


class Row(NamedTuple):
    """One shape as `marks` keeps it. place: its number among all that the bundle holds, good or bad."""

    kind: str
    image_id: str
    concept_id: str
    annotator: str
    shape: str
    place: int


class Question(NamedTuple):
    """One question; known: "" or the right answer."""

    concept_id: str
    image_id: str
    known: str


@dataclass
class Findings:
    """What is wrong with rows or left out of them, while they are read."""

    refused: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    rejected: int = 0  # left out by the file's own word
    rows: int = 0


class Fitting:
    """Fits items of one bundle, one after another."""

    def __init__(self, bundle: Bundle, known: Format, world: World, wishes: Wishes) -> None:
        self.source = f"source:{bundle.name[:200]}"
        self._taxonomy, self._pictures, self._size_of, self._people = world
        self._wishes = wishes
        # Names in files that Pictus wrote are its own, or of people whom it may name.
        self._platform = known.name if known.name in ("mturk", "toloka") and not known.is_ours(bundle) else "person"
        self._concepts: dict[tuple[str, str], tuple[str, str]] = {}
        self._pseudonyms: dict[str, str] = {}
        self._n_unknown = 0
        self.findings = Findings()
        self.votes: list[tuple[str, str, str, str]] = []  # image_id, annotator, question, answer
        self.questions: list[Question] = []
        self.n_clipped = 0

    def rows(self, items: Iterator[Read]) -> Iterator[Row]:
        """The shapes; votes and questions are collected, bad rows told in `findings`."""
        for item in items:
            self.findings.rows += 1
            if isinstance(item, Bad):
                self._tell(item.place, item.what)
            elif isinstance(item, LeftOut):
                self.findings.rejected += 1
            else:
                image_id = self._pictures.image_ids.get(item.picture, "")
                missing = "" if image_id else self._pictures.problems.get(item.picture, "no picture is named")
                try:
                    found = self._fitted(item, image_id)
                except WrongFigureError as error:
                    self._tell(item.place, str(error), missing)
                    continue
                if missing:
                    self._tell(item.place, "", missing)
                elif found is not None:
                    yield found

    def _fitted(self, item: Said | Drawn | Known | Asked, image_id: str) -> Row | None:
        if isinstance(item, Drawn):
            return self._mark(item, image_id)
        if isinstance(item, Said):
            self._say(item, image_id)
            return None
        concept_id = self._concept(item.question, "the question")
        if image_id:
            self.questions.append(Question(concept_id, image_id, item.answer if isinstance(item, Known) else ""))
        return None

    def _say(self, item: Said, image_id: str) -> None:
        asked = item.question or self._wishes.question
        if asked:
            question, answer = self._concept(asked, "the question"), self._yes_no(item.answer)
        else:
            question, answer = "", self._concept(item.answer, "class")
        if image_id:
            self.votes.append((image_id, self._who(item.annotator), question, answer))

    def _mark(self, item: Drawn, image_id: str) -> Row | None:
        concept_id = self._concept(item.concept, "class") if item.concept else ""
        if not concept_id or concept_id == "unsure":
            raise WrongFigureError("a shape without a class" if not item.concept else "a shape of the class 'unsure'")
        if not image_id:
            return None
        shape = self._placed(item, *self._size_of(image_id))
        annotator = self.source if self._wishes.as_proposals else self._who(item.annotator)
        written = json.dumps(shape, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return Row(item.kind, image_id, concept_id, annotator, written, self.findings.rows)

    def _placed(self, item: Drawn, width: int, height: int) -> Shape:
        """The shape in px of the upright picture, cut at its edges."""
        _check_size(item, width, height)
        shape, was_cut = placed(item.shape, width, height, is_share=item.is_share)
        self.n_clipped += was_cut
        return shape

    def _who(self, name: str) -> str:
        if not name:
            return self.source
        if self._platform == "person" and name.startswith(("source:", "model:")):  # proposals, claims, predictions
            return name[:200]
        if name not in self._pseudonyms:
            self._pseudonyms[name], _ = self._people.called(name, self._platform)
        return self._pseudonyms[name][:200]

    def _concept(self, text: str, what: str) -> str:
        key = (text, what)
        if key not in self._concepts:
            meant = concept_meant(self._taxonomy, text, what, has_time=self._n_unknown < _SUGGESTED)
            self._concepts[key] = meant
            self._n_unknown += bool(meant[1])
        found, problem = self._concepts[key]
        if problem:
            raise WrongFigureError(problem)
        return found

    @staticmethod
    def _yes_no(text: str) -> str:
        answer, problem = yes_no_meant(text)
        if problem:
            raise WrongFigureError(problem)
        return answer

    def _tell(self, place: str, bad: str, unknown: str = "") -> None:
        skips = self._wishes
        may_go = (skips.skip_bad or not bad) and (skips.skip_unknown or skips.skip_bad or not unknown)
        told = f"{place}: {'; '.join(text for text in (bad, unknown) if text)}"
        (self.findings.left_out if may_go else self.findings.refused).append(told)


def placed(shape: Shape, width: int, height: int, *, is_share: bool) -> tuple[Shape, bool]:
    """A shape in px, cut at the picture's edges; and whether more than half a pixel of it was cut off."""
    across, down = (width, height) if is_share else (1, 1)
    cut = 0.0

    def inside(value: float, scale: float, side: float) -> float:
        nonlocal cut
        moved = value * scale
        kept = min(max(moved, 0.0), float(side))
        cut = max(cut, abs(kept - moved))
        return round(kept, DIGITS)

    found = dict(shape)
    if "box" in shape:
        x1, y1, x2, y2 = shape["box"]
        found["box"] = box = [
            inside(x1, across, width), inside(y1, down, height), inside(x2, across, width), inside(y2, down, height)
        ]  # fmt: skip
        if not (box[0] < box[2] and box[1] < box[3]):
            raise WrongFigureError(f"a box outside the picture of {width} × {height}")
    if "polygons" in shape:
        found["polygons"] = [
            [round(value, DIGITS) for value in ring] if not is_share and _lies_in(ring, width, height) else
            [inside(value, *((down, height) if place % 2 else (across, width))) for place, value in enumerate(ring)]
            for ring in shape["polygons"]
        ]  # fmt: skip
        if not any(len(set(ring[0::2])) > 1 and len(set(ring[1::2])) > 1 for ring in found["polygons"]):
            raise WrongFigureError(f"a polygon outside the picture of {width} × {height}")
        if is_endless(found["polygons"], width, height):
            raise WrongFigureError("a polygon whose outline runs to and fro over the whole picture")
    if "points" in shape:
        found["points"] = [
            [inside(x, across, width), inside(y, down, height), seen] if seen else [0, 0, 0]
            for x, y, seen in shape["points"]
        ]
    if "size" in shape and shape["size"] != [height, width]:
        raise WrongFigureError(f"a mask of {shape['size'][1]} × {shape['size'][0]} on a picture of {width} × {height}")
    return found, cut > 0.5  # noqa: PLR2004  half a pixel is rounding


def _lies_in(ring: list[float], width: int, height: int) -> bool:
    xs, ys = ring[0::2], ring[1::2]
    return min(xs) >= 0 and max(xs) <= width and min(ys) >= 0 and max(ys) <= height


def _check_size(item: Drawn, width: int, height: int) -> None:
    if not width or not height:
        raise WrongFigureError("a picture whose size is not known")
    if item.size in ((0, 0), (width, height)):
        return
    is_alike = abs(item.size[0] * height - item.size[1] * width) <= SLACK * item.size[0] * height
    if item.is_share and is_alike:
        return
    turned = ": the file may not know that it is turned" if item.size == (height, width) else ""
    raise WrongFigureError(
        f"drawn on {item.size[0]} × {item.size[1]}, the picture {clipped(item.picture)} is {width} × {height}{turned}"
    )
