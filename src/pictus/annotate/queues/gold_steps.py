"""`annotate gold` marks answers that are known: from a file of an expert, or from what is settled beyond doubt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus.annotate.exchange.entries import entries_of
from pictus.annotate.exchange.reference_steps import pictures_named
from pictus.annotate.exchange.vote_files import read_answers
from pictus.annotate.queues import queue_rows, shown_steps, twin_steps
from pictus.annotate.queues.audits import AUDIT, BEST, NO, PRESENT
from pictus.annotate.queues.dropped_steps import dropped
from pictus.annotate.truth.questions import SAID, SOURCE_PREFIX, UNSURE
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, bad_rows, counted
from pictus.lookalikes import alike, is_near
from pictus.project import Project
from pictus.registry import Outcome, step

SURE = 0.999
"""Posterior from which a settled answer may stand for a known one."""
NEAR = 16
"""Concepts, the likeliest, that a known no may come from."""
NAMED = 20
"""Rows of files that are left out, by name; how many there are stands in the summary."""
PERSONS = 2
"""Of whom two must have said so: a posterior of a list alone says what the list said."""


@dataclass(frozen=True, slots=True)
class Known:
    """A question whose answer is known beforehand."""

    concept_id: str
    image_id: str
    answer: str  # yes | no
    source: str  # whose word that is


@step("annotate gold", changes=True)
def gold(
    project: Project, files: tuple[Path, ...] = (), *, settled: float = 0.0, many: int = 5, question: str = "",
) -> Outcome[Known]:  # fmt: skip
    """Mark questions whose answer is known, so that the desk can mix them in and see who looks.

    From an expert's file (image, concept, yes or no), or from what is settled beyond doubt: a yes is a picture of the
    concept whose posterior reaches --settled with two persons' votes, or a reviewer's or auditor's word; a no one that
    was settled so, else as sure a picture of a concept that is near, never claimed or suspected to be this one. Where
    nothing is near there is no other no: one that stands out would be known for a control. Once people are at work,
    what they may have seen as examples is left out, and so is what has a near-duplicate that is asked or known: one
    that vanished from there, or stands apart, would be known. Rows of files that are left out for that are named.

    files: an expert's answers: CSV, TSV or Parquet with the columns image,concept,answer
    settled: take from what is settled with at least this posterior, for example 0.999
    many: so many yes and so many no of each concept, those that are marked already included
    question: the concept that the files' answers are about, where no column says so

    Examples:
        pictus annotate gold expert.csv
        pictus annotate gold --settled 0.999 --many 5
    """
    if bool(files) == bool(settled):
        raise UserError(
            "Say where known answers come from: a file, or --settled.",
            fix=f"pictus annotate gold expert.csv    or    pictus annotate gold --settled {SURE}",
        )
    if many < 0:
        raise UserError(f"--many {many} is less than none.", fix="pictus annotate gold --settled 0.999 --many 5")
    if settled and not 0.9 <= settled <= 1:  # noqa: PLR2004  below that one in ten would be wrong
        raise UserError(f"--settled {settled:g} is not between 0.9 and 1.", fix=f"--settled {SURE}")
    taxonomy = load_taxonomy(project)
    with project.lock("annotate-plan"):
        if files:
            found, left = _of_files(project, taxonomy, files, question)
        else:
            found, left = _of_settled(project, taxonomy, settled, many), []
        marked = queue_rows.mark_known(
            project.journal, [(one.concept_id, one.image_id, one.answer, f"known: {one.source}") for one in found]
        )
        without = _without_gold(project, taxonomy)
        summary: dict[str, Any] = {
            "known": len(found), "marked": marked, "yes": sum(one.answer == "yes" for one in found),
            "no": sum(one.answer == "no" for one in found), "without": without[:1000],
            "concepts_without": len(without), "left_out": len(left),
        }  # fmt: skip
        subject = ", ".join(path.name for path in files)[:500] or f"settled {settled:g}"
        project.journal.log("annotate", "gold_marked", subject, **summary)
    problems = [*left[:NAMED], *(["…"] if len(left) > NAMED else []), *_lacking(project, taxonomy, without)]
    if settled and not found:
        problems.append("only what two persons or a reviewer have said is sure enough: begin with a file of an expert;"
                        " what people may have seen as examples is left out")  # fmt: skip
    return Outcome(
        "annotate gold", summary,
        f"{counted(len(found), 'known answer')}: {summary['yes']:,} yes, {summary['no']:,} no; {marked:,} newly marked",
        tuple(problems), ("pictus annotate serve" if found else "pictus annotate gold expert.csv",),
        lambda: iter(found),
    )  # fmt: skip


def _of_files(
    project: Project, taxonomy: Taxonomy, files: Sequence[Path], question: str
) -> tuple[list[Known], list[str]]:  # fmt: skip
    """What experts say, and the rows that would be known for what they are; or one UserError for every row that says
    neither yes nor no of a picture and a concept.
    """
    asked = taxonomy.resolve(question) if question else ""
    read = [read_answers(path, question=asked) for path in files]
    pictures = pictures_named(project, {text for answers in read for text in answers.image.to_pylist()})
    found: dict[tuple[str, str], Known] = {}
    places: dict[tuple[str, str], str] = {}
    bad: list[str] = []
    for answers in read:
        entries = entries_of(answers, taxonomy, pictures, SOURCE_PREFIX + answers.where)
        wrong = {**entries.unknown_pictures, **entries.bad_rows}
        for number, row in zip(entries.row.to_pylist(), entries.votes.to_pylist(), strict=True):
            concept_id, answer = (row["question"], row["answer"]) if row["question"] else (row["answer"], "yes")
            known = found.setdefault(
                (concept_id, row["image_id"]), Known(concept_id, row["image_id"], answer, answers.where)
            )
            places.setdefault((concept_id, row["image_id"]), answers.place(number))
            if SAID[UNSURE] in (concept_id, answer):
                wrong[number] = "what is unsure is not known"
            elif known.answer != answer:
                wrong[number] = f"both yes and no for {row['image_id'][:12]} and {concept_id}"
        bad += [f"{answers.place(number)}: {wrong[number]}" for number in sorted(wrong)]
    if bad:
        raise bad_rows(", ".join(path.name for path in files), bad, fix=_ways_on(bad))
    apart = _apart(project, found)
    left = [f"left out: {places[key]}: {key[1][:12]} {apart[key]}" for key in found if key in apart]
    return [found[key] for key in sorted(found) if key not in apart], left


def _apart(project: Project, found: Mapping[tuple[str, str], Known]) -> dict[tuple[str, str], str]:
    """Of (concept_id, image_id) which would be told from what is asked, and why; none that is known already."""
    with project.journal.reading() as connection:
        query = sa.text("SELECT concept_id, image_id FROM questions WHERE kind = 'grid' AND known <> ''")
        have = {(row.concept_id, row.image_id) for row in connection.execute(query)}
    new = [key for key in found if key not in have]
    shown = shown_steps.seen(project) - {image_id for _, image_id in have}
    why = {key: "may have been seen as an example" for key in new if key[1] in shown}
    rest = [(image_id, concept_id) for concept_id, image_id in new if image_id not in shown]
    for image_id, concept_id in twin_steps.apart(project, rest):
        why[concept_id, image_id] = "has a near-duplicate that is asked or known"
    return why


def _ways_on(bad: Sequence[str]) -> str:
    """What can be done about rows of experts that cannot be used."""
    ways = [
        "correct the rows" if any("picture" in row or "not in the taxonomy" in row for row in bad) else
        "correct the rows: columns image,concept,answer with yes or no"
    ]
    if any("no picture" in row for row in bad):
        ways.append("collect the pictures first")
    if any("not in the taxonomy" in row for row in bad):
        ways.append("pictus taxonomy add NAME")
    return ", or ".join(ways)


class _Sure(NamedTuple):
    """Pairs (image_id, concept_id) that are beyond doubt, and all pairs that anything at all speaks for."""

    yes: list[tuple[str, str]]
    no: list[tuple[str, str]]
    touched: dict[str, set[str]]  # image_id -> concepts

    def met(self) -> tuple[dict[str, Counter[str]], dict[str, set[str]]]:
        """By concept: which others show what was found not to be it, and which were found beside it."""
        shows: dict[str, list[str]] = {}
        for image_id, concept_id in self.yes:
            shows.setdefault(image_id, []).append(concept_id)
        taken_for: dict[str, Counter[str]] = {}
        for image_id, concept_id in self.no:
            taken_for.setdefault(concept_id, Counter()).update(shows.get(image_id, ()))
        beside: dict[str, set[str]] = {}
        for concepts in shows.values():
            for one in concepts if len(concepts) > 1 else ():
                beside.setdefault(one, set()).update(concepts)
        return taken_for, beside


def _of_settled(project: Project, taxonomy: Taxonomy, settled: float, many: int) -> list[Known]:
    """For each concept up to `many` yes and `many` no, in the order of image_id."""
    sure = _sure(project, settled)
    have = _gold_counts(project)
    yes: dict[str, list[str]] = {}
    no: dict[str, list[str]] = {}
    for by_concept, pairs in ((yes, sure.yes), (no, sure.no)):
        for image_id, concept_id in sorted(pairs):
            by_concept.setdefault(concept_id, []).append(image_id)
    found: list[Known] = []
    asked = _asked_concepts(project)
    taken_for, beside = sure.met()
    for concept_id in sorted(asked & set(taxonomy.concepts)):
        left = {answer: max(0, many - have.get((concept_id, answer), 0)) for answer in ("yes", "no")}
        source = f"settled {settled:g}"
        found += [Known(concept_id, one, "yes", source) for one in yes.get(concept_id, [])[: left["yes"]]]
        nos = [Known(concept_id, one, "no", source) for one in no.get(concept_id, [])[: left["no"]]]
        if len(nos) < left["no"]:
            others = _near(taxonomy, concept_id, taken_for.get(concept_id, Counter()), beside.get(concept_id, set()))
            nos += _of_others(taxonomy, concept_id, {one: yes[one] for one in others if one in yes}, sure.touched,
                              left["no"] - len(nos))  # fmt: skip
        found += nos
    return found


def _near(
    taxonomy: Taxonomy, concept_id: str, taken_for: Mapping[str, int], beside: Collection[str]
) -> list[str]:  # fmt: skip
    """Concepts that somebody could take for this one, the likeliest first; none that is ever seen beside it: who says
    yes to a fork on a picture of a spoon may be right.
    """
    found = alike(taxonomy, concept_id, NEAR, confused=taken_for, only_near=True)
    return [
        one for one in found
        if one not in beside and (one in taken_for or is_near(taxonomy, concept_id, one))
    ]  # fmt: skip


def _of_others(
    taxonomy: Taxonomy, concept_id: str, others: Mapping[str, list[str]], touched: Mapping[str, set[str]], many: int
) -> list[Known]:
    """Pictures surely of other concepts, of each one at a time, so that the controls are mixed.

    A picture may show several things, so none that anything at all claims, suspects or has asked of this concept or
    its relatives is taken.
    """
    kin = {concept_id, *taxonomy.ancestors(concept_id), *taxonomy.descendants(concept_id)}
    found: list[Known] = []
    for turn in range(many):
        for other, pictures in others.items():
            if turn < len(pictures) and len(found) < many and not touched.get(pictures[turn], set()) & (
                kin - taxonomy.ancestors(other)
            ):
                found.append(Known(concept_id, pictures[turn], "no", f"control: surely {taxonomy.name(other)}"))
    return found


def _sure(project: Project, settled: float) -> _Sure:
    tables = project.tables
    if tables.count("presences"):
        rows = tables.read("presences", ["image_id", "concept_id", "posterior", "n_votes", "status", "method"])
        is_told = pc.or_(pc.greater_equal(rows.column("n_votes"), PERSONS), pc.equal(rows.column("method"), "ruling"))
        rows = rows.filter(is_told)
    else:
        rows = tables.read("labels", ["image_id", "concept_id", "posterior", "n_votes", "status"])
        rows = rows.filter(pc.greater_equal(rows.column("n_votes"), PERSONS + 1))  # a list may be one of them
    high = rows.filter(pc.and_(
        pc.equal(rows.column("status"), "accepted"), pc.greater_equal(rows.column("posterior"), settled)
    ))  # fmt: skip
    low = rows.filter(pc.and_(
        pc.equal(rows.column("status"), "rejected"), pc.less_equal(rows.column("posterior"), 1 - settled + 1e-12)
    ))  # fmt: skip
    touched: dict[str, set[str]] = {}
    for pairs in _mentions(project):
        for image_id, concept_id in zip(*(column.to_pylist() for column in pairs.columns), strict=True):
            touched.setdefault(image_id, set()).add(concept_id)
    for image_id, concept_id in twin_steps.beside_known(project, or_open=True):
        touched.setdefault(image_id, set()).add(concept_id)
    expert_yes, expert_no = _audited(project)
    gone = set(dropped(project).to_pylist()) | shown_steps.seen(project)
    kept = (pair for pair in _pairs(high) if pair[0] not in gone)
    refused = (pair for pair in _pairs(low) if pair[0] not in gone)
    ruled_out = set(expert_no) | {pair for pair in expert_yes if pair[0] in gone}
    yes = sorted({*kept, *expert_yes} - ruled_out)
    no = sorted({pair for pair in {*refused, *expert_no} if pair[0] not in gone} - set(expert_yes))
    apart = twin_steps.apart(project, [*yes, *no])
    return _Sure([one for one in yes if one not in apart], [one for one in no if one not in apart], touched)


def _audited(project: Project) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Pairs of which every expert of an audit says that the picture shows it, and that it does not."""
    query = sa.text(
        "SELECT image_id, concept_id, annotator, answer FROM answers WHERE kind = :kind ORDER BY answer_id"
    )
    said: dict[tuple[str, str], dict[str, str]] = {}
    with project.journal.reading() as connection:
        for row in connection.execute(query, {"kind": AUDIT}):
            said.setdefault((row.image_id, row.concept_id), {})[row.annotator] = row.answer
    yes = [pair for pair, answers in said.items() if set(answers.values()) <= {BEST, PRESENT}]
    no = [pair for pair, answers in said.items() if set(answers.values()) == {NO}]
    return yes, no


def _mentions(project: Project) -> list[pa.Table]:
    """Everything that says a picture may show a concept: claims, suspicions, settled labels, questions answered yes."""
    tables, columns = project.tables, ["image_id", "concept_id"]
    found = [tables.read("sources", columns, where="concept_id != ''"), tables.read("labels", columns)]
    found.append(tables.read("relevance", ["image_id", "suspect_id"], where="suspect_id != ''"))
    found += [tables.read("presences", columns), tables.read("suspects", ["image_id", "suggested_id"])]
    votes = project.journal.votes()
    concept = pc.if_else(pc.equal(votes.column("question"), ""), votes.column("answer"), votes.column("question"))
    found.append(pa.table({"image_id": votes.column("image_id"), "concept_id": concept}))
    return found


def _pairs(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(rows.column("image_id").to_pylist(), rows.column("concept_id").to_pylist(), strict=True))


def _asked_concepts(project: Project) -> set[str]:
    with project.journal.reading() as connection:
        return set(connection.execute(sa.text("SELECT concept_id FROM heaps WHERE kind = 'grid'")).scalars())


def _gold_counts(project: Project) -> dict[tuple[str, str], int]:
    query = sa.text(
        "SELECT concept_id, known, count(*) AS n FROM questions WHERE kind = 'grid' AND known <> ''"
        " GROUP BY concept_id, known"
    )
    with project.journal.reading() as connection:
        return {(row.concept_id, row.known): int(row.n) for row in connection.execute(query)}


def _without_gold(project: Project, taxonomy: Taxonomy) -> list[str]:
    """Concepts that are asked about and lack a known yes or a known no."""
    have = _gold_counts(project)
    return sorted(
        one for one in _asked_concepts(project) & set(taxonomy.concepts)
        if not (have.get((one, "yes")) and have.get((one, "no")))
    )  # fmt: skip


def _lacking(project: Project, taxonomy: Taxonomy, without: Sequence[str]) -> list[str]:
    """Which concepts nobody can be tried by, and which by known yes alone."""
    have = _gold_counts(project)
    no_yes = [one for one in without if not have.get((one, "yes"))]
    no_no = [one for one in without if have.get((one, "yes"))]
    lines = []
    for words, concepts in (("without a known yes", no_yes), ("with known yes alone", no_no)):
        if concepts:
            names = ", ".join(taxonomy.called(one) for one in concepts[:5])
            more = ", …" if len(concepts) > 5 else ""  # noqa: PLR2004  a line's worth
            lines.append(f"{words}: {counted(len(concepts), 'concept')} ({names}{more})")
    if no_no:
        lines[-1] += "; a known no comes with what is settled as no, or from an expert's file"
    return lines
