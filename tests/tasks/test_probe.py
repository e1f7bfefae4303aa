"""Probes: known optima, fused kinds, and files of features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pictus.errors import UserError
from pictus.tasks import probe
from pictus.tasks.probe import Settings

pytest.importorskip("torch", reason="pip install 'pictus[train]'")


def clouds(count: int = 60, classes: int = 3, width: int = 4) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    labels = np.arange(count) % classes
    centres = generator.normal(0, 4, (classes, width))
    return (centres[labels] + generator.normal(0, 1, (count, width))).astype(np.float32), labels.astype(np.int64)


@pytest.mark.parametrize("settings", [Settings(), Settings(method="ridge"), Settings(hidden=8)], ids=str)
def test_a_probe_tells_clouds_apart_and_is_the_same_every_time(settings: Settings) -> None:
    features, labels = clouds()
    found = probe.fit(features, labels, settings)
    logits = probe.predict(found, features)
    assert logits.shape == (60, 3)
    assert (logits.argmax(axis=1) == labels).mean() > 0.95
    assert np.array_equal(logits, probe.predict(probe.fit(features, labels, settings), features))


def test_at_the_optimum_the_gradient_is_zero() -> None:
    features, labels = clouds()
    found = probe.fit(features, labels, Settings(l2=0.01))
    inputs = ((features - found.mean_D) * found.scale_D).astype(np.float64)
    logits = probe.predict(found, features).astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    gradient = (shares - np.eye(3)[labels]).T @ inputs / len(labels) + 2 * 0.01 * found.layers[0][0]
    assert np.abs(gradient).max() < 1e-4


def test_a_wide_kind_does_not_drown_a_narrow_one_and_a_dead_column_does_no_harm() -> None:
    features, labels = clouds(width=2)
    noise = np.random.default_rng(1).normal(0, 100, (60, 200)).astype(np.float32)
    dead = np.full((60, 1), 7, np.float32)
    joined, widths = probe.fused([features, noise, dead])
    assert widths == (2, 200, 1)
    found = probe.fit(joined, labels, Settings(widths=widths))
    assert found.scale_D[-1] == 0
    scaled = (joined - found.mean_D) * found.scale_D
    powers = [float((scaled[:, start:stop] ** 2).mean(axis=0).sum()) for start, stop in ((0, 2), (2, 202))]
    assert powers[0] == pytest.approx(powers[1], rel=1e-3)


def test_soft_targets_are_learned_too() -> None:
    features, labels = clouds()
    soft = np.full((60, 3), 0.1, np.float32)
    soft[np.arange(60), labels] = 0.8
    assert (probe.predict(probe.fit(features, soft), features).argmax(axis=1) == labels).mean() > 0.95


def test_features_are_read_by_picture_from_npz_and_parquet(tmp_path: Path) -> None:
    features, _ = clouds(4)
    ids = ["d", "b", "a", "c"]
    np.savez(tmp_path / "f.npz", image_id=np.array(ids), vectors=features)
    pq.write_table(pa.table({"image_id": ids, "vector": features.tolist()}), tmp_path / "f.parquet")
    for name in ("f.npz", "f.parquet"):
        assert np.array_equal(probe.read_features(tmp_path / name, ["a", "d"]), features[[2, 0]])
    with pytest.raises(UserError, match="no features of 1 picture of 2, first z"):
        probe.read_features(tmp_path / "f.npz", ["a", "z"])
    with pytest.raises(UserError, match="which column"):
        probe.read_features(tmp_path / "f.npz", ["a"], "nothing")


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 2)])
def test_lists_of_every_kind_are_features(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"image_id": ["a", "b"], "v": pa.array([[1, 2], [3, 4]], kind)}), tmp_path / "f.parquet")
    assert probe.read_features(tmp_path / "f.parquet", ["b", "a"]).tolist() == [[3, 4], [1, 2]]


@pytest.mark.parametrize("lists", [[[1.0], [2.0, 3.0, 4.0]], [[1.0, 2.0], None], [[], []]])
def test_lists_of_other_lengths_are_told_before_numbers_go_to_another_picture(lists: list[Any]) -> None:
    table = pa.table({"image_id": ["a", "b"], "v": pa.array(lists, pa.list_(pa.float64()))})
    with pytest.raises(UserError, match="not all of one length"):
        probe.of_table(table, ["a", "b"], "features")


def test_a_file_that_is_none_of_features_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", image_id=np.array(["a"]), vectors=np.ones((1, 9)))
    (tmp_path / "torn.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-30])
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.parquet").write_bytes(b"a,b")
    with (tmp_path / "array.npz").open("wb") as out:
        np.save(out, np.ones(3))
    for name in ("torn.npz", "empty.npz", "text.parquet", "array.npz"):
        with pytest.raises(UserError, match="cannot be read as features"):
            probe.read_features(tmp_path / name, ["a"])


def test_what_cannot_be_fitted_is_told() -> None:
    features, labels = clouds()
    with pytest.raises(UserError, match="shape"):
        probe.fit(features[:5], labels)
    with pytest.raises(UserError, match="not numbers"):
        probe.fit(np.where(features > 3, np.nan, features), labels)
    with pytest.raises(UserError, match="no way to fit"):
        probe.fit(features, labels, Settings(method="guess"))
