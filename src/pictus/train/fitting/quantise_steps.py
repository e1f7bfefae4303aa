"""The verb that trains a run on with weights and activations of 8 bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from pictus import graphs, models, quantised_networks, stores
from pictus.errors import UserError, counted
from pictus.extras import need
from pictus.models import Floats, Pixels
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.releases import split_rows
from pictus.train.feed import remote
from pictus.train.fitting import measured, successor
from pictus.train.fitting.measured import FittedRow
from pictus.train.fitting.successor import Successor
from pictus.train.transfer import features
from pictus.train.watching import beside

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pictus.models import Run
    from pictus.releases import Release

BATCH, SEEN = 32, 512
"""Training pictures that ranges are first found from, and how many at once."""

SHARE = 0.1
"""Of the run's epochs, for what is trained on: its weights are near where they should be (Krishnamoorthi 2018, 3.2)."""

NAMED = 5
"""Layers that a message names."""


@step("train quantise", changes=True, needs_project=False, shows_records=True)
def quantise(project: Project, run: str = "", *, release: str = "", epochs: int = 0) -> Outcome[FittedRow]:
    """Train a run on with weights and activations of 8 bits, and measure it: before, rounded only, trained.

    The new run is a run like any other: the same command goes on after a kill, and `serve` exports it as a graph that
    computes with whole numbers. Pictures, augmentation and settings are the run's, at a tenth of its rate.

    run: by name or folder; the newest when left out
    release: to train on and measure by: version, folder or address, of the run's classes; the run's own when left out
    epochs: a tenth of the run's when left out

    Examples:
        pictus train quantise small-cnn-1.0.0
        pictus train quantise resnet18-1.0.0 --epochs 5
    """
    if epochs < 0:
        raise UserError(f"--epochs {epochs}: 0 or more is wanted.", fix="leave it out: a tenth of the run's")
    for module in ("onnx", "onnxscript", "onnxruntime"):  # to measure by: told before hours of training
        need(module, "serve")
    found = models.find_run(project, run)
    _check(found)
    opened = stores.found(project, release) if release else remote.of_run(project, found)
    if tuple(opened.classes) != found.classes:
        raise UserError(
            f"Release {opened.version} has other classes than {found.name}.", fix="name a release of the same classes"
        )
    name = found.model_name + quantised_networks.MARK
    rounded = models.load_run(found, device="cpu")
    quantised_networks.calibrate(quantised_networks.quantised(rounded), _batches(found, opened))
    many = epochs or max(1, round(SHARE * int(found.card.get("results", {}).get("epochs", 0))))
    weights = successor.written(project, found, rounded, f"{name} {opened.digest}")
    wanted = Successor(f"{found.name}-int8-{many}", name, weights, many)
    new, problems = successor.trained(project, found, opened, wanted, *settings_of_folded(found))
    split = features.judged_on(opened)
    rows = _rows(found, new, rounded, opened, split)
    beside.keep(new.root, beside.FITTED, split, rows)
    summary = {"run": new.name, "before": found.name, "split": split, "rows": [asdict(row) for row in rows],
               "left_in_float": list(quantised_networks.left_in_float(rounded))}  # fmt: skip
    following = (f"pictus evaluate run --run {new.name}", f"pictus serve export --run {new.name}")
    headline = _told(rows, new.name, split)
    problems = (*problems, *_left(rounded))
    return Outcome("train quantise", summary, headline, problems, following, lambda: iter(rows))


def settings_of_folded(run: "Run") -> tuple[str, ...]:
    """NAME=VALUE in place of the run's: what normalisation allowed is not for layers that it was folded into.

    By its own steps such a network of 8 bits forgets nearly all that a run of `airbench` knew.
    """
    own = ("optimizer=adamw", "lr=0.0001", "lr_head=1", "grow=1", "clip=2")
    is_normed = run.card.get("asked", {}).get("optimizer") == "muon-normed"
    return ("precision=fp32", "lr_bias=1", *(own if is_normed else ()))


def _check(run: "Run") -> None:
    if quantised_networks.split(run.model_name)[1]:
        raise UserError(
            f"{run.name} is of 8 bits already ({run.model_name}).",
            fix=f"train it on: pictus train run --recipe {run.model_name} --set from_run={run.name}",
        )
    if not run.is_classifier:
        raise UserError(f"{run.name} learned without labels: it has no guesses to keep.", fix="name a classifier's run")


def _batches(run: "Run", release: "Release") -> Iterator["torch.Tensor"]:
    """f32[BATCH, 3, S, S] of training pictures as validation would show them, spread over the split."""
    torch = need("torch", "train")
    rows = split_rows(release, "train")
    chosen = rows.take(np.unique(np.linspace(0, rows.num_rows - 1, SEEN).astype(int))).to_pylist()
    shown: list[Pixels] = []

    def collect(found: Iterator[Pixels]) -> Floats:
        shown.extend(found)
        return np.zeros((0, 1), np.float32)

    features.of_readable(stores.reader_of(release, run.card), run, chosen, collect)
    for start in range(0, len(shown), BATCH):
        yield models.normalised(torch.from_numpy(np.stack(shown[start : start + BATCH])), run.preprocessing)


def _rows(
    found: "Run", new: "Run", rounded: "nn.Module", release: "Release", split: str
) -> list[FittedRow]:
    """Before, rounded only, and trained: what each is right about, and what its graph costs in ONNX Runtime."""
    asked = (("before", found.name, models.load_run(found, device="cpu")), ("quantised", found.name, rounded),
             ("after", new.name, models.load_run(new, device="cpu")))  # fmt: skip
    task = str(found.card.get("recipe", {}).get("task", "classification"))
    made = [graphs.graph_of(network, found.preprocessing, task) for _, _, network in asked]
    return measured.rows(asked, found, release, split, measured.served_ms(made, found.preprocessing.size))


def _told(rows: list[FittedRow], name: str, split: str) -> str:
    before, rounded, after = rows
    scores = ", ".join(
        f"{which} {row.top1:.1%} ({row.low:.1%} to {row.high:.1%})"
        for which, row in (("before", before), ("rounded only", rounded), ("trained", after))
    )
    return (
        f"{name}: {after.bytes / before.bytes:.0%} of the bytes and {after.cpu_ms / before.cpu_ms:.0%} of the processor"
        f" time of {before.run} in ONNX Runtime (one thread, {before.cpu_ms:.2g} ms a picture before); top-1 on"
        f" {split}: {scores}"
    )


def _left(network: "nn.Module") -> tuple[str, ...]:
    """What people should know of layers that stay as they were."""
    names = quantised_networks.left_in_float(network)
    if not names:
        return ()
    shown = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return (f"{counted(len(names), 'layer')} with weights left in float: {shown}",)
