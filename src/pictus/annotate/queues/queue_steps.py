"""`annotate queue` shows what will be asked next and why; `annotate gold` marks answers that are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus.annotate.exchange.entries import entries_of
from pictus.annotate.exchange.references import resolve
from pictus.annotate.exchange.vote_files import read_answers
from pictus.annotate.queues import effort, effort_steps, queue_rows, shown_steps
from pictus.annotate.queues.audits import AUDIT, BEST, NO, PRESENT
from pictus.annotate.tasks import KINDS
from pictus.annotate.truth.questions import SOURCE_PREFIX
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, bad_rows, counted
from pictus.journey import first_command
from pictus.lookalikes import alike, is_near
from pictus.project import Project
from pictus.registry import Outcome, step

SHOWN = 10
GRID = "grid"
SURE = 0.999
"""Posterior from which a settled answer may stand for a known one."""
NEAR = 16
"""Concepts, the likeliest, that a known no may come from."""
PERSONS = 2
"""Of whom two must have said so: a posterior of a list alone says what the list said."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One heap: what will be asked about one concept, and how much work it is at the pace so far."""

    kind: str
    concept_id: str
    name: str
    state: str  # open, or why the desk does not ask it now
    waiting: int  # open questions
    priority: float
    reason: str
    votes: int  # answers so far
    decided: int  # questions that are closed
    expected: int  # further answers expected
    hours: float | None  # for these at the median pace of this kind; None where nobody has worked yet
    gold: int  # questions whose answer is known


@dataclass(frozen=True, slots=True)
class Known:
    """A question whose answer is known beforehand."""

    concept_id: str
    image_id: str
    answer: str  # yes | no
    source: str  # whose word that is


@step("annotate queue", changes=False)
def queue(project: Project, *, kind: str = "", most: int = 0, pay: str = "") -> Outcome[Waiting]:
    """What will be asked next, and why: every heap with its priority, reason, votes so far and hours expected.

    Times are at the median pace of all people, kind by kind; nobody's pace is known before somebody has worked.

    kind: only this kind of question
    most: only the first so many heaps; 0 counts them all, of which the text lists the first 10 and --jsonl every one
    pay: what an hour is paid, to tell what the rest costs: 15, or with a currency as you type it

    Examples:
        pictus annotate queue
        pictus annotate queue --kind box --jsonl
        pictus annotate queue --pay "15 EUR"
    """
    paid = effort.pay_of(pay)
    if not project.tables.count("images"):
        raise UserError("There are no pictures in this project yet.", fix=first_command(project, "pictures"))
    works = effort_steps.works(project, kind)
    heaps = _heaps(project, load_taxonomy(project), kind, works)
    heaps = heaps[:most] if most else heaps
    hours = [heap.hours for heap in heaps if heap.hours is not None]
    by_kind = Counter[str]()
    for heap in heaps:
        by_kind[heap.kind] += heap.waiting
    summary: dict[str, Any] = {
        "waiting": sum(heap.waiting for heap in heaps), "heaps": len(heaps), "kinds": dict(by_kind),
        "votes": sum(heap.votes for heap in heaps), "decided": sum(heap.decided for heap in heaps),
        "expected": sum(heap.expected for heap in heaps), "hours": round(sum(hours), 2) if hours else None,
        "pace": {
            work.kind: {"seconds": round(work.pace_s, 3), "answers": work.answers, "people": work.people}
            for work in works if work.pace_s is not None
        },
        "cost": round(paid.of(3600 * sum(hours)), 4) if paid and hours else None,
    }  # fmt: skip
    return Outcome(
        "annotate queue", summary, _queue_headline(summary, heaps, effort.words(works, paid), most or SHOWN),
        next=("pictus annotate serve",) if heaps else ("pictus annotate plan",), source=lambda: iter(heaps),
    )  # fmt: skip


@step("annotate gold", changes=True)
def gold(
    project: Project, files: tuple[Path, ...] = (), *, settled: float = 0.0, many: int = 5, question: str = "",
) -> Outcome[Known]:  # fmt: skip
    """Mark questions whose answer is known, so that the desk can mix them in and see who looks.

    From an expert's file (image, concept, yes or no), or from what is settled beyond doubt: a yes is a picture of the
    concept whose posterior reaches --settled with two persons' votes, or a reviewer's or auditor's word; a no one that
    was settled so, else as sure a picture of a concept that is near, never claimed or suspected to be this one. Where
    nothing is near there is no other no: one that stands out would be known for a control. Once people are at work,
    what they may have seen as examples is left out: one that vanished from there would be known.

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
    if settled and not 0.9 <= settled <= 1:  # noqa: PLR2004  below that one in ten would be wrong
        raise UserError(f"--settled {settled:g} is not between 0.9 and 1.", fix=f"--settled {SURE}")
    taxonomy = load_taxonomy(project)
    with project.lock("annotate-plan"):
        if files:
            found = _of_files(project, taxonomy, files, question)
        else:
            found = _of_settled(project, taxonomy, settled, many)
        marked = _marked(project, found)
        without = _without_gold(project, taxonomy)
        summary: dict[str, Any] = {
            "known": len(found), "marked": marked, "yes": sum(one.answer == "yes" for one in found),
            "no": sum(one.answer == "no" for one in found), "without": without[:1000],
            "concepts_without": len(without),
        }  # fmt: skip
        subject = ", ".join(path.name for path in files)[:500] or f"settled {settled:g}"
        project.journal.log("annotate", "gold_marked", subject, **summary)
    problems = _lacking(project, taxonomy, without)
    if settled and not found:
        problems.append("only what two persons or a reviewer have said is sure enough: begin with a file of an expert;"
                        " what people may have seen as examples is left out")  # fmt: skip
    return Outcome(
        "annotate gold", summary,
        f"{counted(len(found), 'known answer')}: {summary['yes']:,} yes, {summary['no']:,} no; {marked:,} newly marked",
        tuple(problems), ("pictus annotate serve" if found else "pictus annotate gold expert.csv",),
        lambda: iter(found),
    )  # fmt: skip


def _heaps(project: Project, taxonomy: Taxonomy, kind: str, works: Sequence[effort.Work]) -> list[Waiting]:
    sums = sa.text(
        "SELECT kind, concept_id, sum(votes) AS votes, sum(CASE WHEN state = 'open' THEN 1 ELSE 0 END) AS waiting,"
        " sum(CASE WHEN state IN ('accepted', 'rejected', 'undecided') AND known = '' THEN 1 ELSE 0 END) AS decided,"
        " sum(CASE WHEN state = 'open' AND wanted > votes THEN wanted - votes WHEN state = 'open' THEN 1 ELSE 0 END)"
        " AS expected, sum(CASE WHEN known <> '' THEN 1 ELSE 0 END) AS gold FROM questions GROUP BY kind, concept_id"
    )
    query = sa.text("SELECT kind, concept_id, state, priority, reason FROM heaps")
    with project.journal.reading() as connection:
        counts = {(row.kind, row.concept_id): row for row in connection.execute(sums)}
        heaps = connection.execute(query).all()
    pace = {work.kind: work.pace_s for work in works}
    found = []
    for heap in heaps:
        row = counts.get((heap.kind, heap.concept_id))
        if row is None or (kind and heap.kind != kind):
            continue
        seconds = pace.get(heap.kind)
        hours = None if seconds is None else round(int(row.expected) * seconds / 3600, 3)
        name = taxonomy.name(heap.concept_id) if heap.concept_id in taxonomy else heap.concept_id
        found.append(Waiting(
            heap.kind, heap.concept_id, name, heap.state, int(row.waiting), float(heap.priority), heap.reason,
            int(row.votes), int(row.decided), int(row.expected), hours, int(row.gold),
        ))  # fmt: skip
    return sorted(found, key=lambda one: (not one.waiting, one.state != "open", -one.priority, one.kind, one.name))


def _queue_headline(summary: Mapping[str, Any], heaps: Sequence[Waiting], rest: Sequence[str], shown: int) -> str:
    if not heaps:
        return "nothing waits to be asked"
    waiting = f"{counted(summary['waiting'], 'question')} waiting in {counted(len(heaps), 'heap')}"
    decided = f"{counted(summary['votes'], 'answer')} so far decided {summary['decided']:,}"
    lines = [f"{waiting}; {decided}; {summary['expected']:,} more expected", *rest]
    rows = _together(heaps)
    for heap in rows[:shown]:
        about = heap.name if heap.kind == GRID else f"{heap.name} ({heap.kind})"
        state = "" if heap.state == "open" else f" [{heap.state}]"
        lines.append(f"  {heap.priority:6.2f}  {about}{state}  {heap.waiting:,}: {heap.reason}")
    if len(rows) > shown:
        lines.append(f"  … and {counted(len(rows) - shown, 'more heap')}: --most {len(heaps)} lists them too")
    return "\n".join(lines)


def _together(heaps: Sequence[Waiting]) -> list[Waiting]:
    """Heaps as a text lists them: those of a kind whose pages ask about several concepts as one, at the first."""
    rows: dict[tuple[str, str, str], list[Waiting]] = {}
    for heap in heaps:
        mixes = heap.waiting and heap.kind in KINDS.names() and KINDS.get(heap.kind).mixes
        rows.setdefault((heap.kind, heap.state, "" if mixes else heap.concept_id), []).append(heap)
    return [
        replace(found[0], name=f"{len(found):,} concepts", waiting=sum(one.waiting for one in found))
        if len(found) > 1 else found[0] for found in rows.values()
    ]  # fmt: skip


def _of_files(project: Project, taxonomy: Taxonomy, files: Sequence[Path], question: str) -> list[Known]:
    """What experts say; or one UserError for every row that says neither yes nor no of a picture and a concept."""
    asked = taxonomy.resolve(question) if question else ""
    read = [read_answers(path, question=asked) for path in files]
    sources = project.tables.read("sources", ["address", "image_id"])
    pairs = list(zip(sources.column("address").to_pylist(), sources.column("image_id").to_pylist(), strict=True))
    texts = {text for answers in read for text in answers.image.to_pylist()}
    pictures = resolve(texts, frozenset(project.tables.ids("images")), pairs)
    found: dict[tuple[str, str], Known] = {}
    bad: list[str] = []
    for path, answers in zip(files, read, strict=True):
        entries = entries_of(answers, taxonomy, pictures, SOURCE_PREFIX + path.name)
        problems = {**entries.unknown_pictures, **entries.bad_rows}
        bad += [f"{answers.place(number)}: {why}" for number, why in sorted(problems.items())]
        for row in entries.votes.to_pylist():
            concept_id, answer = (row["question"], row["answer"]) if row["question"] else (row["answer"], "yes")
            if answer not in ("yes", "no"):
                bad.append(f"{path.name}: an answer that is {answer} is not known")
                continue
            key = (concept_id, row["image_id"])
            if key in found and found[key].answer != answer:
                bad.append(f"{path.name}: both yes and no for {row['image_id'][:12]} and {concept_id}")
            found[key] = Known(concept_id, row["image_id"], answer, path.name)
    if bad:
        raise bad_rows(", ".join(path.name for path in files), bad, fix=_ways_on(bad))
    return [found[key] for key in sorted(found)]


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
    dropped = tables.read("verdicts", ["image_id"], where="verdict = 'drop'").column("image_id")
    rows = rows.filter(pc.invert(pc.is_in(rows.column("image_id"), value_set=dropped.combine_chunks())))
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
    expert_yes, expert_no = _audited(project)
    gone = set(dropped.to_pylist()) | shown_steps.seen(project)
    kept = (pair for pair in _pairs(high) if pair[0] not in gone)
    refused = (pair for pair in _pairs(low) if pair[0] not in gone)
    ruled_out = set(expert_no) | {pair for pair in expert_yes if pair[0] in gone}
    yes = sorted({*kept, *expert_yes} - ruled_out)
    no = sorted({pair for pair in {*refused, *expert_no} if pair[0] not in gone} - set(expert_yes))
    return _Sure(yes, no, touched)


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
            names = ", ".join(taxonomy.name(one) if one in taxonomy else one for one in concepts[:5])
            more = ", …" if len(concepts) > 5 else ""  # noqa: PLR2004  a line's worth
            lines.append(f"{words}: {counted(len(concepts), 'concept')} ({names}{more})")
    if no_no:
        lines[-1] += "; a known no comes with what is settled as no, or from an expert's file"
    return lines


def _marked(project: Project, found: Sequence[Known]) -> int:
    """Set what is known -> how many that is news of. Questions that somebody holds now are left for the next time."""
    put = sa.text(
        "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes, leases, wanted,"
        " posterior, score, fold, known) VALUES ('grid', :concept_id, :image_id, 0, :state, 0, :reason, 0, 0, 1,"
        " :posterior, 0, '', :answer) ON CONFLICT (kind, concept_id, image_id, mark_id) DO UPDATE SET"
        " known = excluded.known, state = excluded.state, posterior = excluded.posterior, reason = excluded.reason"
        " WHERE questions.leases = 0 AND questions.known <> excluded.known"
    )
    marked = 0
    # PostgreSQL locks each row: one at a time, so that a plan and a desk never wait for each other in a circle
    chunk = 1 if project.journal.engine.dialect.name == "postgresql" else queue_rows.CHUNK
    for start in range(0, len(found), chunk):
        with project.journal.transaction() as connection:
            for one in found[start : start + chunk]:
                is_yes = one.answer == "yes"
                marked += connection.execute(put, {
                    "concept_id": one.concept_id, "image_id": one.image_id, "answer": one.answer,
                    "state": "accepted" if is_yes else "rejected", "posterior": float(is_yes),
                    "reason": f"known: {one.source}"[:200],
                }).rowcount  # fmt: skip
    queue_rows.sum_up(project.journal, GRID, {})
    return marked
