from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pictus.releases import open_release, split_rows
from pictus.train import targets
from pictus.train.feed import augment, sampling
from pictus.train.feed.loader import portions_of_epochs
from pictus.train.recipes import Recipe

LABELS = np.repeat([0, 1, 2], [60, 30, 10])


def _all(seed: int, steps: range, **options: object) -> list[tuple[int, list[int], list[int]]]:
    portions = portions_of_epochs(seed, 100, 10, steps.start, steps.stop, **options)  # type: ignore[arg-type]
    return [(one.epoch, one.positions.tolist(), [] if one.turns is None else one.turns.tolist()) for one in portions]


def test_a_file_of_weights_says_how_often_pictures_are_shown(
    tmp_path: Path, make_release: Callable[..., Path]
) -> None:
    release = open_release(make_release(tmp_path, classes=2, train=4, val=1))
    ids = split_rows(release, "train").column("image_id").to_pylist()
    path = tmp_path / "weights.csv"
    path.write_text(f"image_id,weight\n{ids[0]},5\n{ids[1]},0\n")
    recipe = targets.resolved(Recipe("small-cnn", sample_weights=str(path), weigh="sampling"))
    assert targets.weights_of(release, recipe) is None, "not in the loss as well"
    how = sampling.asked(release, recipe)
    places = np.concatenate([sampling.shown(0, epoch, 8, 4, how).positions for epoch in range(200)])
    assert len(places) == 200 * 8, "an epoch is as long as before"
    counts = np.bincount(places, minlength=8) / 200
    assert counts[1] == 0
    assert counts[0] == pytest.approx(5 * 8 / 11, abs=0.05)
    both = replace(recipe, weigh="loss")
    assert sampling.asked(release, both).chances_N is None
    assert targets.weights_of(release, both) is not None


def test_without_a_wish_each_picture_is_shown_once_in_the_epochs_permutation() -> None:
    found = sampling.shown(3, 5, 100, 10)
    assert found.positions.tolist() == augment.order(3, 5, 100).tolist()
    assert not found.turns.any()


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("how", [sampling.PLAIN, sampling.balanced(LABELS, 0.5), sampling.Sampling(repeats=3)])
def test_processes_put_together_see_the_batches_of_one(world: int, how: sampling.Sampling) -> None:
    alone = _all(0, range(4, 23), how=how)
    shares = [_all(0, range(4, 23), how=how, rank=rank, world=world) for rank in range(world)]
    for number, whole in enumerate(alone):
        parts = [one[number] for one in shares]
        assert {part[0] for part in parts} == {whole[0]}
        assert [one for part in parts for one in part[1]] == whole[1]
        assert [one for part in parts for one in part[2]] == whole[2]
        assert max(len(part[1]) for part in parts) - min(len(part[1]) for part in parts) <= 1


def test_balance_gives_each_class_its_exact_share_in_every_epoch() -> None:
    # Shares of 60, 30, 10 pictures: at balance 1 a third of 100 each; at 0.5 by sqrt(60) : sqrt(30) : sqrt(10)
    # = 7.746 : 5.477 : 3.162, of 16.385: 47.27, 33.43, 19.30.
    for balance, expected in ((1.0, (33.33, 33.33, 33.33)), (0.5, (47.27, 33.43, 19.30)), (0.0, (60, 30, 10))):
        how = sampling.balanced(LABELS, balance)
        for epoch in range(4):
            positions = sampling.shown(1, epoch, 100, 10, how).positions
            counts = np.bincount(LABELS[positions], minlength=3)
            assert len(positions) == 100
            assert np.all(np.abs(counts - expected) < 1)


def test_a_picture_comes_up_as_often_as_its_chance_says_rounded_up_or_down() -> None:
    chances = np.array([0.0, 1.0, 2.5, 0.5])
    counts = np.zeros(4)
    for epoch in range(400):
        times = np.bincount(sampling.shown(0, epoch, 4, 4, sampling.Sampling(chances)).positions, minlength=4)
        assert times.tolist()[:2] == [0, 1]
        assert (times[2] in (2, 3), times[3] in (0, 1)) == (True, True)
        counts += times
    assert counts / 400 == pytest.approx(chances, abs=0.1)


def test_weights_multiply_the_balance() -> None:
    weights = np.where(np.arange(100) == 0, 2.0, 1.0)
    how = sampling.balanced(LABELS, 1.0, weights)
    assert how.chances_N is not None
    assert how.chances_N[[0, 1, 60, 90]].tolist() == [2 / 60, 1 / 60, 1 / 30, 1 / 10]


def test_a_picture_shown_again_has_another_turn() -> None:
    found = sampling.shown(0, 0, 100, 10, sampling.balanced(LABELS, 1.0))
    pairs = set(zip(found.positions.tolist(), found.turns.tolist(), strict=True))
    assert len(pairs) == 100
    for position in set(found.positions.tolist()):
        own = found.turns[found.positions == position]
        assert own.tolist() == list(range(len(own)))


def test_repeats_put_each_picture_so_often_into_its_batch_and_epochs_show_fewer() -> None:
    found = sampling.shown(0, 2, 100, 10, sampling.Sampling(repeats=3))
    assert len(found.positions) == 100
    for start in range(0, 100, 10):
        values, counts = np.unique(found.positions[start : start + 10], return_counts=True)
        assert (len(values), sorted(counts.tolist())) == (4, [2, 2, 3, 3])
        assert found.turns[start : start + 10].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert len(set(found.positions.tolist())) == 40


def test_resumed_sampling_goes_on_where_it_was() -> None:
    how = sampling.balanced(LABELS, 1.0)
    assert _all(0, range(7, 25), how=how) == _all(0, range(25), how=how)[7:]
