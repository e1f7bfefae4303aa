"""The recipe `auto`: chosen from what the pictures are and what the machine can do, and why in plain sentences.

`looked` and `measured` find the facts, `choice` decides from them alone. What is chosen is written on the card of the
run, so that a killed run goes on by it and not by another look at the clock.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from pictus import models, networks, pixels, stores
from pictus.engine import cpu_count
from pictus.errors import PictureError, UserError, counted
from pictus.extras import need
from pictus.project import Project
from pictus.releases import Release, class_names, split_rows
from pictus.train.loop import environment
from pictus.train.loop.parts import chosen, parted
from pictus.train.loop.precision import autocast
from pictus.train.recipes import RECIPES, SIDES, Recipe, changed, find

NAME = "auto"

LOOKED_AT = 48
"""Pictures decoded to tell grey ones from coloured."""

GREY = 6.0
"""Mean difference of a pixel's colours, of 255, under which a picture counts as grey: JPEG's own errors are 2 to 4."""

PROBE_S = 2.0
PROBED_BATCH = 32

SLOWER = 0.5
"""Below this share of the pace it was chosen for, a run says so at its end."""

MINUTES = 4.5
"""Of training where nothing is asked: with reading, validating and writing the command takes less than five."""

LEAST_SHOWN, EPOCHS = 50_000, (30, 120)
"""A network from scratch wants about so many pictures, and to see each of them so often, between these bounds."""

QUICK, QUICK_EPOCHS = "airbench", 8
"""Networks of this kind learn in fewer: Jordan's knows 94 % of CIFAR-10 after 10 (Jordan 2024, section 1)."""

SO_FEW = 2_000
"""Training pictures under which a CPU trains the smallest network: of 702 photos of hands it learned to tell 97.5 % of
201 others right in 60 epochs, 85 s of processor time (one seed; benchmarks/sign_digits.py measures again).
"""

TOO_UNEVEN = 5.0
"""Classes are balanced by square roots (Mahajan et al. 2018) where the largest has so many times the smallest's."""

FEW = 10_000
"""Training pictures under which rectangles are wiped out more often: little else keeps a network from learning them by
heart.
"""

COARSE_PX = 48
"""From this side on airbench's first layer takes every second pixel only."""

_MEANING = re.compile(
    r"\b(left|right|arrows?|letters?|digits?|numbers?|numerals?|characters?|alphabet|text|writing|words?|signs?"
    r"|zero|one|two|three|four|five|six|seven|eight|nine|clocks?|turn|clockwise)\b", re.IGNORECASE,
)  # fmt: skip


@dataclass(frozen=True)
class Data:
    """What is known of a release's training pictures."""

    n_train: int
    names: tuple[str, ...]
    fewest: int  # pictures of a class, of those that have any
    most: int
    short_side: int  # px, the median picture's
    grey: float  # share of the pictures looked at


@dataclass(frozen=True)
class Machine:
    """`pictures_per_s`: of training, forward and back, by (network, input side)."""

    cores: int
    device: str
    has_bf16: bool
    pictures_per_s: Mapping[tuple[str, int], float]


class Choice(NamedTuple):
    recipe: Recipe
    why: tuple[str, ...]
    pictures_per_s: float  # that the network is expected to learn from


def looked(release: Release) -> Data:
    """Number, sizes, classes and colours of the training pictures; `LOOKED_AT` of them are decoded."""
    rows = split_rows(release, "train")
    sides = np.minimum(rows.column("width").to_numpy(), rows.column("height").to_numpy())
    counts = np.bincount(rows.column("label").to_numpy().astype(np.int64), minlength=1)
    counts = counts[counts > 0]
    return Data(
        rows.num_rows, class_names(release), int(counts.min()), int(counts.max()), int(np.median(sides)),
        _grey_share(release),
    )  # fmt: skip


def measured(sides: Sequence[int], clock: Callable[[], float] = time.perf_counter) -> Machine:
    """Cores, device, and how fast each candidate learns at each side that comes into question: 2 s in all."""
    cores, device = cpu_count(), environment.device()
    has_bf16 = environment.has_fast_bf16()
    rates: dict[tuple[str, int], float] = {}
    began = clock()
    for side in sides:
        for name in candidates(device, side)[::-1]:  # the quickest first: it is the last resort
            if not rates or clock() - began < PROBE_S:
                rates[name, side] = _rate(name, side, (cores, device, has_bf16), clock)
    return Machine(cores, device, has_bf16, rates)


def candidates(device: str, side: int) -> tuple[str, ...]:
    """Networks from scratch for pictures of that side, the strongest first."""
    if device != "cpu":
        return ("resnet50", "resnet18", "resnet-w32")
    return ("airbench-s2" if side >= COARSE_PX else "airbench", "small-cnn")


def sides_for(data: Data, device: str) -> tuple[int, ...]:
    """Input sides that come into question, the largest first: pictures are not enlarged by more than a seventh."""
    most = 224 if device != "cpu" else 64
    fitting = [side for side in SIDES if side <= min(most, data.short_side * 1.15)] or [SIDES[0]]
    return tuple(fitting[::-1][:2])


def choice(data: Data, machine: Machine, minutes: float = 0.0) -> Choice:
    """The recipe, and a sentence for each thing that was decided. minutes: that are asked for, 0: ours."""
    minutes = minutes or MINUTES
    (network, side), rate = _strongest(machine, data.n_train, minutes)
    wanted = _wanted(network, data.n_train)
    most = round(rate * minutes * 60 * _TRAINED / max(1, data.n_train))
    recipe = replace(
        _base(network), size=side, minutes=minutes, patience=0,
        epochs=max(_least(network), min(max(2 * wanted, EPOCHS[0]), most)),
    )
    why = [
        _facts(data, machine),
        (f"Network {network} at {side} px: it learns from {rate:,.0f} pictures/s here, in {_lasting(minutes)} from each"
         f" picture {most:,} times; about {wanted:,} times are wanted."),
        f"At most {recipe.epochs:,} epochs in {_lasting(minutes)}, whichever is over first.",
    ]  # fmt: skip
    for more, reason in (_mirror(data), _few(data), _balance(data), _colour(data)):
        recipe = replace(recipe, **more)
        why.append(reason)
    return Choice(recipe, tuple(why), rate)


_TRAINED = 0.8
"""Share of a run that is training; the rest is validation, checkpoints and reading pictures for the first time."""


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"  # noqa: PLR2004  two digits say enough


def _lasting(minutes: float) -> str:
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def _facts(data: Data, machine: Machine) -> str:
    device = "no GPU" if machine.device == "cpu" else "a GPU"
    return (
        f"{counted(data.n_train, 'training picture')} of {counted(len(data.names), 'class', 'classes')}, the median"
        f" {data.short_side} px at its short side; {counted(machine.cores, 'core')}, {device},"
        f" {'fast' if machine.has_bf16 else 'no fast'} bf16."
    )


def _base(network: str) -> Recipe:
    return find(network) if network in RECIPES.names() else replace(find("resnet18"), model=network)


def _least(network: str) -> int:
    """Epochs that it wants at least."""
    return QUICK_EPOCHS if network.startswith(QUICK) else EPOCHS[0]


def _wanted(network: str, n_train: int) -> int:
    """Times that it wants to see each picture."""
    return max(_least(network), min(EPOCHS[1], LEAST_SHOWN // max(1, n_train)))


def _strongest(machine: Machine, n_train: int, minutes: float) -> tuple[tuple[str, int], float]:
    """The first of the candidates that sees each picture often enough; where none does, the quickest."""
    rates = machine.pictures_per_s
    if machine.device == "cpu" and n_train < SO_FEW:
        rates = {key: rate for key, rate in rates.items() if key[0] == "small-cnn"} or rates
    ordered = sorted(rates, key=lambda key: (candidates(machine.device, key[1]).index(key[0]), -key[1]))
    for key in ordered:
        if rates[key] * minutes * 60 * _TRAINED >= _wanted(key[0], n_train) * n_train:
            return key, rates[key]
    key = max(rates, key=lambda key: rates[key])
    return key, rates[key]


def has_direction(names: Sequence[str]) -> str:
    """A class whose mirror image may mean something else, "" where none does: digits, letters, left and right."""
    short = [name for name in names if len(name) == 1 or name.isdigit()]
    if len(short) * 2 > len(names):
        return short[0]
    return next((name for name in names if _MEANING.search(name.replace("_", " ").replace("-", " "))), "")


def _mirror(data: Data) -> tuple[dict[str, float | bool], str]:
    name = has_direction(data.names)
    if name:
        why = f"Pictures are not mirrored: a class called {name!r} may mean something else in a mirror."
        return {"flip": 0.0, "mirror": False}, why
    return {"flip": 0.5}, "Every second picture is mirrored: no class name speaks of a direction, digit or letter."


def _few(data: Data) -> tuple[dict[str, float], str]:
    if data.n_train < FEW:
        why = f"Fewer than {FEW:,} pictures: a rectangle is wiped out of every fourth, against learning by heart."
        return {"erase": 0.25}, why
    return {"erase": 0.1}, f"{FEW:,} pictures or more: a rectangle is wiped out of every tenth."


def _balance(data: Data) -> tuple[dict[str, float], str]:
    told = f"The smallest class has {data.fewest:,} pictures, the largest {data.most:,}"
    if data.most > TOO_UNEVEN * data.fewest:
        return {"balance": 0.5}, f"{told}: small ones are shown more often, by square roots."
    return {"balance": 0.0}, f"{told}: shown as they are."


def _colour(data: Data) -> tuple[dict[str, float], str]:
    if data.grey > 0.9:  # noqa: PLR2004  nearly all
        return {"colour": 0.3}, "The pictures are grey: brightness and contrast are varied more."
    return {"colour": 0.2}, "The pictures are coloured: brightness, contrast and colour balance are varied a little."


def _grey_share(release: Release) -> float:
    """Of pictures spread evenly; of a release in a store those of one shard, which is fetched whole."""
    rows, reader, found = split_rows(release, "train"), stores.reader_of(release, {}), []
    if stores.address_of(release):
        rows = rows.filter(pc.equal(rows.column("shard"), rows.column("shard")[0]))
    places = np.linspace(0, rows.num_rows - 1, min(LOOKED_AT, rows.num_rows)).astype(int)
    for row in rows.take(places).to_pylist():
        try:
            picture = pixels.decode_scaled(reader.read(row["shard"], row["offset"], row["size"]), 32)
        except PictureError:
            continue  # training counts and names it
        found.append(float(np.ptp(picture.astype(np.int16), axis=2).mean()) < GREY)
    return sum(found) / max(1, len(found))


def _rate(name: str, side: int, machine: tuple[int, str, bool], clock: Callable[[], float]) -> float:
    """Pictures/s forward and back on noise, after a step that is not timed."""
    torch = need("torch", "train")
    cores, device, has_bf16 = machine
    network = networks.make(find(name).model, 10, size=side).to(device, memory_format=torch.channels_last).train()
    count, threads = chosen(PROBED_BATCH * 2, side, cores, is_random=False, device=device)
    noise = torch.rand(PROBED_BATCH * 2, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)

    def compute(part: object, piece: slice) -> tuple[object, int]:
        with autocast(device, "bf16" if has_bf16 else "fp32"):
            return part(noise[piece]).float().square().mean(), 0  # type: ignore[operator]

    with parted(network, count, threads) as parts, environment.torch_threads(threads):
        parts.gradients(len(noise), compute)
        before = clock()
        parts.gradients(len(noise), compute)
        return len(noise) / max(1e-9, clock() - before)


def asked(project: Project, release: Release, name: str, settings: Sequence[str], *, pretrained: bool) -> Choice:
    """What `--recipe auto` stands for here, before the user's own settings; of a run that the same command began, what
    it was then.
    """
    if pretrained:
        raise UserError(
            "The recipe 'auto' trains from scratch: it has nobody's weights to start from.",
            fix="--recipe resnet18 --pretrained",
        )
    for run in models.runs(project, skip_broken=True)[::-1]:
        card = run.card
        is_same = card.get("why_settings") == list(settings) and card["release"]["digest"] == release.digest
        if is_same and not run.is_finished and name in ("", run.name):
            return Choice(Recipe(**card["chosen"]), tuple(card["why"]), card.get("expected_pictures_per_s", 0.0))
    plain = changed(find("small-cnn"), settings)
    data = looked(release)
    return choice(data, measured(sides_for(data, environment.device())), plain.minutes)


def told(found: Choice, settings: Sequence[str]) -> dict[str, Any]:
    """For the run card: what was chosen and why, and what the user set beside it."""
    return {"why": list(found.why), "why_settings": list(settings), "chosen": asdict(found.recipe),
            "expected_pictures_per_s": round(found.pictures_per_s, 1)}  # fmt: skip


def disappointed(card: Mapping[str, Any]) -> str:
    """A sentence for the end of a run that learned from far fewer pictures a second than it was chosen for; "" for any
    other. Of one whose network or size the user set nothing was expected.
    """
    expected, found, recipe = card.get("expected_pictures_per_s", 0.0), card["results"], card["recipe"]
    if not recipe.get("minutes") or any(recipe[name] != card.get("chosen", {}).get(name) for name in ("model", "size")):
        return ""
    paced, n_train = found["pictures_per_s"], card["pictures"]["train"]
    if paced >= expected * _TRAINED * SLOWER or found["epochs"] >= recipe["epochs"]:
        return ""
    seen = found["steps"] * recipe["batch_size"] / max(1, n_train)
    return (
        f"It learned from {_rounded(paced)} pictures/s, where {expected:,.0f} were measured at the start: the machine"
        f" was busy with other work. Each picture was seen {_rounded(seen)} times in {_lasting(recipe['minutes'])}; on"
        " an idle machine, or with more minutes, it will learn more."
    )
