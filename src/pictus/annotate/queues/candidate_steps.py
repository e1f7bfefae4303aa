"""Which questions could be asked, with everything the project knows of each: what `annotate plan` weighs.

A candidate of the grid is a pair that a source claims, votes or a ruling decided, a model or a suspicion names, or that
is asked already; a candidate to be drawn is an accepted pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus.annotate.desk.session_steps import paused_names
from pictus.annotate.queues import evidence, hierarchy, model_scores, priorities, queue_rows
from pictus.annotate.queues.dropped_steps import standing
from pictus.annotate.queues.evidence import World
from pictus.annotate.queues.priorities import Bools, Floats, Ints
from pictus.annotate.shapes import shape_steps, skeleton_steps
from pictus.concepts import Taxonomy
from pictus.errors import UserError, counted
from pictus.project import Project

MOST_FIRST = 20_000_000
"""First questions of many labels that are weighed at once: 3 GB."""

READ = 250_000
"""Open questions looked up at once: each time costs an index of all pictures."""


class Facts(NamedTuple):
    """The candidates (keys ascending) with their evidence, and what of them is decided."""

    world: World
    keys: Ints
    evidence: priorities.Evidence
    is_closed: Bools  # decided with a person's vote or a ruling
    notes: tuple[str, ...]
    ruled: Ints = np.zeros(0, np.int64)  # keys of pairs that a reviewer decided, ascending
    begun: Ints = np.zeros(0, np.int64)  # keys of open questions that somebody holds, or answered at the desk
    again: Mapping[str, Bools] = {}  # what is asked again although the desk's rule was content: word of the reason


def grid_facts(project: Project, taxonomy: Taxonomy, chosen: Sequence[str], *, many: bool) -> Facts:
    """Of yes/no questions about the `chosen` concepts, all where none is. many: every picture, from the top of the tree
    down.
    """
    world, decided = _world(project, taxonomy, chosen), _rulings(project)
    said = evidence.votes_of_persons(world, project.journal.votes())
    settled = evidence.settled_of(world, _settled_rows(project), decided)
    scores = model_scores.read(project, world)
    suspects = _suspects(project, world)
    drift, notes = model_scores.production(project, world)
    there = _there(project, world)
    accepted_C = np.bincount(world.pairs(settled.keys[settled.is_accepted])[0], minlength=len(world.concepts))
    found = [_first_keys(taxonomy, world)] if many else [
        _claimed_keys(project, world), said.keys, settled.keys, scores.wanted, suspects.keys, drift
    ]  # fmt: skip
    keys = np.unique(np.concatenate([*found, there.keys]))
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
    ruled = _ruled_keys(world, decided)
    is_settled = evidence.looked_up(keys, settled.keys, settled.is_accepted | settled.is_rejected, 0)
    is_closed = (is_settled & (yes_R + no_R > 0)) | np.isin(keys, ruled)
    left = _left(project, world, (said, settled), keys, ruled)
    return Facts(world, keys, known, is_closed, notes, ruled, there.begun, left)


def _first_keys(taxonomy: Taxonomy, world: World) -> Ints:
    """The first questions of many labels, of every picture; UserError where those are more than memory holds."""
    first = hierarchy.first(taxonomy)
    firsts = np.array([at for at, one in enumerate(world.concepts) if one in first], np.int64)
    if firsts.size * len(world.images) > MOST_FIRST:
        asked = f"{counted(firsts.size, 'first question')} about {counted(len(world.images), 'picture')}"
        example = next(one for one in world.concepts if one in first)
        raise UserError(
            f"{asked} are more than {MOST_FIRST:,} at once.",
            fix=f"pictus annotate plan --labels many --concept {example}    and so on, one after the other",
        )
    return (firsts[:, None] * len(world.images) + np.arange(len(world.images))[None, :]).ravel()


def _claimed_keys(project: Project, world: World) -> Ints:
    claims = project.tables.read("sources", ["image_id", "concept_id"], where="concept_id != ''")
    return world.keys(claims.column("image_id"), claims.column("concept_id"))


def _left(
    project: Project, world: World, known: tuple[evidence.Said, evidence.Settled], keys: Ints, ruled: Ints
) -> dict[str, Bools]:
    """What the desk's rule takes for done and is not: settling left it open, or only people who are paused voted."""
    said, settled = known
    with project.journal.reading() as connection:
        paused = sorted(paused_names(connection))
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


def drawn_facts(project: Project, taxonomy: Taxonomy, chosen: Sequence[str], kind: str) -> Facts:
    """What is accepted and not drawn yet."""
    world = _world(project, taxonomy, chosen)
    settled = evidence.settled_of(world, _settled_rows(project), _rulings(project))
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
    images = standing(project, project.tables.read("images", ["image_id"])).column("image_id")
    # By their bytes: on equal priority the speed of the web that pictures came from must not decide what comes first.
    images = pc.unique(images)
    images = images.take(pc.sort_indices(images))
    concepts = chosen or tuple(concept.concept_id for concept in taxonomy)
    return World(images, concepts)


def _settled_rows(project: Project) -> pa.Table:
    """What the votes settled on: of every pair asked about where it is known, else of the best label. Of several rows
    of a pair the first counts.
    """
    columns = ["image_id", "concept_id", "posterior", "status"]
    if project.tables.count("presences"):
        asked = project.tables.read("presences", columns)
        labels = project.tables.read("labels", columns, where="status = 'accepted'")  # also what only folders claim
        return pa.concat_tables([asked, labels.cast(asked.schema)])
    return project.tables.read("labels", columns, where="concept_id != ''")


def _rulings(project: Project) -> dict[tuple[str, str], str]:
    """The latest ruling of reviewers on each (picture, concept): is | is-not | withdrawn."""
    query = sa.text("SELECT image_id, concept_id, ruling FROM rulings ORDER BY ruling_id")
    with project.journal.reading() as connection:
        return {(row.image_id, row.concept_id): row.ruling for row in connection.execute(query)}


def _ruled_keys(world: World, ruled: Mapping[tuple[str, str], str]) -> Ints:
    """The pairs that a reviewer decided and did not take back, ascending."""
    pairs = [pair for pair, ruling in ruled.items() if ruling != "withdrawn"]
    images, concepts = ([pair[side] for pair in pairs] for side in (0, 1))
    return np.sort(world.keys(pa.array(images, pa.string()), pa.array(concepts, pa.string())))
