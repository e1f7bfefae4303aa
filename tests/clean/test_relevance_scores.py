"""Outliers, wrong concepts, semantic twins, on vectors whose truth is known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from pictus.clean import relevance_scores as scores


def unit(vectors: scores.Floats) -> scores.Floats:
    made: scores.Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return made


def drawn(count: int, concepts: int, seed: int = 0, *, noise: float = 0.7) -> tuple[scores.Floats, scores.Rows]:
    """Vectors of 32 features around one direction per concept."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((concepts, 32))
    numbers = np.arange(count) % concepts
    return unit((centres[numbers] + noise * generator.standard_normal((count, 32))).astype(np.float32)), numbers


def test_the_nearest_are_those_of_a_sorted_product_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = drawn(700, 7)
    whole = vectors @ vectors.T
    np.fill_diagonal(whole, -2)
    wanted = np.argsort(-whole, axis=1, kind="stable")[:, :5]
    for asked, block in ((1_024, 8_192), (64, 96), (700, 3)):
        monkeypatch.setattr(scores, "ASKED", asked)
        monkeypatch.setattr(scores, "BLOCK", block)
        found = scores.nearest(vectors, 5)
        assert (found.rows == wanted).mean() > 0.999  # sums in another order may swap two that are equal to 7 digits
        assert np.allclose(found.cosines, np.take_along_axis(whole, wanted, axis=1), atol=1e-5)


def test_with_fewer_pictures_than_neighbours_the_rest_is_marked() -> None:
    vectors, _ = drawn(3, 1)
    found = scores.nearest(vectors, 5)
    assert [sorted(row[row >= 0].tolist()) for row in found.rows] == [[1, 2], [0, 2], [0, 1]]
    assert (found.rows[:, 2:] == -1).all()
    assert (found.cosines[:, 2:] == 0).all()


def test_above_the_exact_size_nearly_all_neighbours_are_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "ROOM", 100)
    monkeypatch.setattr(scores, "PROBED", 4)
    vectors, _ = drawn(2_000, 20)
    exact, near = scores.nearest(vectors, 10), scores.nearest(vectors, 10, exact_up_to=100)
    same = [len(set(one) & set(two)) for one, two in zip(exact.rows.tolist(), near.rows.tolist(), strict=True)]
    assert np.mean(same) > 9.5


def test_a_picture_of_another_concept_is_an_outlier_and_its_concept_is_named() -> None:
    vectors, truth = drawn(600, 6)
    claims = truth.copy()
    planted = np.arange(0, 600, 50)
    claims[planted] = (truth[planted] + 1) % 6
    there = scores.space(vectors, claims)
    even = scores.whitened(vectors, there)
    outlier = scores.outliers(even, claims)
    said = scores.suspects(scores.nearest(even, 20), vectors, claims, there)
    rest = np.setdiff1d(np.arange(600), planted)
    assert outlier.min() >= 0
    assert outlier.max() <= 1
    assert outlier[planted].min() > 0.99
    assert np.median(outlier[rest]) == pytest.approx(0.5, abs=0.1)
    assert (outlier[rest] > 0.99).mean() < 0.05
    assert (said.concepts[planted] == truth[planted]).all()
    assert said.margins[planted].min() > 0 > said.margins[rest].max()
    assert np.abs(said.margins).max() <= 1


def test_the_discriminant_has_not_seen_the_picture_it_judges() -> None:
    vectors, claims = drawn(60, 3, noise=3)
    there = scores.space(vectors, claims)
    nobody = scores.Neighbours(np.full((60, 1), -1, np.int64), np.zeros((60, 1), np.float32))
    said = scores.suspects(nobody, vectors, claims, there)
    inside = (vectors.astype(np.float64) - there.centre) @ there.turned
    others = np.arange(60) != 7
    means = np.stack([inside[others & (claims == number)].mean(axis=0) for number in range(3)])
    logs = -((inside[7] - means) ** 2).sum(axis=1) / 2 + np.log(20)
    shares = np.exp(0.5 * logs) / np.exp(0.5 * logs).sum()
    own, other = shares[claims[7]], max(np.delete(shares, claims[7]))
    assert said.margins[7] == pytest.approx((other - own) / (other + own), abs=1e-4)


def test_within_concepts_all_directions_vary_nearly_alike_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "EVENED", 0)
    vectors, claims = drawn(900, 3)
    there = scores.space(vectors, claims)
    inside = (vectors - there.centre) @ there.turned
    rest = inside - there.means[claims]
    assert np.allclose(rest.T @ rest / 900, np.eye(32), atol=1e-3)
    assert np.allclose(np.linalg.norm(scores.whitened(vectors, there), axis=1), 1, atol=1e-5)


def test_one_concept_has_no_suspects_and_a_picture_alone_is_no_outlier() -> None:
    vectors, claims = drawn(10, 1)
    said = scores.suspects(scores.nearest(vectors, 3), vectors, claims, scores.space(vectors, claims))
    assert (said.concepts == -1).all()
    claims[4] = 1
    assert scores.outliers(scores.whitened(vectors, scores.space(vectors, claims)), claims)[4] == 0


def test_equal_vectors_are_no_outliers_and_divide_by_nothing() -> None:
    vectors = np.tile(unit(np.ones((1, 8), np.float32)), (30, 1))
    claims = np.arange(30) % 2
    assert np.isfinite(scores.outliers(scores.whitened(vectors, scores.space(vectors, claims)), claims)).all()
    said = scores.suspects(scores.nearest(vectors, 5), vectors, claims, scores.space(vectors, claims))
    assert np.isfinite(said.margins).all()


def test_of_twins_the_one_farthest_from_its_centre_stays_and_is_named_by_all() -> None:
    vectors, _ = drawn(40, 40, noise=0)
    close = unit(vectors[3] + np.float32(0.01) * vectors[20:23])
    everything = np.concatenate([vectors, close])
    found = scores.twins(everything, 0.95)
    group = {3, 40, 41, 42}
    stays = group & set(np.flatnonzero(found.rows < 0).tolist())
    assert len(stays) == 1
    (one,) = stays
    assert {int(found.rows[row]) for row in group - stays} == {one}
    centre = unit(everything.mean(axis=0, keepdims=True))[0]
    assert one == min(group, key=lambda row: float(everything[row] @ centre))
    assert (found.rows[np.setdiff1d(np.arange(43), sorted(group))] == -1).all()
    assert found.cosines[found.rows >= 0].min() >= 0.95


def test_a_twin_is_a_picture_that_stays_however_the_pictures_fall_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = drawn(300, 10, noise=0.05)
    wanted = scores.twins(vectors, 0.9)
    assert (wanted.rows[wanted.rows[wanted.rows >= 0]] == -1).all()
    for asked, block in ((7, 5), (64, 1_000)):
        monkeypatch.setattr(scores, "ASKED", asked)
        monkeypatch.setattr(scores, "BLOCK", block)
        assert (scores.twins(vectors, 0.9).rows == wanted.rows).all()


def test_the_same_seed_draws_the_same_clusters_and_every_vector_has_one() -> None:
    vectors, _ = drawn(500, 5)
    one, other = scores.clusters(vectors, 5, 3), scores.clusters(vectors, 5, 3)
    assert (one[1] == other[1]).all()
    assert np.allclose(np.linalg.norm(one[0], axis=1), 1, atol=1e-5)
    assert (one[1] == (vectors @ one[0].T).argmax(axis=1)).mean() > 0.99


def test_many_concepts_take_no_more_memory_than_few() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(1_500, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    concepts = generator.integers(0, 20_000, 1_500)
    concepts[0] = 19_999
    there = scores.space(vectors, concepts)
    found = scores.nearest(scores.whitened(vectors, there), 20)
    tracemalloc.start()
    scores.suspects(found, vectors, concepts, there)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6, "not by their number"
