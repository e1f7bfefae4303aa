"""`annotate shapes` settles what was drawn; and what the loop of boxes still has to ask is found from it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from pictus.annotate.desk.sizes_steps import Sizes
from pictus.annotate.queues import queue_rows
from pictus.annotate.shapes.box_loop import BOX, LOOP, Asked, questions_for
from pictus.annotate.shapes.marks import STANDS
from pictus.annotate.shapes.settled_boxes import Key, Mark, Said, box_records, coverages
from pictus.annotate.shapes.settled_drawings import AGREED, mask_records, point_records
from pictus.annotate.tasks import Wanted
from pictus.clock import now
from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.records import Box, BoxCoverage, Keypoints, Mask
from pictus.registry import Outcome, step
from pictus.stats import wilson
from pictus.tables import equals, table_of

DRAWING = (*LOOP, "mask", "points")
LONGEST_S = 600.0
"""What a single answer may count in seconds per box: who takes longer was elsewhere."""


class Drawn(NamedTuple):
    """All that counts: marks that stand, answers of the latest revisions in the order given, seconds of each kind."""

    marks: list[Mark]
    said: list[Said]
    seconds: dict[str, float]
    ruled_out: frozenset[Key]
    left_out: int  # answers of people who are paused
    left_out_shapes: int  # what they drew, where nobody verifies it


class Settled(NamedTuple):
    """The rows of the tables of these names."""

    boxes: list[Box]
    box_coverage: list[BoxCoverage]
    masks: list[Mask]
    keypoints: list[Keypoints]


@step("annotate shapes", changes=True)
def shapes_(project: Project, *, threshold: float = 0.9) -> Outcome[Box]:
    """Settle boxes, masks and points that people drew, with what speaks for each.

    Boxes of the loop are accepted when more of those who verified them say good than bad; what several people drew
    each on their own is merged. Settling again replaces the tables boxes, box_coverage, masks and keypoints.

    threshold: the probability a box merged from several people's needs, above 0.5 and below 1

    Examples:
        pictus annotate shapes
        pictus annotate shapes --threshold 0.95
    """
    if not 0.5 < threshold < 1:  # noqa: PLR2004  below a half, yes and no could both be accepted
        raise UserError(f"--threshold {threshold} is not between 0.5 and 1.", fix="--threshold 0.9")
    with project.lock("annotate"):
        drawn = _drawn(project)
        if not drawn.marks and not drawn.said:
            raise UserError(
                "Nobody has drawn anything in this project yet.",
                fix="pictus annotate plan --kind box && pictus annotate serve",
            )
        with project.progress.track(f"settling {counted(len(drawn.marks), 'shape')}", None):
            settled = _settled(project, drawn, threshold)
            for name, rows in settled._asdict().items():
                if rows or project.tables.exists(name):
                    project.tables.replace(name, table_of(name, rows))
        summary = {**_summary(settled, drawn), "threshold": threshold}
        project.journal.log("annotate", "shapes_settled", **summary)
    return Outcome(
        step="annotate shapes",
        summary=summary,
        headline=_headline(summary),
        problems=_problems(settled, drawn),
        next=_next(summary),
        source=lambda: project.tables.records("boxes", Box),
    )


def marked(project: Project, kind: str) -> pa.Table:
    """The pictures on which somebody, a file or a model drew a thing: image_id, concept_id, each pair once."""
    query = sa.text(
        f"SELECT DISTINCT m.image_id, m.concept_id FROM marks m WHERE m.kind = :kind{STANDS}"  # noqa: S608  ours
        " ORDER BY m.image_id, m.concept_id"
    )
    with project.journal.reading() as connection:
        rows = connection.execute(query, {"kind": kind}).all()
    return pa.table({
        "image_id": pa.array([row.image_id for row in rows], pa.string()),
        "concept_id": pa.array([row.concept_id for row in rows], pa.string()),
    })  # fmt: skip


def ask_on(project: Project, concept_ids: Sequence[str] = ()) -> int:
    """Put in what the loop lacks on pictures that have boxes: first of all, whether those of files and models are good.

    concept_ids: only these; all without -> questions that are new.
    """
    drawn = _drawn(project)
    with project.journal.reading() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT kind, image_id, concept_id, mark_id, state FROM questions WHERE kind IN :kinds"
                " ORDER BY question_id"
            ).bindparams(sa.bindparam("kinds", expanding=True)), {"kinds": LOOP},
        ).all()  # fmt: skip
    asked: dict[Key, list[Asked]] = defaultdict(list)
    for row in rows:
        asked[row.image_id, row.concept_id].append(Asked(row.kind, int(row.mark_id), row.state))
    marks: dict[Key, list[int]] = defaultdict(list)
    dropped = set(project.tables.read("verdicts", ["image_id"], equals("verdict", "drop")).column(0).to_pylist())
    for mark in drawn.marks:
        is_asked = not concept_ids or mark.concept_id in concept_ids
        if mark.kind == BOX and is_asked and mark.key not in drawn.ruled_out and mark.image_id not in dropped:
            marks[mark.key].append(mark.mark_id)
    wanted = [
        one for (image_id, concept_id), numbers in sorted(marks.items())
        for one in questions_for(concept_id, image_id, numbers, _about(asked[image_id, concept_id], numbers))
    ]  # fmt: skip
    return sum(_put(project, kind, [one for one in wanted if one.kind == kind]) for kind in LOOP)


def _about(asked: Sequence[Asked], numbers: Sequence[int]) -> list[Asked]:
    """Questions about marks that stand: one about a mark that was taken back, put aside, holds nothing up."""
    return [one for one in asked if not one.mark_id or abs(one.mark_id) in numbers]


def _put(project: Project, kind: str, wanted: Sequence[Wanted]) -> int:
    if not wanted:
        return 0
    rows = [
        {"concept_id": one.concept_id, "image_id": one.image_id, "mark_id": one.mark_id, "priority": 1.0,
         "reason": one.reason, "wanted": 1, "posterior": 0.0, "score": 0.0, "fold": ""}
        for one in wanted
    ]  # fmt: skip
    stored = queue_rows.put(project.journal, kind, pa.Table.from_pylist(rows, queue_rows.SCHEMA), lambda _: None)
    queue_rows.sum_up(project.journal, kind, {one.concept_id: one.reason for one in wanted})
    return stored.added


def _drawn(project: Project) -> Drawn:
    kinds: Any = sa.bindparam("kinds", expanding=True)
    with project.journal.transaction() as connection:
        answers = connection.execute(
            sa.text(
                "SELECT page_id, revision, kind, image_id, concept_id, mark_id, annotator, answer, role, known, seconds"
                " FROM answers WHERE kind IN :kinds ORDER BY answer_id"
            ).bindparams(kinds), {"kinds": DRAWING},
        ).all()  # fmt: skip
        marks = connection.execute(
            sa.text(
                "SELECT m.mark_id, m.kind, m.image_id, m.concept_id, m.annotator, m.shape, m.source FROM marks m"  # noqa: S608  ours
                f" WHERE m.kind IN :kinds{STANDS} ORDER BY m.mark_id"
            ).bindparams(kinds), {"kinds": DRAWING},
        ).all()  # fmt: skip
        paused = set(connection.execute(sa.text("SELECT name FROM annotators WHERE state = 'paused'")).scalars())
        rulings = connection.execute(
            sa.text("SELECT image_id, concept_id, ruling FROM rulings ORDER BY ruling_id")
        ).all()
    latest: dict[str, int] = {}
    seconds: dict[str, float] = defaultdict(float)
    for row in answers:
        latest[row.page_id] = max(latest.get(row.page_id, 0), row.revision)
        seconds[row.kind] += min(max(float(row.seconds), 0.0), LONGEST_S)
    ruled = {(row.image_id, row.concept_id): row.ruling for row in rulings}
    standing = [_mark(row) for row in marks]
    counting = [mark for mark in standing if mark.annotator not in paused or _is_for_others(mark)]
    return Drawn(
        counting,
        [
            Said(row.kind, row.image_id, row.concept_id, int(row.mark_id), row.annotator, row.answer, row.role,
                 row.known)
            for row in answers if row.revision == latest[row.page_id] and row.annotator not in paused
        ],
        dict(seconds), frozenset(key for key, ruling in ruled.items() if ruling == "is-not"),
        sum(row.annotator in paused for row in answers), len(standing) - len(counting),
    )  # fmt: skip


def _mark(row: Any) -> Mark:  # noqa: ANN401  a row of marks
    return Mark(
        int(row.mark_id), row.kind, row.image_id, row.concept_id, row.annotator, json.loads(row.shape),
        str(row.source).startswith("page:"),
    )  # fmt: skip


def _is_for_others(mark: Mark) -> bool:
    """Whether it counts only once another has verified it, so that it may stay when its author is paused."""
    return mark.kind == BOX and mark.is_drawn_here


def _settled(project: Project, drawn: Drawn, threshold: float) -> Settled:
    at = now()
    sizes, polygons = Sizes(project), {mark.image_id for mark in drawn.marks if "polygons" in mark.shape}
    boxes = box_records(drawn.marks, drawn.said, drawn.ruled_out, threshold, at)
    known = {image_id: sizes.of(image_id) for image_id in polygons}
    gone = {image_id for image_id, size in known.items() if not all(size)}  # a picture that was taken down
    earlier = project.tables.records("masks", Mask) if project.tables.exists("masks") else ()
    masks = [mark for mark in drawn.marks if mark.image_id not in gone or "polygons" not in mark.shape]
    return Settled(
        boxes, coverages(drawn.marks, drawn.said, boxes, at),
        mask_records(masks, known, drawn.ruled_out, at, earlier), point_records(drawn.marks, drawn.ruled_out, at),
    )  # fmt: skip


def _summary(settled: Settled, drawn: Drawn) -> dict[str, Any]:
    boxes, masks, points = (
        Counter(one.status for one in rows) for rows in (settled.boxes, settled.masks, settled.keypoints)
    )
    covered = Counter(one.coverage for one in settled.box_coverage)
    good = [box for box in settled.boxes if box.status == "accepted"]
    share = wilson(covered["covered"], len(settled.box_coverage)) if settled.box_coverage else None
    loop_s = sum(drawn.seconds.get(kind, 0.0) for kind in LOOP)
    return {
        "boxes": boxes["accepted"], "boxes_unsettled": boxes["unsettled"], "boxes_rejected": boxes["rejected"],
        "pictures": len(settled.box_coverage), "covered": covered["covered"], "missing": covered["missing"],
        "undecided": covered["undecided"], "open": covered["open"],
        "share_covered": round(share.estimate, 4) if share else None,
        "share_covered_low": round(share.low, 4) if share else None,
        "share_covered_high": round(share.high, 4) if share else None,
        "share_tight": round(float(np.mean([box.posterior for box in good])), 4) if good else None,
        "seconds_per_box": round(loop_s / len(good), 1) if good and loop_s else None,
        "masks": masks["accepted"], "masks_unsettled": masks["unsettled"],
        "keypoints": points["accepted"], "keypoints_unsettled": points["unsettled"],
        "disagreements": sum(box.n_good > 0 < box.n_bad for box in settled.boxes) + covered["undecided"]
        + sum(one.agreement < AGREED for rows in (settled.masks, settled.keypoints) for one in rows),
    }  # fmt: skip


def _headline(summary: Mapping[str, Any]) -> str:
    told = [counted(summary["boxes"], "box", "boxes")] if summary["boxes"] or summary["pictures"] else []
    for name, one in (("masks", "mask"), ("keypoints", "set of points")):
        if summary[name] or summary[f"{name}_unsettled"]:
            many = "sets of points" if name == "keypoints" else ""
            told.append(counted(summary[name], one, many))
    text = (", ".join(told) or "nothing") + " accepted"
    if summary["pictures"]:
        text += f"; {100 * summary['share_covered']:.1f} % of {counted(summary['pictures'], 'picture')} fully covered"
    if summary["share_tight"] is not None:
        text += f"; {100 * summary['share_tight']:.1f} % of the boxes expected to be good"
    if summary["seconds_per_box"]:
        text += f"; {summary['seconds_per_box']:,.1f} s of people's time per box"
    return text


def _problems(settled: Settled, drawn: Drawn) -> tuple[str, ...]:
    gone = ((drawn.left_out, "answer"), (drawn.left_out_shapes, "drawing"))
    told = " and ".join(counted(many, one) for many, one in gone if many)
    found = [f"left out, their people are paused: {told}"] if told else []
    torn = [box for box in settled.boxes if box.n_good and box.n_bad]
    if torn:
        found.append(f"people disagree whether it is good: {counted(len(torn), 'box', 'boxes')}")
    lost = [one for one in settled.box_coverage if one.coverage == "undecided"]
    if lost:
        first = f"{lost[0].image_id[:12]}: {lost[0].reason}"
        found.append(f"undecided whether all boxes are there: {counted(len(lost), 'picture')} ({first})")
    for rows, name in ((settled.masks, "mask"), (settled.keypoints, "set of points")):
        unlike = sum(one.agreement < AGREED for one in rows)
        if unlike:
            many = "sets of points" if name != "mask" else ""
            found.append(f"drawn unlike each other: {counted(unlike, name, many)}; let another person draw")
    return tuple(found)


def _next(summary: Mapping[str, Any]) -> tuple[str, ...]:
    if summary["boxes_unsettled"] or summary["missing"] or summary["open"]:
        return ("pictus annotate plan --kind box", "pictus annotate serve")
    return ()
