"""Recipes: functions that return how to train. A variant is a `replace`; a run stores its resolved recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import log2

from pictus import networks
from pictus.errors import UserError, bad_rows
from pictus.registry import Registry, unknown

SIDES = (32, 48, 64, 80, 96, 128, 160, 192, 224)
"""Input sides in px an automatic size is chosen from: multiples of 16, so that four halvings come out even."""

LEAST_STEPS = 16
"""Steps an epoch should have: with fewer, the batch is made smaller."""

REFERENCE_BATCH = 128
"""The batch that learning rates are stated for."""


@dataclass(frozen=True)
class Recipe:
    """All that decides the result besides the pictures. 0 in size, pack, epochs' place means: chosen at the start.

    Learning rate and weight decay are the peak's; both follow the schedule of `schedule.py`.
    """

    model: str
    task: str = "classification"
    objective: str = "labels"  # what a step makes smaller, and by that what a batch is made of
    seed: int = 0
    epochs: int = 20
    minutes: float = 0.0  # > 0: as many epochs as fit into it, planned anew after each, at most `epochs`
    batch_size: int = 128
    optimizer: str = "sgd"  # sgd (Nesterov momentum 0.9) | adamw
    lr: float = 0.2  # at the peak, for a batch of 128; it grows and shrinks with the batch (Goyal et al. 2017)
    weight_decay: float = 5e-4  # not on normalisation layers and biases
    warmup: float = 0.1  # share of all steps
    smoothing: float = 0.1  # of labels
    clip: float = 2.0  # greatest norm of the gradient, 0: none
    ema: float = 0.995  # decay of the averaged weights that are validated and kept, 0: none
    patience: int = 0  # epochs without a better validation before training stops, 0: never
    size: int = 0  # px, input side; 0: from the pictures, at most `largest`
    largest: int = 224
    view: float = 1.0  # side of the crops trained on, as a share of the input side
    pack: int = 0  # px, short side pictures are kept at in memory between epochs; 0: from size, -1: never shrunk
    crop: str = "resized"  # resized (random area and shape) | padded (random shift by an eighth)
    min_area: float = 0.35  # smallest part of the picture a resized crop may show
    flip: float = 0.5  # chance
    erase: float = 0.25  # chance that a rectangle is wiped out
    colour: float = 0.2  # strength of random brightness, contrast and colour balance
    precision: str = "auto"  # auto | bf16 | fp32
    pretrained: bool = False
    weights: str = ""  # a safetensors file to start from
    parts: int = 0  # a batch is computed in, each by one thread; 0: from the cores
    threads: int = 0  # torch's in each part; 0: cores / parts
    checkpoint_s: float = 60.0  # seconds between checkpoints; one is also written after every epoch


@dataclass(frozen=True)
class Facts:
    """What a recipe is resolved against: pictures and machine."""

    n_train: int
    short_side: int  # px, the median picture's
    pack_bytes: int  # memory that decoded pictures may take
    has_fast_bf16: bool


RECIPES: Registry[Callable[[], Recipe]] = Registry("recipe", entry_points="pictus.recipes")


@RECIPES.register("small-cnn")
def small_cnn() -> Recipe:
    """A first model in a minute or two on a laptop."""
    return Recipe("small-cnn", epochs=18, largest=64)


@RECIPES.register("resnet-w32")
def resnet_w32() -> Recipe:
    """A plain ResNet of width 32, for pictures of about 64 px.

    Shifted crops of three quarters of the side: on 20 classes of 475 ImageNet pictures of 64 px they reached 73.0 %
    top-1 in 30 epochs, crops of random area 68.7 % in 40 (999 test pictures, seed 0, docs/train.md).
    """
    return Recipe("resnet-w32", epochs=36, largest=64, crop="padded", view=0.75)


@RECIPES.register("resnet18")
def resnet18() -> Recipe:
    """The usual first network for photographs: ResNet-18 as torchvision has it."""
    return Recipe("resnet18", epochs=60, weight_decay=1e-4)


def find(name: str, *, pretrained: bool = False) -> Recipe:
    """A recipe by name, or a sound one for any network of torchvision or timm."""
    if name in RECIPES.names():
        recipe = RECIPES.get(name)()
    else:
        try:
            networks.family_of(name)
        except UserError as error:
            raise UserError(unknown("recipe", name, RECIPES.names()).what, fix=error.fix) from None
        recipe = Recipe(name, epochs=60, optimizer="adamw", lr=1e-3, weight_decay=0.05, ema=0.998)
    if pretrained:
        return replace(recipe, pretrained=True, epochs=10, optimizer="adamw", lr=3e-4, weight_decay=0.05, patience=3)
    return recipe


def changed(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """`changed(recipe, ("lr=0.1", "epochs=30"))`; every wrong setting is told at once."""
    kinds = {field.name: type(getattr(recipe, field.name)) for field in fields(Recipe)}
    values: dict[str, object] = {}
    problems: list[str] = []
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            problems.append(f"{setting!r}: NAME=VALUE is wanted")
        elif name not in kinds:
            miss = unknown("setting", name, sorted(kinds))
            problems.append(f"{setting!r}: {miss.what} {miss.fix}")
        else:
            try:
                values[name] = _parsed(text.strip(), kinds[name])
            except ValueError:
                problems.append(f"{setting!r}: {kinds[name].__name__} is wanted")
    problems += [f"{name} = {value!r}: {wrong}" for name, value, wrong in _wrong(values)]
    if problems:
        raise bad_rows("--set", problems, fix="see `pictus train run --help`, or docs/train.md for every setting")
    return replace(recipe, **values)  # type: ignore[arg-type]


def resolve(recipe: Recipe, facts: Facts) -> Recipe:
    """Every automatic choice made, so that the run can be repeated and resumed from the recipe alone."""
    fixed = networks.fixed_size(recipe.model)
    size = recipe.size or fixed or _size(recipe, facts)
    wanted = max(1, facts.n_train // LEAST_STEPS)
    batch_size = recipe.batch_size if wanted >= recipe.batch_size else max(8, 2 ** int(log2(wanted)))
    batch_size = min(batch_size, facts.n_train, recipe.batch_size)
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if facts.has_fast_bf16 else "fp32"
    return replace(
        recipe, size=size, batch_size=batch_size, precision=precision,
        pack=recipe.pack or _pack(recipe, size, facts),
    )  # fmt: skip


def view_px(recipe: Recipe) -> int:
    """Side of the crops trained on."""
    return max(8, round(recipe.size * recipe.view))


def _size(recipe: Recipe, facts: Facts) -> int:
    if recipe.pretrained:
        return recipe.largest
    # A picture a little smaller than the side is no loss: 60 px pictures train at 64.
    fitting = [side for side in SIDES if side <= min(recipe.largest, facts.short_side * 1.15)]
    return max(fitting, default=SIDES[0])


def _pack(recipe: Recipe, size: int, facts: Facts) -> int:
    """Pictures much larger than the input are shrunk once, when all of them then fit into memory."""
    pack = size if recipe.crop == "padded" else size * 4 // 3
    fits = facts.n_train * pack * pack * 3 * 4 // 3 <= facts.pack_bytes  # 4 : 3, the usual shape
    return pack if recipe.crop == "padded" or (fits and facts.short_side > pack) else -1


def _parsed(text: str, kind: type) -> object:
    if kind is bool:
        known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in known:
            raise ValueError(text)
        return known[text.lower()]
    return kind(text)


_CHOICES = {"optimizer": ("sgd", "adamw"), "crop": ("resized", "padded"), "precision": ("auto", "bf16", "fp32")}
_BOUNDS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1), "epochs": (1, 100_000), "minutes": (0, 1e6), "batch_size": (2, 65_536), "lr": (1e-9, 1e3),
    "weight_decay": (0, 10), "warmup": (0, 0.9), "smoothing": (0, 0.99), "clip": (0, 1e9), "ema": (0, 0.99999),
    "patience": (0, 100_000), "size": (16, 2048), "largest": (32, 2048), "view": (0.25, 1), "pack": (-1, 4096),
    "min_area": (0.01, 1), "flip": (0, 1), "erase": (0, 1), "colour": (0, 1), "parts": (0, 64), "threads": (0, 4096),
    "checkpoint_s": (0, 1e9),
}  # fmt: skip


def _wrong(values: dict[str, object]) -> list[tuple[str, object, str]]:
    found: list[tuple[str, object, str]] = []
    for name, value in values.items():
        if name in _CHOICES and value not in _CHOICES[name]:
            found.append((name, value, "one of: " + ", ".join(_CHOICES[name])))
        if name in _BOUNDS:
            low, high = _BOUNDS[name]
            if not (isinstance(value, (int, float)) and low <= value <= high):
                found.append((name, value, f"{low:,g} to {high:,g} is wanted"))
    return found
