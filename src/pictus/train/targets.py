"""What each training picture is to teach and how much it counts: the best label, the crowd's doubt, weights.

Validation and evaluation always ask for the best labels. All is read from the release's two tables of labels.

Legend: N pictures of the training split, K classes, L rows of labels.parquet about them.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pictus.errors import UserError, bad_rows, counted
from pictus.releases import Release, read_labels, split_rows
from pictus.tasks import TASKS, Floats, Targets
from pictus.train.recipes import Recipe

Doubles = npt.NDArray[np.float64]


class Known(NamedTuple):
    """The rows of labels.parquet about classes and training pictures, in numbers."""

    row_L: npt.NDArray[np.int64]
    class_L: npt.NDArray[np.int64]
    posterior_L: Doubles
    votes_L: Doubles  # share of the people asked who said or named it; NaN where nobody was


def check(release: Release, recipe: Recipe) -> None:
    """A UserError for settings that contradict each other, or ask for what the release does not know."""
    is_multilabel = recipe.task == "multilabel"
    if recipe.robust in ("gce", "forward") and is_multilabel:
        raise UserError(f"robust={recipe.robust} is for one class to a picture.", fix="--set robust=downweight")
    if recipe.loss == "asymmetric" and not is_multilabel:
        raise UserError("loss=asymmetric is for several labels to a picture.", fix="--set task=multilabel")
    if recipe.robust == "forward" and recipe.targets == "posterior":
        raise UserError(
            "robust=forward corrects labels that people gave; a posterior has been corrected already.",
            fix="--set targets=best    or    --set targets=votes",
        )
    if (recipe.targets != "best" or recipe.robust == "forward") and read_labels(release) is None:
        raise UserError(
            f"Release {release.version} has no labels.parquet: it knows one label to a picture, and nobody's doubt.",
            fix="cut another version, once people have been asked (pictus annotate); or --set targets=best",
        )


def of_training(release: Release, recipe: Recipe) -> Targets:
    """The targets of the training split.

    best: the task's. posterior: of each class that it is the one. Where people were asked or named classes whose
    posteriors add up to more than 1, they are divided by their sum; what is left of 1 is shared alike by the classes
    nobody was asked about, or divided among all where every one was. votes: the shares of answers, brought to a sum
    of 1 (Peterson et al. 2019). `temper` T: p^(1/T), brought to 1 again; above 1 it doubts more.
    For several labels to a picture each class's own posterior or share; what was not asked stays unknown.
    """
    check(release, recipe)
    if recipe.targets == "best":
        return TASKS.get(recipe.task).targets(release, "train")
    known = known_of(release)
    value_L = known.posterior_L if recipe.targets == "posterior" else known.votes_L
    if recipe.task == "multilabel":
        return _each(release, known, value_L, recipe.temper)
    shares_NK = _shares(release, known, value_L, spreads_rest=recipe.targets == "posterior")
    return _tempered(shares_NK, recipe.temper).astype(np.float32)


def weights_of(release: Release, recipe: Recipe) -> Floats | None:
    """How much each training picture counts in the loss, f32[N] of mean 1; None: all alike."""
    return _weights(release, recipe) if recipe.weigh == "loss" else None


def chances_of(release: Release, recipe: Recipe) -> Floats | None:
    """How often each training picture is shown, f32[N] of mean 1; None: as the classes are (`weigh=sampling`)."""
    return _weights(release, recipe) if recipe.weigh == "sampling" else None


def _weights(release: Release, recipe: Recipe) -> Floats | None:
    """Of each training picture, f32[N] of mean 1; None: all alike.

    From the file `sample_weights`. Without one, `robust=downweight`: the posterior of a picture's label times its
    quality, where a model doubted it (`annotate suspects`, confident learning: Northcutt et al. 2021).
    """
    if recipe.sample_weights:
        weights_N = _from_file(release, recipe)
    elif recipe.robust == "downweight":
        posterior_N: Doubles = split_rows(release, "train").column("posterior").to_numpy().astype(np.float64)
        weights_N = posterior_N * _quality(release)
    else:
        return None
    mean = weights_N.mean()
    if not mean > 0:
        raise UserError("No training picture has a weight above 0.", fix="give weights above 0, or robust=none")
    return np.asarray(weights_N / mean, np.float32)


def confusion_of(release: Release, recipe: Recipe) -> Floats:
    """P(the label trained on is j | the truth is k): f32[K, K], rows sum to 1.

    The truth is not known; the crowd's posterior stands for it: sum over pictures of posterior(k) x label(j), where
    the label is the best one, or the shares of votes (`targets`). A class that no posterior names is never wrong.
    """
    known = known_of(release)
    posterior_NK = _shares(release, known, known.posterior_L, spreads_rest=True)
    if recipe.targets == "votes":
        label_NK = _shares(release, known, known.votes_L, spreads_rest=False)
    else:
        label_NK = np.eye(len(release.classes))[split_rows(release, "train").column("label").to_numpy()]
    both_KK = posterior_NK.T @ label_NK
    sums_K1 = both_KK.sum(axis=1, keepdims=True)
    found_KK = np.where(sums_K1 > 0, both_KK / np.maximum(sums_K1, 1e-12), np.eye(len(both_KK)))
    return found_KK.astype(np.float32)


def known_of(release: Release) -> Known:
    """What labels.parquet says of the training pictures and the classes."""
    labels = read_labels(release)
    assert labels is not None, "checked before"
    ids = split_rows(release, "train").column("image_id").combine_chunks()
    classes = pa.array(release.classes, pa.string())
    rows = pc.fill_null(pc.index_in(labels.column("image_id"), value_set=ids), -1).to_numpy()
    columns = pc.fill_null(pc.index_in(labels.column("concept_id"), value_set=classes), -1).to_numpy()
    is_here = (rows >= 0) & (columns >= 0)
    n_votes, n_yes, posterior = (
        labels.column(name).to_numpy()[is_here].astype(np.float64) for name in ("n_votes", "n_yes", "posterior")
    )
    votes_L = np.where(n_votes > 0, n_yes / np.maximum(n_votes, 1), np.nan)
    return Known(rows[is_here].astype(np.int64), columns[is_here].astype(np.int64), posterior.clip(0, 1), votes_L)


def read_weights(path: Path) -> dict[str, float]:
    """image_id -> weight from a .csv or .parquet with these two columns; every bad row is told."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq  # noqa: PLC0415  0.1 s that --help does not pay

            table = pq.read_table(path, columns=["image_id", "weight"])
            pairs: list[tuple[Any, Any]] = list(zip(*(one.to_pylist() for one in table.columns), strict=True))
        else:
            with path.open(newline="", encoding="utf-8") as opened:
                pairs = [(row["image_id"], row["weight"]) for row in csv.DictReader(opened)]
    except (OSError, KeyError, ValueError, csv.Error, pa.ArrowException) as error:
        raise UserError(
            f"{path} cannot be read as weights: {error}.", fix="a .csv or .parquet with the columns image_id, weight"
        ) from error
    found, bad = dict[str, float](), list[str]()
    for number, (image_id, text) in enumerate(pairs, start=1):
        try:
            weight = float(text)
        except (TypeError, ValueError):  # told below, with the others
            weight = np.nan
        if not 0 <= weight < np.inf:
            bad.append(f"row {number}: {text!r} is not a weight of 0 or more")
        found[str(image_id)] = weight
    if bad:
        raise bad_rows(str(path), bad, fix="correct the rows")
    return found


def resolved(recipe: Recipe) -> Recipe:
    """With the digest of its file of weights: a run is resumed with the weights it began with."""
    if not recipe.sample_weights:
        return recipe
    path = Path(recipe.sample_weights).expanduser().resolve()
    return replace(recipe, sample_weights=str(path), sample_weights_sha256=_sha256(path))


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UserError(
            f"The file of weights {path} cannot be read: {error.strerror}.", fix="--set sample_weights=FILE.csv"
        ) from error


def _shares(release: Release, known: Known, value_L: Doubles, *, spreads_rest: bool) -> Doubles:
    """A distribution over the classes for each picture, f64[N, K]."""
    own_N = split_rows(release, "train").column("label").to_numpy()
    shares_NK = np.zeros((len(own_N), len(release.classes)))
    is_listed_NK = np.zeros(shares_NK.shape, np.bool_)
    shares_NK[known.row_L, known.class_L] = np.nan_to_num(value_L)
    is_listed_NK[known.row_L, known.class_L] = True
    if spreads_rest:
        rest_N = 1 - shares_NK.sum(axis=1)
        n_open_N = (~is_listed_NK).sum(axis=1)
        shares_NK += np.where(~is_listed_NK, (rest_N.clip(0) / np.maximum(n_open_N, 1))[:, None], 0)
    sums_N = shares_NK.sum(axis=1)
    nobody_N = sums_N <= 0  # asked nobody, or all said no: the label stands
    shares_NK[nobody_N, own_N[nobody_N]] = 1
    return shares_NK / np.where(nobody_N, 1, sums_N)[:, None]


def _each(release: Release, known: Known, value_L: Doubles, temper: float) -> Floats:
    """For several labels to a picture: f32[N, K], NaN where nothing is known; the own label is there at least."""
    own_N = split_rows(release, "train").column("label").to_numpy()
    found_NK = np.full((len(own_N), len(release.classes)), np.nan)
    found_NK[np.arange(len(own_N)), own_N] = 1
    is_told_L = ~np.isnan(value_L)
    found_NK[known.row_L[is_told_L], known.class_L[is_told_L]] = value_L[is_told_L]
    if temper != 1:
        yes_NK, no_NK = found_NK ** (1 / temper), (1 - found_NK) ** (1 / temper)
        found_NK = yes_NK / (yes_NK + no_NK)
    return found_NK.astype(np.float32)


def _tempered(shares_NK: Doubles, temper: float) -> Doubles:
    if temper == 1:
        return shares_NK
    found_NK: Doubles = (shares_NK / shares_NK.max(axis=1, keepdims=True)) ** (1 / temper)
    return np.asarray(found_NK / found_NK.sum(axis=1, keepdims=True))


def _quality(release: Release) -> Doubles:
    """Of each training picture's own label, f64[N]; 1 where no model doubted it."""
    rows = split_rows(release, "train")
    labels = read_labels(release)
    doubted = {}
    if labels is not None:
        columns = (labels.column(name).to_pylist() for name in ("image_id", "concept_id", "quality"))
        doubted = {(row[0], row[1]): row[2] for row in zip(*columns, strict=True) if row[2] is not None}
    keys = zip(*(rows.column(name).to_pylist() for name in ("image_id", "concept_id")), strict=True)
    return np.array([doubted.get(key, 1.0) for key in keys], np.float64)


def _from_file(release: Release, recipe: Recipe) -> Doubles:
    path = Path(recipe.sample_weights)
    if recipe.sample_weights_sha256 != _sha256(path):
        raise UserError(
            f"{path} is not the file of weights this run was begun with.",
            fix="put it back, or train again: pictus train run",
        )
    given = read_weights(path)
    rows = split_rows(release, "train")
    pairs = list(zip(*(rows.column(name).to_pylist() for name in ("image_id", "origin_id")), strict=True))
    n_known = sum(image_id in given or origin_id in given for image_id, origin_id in pairs)
    if not n_known:
        raise UserError(
            f"{path} has weights of {counted(len(given), 'picture')}, none of which is a training picture of release"
            f" {release.version}.",
            fix="name pictures by their image_id; those that are not listed weigh 1",
        )
    return np.array([given.get(image_id, given.get(origin_id, 1.0)) for image_id, origin_id in pairs], np.float64)
