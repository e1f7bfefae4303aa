"""The act in which the crowd labels: a queue, a desk on loopback, invitations, people at work, settling, an audit."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pictus import annotate
from pictus.annotate.desk.desk_steps import Stops
from pictus.annotate.desk.tally_steps import Tally
from pictus.concepts import load_taxonomy
from pictus.demo import crowd, desk, findings, shift
from pictus.demo.crowd import Annotator
from pictus.demo.findings import Facts, Where
from pictus.demo.shift import Eyes, Log
from pictus.demo.tree import CONCEPTS
from pictus.demo.web import read_truth, where_things_are
from pictus.errors import NotThereError
from pictus.project import Project, write_text

if TYPE_CHECKING:
    from pictus.demo.acts import Stage

METHOD = "dawid-skene"
RULE = "dynamic"
MOST_SHIFTS = 5
"""People come back so often when questions are left; a second time is rare, a third was not seen."""

_ROLES = "SELECT i.role, count(*) FROM page_items i JOIN pages p ON p.page_id = i.page_id WHERE p.state = 'submitted'"
_EVERY = sa.text(_ROLES + " AND p.kind = 'grid' GROUP BY i.role")


def annotate_pictures(stage: "Stage") -> Facts:
    """Plan what to ask, mark what is known, let people work until nothing waits, settle, and audit the labels."""
    from pictus.demo.acts import places  # noqa: PLC0415  acts play this one

    project, where = stage.project, places(stage)
    truth = {image_id: place.truth for image_id, place in where.items()}
    people = crowd.hire(stage.scale.annotators, stage.seed)
    eyes = _eyes(stage)
    planned = _planned(stage, where, truth)
    log = _worked(stage, "grid", people, eyes, leaver=people[4].name)
    settled = annotate.settle(project, method=METHOD)
    while annotate.plan(project).summary["reopened"]:  # what settling left open is asked once more
        log.add(_worked(stage, "grid", people, eyes))
        settled = annotate.settle(project, method=METHOD)
    report = _audited(stage, eyes)
    labels = {
        row["image_id"]: (row["concept_id"], row["status"])
        for row in project.tables.read("labels", ["image_id", "concept_id", "status"]).to_pylist()
    }
    tally = Tally(RULE, Stops(seed=desk.SEED))
    with project.journal.reading() as connection:
        roles = {str(role): int(count) for role, count in connection.execute(_EVERY)}
        tally.load(connection)
    return {
        **findings.labelled(where, labels, planned, sum(roles.values())), "rule": RULE, "roles": roles,
        "skills": _judged(project, people, truth), "desk": log.facts(), "summary": settled.summary,
        "audit": report, "confidence": {one: tally.confidence(one) for one in stage.scale.concepts},
        "agreement": annotate.trust(project, method=METHOD).summary,
    }  # fmt: skip


def _planned(stage: "Stage", where: Mapping[str, Where], truth: Mapping[str, str]) -> int:
    """Fill the queue, and mark what an expert knows of it -> how many questions are asked that nobody knows."""
    from pictus.demo.acts import dropped  # noqa: PLC0415

    project = stage.project
    gone = dropped(project)
    claimed = {image_id: place.claimed for image_id, place in sorted(where.items()) if image_id not in gone}
    known = crowd.controls(claimed, truth, stage.scale.concepts, stage.seed)
    annotate.plan(project)
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(("image", "concept", "answer"))
    writer.writerows(known)
    path = project.root / "crowd" / "known.csv"
    write_text(path, buffer.getvalue())
    annotate.gold(project, (path,))
    return len(claimed) - sum(answer == "yes" for _, _, answer in known)


def _eyes(stage: "Stage") -> Eyes:
    """What people know: what was drawn, by its bytes; the words of the concepts; what is like what."""
    truth = {one.path: one.true_concept for one in read_truth(stage.world)}
    packs: dict[Path, bytes] = {}
    shows: dict[str, str] = {}
    for path, (_, _, pack, offset, size) in where_things_are(stage.world).items():
        body = packs.setdefault(pack, pack.read_bytes() if pack not in packs else b"")[offset : offset + size]
        shows.setdefault(hashlib.sha256(body).hexdigest(), truth[path])
    tree = load_taxonomy(stage.project)
    greatest = max(1, tree.greatest_height)

    def closeness(first: str, second: str) -> float:
        return 1 - tree.lca_height(first, second) / greatest if first and first != second else 0.0

    return Eyes(shows, {concept.gloss.strip(): concept.concept_id for concept in CONCEPTS}, closeness)


def _worked(stage: "Stage", kind: str, people: Sequence[Annotator], eyes: Eyes, leaver: str = "") -> Log:
    """People work until nothing of the kind waits. Who was here before comes back under the same name."""
    project, total = stage.project, Log()
    left = _waiting(project, kind)
    with project.progress.track("annotating" if kind == "grid" else "auditing", None) as meter:
        for _ in range(MOST_SHIFTS):
            if not left:
                break
            links = _links(project, people, "reviewer" if kind == "audit" else "annotator")
            with desk.open_to_all(project, RULE) as (port, clock):
                one = shift.Shift(kind, eyes, stage.seed, clock, meter)
                asyncio.run(shift.work(port, links, one, leaver))
            total.add(one.log)
            before, left = left, _waiting(project, kind)
            if left == before:
                break
    return total


def _waiting(project: Project, kind: str) -> int:
    return int(annotate.queue(project, kind=kind).summary["waiting"])


def _links(project: Project, people: Sequence[Annotator], role: str) -> dict[str, tuple[Annotator, str]]:
    """A way in for everybody: name -> who it is, and the link."""
    known = {worker.name for worker in annotate.people(project)}
    new = [person for person in people if person.name not in known]
    made = annotate.invite(project, many=len(new), role=role, note="demo").summary["links"] if new else []
    links = dict(zip((person.name for person in new), made, strict=True))
    for person in people:
        if person.name in known:
            links[person.name] = annotate.readmit(project, person.name).summary["link"]
    return {person.name: (person, links[person.name]) for person in people}


def _audited(stage: "Stage", eyes: Eyes) -> dict[str, Any]:
    """Independent experts look at a random sample -> the report of it."""
    project = stage.project
    try:
        annotate.audit(project, "report")
    except NotThereError:
        annotate.audit(project, "draw", many=stage.scale.audited, seed=stage.seed)
    _worked(stage, "audit", crowd.experts(), eyes)
    return dict(annotate.audit(project, "report").summary)


def _judged(project: Project, people: Sequence[Annotator], truth: Mapping[str, str]) -> Facts:
    """Skill as it was found beside skill as it was, and who was caught: paused, suspected, or with a sign."""
    votes = project.journal.votes().to_pylist()
    skills = list(annotate.skills(project, method=METHOD))
    signs: dict[str, list[str]] = {}
    for one in annotate.trust(project, method=METHOD):
        signs.setdefault(one.annotator, []).append(one.sign)
    paused = {worker.name: worker.reason for worker in annotate.people(project) if worker.state == "paused"}
    caught = set(paused) | set(signs) | {one.annotator for one in skills if one.is_suspected}
    real = crowd.realised_skill(
        ((row["annotator"], row["image_id"], row["question"], row["answer"]) for row in votes), truth
    )
    judged = findings.judged(
        {one.annotator: one.skill for one in skills if one.skill is not None}, caught, real,
        {one.name for one in people if one.habit != "honest"},
    )  # fmt: skip
    return {**judged, "paused": paused, "signs": signs}
