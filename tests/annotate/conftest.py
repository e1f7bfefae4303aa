"""Simulated crowds and a project with pictures whose bytes nobody needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import pictus
from pictus.annotate.truth.consensus import Votes, votes_of
from pictus.records import Concept, Picture, Source
from pictus.tables import table_of


class Crowd(NamedTuple):
    votes: Votes
    truth: NDArray[np.int64]
    accuracy: NDArray[np.float64]


@pytest.fixture(scope="session")
def make_crowd() -> Callable[..., Crowd]:
    """make_crowd(classes, items, annotators, votes each, seed, low=.5, spammers=0): errors spread evenly."""

    def make(
        classes: int, items: int, annotators: int, each: int, seed: int, *, low: float = 0.5, spammers: int = 0
    ) -> Crowd:
        rng = np.random.default_rng(seed)
        truth_I = rng.integers(0, classes, items)
        accuracy_W = rng.uniform(low, 0.95, annotators)
        accuracy_W[:spammers] = 1 / classes
        item_V = np.repeat(np.arange(items), each)
        annotator_V = np.argsort(rng.random((items, annotators)), axis=1)[:, :each].ravel()
        is_right_V = rng.random(item_V.size) < accuracy_W[annotator_V]
        wrong_V = (truth_I[item_V] + rng.integers(1, classes, item_V.size)) % classes
        answer_V = np.where(is_right_V, truth_I[item_V], wrong_V)
        votes = votes_of(item_V, annotator_V, answer_V, n_classes=classes, trust_W=np.full(annotators, 0.8))
        return Crowd(votes, truth_I, accuracy_W)

    return make


def image_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture
def fill() -> Callable[..., dict[str, str]]:
    """fill(project, {"photos/owl/1.jpg": "owl", …}) -> path: image_id. Concepts bird > owl, wren; fish."""

    def put(project: pictus.Project, pictures: dict[str, str], kind: str = "folder") -> dict[str, str]:
        concepts = [
            Concept("bird", ("bird",)),
            Concept("owl", ("owl", "bird of Minerva"), parents=("bird",), is_class=True),
            Concept("wren", ("wren", "jenny wren"), parents=("bird",), is_class=True),
            Concept("fish", ("fish",), is_class=True),
        ]
        ids = {path: image_id(path) for path in pictures}
        project.tables.replace("concepts", table_of("concepts", concepts))
        images = [Picture(one, "pictures-00000.tar", 0, 1, 1, 1, "jpeg", "RGB", "") for one in ids.values()]
        project.tables.append("images", table_of("images", images))
        sources = [
            Source(ids[path], f"/home/ada/{path}", kind, claim, "", "", "", "") for path, claim in pictures.items()
        ]
        project.tables.append("sources", table_of("sources", sources))
        return ids

    return put


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A throw-away PostgreSQL server; gives the address of its database."""
    from tests.annotate.desks import postgres

    with postgres() as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[pictus.Project]:
    """A project with concepts and no question yet, on either database."""
    from tests.annotate.desks import emptied, filled

    address = emptied(request.getfixturevalue("postgres_server")) if request.param == "postgresql" else ""
    project = filled(pictus.new(tmp_path / "birds", database_url=address))
    yield project
    project.journal.engine.dispose()


@pytest.fixture
def birds(tmp_path: Path) -> Iterator[pictus.Project]:
    """The same on SQLite only."""
    from tests.annotate.desks import filled

    project = filled(pictus.new(tmp_path / "birds"))
    yield project
    project.journal.engine.dispose()
