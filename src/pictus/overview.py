"""The two questions asked at any time: where does everything stand, and why is this picture here?

Both read every stage's tables and write none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from pictus import models, pixels
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import NotThereError, UserError, clipped, counted
from pictus.journey import TAXONOMY, Desk, at_desk, train_command
from pictus.models import WEIGHTS_NAME
from pictus.precision import latest_audit, told
from pictus.project import Project
from pictus.records import Attempt, Check, Duplicate, Label, Picture, Source, Split, Verdict
from pictus.registry import Outcome, step
from pictus.releases import ids_of_origin, origins, read_manifest, versions
from pictus.tables import Tables, equals, one_of

THIN_CLASS = 20
"""Fewer accepted pictures than this: the class is called starving."""

SHOWN = 3
"""So many of the newest releases and runs are named."""

RULED = {"is": "ruled:", "is-not": "ruled: not", "withdrawn": "withdrawn: the ruling on"}
"""A reviewer's word -> how it is told."""

PREFIX = 6
"""Fewest hex digits that may stand for an image_id."""


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far one stage is. `waiting`: rows that it has not looked at yet."""

    stage: str
    done: int
    waiting: int
    note: str


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened to one picture."""

    at: str
    stage: str
    what: str
    why: str
    concepts: tuple[str, ...] = ()
    """Ids of the concepts that the words name."""


@step("status", changes=False)
def status(project: Project) -> Outcome[StageStatus]:
    """Where every picture stands, and what to type next.

    Examples:
        pictus status
    """
    tables = project.tables
    images, failed = tables.count("images"), failed_causes(project).total()
    checked, dropped = tables.count("checks"), tables.count("verdicts", "verdict = 'drop'")
    screened = tables.count("verdicts")
    labels = Counter(tables.read("labels", ["status"]).column("status").to_pylist()) if tables.exists("labels") else {}
    votes, desk, audit = project.journal.vote_count(), at_desk(project), latest_audit(project)
    releases, runs = names_in(project, "releases"), _runs(project)
    evaluated = {path.parts[-4] for path in project.models_dir.glob("*/evaluations/*/results.json")}
    classes = counted(tables.count("concepts", "is_class"), "class", "classes")
    rows = (
        StageStatus("taxonomy", tables.count("concepts"), 0, classes),
        StageStatus("collect", images, 0, f"{counted(failed, 'address', 'addresses')} failed" if failed else ""),
        StageStatus("clean", screened, max(images - screened, 0), _clean_note(checked, screened, dropped)),
        StageStatus("annotate", labels.get("accepted", 0), labels.get("unsettled", 0), _annotate_note(votes, desk)),
        StageStatus("release", len(releases), 0, _release_note(project, releases)),
        StageStatus("train", len(runs.usable), len(runs.left), ", ".join(runs.usable[-SHOWN:])),
    )
    starving = _starving(project) if labels else 0
    summary = {
        "concepts": rows[0].done, "collected": images, "failed": failed, "checked": checked,
        "clean": screened - dropped, "dropped": dropped, "votes": votes, "labelled": labels.get("accepted", 0),
        "unsettled": labels.get("unsettled", 0), "rejected": labels.get("rejected", 0), "starving": starving,
        "audit": audit, "questions_waiting": desk.waiting, "people_at_work": desk.at_work,
        "releases": releases, "runs": list(runs.usable), "unfinished_runs": [run.root.name for run in runs.left],
        "evaluated": len(evaluated),
        "indexes": [name.removeprefix("embeddings_") for name in tables.names() if name.startswith("embeddings_")],
    }  # fmt: skip
    made = f"releases {len(releases)}   models {len(runs.usable)}"
    labelled = f"{summary['labelled']:,}{told(audit)}"
    pictures = f"collected {images:,}   clean {screened - dropped:,}   labelled {labelled}   "
    has_only_releases = bool(releases and not images)
    headline = f"{project.name}: {'no pictures but those released   ' if has_only_releases else pictures}{made}" + (
        f"   starving: {counted(starving, 'concept')}" if starving else ""
    )
    following = _next(summary, _training(project, releases, runs), evaluated)
    return Outcome("status", summary, headline, _unfinished(runs), following, lambda: iter(rows))


@step("show", changes=False)
def show(project: Project, image: str) -> Outcome[Moment]:
    """One picture's whole history: found where, measured how, kept why, labelled by whom, used in what.

    image: an image_id, its first digits, a picture file, or the address it came from or the end of that.

    Examples:
        pictus show 3f2a91
        pictus show owl/1.jpg
    """
    image_id = find_image(project, image)
    parts = history(project, image_id)
    taxonomy = load_taxonomy(project)
    moments = list(_moments(parts, taxonomy))
    label = next((label for label in parts["labels"] if label.status == "accepted"), None)
    verdict = next(iter(parts["verdicts"]), None)
    headline = f"{image_id[:16]}   " + "   ".join(
        [
            f"{parts['picture'].width}×{parts['picture'].height} {parts['picture'].format}",
            f"{verdict.verdict}: {verdict.reason}" if verdict else "not screened yet",
            f"label {_name(taxonomy, label.concept_id)} ({label.posterior:.3f}, {counted(label.n_votes, 'vote')})"
            if label else "no label",
        ]
    )
    summary = {"image_id": image_id, "moments": len(moments), "releases": parts["releases"]}
    return Outcome("show", summary, headline, source=lambda: iter(moments))


def find_image(project: Project, text: str) -> str:
    """An image_id from itself, a unique prefix of it, a source address, a picture file, or the end of an address."""
    tables = project.tables
    digits = text.strip().lower()
    if len(digits) >= PREFIX and all(character in "0123456789abcdef" for character in digits):
        ids = tables.read("images", ["image_id"], where=f"starts_with(image_id, '{digits}')").column("image_id")
        if len(ids) == 1:
            return str(ids[0])
        if len(ids) > 1:
            raise UserError(f"{counted(len(ids), 'picture')} begin with {clipped(text)}.", fix="type more digits")
        if origin := _of_released(project, digits):
            return origin
    found = set(tables.read("sources", ["image_id"], where=equals("address", text)).column("image_id").to_pylist())
    if len(found) == 1:
        return str(found.pop())
    image_id = _in_file(project, text) or _by_end(project, text)
    if image_id:
        return image_id
    raise NotThereError(
        f"There is no picture {clipped(text)} in {project.name}: neither an image_id (or its first {PREFIX}+ digits)"
        " nor a picture file, an address or the end of one.",
        fix="pictus web    shows every picture",
    )


def _of_released(project: Project, digits: str) -> str:
    """The picture whose bytes, changed for a release, have the image_id that begins so; empty where none is."""
    found = [one for one in origins(project, digits) if project.tables.count("images", equals("image_id", one))]
    return found[0] if len(found) == 1 else ""


def _in_file(project: Project, text: str) -> str:
    """The picture with the bytes of an existing file, else the one collected at its place; empty where none is."""
    try:
        path = Path(text).expanduser().resolve()
        if not path.is_file() or path.stat().st_size > pixels.MAX_BYTES:
            return ""
        image_id = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, RuntimeError):  # no path at all, or not ours to read: it may still be an address
        return ""
    if project.tables.count("images", equals("image_id", image_id)):
        return image_id
    if origin := _of_released(project, image_id):
        return origin
    found = project.tables.read("sources", ["image_id"], where=equals("address", str(path))).column("image_id")
    return str(found[0]) if len(set(found.to_pylist())) == 1 else ""


def _by_end(project: Project, text: str) -> str:
    """The one picture whose address ends so, with or without the file's ending; as votes files name pictures."""
    wanted = _path_of(text).removeprefix("./").lstrip("/")
    name = wanted.rpartition("/")[2]
    if not name:
        return ""
    where = "address LIKE '%" + name.replace("'", "''") + "%'"  # too many rather than too few: looked at below
    rows = project.tables.read("sources", ["address", "image_id"], where=where)
    pairs = list(zip(rows.column("address").to_pylist(), rows.column("image_id").to_pylist(), strict=True))
    for ending in (r"", r"\.[^./]+"):
        pattern = re.compile(rf"(^|/){re.escape(wanted)}{ending}$")
        found = {image_id: address for address, image_id in pairs if pattern.search(_path_of(address))}
        if len(found) > 1:
            listed = ", ".join(sorted(found.values())[:SHOWN]) + (", …" if len(found) > SHOWN else "")
            raise UserError(f"{clipped(text)} means {len(found):,} pictures: {listed}.", fix="type more of the path")
        if found:
            return str(next(iter(found)))
    return ""


def _path_of(address: str) -> str:
    """An address as its end is compared: forward slashes, through archives, without what follows a web path."""
    path = address.replace("\\", "/").replace("!/", "/")
    return re.split(r"[?#]", path)[0] if "://" in path else path


def history(project: Project, image_id: str) -> dict[str, Any]:
    """Every row of every stage about one picture; the picture page draws it, `show` prints it."""
    tables, where = project.tables, equals("image_id", image_id)
    duplicates = list(tables.records("duplicates", Duplicate, where))
    group = duplicates[0].group_id if duplicates else ""
    released = ids_of_origin(project, image_id)
    said = _said_of(project, {image_id, *(one for ids in released.values() for one in ids)})
    sources = list(tables.records("sources", Source, where))
    return {
        "picture": next(tables.records("images", Picture, where)),
        "sources": sources,
        "since": _since(tables, sources, image_id),
        "fetches": list(tables.records("fetches", Attempt, where)),
        "checks": list(tables.records("checks", Check, where)),
        "duplicates": duplicates,
        "group": list(tables.records("duplicates", Duplicate, equals("group_id", group))) if group else [],
        "verdicts": list(tables.records("verdicts", Verdict, where)),
        "votes": project.journal.history(image_id),
        "rulings": _rulings(project, image_id),
        "labels": list(tables.records("labels", Label, where)),
        "splits": list(tables.records("splits", Split, where)),
        "events": project.journal.events(image_id),
        "releases": [(version, split) for version, ids in released.items() for split in ids.values()],
        "said": said,
        "predictions": [(one.run, one.text) for one in said],
    }


def _rulings(project: Project, image_id: str) -> list[dict[str, str]]:
    """What reviewers ruled on one picture, oldest first."""
    query = sa.text(
        "SELECT concept_id, ruling, reviewer, reason, ruled_at FROM rulings WHERE image_id = :image ORDER BY ruling_id"
    )
    with project.journal.engine.connect() as connection:
        return [dict(row) for row in connection.execute(query, {"image": image_id}).mappings()]


def _since(tables: Tables, sources: list[Source], image_id: str) -> list[Attempt]:
    """The latest attempt at each of a picture's addresses that no longer gives it."""
    addresses = one_of("address", [source.address for source in sources if source.kind == "url"])
    latest = {attempt.address: attempt for attempt in tables.records("fetches", Attempt, addresses)}
    return [attempt for attempt in latest.values() if attempt.image_id != image_id]


def names_in(project: Project, kind: str) -> list[str]:
    """The project's releases, oldest version first, or its runs, first begun first."""
    if kind == "releases":
        return versions(project.releases_dir)
    return [run.root.name for run in models.runs(project, skip_broken=True)]


def _moments(parts: dict[str, Any], taxonomy: Taxonomy) -> Iterator[Moment]:
    yield from _found_and_cleaned(parts, taxonomy)
    for vote in parts["votes"]:
        answer = _name(taxonomy, vote.answer)
        asked = f"is it {_name(taxonomy, vote.question)}? {answer}" if vote.question else answer
        concepts = tuple(one for one in (vote.question, vote.answer) if one in taxonomy)
        yield Moment(vote.voted_at, "annotate", f"vote of {vote.annotator}", asked, concepts)
    for ruled in parts["rulings"]:
        name = _name(taxonomy, ruled["concept_id"])
        what = f"{RULED.get(ruled['ruling'], ruled['ruling'])} {name}"
        yield Moment(ruled["ruled_at"], "annotate", what, f"{ruled['reviewer']}: {ruled['reason']}",
                     (ruled["concept_id"],))  # fmt: skip
    for label in parts["labels"]:
        why = f"posterior {label.posterior:.3f} from {counted(label.n_votes, 'vote')} by {label.method}"
        what = f"{label.status} {_name(taxonomy, label.concept_id)}"
        yield Moment(label.settled_at, "annotate", what, why, (label.concept_id,))
    for split in parts["splits"]:
        yield Moment("", "release", f"assigned to {split.split}", f"group {split.group_id[:12]}")
    yield from (Moment("", "release", f"in {version}", split) for version, split in parts["releases"])
    yield from (Moment("", "evaluate", f"seen by {said.run}", said.text, said.guesses) for said in parts["said"])
    for event in parts["events"]:
        yield Moment(event.at, event.stage, event.event, json.dumps(event.data))


def _name(taxonomy: Taxonomy, concept_id: str) -> str:
    """A concept as people call it; what is no concept of the project stays as it stands."""
    return taxonomy.name(concept_id) if concept_id in taxonomy else concept_id


def _found_and_cleaned(parts: dict[str, Any], taxonomy: Taxonomy) -> Iterator[Moment]:
    for source in parts["sources"]:
        claim = f" as {_name(taxonomy, source.concept_id)}" if source.concept_id else ""
        rights = f", licence {source.licence}" if source.licence else ", licence not stated"
        concepts = (source.concept_id,) if source.concept_id else ()
        yield Moment(source.found_at, "collect", f"found by {source.kind}{claim}", source.address + rights, concepts)
    for attempt in parts["since"]:
        now = f"gives another picture now: {attempt.image_id[:12]}" if attempt.image_id else f"now: {attempt.cause}"
        yield Moment(attempt.attempted_at, "collect", "asked again", f"{attempt.address} {now}")
    for check in parts["checks"]:
        numbers = f"entropy {check.entropy:.2f}, sharpness {check.sharpness:.0f}, brightness {check.brightness:.0f}"
        yield Moment("", "clean", "measured", check.cause or numbers)
    for duplicate in parts["duplicates"]:
        yield Moment("", "clean", "keeper of a group" if duplicate.is_keeper else "duplicate", duplicate.reason)
    for verdict in parts["verdicts"]:
        yield Moment(verdict.decided_at, "clean", verdict.verdict, verdict.reason)


class _Said(NamedTuple):
    """What one run's evaluation said of a picture, in words, and the ids of its guesses."""

    run: str
    text: str
    guesses: tuple[str, ...]


def _said_of(project: Project, image_ids: set[str]) -> list[_Said]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    paths = sorted(project.models_dir.glob("*/evaluations/*/predictions.parquet"))
    if not paths:
        return []
    names = {one: name for run in models.runs(project, skip_broken=True)
             for one, name in zip(run.classes, run.class_names, strict=False)}  # fmt: skip
    taxonomy = load_taxonomy(project)
    names |= {concept.concept_id: taxonomy.name(concept.concept_id) for concept in taxonomy}
    found = []
    for path in paths:
        rows = pq.read_table(path, filters=[("image_id", "in", image_ids)]).to_pylist()
        run = path.parent.parent.parent.name
        found += [_Said(run, _prediction_text(row, names), tuple(row["guesses"] or ())) for row in rows]
    return found


def _prediction_text(row: dict[str, Any], names: dict[str, str]) -> str:
    if row["cause"]:
        return f"not usable: {row['cause']}"
    guesses = zip(row["guesses"], row["probabilities"], strict=True)
    return ", ".join(f"{names.get(guess, guess)} {chance:.2f}" for guess, chance in guesses)


def _starving(project: Project) -> int:
    accepted = project.tables.read("labels", ["concept_id"], where="status = 'accepted'").column("concept_id")
    counts = Counter(accepted.to_pylist())
    classes = project.tables.read("concepts", ["concept_id"], where="is_class").column("concept_id").to_pylist()
    return sum(counts[concept] < THIN_CLASS for concept in classes)


def _annotate_note(votes: int, desk: Desk) -> str:
    parts = [
        counted(votes, "vote"), counted(desk.waiting, "question") + " waiting" if desk.waiting else "",
        counted(desk.at_work, "person", "people") + " at work" if desk.at_work else "",
    ]  # fmt: skip
    return ", ".join(filter(None, parts))


class _Runs(NamedTuple):
    """`usable`: finished, or with weights already kept, the best choice last. `left`: those that can be resumed."""

    found: list[models.Run]
    usable: tuple[str, ...]
    left: list[models.Run]


def _runs(project: Project) -> _Runs:
    # a broken card is no model; every command that names the run says what is wrong with it
    found = models.runs(project, skip_broken=True)
    left = [run for run in found if not run.is_finished]
    kept = [run.root.name for run in left if (run.root / WEIGHTS_NAME).is_file()]
    finished = [run.root.name for run in models.by_finish(found)]
    return _Runs(found, (*kept, *finished), left)


def _unfinished(runs: _Runs) -> tuple[str, ...]:
    """Each of the newest runs that can be resumed; not in the table, which a narrow terminal shortens."""
    told = []
    for run in runs.left[-SHOWN:]:
        name, where = run.root.name, f" ({models.left_off(run)})" if run.card.get("results") else ""
        told.append(f"run {name} is unfinished{where}, resume with pictus train resume {name}")
    return tuple(told)


def _clean_note(checked: int, screened: int, dropped: int) -> str:
    if screened:
        return f"{dropped:,} dropped"
    return f"{checked:,} measured, none screened" if checked else ""


def _training(project: Project, releases: list[str], runs: _Runs) -> str:
    """What to type for a finished model of the newest release; empty where there is one."""
    digest = _digest(project, releases[-1]) if releases else ""
    if digest and any(run.is_finished for run in runs.found):
        candidates = [run for run in runs.found if run.card.get("release", {}).get("digest") == digest]
    else:  # a damaged release, or none here: any finished model will do
        candidates = runs.found
    if any(run.is_finished for run in candidates):
        return ""
    return f"pictus train resume {candidates[-1].root.name}" if candidates else train_command(*releases[-1:])


def _digest(project: Project, version: str) -> str:
    try:
        return str(read_manifest(project.releases_dir / version)["digest"])
    except UserError:  # the table's note on the release says that it is damaged
        return ""


def _release_note(project: Project, releases: list[str]) -> str:
    """The newest releases, and how large the last one is."""
    if not releases:
        return ""
    try:
        counts = read_manifest(project.releases_dir / releases[-1])["counts"]
    except UserError:
        return f"{', '.join(releases[-SHOWN:])} (damaged: pictus release verify {releases[-1]})"
    size = f"{counted(counts['pictures'], 'picture')}, {counted(counts['classes'], 'class', 'classes')}"
    return f"{', '.join(releases[-SHOWN:])} ({size})"


def failed_causes(project: Project) -> Counter[str]:
    """Cause -> addresses whose latest attempt failed for it."""
    if not project.tables.count("fetches", "cause != 'ok'"):
        return Counter()
    from pictus.collect.causes import GOOD  # noqa: PLC0415  0.2 s that --help does not pay

    rows = project.tables.read("fetches", ["address", "cause"])
    latest = rows.group_by("address", use_threads=False).aggregate([("cause", "last")]).column("cause_last")
    return Counter(cause for cause in latest.to_pylist() if cause not in GOOD)


def _next(summary: dict[str, Any], training: str, evaluated: set[str]) -> tuple[str, ...]:
    """The first thing not done yet, in journey order."""
    release, run = (summary[kind][-1] if summary[kind] else "" for kind in ("releases", "runs"))
    if release and not summary["collected"]:  # an imported release: what it was made of lies elsewhere
        first: tuple[tuple[bool, tuple[str, ...]], ...] = ()
    else:
        first = _first(summary)
    todo: tuple[tuple[bool, tuple[str, ...]], ...] = (
        *first,
        (bool(training), (training,)),
        (run not in evaluated, (f"pictus evaluate run --run {run}",)),
        (
            bool(summary["collected"]) and not summary["indexes"],
            ("pictus search index", f"pictus serve start --run {run}"),
        ),
    )
    last = (f"pictus serve start --run {run}", *(("pictus search query --text NAME",) if summary["indexes"] else ()))
    return next((commands for is_next, commands in todo if is_next), (*last, "pictus web"))


def _doubts(summary: dict[str, Any]) -> tuple[str, ...]:
    """What would make the labels better, or tell how good they are, before a release."""
    if summary["questions_waiting"]:
        return ("pictus annotate serve",)
    if summary["starving"] or summary["unsettled"]:
        return ("pictus annotate plan" + ("" if summary["unsettled"] else " --starving"),)
    return () if summary["audit"] else ("pictus annotate audit draw",)


def _first(summary: dict[str, Any]) -> tuple[tuple[bool, tuple[str, ...]], ...]:
    """From concepts to a release."""
    screened = summary["clean"] + summary["dropped"]
    settled = summary["labelled"] + summary["unsettled"] + summary["rejected"]
    more_votes = "pictus annotate import MORE-VOTES.csv    (then pictus annotate settle)"
    ask = "pictus annotate serve" if summary["questions_waiting"] else "pictus annotate plan"
    return (
        (not summary["concepts"], (TAXONOMY,)),
        (not summary["collected"], ("pictus collect add PICTURES --by-folder", "pictus collect fetch urls.csv")),
        (screened < summary["collected"], ("pictus clean",)),
        (not summary["votes"], ("pictus annotate import labels.csv    (or --from-folders)", ask)),
        (not settled, ("pictus annotate settle",)),
        (not summary["labelled"] and not summary["releases"], (more_votes, ask)),
        (not summary["releases"], ("pictus release split --seed 7 && pictus release cut 1.0.0", *_doubts(summary))),
    )
