"""A step of training beside torchvision's reference loop and timm's: the same network, batch and machine.

    python benchmarks/step_time.py             three settings, 3 rounds: about 10 minutes on 2 idle cores
    python benchmarks/step_time.py --quick     one setting, 1 round

Settings: resnet18 at 64 and at 128 px, mobilenet_v3_small at 128 px, torchvision's networks with 100 classes, batches
of 64. A step is what each loop does with a batch in memory: forward, cross-entropy with labels smoothed by 0.1,
backward, SGD with momentum and decay, and the counting of what was right. Ours begins at bytes (colour and
normalisation are in its time), the others at normalised f32. No averaged weights and no clipping on any side.

The loops of others are written here after their published descriptions: torchvision's references/classification
(train.py: loss, zero_grad, backward, step, accuracy at 1 and 5, meters), timm's train.py (its optimizer factory, its
loss, an update, its meter). Each runs as its users run it, fp32 in plain layout, and once more with bf16 autocast and
channels-last (timm: --channels-last --amp --amp-dtype bfloat16). Ours takes what a run of it takes by itself: the usual
choice of parts, layout and precision, or what its probe finds a tenth faster, before anything is timed. "ours fp32" and
"ours bf16" are held to that precision, so that each has a row of the same numbers beside it.

Every side is a process of its own, ROUNDS times by turns: a first few steps are not timed, then STEPS are. CPU is that
of the process. Ratios are the other's time by ours of the same round, the median of the rounds, least and most.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pictus import networks
from pictus.engine import cpu_count
from pictus.models import Preprocessing
from pictus.train import recipes
from pictus.train.feed import augment
from pictus.train.feed.loader import Batch
from pictus.train.loop import environment, probe, training
from pictus.train.loop.parts import chosen, draws_random_numbers, parted
from pictus.train.loop.schedule import Plan
from pictus.train.loop.state import Job, fresh
from pictus.train.recipes import Facts, Recipe

BATCH, CLASSES, STEPS, WARM, ROUNDS = 64, 100, 6, 2, 3
SETTINGS = (("resnet18", 64), ("resnet18", 128), ("mobilenet_v3_small", 128))
SIDES = ("ours", "ours fp32", "ours bf16", "torchvision", "torchvision bf16", "timm", "timm bf16")
LIMIT_S = 1800
Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


class Held:
    """Stands for the pictures of a run: the step asks how many there are, and for their weights."""

    def __init__(self) -> None:
        self.weights_N = None

    def __len__(self) -> int:
        return 100_000


def main() -> None:
    """Ours and the others by turns, then a table."""
    is_quick = "--quick" in sys.argv
    if "--side" in sys.argv:
        side, model, text = sys.argv[sys.argv.index("--side") + 1 :][:3]
        print(json.dumps(measured(side, model, int(text))))
        return
    print(f"{cpu_count()} cores, batches of {BATCH}, load {os.getloadavg()[0]:.1f}")
    for model, size in SETTINGS[:1] if is_quick else SETTINGS:
        rounds = [{side: asked(side, model, size) for side in SIDES} for _ in range(1 if is_quick else ROUNDS)]
        print(f"\n{model}, {size} px")
        table(rounds)


def table(rounds: list[dict[str, tuple[float, float]]]) -> None:
    """A line to each side; its CPU and wall time by ours, and its wall time by ours of the same numbers."""
    print(f"{'':18} {'CPU ms':>8} {'wall ms':>8}   {'CPU by ours':20} {'wall by ours':20} wall, same precision")
    for side in SIDES:
        cpu, wall = (statistics.median(one[side][at] for one in rounds) * 1e3 for at in (0, 1))
        alike = "ours bf16" if side.endswith("bf16") else "ours" if side == "ours" else "ours fp32"
        ratios = [spread([one[side][at] / one[own][at] for one in rounds])
                  for own, at in (("ours", 0), ("ours", 1), (alike, 1))]  # fmt: skip
        print(f"{side:18} {cpu:8.1f} {wall:8.1f}   {ratios[0]:20} {ratios[1]:20} {ratios[2]}", flush=True)


def spread(values: list[float]) -> str:
    """`1.52 (1.49 .. 1.60)`."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} .. {max(values):.2f})"


def asked(side: str, model: str, size: int) -> tuple[float, float]:
    """CPU and wall seconds of a step of one side, in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--side", side, model, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    cpu, wall = json.loads(done.stdout.splitlines()[-1])
    return cpu, wall


def measured(side: str, model: str, size: int) -> tuple[float, float]:
    """The same, here."""
    import torch

    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (BATCH, size, size, 3), np.uint8)
    labels = generator.integers(0, CLASSES, BATCH)
    if side.startswith("ours"):
        step = ours(model, size, (pixels, labels), side.removeprefix("ours").strip() or "auto")
    else:
        maker = torchvision_step if side.startswith("torchvision") else timm_step
        step = maker(model, pixels, labels, is_bf16=side.endswith("bf16"))
    for _ in range(WARM):
        step()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.process_time() - cpu) / STEPS, (time.perf_counter() - wall) / STEPS


def ours(model: str, size: int, given: tuple[Pixels, Labels], precision: str) -> Callable[[], object]:
    """`training.advance`, the step of every run, with the choices a run makes."""
    pixels, labels = given
    environment.keep_memory()
    wanted = Recipe(
        model, size=size, batch_size=BATCH, ema=0, clip=0, colour=0.2, lr=0.05, weight_decay=1e-4, precision=precision
    )
    facts = Facts(100_000, size, environment.pack_bytes(), environment.has_fast_bf16())
    network = networks.make(model, CLASSES, size=size)
    is_random = draws_random_numbers(network, size)
    parts, threads = chosen(BATCH, size, cpu_count(), is_random=is_random, device="cpu")
    usual = replace(recipes.resolve(wanted, facts), parts=parts, threads=threads)
    recipe, timed = probe.settled(wanted, usual, network, probe.Machine(cpu_count(), "cpu", is_random), len(Held()))
    print(probe.words(recipe), timed, file=sys.stderr)
    preprocessing = Preprocessing(size, size, networks.IMAGENET_MEAN, networks.IMAGENET_STD)
    held = cast("Any", Held())
    job = Job(Path(), recipe, preprocessing, held, held, CLASSES, cpu_count(), "cpu")
    state = fresh(job)
    state.counters.plan = Plan(0, 0.0, 10_000)
    draws = augment.draws(0, 0, np.arange(BATCH, dtype=np.uint64))
    batch = Batch((pixels,), (draws,), labels, np.arange(BATCH))
    held_open = parted(state.model, recipe.parts, recipe.threads)
    pieces = held_open.__enter__()
    environment.torch_threads(recipe.threads).__enter__()
    return lambda: (held_open, training.advance(job, state, pieces, batch))


def inputs(pixels: Pixels, *, is_bf16: bool) -> Any:  # noqa: ANN401  a torch.Tensor
    """Normalised f32[B, 3, S, S] as the others' loaders hand it over."""
    import torch

    mean, std = (torch.tensor(values)[:, None, None] for values in (networks.IMAGENET_MEAN, networks.IMAGENET_STD))
    found = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std
    return found.contiguous(memory_format=torch.channels_last if is_bf16 else torch.contiguous_format)


def made(model: str, *, is_bf16: bool) -> Any:  # noqa: ANN401  a torch module
    """The network in training, in the layout of the setting."""
    import torch
    import torchvision

    network = torchvision.models.get_model(model, weights=None, num_classes=CLASSES).train()
    return network.to(memory_format=torch.channels_last if is_bf16 else torch.contiguous_format)


def torchvision_step(model: str, pixels: Pixels, labels: Labels, *, is_bf16: bool) -> Callable[[], object]:
    """One turn of its train_one_epoch."""
    import torch

    network, images, targets = made(model, is_bf16=is_bf16), inputs(pixels, is_bf16=is_bf16), torch.from_numpy(labels)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    meters: dict[str, list[float]] = {"loss": [], "acc1": [], "acc5": []}

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16):
            output = network(images)
            loss = criterion(output, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.inference_mode():
            right = output.topk(5, 1)[1].t() == targets[None]
            meters["acc1"].append(float(right[:1].sum()) / len(targets))
            meters["acc5"].append(float(right.any(0).sum()) / len(targets))
        meters["loss"].append(loss.item())

    return step


def timm_step(model: str, pixels: Pixels, labels: Labels, *, is_bf16: bool) -> Callable[[], object]:
    """One update of its train_one_epoch."""
    import timm.loss
    import timm.optim
    import timm.utils
    import torch

    network, images, targets = made(model, is_bf16=is_bf16), inputs(pixels, is_bf16=is_bf16), torch.from_numpy(labels)
    criterion = timm.loss.LabelSmoothingCrossEntropy(smoothing=0.1)
    optimizer = timm.optim.create_optimizer_v2(network, opt="sgd", lr=0.05, momentum=0.9, weight_decay=1e-4)
    losses = timm.utils.AverageMeter()

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_bf16):
            loss = criterion(network(images), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.update(loss.item(), len(targets))

    return step


if __name__ == "__main__":
    main()
