"""The verbs: import, settle."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pictus.annotate.desk.people import LINK_SIGNS
from pictus.annotate.exchange import own_steps
from pictus.annotate.exchange.entries import claims, entries_of
from pictus.annotate.exchange.intake import People, Wishes
from pictus.annotate.exchange.intake_steps import other_tools, people_of, take_in, ways_on
from pictus.annotate.exchange.reference_steps import pictures_named
from pictus.annotate.exchange.vote_files import read_answers
from pictus.annotate.exchange.vote_steps import from_source, store_votes
from pictus.annotate.truth import dawid_skene, glad, gold, mace, majority, one_coin
from pictus.annotate.truth.annotators import LISTED, plain, rounded, suspects
from pictus.annotate.truth.consensus import METHODS, Votes
from pictus.annotate.truth.doubts import MANY, doubts_of, told
from pictus.annotate.truth.presences import presence_table
from pictus.annotate.truth.questions import (
    SOURCE_PREFIX,
    STATUSES,
    Ballots,
    Settled,
    Which,
    YesNo,
    all_skills,
    label_table,
    labels,
)
from pictus.annotate.truth.truth_steps import Evidence, evidence_of, held, weighed
from pictus.clock import now
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, bad_rows, counted
from pictus.journal import latest_votes
from pictus.journey import first_command
from pictus.project import Project
from pictus.records import Label, Vote
from pictus.registry import Outcome, step
from pictus.stats import krippendorff_alpha

# The methods register themselves.
__all__ = ["dawid_skene", "glad", "gold", "import_", "mace", "majority", "one_coin", "settle"]

_KEPT = 1000
"""So many rows that were left out are kept in the journal, with the reason; all are counted."""

_FOLDERS = "collected sources"

EDGE = 1e-5
"""Ten times what two runs that began elsewhere may differ by: `dawid_skene.CHANGE`."""


@step("annotate import", changes=True)
def import_(
    project: Project, files: tuple[Path, ...] = (), *, from_folders: bool = False, question: str = "",
    skip_unknown: bool = False, skip_bad: bool = False, format: str = "", as_proposals: bool = False,  # noqa: A002
    keep_names: bool = False,
) -> Outcome[Vote]:  # fmt: skip
    """Take in labels, votes and shapes: CSV, TSV or Parquet, other tools' files, or the folders pictures came from.

    Labels have the columns image,label; votes worker,image,answer, where the answer is a concept;
    or worker,image,question,answer, where the question is a concept and the answer yes, no or
    unsure. Importing a file again adds only what is new in it. What Label Studio, CVAT, COCO, VOC, YOLO,
    LabelMe, MTurk, Toloka and others wrote is recognised by its content: answers become votes,
    shapes marks, controls known answers.

    files: tables of labels or votes; files, folders or zip archives of other tools
    from_folders: what each collected source claims becomes a vote of "source:folder" (or archive, url)
    question: the concept that the files' yes/no answers are about
    skip_unknown: leave out rows whose picture is not in the project
    skip_bad: leave out every row that cannot be used; the journal keeps which and why
    format: what the files are, where that is not to be recognised: `coco`, `voc-inclusive`, `csv` …
    as_proposals: take shapes for a start to work from, not for what a person drew
    keep_names: keep names of annotators as they are, also ids of a platform, e-mail addresses, `source:` and `model:`

    Examples:
        pictus annotate import --from-folders
        pictus annotate import labels.csv --skip-bad
        pictus annotate import votes.csv --question owl
        pictus annotate import instances.json annotations.zip
    """
    taxonomy = _checked(project, files, question, from_folders=from_folders)
    files, ours = own_steps.foreign(project, files)
    if ours and not files:
        return own_steps.nothing(ours)
    asked = taxonomy.resolve(question) if question else ""
    wishes = Wishes(asked, skip_bad, skip_unknown, as_proposals, keep_names)
    if others := other_tools(files, format):
        return own_steps.telling(take_in(project, taxonomy, others, wishes), ours)
    read = "what folders claim" if from_folders else f"answers from {counted(len(files), 'file')}"
    with project.lock("annotate"), project.progress.track(f"reading {read}", None):
        left_out: list[str] = []
        if from_folders:
            found, problems, numbers = _claimed(project, taxonomy)
        else:
            people = people_of(project, keeps_names=keep_names or own_steps.are_own(project, files))
            skips = Skips(skip_bad, skip_unknown or skip_bad, people)
            found, left_out, numbers = _read(project, taxonomy, files, asked, skips)
            problems = (f"{counted(len(left_out), 'row')} left out: {left_out[0]}, …",) if left_out else ()
        sources, added = store_votes(project, found)
        there = found.num_rows - added
        summary: dict[str, Any] = {**numbers, "votes": found.num_rows, "added": added, "already_there": there}
        subject = ", ".join(path.name for path in files)[:500] or _FOLDERS
        kept = {"rows_left_out": left_out[:_KEPT]} if left_out else {}
        project.journal.log("annotate", "votes_imported", subject, **summary, **kept)
    return Outcome(
        step="annotate import",
        summary=summary,
        headline=_added(summary),
        problems=(*ours, *problems),
        next=("pictus annotate settle",),
        source=lambda: (Vote(**row) for name in sources for row in project.journal.votes(source=name).to_pylist()),
    )


def _added(summary: dict[str, Any]) -> str:
    there = f"; {summary['already_there']:,} were there already" if summary["already_there"] else ""
    people, pictures = counted(summary["annotators"], "annotator"), counted(summary["pictures"], "picture")
    return f"{counted(summary['added'], 'vote')} added of {people} on {pictures}{there}"


@step("annotate settle", changes=True)
def settle(
    project: Project, *, method: str = "dawid-skene", threshold: float = 0.9, fresh: bool = False
) -> Outcome[Label]:
    """Turn votes into one label per picture, with its posterior and number of votes.

    A label is accepted where the posterior reaches the threshold, rejected where that of "no" does,
    else unsettled. What a reviewer ruled stands in place of votes; votes of people who are paused are left out;
    known answers are never in doubt and teach how good people are. Settling again replaces the labels and the
    presences (whether a picture shows each concept it was asked about); dropped pictures are settled too.

    method: how votes are weighed: `dawid-skene`, `one-coin`, `glad`, `mace`, `gold` or `majority`
    threshold: the posterior a label needs, above 0.5 and below 1
    fresh: count all votes anew, also where the last run kept something to start from

    Examples:
        pictus annotate settle
        pictus annotate settle --method majority --threshold 0.75
    """
    METHODS.get(method)
    if not 0.5 < threshold < 1:  # noqa: PLR2004  below a half, yes and no could both be accepted
        raise UserError(f"--threshold {threshold} is not between 0.5 and 1.", fix="--threshold 0.9")
    with project.lock("annotate"), ExitStack() as stack:
        evidence = evidence_of(project, fresh=fresh, keeps=True)
        ballots, rulings = evidence.ballots, evidence.rulings
        n_votes, n_pictures = counted(len(ballots.image_V), "vote"), counted(len(ballots.images), "picture")
        stack.enter_context(project.progress.track(f"settling {n_votes} on {n_pictures} by {method}", None))
        (asked, said), (free, named) = weighed(project, evidence, method)
        one_link = held(project, ballots, (asked, said), threshold)
        asked = asked._replace(is_held_U=one_link.is_held_U)
        settled = labels(ballots, (asked, said), (free, named), threshold, rulings)
        count = METHODS.get("majority")
        by_majority = labels(ballots, (asked, count(asked.votes)), (free, count(free.votes)), threshold, rulings)
        doubts = doubts_of(ballots, settled, by_majority)
        at = now()
        presences = presence_table(ballots, (asked, said), threshold, rulings, (method, at))
        project.tables.replace("presences", presences)
        project.tables.replace("labels", label_table(ballots, settled, method, at))
        found = all_skills(ballots, (asked, said), (free, named))
        summary = {**_summary(evidence, settled, asked, free), "method": method, "threshold": threshold}
        summary["presences"], summary["on_the_edge"] = presences.num_rows, _on_the_edge(settled, threshold)
        summary["one_link"] = {link[:LINK_SIGNS]: count for link, count in sorted(one_link.links.items())}
        summary["lowest_skill"] = [plain(one) for one in found[:LISTED]]
        summary["suspected"] = [one.annotator for one in found if one.is_suspected]
        project.journal.log("annotate", "labels_settled", **summary)
    return Outcome(
        step="annotate settle",
        summary=summary,
        headline=_headline(summary),
        problems=(
            *told(doubts, summary["pictures"], method=method, threshold=threshold, holds=bool(one_link.links)),
            *_silenced(evidence), *_held(summary), *suspects(found), *_orphans(project, ballots), *_edge(summary),
        ),
        next=_next(summary, doubts.by_majority if method != "majority" else 0),
        source=lambda: project.tables.records("labels", Label),
    )  # fmt: skip


def _claimed(project: Project, taxonomy: Taxonomy) -> tuple[pa.Table, tuple[str, ...], dict[str, int]]:
    votes, left_out = claims(project.tables.read("sources", ["image_id", "kind", "concept_id"]), taxonomy)
    if not votes.num_rows:
        raise UserError(
            "No collected picture claims a concept of the taxonomy.",
            fix="pictus collect add FOLDER --by-folder    or    pictus annotate import labels.csv",
        )
    torn = votes.column("answer").to_pylist().count("unsure")
    problems = []
    if torn:
        problems.append(f"claimed under several concepts, so unsettled: {counted(torn, 'picture')}; let somebody look")
    if left_out:
        problems.append(f"left out, their concept is not in the taxonomy: {counted(left_out, 'claim')}")
    return from_source(votes, _FOLDERS), tuple(problems), _counts(votes, left_out=left_out, torn=torn)


def _checked(project: Project, files: Sequence[Path], question: str, *, from_folders: bool) -> Taxonomy:
    """The taxonomy, when there is something to take in and something it can be about."""
    if bool(files) == from_folders:
        raise UserError(
            "Say what to take in: files, or --from-folders.",
            fix="pictus annotate import labels.csv    or    pictus annotate import --from-folders",
        )
    if question and from_folders:
        raise UserError("--question is about files.", fix="pictus annotate import --from-folders")
    taxonomy = load_taxonomy(project)
    for kind, is_there in (("concepts", bool(len(taxonomy))), ("pictures", bool(project.tables.count("images")))):
        if not is_there:
            raise UserError(f"There are no {kind} in this project yet.", fix=first_command(project, "votes"))
    return taxonomy


class Skips(NamedTuple):
    """Which rows may be left out: those that cannot be understood, those about a picture that is not here.

    people: how annotators are called.
    """

    bad: bool
    unknown: bool
    people: People


def _read(
    project: Project, taxonomy: Taxonomy, files: Sequence[Path], question: str, skips: Skips
) -> tuple[pa.Table, list[str], dict[str, int]]:
    """All files' votes and the rows left out; or one UserError for all their bad rows, in the files' order."""
    read = [read_answers(path, question=question) for path in files]
    texts = {text for answers in read for text in answers.image.unique().to_pylist()}
    pictures = pictures_named(project, texts)
    tables: list[pa.Table] = []
    refused: list[str] = []
    left_out: list[str] = []
    has_bad = False
    for path, answers in zip(files, read, strict=True):
        entries = entries_of(answers, taxonomy, pictures, SOURCE_PREFIX + path.name, skips.people.called)
        has_bad = has_bad or bool(entries.bad_rows)
        tables.append(from_source(entries.votes, f"{path.name}@{_digest(path)}"))
        for number in sorted({*entries.bad_rows, *entries.unknown_pictures}):
            bad, unknown = (found.get(number, "") for found in (entries.bad_rows, entries.unknown_pictures))
            may_go = (skips.bad or not bad) and (skips.unknown or not unknown)
            told = f"{answers.place(number)}: {'; '.join(text for text in (bad, unknown) if text)}"
            (left_out if may_go else refused).append(told)
    where = ", ".join(answers.where for answers in read)
    if refused:
        raise bad_rows(where, refused, fix=ways_on(refused))
    votes = latest_votes(pa.concat_tables(tables))
    if not votes.num_rows:
        if has_bad:
            raise bad_rows(f"{where}: no row can be used", left_out, fix="correct the rows")
        raise UserError(f"{where}: no row is about a picture of this project.", fix="pictus collect add FOLDER")
    n_rows = sum(len(answers.row) + len(answers.torn) for answers in read)
    return votes, left_out, _counts(votes, rows=n_rows, left_out=len(left_out))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _counts(votes: pa.Table, **more: int) -> dict[str, int]:
    people, pictures = (len(votes.column(name).unique()) for name in ("annotator", "image_id"))
    return {"annotators": people, "pictures": pictures, **more}


def _summary(evidence: Evidence, settled: Settled, asked: YesNo, free: Which) -> dict[str, Any]:
    ballots = evidence.ballots
    by_status = np.bincount(settled.status_L, minlength=len(STATUSES)).tolist()
    pictures, votes = int(settled.image_L.size), int(ballots.image_V.size)
    persons = int((~ballots.is_source[ballots.annotator_V]).sum()) if votes else 0
    accepted_L = settled.posterior_L[settled.status_L == STATUSES.index("accepted")]
    return {
        "pictures": pictures, **dict(zip(STATUSES, by_status, strict=True)), "votes": votes,
        "votes_per_picture": votes / max(1, pictures), "annotators": len(ballots.annotators),
        "agreement": {"yes/no": _agreement(asked.votes), "which": _agreement(free.votes)},
        "votes_per_label": round(persons / accepted_L.size, 4) if accepted_L.size else None,  # of persons, per accepted
        "by_ruling": int(settled.is_ruled_L.sum()),
        "known_answers": int(np.sum(asked.votes.known_I >= 0)),
        "expected_precision": round(float(accepted_L.mean()), 6) if accepted_L.size else None,
        "paused": list(evidence.paused), "votes_left_out": evidence.left_out,
    }  # fmt: skip


def _on_the_edge(settled: Settled, threshold: float) -> int:
    """Labels so near to the threshold that where a search began may decide on which side they fall."""
    share_L = np.maximum(settled.posterior_L, 1 - settled.posterior_L)
    return int(np.sum(np.abs(share_L - threshold) < EDGE))


def _agreement(votes: Votes) -> float | None:
    """Krippendorff's alpha; None where no two answered the same question."""
    return rounded(krippendorff_alpha(votes.item_V, votes.answer_V))


def _headline(summary: dict[str, Any]) -> str:
    return (
        f"{summary['accepted']:,} accepted, {summary['rejected']:,} rejected, {summary['unsettled']:,} unsettled: "
        f"{counted(summary['pictures'], 'picture')}, {summary['votes_per_picture']:.1f} votes each by "
        f"{counted(summary['annotators'], 'annotator')}"
        + (f"; {counted(summary['by_ruling'], 'label')} by ruling" if summary["by_ruling"] else "")
        + _expected(summary["expected_precision"])
    )


def _expected(precision: float | None) -> str:
    """What the posteriors say of the accepted labels, with what that is worth."""
    if precision is None:
        return ""
    return f"; expected precision {100 * precision:.1f} % by the posteriors, which only pictus annotate audit measures"


def _silenced(evidence: Evidence) -> tuple[str, ...]:
    if not evidence.paused:
        return ()
    some = ", ".join(evidence.paused[:LISTED]) + (", …" if len(evidence.paused) > LISTED else "")
    people = counted(len(evidence.paused), "person", "people")
    return (f"left out: {counted(evidence.left_out, 'vote')} of {people} who are paused: {some}",)


def _held(summary: dict[str, Any]) -> tuple[str, ...]:
    if not summary["one_link"]:
        return ()
    count, links = counted(sum(summary["one_link"].values()), "question"), ", ".join(list(summary["one_link"])[:LISTED])
    told = f"left undecided: {count} that people of one link alone would decide ({links}), while others were at work"
    return (f"{told}: pictus annotate plan has others asked; pictus annotate people says who came by which link",)


def _edge(summary: dict[str, Any]) -> tuple[str, ...]:
    if not summary["on_the_edge"]:
        return ()
    many, threshold = counted(summary["on_the_edge"], "label"), summary["threshold"]
    return (f"{many} within {EDGE:g} of the threshold {threshold:g}: rounding may decide which side they are on",)


def _orphans(project: Project, ballots: Ballots) -> tuple[str, ...]:
    taxonomy = load_taxonomy(project)
    gone = [concept for concept in ballots.concepts if concept not in taxonomy]
    if not gone:
        return ()
    return (f"votes name {counted(len(gone), 'concept')} not in the taxonomy (any more): {', '.join(gone[:5])}",)


def _next(summary: dict[str, Any], by_majority: int) -> tuple[str, ...]:
    if summary["unsettled"] > MANY * summary["pictures"] or not summary["accepted"]:
        plainly = ("pictus annotate settle --method majority",) if by_majority else ()
        return (*plainly, "pictus annotate import MORE-VOTES.csv, or a lower --threshold")
    return ("pictus release split",)
