"""`annotate unplan`: take questions out of the queue again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pictus.annotate.queues import queue_rows
from pictus.annotate.queues.plan_steps import Planned
from pictus.annotate.tasks import KINDS
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, counted
from pictus.project import Project
from pictus.registry import Outcome, step

SHOWN = 5


@step("annotate unplan", changes=True)
def unplan(project: Project, *, concept: tuple[str, ...] = (), kind: str = "") -> Outcome[Planned]:
    """Take questions out of the queue: nobody is asked them any more. Answers that were given stay.

    What somebody holds now stays until it is answered. A plan that names the concept puts its questions back, and one
    of a kind that was taken out as a whole those of that kind; any other plan leaves them out, and adds what is new.

    concept: only these, by id or name; all when left out
    kind: only this kind: `grid`, `box`, `mask`, `points`, `audit` and others; all kinds when left out

    Examples:
        pictus annotate unplan --kind points
        pictus annotate unplan --concept goldfish
    """
    if not concept and not kind:
        raise UserError("Say what to take out.", fix="pictus annotate unplan --kind points    or    --concept owl")
    kinds = [KINDS.get(kind).name] if kind else list(KINDS.names())
    taxonomy = load_taxonomy(project)
    chosen = frozenset(taxonomy.resolve(one) for one in concept)
    reason = queue_rows.TAKEN_OUT if chosen else queue_rows.TAKEN_OUT_WHOLE

    def why(found: Sequence[queue_rows.Open]) -> list[str]:
        return [reason if not chosen or one.concept_id in chosen else "" for one in found]

    with project.lock("annotate-plan"), project.progress.track("taking out", None):
        taken = {one: queue_rows.park(project.journal, one, why)[reason] for one in kinds}
        for one in kinds:
            if taken[one]:
                queue_rows.sum_up(project.journal, one, {})
        held, people = _held(project, kinds, chosen)
        left = [
            Planned(one, heap.concept_id, taxonomy.called(heap.concept_id), *heap[1:])
            for one in kinds for heap in queue_rows.heaps_of(project.journal, one)
        ]  # fmt: skip
        summary: dict[str, Any] = {
            "taken_out": sum(taken.values()), "kinds": {one: many for one, many in taken.items() if many},
            "held": held, "held_by": people, "waiting": sum(heap.waiting for heap in left),
        }  # fmt: skip
        project.journal.log("annotate", "questions_taken_out", ", ".join(sorted(chosen))[:500] or kind, **summary)
    typed = [shlex.quote(_typed(taxonomy, one)) for one in sorted(chosen)[:3]]
    back = "pictus annotate plan" + "".join(f" --concept {one}" for one in typed)
    still = f"{counted(held, 'question')} that {_and(people)} now: still asked, on pages that are out"
    return Outcome(
        "annotate unplan", summary,
        f"{counted(summary['taken_out'], 'question')} taken out; {summary['waiting']:,} still "
        + ("waits" if summary["waiting"] == 1 else "wait") + f"; what was answered stays, and {back} puts them back",
        (still,) if held else (), ("pictus annotate queue",), lambda: iter(left),
    )  # fmt: skip


def _typed(taxonomy: Taxonomy, concept_id: str) -> str:
    """What somebody would type for a concept: its name where that is enough."""
    name = taxonomy.name(concept_id)
    return name if taxonomy.find(name) == (concept_id,) else concept_id


def _and(people: Sequence[str]) -> str:
    """Whose they are, in words."""
    some = ", ".join(people[:SHOWN]) + (", …" if len(people) > SHOWN else "")
    return f"{some} {'holds' if len(people) == 1 else 'hold'}" if people else "somebody holds"


def _held(project: Project, kinds: Sequence[str], chosen: frozenset[str]) -> tuple[int, list[str]]:
    """Open questions that are lent, and who has them."""
    query = sa.text(
        "SELECT concept_id, count(*) AS n FROM questions WHERE kind IN :kinds AND state = 'open' AND leases > 0"
        " GROUP BY concept_id"
    ).bindparams(sa.bindparam("kinds", expanding=True))
    whose = sa.text(
        "SELECT DISTINCT p.annotator, q.concept_id FROM pages p JOIN page_items i ON i.page_id = p.page_id"
        " JOIN questions q ON q.question_id = i.question_id"
        " WHERE p.state = 'leased' AND p.kind IN :kinds AND i.role = 'ask' AND q.state = 'open'"
    ).bindparams(sa.bindparam("kinds", expanding=True))
    with project.journal.reading() as connection:
        found = connection.execute(query, {"kinds": list(kinds)}).all()
        people = connection.execute(whose, {"kinds": list(kinds)}).all()
    held = sum(int(row.n) for row in found if not chosen or row.concept_id in chosen)
    return held, sorted({row.annotator for row in people if not chosen or row.concept_id in chosen})
