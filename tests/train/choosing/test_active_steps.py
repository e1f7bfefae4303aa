"""From a run and a pool to a file that `annotate plan` asks first, and the commands that end the round."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import pictus
from pictus import models, train
from pictus.clock import now
from pictus.errors import UserError
from pictus.pixels import encode_jpeg
from pictus.records import Picture
from pictus.shards import ShardWriter
from pictus.tables import table_of
from pictus.train.choosing import active_steps, rounds
from pictus.train.transfer import features

TINY = ("size=32", "batch_size=12", "precision=fp32", "threads=1", "parts=1", "probe=false")


@pytest.fixture(scope="module")
def round_of(tmp_path_factory: pytest.TempPathFactory, make_release: Callable[..., Path]) -> pictus.Project:
    """A project with a run, nine pictures in no release, one of them not decodable."""
    project = pictus.new(tmp_path_factory.mktemp("round") / "p")
    make_release(project.releases_dir)
    train.run(project, name="first", epochs=1, set_=TINY)
    generator, found = np.random.default_rng(3), []
    with ShardWriter(project.shards_dir) as writer:
        for number in range(9):
            image_bytes = encode_jpeg(generator.integers(0, 256, (36, 44, 3), dtype=np.uint8))
            image_bytes = image_bytes[:200] if number == 4 else image_bytes
            image_id = hashlib.sha256(image_bytes).hexdigest()
            placed = writer.add(image_id, "jpg", image_bytes)
            found.append(Picture(image_id, placed.shard, placed.offset, placed.size, 44, 36, "jpeg", "RGB", now()))
    project.tables.append("images", table_of("images", found))
    return project


@pytest.mark.parametrize("by", ["mixed", "uncertainty", "core-set"])
def test_a_round_writes_what_is_wanted_and_says_the_commands_to_come(round_of: pictus.Project, by: Any) -> None:
    outcome = train.active(round_of, budget=3, by=by)
    rows = list(outcome)
    assert outcome.summary["pool"] == 8
    assert len({row.image_id for row in rows}) == 3
    assert outcome.problems == ("1 picture passed over, not decodable",)
    written = pq.read_table(round_of.root / active_steps.WANTED).to_pylist()
    assert [row["image_id"] for row in written] == [row.image_id for row in rows for _ in row.guesses]
    assert all(row["wanted"] for row in written)
    run = models.find_run(round_of, "first")
    assert all(row.guesses[0] in run.classes for row in rows)
    assert outcome.next[-1] == "pictus train run --release 2.0.0 --recipe small-cnn --set from_run=first"
    if by == "uncertainty":
        assert [row.score for row in rows] == sorted((row.score for row in rows), reverse=True)


def test_a_pool_is_held_a_block_at_a_time_and_the_choice_is_the_same(
    round_of: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(train.active(round_of, budget=4, by="core-set"))
    monkeypatch.setattr(rounds, "BLOCK", 2)
    seen: list[int] = []
    readable, shares, apart = features.of_readable, active_steps._shares, rounds._apart

    def read(reader: Any, run: Any, rows: Any, ask: Any) -> Any:
        seen.append(len(rows))
        return readable(reader, run, rows, ask)

    def shared(network: Any, run: Any, features_BD: Any) -> Any:
        seen.append(len(features_BD))
        return shares(network, run, features_BD)

    def measured(blocks: Any, vector_D: Any) -> Any:
        seen.extend(map(len, blocks))
        return apart(blocks, vector_D)

    monkeypatch.setattr(features, "of_readable", read)
    monkeypatch.setattr(active_steps, "_shares", shared)
    monkeypatch.setattr(rounds, "_apart", measured)
    again = list(train.active(round_of, budget=4, by="core-set"))
    assert max(seen) == 2
    assert len(seen) >= 5 + 4 + 4 * 4
    assert [row.image_id for row in again] == [row.image_id for row in whole]
    assert [row.score for row in again] == pytest.approx([row.score for row in whole], abs=1e-5)
    assert [row.guesses for row in again] == [row.guesses for row in whole]


def test_nobody_disagrees_alone_and_an_empty_pool_is_told(stripes: pictus.Project) -> None:
    train.run(stripes, name="only", epochs=1, set_=TINY)
    with pytest.raises(UserError, match="nobody can disagree"):
        train.active(stripes, by="disagreement")
    with pytest.raises(UserError, match="no clean picture left"):
        train.active(stripes)


def test_a_release_that_changed_under_the_run_is_told(stripes: pictus.Project) -> None:
    train.run(stripes, name="only", epochs=1, set_=TINY)
    path = stripes.releases_dir / "1.0.0" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"digest": "0" * 64}))
    with pytest.raises(UserError, match="is not the one run 'only' was started on"):
        train.active(stripes)
