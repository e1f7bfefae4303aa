"""What people and models said, read for review: votes with who is right how often, labels, evaluations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus.annotate.desk.session_steps import paused_names
from pictus.annotate.queues.model_scores import evaluations, predicted
from pictus.annotate.review.disagreements import Splits, mixed, splits
from pictus.annotate.review.rulings import Pair
from pictus.annotate.truth.annotators import YES, skills_of
from pictus.annotate.truth.consensus import Consensus, Floats, Ints
from pictus.annotate.truth.questions import UNSURE, Ballots, Which, YesNo
from pictus.annotate.truth.truth_steps import evidence_of, weighed
from pictus.errors import UserError
from pictus.project import Project

METHOD = "one-coin"
"""By which accuracies are found that votes are weighed with: one number for each person, and quick."""


@dataclass
class Said:
    """What one state of the votes says."""

    ballots: Ballots
    asked: YesNo
    free: Which
    of_asked: Splits
    of_free: Splits
    truth: Consensus  # of the yes/no questions
    mixed: dict[Pair, list[str]]  # concepts that people took for each other -> pictures


@dataclass
class Labelled:
    """The table `labels` as columns, and the row of each picture."""

    concepts: list[str]
    statuses: list[str]
    methods: list[str]
    posteriors: Floats
    images: list[str]
    row: dict[str, int] = field(default_factory=dict)


def vote_mark(project: Project) -> object:
    """Equal while votes, known answers and who is paused are."""
    with project.journal.reading() as connection:
        votes = connection.execute(sa.text("SELECT COALESCE(MAX(vote_id), 0), COUNT(*) FROM votes")).one()
        known = connection.execute(sa.text("SELECT COUNT(*) FROM questions WHERE known <> ''")).scalar_one()
        return (*votes, *sorted(paused_names(connection)), int(known))


def votes_of_people(project: Project) -> Said | None:
    """Who is right how often, and where that leaves questions open; None without votes."""
    try:
        evidence = evidence_of(project, with_paused=True)
    except UserError:  # there are none yet: nothing to look at
        return None
    (asked, said), (free, named) = weighed(project, evidence, METHOD)
    ballots = evidence.ballots
    with project.journal.reading() as connection:
        paused = paused_names(connection)
    counts_W = np.array([name not in paused for name in ballots.annotators], np.bool_)
    found = []
    for kind, consensus, is_yes_no in ((asked, said, True), (free, named, False)):
        votes = kind.votes
        accuracy_W: Floats = np.zeros(votes.n_annotators)
        if votes.n_items:
            accuracy_W = skills_of(votes, consensus, is_yes_no=is_yes_no).accuracy_W
        found.append(splits(votes, accuracy_W, counts_W, UNSURE if is_yes_no else votes.n_classes))
    return Said(ballots, asked, free, found[0], found[1], said, mixed(_named(ballots, asked, free, found)))


def _named(ballots: Ballots, asked: YesNo, free: Which, found: Sequence[Splits]) -> list[Pair]:
    """(image_id, concept_id) that people said of pictures on which they are not of one mind."""
    split = np.unique(np.concatenate([asked.image_U[found[0].item_S], free.image_I[found[1].item_S]]))
    yes_V = asked.votes.answer_V == YES
    item_V = asked.votes.item_V[yes_V]
    image_V: Ints = np.concatenate([asked.image_U[item_V], free.image_I[free.votes.item_V]])
    concept_V = np.concatenate([asked.concept_U[item_V], free.votes.answer_V])
    kept = np.isin(image_V, split)
    said = np.unique(np.stack([image_V[kept], concept_V[kept]], axis=1), axis=0)
    return [(ballots.images[image], ballots.concepts[concept]) for image, concept in said.tolist()]


def labels_now(project: Project) -> Labelled:
    """The table as it was settled."""
    columns = ["image_id", "concept_id", "status", "method", "posterior"]
    rows = project.tables.read("labels", columns)
    images, concepts, statuses, methods = (rows.column(name).to_pylist() for name in columns[:4])
    posteriors = np.asarray(rows.column("posterior").to_numpy(), np.float64)
    concepts, statuses, methods = ([sys.intern(one) for one in column] for column in (concepts, statuses, methods))
    return Labelled(concepts, statuses, methods, posteriors, images, {one: row for row, one in enumerate(images)})


def by_models(project: Project, before: tuple[object, dict[Pair, list[str]]]) -> tuple[object, dict[Pair, list[str]]]:
    """Pairs of concepts that the newest evaluations take for each other -> pictures."""
    paths = evaluations(project)
    mark = [(str(path), path.stat().st_mtime_ns) for path in paths]
    if mark == before[0]:
        return before
    found: dict[Pair, list[str]] = {}
    for path in paths:
        rows = predicted(project, path)
        has_guess = pc.greater(pc.list_value_length(rows.column("guesses")), 0)
        rows = rows.filter(pc.and_(pc.equal(rows.column("cause"), ""), has_guess))
        guess = pc.list_element(rows.column("guesses"), 0) if rows.num_rows else pa.array([], pa.string())
        is_other = pc.not_equal(guess, rows.column("concept_id"))
        columns = (rows.column("image_id").filter(is_other), rows.column("concept_id").filter(is_other))
        for image_id, given, said in zip(*(one.to_pylist() for one in columns), guess.filter(is_other).to_pylist(),
                                         strict=True):  # fmt: skip
            one, other = sorted((given, said))
            found.setdefault((one, other), []).append(image_id)
    return mark, found
