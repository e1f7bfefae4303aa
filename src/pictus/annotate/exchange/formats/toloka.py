"""Toloka's assignments: TSV with what was shown in INPUT:*, said in OUTPUT:*, known in GOLDEN:*, and by whom.

Golden answers become known answers. Assignments that were rejected are left out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from pictus.annotate.exchange.formats.cells import header, rows
from pictus.annotate.exchange.formats.contents import Export, Known, LeftOut, Read, Said
from pictus.annotate.exchange.formats.documents import Bundle, Document
from pictus.annotate.exchange.formats.figures import WrongFigureError
from pictus.annotate.exchange.formats.formulas import guarded
from pictus.annotate.exchange.formats.outputs import text_file
from pictus.annotate.exchange.formats.task_pages import shuffled
from pictus.annotate.exchange.vote_files import COLUMNS
from pictus.errors import clipped

_ASKED = ("question", "concept", "concept_id", "asked", "wnid")
_TOLD = (*COLUMNS["answer"], "result", "choice")
_VOTES = (
    "INPUT:image", "INPUT:question", "OUTPUT:answer", "ASSIGNMENT:assignment_id", "ASSIGNMENT:worker_id",
    "ASSIGNMENT:status",
)  # fmt: skip
_YES_NO = {"yes": "yes", "true": "yes", "1": "yes", "no": "no", "false": "no", "0": "no"}


def recognises(bundle: Bundle) -> bool:
    return any(is_toloka(document) for document in bundle.ending(".tsv", ".csv", ".txt")[:20])


def is_toloka(document: Document) -> bool:
    return any(name.startswith("INPUT:") for name in header(document))


def is_ours(bundle: Bundle) -> bool:
    """Whether `write_votes` wrote it: the platform's own results have more columns."""
    documents = bundle.ending(".tsv", ".csv", ".txt")
    return all(tuple(header(document)) == _VOTES for document in documents if is_toloka(document))


def read(bundle: Bundle) -> Iterator[Read]:
    return rows((document for document in bundle.ending(".tsv", ".csv", ".txt") if is_toloka(document)), _assignment)


def _assignment(place: str, cells: Mapping[str, str]) -> Iterator[Read]:
    shown, told, known = (
        {name[len(start) :].lower(): said for name, said in cells.items() if name.startswith(start) and said}
        for start in ("INPUT:", "OUTPUT:", "GOLDEN:")
    )
    picture = next((shown[name] for name in COLUMNS["image"] if name in shown), "")
    if not picture:
        raise WrongFigureError("no INPUT column with a picture")
    question = next((shown[name] for name in _ASKED if name in shown), "")
    if known:
        yield _known(place, picture, question, _one(known, "GOLDEN"))
    if _said(cells, "status").upper() in ("REJECTED", "SKIPPED", "EXPIRED"):
        yield LeftOut(place, f"{_said(cells, 'status').lower()} on the platform")
    elif told:
        worker = _said(cells, "worker_id") or _said(cells, "user_id")
        if not worker:
            raise WrongFigureError("no worker_id")
        yield Said(place, picture, worker, question, _one(told, "OUTPUT"))
    elif not known:
        raise WrongFigureError("neither an answer nor a golden one")


def _known(place: str, picture: str, question: str, answer: str) -> Known:
    if question:
        if answer.casefold() not in _YES_NO:
            raise WrongFigureError(f"the golden answer {clipped(answer)} is neither yes nor no")
        return Known(place, picture, question, _YES_NO[answer.casefold()])
    return Known(place, picture, answer, "yes")


def _said(cells: Mapping[str, str], name: str) -> str:
    return cells.get(f"ASSIGNMENT:{name}") or cells.get(name) or ""


def _one(values: Mapping[str, str], what: str) -> str:
    named = [name for name in _TOLD if name in values]
    if named or len(values) == 1:
        return values[named[0]] if named else next(iter(values.values()))
    raise WrongFigureError(f"which of its {what} columns is the answer? {clipped(', '.join(values))}")


def write_votes(export: Export, path: Path) -> int:
    """Answers as assignments, all accepted."""
    count = 0
    with text_file(path) as out:
        rows = csv.writer(out, delimiter="\t", lineterminator="\n")
        rows.writerow(_VOTES)
        for vote in export.votes():
            count += 1
            said = (vote.sheet.address, vote.question, vote.answer)
            rows.writerow((*map(guarded, said), f"a{count}", guarded(vote.annotator), "APPROVED"))
    return count


def write_tasks(export: Export, path: Path) -> int:
    """A row for each question of the queue, those of one concept in no order; GOLDEN only where the answer is known."""
    count = 0
    with text_file(path) as out:
        rows = csv.writer(out, delimiter="\t", lineterminator="\n")
        rows.writerow(("INPUT:image", "INPUT:question", "INPUT:name", "INPUT:gloss", "GOLDEN:answer"))
        for task in shuffled(export.tasks(), export.seed):
            said = (task.sheet.address, task.concept_id, task.concept, task.gloss, task.known)
            rows.writerow(tuple(map(guarded, said)))
            count += 1
    return count
