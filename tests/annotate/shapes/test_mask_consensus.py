"""Masks of several people: STAPLE by hand and against the majority on simulated people."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pictus.annotate.shapes import rle
from pictus.annotate.shapes.mask_consensus import Thing, weigh_masks


def scene(seed: int, order: tuple[int, ...] = (0, 1, 2, 3, 4)) -> tuple[list[Thing], list[np.ndarray]]:
    """Eight ellipses; two people draw along the edge within 2 px, three wobble by 9 to 12 px."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:160, :200]
    things, truth = [], []
    for _ in range(8):
        (cx, cy), (a, b) = rng.uniform(60, 110, 2), rng.uniform(20, 45, 2)
        mask = ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1
        inward = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
        drawn = []
        for wobble in (2, 2, 9, 9, 12):
            noise = ndimage.gaussian_filter(rng.normal(size=mask.shape), 4)
            drawn.append(rle.encode(inward + wobble * noise / noise.std() > 0))
        things.append(Thing(tuple(drawn[at] for at in order), order))
        truth.append(mask)
    return things, truth


def test_what_all_drew_alike_stays_and_one_who_drew_nothing_is_overruled() -> None:
    square = np.zeros((40, 40), np.bool_)
    square[10:30, 10:30] = True
    same, nothing = rle.encode(square), rle.encode(np.zeros_like(square))
    assert np.array_equal(weigh_masks([Thing((same, same), (0, 1))]).masks[0].counts, same.counts)
    found = weigh_masks([Thing((same, same, nothing), (0, 1, 2))])
    assert np.array_equal(found.masks[0].counts, same.counts)
    assert found.sensitivity_W[2] < 0.5
    assert found.sensitivity_W[0] > 0.8


def test_the_first_round_by_hand() -> None:
    # Two draw the same 36 px, the third 4 more: only these are disputed. Foreground beforehand 4 of 12 answers, so
    # odds 1/2 × (0.3 / 0.7)² × 0.7 / 0.3 = 3/14, P = 3/17.
    small, large = np.zeros((2, 10, 10), np.bool_)
    small[2:8, 2:8] = large[2:8, 2:8] = True
    large[8, 2:6] = True
    found = weigh_masks([Thing((rle.encode(small), rle.encode(small), rle.encode(large)), (0, 1, 2))], rounds=1)
    true = 3 / 17
    # (200 × 0.7 + what they set of 4 × P) / (200 + 4 × P); the same for what they left of 4 × (1 - P).
    expected = [140 / (200 + 4 * true), 140 / (200 + 4 * true), (140 + 4 * true) / (200 + 4 * true)]
    assert found.sensitivity_W.tolist() == pytest.approx(expected)
    left = 4 * (1 - true)
    assert found.specificity_W.tolist() == pytest.approx([(140 + left) / (200 + left)] * 2 + [140 / (200 + left)])
    assert found.overlap_O[0] == pytest.approx(36 / (36 + 4 * true))
    assert np.array_equal(rle.decode(found.masks[0]), small)


@pytest.mark.parametrize("seed", range(3))
def test_weighing_by_skill_beats_the_majority_of_pixels(seed: int) -> None:
    things, truth = scene(seed)
    found = weigh_masks(things)
    ours = np.mean([rle.iou(mask, rle.encode(true)) for mask, true in zip(found.masks, truth, strict=True)])
    plain = []
    for thing, true in zip(things, truth, strict=True):
        votes = np.sum([rle.decode(mask) for mask in thing.masks], axis=0)
        plain.append(rle.iou(rle.encode(votes >= 3), rle.encode(true)))
    # A sixth of what the majority gets wrong, and more.
    assert 1 - ours < 0.85 * (1 - np.mean(plain))
    assert found.sensitivity_W[:2].min() > found.sensitivity_W[2:].max()


def test_renaming_people_changes_nothing() -> None:
    order = (3, 1, 4, 0, 2)
    first, second = weigh_masks(scene(0)[0]), weigh_masks(scene(0, order)[0])
    assert all(np.array_equal(a.counts, b.counts) for a, b in zip(first.masks, second.masks, strict=True))
    assert np.allclose(first.sensitivity_W, second.sensitivity_W)


def test_empty_masks_and_no_things_are_borne() -> None:
    nothing = rle.encode(np.zeros((12, 9), np.bool_))
    assert rle.area(weigh_masks([Thing((nothing, nothing), (0, 1))]).masks[0]) == 0
    assert weigh_masks([]).masks == []
    with pytest.raises(ValueError, match="one mask per annotator"):
        weigh_masks([Thing((nothing,), (0, 1))])
