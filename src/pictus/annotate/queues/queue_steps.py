"""`annotate queue` shows what will be asked next and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from pictus.annotate.queues import effort, effort_steps
from pictus.annotate.tasks import KINDS
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, counted
from pictus.journey import first_command
from pictus.project import Project
from pictus.registry import Outcome, step

SHOWN = 10
GRID = "grid"


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
    if most < 0:
        raise UserError(f"--most {most} is less than none.", fix="pictus annotate queue --most 20")
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
        "cost": round(paid.of(effort.HOUR_S * sum(hours)), 4) if paid and hours else None,
    }  # fmt: skip
    return Outcome(
        "annotate queue", summary, _queue_headline(summary, heaps, effort.words(works, paid), most or SHOWN),
        next=("pictus annotate serve",) if heaps else ("pictus annotate plan",), source=lambda: iter(heaps),
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
        hours = None if seconds is None else round(int(row.expected) * seconds / effort.HOUR_S, 3)
        name = taxonomy.called(heap.concept_id)
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
