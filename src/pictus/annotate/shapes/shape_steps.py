"""`annotate shapes` settles what was drawn; and what the loop of boxes still has to ask is found from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus.annotate.desk.sizes_steps import Sizes
from pictus.annotate.queues import queue_rows
from pictus.annotate.queues.dropped_steps import dropped
from pictus.annotate.shapes import drawn_steps, settled_again
from pictus.annotate.shapes.box_loop import BOX, LOOP, QUALITY, Asked, questions_for
from pictus.annotate.shapes.drawn_steps import Drawn, LeftOut, Upto
from pictus.annotate.shapes.marks import STANDS
from pictus.annotate.shapes.settled_boxes import Evidence, Key, box_records, coverages, share_of
from pictus.annotate.shapes.settled_drawings import AGREED, mask_records, point_records
from pictus.annotate.tasks import Wanted
from pictus.clock import now
from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.records import Box
from pictus.registry import Outcome, step
from pictus.stats import wilson
from pictus.tables import table_of

TABLES = ("boxes", "box_coverage", "masks", "keypoints")
EVENT = "shapes_settled"

FEW = 1_000
MOST_SHARE = 1 / 8
"""Pictures to settle again, as a share of all shapes, from which it is quicker to settle all; FEW never are."""


class Work(NamedTuple):
    """What is to be settled: all of it (keys None), or these pictures, with what is known of the others' boxes."""

    drawn: Drawn
    keys: set[Key] | None
    beyond: Evidence | None


@step("annotate shapes", changes=True)
def shapes_(project: Project, *, threshold: float = 0.9, whole: bool = False) -> Outcome[Box]:
    """Settle boxes, masks and points that people drew, with what speaks for each.

    Boxes of the loop are accepted when more of those who verified them say good than bad; what several people drew
    each on their own is merged. Settling again looks only at pictures about which something is new, and where a box
    became more or less probable by 0.005; the tables boxes, box_coverage, masks and keypoints are as of all.

    threshold: the probability a box merged from several people's needs, above 0.5 and below 1
    whole: settle everything anew

    Examples:
        pictus annotate shapes
        pictus annotate shapes --threshold 0.95
    """
    if not 0.5 < threshold < 1:  # noqa: PLR2004  below a half, yes and no could both be accepted
        raise UserError(f"--threshold {threshold} is not between 0.5 and 1.", fix="--threshold 0.9")
    with project.lock("annotate"):
        earlier = None if whole else _earlier(project, threshold)
        upto = drawn_steps.upto(project, earlier)
        with project.progress.track("settling what was drawn", None):
            work = _work(project, earlier)
            if work.keys is None and not work.drawn.marks and not work.drawn.said:
                raise UserError(
                    "Nobody has drawn anything in this project yet.",
                    fix="pictus annotate plan --kind box && pictus annotate serve",
                )
            _settle(project, work, threshold)
        found = {name: project.tables.read(name) for name in TABLES}
        summary = {**_summary(found, upto.seconds), "threshold": threshold}
        versions = {name: project.tables.version(name) for name in TABLES}
        state = {**upto.as_json(), "versions": versions, "sizes": _sizes_stamp(project)}
        project.journal.log("annotate", EVENT, **summary, upto=state)
    is_new = work.keys is None or bool(work.keys)
    return Outcome(
        step="annotate shapes",
        summary=summary,
        headline=_headline(summary) + ("" if is_new else "; nothing new since the last time"),
        problems=_problems(found, drawn_steps.left_out(project)),
        next=_next(summary),
        source=lambda: project.tables.records("boxes", Box),
    )


def _earlier(project: Project, threshold: float) -> Upto | None:
    """How far the last settling had read; None where its tables are no longer as it left them, or all is otherwise."""
    events = project.journal.events(event=EVENT, limit=1)
    state = events[0].data.get("upto") if events else None
    if not state or events[0].data.get("threshold") != threshold:
        return None
    if state["versions"] != {name: project.tables.version(name) for name in TABLES}:
        return None
    if state["sizes"] != _sizes_stamp(project):
        return None  # pictures were added, measured or taken away: outlines fill others
    return Upto(state["highest"], state["many"], state["paused"], state["seconds"])


def _sizes_stamp(project: Project) -> list[int]:
    return [project.tables.version(name) for name in ("images", "checks")]


def _work(project: Project, earlier: Upto | None) -> Work:
    keys = None if earlier is None else drawn_steps.changed(project, earlier)
    most = max(FEW, MOST_SHARE * earlier.many["marks"]) if earlier else 0
    if keys is None or len(keys) > most:
        return Work(drawn_steps.drawn(project), None, None)
    if not keys:
        return Work(Drawn([], [], frozenset()), keys, None)
    columns = ["image_id", "concept_id", "method"]
    boxes = project.tables.read("boxes", [*columns, "n_good", "n_bad", "posterior", "verified_by"])
    drawn, skill = drawn_steps.drawn(project, keys), drawn_steps.skills(project)
    others = settled_again.without(boxes, keys)
    good, bad = (pc.sum(others.column(name)).as_py() or 0 for name in ("n_good", "n_bad"))
    own = _answers(drawn)
    tables = {"boxes": boxes, **{name: project.tables.read(name, ["image_id", "concept_id", "n_drew"])
                                 for name in ("masks", "keypoints")}}  # fmt: skip
    further = settled_again.drifted(others, skill, share_of(good + own["good"], bad + own["bad"]))
    further |= settled_again.shared(drawn.marks, keys, tables)
    if further - keys:
        keys |= further
        if len(keys) > most:
            return Work(drawn_steps.drawn(project), None, None)
        drawn, others = drawn_steps.drawn(project, keys), settled_again.without(boxes, keys)
        good, bad = (pc.sum(others.column(name)).as_py() or 0 for name in ("n_good", "n_bad"))
    return Work(drawn, keys, Evidence(skill, good, bad))


def _answers(drawn: Drawn) -> Counter[str]:
    """Answers about the boxes that stand: good and bad, the last of each person."""
    standing = {mark.mark_id for mark in drawn.marks if mark.kind == BOX}
    last = {
        (one.mark_id, one.annotator): one.answer
        for one in drawn.said if one.kind == QUALITY and one.role != "gold" and one.mark_id in standing
    }  # fmt: skip
    return Counter(last.values())


def _settle(project: Project, work: Work, threshold: float) -> None:
    """Write the tables: what is settled now takes the place of the rows of its pictures."""
    at, drawn = now(), work.drawn
    sizes = Sizes(project)
    known = {mark.image_id: sizes.of(mark.image_id) for mark in drawn.marks if mark.kind == "mask"}
    boxes = box_records(drawn.marks, drawn.said, drawn.ruled_out, threshold, at, beyond=work.beyond)
    new: dict[str, Sequence[Any]] = {
        "boxes": boxes, "box_coverage": coverages(drawn.marks, drawn.said, boxes, at),
        "masks": mask_records(drawn.marks, known, drawn.ruled_out, at),
        "keypoints": point_records(drawn.marks, drawn.ruled_out, at),
    }  # fmt: skip
    for name, rows in new.items():
        there = project.tables.exists(name)
        if work.keys is None:
            if rows or there:
                project.tables.replace(name, table_of(name, rows))
            continue
        before = project.tables.read(name)
        kept = settled_again.without(before, work.keys)
        if rows or kept.num_rows < before.num_rows:
            project.tables.replace(name, settled_again.joined(kept, table_of(name, rows)))


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
    What was put aside with a dropped picture is lacking as soon as the picture is back.

    concept_ids: only these; all without -> questions that are new.
    """
    drawn = drawn_steps.drawn(project)
    with project.journal.reading() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT kind, image_id, concept_id, mark_id, state FROM questions WHERE kind IN :kinds"
                " AND NOT (state = 'parked' AND reason = :gone) ORDER BY question_id"
            ).bindparams(sa.bindparam("kinds", expanding=True)), {"kinds": LOOP, "gone": queue_rows.GONE},
        ).all()  # fmt: skip
    asked: dict[Key, list[Asked]] = defaultdict(list)
    for row in rows:
        asked[row.image_id, row.concept_id].append(Asked(row.kind, int(row.mark_id), row.state))
    marks: dict[Key, list[int]] = defaultdict(list)
    gone = set(dropped(project).to_pylist())
    for mark in drawn.marks:
        is_asked = not concept_ids or mark.concept_id in concept_ids
        if mark.kind == BOX and is_asked and mark.key not in drawn.ruled_out and mark.image_id not in gone:
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


def _summary(found: Mapping[str, pa.Table], seconds: Mapping[str, float]) -> dict[str, Any]:
    boxes, masks, points = (_counts(found[name], "status") for name in ("boxes", "masks", "keypoints"))
    covered, asked = _counts(found["box_coverage"], "coverage"), found["box_coverage"].num_rows
    pictures = len(found["box_coverage"].column("image_id").unique())
    rows = found["boxes"]
    good = rows.filter(pc.equal(rows.column("status"), "accepted")).column("posterior").to_numpy()
    share = wilson(covered["covered"], asked) if asked else None
    loop_s = sum(seconds.get(kind, 0.0) for kind in LOOP)
    return {
        "boxes": boxes["accepted"], "boxes_unsettled": boxes["unsettled"], "boxes_rejected": boxes["rejected"],
        "pictures": pictures, "pairs": asked, "covered": covered["covered"], "missing": covered["missing"],
        "undecided": covered["undecided"], "open": covered["open"],
        "share_covered": round(share.estimate, 4) if share else None,
        "share_covered_low": round(share.low, 4) if share else None,
        "share_covered_high": round(share.high, 4) if share else None,
        "share_tight": round(float(np.mean(good)), 4) if good.size else None,
        "seconds_per_box": round(loop_s / good.size, 1) if good.size and loop_s else None,
        "masks": masks["accepted"], "masks_unsettled": masks["unsettled"],
        "keypoints": points["accepted"], "keypoints_unsettled": points["unsettled"],
        "disagreements": _torn(rows) + covered["undecided"] + _unlike(found["masks"]) + _unlike(found["keypoints"]),
    }  # fmt: skip


def _counts(rows: pa.Table, column: str) -> Counter[str]:
    return Counter({one["values"]: one["counts"] for one in pc.value_counts(rows.column(column)).to_pylist()})


def _torn(boxes: pa.Table) -> int:
    """Boxes that some say are good and others bad."""
    both = pc.and_(*(pc.greater(boxes.column(name), 0) for name in ("n_good", "n_bad")))
    return pc.sum(both).as_py() or 0


def _unlike(rows: pa.Table) -> int:
    return pc.sum(pc.less(rows.column("agreement"), AGREED)).as_py() or 0


def _headline(summary: Mapping[str, Any]) -> str:
    told = [counted(summary["boxes"], "box", "boxes")] if summary["boxes"] or summary["pictures"] else []
    for name, one in (("masks", "mask"), ("keypoints", "set of points")):
        if summary[name] or summary[f"{name}_unsettled"]:
            many = "sets of points" if name == "keypoints" else ""
            told.append(counted(summary[name], one, many))
    text = (", ".join(told) or "nothing") + " accepted"
    if summary["pictures"]:
        many = counted(summary["pictures"], "picture")
        if summary["pairs"] > summary["pictures"]:  # a picture is asked about each concept that is on it
            many = f"{summary['pairs']:,} pairs of a concept and one of {many}"
        text += f"; {100 * summary['share_covered']:.1f} % of {many} fully covered"
    if summary["share_tight"] is not None:
        text += f"; {100 * summary['share_tight']:.1f} % of the boxes expected to be good"
    if summary["seconds_per_box"]:
        text += f"; {summary['seconds_per_box']:,.1f} s of people's time per box"
    return text


def _problems(rows: Mapping[str, pa.Table], left: LeftOut) -> tuple[str, ...]:
    told = " and ".join(counted(many, one) for many, one in zip(left, ("answer", "drawing"), strict=True) if many)
    found = [f"left out, their people are paused: {told}"] if told else []
    if torn := _torn(rows["boxes"]):
        found.append(f"people disagree whether it is good: {counted(torn, 'box', 'boxes')}")
    coverage = rows["box_coverage"]
    lost = coverage.filter(pc.equal(coverage.column("coverage"), "undecided"))
    if lost.num_rows:
        first = lost.slice(0, 1).to_pylist()[0]
        found.append(
            f"undecided whether all boxes are there: {counted(lost.num_rows, 'picture')}"
            f" ({first['image_id'][:12]}: {first['reason']})"
        )
    for name, one in (("masks", "mask"), ("keypoints", "set of points")):
        if unlike := _unlike(rows[name]):
            many = "sets of points" if name != "masks" else ""
            found.append(f"drawn unlike each other: {counted(unlike, one, many)}; let another person draw")
    return tuple(found)


def _next(summary: Mapping[str, Any]) -> tuple[str, ...]:
    if summary["boxes_unsettled"] or summary["missing"] or summary["open"]:
        return ("pictus annotate plan --kind box", "pictus annotate serve")
    return ()
