"""Recipes: functions that return how to train. A variant is a `replace`; a run stores its resolved recipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from math import log2, sqrt
from typing import Any

from pictus import networks, quantised_networks
from pictus.errors import UserError, counted
from pictus.registry import Registry, unknown
from pictus.train.loop.optimizers import OPTIMIZERS
from pictus.train.loop.schedule import SCHEDULES
from pictus.train.meanings import SYNONYMS
from pictus.train.watching import loggers
from pictus.train.watching.loggers import LOGGERS

SIDES = (32, 48, 64, 80, 96, 128, 160, 192, 224)
"""Input sides in px an automatic size is chosen from: multiples of 16, so that four halvings come out even."""

NO_END = 1e6
"""A bound from here on is there for numbers that mean nothing, and is not told."""

LEAST_STEPS = 16
"""Steps an epoch should have: with fewer, the batch is made smaller."""

REFERENCE_BATCH = 128
"""The batch that learning rates are stated for."""


@dataclass(frozen=True)
class Recipe:
    """All that decides the result besides the pictures. What each means is said in meanings.py, and here only why.

    0 as size, pack, parts or threads: chosen at the start. Learning rate and weight decay are the peak's; both follow
    the schedule of `schedule.py`. Those of FOUND are not set, but found when the run begins.
    """

    model: str
    task: str = "classification"
    objective: str = "labels"  # decides what a batch is made of, too
    seed: int = 0
    epochs: int = 20
    minutes: float = 0.0  # planned anew as they pass (loop/budget.py)
    batch_size: int = 128
    optimizer: str = "sgd"  # sgd: Nesterov momentum 0.9
    lr: float = 0.2  # of a batch of REFERENCE_BATCH (`peak_lr`)
    weight_decay: float = 5e-4
    warmup: float = 0.1
    smoothing: float = 0.1
    clip: float = 2.0
    ema: float = 0.995
    patience: int = 0
    kept: str = "best"  # by validation of few pictures the best of late epochs is the luckiest
    size: int = 0
    largest: int = 224
    view: float = 1.0
    pack: int = 0
    crop: str = "resized"
    min_area: float = 0.35
    flip: float = 0.5
    erase: float = 0.25
    colour: float = 0.2
    precision: str = "auto"
    pretrained: bool = False
    weights: str = ""
    parts: int = 0
    threads: int = 0
    checkpoint_s: float = 60.0
    # what is trained, and from where (transfer/)
    freeze: str = "none"
    unfreeze_every: int = 0
    lr_head: float = 1.0  # before layer_decay
    lora: int = 0
    lora_on: str = ""
    from_run: str = ""  # the head's rows go over by concept
    from_run_sha256: str = ""
    # from a teacher (objective distil), against attacks (objective adversarial)
    teacher: str = ""
    teacher_sha256: str = ""
    temperature: float = 4.0
    distil: float = 0.7
    attack: float = 4.0
    attack_steps: int = 3
    # what is taught, and how much each picture counts (targets.py, objectives/labels.py)
    targets: str = "best"
    temper: float = 1.0
    robust: str = "none"
    loss: str = "task"
    sample_weights: str = ""
    sample_weights_sha256: str = ""
    weigh: str = "loss"
    # where pictures come from and how often (feed/packs.py, feed/sampling.py)
    keep: str = "auto"
    balance: float = 0.0
    repeats: int = 1
    cache_gb: float = 20.0
    # the loop's
    schedule: str = "cosine"
    layer_decay: float = 1.0
    drop: float = -1.0
    drop_path: float = -1.0  # earlier branches less
    accumulate: int = 1  # batch norm sees one piece
    grow: float = 1.0
    layout: str = "auto"
    compile: bool = False
    processes: int = 1  # devices/group.py
    shard: bool = False  # devices/sharding.py
    probe: bool = True
    # what else happens to a picture (feed/augment.py) and between two (feed/mixing.py)
    policy: str = "none"
    magnitude: int = 0  # as published: 9 of rand, 3 of augmix
    ops: int = 2
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.0
    blur: float = 0.0  # Gaussian, of sigma 0.1 to 2 px
    solarise: float = 0.0
    mixup: float = 0.0  # of Beta(alpha, alpha); with cutmix as well: either in every second picture
    cutmix: float = 0.0
    mix_until: float = 1.0
    # of airbench (plain_network.py), for any network
    alternate: bool = False  # chance says in which
    shift: float = 0.125
    mirror: bool = False
    nudge: int = 0
    lr_bias: float = 1.0
    # who else is told the curve (watching/loggers.py)
    log: str = "tensorboard"
    # without labels, or with few (pretrain/, objectives/simclr.py, dino.py, mae.py, fixmatch.py)
    max_area: float = 1.0
    share: float = 1.0  # drawn by the seed
    pool: str = "none"
    pool_sha256: str = ""
    hidden: int = 512
    outputs: int = 0
    sharpness: float = 0.2
    drift: float = 0.99  # it grows to 1
    local_crops: int = 4
    mask: float = 0.0
    patch: int = 0  # of a network without patches of its own
    threshold: float = 0.95
    unlabelled: int = 7
    unlabelled_weight: float = 1.0


@dataclass(frozen=True)
class Facts:
    """What a recipe is resolved against: pictures and machine."""

    n_train: int
    short_side: int  # px, the median picture's
    pack_bytes: int  # memory that decoded pictures may take
    has_fast_bf16: bool
    disk_bytes: int = 0  # that a pack of shrunk pictures may take; 0: none is made unless asked for


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


@RECIPES.register("airbench")
def airbench() -> Recipe:
    """A network that whitens first, for pictures of about 32 px (Jordan 2024: airbench96's groups of airbench94's
    width, trained as airbench94_muon).

    Its rates are for sums over the batch; here, with means and of a batch of 1,024: kernels 0.17, what normalisation
    adds 300 times, the head 0.07 times that, for its factor of logits, 1 / 9, is in the weights. The average of weights
    stands for lookahead. Ours: rectangles and further shifts, for more epochs than its 8, and pictures that grow, which
    are half the work until the middle. The rate ends at 0, so that the last epoch is the one to keep.
    """
    return Recipe(
        "airbench-deep", epochs=30, batch_size=1024, optimizer="muon-normed", lr=0.0615, lr_head=0.07, lr_bias=300,
        weight_decay=0.08, largest=32, warmup=0, schedule="linear", smoothing=0.2, clip=0, ema=0.95, kept="last",
        crop="padded", shift=0.125, alternate=True, erase=0.5, colour=0.1, grow=0.6, mirror=True, nudge=1,
    )  # fmt: skip


@RECIPES.register("airbench-s2")
def airbench_s2() -> Recipe:
    """airbench94's network for pictures of about 64 px at the cost of 32: its first layer takes every second pixel.

    By Nesterov momentum (Jordan 2024, airbench94's settings): rates for batches of 1,024, momentum 0.85 and sums over
    the batch; here, with 0.9 and means, 1.0 for a batch of 1,024, and lr_head the square of 1 / 9. It is made for
    thousands of pictures. Of 20 classes of 420 ImageNet pictures it knew 75.8 % of 1,597 others after 16 epochs,
    resnet-w32 64.9 % in the same five minutes (seed 0; benchmarks/tiny_imagenet.py measures again).
    """
    return Recipe(
        "airbench-s2", epochs=30, batch_size=128, lr=0.125, lr_head=1 / 81, lr_bias=64, weight_decay=1.3e-3, largest=64,
        warmup=0.2, schedule="linear", smoothing=0.1, clip=0, crop="padded", shift=0.125, alternate=True, erase=0.25,
        colour=0.2, mirror=True,
    )  # fmt: skip


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
        return replace(recipe, pretrained=True, epochs=10, optimizer="adamw", lr=3e-4, weight_decay=0.05, patience=3,
                       kept="best")  # fmt: skip
    return recipe


def changed(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """`changed(recipe, ("lr=0.1", "epochs=30"))`; every wrong setting is told at once."""
    plain = Recipe(recipe.model)  # whose numbers are of the kind they are declared to be
    kinds = {field.name: type(getattr(plain, field.name)) for field in fields(Recipe)}
    values: dict[str, object] = {}
    problems: list[str] = []
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            problems.append(f"{setting!r}: NAME=VALUE is wanted")
        elif name in kinds and not text.strip():
            problems.append(f"{setting!r}: a value is wanted, or leave it out")
        elif name not in kinds:
            problems.append(f"{setting!r}: {_unknown(name, sorted(kinds))}")
        else:
            try:
                values[name] = _parsed(text.strip(), kinds[name])
            except ValueError:
                problems.append(f"{setting!r}: {_KINDS[kinds[name]]} is wanted")
    problems += [f"{name} = {value!r}: {wrong}" for name, value, wrong in _wrong(values)]
    if problems:
        told = "".join(f"\n  {problem}" for problem in problems)
        raise UserError(f"{counted(len(problems), 'wrong setting')}:{told}", fix="pictus train settings    lists all")
    return replace(recipe, **values)  # type: ignore[arg-type]


def written(value: object) -> str:
    """A setting's value as it is typed."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def allowed(name: str) -> str:
    """What a setting may be, in words; "" where any text is."""
    if name == "freeze":
        return "none, backbone, or a number of stages"
    if name == "log":
        return ", ".join((*LOGGERS.names(), loggers.NONE))
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        return f"{low:,g} to {high:,g}" if high < NO_END else f"{low:,g} or more"
    return ", ".join(_choices(name) or (("true", "false") if isinstance(getattr(Recipe(""), name), bool) else ()))


def resolve(recipe: Recipe, facts: Facts) -> Recipe:
    """Every automatic choice made, so that the run can be repeated and resumed from the recipe alone."""
    fixed = networks.fixed_size(recipe.model)
    _check(recipe, fixed)
    size = recipe.size or fixed or _size(recipe, facts)
    if recipe.nudge >= size:
        raise UserError(f"Pictures of {size} px cannot be moved by {recipe.nudge}.", fix="--set nudge=1")
    wanted = max(1, facts.n_train // LEAST_STEPS)
    batch_size = recipe.batch_size if wanted >= recipe.batch_size else max(8, 2 ** int(log2(wanted)))
    batch_size = min(batch_size, facts.n_train, recipe.batch_size)
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if facts.has_fast_bf16 else "fp32"
    keep, pack = _kept(recipe, size, facts)
    layout = "channels-last" if recipe.layout == "auto" else recipe.layout
    return replace(
        recipe, size=size, batch_size=batch_size, precision=precision, keep=keep, pack=pack, layout=layout
    )  # fmt: skip


def _check(recipe: Recipe, fixed: int) -> None:
    """A UserError for settings that contradict each other. fixed: the only side the network takes, px; 0: any."""
    if recipe.mirror and not recipe.flip:
        raise UserError(
            f"{recipe.model} would answer by the mean over a picture and its mirror image, and was never shown one.",
            fix="--set mirror=false, or leave out flip=0",
        )
    if recipe.shard and recipe.processes == 1:
        raise UserError(
            "shard=true keeps the weights in shares of several processes, and there is one.",
            fix="--set processes=2, or leave out shard",
        )
    if recipe.patience and recipe.kept == "last":
        raise UserError(
            "patience waits for a better epoch, and the last is kept whether it is better or not.",
            fix="--set kept=best, or leave out patience",
        )
    if fixed and recipe.grow < 1:
        raise UserError(
            f"{recipe.model} takes pictures of {fixed} px only: they cannot grow while it trains.",
            fix="leave out grow, or choose another network",
        )
    if recipe.lora and quantised_networks.split(recipe.model)[1]:
        raise UserError(
            f"{recipe.model} is of 8 bits: what adapters add would not be rounded with it.",
            fix="leave out lora, or train adapters first and then: pictus train quantise RUN",
        )
    if recipe.lora and recipe.optimizer == "muon-normed":
        raise UserError(
            "optimizer=muon-normed keeps the norm that a kernel began with, and adapters (lora) begin at 0.",
            fix="--set optimizer=adamw --set lr=0.001 --set lr_head=1, or leave out lora",
        )


def peak_lr(recipe: Recipe) -> float:
    """The greatest rate: `lr` is of a batch of REFERENCE_BATCH. It grows with the batch (Goyal et al. 2017, section
    2.1); of steps that are as long as the rate whatever the gradient, with its root (Malladi et al. 2022, of Adam's).
    """
    times = recipe.batch_size / REFERENCE_BATCH
    return recipe.lr * (sqrt(times) if recipe.optimizer == "muon-normed" else times)


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
    return pack if recipe.crop == "padded" or (_fits(pack, facts) and facts.short_side > pack) else -1


def _fits(short_side: int, facts: Facts) -> bool:
    """Whether all pictures do, decoded, into the memory they may take; 4 : 3 is the usual shape."""
    return facts.n_train * short_side * short_side * 3 * 4 // 3 <= facts.pack_bytes


def pack_file_bytes(short_side: int) -> int:
    """About what a picture of that short side takes in a pack: 4 : 3 at 3 bits a pixel."""
    return short_side * short_side * 4 // 3 * 3 // 8


def _kept(recipe: Recipe, size: int, facts: Facts) -> tuple[str, int]:
    """`keep` and `pack`. By itself a pack is made where shrunk pictures do not fit into memory, the originals are at
    least half as large again in either direction, and the disk has room.
    """
    is_padded = recipe.crop == "padded"
    in_memory = recipe.pack or _pack(recipe, size, facts)
    # 320 px for an input of 224, 256 for 192: a little more than crops need, in steps that several recipes share.
    on_disk = recipe.pack if recipe.pack > 0 else size if is_padded else -(-(size * 4 // 3) // 64) * 64
    if recipe.keep != "auto":
        original = size if is_padded else -1
        return recipe.keep, {"memory": in_memory, "pack": on_disk, "original": original}[recipe.keep]
    has_room = facts.n_train * pack_file_bytes(on_disk) <= facts.disk_bytes
    is_worth_it = facts.short_side >= on_disk * 3 // 2 and recipe.pack >= 0
    return ("pack", on_disk) if not _fits(on_disk, facts) and has_room and is_worth_it else ("memory", in_memory)


def _parsed(text: str, kind: type) -> object:
    if kind is bool:
        known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in known:
            raise ValueError(text)
        return known[text.lower()]
    return kind(text)


_CHOICES = {"weigh": ("loss", "sampling"), "targets": ("best", "posterior", "votes"), "loss": ("task", "asymmetric"),
            "robust": ("none", "downweight", "gce", "forward"),
            "crop": ("resized", "padded"), "precision": ("auto", "bf16", "fp32", "fp16"),
            "layout": ("auto", "channels-last", "contiguous"),
            "policy": ("none", "rand", "trivial", "augmix", "three"),
            "kept": ("best", "last"), "keep": ("auto", "memory", "pack", "original"),
            "pool": ("none", "project")}  # fmt: skip
_REGISTERED: dict[str, Registry[Any]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}
_BOUNDS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**63 - 1), "epochs": (1, 100_000), "minutes": (0, 1e6), "batch_size": (2, 65_536), "lr": (1e-9, 1e3),
    "weight_decay": (0, 10), "warmup": (0, 0.9), "smoothing": (0, 0.99), "clip": (0, 1e9), "ema": (0, 0.99999),
    "patience": (0, 100_000), "size": (16, 2048), "largest": (32, 2048), "view": (0.25, 1), "pack": (-1, 4096),
    "min_area": (0.01, 1), "flip": (0, 1), "erase": (0, 1), "colour": (0, 1), "parts": (0, 64), "threads": (0, 4096),
    "unfreeze_every": (0, 100_000), "lr_head": (0.01, 1000), "lora": (0, 1024), "temperature": (0.1, 100),
    "distil": (0, 1), "attack": (0, 64),
    "attack_steps": (1, 100),
    "max_area": (0.01, 1), "share": (1e-6, 1), "hidden": (1, 65_536), "outputs": (0, 1_000_000),
    "sharpness": (0.01, 10), "drift": (0, 1), "local_crops": (0, 16), "mask": (0, 0.95), "patch": (0, 256),
    "threshold": (0, 1), "unlabelled": (1, 64), "unlabelled_weight": (0, 1000),
    "magnitude": (0, 30), "ops": (1, 8), "saturation": (0, 1), "hue": (0, 0.5), "grey": (0, 1), "blur": (0, 1),
    "solarise": (0, 1), "mixup": (0, 10), "cutmix": (0, 10), "mix_until": (0, 1),
    "checkpoint_s": (0, 1e9), "balance": (0, 1), "repeats": (1, 64), "cache_gb": (1e-6, 1e6), "temper": (0.01, 100),
    "shift": (0, 0.5), "lr_bias": (0.01, 1000), "nudge": (0, 64),
    "layer_decay": (0.01, 1), "drop": (-1, 0.9), "drop_path": (-1, 0.9), "accumulate": (1, 1024), "grow": (0.25, 1),
    "processes": (1, 64),
}  # fmt: skip


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def _choices(name: str) -> Sequence[str]:
    return _REGISTERED[name].names() if name in _REGISTERED else _CHOICES.get(name, ())


SURE = 0.8
"""So like (difflib's ratio) is a slip of the pen to what was meant that nothing else is proposed."""


def _unknown(name: str, known: list[str]) -> str:
    """What a person most likely meant: a word of other programs, or a slip of the pen."""
    if name in SYNONYMS:
        return f"There is no setting {name!r}. did you mean {SYNONYMS[name]}?"
    miss = unknown("setting", name, get_close_matches(name, known, n=1, cutoff=SURE) or known)
    return f"{miss.what} {miss.fix}"


def _wrong(values: dict[str, object]) -> list[tuple[str, object, str]]:
    found: list[tuple[str, object, str]] = []
    for name, value in values.items():
        choices = _choices(name)
        if choices and value not in choices:
            found.append((name, value, "one of: " + ", ".join(choices)))
        if name == "freeze" and value not in ("none", "backbone") and not re.fullmatch("[1-9][0-9]{0,3}", str(value)):
            found.append((name, value, "none, backbone, or how many stages are trained is wanted"))
        if name == "log":
            foreign = [one for one in loggers.names_of(str(value)) if one not in LOGGERS.names()]
            found += [(name, one, f"one of: {loggers.NONE}, {', '.join(LOGGERS.names())}") for one in foreign]
        if name in _BOUNDS:
            low, high = _BOUNDS[name]
            if not (isinstance(value, (int, float)) and low <= value <= high):
                found.append((name, value, f"{low:,g} to {high:,g} is wanted"))
    return found
