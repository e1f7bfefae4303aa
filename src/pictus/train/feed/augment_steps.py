"""The verb that shows what training shows: views.

<project>/models/views/<recipe>-<version>.html    one page that needs nothing else
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from pictus import networks, pixels
from pictus.errors import UserError, counted
from pictus.extras import need
from pictus.pixels import Pixels
from pictus.project import Project, safe_name, write_text
from pictus.registry import Outcome, step
from pictus.releases import Release, class_names, find_release, split_rows
from pictus.tasks import TASKS
from pictus.train import recipes
from pictus.train.feed import augment, loader, mixing
from pictus.train.feed.augment_page import Row, Shot, page
from pictus.train.feed.loader import Batch, Pictures, Portion
from pictus.train.feed.pieces import shown
from pictus.train.kept import card as cards
from pictus.train.loop.state import Job
from pictus.train.loop.training import training_views
from pictus.train.recipes import Facts, Recipe

VIEWS = 8
"""Of each picture: the first epochs' of a run with the same seed."""

MOST_PICTURES = 200
MEMORY_BYTES = 2**28
WHOLE_PX = 160
"""Short side of the whole picture beside its views, at most."""


@dataclass(frozen=True, slots=True)
class Viewed:
    """One picture of the sheet."""

    image_id: str
    concept: str
    views: int


@step("train views", changes=True, needs_project=False)
def views(
    project: Project, *, release: str = "", recipe: str = "small-cnn", pictures: int = 12, set_: tuple[str, ...] = ()
) -> Outcome[Viewed]:
    """Draw a page of training pictures as the network will see them: cropped, coloured, mixed.

    release: version, or a release folder; the newest when left out
    recipe: small-cnn, resnet-w32, airbench, resnet18, any of torchvision or timm
    pictures: rows of the page, of as many classes as there are
    set: NAME=VALUE, any other setting of the recipe: policy, crop, min_area, colour, mixup, cutmix … (repeatable)

    Examples:
        pictus train views --release 1.0.0 --recipe resnet18
        pictus train views --set policy=rand --set magnitude=12
        pictus train views --set mixup=0.8 --set cutmix=1 --pictures 20
    """
    need("torch", "train")
    if not 1 <= pictures <= MOST_PICTURES:
        raise UserError(f"--pictures {pictures}: 1 to {MOST_PICTURES} is wanted.", fix="--pictures 12")
    opened = find_release(project, release)
    resolved = _resolved(opened, recipes.changed(recipes.find(recipe), set_))
    preprocessing = cards.preprocessing_of(resolved, *networks.normalisation(resolved.model))
    pack = partial(loader.packed, short_side=resolved.pack, may_grow=resolved.crop == "padded")
    task = TASKS.get(resolved.task)
    train = Pictures(opened, "train", pack, MEMORY_BYTES, task.targets(opened, "train"))
    job = Job(project.models_dir, resolved, preprocessing, train, train, len(opened.classes), 1, "cpu")
    rows = _rows(job, opened, _spread(opened, resolved.seed, pictures))
    if not rows:
        raise train.too_few()
    path = project.models_dir / "views" / f"{safe_name(f'{recipe}-{opened.version}', 'name')}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page(resolved, set_, f"{opened.name} {opened.version}", rows))
    side = recipes.view_px(resolved)
    return Outcome(
        "train views", {"path": str(path), "pictures": len(rows), "views": VIEWS, "side_px": side},
        f"{counted(len(rows), 'picture')}, {VIEWS} views each, {side} px: {path}",
        next=(f"look at {path}", f"pictus train run --recipe {recipe}" + "".join(f" --set {one}" for one in set_)),
        source=partial(_viewed, rows),
    )  # fmt: skip


def _resolved(release: Release, recipe: Recipe) -> Recipe:
    """With every automatic choice made, kept in memory: a pack on the disk holds the same but for its compression."""
    rows = split_rows(release, "train")
    if not rows.num_rows:
        raise UserError(
            f"Release {release.version} has no picture in split 'train'.",
            fix="pictus release split --train 0.8 --val 0.1 --test 0.1, then cut another version",
        )
    sides = np.minimum(rows.column("width").to_numpy(), rows.column("height").to_numpy())
    return recipes.resolve(recipe, Facts(rows.num_rows, int(np.median(sides)), MEMORY_BYTES, has_fast_bf16=False))


def _spread(release: Release, seed: int, count: int) -> npt.NDArray[np.int64]:
    """Positions of the first training pictures of the first epoch, class by class in turn."""
    labels_N = split_rows(release, "train").column("label").to_numpy()
    order_N = augment.order(seed, 0, len(labels_N))
    turns = dict.fromkeys(labels_N.tolist(), 0)
    ranked = []
    for place, position in enumerate(order_N.tolist()):
        label = int(labels_N[position])
        ranked.append((turns[label], place, position))
        turns[label] += 1
    return np.array([position for _, _, position in sorted(ranked)[:count]], np.int64)


def _rows(job: Job, release: Release, positions: npt.NDArray[np.int64]) -> list[Row]:
    """Each picture with its views, made by the functions that training calls."""
    names = class_names(release)
    views = training_views(job)
    several = len(views) * augment.n_looks(job.recipe)
    portions = [Portion(epoch, positions) for epoch in range(-(-VIEWS // several))]
    shots: dict[int, list[Shot]] = {}
    with loader.batches(job.train, portions, views, seed=job.recipe.seed, threads=1) as stream:
        for batch in stream:
            for position, found in _shots(job, batch, names):
                shots.setdefault(position, []).append(found)
    rows = []
    labels_N = split_rows(release, "train").column("label").to_pylist()
    for position, several_shots in shots.items():
        whole = job.train.get(position)
        if whole is not None:
            name = names[labels_N[position]]
            rows.append(Row(job.train.image_ids[position], name, _small(whole), tuple(several_shots[:VIEWS])))
    return rows


def _shots(job: Job, batch: Batch, names: tuple[str, ...]) -> Iterator[tuple[int, Shot]]:
    """(position, view) of every picture of a batch."""
    if not len(batch):
        return
    found = shown(job, batch, slice(0, len(batch)), is_mixed=mixing.is_mixed(job.recipe, 0.0))
    mean, std = np.array(job.preprocessing.mean), np.array(job.preprocessing.std)
    for one in found.views:
        values = (one.permute(0, 2, 3, 1).numpy() * std + mean) * 255
        for row, position in enumerate(found.positions_B.tolist()):
            target = found.targets[row].tolist()
            parts = tuple(
                (names[label], share) for label, share in enumerate(target) if share > 0
            ) if isinstance(target, list) else ()  # fmt: skip
            yield position, Shot(values[row].clip(0, 255).round().astype(np.uint8), parts)


def _small(whole: Pixels) -> Pixels:
    height, width = whole.shape[:2]
    scale = WHOLE_PX / min(height, width)
    return whole if scale >= 1 else pixels.resize(whole, max(1, round(width * scale)), max(1, round(height * scale)))


def _viewed(rows: list[Row]) -> Iterator[Viewed]:
    for row in rows:
        yield Viewed(row.image_id, row.concept, len(row.shots))
