"""Random crops, flips, policies, wiped rectangles and colour as pure functions of (seed, epoch, picture).

Every picture of every epoch has its own row of uniform numbers, computed from a hash and not from
a stream: the same whatever the batch, the thread, the machine or the place a run was resumed at.

Legend: N pictures, D draws, H, W height and width, S side in px.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.extras import need
from pictus.models import Preprocessing
from pictus.train.feed import augment_operations, augment_policies
from pictus.train.recipes import Recipe, view_px

if TYPE_CHECKING:
    import torch

Pixels = npt.NDArray[np.uint8]
Draws = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

_TRIES = 10  # torchvision's RandomResizedCrop gives up after ten, too
_FLIP, _ERASE, _COLOUR, _CROP = 0, 1, 6, 12  # first column of each; erase takes 5, colour 5
_POLICY = _CROP + 4 * _TRIES
_LOOK = _POLICY + augment_policies.N_POLICY  # saturation, hue, grey, blur and its sigma, solarise; two to spare
_MIX = _LOOK + 8  # which kind, share, place of the box
_AGAIN = _MIX + 4  # of the policy's second look at the picture
_TURN = _AGAIN + augment_policies.N_POLICY  # of flips by turns: a half more in every next epoch, and from 1 on again
N_DRAWS = _TURN + 1
"""Only ever added to at the end: what a column holds stays, so that old runs resume to the same bytes."""

VIEWS = 1000
"""Streams of numbers from here on belong to further views of a picture."""


class Box(NamedTuple):
    """A part of a picture, px."""

    top: int
    left: int
    height: int
    width: int


def hashed(values: Hashes) -> Hashes:
    """splitmix64's finaliser (Steele et al. 2014): u64[...] -> u64[...], every bit depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def draws(seed: int, epoch: int, keys_N: Hashes, view: int = 0) -> Draws:
    """Uniform numbers in [0, 1), f64[N, D]: row = picture, whatever its place in the batch; others for each view."""
    state_N = hashed(keys_N ^ _stream(seed, epoch, 1 if view == 0 else VIEWS + view))
    steps_D = np.arange(1, N_DRAWS + 1, dtype=np.uint64) * _GOLDEN
    found_ND = _uniform(hashed(state_N[:, None] + steps_D[None, :]))
    found_ND[:, _TURN] = (_uniform(hashed(keys_N ^ _stream(seed, 0, 4))) + epoch % 2 / 2) % 1
    return found_ND


def order(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    """The permutation of 0..count-1 of one epoch: positions sorted by their hash."""
    numbers = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return np.argsort(hashed(numbers ^ _stream(seed, epoch, 2)), kind="stable")


def hashed_step(seed: int, step: int) -> int:
    """The seed of torch's own random numbers (dropout, stochastic depth) in one step."""
    return int(_stream(seed, step, 3) >> np.uint64(1))


def augmented(pixels: Pixels, row_D: Draws, recipe: Recipe, fill: tuple[int, int, int]) -> Pixels:
    """One training view: u8[H, W, 3] -> u8[S, S, 3] cropped, perhaps flipped, changed by the policy, in colours and
    sharpness, partly wiped with `fill`. Where the objective wants several of the same crop: u8[n S, S, 3], one under
    the other (`n_looks`).
    """
    values, side = row_D.tolist(), view_px(recipe)
    if recipe.crop == "padded":
        view = _shifted(pixels, side, values[_CROP], values[_CROP + 1], int(side * recipe.shift))
    else:
        box = resized_crop(pixels.shape[0], pixels.shape[1], values[_CROP:], recipe.min_area, recipe.max_area)
        part = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
        view = _resized(part, side)
    if values[_TURN if recipe.alternate else _FLIP] < recipe.flip:
        view = need("torch", "train").from_numpy(view).flip(1).numpy()  # numpy takes 14 times as long for 3-byte pixels
    looks = [_changed(_policed(one, values, recipe, fill, number), values, recipe)
             for number, one in enumerate([view] * n_looks(recipe))]  # fmt: skip
    if values[_ERASE] < recipe.erase:
        box = erased_box(side, values[_ERASE + 1 : _ERASE + 5])
        looks = [look.copy() for look in looks]
        for look in looks:
            look[box.top : box.top + box.height, box.left : box.left + box.width] = fill
    return looks[0] if len(looks) == 1 else np.concatenate(looks)


def n_looks(recipe: Recipe) -> int:
    """How many times the same crop is shown, changed in other ways: AugMix's loss compares three."""
    return 3 if recipe.objective == "augmix" else 1


def mixing_draws(draws_ND: Draws) -> Draws:
    """The numbers that decide how a picture is mixed with another: f64[N, 4]."""
    return draws_ND[:, _MIX:_AGAIN]


def resized_crop(height: int, width: int, values: list[float], min_area: float, max_area: float = 1.0) -> Box:
    """A box of random area (`min_area` to `max_area`) and shape (3 : 4 to 4 : 3, log-uniform): torchvision's
    RandomResizedCrop, with four uniform numbers a try. After ten misses the largest centred box of a fair shape.
    """
    for start in range(0, 4 * _TRIES, 4):
        area = height * width * (min_area + (max_area - min_area) * values[start])
        shape = math.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * values[start + 1])
        wide, high = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < wide <= width and 0 < high <= height:
            top, left = int(values[start + 2] * (height - high + 1)), int(values[start + 3] * (width - wide + 1))
            return Box(top, left, high, wide)
    high, wide = min(height, round(width / (3 / 4))), min(width, round(height * (4 / 3)))
    return Box((height - high) // 2, (width - wide) // 2, high, wide)


def erased_box(side: int, values: list[float]) -> Box:
    """A rectangle of 2 % to 25 % of the square and of shape 1 : 3 to 3 : 1 (Zhong et al. 2017), inside it."""
    area = side * side * (0.02 + 0.23 * values[0])
    shape = math.exp((2 * values[1] - 1) * math.log(3))
    high = min(side, max(1, round(math.sqrt(area * shape))))
    wide = min(side, max(1, round(math.sqrt(area / shape))))
    return Box(int(values[2] * (side - high + 1)), int(values[3] * (side - wide + 1)), high, wide)


def coloured(batch: "torch.Tensor", draws_ND: Draws, recipe: Recipe, preprocessing: Preprocessing) -> "torch.Tensor":
    """Brightness, contrast, colour balance and normalisation in one multiplication and addition per value.

    u8[N, S, S, 3] -> f32[N, 3, S, S], channels last in memory, on the same device. With x in 0..1:
    y = ((x - 1/2) contrast + 1/2) brightness balance_c, each factor uniform within 1 ± colour (balance: half of it,
    none of a picture that was made grey).
    """
    torch = need("torch", "train")
    factors_N5 = 1 + (2 * draws_ND[:, _COLOUR : _COLOUR + 5] - 1) * recipe.colour
    factors_N5[_is_grey(draws_ND, recipe), 2:] = 1
    contrast_N1, brightness_N1 = factors_N5[:, :1], factors_N5[:, 1:2]
    gain_N3 = brightness_N1 * (1 + (factors_N5[:, 2:] - 1) / 2)
    mean_3, std_3 = np.array(preprocessing.mean), np.array(preprocessing.std)
    scale_N3 = contrast_N1 * gain_N3 / std_3 / 255
    shift_N3 = (0.5 * (1 - contrast_N1) * gain_N3 - mean_3) / std_3
    scale, shift = (
        torch.from_numpy(values_N3.astype(np.float32))[:, None, None, :].to(batch.device)
        for values_N3 in (scale_N3, shift_N3)
    )
    return torch.addcmul(shift, batch.float(), scale).permute(0, 3, 1, 2)


def _is_grey(draws_ND: Draws, recipe: Recipe) -> npt.NDArray[np.bool_]:
    """bool[N]: which pictures `_changed`, or the policy `three`, makes grey."""
    is_grey_N: npt.NDArray[np.bool_] = draws_ND[:, _LOOK + 2] < recipe.grey
    return is_grey_N | (3 * draws_ND[:, _POLICY] < 1) if _is_three(recipe) else is_grey_N


def _is_three(recipe: Recipe) -> bool:
    return recipe.policy == "three" and n_looks(recipe) == 1


def _policed(view: Pixels, values: list[float], recipe: Recipe, fill: augment_operations.Colour, look: int) -> Pixels:
    """What the recipe's policy makes of a view; with AugMix's loss the first look stays plain, the others are mixed."""
    policy = recipe.policy if n_looks(recipe) == 1 else ("augmix" if look else "none")
    if policy == "none":
        return view
    own = values[_AGAIN:] if look > 1 else values[_POLICY:_LOOK]
    if policy == "trivial":
        return augment_policies.trivial(view, own, fill)
    if policy == "three":
        return augment_policies.three(view, own)
    magnitude = recipe.magnitude or augment_policies.USUAL[policy]
    if policy == "augmix":
        return augment_policies.augmix(view, own, min(magnitude, augment_policies.AUGMIX_LEVELS), fill)
    return augment_policies.rand(view, own, magnitude, recipe.ops, fill)


def _changed(view: Pixels, values: list[float], recipe: Recipe) -> Pixels:
    """Colours and sharpness, in the order of Chen et al. 2020 (SimCLR, appendix A) and Grill et al. 2020 (BYOL)."""
    saturation, hue, grey, blur, sigma, solarise = values[_LOOK : _LOOK + 6]
    if recipe.saturation:
        view = augment_operations.saturation(view, 1 + (2 * saturation - 1) * recipe.saturation)
    if recipe.hue:
        view = augment_operations.hue(view, (2 * hue - 1) * recipe.hue)
    if grey < recipe.grey:
        view = augment_operations.grey(view)
    if blur < recipe.blur:
        view = augment_operations.blur(view, 0.1 + 1.9 * sigma)
    if solarise < recipe.solarise:
        view = augment_operations.solarise(view, 128)
    return view


def _uniform(words: Hashes) -> Draws:
    """u64[...] -> f64[...] in [0, 1)."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _stream(seed: int, epoch: int, purpose: int) -> np.uint64:
    """One 64-bit word for (seed, epoch, purpose)."""
    word = np.zeros(1, np.uint64)
    for part in (seed, epoch, purpose):
        word = hashed((word ^ np.uint64(part % 2**64)) + _GOLDEN)
    return np.uint64(word[0])


def _resized(part: Pixels, side: int) -> Pixels:
    """Antialiased bilinear by torch on bytes: Pillow's pixels within one grey level at about 0.4 of its time."""
    if part.shape[:2] == (side, side):
        return part
    torch = need("torch", "train")
    planes = torch.from_numpy(part).unsqueeze(0).permute(0, 3, 1, 2)  # in this order torch sees channels last
    small = torch.nn.functional.interpolate(planes, (side, side), mode="bilinear", antialias=True)
    view: Pixels = small[0].permute(1, 2, 0).numpy()
    return view


def _shifted(pixels: Pixels, side: int, down: float, right: float, pad: int) -> Pixels:
    """A side × side window of the picture, up to `pad` px over its edges, which are mirrored."""
    rows, columns = (
        _mirrored(int(value * (length + 2 * pad - side + 1)) - pad, side, length)
        for value, length in zip((down, right), pixels.shape[:2], strict=True)
    )
    return pixels[rows[:, None], columns]


def _mirrored(start: int, count: int, length: int) -> npt.NDArray[np.int64]:
    """Indices start..start+count-1 folded back into 0..length-1 at both ends."""
    period = max(1, 2 * (length - 1))
    folded = np.abs((np.arange(start, start + count) + length - 1) % period - (length - 1))
    return np.minimum(folded, length - 1)
