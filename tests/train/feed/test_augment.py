from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.models import Preprocessing
from pictus.train.feed import augment
from pictus.train.recipes import Recipe

KEYS = np.arange(1, 4001, dtype=np.uint64) * np.uint64(0x123456789)
PLAIN = Recipe("small-cnn", size=16, flip=0, erase=0, colour=0)


def test_draws_belong_to_the_picture_and_not_to_its_place() -> None:
    whole = augment.draws(3, 5, KEYS)
    assert np.array_equal(whole[[7, 2, 3999]], augment.draws(3, 5, KEYS[[7, 2, 3999]]))
    assert not np.array_equal(whole, augment.draws(3, 6, KEYS))
    assert not np.array_equal(whole, augment.draws(4, 5, KEYS))


def test_draws_are_uniform_and_uncorrelated() -> None:
    values = augment.draws(0, 0, KEYS)
    assert values.min() >= 0
    assert values.max() < 1
    # Mean of 4,000 uniforms: sd 1 / sqrt(12 × 4000) = 0.0046; all columns within 4.5 sd.
    assert abs(values.mean(0) - 0.5).max() < 0.021
    assert abs(values.var(0) - 1 / 12).max() < 0.005
    correlation = np.corrcoef(values.T) - np.eye(augment.N_DRAWS)
    assert abs(correlation).max() < 5 / np.sqrt(len(KEYS))


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.integers(1, 300))
def test_order_is_a_permutation(seed: int, epoch: int, count: int) -> None:
    assert sorted(augment.order(seed, epoch, count).tolist()) == list(range(count))


def test_order_differs_between_epochs_and_seeds_and_mixes_well() -> None:
    first = augment.order(0, 0, 1000)
    assert not np.array_equal(first, augment.order(0, 1, 1000))
    assert not np.array_equal(first, augment.order(1, 0, 1000))
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 0.1


def test_order_and_draws_never_change_between_versions() -> None:
    # Written down once: a run must be resumable and repeatable with a later Pictus.
    assert augment.order(7, 1, 8).tolist() == ORDER
    assert augment.draws(7, 1, KEYS[:1])[0, :3].tolist() == pytest.approx(DRAWS, abs=1e-15)
    assert augment.draws(7, 1, KEYS[:1])[0, 49:52].tolist() == pytest.approx(LATE_DRAWS, abs=1e-15)
    assert augment.N_DRAWS >= 132  # columns are only ever added


def test_resized_crops_have_torchvision_s_distribution() -> None:
    import torch
    from torchvision.transforms.v2 import RandomResizedCrop

    torch.manual_seed(0)
    reference = RandomResizedCrop(8, scale=(0.35, 1.0))
    blank = torch.zeros(3, 100, 150)
    theirs = np.array([_values(reference.make_params([blank])) for _ in range(4000)])
    ours = np.array([augment.resized_crop(100, 150, row, 0.35) for row in augment.draws(0, 0, KEYS)[:, 12:].tolist()])
    for column in range(4):  # top, left, height, width: mean and spread
        spread = theirs[:, column].std()
        assert abs(theirs[:, column].mean() - ours[:, column].mean()) < 5 * spread * np.sqrt(2 / 4000)
        assert ours[:, column].std() == pytest.approx(spread, rel=0.06)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32))
def test_every_crop_lies_inside_the_picture(height: int, width: int, key: int) -> None:
    row = augment.draws(0, 0, np.array([key], np.uint64))[0, 12:].tolist()
    box = augment.resized_crop(height, width, row, 0.35)
    assert box.top >= 0
    assert box.left >= 0
    assert 1 <= box.height <= height - box.top
    assert 1 <= box.width <= width - box.left


def test_a_view_is_the_crop_resized_like_pillow() -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    row = augment.draws(0, 0, KEYS[:1])[0]
    box = augment.resized_crop(60, 80, row[12:].tolist(), PLAIN.min_area)
    part = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
    expected = np.asarray(Image.fromarray(part).resize((16, 16), Image.Resampling.BILINEAR)).astype(int)
    found = augment.augmented(pixels, row, PLAIN, (0, 0, 0)).astype(int)
    assert abs(found - expected).max() <= 1


def test_a_flip_mirrors_the_same_view() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    row = augment.draws(0, 0, KEYS[:1])[0]
    plain, flipped = (augment.augmented(pixels, row, replace(PLAIN, flip=chance), (0, 0, 0)) for chance in (0.0, 1.0))
    assert np.array_equal(plain[:, ::-1], flipped)


def test_flips_by_turns_mirror_a_picture_in_every_second_epoch() -> None:
    keys_N = np.arange(200, dtype=np.uint64) * np.uint64(12345678901)
    recipe = Recipe("small-cnn", size=32, crop="padded", erase=0, colour=0, shift=0, flip=0.5, alternate=True)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    is_mirrored_EN = np.array([
        [not np.array_equal(augment.augmented(pixels, row_D, recipe, (0, 0, 0)), pixels) for row_D in rows_ND]
        for rows_ND in (augment.draws(3, epoch, keys_N) for epoch in range(4))
    ])  # fmt: skip
    assert np.array_equal(is_mirrored_EN[0], ~is_mirrored_EN[1])
    assert np.array_equal(is_mirrored_EN[0], is_mirrored_EN[2])
    assert 70 < is_mirrored_EN[0].sum() < 130  # half of 200, four standard deviations of 7


def test_erasing_fills_one_rectangle_inside_the_view() -> None:
    pixels = np.full((40, 40, 3), 200, np.uint8)
    areas = []
    for row in augment.draws(0, 0, KEYS[:300]):
        view = augment.augmented(pixels, row, replace(PLAIN, erase=1.0), (1, 2, 3))
        wiped = (view == (1, 2, 3)).all(2)
        rows, columns = np.flatnonzero(wiped.any(1)), np.flatnonzero(wiped.any(0))
        assert wiped.sum() == len(rows) * len(columns) > 0
        assert (view[~wiped] == 200).all()
        areas.append(wiped.mean())
    assert np.mean(areas) == pytest.approx((0.02 + 0.25) / 2, abs=0.02)


def test_a_padded_crop_mirrors_the_edges() -> None:
    recipe = replace(PLAIN, crop="padded")
    pixels = np.arange(16, dtype=np.uint8)[None, :, None].repeat(16, 0).repeat(3, 2)
    seen = set()
    for row in augment.draws(0, 0, KEYS[:200]):
        line = augment.augmented(pixels, row, recipe, (0, 0, 0))[0, :, 0].tolist()
        start = next(shift for shift in range(-2, 3) if line == [_mirrored(i + shift, 16) for i in range(16)])
        seen.add(start)
    assert seen == {-2, -1, 0, 1, 2}  # an eighth of 16 px to either side


def test_a_padded_crop_shifts_by_its_share_of_the_side() -> None:
    pixels = np.broadcast_to(np.arange(32, dtype=np.uint8)[None, :, None], (32, 32, 3))
    recipe = Recipe("small-cnn", size=32, crop="padded", shift=1 / 16, flip=0, erase=0)
    rows_ND = augment.draws(0, 0, np.arange(200, dtype=np.uint64))
    first = {int(augment.augmented(pixels, row_D, recipe, (0, 0, 0))[0, 16, 0]) - 16 for row_D in rows_ND}
    assert first == {-2, -1, 0, 1, 2}


def test_a_padded_crop_of_part_of_the_side_is_a_window_of_the_picture() -> None:
    pixels = np.arange(16, dtype=np.uint8)[None, :, None].repeat(16, 0).repeat(3, 2)
    recipe = replace(PLAIN, crop="padded", view=0.75)
    starts = set()
    for row in augment.draws(0, 0, KEYS[:300]):
        view = augment.augmented(pixels, row, recipe, (0, 0, 0))
        assert view.shape == (12, 12, 3)
        line = view[0, :, 0].tolist()
        starts.add(next(at for at in range(-1, 6) if line == [_mirrored(i + at, 16) for i in range(12)]))
    assert starts == {-1, 0, 1, 2, 3, 4, 5}  # an eighth of 12 px beyond either edge


def test_colour_is_the_formula_and_nothing_at_strength_zero() -> None:
    import torch

    preprocessing = Preprocessing(4, 4, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    batch = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8))
    rows = augment.draws(0, 0, KEYS[:5])
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    x = batch.numpy() / 255
    plain = augment.coloured(batch, rows, replace(PLAIN, colour=0.0), preprocessing).permute(0, 2, 3, 1).numpy()
    assert np.allclose(plain, (x - mean) / std, atol=1e-5)
    c, b, r = (1 + 0.4 * (2 * rows[:, columns] - 1) for columns in ([6], [7], [8, 9, 10]))
    balance = 1 + (r - 1) / 2
    expected = ((x - 0.5) * c[:, None, None, :] + 0.5) * b[:, None, None, :] * balance[:, None, None, :]
    found = augment.coloured(batch, rows, replace(PLAIN, colour=0.4), preprocessing)
    assert np.allclose(found.permute(0, 2, 3, 1).numpy(), (expected - mean) / std, atol=1e-4)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("change", [{"grey": 0.5}, {"policy": "three"}])
def test_a_picture_that_was_made_grey_stays_grey(change: dict[str, Any]) -> None:
    import torch

    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    recipe, rows = replace(PLAIN, crop="padded", colour=0.4, **change), augment.draws(0, 0, KEYS[:60])
    views = np.stack([augment.augmented(pixels, row, recipe, (0, 0, 0)) for row in rows])
    found = augment.coloured(torch.from_numpy(views), rows, recipe, Preprocessing(16, 16, (0.0,) * 3, (1.0,) * 3))
    was_grey, is_grey = ((values == values[..., :1]).all(axis=(1, 2, 3))
                         for values in (views, found.permute(0, 2, 3, 1).numpy()))  # fmt: skip
    assert 10 < was_grey.sum() < 50
    assert is_grey.tolist() == was_grey.tolist()


def test_settings_of_before_make_the_pictures_of_before() -> None:
    # Hashed with the version that knew nothing of policies: old runs resume to the same bytes.
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    recipe = Recipe("small-cnn", size=16, crop="padded")
    views = [augment.augmented(pixels, row, recipe, (1, 2, 3)) for row in augment.draws(1, 2, KEYS[:64])]
    assert hashlib.sha256(np.stack(views).tobytes()).hexdigest()[:16] == BEFORE


@pytest.mark.parametrize(
    ("name", "expected"),
    [("grey", "grey"), ("solarise", "solarised"), ("blur", "soft"), ("hue", "other"), ("saturation", "other")],
)
def test_colours_and_sharpness_follow_their_settings(name: str, expected: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    plain = replace(PLAIN, crop="padded")
    rows = augment.draws(0, 0, KEYS[:300])
    changed = replace(plain, **{name: 0.5})  # type: ignore[arg-type]
    kinds = []
    for row in rows:
        before, after = (augment.augmented(pixels, row, recipe, (0, 0, 0)) for recipe in (plain, changed))
        solarised = np.where(before < 128, before, 255 - before)
        claims = {
            "same": np.array_equal(before, after),
            "grey": (after == after[:, :, :1]).all(),
            "solarised": np.array_equal(after, solarised),
            "soft": after.std() < before.std() and abs(after.mean() - before.mean()) < 2,
            "other": True,
        }
        kinds.append(next(kind for kind, is_so in claims.items() if is_so))
    if expected == "other":  # a strength, not a chance
        assert kinds.count("same") < 6
    else:
        assert set(kinds) <= {"same", expected}
        assert kinds.count(expected) == pytest.approx(150, abs=42)  # sd 8.7; a blur of sigma 0.1 is none


def test_augmix_s_loss_gets_the_same_crop_plain_and_twice_mixed() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    recipe = replace(PLAIN, objective="augmix", flip=0.5)
    for row in augment.draws(0, 0, KEYS[:20]):
        looks = augment.augmented(pixels, row, recipe, (0, 0, 0)).reshape(3, 16, 16, 3)
        assert np.array_equal(looks[0], augment.augmented(pixels, row, replace(PLAIN, flip=0.5), (0, 0, 0)))
        assert not np.array_equal(looks[1], looks[2])


def _mirrored(index: int, length: int) -> int:
    return -index if index < 0 else 2 * (length - 1) - index if index >= length else index


def _values(params: dict[str, int]) -> tuple[int, int, int, int]:
    return params["top"], params["left"], params["height"], params["width"]


ORDER = [6, 4, 0, 2, 5, 7, 3, 1]
DRAWS = [0.9592406581380604, 0.060036344356677374, 0.05689434805106808]
LATE_DRAWS = [0.26875470750408414, 0.3050179389579023, 0.8748727813669371]
BEFORE = "949808182b4d600f"
