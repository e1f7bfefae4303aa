"""Probes: known optima, and fused kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
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


def test_what_cannot_be_fitted_is_told() -> None:
    features, labels = clouds()
    with pytest.raises(UserError, match="shape"):
        probe.fit(features[:5], labels)
    with pytest.raises(UserError, match="not numbers"):
        probe.fit(np.where(features > 3, np.nan, features), labels)
    with pytest.raises(UserError, match="no way to fit"):
        probe.fit(features, labels, Settings(method="guess"))
