"""The steps of `clean` about people: faces, privacy, safety. They measure and tell; nothing is dropped by them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pictus import engine as engines
from pictus import shards
from pictus.clean import classifiers, detectors
from pictus.concepts import concept_of, load_taxonomy
from pictus.errors import UserError, counted
from pictus.journey import first_command
from pictus.project import Project
from pictus.records import Faces, Safety
from pictus.registry import Outcome, step
from pictus.tables import equals, table_of

_PLACE = ("image_id", "shard", "offset", "size")
KINDS = ("exif", "gps", "iptc", "xmp", "c2pa")
"""Kinds of metadata that may speak of people or places; `icc` is a table of colours."""
NO_CONCEPT = ""


@dataclass(frozen=True, slots=True)
class PrivacyLine:
    """What the pictures of one concept carry besides what they show; numbers of pictures."""

    concept_id: str  # "" for pictures of no concept
    name: str
    pictures: int
    exif: int
    gps: int
    iptc: int
    xmp: int
    c2pa: int
    creator: int  # name a person in their metadata
    prohibited: int  # say that data mining is prohibited
    faces: int  # show at least one face that was found
    unseen: int  # were not looked at for faces
    unmeasured: int  # whose metadata was not read


@step("clean faces", changes=True)
def faces(project: Project, *, detector: str = "opencv", engine: str = "local", workers: int = 0) -> Outcome[Faces]:
    """Look for faces in every picture. Where they are is recorded; `release cut --blur-faces` blurs them there.

    Pictures looked at already are skipped; another detector looks at all of them anew.

    detector: `opencv` finds frontal faces, misses profiles and is sometimes wrong; plugins bring others.
    engine: where to compute, `local` or `ray`.
    workers: processes at once, 0 for one per CPU.

    Examples:
        pictus clean faces
        pictus clean faces --engine ray
    """
    _need_pictures(project)
    detectors.probe(detector)
    with project.lock("clean-faces"):
        replaced = _forget(project, "faces", "detector", detector, failed=detectors.FAILED)
        rows = project.tables.missing("faces", "images", _PLACE)
        compute = partial(faces_batch, project.shards_dir, detector)
        looked = engines.run(project, "faces", rows, compute, engine=engine, workers=workers, label="looking for faces")
        found = project.tables.read("faces", ["cause", "n_faces"])
        numbers = _faces_found(found)
        if looked:
            project.journal.log("clean", "faces_found", detector, looked=looked, replaced=replaced, **numbers)
    headline = (
        f"{counted(numbers['with_faces'], 'picture')} of {numbers['pictures']:,} with "
        f"{counted(numbers['faces'], 'face')}, found by {detector} ({looked:,} new)"
    )
    notes = [f"{counted(replaced, 'picture')} looked at again, by another detector than before"] if replaced else []
    notes += _unlooked(numbers["causes"], "looked at")
    following = ("pictus clean privacy", "pictus release cut VERSION --blur-faces") if numbers["faces"] else ()
    summary = {**numbers, "looked": looked, "replaced": replaced, "detector": detector}
    return Outcome(
        "clean faces", summary, headline, tuple(notes), following or ("pictus clean privacy",),
        lambda: project.tables.records("faces", Faces, "n_faces > 0"),
    )  # fmt: skip


@step("clean safety", changes=True)
def safety(project: Project, *, classifier: str = "", engine: str = "local", workers: int = 0) -> Outcome[Safety]:
    """Ask a classifier that you plug in about every picture, and record what it said. Nothing is dropped by it.

    Pictures asked about already are skipped; another classifier is asked about all of them anew.

    classifier: a plugin's name, or onnx:FILE; Pictus brings none.
    engine: where to compute, `local` or `ray`.
    workers: processes at once, 0 for one per CPU.

    Examples:
        pictus clean safety --classifier onnx:nsfw.onnx
    """
    _need_pictures(project)
    if not classifier:
        known = ", ".join(classifiers.CLASSIFIERS.names())
        what = "Say which classifier to ask." if known else classifiers.NONE
        plugged = f"pictus clean safety --classifier NAME    (one of: {known})" if known else ""
        own = "pictus clean safety --classifier onnx:FILE    or write a plugin of 10 lines: docs/clean.md shows one"
        raise UserError(what, fix=plugged or own)
    classifiers.probe(classifier)
    said_by = classifiers.called(classifier)
    with project.lock("clean-safety"):
        replaced = _forget(project, "safety", "classifier", said_by, failed=classifiers.FAILED)
        rows = project.tables.missing("safety", "images", _PLACE)
        compute = partial(safety_batch, project.shards_dir, classifier, said_by)
        asked = engines.run(project, "safety", rows, compute, engine=engine, workers=workers, label="asking")
        found = project.tables.read("safety", ["cause", "label"])
        causes = Counter(cause for cause in found.column("cause").to_pylist() if cause)
        labels = Counter(
            label for label, cause in zip(*(found.column(name).to_pylist() for name in ("label", "cause")), strict=True)
            if not cause
        )  # fmt: skip
        numbers = {"pictures": found.num_rows, "labels": dict(labels.most_common()), "causes": dict(causes)}
        if asked:
            project.journal.log("clean", "safety_asked", said_by, asked=asked, replaced=replaced, **numbers)
    said = ", ".join(f"{count:,} {label}" for label, count in labels.most_common())
    headline = f"{counted(found.num_rows, 'picture')} shown to {said_by} ({asked:,} new): {said or 'nothing said'}"
    notes = [f"{counted(replaced, 'answer')} of another classifier replaced"] if replaced else []
    notes += _unlooked(causes, "asked about")
    summary = {**numbers, "asked": asked, "replaced": replaced, "classifier": said_by}
    return Outcome(
        "clean safety", summary, headline, tuple(notes), ("pictus clean safety --jsonl", "pictus show IMAGE"),
        lambda: iter(sorted(project.tables.records("safety", Safety), key=lambda row: (row.label, -row.score))),
    )  # fmt: skip


@step("clean privacy", changes=False)
def privacy(project: Project) -> Outcome[PrivacyLine]:
    """What the pictures say of people and places: metadata, GPS, names, opt-outs, faces; by concept.

    Examples:
        pictus clean privacy
    """
    _need_pictures(project)
    checks = project.tables.read("checks", ["image_id", "metadata", "creator", "data_mining"])
    seen = project.tables.read("faces", ["image_id", "cause", "n_faces"])
    facts = _facts(checks, seen)
    images = project.tables.read("images", ["image_id"]).column("image_id").to_pylist()
    total = _line(NO_CONCEPT, "all", images, facts)
    taxonomy = load_taxonomy(project)
    members = _members(project, images)
    lines = [
        _line(one, taxonomy.name(one) if one in taxonomy else one or "no concept", members[one], facts)
        for one in sorted(members, key=lambda one: (-len(members[one]), one))
    ]
    numbers = {name: getattr(total, name) for name in PrivacyLine.__slots__ if name not in ("concept_id", "name")}
    told = ", ".join(f"{numbers[kind]:,} {kind.upper()}" for kind in KINDS)
    looked = total.pictures - total.unseen
    headline = (
        f"{counted(total.pictures, 'picture')}: {told}; {total.creator:,} with a creator's name, "
        f"{total.prohibited:,} that prohibit data mining; faces in {total.faces:,} of {looked:,} looked at"
    )
    notes, following = _privacy_advice(total)
    return Outcome("clean privacy", numbers, headline, notes, following, lambda: iter(lines))


def faces_batch(shards_dir: Path, detector: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What the engine runs on every worker: (image_id, shard, offset, size) rows -> rows of `faces`."""
    return table_of("faces", detectors.find(_pictures(shards_dir, batch), detector)).combine_chunks().to_batches()[0]


def safety_batch(shards_dir: Path, classifier: str, said_by: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What the engine runs on every worker: (image_id, shard, offset, size) rows -> rows of `safety`."""
    rows = classifiers.ask(_pictures(shards_dir, batch), classifier, said_by)
    return table_of("safety", rows).combine_chunks().to_batches()[0]


def _pictures(shards_dir: Path, batch: pa.RecordBatch) -> Any:  # noqa: ANN401  an iterator of (image_id, bytes)
    places = zip(*(batch.column(name).to_pylist() for name in _PLACE), strict=True)
    return ((image_id, shards.read(shards_dir, shard, offset, size)) for image_id, shard, offset, size in places)


def _need_pictures(project: Project) -> None:
    if not project.tables.count("images"):
        raise UserError("There are no pictures in this project yet.", fix=first_command(project, "pictures"))


def _forget(project: Project, table: str, column: str, name: str, *, failed: str) -> int:
    """Remove what another detector or classifier said (half of each would say nothing) -> its rows; and failures."""
    other = f"NOT ({equals(column, name)})"
    rows, failures = project.tables.count(table, other), equals("cause", failed)
    if rows or project.tables.count(table, failures):
        project.tables.delete(table, f"{other} OR {failures}")
    return rows


def _faces_found(found: pa.Table) -> dict[str, Any]:
    faces = found.column("n_faces").to_pylist()
    causes = Counter(cause for cause in found.column("cause").to_pylist() if cause)
    return {
        "pictures": found.num_rows, "with_faces": sum(count > 0 for count in faces), "faces": sum(faces),
        "causes": dict(causes),
    }  # fmt: skip


def _unlooked(causes: dict[str, int] | Counter[str], what: str) -> list[str]:
    if not causes:
        return []
    why = ", ".join(f"{count:,} {cause}" for cause, count in Counter(causes).most_common())
    return [f"{counted(sum(causes.values()), 'picture')} could not be {what}: {why}"]


def _facts(checks: pa.Table, seen: pa.Table) -> dict[str, set[str]]:
    """Column of PrivacyLine -> the pictures it is true of, and "measured" and "looked"."""
    facts: dict[str, set[str]] = {name: set() for name in (*KINDS, "creator", "prohibited", "faces", "looked")}
    columns = [column.to_pylist() for column in checks.columns]
    for image_id, metadata, creator, mining in zip(*columns, strict=True):
        for kind in metadata:
            facts.setdefault(kind, set()).add(image_id)
        if creator:
            facts["creator"].add(image_id)
        if mining.startswith("prohibited"):
            facts["prohibited"].add(image_id)
    facts["measured"] = set(checks.column("image_id").to_pylist())
    for image_id, cause, count in zip(*(column.to_pylist() for column in seen.columns), strict=True):
        if cause != detectors.FAILED:  # what cannot be decoded is never released, nor ever seen
            facts["looked"].add(image_id)
        if count:
            facts["faces"].add(image_id)
    return facts


def _members(project: Project, images: list[str]) -> dict[str, list[str]]:
    """Concept -> its pictures: the settled label, else what was claimed, else none."""
    own = dict(zip(*(column.to_pylist() for column in concept_of(project).columns), strict=True))
    members: dict[str, list[str]] = {}
    for image_id in images:
        members.setdefault(own.get(image_id, NO_CONCEPT), []).append(image_id)
    return members


def _line(concept_id: str, name: str, images: list[str], facts: dict[str, set[str]]) -> PrivacyLine:
    own = set(images)
    counts = {key: len(own & facts[key]) for key in (*KINDS, "creator", "prohibited", "faces")}
    return PrivacyLine(
        concept_id, name, len(own), **counts, unseen=len(own - facts["looked"]), unmeasured=len(own - facts["measured"])
    )


def _privacy_advice(total: PrivacyLine) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to know, and what to type next."""
    notes, following = [], []
    if total.unmeasured:
        notes.append(f"the metadata of {counted(total.unmeasured, 'picture')} was not read yet: pictus clean check")
        following.append("pictus clean check")
    if total.unseen:
        notes.append(f"{counted(total.unseen, 'picture')} not looked at for faces: pictus clean faces")
        following.append("pictus clean faces")
    if total.prohibited:
        words = counted(total.prohibited, "picture says", "pictures say")
        notes.append(f"{words} that data mining is prohibited: pictus clean check --jsonl tells which (data_mining)")
    if total.gps:
        notes.append("releases are cut without GPS unless --keep-gps says otherwise")
    if total.faces:
        following.append("pictus release cut VERSION --blur-faces")
    return tuple(notes), tuple(following)
