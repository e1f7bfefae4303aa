"""Plain tables: votes, labels, boxes and tasks as CSV, or TSV by the file's ending. Votes are read by vote_files.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pictus.annotate.exchange.formats.contents import Export, Writer
from pictus.annotate.exchange.formats.formulas import guarded
from pictus.annotate.exchange.formats.outputs import decimal, json_text, table, text_file


def _votes(export: Export, path: Path) -> int:
    count = 0
    with text_file(path) as out:
        rows = table(out, path)
        rows.writerow(("worker", "image", "question", "answer"))
        for vote in export.votes():
            rows.writerow(tuple(map(guarded, (vote.annotator, vote.sheet.name, vote.question, vote.answer))))
            count += 1
    return count


def _labels(export: Export, path: Path) -> int:
    count = 0
    with text_file(path) as out:
        rows = table(out, path)
        rows.writerow(("image", "label"))
        for vote in export.votes():
            rows.writerow((guarded(vote.sheet.name), guarded(vote.answer)))
            count += 1
    return count


def _boxes(export: Export, path: Path) -> int:
    count = 0
    with text_file(path) as out:
        rows = table(out, path)
        rows.writerow(("image", "label", "worker", "xmin", "ymin", "xmax", "ymax", "words"))
        for mark in export.marks():
            if mark.kind == "box":
                sides = (decimal(side) for side in mark.shape["box"])
                words = json_text(said) if (said := mark.shape.get("words")) else ""
                rows.writerow((guarded(mark.sheet.name), guarded(mark.concept), guarded(mark.annotator), *sides, words))
                count += 1
    return count


def _tasks(export: Export, path: Path) -> int:
    count = 0
    with text_file(path) as out:
        rows = table(out, path)
        rows.writerow(("image", "question", "name"))
        for task in export.tasks():
            rows.writerow((guarded(task.sheet.name), guarded(task.concept_id), guarded(task.concept)))
            count += 1
    return count


WRITES: Mapping[str, Writer] = {
    "votes": _votes, "labels": _labels, "marks": _boxes, "shapes": _boxes, "tasks": _tasks,
}  # fmt: skip
