"""What a person's time is worth: values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pictus.train.choosing import rounds


def test_uncertainty_is_one_where_all_classes_are_alike_and_nothing_where_one_is_sure() -> None:
    found = rounds.uncertainty(np.array([[0.25] * 4, [1, 0, 0, 0], [0.5, 0.5, 0, 0]], np.float32))
    assert found.tolist() == pytest.approx([1, 0, 0.5], abs=1e-6)


def test_of_several_labels_each_class_is_a_question_of_its_own() -> None:
    shares = np.array([[0.5] * 3, [1, 0, 1], [0.9, 0.9, 0.9], [0.1, 0.1, 0.1]], np.float32)
    found = rounds.uncertainty(rounds.yes_no(shares))
    assert found[:2].tolist() == pytest.approx([1, 0], abs=1e-6)
    assert found[2] == pytest.approx(found[3], abs=1e-6), "a sure yes tells as much as a sure no"
    apart = rounds.disagreement(rounds.yes_no(np.array([[[1, 0]], [[1, 1]]], np.float32)))
    assert apart.tolist() == pytest.approx([0.5]), "they disagree about one of two"


def test_disagreement_is_of_runs_that_are_each_sure_of_another_class_not_of_runs_that_are_unsure() -> None:
    sure, other, unsure = [1, 0], [0, 1], [0.5, 0.5]
    found = rounds.disagreement(np.array([[sure, sure, unsure], [sure, other, unsure]], np.float32))
    assert found.tolist() == pytest.approx([0, 1, 0], abs=1e-6)


def test_centres_are_far_from_what_is_labelled_and_from_each_other() -> None:
    angles = np.deg2rad([0, 2, 80, 90, 92, 180])
    pool = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32) * [[1], [9], [1], [3], [1], [2]]
    labelled = np.array([[1, 0]], np.float32)
    assert rounds.centres(pool.astype(np.float32), labelled, 3).tolist()[:2] == [5, 3]
    assert sorted(rounds.centres(pool.astype(np.float32), labelled, 99).tolist()) == list(range(6)), "each once"


@pytest.mark.parametrize("labelled", [3, 4, 7, 9])
def test_of_many_labelled_pictures_so_many_are_kept_away_from_spread_evenly(
    monkeypatch: pytest.MonkeyPatch, labelled: int
) -> None:
    monkeypatch.setattr(rounds, "COVERED", 4)
    seen: list[np.ndarray] = []

    def kept_as_it_is(vectors: np.ndarray) -> np.ndarray:
        seen.append(vectors)
        return vectors

    monkeypatch.setattr(rounds, "unit", kept_as_it_is)
    rounds.centres(np.eye(2, dtype=np.float32), np.arange(2 * labelled, dtype=np.float32).reshape(-1, 2), 1)
    kept = (seen[0][:, 0] / 2).tolist()
    assert kept == {3: [0, 1, 2], 4: [0, 1, 2, 3], 7: [0, 1, 3, 5], 9: [0, 2, 4, 6]}[labelled]


def test_mixed_takes_none_that_the_run_is_sure_of_while_there_are_others() -> None:
    score = np.array([0.9] * 10 + [0.0] * 50, np.float32)
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    found = rounds.mixed(score, vectors, vectors[50:], 2)
    assert len(set(found.tolist())) == 2
    assert max(found.tolist()) < 10
