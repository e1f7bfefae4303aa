"""Which pictures a run learns from beside those whose label it is told: a share of labels, and the project's pool.

    models/pools/<digest>.parquet      image_id, shard, offset, size, width, height of the pool's pictures

The list is kept, so that a run goes on with the pictures it began with, whatever is collected meanwhile. Its digest is
the sha256 of the image_ids in their order. Each of them is the sha256 of its picture's bytes, so the digest stands for
the pictures as well, wherever their bytes lie; a picture is held against its id when it is read for the first time.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pictus.errors import UserError
from pictus.project import Project, write_bytes
from pictus.releases import PICTURES, PictureReader, Release, split_rows
from pictus.shards import ShardReader
from pictus.train.feed import augment, sampling
from pictus.train.feed.loader import Supply
from pictus.train.feed.sampling import Sampling
from pictus.train.objectives import OBJECTIVES
from pictus.train.recipes import Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = -1
"""The label of a picture whose label is not told."""

POOLS = "pools"
_COLUMNS = ("image_id", "shard", "offset", "size", "width", "height")


def resolved(project: Project, release: Release, recipe: Recipe) -> Recipe:
    """The recipe with the digest of its pool, whose list is kept from here on; all errors now."""
    objective = OBJECTIVES.get(recipe.objective)
    _check(recipe, is_open=objective.is_open)
    if recipe.objective == "fixmatch" and recipe.threshold > 1 - recipe.smoothing:
        recipe = replace(recipe, smoothing=0.0)  # who is taught to be less sure than the threshold never reaches it
    is_changed = recipe.share < 1 or recipe.pool != "none"
    if is_changed and recipe.keep == "pack":
        raise UserError("A pack holds the whole split: not a share of it, and no pool.", fix="leave out keep")
    if is_changed and recipe.keep == "auto":
        recipe = replace(recipe, keep="memory")
    if recipe.pool == "none" or (recipe.pool_sha256 and not project.exists):  # a trial: its study found and lent it
        return recipe
    if not project.exists:
        raise UserError("pool=project needs a project.", fix="run this in the project's folder, or leave out pool")
    if release.root.parent != project.releases_dir:
        raise UserError("A pool goes with a release of the same project.", fix="--release VERSION of this project")
    rows = unlabelled(project, release)
    if not rows.num_rows:
        raise UserError(
            "The project has no clean picture that is not in the release.", fix="leave out pool, or pictus collect add"
        )
    digest = _digest(rows.column("image_id").to_pylist())
    path = project.models_dir / POOLS / f"{digest}.parquet"
    if not path.is_file():
        import pyarrow.parquet as pq  # noqa: PLC0415  0.1 s that --help does not pay

        written = io.BytesIO()
        pq.write_table(rows, written)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, written.getvalue())
    return replace(recipe, pool_sha256=digest)


def lent(project: Project, shelf: Project, recipe: Recipe) -> None:
    """Put the list of the recipe's pool where the runs of `shelf` look for it."""
    if recipe.pool_sha256:
        name = f"{recipe.pool_sha256}.parquet"
        write_bytes(shelf.models_dir / POOLS / name, (project.models_dir / POOLS / name).read_bytes())


def arranged(project: Project, release: Release, recipe: Recipe) -> Release:
    """The release as this recipe sees it: in train, pictures whose label is told, and where the objective can use them
    those without (label -1), the pool's last. The other splits, and the digest, stay.
    """
    if recipe.share == 1 and not recipe.pool_sha256:
        return release
    rows = split_rows(release, "train")
    told_N = is_told(rows.column("image_id").to_pylist(), rows.column("label").to_numpy(), recipe.share, recipe.seed)
    others = release.pictures.filter(pc.not_equal(release.pictures.column("split"), "train"))
    is_open = OBJECTIVES.get(recipe.objective).is_open
    parts = [_told(rows, told_N) if is_open else rows.filter(pa.array(told_N))]
    if recipe.pool_sha256:
        parts.append(_released(kept(project, recipe.pool_sha256)))
    return replace(release, pictures=pa.concat_tables([*parts, others]))


def supplied(project: Project, shown: Release, recipe: Recipe) -> Supply | None:
    """Bytes of the training pictures of `arranged`, some of which lie in the project; None without a pool."""
    if not recipe.pool_sha256:
        return None
    rows = split_rows(shown, "train")
    places = list(zip(*(rows.column(name).to_pylist() for name in ("shard", "offset", "size")), strict=True))
    n_pool = kept(project, recipe.pool_sha256).num_rows
    first = rows.num_rows - n_pool
    image_ids = rows.column("image_id").slice(first).to_pylist()
    own, pool = PictureReader(shown), ShardReader(project.shards_dir)
    is_checked_N = np.zeros(n_pool, np.bool_)

    def read(position: int) -> bytes:
        if position < first:
            return own.read(*places[position])
        data = pool.read(*places[position])
        if not is_checked_N[position - first]:
            if hashlib.sha256(data).hexdigest() != image_ids[position - first]:
                raise UserError(
                    f"{pool.folder / places[position][0]} holds other bytes where the pool's picture"
                    f" {image_ids[position - first][:12]}… lay.",
                    fix="restore the file from a copy, or train again under another --name",
                )
            is_checked_N[position - first] = True
        return data

    return Supply(read, {"pool": recipe.pool_sha256, "pictures": n_pool})


def sampled(shown: Release, recipe: Recipe) -> Sampling:
    """How training pictures are drawn. For FixMatch `unlabelled` pictures without a label to one with, in each batch on
    the average, in an epoch exactly; it is as long as there are pictures.
    """
    how = sampling.asked(shown, recipe)
    if recipe.objective != "fixmatch":
        return how
    is_told_N = (split_rows(shown, "train").column("label").to_numpy() >= 0).astype(np.int64)
    n_told = int(is_told_N.sum())
    n_untold = len(is_told_N) - n_told
    chances_N = np.where(is_told_N, 1 / max(1, n_told), recipe.unlabelled / max(1, n_untold))
    return replace(how, chances_N=chances_N, groups_N=is_told_N)


def is_told(
    image_ids: "Sequence[str]", labels_N: npt.NDArray[np.int32], share: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Which pictures keep their label: of each class `share` of them, rounded, at least one; those whose hash of
    (seed, picture) is least, so that a greater share keeps what a smaller one did.
    """
    keys_N = np.array([int(image_id[:16], 16) for image_id in image_ids], np.uint64)
    hashes_N = augment.hashed(keys_N ^ np.uint64(augment.hashed_step(seed, _PURPOSE)))
    found_N = np.zeros(len(labels_N), np.bool_)
    for label in np.unique(labels_N):
        own = np.flatnonzero(labels_N == label)
        count = max(1, round(share * len(own)))
        found_N[own[np.argsort(hashes_N[own], kind="stable")[:count]]] = True
    return found_N


_PURPOSE = 2**40
"""A step no run reaches: the stream of numbers that shares are drawn by."""


def kept(project: Project, digest: str) -> pa.Table:
    """The list of a pool; a UserError where it is gone or another."""
    import pyarrow.parquet as pq  # noqa: PLC0415  0.1 s that --help does not pay

    path = project.models_dir / POOLS / f"{digest}.parquet"
    try:
        rows = pq.read_table(path, columns=list(_COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"The pool's list {path} cannot be read: {error}.", fix="train again") from error
    if _digest(rows.column("image_id").to_pylist()) != digest:
        raise UserError(f"The pool's list {path} was changed.", fix="restore it from a copy, or train again")
    return rows


def unlabelled(project: Project, release: Release) -> pa.Table:
    """The project's pictures that were not dropped and can be decoded, but for those of the release and whatever is a
    duplicate of its val and test pictures: columns of `images`, sorted by image_id.
    """
    tables = project.tables
    rows = tables.read("images", list(_COLUMNS))
    dropped = tables.read("verdicts", ["image_id", "verdict"])
    broken = tables.read("checks", ["image_id", "cause"])
    out = set(dropped.filter(pc.equal(dropped.column("verdict"), "drop")).column("image_id").to_pylist())
    out |= set(broken.filter(pc.not_equal(broken.column("cause"), "")).column("image_id").to_pylist())
    out |= set(release.pictures.column("origin_id").to_pylist())
    groups = tables.read("duplicates", ["image_id", "group_id"])
    held = release.pictures.filter(pc.not_equal(release.pictures.column("split"), "train"))
    asked = set(held.column("group_id").to_pylist()) | set(held.column("origin_id").to_pylist())
    pairs = list(zip(*(groups.column(name).to_pylist() for name in ("image_id", "group_id")), strict=True))
    torn = asked | {group for image_id, group in pairs if image_id in asked}
    out |= {image_id for image_id, group in pairs if group in torn}
    is_out = pc.is_in(rows.column("image_id"), value_set=pa.array(sorted(out), pa.string()))
    return rows.filter(pc.invert(is_out)).sort_by("image_id").select(list(_COLUMNS))


def _released(rows: pa.Table) -> pa.Table:
    """Rows of a pool as rows of a release's train split without a label."""
    given: dict[str, Any] = {name: rows.column(name) for name in _COLUMNS}
    given |= {"key": rows.column("image_id"), "group_id": rows.column("image_id"), "origin_id": rows.column("image_id")}
    usual = {"split": "train", "label": UNKNOWN, "posterior": 0.0, "n_votes": 0}
    columns = []
    for field in PICTURES:
        values = given.get(field.name)
        if values is None:
            values = pa.array([usual.get(field.name, "")] * rows.num_rows)
        columns.append(values.cast(field.type))
    return pa.table(columns, schema=PICTURES)


def _told(rows: pa.Table, told_N: npt.NDArray[np.bool_]) -> pa.Table:
    """The same rows in the same order; labels that are not told become unknown."""
    labels_N = np.where(told_N, rows.column("label").to_numpy(), UNKNOWN)
    place = rows.schema.get_field_index("label")
    return rows.set_column(place, PICTURES.field("label"), pa.array(labels_N, pa.int32()))


def _check(recipe: Recipe, *, is_open: bool) -> None:
    if recipe.pool != "none" and not is_open:
        able = ", ".join(name for name in OBJECTIVES.names() if OBJECTIVES.get(name).is_open)
        raise UserError(
            f"Objective {recipe.objective!r} learns from labels: it cannot use a pool without.",
            fix=f"--set objective=…, one of: {able}",
        )
    if not is_open:
        return
    wrong = [
        f"{name}={getattr(recipe, name)}"
        for name, usual in (("task", "classification"), ("targets", "best"), ("robust", "none"), ("mixup", 0.0),
                            ("cutmix", 0.0), ("balance", 0.0), ("sample_weights", ""))
        if getattr(recipe, name) != usual
    ]  # fmt: skip
    if wrong:
        raise UserError(f"Objective {recipe.objective!r} does not go with {', '.join(wrong)}.", fix="leave them out")


def _digest(image_ids: "Sequence[str]") -> str:
    """Of the pictures: an image_id is the sha256 of its picture's bytes."""
    return hashlib.sha256("\n".join(image_ids).encode()).hexdigest()
