"""Augmentation beside torchvision.transforms.v2 and kornia: processor time a picture, the same operation and amount.

    python benchmarks/augment.py              pictures of 224 px
    python benchmarks/augment.py --side 64
    python benchmarks/augment.py --peerless   without kornia, which is else installed into the temporary folder

One thread each, interleaved, the best of ROUNDS. Ours and torchvision get bytes (torchvision as it likes them: planes
of uint8), kornia and what is done to whole batches get floats. `differs` is the greatest difference in grey levels from
torchvision's pixels away from the rim, same picture and amount; kornia draws its policies once for a whole batch.
"""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as theirs

from pictus.pixels import Pixels
from pictus.train.feed import augment, mixing
from pictus.train.feed import augment_operations as ours
from pictus.train.feed import augment_policies as policies
from pictus.train.loop import environment
from pictus.train.recipes import Recipe

ROUNDS, PICTURES, RIM_PX = 7, 32, 12
FILL = (120, 110, 100)
Row = tuple[str, float, float, float | None, int | None]
"""Name, ours, torchvision's, kornia's, differs."""

HOW: dict[str, Any] = {"interpolation": v2.InterpolationMode.BILINEAR, "fill": list(FILL)}


def main() -> None:
    side = int(sys.argv[sys.argv.index("--side") + 1]) if "--side" in sys.argv else 224
    torch.set_num_threads(1)
    environment.keep_memory()  # as training does; the other sides run in the same process and gain as well
    pixels = [blots(number, side) for number in range(PICTURES)]
    planes = [torch.from_numpy(one.copy()).permute(2, 0, 1).contiguous() for one in pixels]
    with tempfile.TemporaryDirectory() as folder:
        kornia = None if "--peerless" in sys.argv else installed(folder)
        rows = [*operations(pixels, planes), *several(pixels, planes, kornia)]
    title = f"ms of CPU a picture, {side} px"
    print(f"{title:36s}{'ours':>8}{'v2':>8}{'ratio':>7}{'kornia':>8}{'differs':>9}")
    for name, own, peer, third, differs in rows:
        last = "" if differs is None else differs
        print(f"{name:36s}{own:8.3f}{peer:8.3f}{peer / own:7.1f}{third or math.nan:8.3f}{last:>9}")
    told = {
        "name": "augment", "ours": {row[0]: round(row[1], 4) for row in rows},
        "peer": {"torchvision": {row[0]: round(row[2], 4) for row in rows},
                 "kornia": {row[0]: round(row[3], 4) for row in rows if row[3]}},
        "unit": "CPU ms/picture", "ratio": {"torchvision": {row[0]: round(row[2] / row[1], 2) for row in rows}},
        "n": ROUNDS, "side": side, "checks": {row[0]: row[4] for row in rows if row[4] is not None},
    }  # fmt: skip
    print(json.dumps(told))


def blots(seed: int, side: int) -> Pixels:
    small = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


def operations(pixels: list[Pixels], planes: list[torch.Tensor]) -> list[Row]:
    straight: dict[str, Any] = {"angle": 0, "scale": 1, **HOW}
    slope = math.degrees(math.atan(0.3))
    pairs: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
        "brightness": (partial(ours.brightness, factor=1.4), partial(theirs.adjust_brightness, brightness_factor=1.4)),
        "contrast": (partial(ours.contrast, factor=1.4), partial(theirs.adjust_contrast, contrast_factor=1.4)),
        "saturation": (partial(ours.saturation, factor=0.3), partial(theirs.adjust_saturation, saturation_factor=0.3)),
        "hue": (partial(ours.hue, shift=0.2), partial(theirs.adjust_hue, hue_factor=0.2)),
        "grey": (ours.grey, partial(theirs.rgb_to_grayscale, num_output_channels=3)),
        "sharpness": (partial(ours.sharpness, factor=1.9), partial(theirs.adjust_sharpness, sharpness_factor=1.9)),
        "posterise": (partial(ours.posterise, bits=3), partial(theirs.posterize, bits=3)),
        "solarise": (partial(ours.solarise, threshold=128), partial(theirs.solarize, threshold=128)),
        "autocontrast": (ours.autocontrast, theirs.autocontrast),
        "equalise": (ours.equalise, theirs.equalize),
        "blur, sigma 1.5": (partial(ours.blur, sigma=1.5),
                            partial(theirs.gaussian_blur, kernel_size=[11, 11], sigma=[1.5, 1.5])),
        "rotate": (partial(ours.rotate, degrees=20, fill=FILL), partial(theirs.rotate, angle=20, **HOW)),
        "shear": (partial(ours.shear_x, slope=0.3, fill=FILL),
                  partial(theirs.affine, translate=[0, 0], shear=[slope, 0.0], center=[0, 0], **straight)),
        "translate": (partial(ours.shift, right=9, down=0, fill=FILL),
                      partial(theirs.affine, translate=[9, 0], shear=[0.0, 0.0], **straight)),
    }  # fmt: skip
    rows: list[Row] = []
    for name, (own, peer) in pairs.items():
        inner = slice(RIM_PX, -RIM_PX)
        apart = abs(own(pixels[0]).astype(int) - peer(planes[0]).permute(1, 2, 0).numpy())[inner, inner]
        # What turns or leans has a rim inside the picture as well: 97 of 100 values are compared.
        differs = int(np.quantile(apart, 0.97 if name in ("rotate", "shear") else 1))
        spent, asked = measured(partial(each, own, pixels), partial(each, peer, planes))
        rows.append((name, spent, asked, None, differs))
    return rows


def several(pixels: list[Pixels], planes: list[torch.Tensor], kornia: ModuleType | None) -> list[Row]:
    """Policies, and what is done to a batch."""
    values = augment.draws(0, 0, np.arange(PICTURES, dtype=np.uint64))
    own_values = np.random.default_rng(0).random((PICTURES, policies.N_POLICY)).tolist()
    batch = torch.stack([planes[-1], *planes]).float().div_(255).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(PICTURES + 1) % 10
    sides: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "RandAugment 2 x 9": (
            lambda: [policies.rand(*both, 9, 2, FILL) for both in zip(pixels, own_values, strict=True)],
            partial(each, v2.RandAugment(2, 9, **HOW), planes),
        ),
        "TrivialAugment": (
            lambda: [policies.trivial(*both, FILL) for both in zip(pixels, own_values, strict=True)],
            partial(each, v2.TrivialAugmentWide(**HOW), planes),
        ),
        "AugMix": (
            lambda: [policies.augmix(*both, 3, FILL) for both in zip(pixels, own_values, strict=True)],
            partial(each, v2.AugMix(**HOW), planes),
        ),
        "mixup (batch, floats)": (
            partial(mixed, Recipe("resnet18", mixup=0.8), batch, labels, values),
            lambda: v2.MixUp(alpha=0.8, num_classes=10)(batch[1:], labels[1:]),
        ),
        "CutMix (batch, floats)": (
            partial(mixed, Recipe("resnet18", cutmix=1.0), batch, labels, values),
            lambda: v2.CutMix(alpha=1.0, num_classes=10)(batch[1:], labels[1:]),
        ),
    }
    rows: list[Row] = []
    for name, (own, peer) in sides.items():
        third = None
        if kornia and name.startswith(("Rand", "Trivial")):
            auto = kornia.augmentation.auto
            policy = auto.RandAugment(n=2, m=9) if name.startswith("Rand") else auto.TrivialAugment()
            third = best(partial(policy, batch[1:].contiguous()))
        rows.append((name, *measured(own, peer), third, None))
    return rows


def mixed(recipe: Recipe, batch: torch.Tensor, labels: torch.Tensor, values: augment.Draws) -> object:
    """Of one picture more than are mixed, as training does: each with the one before it."""
    mix = mixing.drawn(augment.mixing_draws(values), recipe, batch.shape[2])
    return mixing.mixed_views(batch[1:], batch[:-1], mix), mixing.mixed_targets(labels[1:], labels[:-1], mix, 10)


def each(change: Callable[[Any], Any], pictures: list[Any]) -> None:
    for one in pictures:
        change(one)


def measured(own: Callable[[], Any], peer: Callable[[], Any]) -> tuple[float, float]:
    """Interleaved; ms a picture."""
    times = [(once(own), once(peer)) for _ in range(ROUNDS)]
    return min(time for time, _ in times), min(time for _, time in times)


def best(side: Callable[[], Any]) -> float:
    return min(once(side) for _ in range(ROUNDS))


def once(side: Callable[[], Any]) -> float:
    before = time.process_time()
    side()
    return (time.process_time() - before) * 1e3 / PICTURES


def installed(folder: str) -> ModuleType | None:
    """kornia, without the torch it would bring; None where it does not install."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, "kornia", "kornia_rs"]
    if subprocess.run(command, check=False).returncode:
        return None
    sys.path.append(folder)
    return importlib.import_module("kornia")


if __name__ == "__main__":
    main()
