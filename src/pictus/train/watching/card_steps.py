"""The verb: card."""

from __future__ import annotations

from pictus import models
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.train.watching import beside
from pictus.train.watching.words import Fact, facts


@step("train card", changes=False, needs_project=False)
def card(project: Project, run: str = "") -> Outcome[Fact]:
    """A run's card in words: pictures, network, training, result, machine, speed, memory, energy.

    And what `train robustness`, `prune` and `quantise` found out about it.

    run: by name or folder; the newest finished one when left out

    Examples:
        pictus train card
        pictus train card small-cnn-1.0.0
    """
    found = models.find_run(project, run)
    rows = [*facts(found.card), *beside.facts(found.root)]
    headline = f"{models.called(found)}, started {found.card.get('started_at', '')}"
    summary = {"run": found.name, **{row.about: row.words for row in rows}}
    return Outcome("train card", summary, headline, models.unfinished(found), source=lambda: iter(rows))
