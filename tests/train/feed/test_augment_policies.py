from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pictus.pixels import Pixels
from pictus.train.feed import augment, augment_policies
from pictus.train.recipes import Recipe

FILL = (120, 110, 100)
KEYS = np.arange(1, 3001, dtype=np.uint64) * np.uint64(0x123456789)
ROWS = augment.draws(0, 0, KEYS)
PLAIN = Recipe("small-cnn", size=32, flip=0, erase=0, colour=0, crop="padded")
SPACES = {
    "RandAugment": augment_policies.RAND,
    "TrivialAugmentWide": augment_policies.TRIVIAL,
    "AugMix": augment_policies.AUGMIX,
}
THEIRS = {
    "Identity": "identity", "ShearX": "shear-x", "ShearY": "shear-y", "TranslateX": "translate-x",
    "TranslateY": "translate-y", "Rotate": "rotate", "Brightness": "brightness", "Color": "colour",
    "Contrast": "contrast", "Sharpness": "sharpness", "Posterize": "posterise", "Solarize": "solarise",
    "AutoContrast": "autocontrast", "Equalize": "equalise",
}  # fmt: skip


def picture() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", SPACES)
def test_operations_and_amounts_are_torchvision_s(name: str) -> None:
    from torchvision.transforms import v2

    theirs = getattr(v2, name)._AUGMENTATION_SPACE
    space = SPACES[name]
    assert set(space.names) == {THEIRS[one] for one in theirs}
    count = 10 if name == "AugMix" else 31
    for one, (amounts, is_signed) in theirs.items():
        values = amounts(count, 48, 48)
        ours = [augment_policies.amount_of(space, THEIRS[one], level / (count - 1), 48) for level in range(count)]
        if values is None:
            assert ours == [0] * count
        else:
            scale = 255 if one == "Solarize" else 1
            assert np.allclose(ours, values.numpy() * scale, atol=1e-4), one
        assert (THEIRS[one] in augment_policies._SIGNED) == is_signed


def test_each_operation_is_drawn_equally_often_and_signs_are_fair() -> None:
    moves = [augment_policies.drawn(augment_policies.RAND, row[52:55].tolist(), 0.3, 32) for row in ROWS]
    counts = Counter(move.name for move in moves)
    # 3,000 draws of 14: 214 expected, sd 14.1; within 4.5 of them.
    assert all(abs(counts[name] - 3000 / 14) < 64 for name in augment_policies.RAND.names)
    signed = [move.amount < 0 for move in moves if move.name in augment_policies._SIGNED]
    assert np.mean(signed) == pytest.approx(0.5, abs=0.05)


def test_trivial_draws_every_level() -> None:
    pixels = np.full((32, 32, 3), 100, np.uint8)
    values = [0.0] * augment_policies.N_POLICY
    values[0], values[2] = 6.5 / 14, 0.9  # brightness, upwards
    seen = set()
    for level in range(31):
        values[1] = (level + 0.5) / 31
        seen.add(int(augment_policies.trivial(pixels, values, FILL)[0, 0, 0]))
    assert seen == {int(np.float32(100) * np.float32(1 + 0.99 * level / 30)) for level in range(31)}


def test_augmix_mixes_in_published_shares() -> None:
    black, none = np.zeros((4, 4, 3), np.uint8), [0.5] * augment_policies.N_POLICY
    values = list(none)
    for chain in range(3):  # one operation each: solarise, from which black comes out white at any threshold of 0
        values[10 * chain] = 0.0
        values[10 * chain + 1] = augment_policies.AUGMIX.names.index("solarise") / 13 + 1e-3
        values[10 * chain + 2] = 0.999
    values[33] = 0.25
    # At magnitude 10 the level is 9 / 9: threshold 0, so all three chains are white; a quarter of 255 is mixed in.
    assert (augment_policies.augmix(black, values, 10, FILL) == 64).all()
    shares = np.array([augment_policies.augmix(black, [*values[:33], row[85]], 10, FILL)[0, 0, 0] for row in ROWS])
    assert shares.mean() / 255 == pytest.approx(0.5, abs=0.02)  # Beta(1, 1) is uniform
    assert shares.std() / 255 == pytest.approx(12**-0.5, abs=0.01)


def test_three_takes_each_of_three_as_often() -> None:
    pixels = picture()
    kinds: Counter[str] = Counter()
    for row in ROWS[:600]:
        found = augment_policies.three(pixels, row[52:86].tolist())
        is_grey = (found == found[:, :, :1]).all()
        is_turned = np.array_equal(found, np.where(pixels < 128, pixels, 255 - pixels))
        kinds["grey" if is_grey else "solarised" if is_turned else "blurred"] += 1
    assert all(abs(count - 200) < 55 for count in kinds.values())  # sd 11.5
    assert len(kinds) == 3


@pytest.mark.parametrize("policy", ["rand", "trivial", "augmix", "three"])
def test_a_policy_is_a_function_of_the_row_and_changes_pictures(policy: str) -> None:
    pixels, recipe = picture(), replace(PLAIN, policy=policy)
    made = [augment.augmented(pixels, row, recipe, FILL) for row in ROWS[:40]]
    again = [augment.augmented(pixels, row, recipe, FILL) for row in ROWS[:40]]
    plain = [augment.augmented(pixels, row, PLAIN, FILL) for row in ROWS[:40]]
    assert all(np.array_equal(*pair) for pair in zip(made, again, strict=True))
    assert sum(np.array_equal(*pair) for pair in zip(made, plain, strict=True)) < 15
    assert all(one.shape == (32, 32, 3) for one in made)


def test_magnitude_and_number_of_operations_count() -> None:
    pixels = picture()
    recipe = replace(PLAIN, policy="rand")

    def change(**settings: int) -> float:
        return float(
            np.mean([
                abs(augment.augmented(pixels, row, replace(recipe, **settings), FILL).astype(int)  # type: ignore[arg-type]
                    - augment.augmented(pixels, row, PLAIN, FILL)).mean()
                for row in ROWS[:120]
            ])
        )  # fmt: skip

    assert change(magnitude=1) < change(magnitude=9) == change(magnitude=0)
    assert change(ops=1) < change(ops=2) < change(ops=8)
