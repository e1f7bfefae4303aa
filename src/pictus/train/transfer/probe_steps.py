"""The verbs that judge features: probe, few-shot."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pictus import stores
from pictus.errors import UserError, counted
from pictus.project import Project, write_text
from pictus.registry import Outcome, step
from pictus.releases import Release
from pictus.train.transfer import features, pages, probing, vectors
from pictus.train.transfer.features import Features
from pictus.train.transfer.probing import FewShotRow, ProbeRow

SHOTS = (1, 5, 10)
"""Pictures of each class that few-shot results are usually told for."""


class _Seen(NamedTuple):
    name: str
    where: str  # the features lie: a folder, or columns
    reports: Path
    release: Release
    train: Features
    val: Features
    test: Features | None
    widths: tuple[int, ...] = ()  # of each kind of feature, where there are several
    notes: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        return len(self.release.classes)

    @property
    def problems(self) -> tuple[str, ...]:
        n_bad = sum(part.n_unreadable for part in (self.train, self.val, self.test) if part is not None)
        return (*self.notes, f"{counted(n_bad, 'picture')} cannot be decoded") if n_bad else self.notes


@step("train probe", changes=True, needs_project=False, shows_records=True)
def probe(
    project: Project, *, network: str = "", release: str = "", weights: str = "", column: tuple[str, ...] = (),
    knn: bool = False, hidden: int = 0, share: float = 1.0,
) -> Outcome[ProbeRow]:  # fmt: skip
    """How good features are for a release, in seconds: a linear probe and neighbours on a network's, or any column's.

    A network's are made once for each release and kept. A column is of anything: another network, sound, text, sensors;
    with several, or --network, all are used together. The probe's penalty, and k, are the best on val.

    network: a run, or a network of torchvision or timm with its publisher's weights; the newest run when left out
    release: version, release folder, or address of one in a store (s3://…); the newest when left out
    weights: a safetensors file to take the network's weights from
    column: FILE.parquet:NAME, lists of numbers by image_id, or a table that `search index` made (repeatable)
    knn: neighbours alone, no probe is fitted
    hidden: units of a bent probe, 0 for a linear one
    share: of each class's training pictures that probe and neighbours know, 0 to 1; at least one

    Examples:
        pictus train probe
        pictus train probe --network resnet18 --release 1.0.0
        pictus train probe --network small-cnn-1.0.0 --knn
        pictus train probe --network simclr-resnet-w32-1.0.0 --share 0.01
        pictus train probe --column sound.parquet:wav2vec --column text.parquet:clip
    """
    _check(hidden, share)
    seen = _seen(project, (network, release, weights), column)
    seen = seen._replace(train=probing.share_of(seen.train, share))
    found: list[ProbeRow] = []
    for method in (["mlp" if hidden else "linear"] if not knn else []) + ["knn"]:
        found += probing.rows(
            method, seen.train, seen.val, seen.test, seen.n_classes, hidden=hidden, widths=seen.widths
        )
    split = found[-1].split
    told = "; ".join(
        f"{row.method} ({row.setting}) {row.top1:.1%} ({row.low:.1%} to {row.high:.1%})"
        for row in found if row.split == split
    )  # fmt: skip
    remark = "" if seen.test is not None else ", on the pictures that chose the setting"
    remark += f", from the labels of {counted(len(seen.train.labels_N), 'picture')}" if share < 1 else ""
    best = max((row for row in found if row.split == split), key=lambda row: row.top1)
    summary = {"network": seen.name, "release": seen.release.version, "features": seen.where, "split": split,
               "best": best.method, "top1": best.top1, "labels": len(seen.train.labels_N)}  # fmt: skip
    headline = f"{seen.name} on {split} of {seen.release.version}: top-1 {told}{remark}"
    asked = [("--network", network), ("--release", release), ("--weights", weights)]
    asked += [("--column", one) for one in column]
    following = shlex.join(("pictus", "train", "few-shot", *(word for pair in asked if pair[1] for word in pair)))
    return Outcome("train probe", summary, headline, seen.problems, (following,), source=lambda: iter(found))


@step("train few-shot", changes=True, needs_project=False, shows_records=True)
def few_shot(
    project: Project, *, network: str = "", release: str = "", weights: str = "", column: tuple[str, ...] = (),
    shots: tuple[int, ...] = (), draws: int = 5,
) -> Outcome[FewShotRow]:  # fmt: skip
    """How good features are with 1, 5 and 10 pictures of each class: linear probes, a table and a page.

    A network's, or a column of anything; with several, or --network, all are used together, as by `train probe`.

    network: a run, or a network of torchvision or timm with its publisher's weights; the newest run when left out
    release: version, release folder, or address of one in a store (s3://…); the newest when left out
    weights: a safetensors file to take the network's weights from
    column: FILE.parquet:NAME, lists of numbers by image_id, or a table that `search index` made (repeatable)
    shots: pictures of each class (repeatable); 1, 5 and 10 when left out
    draws: times they are drawn; the interval is over the draws

    Examples:
        pictus train few-shot
        pictus train few-shot --network resnet18 --shots 1 --shots 2 --shots 4 --draws 10
        pictus train few-shot --column sound.parquet:wav2vec
    """
    counts = sorted(set(shots or SHOTS))
    if counts[0] < 1 or not 2 <= draws <= 1000:  # noqa: PLR2004
        raise UserError(
            f"{counted(counts[0], 'shot')}, {counted(draws, 'draw')}: 1 or more shots and 2 to 1,000 draws are wanted.",
            fix="--shots 1 --shots 5 --draws 5",
        )
    seen = _seen(project, (network, release, weights), column)
    asked = ("test", seen.test) if seen.test is not None else ("val", seen.val)
    found = [
        probing.few_shot(seen.train, seen.val, asked, count, seeds=range(draws), n_classes=seen.n_classes,
                         widths=seen.widths)
        for count in counts
    ]  # fmt: skip
    path = seen.reports / "few-shot.html"
    write_text(path, pages.few_shot(seen.name, seen.release.version, found))
    told = "; ".join(f"{row.shots} of each class {row.top1:.1%} ({row.low:.1%} to {row.high:.1%})" for row in found)
    summary = {"network": seen.name, "release": seen.release.version, "report": str(path), "split": asked[0],
               "top1": {str(row.shots): row.top1 for row in found}}  # fmt: skip
    return Outcome(
        "train few-shot", summary, f"{seen.name} on {asked[0]} of {seen.release.version}: top-1 with {told}",
        seen.problems, (f"look at {path}",), source=lambda: iter(found),
    )  # fmt: skip


def _check(hidden: int, share: float) -> None:
    if not 0 <= hidden <= 65_536:  # noqa: PLR2004  wider than any published probe
        raise UserError(f"{hidden} hidden units: 0 to 65,536 are wanted.", fix="--hidden 512")
    if not 0 < share <= 1:
        raise UserError(f"A share of {share:g}: above 0, up to 1 is wanted.", fix="--share 0.01")


def _seen_in_columns(project: Project, asked: tuple[str, str, str], texts: tuple[str, ...]) -> _Seen:
    """Columns, and the features of a network where one is named."""
    network, named, weights = asked
    source = features.source_of(project, network, weights) if network or weights else None
    opened = stores.asked(project, named, source.run.card if source else {})
    given = [vectors.found(project, opened, text) for text in texts]
    name = where = " + ".join(one.where for one in given)
    more = None
    if source:
        folder = features.kept_at(project, source, opened)
        name, where = f"{source.name} + {name}", str(folder)
        more = partial(features.rows_of_split, folder, source, opened, progress=project.progress)
    splits = ("train", "val", *(["test"] if features.judged_on(opened) == "test" else []))
    found = vectors.fused(opened, given, splits, more)
    return _Seen(
        name, where, features.of_columns(project, name, opened), opened, found.parts["train"], found.parts["val"],
        found.parts.get("test"), found.widths, found.notes,
    )  # fmt: skip


def _seen(project: Project, asked: tuple[str, str, str], texts: tuple[str, ...]) -> _Seen:
    """asked: network, release, weights; texts: columns, if any."""
    if texts:
        return _seen_in_columns(project, asked, texts)
    network, release, weights = asked
    source = features.source_of(project, network, weights)
    opened = stores.asked(project, release, source.run.card)
    folder = features.kept_at(project, source, opened)
    train, val = (features.of_split(folder, source, opened, split, project.progress) for split in ("train", "val"))
    if not len(train.labels_N):
        raise UserError(f"No training picture of release {opened.version} can be decoded.", fix="pictus release verify")
    has_test = features.judged_on(opened) == "test"
    test = features.of_split(folder, source, opened, "test", project.progress) if has_test else None
    return _Seen(source.name, str(folder), folder, opened, train, val, test)
