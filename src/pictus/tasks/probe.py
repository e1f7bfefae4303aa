"""A probe: one linear layer, or two with a bend, on features that some network made before. Fitted in seconds.

Features of any kind do, and of several kinds side by side: a picture's, a text's, a sound's. Each column is
standardised (mean 0, spread 1 over the pictures fitted on); each kind is then divided by the root of its width, so that
one of 2,048 columns does not drown another of 64 (hard block scaling: Eriksson et al. 2006). Everything is a
function of what is given: no clock, no order of threads; `seed` draws the first weights of a bent probe alone.

Legend: N pictures, D feature columns, H hidden units, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pictus.errors import UserError, counted
from pictus.extras import need
from pictus.tasks.task import TASKS, Floats, Targets

Layers = tuple[tuple[Floats, Floats], ...]

METHODS = ("logistic", "ridge")

BLOCK = 4_096
"""Pictures whose features are held at once as f64."""


@dataclass(frozen=True)
class Settings:
    """How to fit. `method`: logistic (the task's own loss, by L-BFGS) or ridge (least squares, in closed form).

    l2: weight of the squared weights beside the mean loss. hidden: units of a bent probe, 0 for a linear one.
    widths: columns of each kind of feature, () for one kind. n_classes: 0 for as many as the targets name.
    """

    task: str = "classification"
    method: str = "logistic"
    l2: float = 1e-4
    hidden: int = 0
    steps: int = 200  # of L-BFGS, at most
    seed: int = 0
    widths: tuple[int, ...] = ()
    n_classes: int = 0


@dataclass(frozen=True, eq=False)
class Probe:
    """(features - mean) * scale, then each layer (weight f32[out, in], bias f32[out]) with a ReLU between them."""

    mean_D: Floats
    scale_D: Floats
    layers: Layers
    task: str


def fit(features_ND: Floats, targets: Targets, settings: Settings | None = None) -> Probe:
    """The probe of these pictures. features f32[N, D], finite; targets as the task has them: i64[N] or f32[N, K]."""
    chosen = settings or Settings()
    _check(features_ND, targets, chosen)
    n_classes = chosen.n_classes or (targets.shape[1] if targets.ndim > 1 else int(targets.max()) + 1)
    mean_D, scale_D = _standard(features_ND, chosen.widths or (features_ND.shape[1],))
    inputs_ND = features_ND - mean_D  # the one copy of all there is
    inputs_ND *= scale_D
    fitted = _ridge if chosen.method == "ridge" else _logistic
    return Probe(mean_D, scale_D, fitted(inputs_ND, targets, n_classes, chosen), chosen.task)


def predict(probe: Probe, features_ND: Floats) -> Floats:
    """Logits f32[N, K]."""
    found = (np.asarray(features_ND, np.float32) - probe.mean_D) * probe.scale_D
    for number, (weight, bias) in enumerate(probe.layers):
        found = np.maximum(found, 0) if number else found
        found = found @ weight.T + bias
    return np.asarray(found, np.float32)


def fused(kinds: Sequence[Floats]) -> tuple[Floats, tuple[int, ...]]:
    """Several kinds of features of the same pictures side by side, and their widths for `Settings`."""
    if not kinds or len({len(one) for one in kinds}) > 1:
        rows = ", ".join(f"{len(one):,}" for one in kinds) or "none"
        raise UserError(f"Features to be fused are of the same pictures; found rows: {rows}.")
    return np.concatenate([np.asarray(one, np.float32) for one in kinds], axis=1), tuple(one.shape[1] for one in kinds)


def _logistic(inputs_ND: Floats, targets: Targets, n_classes: int, chosen: Settings) -> Layers:
    """L-BFGS (Liu & Nocedal 1989) on all pictures at once, with a line search; weights from 0 where it is linear."""
    torch = need("torch", "train")
    inputs, wanted = torch.from_numpy(np.ascontiguousarray(inputs_ND)), torch.from_numpy(np.ascontiguousarray(targets))
    sizes = [inputs.shape[1], *([chosen.hidden] if chosen.hidden else []), n_classes]
    generator = torch.Generator().manual_seed(chosen.seed)
    layers = []
    for number, (wide, out) in enumerate(pairwise(sizes)):
        is_last = number == len(sizes) - 2
        weight = torch.zeros(out, wide) if is_last else torch.randn(out, wide, generator=generator) * (2 / wide) ** 0.5
        layers.append((weight.requires_grad_(), torch.zeros(out).requires_grad_()))
    parameters = [one for layer in layers for one in layer]
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=chosen.steps, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )
    task = TASKS.get(chosen.task)

    def closure() -> Any:  # noqa: ANN401  a tensor
        optimizer.zero_grad()
        found = inputs
        for number, (weight, bias) in enumerate(layers):
            found = found.relu() if number else found
            found = found @ weight.T + bias
        penalty = sum(weight.square().sum() for weight, _ in layers)
        loss = task.loss(found, wanted, 0.0).mean() + chosen.l2 * penalty
        loss.backward()
        return loss

    optimizer.step(closure)
    return tuple((weight.detach().numpy(), bias.detach().numpy()) for weight, bias in layers)


def _ridge(inputs_ND: Floats, targets: Targets, n_classes: int, chosen: Settings) -> Layers:
    """Weights of (X'X / N + l2 I) W = X'Y / N, Y = 1 where the class is and 0 where not, less its mean."""
    wanted_NK = targets if targets.ndim > 1 else np.eye(n_classes, dtype=np.float32)[targets.astype(np.int64)]
    mean_K = wanted_NK.mean(axis=0, dtype=np.float64)
    inputs_ND = inputs_ND.astype(np.float64)
    square_DD = inputs_ND.T @ inputs_ND / len(inputs_ND) + chosen.l2 * np.eye(inputs_ND.shape[1])
    weights_DK = np.linalg.solve(square_DD, inputs_ND.T @ (wanted_NK - mean_K) / len(inputs_ND))
    return ((weights_DK.T.astype(np.float32), mean_K.astype(np.float32)),)


def _standard(features_ND: Floats, widths: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Mean of each column and what it is multiplied by; a column that never changes is multiplied by 0."""
    blocks = [slice(start, start + BLOCK) for start in range(0, len(features_ND), BLOCK)]
    mean_D = features_ND.mean(axis=0, dtype=np.float64)
    square_D = sum((np.square(features_ND[block] - mean_D).sum(axis=0) for block in blocks), np.zeros_like(mean_D))
    spread_D = np.sqrt(square_D / len(features_ND))
    share_D = np.repeat([(np.mean(widths) / width) ** 0.5 for width in widths], widths)
    is_alive_D = spread_D > 1e-6 * np.maximum(1, np.abs(mean_D))
    scale_D = np.where(is_alive_D, share_D / np.where(is_alive_D, spread_D, 1), 0)
    return mean_D.astype(np.float32), scale_D.astype(np.float32)


def _check(features_ND: Floats, targets: Targets, chosen: Settings) -> None:
    if chosen.method not in METHODS:
        raise UserError(f"There is no way to fit called {chosen.method!r}.", fix=f"one of: {', '.join(METHODS)}")
    if chosen.method == "ridge" and (chosen.hidden or chosen.task != "classification"):
        raise UserError("Least squares fits linear probes of one class to a picture.", fix="method logistic")
    if features_ND.ndim != 2 or len(features_ND) != len(targets) or not len(targets):  # noqa: PLR2004
        raise UserError(f"Features of shape {features_ND.shape} for {counted(len(targets), 'target')}.")
    if sum(chosen.widths or (features_ND.shape[1],)) != features_ND.shape[1]:
        raise UserError(f"Kinds of widths {chosen.widths} are not {features_ND.shape[1]:,} columns.")
    bad = int((~np.isfinite(features_ND)).any(axis=1).sum())
    if bad:
        raise UserError(f"Of {counted(len(features_ND), 'picture')} {bad:,} have features that are not numbers.")
