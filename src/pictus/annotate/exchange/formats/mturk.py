"""Amazon Mechanical Turk's batch results: a row per assignment, what was shown in Input.*, what was said in Answer.*.

Three kinds of tasks are read. One picture a task: its column is Input.image_url (or another name of a picture), the
concept asked about Input.concept or Input.question, the answer the one column Answer.* with a name of an answer, or the
only one. Our own grid: pictures Input.image_1, Input.image_2 …, and the numbers of those that were marked in
Answer.yes and Answer.unsure. And boxes of crowd-bounding-box. Answers that were rejected are left out.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pictus.annotate.exchange.formats.cells import header, rows
from pictus.annotate.exchange.formats.contents import Bad, Drawn, Export, LeftOut, Read, Said
from pictus.annotate.exchange.formats.documents import Bundle, Document
from pictus.annotate.exchange.formats.figures import WrongFigureError, box_at, refuse, size_of
from pictus.annotate.exchange.formats.formulas import guarded
from pictus.annotate.exchange.formats.hit_pages import mturk_template
from pictus.annotate.exchange.formats.json_streams import checked_depth
from pictus.annotate.exchange.formats.outputs import table, text_file
from pictus.annotate.exchange.formats.task_pages import PAGE, pages_of
from pictus.annotate.exchange.vote_files import COLUMNS
from pictus.errors import UserError, clipped

_ASKED = ("question", "concept", "concept_id", "asked", "wnid")
_TOLD = (*COLUMNS["answer"], "category.label", "choice")
_BESIDE = ("comment", "comments", "feedback", "duration", "time", "submit", "useragent")
_VOTES = (
    "HITId", "AssignmentId", "WorkerId", "AssignmentStatus", "Input.image_url", "Input.question", "Answer.answer",
)  # fmt: skip
_NUMBER = re.compile(r"\d{1,4}")


def recognises(bundle: Bundle) -> bool:
    return any(is_mturk(document) for document in bundle.ending(".csv")[:20])


def is_mturk(document: Document) -> bool:
    return {"HITId", "WorkerId"} <= set(header(document))


def is_ours(bundle: Bundle) -> bool:
    """Whether `write_votes` wrote it: the platform's own results have forty columns more."""
    return all(tuple(header(document)) == _VOTES for document in bundle.ending(".csv") if is_mturk(document))


def read(bundle: Bundle) -> Iterator[Read]:
    return rows((document for document in bundle.ending(".csv") if is_mturk(document)), _assignment)


def _assignment(place: str, cells: Mapping[str, str]) -> Iterator[Read]:
    if cells.get("AssignmentStatus", "").lower() == "rejected" or cells.get("RejectionTime"):
        yield LeftOut(place, "rejected by the requester")
        return
    worker = cells.get("WorkerId", "")
    if not worker:
        raise WrongFigureError("no WorkerId")
    shown = {name[6:].lower(): said for name, said in cells.items() if name.startswith("Input.") and said}
    told: dict[str, Any] = {name[7:]: said for name, said in cells.items() if name.startswith("Answer.") and said}
    told |= _flat(str(told.pop("taskAnswers", "")))
    question = next((shown[name] for name in _ASKED if name in shown), "")
    grid = {int(name[6:]): said for name, said in shown.items() if re.fullmatch(r"image_\d{1,4}", name)}
    if grid and ("yes" in told or "unsure" in told or "seen" in told):
        yield from _grid(place, worker, question, grid, told)
        return
    picture = next((shown[name] for name in COLUMNS["image"] if name in shown), "")
    if not picture:
        raise WrongFigureError("no Input column with a picture")
    boxes = [(name, value) for name, value in told.items() if isinstance(value, dict) and "boundingBoxes" in value]
    for _, value in boxes:
        yield from _boxes(place, worker, picture, value)
    if not boxes:
        yield Said(place, picture, worker, question, _answer(told))


def _grid(
    place: str, worker: str, question: str, grid: Mapping[int, str], told: Mapping[str, Any]
) -> Iterator[Read]:
    if not question:
        raise WrongFigureError("no Input column with the concept")
    marked = {answer: {int(one) for one in _NUMBER.findall(str(told.get(answer, "")))} for answer in ("yes", "unsure")}
    strange = sorted((marked["yes"] | marked["unsure"]) - set(grid))
    if strange:
        raise WrongFigureError(f"marks the picture {strange[0]}, which was not shown")
    for number, picture in sorted(grid.items()):
        answer = "unsure" if number in marked["unsure"] else "yes" if number in marked["yes"] else "no"
        yield Said(place, picture, worker, question, answer)


def _flat(text: str) -> dict[str, Any]:
    """[{"category": {"label": "owl"}}], as Crowd HTML forms give it, by dotted names; boxes stay as they are."""
    if not text:
        return {}
    try:
        value = checked_depth(json.loads(text, parse_constant=_refuse), "Answer.taskAnswers")
    except (ValueError, RecursionError, UserError):
        raise WrongFigureError(f"Answer.taskAnswers {clipped(text)} is no JSON") from None
    found: dict[str, Any] = {}
    for name, said in (value[0] if isinstance(value, list) and value else value or {}).items():
        if isinstance(said, dict) and "boundingBoxes" not in said:
            found |= {f"{name}.{inner}": inside for inner, inside in said.items()}
        else:
            found[name] = said
    return found


def _refuse(word: str) -> float:
    raise ValueError(word)


def _answer(told: Mapping[str, Any]) -> str:
    chosen = {name: said for name, said in told.items() if name.lower() not in _BESIDE}
    named = [name for known in _TOLD for name in chosen if name.lower() == known]
    ticked = [name.rpartition(".")[0] or name for name, said in chosen.items() if str(said).lower() in ("true", "on")]
    if named or len(chosen) == 1:
        said = chosen[named[0]] if named else next(iter(chosen.values()))
        return str(said)[:1000] if not isinstance(said, (dict, list)) else ""
    if len(ticked) == 1:
        return ticked[0]
    raise WrongFigureError(f"no answer among {clipped(', '.join(told) or 'no Answer columns')}")


def _boxes(place: str, worker: str, picture: str, value: Mapping[str, Any]) -> Iterator[Read]:
    seen = value.get("inputImageProperties")
    size = size_of(seen.get("width"), seen.get("height")) if isinstance(seen, dict) else (0, 0)
    boxes = value.get("boundingBoxes")
    for index, one in enumerate(boxes if isinstance(boxes, list) else ()):
        here = f"{place} box {index + 1}"
        try:
            if not isinstance(one, dict):
                refuse("a box that is no object")
            shape = box_at(*(one.get(key) for key in ("left", "top", "width", "height")))
            yield Drawn(here, picture, worker, str(one.get("label") or "")[:1000], "box", shape, size)
        except WrongFigureError as error:
            yield Bad(here, str(error))


def write_votes(export: Export, path: Path) -> int:
    """Answers as a batch's results, one picture a task."""
    count = 0
    with text_file(path) as out:
        rows = table(out, path)
        rows.writerow(_VOTES)
        hits: dict[tuple[str, str], int] = {}
        for vote in export.votes():
            count += 1
            hit = hits.setdefault((vote.sheet.image_id, vote.question), len(hits) + 1)
            said = (vote.annotator, "Approved", vote.sheet.address, vote.question, vote.answer)
            rows.writerow((f"H{hit}", f"A{count}", *map(guarded, said)))
    return count


def write_tasks(export: Export, path: Path) -> int:
    """A page of 48 pictures a row, and beside the table the page that shows it (the same name, .html).

    Which pictures are controls stands nowhere in either: Pictus knows when the answers come back.
    """
    count = 0
    with text_file(path) as out:
        rows = table(out, path)
        rows.writerow(("concept", "name", "gloss", *(f"image_{number}" for number in range(1, PAGE + 1))))
        for page in pages_of(export.tasks(), export.seed):
            images = [_inert(task.sheet.address) for task in page.tasks]
            images += [""] * (PAGE - len(images))
            said = (guarded(html.escape(text)) for text in (page.concept, page.gloss))
            rows.writerow((guarded(page.concept_id), *said, *images))
            count += len(page.tasks)
    with text_file(path.with_suffix(".html")) as out:
        out.write(mturk_template(PAGE))
    return count


def _inert(address: str) -> str:
    """An address that stays one inside src="…": Mechanical Turk puts the cells in as they are."""
    return guarded("".join(f"%{ord(sign):02X}" if sign in "\"'<>" else sign for sign in address))
