"""`annotate plan`: one queue of questions with visible reasons, made from everything the project knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pictus.annotate.queues import evidence, priorities, queue_rows, twin_steps
from pictus.annotate.queues.candidate_steps import Facts, drawn_facts, grid_facts
from pictus.annotate.queues.priorities import Bools, Floats, Ints
from pictus.annotate.shapes import shape_steps
from pictus.annotate.shapes.box_loop import BOX, LOOP
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import UserError, counted
from pictus.journey import TAXONOMY, first_command
from pictus.progress import Meter
from pictus.project import Project
from pictus.registry import Outcome, step

ENOUGH = 500
"""Accepted pictures from which a concept is no longer starving: the least that ImageNet aimed at (Deng et al. 2009)."""

VOTES = 3
"""Votes a grid question is expected to need before any rule has seen one: ImageNet's average."""

DRAWN = ("box", "mask", "points")
"""Kinds that draw."""

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Planned:
    """One heap after planning: what will be asked about one concept, and why."""

    kind: str
    concept_id: str
    name: str
    waiting: int  # open questions
    priority: float  # mean of its best page
    reason: str


@step("annotate plan", changes=True)
def plan(
    project: Project, *, concept: tuple[str, ...] = (), kind: Literal["grid", "box", "mask", "points"] = "grid",
    most: int = 0, enough: int = ENOUGH, starving: bool = False, labels: Literal["one", "many"] = "one",
) -> Outcome[Planned]:  # fmt: skip
    """Fill the queue of questions: claims nobody has checked, starving concepts, doubts, suspects, cases of production.

    Every question's priority is a sum of stated parts, and its reason names them. Planning again adjusts what is
    open and adds what is new; nothing is doubled, and pages that are out stay as they are.

    concept: only these, by id or name
    kind: what to ask: `grid` (is it one?), or to draw: `box`, `mask`, `points` on accepted pictures
    most: so many questions of each concept at most, the highest first; 0 for all
    enough: a concept with fewer accepted pictures is starving
    starving: only concepts that are starving
    labels: `many` asks every picture from the top of the tree down, instead of what was claimed of it

    Examples:
        pictus annotate plan
        pictus annotate plan --concept owl --most 500
        pictus annotate plan --starving --enough 1000
        pictus annotate plan --kind box
    """
    taxonomy = _checked(project, kind, labels, most, enough)
    chosen = tuple(dict.fromkeys(taxonomy.resolve(one) for one in concept))
    with project.lock("annotate-plan"), project.progress.track("planning", None) as meter:
        meter.say("reading what is known")
        back = sum(queue_rows.put_back(project.journal, one, chosen) for one in _loop(kind))
        facts = drawn_facts(project, taxonomy, chosen, kind) if kind in DRAWN else grid_facts(
            project, taxonomy, chosen, many=labels == "many"
        )  # fmt: skip
        choice = _Choice(kind, most, enough, starving)
        stored, reopened, parked, heaps = _planned(project, taxonomy, facts, choice, meter)
        if kind == BOX:  # proposals to be verified, and what else their loops lack
            stored = stored._replace(added=stored.added + shape_steps.ask_on(project, chosen))
            heaps = [heap for one in LOOP for heap in _summed_up(project, taxonomy, one, {})]
        heaps = [heap for heap in heaps if not chosen or heap.concept_id in chosen]
        waiting = sum(heap.waiting for heap in heaps)
        summary: dict[str, Any] = {
            "kind": kind, "added": stored.added, "changed": stored.changed, "reopened": reopened, "put_back": back,
            "parked": parked[queue_rows.GONE], "answered": parked[queue_rows.ANSWERED],
            "twins": parked[queue_rows.TWIN],
            "waiting": waiting, "concepts": len({heap.concept_id for heap in heaps}), "enough": enough,
            "weights": priorities.WEIGHTS,
        }  # fmt: skip
        project.journal.log("annotate", "questions_planned", ", ".join(chosen)[:500], **summary)
    problems = facts.notes if waiting else (*facts.notes, *_nothing(project, kind))
    return Outcome(
        "annotate plan", summary, _headline(summary, heaps), problems,
        ("pictus annotate queue", "pictus annotate serve") if waiting else (), lambda: iter(heaps),
    )  # fmt: skip


class _Choice(NamedTuple):
    kind: str
    most: int
    enough: int
    starving: bool


def _planned(
    project: Project, taxonomy: Taxonomy, facts: Facts, choice: _Choice, meter: Meter
) -> tuple[queue_rows.Stored, int, Counter[str], list[Planned]]:
    """Put the candidates into the queue -> what changed, questions asked again, parked for which reason, the heaps."""
    kind, world = choice.kind, facts.world
    done = "accepted" if kind not in DRAWN else "drawn"
    lacks = f"{done} so far" if choice.enough == ENOUGH else f"of {choice.enough:,} {done}"  # nobody named a number
    names = [taxonomy.name(one) for one in world.concepts]
    meter.say("weighing")
    found = priorities.priorities(facts.evidence, names, choice.enough, lacks)
    twins = _twins(project, facts) if kind == "grid" else np.zeros(0, np.int64)
    is_asked = ~facts.is_closed | _is_doubted(facts) | np.isin(facts.keys, facts.begun)
    asked = np.flatnonzero(is_asked & ~np.isin(facts.keys, twins))
    if choice.starving:
        is_starving = facts.evidence.accepted_C[facts.evidence.concept_R[asked]] < choice.enough
        asked = asked[is_starving]
    asked = _highest(facts.evidence.concept_R[asked], found.priority_R[asked], asked, choice.most)
    rows = _rows(project, facts, found, asked, VOTES if kind == "grid" else 1)
    meter.say(f"writing {counted(rows.num_rows, 'question')}")
    stored = queue_rows.put(project.journal, kind, rows, meter.advance)
    reopened = _reopened(project, facts, found, kind)
    parked = _parked(project, facts, kind, twins)
    by_concept: dict[str, str] = {}
    for number, members in _groups(facts.evidence.concept_R[asked]):
        reason = priorities.heap_reason(facts.evidence, asked[members], choice.enough, lacks)
        by_concept[world.concepts[number]] = reason
    meter.say("summing up")
    return stored, reopened, parked, _summed_up(project, taxonomy, kind, by_concept)


def _summed_up(project: Project, taxonomy: Taxonomy, kind: str, reasons: Mapping[str, str]) -> list[Planned]:
    """The heaps of one kind, brought up to date, the highest first."""
    found = queue_rows.sum_up(project.journal, kind, reasons)
    return [Planned(kind, heap.concept_id, taxonomy.called(heap.concept_id), *heap[1:]) for heap in found]


def _highest(concept_A: Ints, priority_A: Floats, asked: Ints, most: int) -> Ints:
    """The rows to ask in the order they are put in: by concept, the highest priority first, `most` of each."""
    order = np.lexsort((asked, -priority_A, concept_A))
    if most:
        concept = concept_A[order]
        starts = np.searchsorted(concept, concept, side="left")
        order = order[np.arange(order.size) - starts < most]
    ordered: Ints = asked[order]
    return ordered


def _rows(project: Project, facts: Facts, found: priorities.Priorities, asked: Ints, wanted: int) -> pa.Table:
    world, known = facts.world, facts.evidence
    concept_A, image_A = known.concept_R[asked], world.pairs(facts.keys[asked])[1]
    folds = evidence.folds_of(world, project.tables.read("duplicates", ["image_id", "group_id"]))
    fold = pa.array([folds.get(image, "") for image in image_A.tolist()], pa.string()) if folds else pa.repeat(
        pa.scalar("", pa.string()), asked.size
    )  # fmt: skip
    score = np.nan_to_num(known.score_R[asked], nan=0.0)
    posterior = np.where(np.isnan(known.posterior_R[asked]), np.where(score > 0, score, 0.5), known.posterior_R[asked])
    columns = {
        "concept_id": pa.array(list(world.concepts), pa.string()).take(pa.array(concept_A)),
        "image_id": world.images.take(pa.array(image_A)),
        "mark_id": np.zeros(asked.size, np.int64), "priority": found.priority_R[asked],
        "reason": _reasons(facts, found, asked),
        "wanted": np.full(asked.size, wanted, np.int32), "posterior": posterior, "score": np.round(score, 6),
        "fold": fold,
    }  # fmt: skip
    return pa.table(columns, schema=queue_rows.SCHEMA)


def _reasons(facts: Facts, found: priorities.Priorities, rows: Ints) -> pa.Array:
    """Why each of these rows is asked; what is asked again for being left open says so first."""
    reasons = pa.array(found.reasons, pa.string()).take(pa.array(found.reason_R[rows]))
    for mark, is_left in facts.again.items():
        reasons = pc.if_else(pa.array(is_left[rows]), pc.binary_join_element_wise(mark, reasons, " "), reasons)
    return reasons


def _reopened(project: Project, facts: Facts, found: priorities.Priorities, kind: str) -> int:
    """What was decided and is doubted since is asked again, once for each cause of doubt."""
    opened = 0
    doubted = {mark: facts.is_closed & is_doubted for mark, is_doubted in _doubted(facts).items()}
    for mark, is_again in (doubted | dict(facts.again)).items():
        rows = np.flatnonzero(is_again)
        concept, image = facts.world.pairs(facts.keys[rows])
        again = [
            (facts.world.concepts[one], facts.world.images[at].as_py(), float(found.priority_R[row]), reason)
            for row, one, at, reason in zip(
                rows.tolist(), concept.tolist(), image.tolist(), _reasons(facts, found, rows).to_pylist(), strict=True
            )
        ]  # fmt: skip
        opened += queue_rows.reopen(project.journal, kind, again, mark) if again else 0
    return opened


def _doubted(facts: Facts) -> dict[str, Bools]:
    """Which candidates something speaks against, by the word of its reason."""
    return {"suspect:": ~np.isnan(facts.evidence.suspect_R), "production:": facts.evidence.is_drift_R}


def _is_doubted(facts: Facts) -> Bools:
    return np.asarray(np.any([*_doubted(facts).values()], axis=0), np.bool_)


def _twins(project: Project, facts: Facts) -> Ints:
    """Keys of the near-duplicates of known answers."""
    pairs = sorted(twin_steps.beside_known(project))
    images, concepts = (pa.array([pair[at] for pair in pairs], pa.string()) for at in (0, 1))
    return facts.world.keys(images, concepts)


def _parked(project: Project, facts: Facts, kind: str, twins: Ints) -> Counter[str]:
    """Put aside what need not be asked any more: pictures that were dropped, yes/no questions that were settled or
    ruled on without the desk; and near-duplicates of known answers. Where somebody voted at the desk its rule decides,
    unless there is a ruling.
    """
    world = facts.world
    answered = facts.keys[facts.is_closed & ~_is_doubted(facts) & (kind not in DRAWN)]

    def why(found: Sequence[queue_rows.Open]) -> list[str]:
        images = pa.array([one.image_id for one in found], pa.string())
        keys = world.keys(images, pa.array([one.concept_id for one in found], pa.string()))
        is_gone = world.image_numbers(images) < 0
        is_begun = np.array([one.votes > 0 for one in found], np.bool_)
        is_answered = np.isin(keys, answered) & (~is_begun | np.isin(keys, facts.ruled))
        is_twin = (keys >= 0) & np.isin(keys, twins)
        rest = np.where(is_twin, queue_rows.TWIN, np.where(is_answered, queue_rows.ANSWERED, ""))
        reasons = np.where(is_gone, queue_rows.GONE, rest)
        return list(map(str, reasons.tolist()))

    parked = Counter[str]()
    for one in _loop(kind):
        parked += queue_rows.park(project.journal, one, why)
    return parked


def _loop(kind: str) -> tuple[str, ...]:
    """The kind with those whose questions follow from its own."""
    return LOOP if kind == BOX else (kind,)


def _groups(concept_A: Ints) -> list[tuple[int, Ints]]:
    """(concept, positions) of each concept there is; `concept_A` ascending."""
    numbers, starts = np.unique(concept_A, return_index=True)
    ends = np.append(starts[1:], concept_A.size)[: numbers.size]
    return [(int(one), np.arange(start, end)) for one, start, end in zip(numbers, starts, ends, strict=True)]


def _checked(project: Project, kind: str, labels: str, most: int, enough: int) -> Taxonomy:
    taxonomy = load_taxonomy(project)
    if not len(taxonomy):
        raise UserError("There are no concepts to ask about yet.", fix=TAXONOMY)
    if not project.tables.count("images"):
        raise UserError("There are no pictures to ask about yet.", fix=first_command(project, "pictures"))
    if most < 0 or enough < 0:
        raise UserError(
            f"--most {most} and --enough {enough} must be 0 or more.", fix=f"pictus annotate plan --enough {ENOUGH}"
        )
    if labels == "many" and kind != "grid":
        raise UserError(f"--labels many asks yes or no; {kind} draws.", fix="pictus annotate plan --labels many")
    return taxonomy


def _nothing(project: Project, kind: str) -> tuple[str, ...]:
    if kind in DRAWN:
        return (f"no accepted picture is left to draw on; first: {first_command(project, 'labels')}",)
    if not project.tables.count("sources", "concept_id != ''"):
        ways = "pictus collect add FOLDER --by-folder, or pictus annotate import labels.csv, or --labels many"
        return (f"no picture claims a concept: {ways}",)
    return ("nothing is left to ask: every claim was decided by people",)


def _headline(summary: Mapping[str, Any], heaps: Sequence[Planned]) -> str:
    lines = [
        f"{counted(summary['waiting'], 'question')} waiting about {counted(summary['concepts'], 'concept')}: "
        f"{summary['added']:,} new, {summary['changed']:,} changed"
        + (f", {summary['reopened']:,} asked again" if summary["reopened"] else "")
        + (f", {summary['put_back']:,} put back" if summary["put_back"] else "")
        + (f", {summary['parked']:,} parked (their pictures were dropped)" if summary["parked"] else "")
        + (f", {summary['answered']:,} parked (settled or ruled on since)" if summary["answered"] else "")
        + (f", {summary['twins']:,} parked (near-duplicates of known answers)" if summary["twins"] else "")
    ]
    lines += [f"  {heap.priority:6.2f}  {heap.name}  {heap.waiting:,}: {heap.reason}" for heap in heaps[:SHOWN]]
    return "\n".join(lines)
