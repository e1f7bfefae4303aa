"""`annotate plan`: one queue of questions with visible reasons, made from everything the project knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus.annotate.queues import evidence, hierarchy, model_scores, priorities, queue_rows
from pictus.annotate.queues.evidence import World
from pictus.annotate.queues.priorities import Bools, Floats, Ints
from pictus.annotate.shapes import shape_steps, skeleton_steps
from pictus.annotate.shapes.box_loop import LOOP
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

DRAWN = {"box": "boxes", "mask": "masks", "points": "keypoints"}
"""Kinds that draw, and the table of what was drawn and accepted."""

MOST_FIRST = 20_000_000
"""First questions of many labels that are weighed at once: 3 GB."""

READ = 250_000
"""Open questions looked up at once: each time costs an index of all pictures."""

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


class Facts(NamedTuple):
    """The candidates (keys ascending) with their evidence, and what of them is decided."""

    world: World
    keys: Ints
    evidence: priorities.Evidence
    is_closed: Bools  # decided with a person's vote or a ruling
    notes: tuple[str, ...]
    begun: Ints = np.zeros(0, np.int64)  # keys of open questions that somebody holds, or answered at the desk
    again: Mapping[str, Bools] = {}  # what is asked again although the desk's rule was content: word of the reason


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
        back = sum(queue_rows.put_back(project.journal, one, chosen) for one in (LOOP if kind == "box" else (kind,)))
        facts = _drawn_facts(project, taxonomy, chosen, kind) if kind in DRAWN else _grid_facts(
            project, taxonomy, chosen, many=labels == "many"
        )  # fmt: skip
        choice = _Choice(kind, most, enough, starving)
        stored, reopened, parked, heaps = _planned(project, taxonomy, facts, choice, meter)
        if kind == "box":  # proposals to be verified, and what else their loops lack
            stored = stored._replace(added=stored.added + shape_steps.ask_on(project, chosen))
            heaps += [
                Planned(one, heap.concept_id, _name(taxonomy, heap.concept_id), *heap[1:])
                for one in LOOP if one != kind for heap in queue_rows.heaps_of(project.journal, one)
            ]  # fmt: skip
        heaps = [heap for heap in heaps if not chosen or heap.concept_id in chosen]
        waiting = sum(heap.waiting for heap in heaps)
        summary: dict[str, Any] = {
            "kind": kind, "added": stored.added, "changed": stored.changed, "reopened": reopened, "put_back": back,
            "parked": parked[queue_rows.GONE], "answered": parked[queue_rows.ANSWERED],
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
    asked = np.flatnonzero(~facts.is_closed | _is_doubted(facts) | np.isin(facts.keys, facts.begun))
    if choice.starving:
        is_starving = facts.evidence.accepted_C[facts.evidence.concept_R[asked]] < choice.enough
        asked = asked[is_starving]
    asked = _highest(facts.evidence.concept_R[asked], found.priority_R[asked], asked, choice.most)
    rows = _rows(project, facts, found, asked, VOTES if kind == "grid" else 1)
    meter.say(f"writing {counted(rows.num_rows, 'question')}")
    stored = queue_rows.put(project.journal, kind, rows, meter.advance)
    reopened = _reopened(project, facts, found, kind)
    parked = _parked(project, facts, kind)
    by_concept: dict[str, str] = {}
    for number, members in _groups(facts.evidence.concept_R[asked]):
        reason = priorities.heap_reason(facts.evidence, asked[members], choice.enough, lacks)
        by_concept[world.concepts[number]] = reason
    meter.say("summing up")
    heaps = queue_rows.sum_up(project.journal, kind, by_concept)
    planned = [
        Planned(kind, heap.concept_id, _name(taxonomy, heap.concept_id), heap.waiting, heap.priority, heap.reason)
        for heap in heaps
    ]
    return stored, reopened, parked, planned


def _grid_facts(project: Project, taxonomy: Taxonomy, chosen: Sequence[str], *, many: bool) -> Facts:
    world = _world(project, taxonomy, chosen)
    tables = project.tables
    said = evidence.votes_of_persons(world, project.journal.votes())
    settled = evidence.settled_of(world, _settled_rows(project), rulings(project))
    scores = model_scores.read(project, world)
    suspects = _suspects(project, world)
    drift, drift_notes = model_scores.production(project, world)
    there = _there(project, world)
    accepted_C = np.bincount(world.pairs(settled.keys[settled.is_accepted])[0], minlength=len(world.concepts))
    if many:
        first = hierarchy.first(taxonomy)
        firsts = np.array([at for at, one in enumerate(world.concepts) if one in first], np.int64)
        if firsts.size * len(world.images) > MOST_FIRST:
            asked = f"{counted(firsts.size, 'first question')} about {counted(len(world.images), 'picture')}"
            example = next(one for one in world.concepts if one in first)
            raise UserError(
                f"{asked} are more than {MOST_FIRST:,} at once.",
                fix=f"pictus annotate plan --labels many --concept {example}    and so on, one after the other",
            )
        keys = (firsts[:, None] * len(world.images) + np.arange(len(world.images))[None, :]).ravel()
        keys = np.union1d(keys, there.keys)
    else:
        claims = tables.read("sources", ["image_id", "concept_id"], where="concept_id != ''")
        claimed = world.keys(claims.column("image_id"), claims.column("concept_id"))
        del claims
        keys = np.unique(np.concatenate([claimed, said.keys, settled.keys, scores.wanted, suspects.keys, drift,
                                         there.keys]))  # fmt: skip
        keys = keys[keys >= 0]
    concept_R, image_R = world.pairs(keys)
    yes_R, no_R = (evidence.looked_up(keys, said.keys, which, 0) for which in (said.yes, said.no))
    known = priorities.Evidence(
        concept_R, accepted_C, yes_R, no_R, _posterior(keys, settled, there),
        evidence.looked_up(keys, scores.keys, scores.probability, np.nan),
        model_scores.novelty(project, world, concept_R, image_R, evidence.looked_up(
            keys, settled.keys, settled.is_accepted, 0)),
        evidence.looked_up(keys, suspects.keys, suspects.quality, np.nan),
        evidence.looked_up(keys, suspects.keys, suspects.other, -1), np.isin(keys, drift),
        *(_telling(taxonomy, world, concept_R, accepted_C) if many else (np.zeros(0), np.zeros(0, np.int64))),
        np.array([not taxonomy.get(one).is_class for one in world.concepts], np.bool_),
    )  # fmt: skip
    ruled = keys_of_rulings(world, rulings(project))
    decided = evidence.looked_up(keys, settled.keys, settled.is_accepted | settled.is_rejected, 0)
    is_closed = (decided & (yes_R + no_R > 0)) | np.isin(keys, ruled)
    notes = (*scores.notes, *drift_notes)
    return Facts(world, keys, known, is_closed, notes, there.begun, _left(project, world, (said, settled), keys, ruled))


def _left(
    project: Project, world: World, known: tuple[evidence.Said, evidence.Settled], keys: Ints, ruled: Ints
) -> dict[str, Bools]:
    """What the desk's rule takes for done and is not: settling left it open, or only people who are paused voted."""
    said, settled = known
    with project.journal.reading() as connection:
        paused = connection.execute(sa.text("SELECT name FROM annotators WHERE state = 'paused'")).scalars().all()
    is_ours = evidence.looked_up(keys, said.keys, said.yes + said.no > 0, 0) & ~np.isin(keys, ruled)
    is_open = evidence.looked_up(keys, settled.keys, ~(settled.is_accepted | settled.is_rejected), 0)
    left = {"unsettled:": is_ours & is_open}
    if paused:
        votes = project.journal.votes()
        is_theirs = pc.is_in(votes.column("annotator"), value_set=pa.array(paused, pa.string()))
        heard = evidence.votes_of_persons(world, votes.filter(pc.invert(is_theirs)))
        left["paused:"] = is_ours & ~np.isin(keys, heard.keys)
    return left


def _telling(taxonomy: Taxonomy, world: World, concept_R: Ints, accepted_C: Ints) -> tuple[Floats, Ints]:
    """Information per second of each concept's question, the most telling 1; and the classes below each group.

    Labels are as frequent as what was accepted so far says, drawn towards "all alike" as if by one label of each.
    """
    usual, n_labels = hierarchy.LABELS / max(1, len(taxonomy.classes)), int(accepted_C.sum())
    counts = dict(zip(world.concepts, accepted_C.tolist(), strict=True))
    evenly = len(taxonomy.classes)
    shares = {
        one: min(0.5, usual * evenly * (counts.get(one, 0) + 1) / (n_labels + evenly)) for one in taxonomy.classes
    }
    telling_C, below_C = np.zeros(len(world.concepts)), np.zeros(len(world.concepts), np.int64)
    for number in np.unique(concept_R).tolist():
        one = world.concepts[number]
        telling_C[number] = hierarchy.telling(taxonomy, one, shares)
        if not taxonomy.get(one).is_class:
            below_C[number] = sum(below in shares for below in taxonomy.descendants(one))
    return telling_C / max(1e-12, float(telling_C.max(initial=0))), below_C


class There(NamedTuple):
    """Questions that are open already, or were until a plan parked them, keys ascending: P(yes) as the desk has it,
    nan without a vote.
    """

    keys: Ints
    posterior: Floats
    begun: Ints  # keys of those that are open and that somebody holds, or answered at the desk


def _there(project: Project, world: World) -> There:
    """What was put in by earlier plans and by answers at the desk: its priority goes with what is known now."""
    query = sa.text(
        "SELECT concept_id, image_id, votes, posterior, leases, state FROM questions WHERE kind = 'grid' AND known = ''"
        " AND mark_id = 0 AND (state = 'open' OR (state = 'parked' AND reason IN (:gone, :answered)))"
    )
    reasons = {"gone": queue_rows.GONE, "answered": queue_rows.ANSWERED}
    keys, shares, begun = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0, np.bool_)]
    with project.journal.reading() as connection:
        found = connection.execution_options(stream_results=True).execute(query, reasons)
        for rows in found.partitions(READ):
            concepts, images, votes, posterior, held, states = zip(*rows, strict=True)
            keys.append(world.keys(pa.array(images, pa.string()), pa.array(concepts, pa.string())))
            shares.append(np.where(np.array(votes) > 0, np.array(posterior, np.float64), np.nan))
            begun.append((np.array(held) + np.array(votes) > 0) & (np.array(states) == "open"))
    every, first = np.unique(np.concatenate(keys), return_index=True)
    is_begun = np.concatenate(begun)[first]
    return There(every[every >= 0], np.concatenate(shares)[first][every >= 0], every[(every >= 0) & is_begun])


def _posterior(keys: Ints, settled: evidence.Settled, there: There) -> Floats:
    """As it was settled, else as the desk's rule has it."""
    known = evidence.looked_up(keys, settled.keys, settled.posterior, np.nan)
    return np.where(np.isnan(known), evidence.looked_up(keys, there.keys, there.posterior, np.nan), known)


def _drawn_facts(project: Project, taxonomy: Taxonomy, chosen: Sequence[str], kind: str) -> Facts:
    """What is accepted and not drawn yet."""
    world = _world(project, taxonomy, chosen)
    settled = evidence.settled_of(world, _settled_rows(project), rulings(project))
    keys = settled.keys[settled.is_accepted]
    there = shape_steps.marked(project, kind)  # also what files and models brought: that is verified, not drawn
    drawn = np.unique(world.keys(there.column("image_id"), there.column("concept_id")))
    concept_R, image_R = world.pairs(keys)
    drawn_C = np.bincount(world.pairs(drawn[drawn >= 0])[0], minlength=len(world.concepts))
    none_R, nan_R = np.zeros(keys.size, np.int64), np.full(keys.size, np.nan)
    novel_R = model_scores.novelty(project, world, concept_R, image_R, np.isin(keys, drawn))
    known = priorities.Evidence(
        concept_R, drawn_C, none_R, none_R, nan_R, nan_R, novel_R, nan_R, none_R - 1, np.zeros(keys.size, np.bool_)
    )
    asked = [world.concepts[one] for one in np.unique(concept_R[~np.isin(keys, drawn)]).tolist()]
    notes = skeleton_steps.unchosen(project, taxonomy, asked) if kind == "points" else ()
    return Facts(world, keys, known, np.isin(keys, drawn), notes)


class Suspected(NamedTuple):
    """Pairs under suspicion: the given label, and the one that is suggested instead."""

    keys: Ints
    quality: Floats
    other: Ints


def _suspects(project: Project, world: World) -> Suspected:
    empty = Suspected(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))
    if not project.tables.count("suspects"):
        return empty
    rows = project.tables.read("suspects", ["image_id", "given_id", "suggested_id", "quality"])
    given = world.keys(rows.column("image_id"), rows.column("given_id"))
    suggested = world.keys(rows.column("image_id"), rows.column("suggested_id"))
    other = world.concept_numbers(rows.column("suggested_id"))
    quality = np.asarray(rows.column("quality").to_numpy(), np.float64)
    keys, first = np.unique(np.concatenate([given, suggested]), return_index=True)
    keep = keys >= 0
    return Suspected(
        keys[keep], np.concatenate([quality, quality])[first][keep],
        np.concatenate([other, np.full(other.size, -1)])[first][keep],
    )  # fmt: skip


def _world(project: Project, taxonomy: Taxonomy, chosen: Sequence[str]) -> World:
    images = project.tables.read("images", ["image_id"]).column("image_id").combine_chunks()
    dropped = project.tables.read("verdicts", ["image_id"], where="verdict = 'drop'").column("image_id")
    if len(dropped):
        images = images.filter(pc.invert(pc.is_in(images, value_set=dropped.combine_chunks())))
    # By their bytes: on equal priority the speed of the web that pictures came from must not decide what comes first.
    images = pc.unique(images)
    images = images.take(pc.sort_indices(images))
    concepts = chosen or tuple(concept.concept_id for concept in taxonomy)
    return World(images, concepts)


def _settled_rows(project: Project) -> pa.Table:
    """What the votes settled on: of every pair asked about where it is known, else of the best label. The first row of
    a pair counts.
    """
    columns = ["image_id", "concept_id", "posterior", "status"]
    if project.tables.count("presences"):
        asked = project.tables.read("presences", columns)
        labels = project.tables.read("labels", columns, where="status = 'accepted'")  # also what only folders claim
        return pa.concat_tables([asked, labels.cast(asked.schema)])
    return project.tables.read("labels", columns, where="concept_id != ''")


def rulings(project: Project) -> dict[tuple[str, str], str]:
    """The latest ruling of reviewers on each (picture, concept): is | is-not | withdrawn."""
    query = sa.text("SELECT image_id, concept_id, ruling FROM rulings ORDER BY ruling_id")
    with project.journal.reading() as connection:
        return {(row.image_id, row.concept_id): row.ruling for row in connection.execute(query)}


def keys_of_rulings(world: World, ruled: Mapping[tuple[str, str], str]) -> Ints:
    """The pairs that a reviewer decided and did not take back."""
    pairs = [pair for pair, ruling in ruled.items() if ruling != "withdrawn"]
    images, concepts = ([pair[side] for pair in pairs] for side in (0, 1))
    return world.keys(pa.array(images, pa.string()), pa.array(concepts, pa.string()))


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


def _parked(project: Project, facts: Facts, kind: str) -> Counter[str]:
    """Put aside what need not be asked any more: pictures that were dropped, yes/no questions that were settled or
    ruled on without the desk. Where somebody voted at the desk its rule decides, unless there is a ruling.
    """
    world = facts.world
    is_answered_R = facts.is_closed & ~_is_doubted(facts) & (kind not in DRAWN)
    answered, ruled = facts.keys[is_answered_R], np.sort(keys_of_rulings(world, rulings(project)))

    def why(found: Sequence[queue_rows.Open]) -> list[str]:
        images = pa.array([one.image_id for one in found], pa.string())
        keys = world.keys(images, pa.array([one.concept_id for one in found], pa.string()))
        is_gone = world.image_numbers(images) < 0
        is_begun = np.array([one.votes > 0 for one in found], np.bool_)
        is_answered = np.isin(keys, answered) & (~is_begun | np.isin(keys, ruled))
        reasons = np.where(is_gone, queue_rows.GONE, np.where(is_answered, queue_rows.ANSWERED, ""))
        return list(map(str, reasons.tolist()))

    return queue_rows.park(project.journal, kind, why)


def _groups(concept_A: Ints) -> list[tuple[int, Ints]]:
    """(concept, positions) of each concept there is; `concept_A` ascending."""
    numbers, starts = np.unique(concept_A, return_index=True)
    ends = np.append(starts[1:], concept_A.size)[: numbers.size]
    return [(int(one), np.arange(start, end)) for one, start, end in zip(numbers, starts, ends, strict=True)]


def _name(taxonomy: Taxonomy, concept_id: str) -> str:
    return taxonomy.name(concept_id) if concept_id in taxonomy else concept_id


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
    ]
    lines += [f"  {heap.priority:6.2f}  {heap.name}  {heap.waiting:,}: {heap.reason}" for heap in heaps[:SHOWN]]
    return "\n".join(lines)
