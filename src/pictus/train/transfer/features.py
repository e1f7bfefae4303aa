"""What a network makes of every picture of a release, kept: probes and few-shot reports then take seconds.

    models/features/<key>/
      card.json               network, its weights' digest, preprocessing, release
      train-0000000.npy …     f32[up to 1024, D] each, in the order of the split; a row of NaN: not decodable

The key is of (weights, preprocessing, release), so features are never those of something else; a part that is there is
not made again, so a kill loses one part at most.

Legend: N pictures of a split, G of them that can be decoded, D features, K classes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus import models, networks, stores
from pictus.engine import cpu_count
from pictus.errors import PictureError, UserError
from pictus.extras import need
from pictus.models import Floats, Pixels, Run
from pictus.project import write_bytes, write_text
from pictus.releases import split_rows
from pictus.stores import Reader
from pictus.tasks import TASKS
from pictus.train.kept.card import preprocessing_of
from pictus.train.recipes import Recipe
from pictus.train.transfer import adapters

if TYPE_CHECKING:
    from torch import nn

    from pictus.progress import Progress
    from pictus.project import Project
    from pictus.releases import Release

PART = 1024
"""Pictures in a file: a minute of a large network on a laptop."""

FOLDER = "features"

@dataclass(frozen=True)
class Source:
    """A network whose features are asked for. `run` says how pictures are prepared for it."""

    name: str
    network: "nn.Module"
    run: Run
    weights_sha256: str


class Features(NamedTuple):
    """Of a split: f32[N, D] of the pictures that can be decoded, i64[N] their labels; how many others there are."""

    values_ND: Floats
    labels_N: npt.NDArray[np.int64]
    n_unreadable: int


def source_of(project: "Project", network: str, weights: str = "", classes: tuple[str, ...] = ("a", "b")) -> Source:
    """The network by the name of a run, or of torchvision or timm with the publisher's weights or those of a file."""
    runs = {run.name for run in models.runs(project, skip_broken=True)}
    if not weights and (not network or network in runs or (Path(network).expanduser() / models.CARD_NAME).is_file()):
        run = models.find_run(project, network)
        return _digested(run.name, models.load_run(run), run)
    if not network:
        raise UserError("Weights of which network?", fix="--network resnet18 --weights FILE.safetensors")
    size = networks.fixed_size(network) or Recipe(network).largest
    path = Path(weights).expanduser() if weights else None
    # A file may be a run's of other classes: the head is not used, so it may be left as it is.
    made = models.build(network, len(classes), size=size, pretrained=path is None, weights=path)
    preprocessing = preprocessing_of(Recipe(network, size=size), *networks.normalisation(network))
    run = Run(Path(), network, network, classes, classes, preprocessing, {})
    made = made.to(memory_format=need("torch", "train").channels_last).eval()
    return _digested(path.name if path else network, made, run)


def kept_at(project: "Project", source: Source, release: "Release") -> Path:
    """The folder of the features of this network on this release."""
    card = {"weights_sha256": source.weights_sha256, "model": source.run.model_name, "release": release.digest,
            "preprocessing": asdict(source.run.preprocessing)}  # fmt: skip
    text = json.dumps(card, sort_keys=True)
    folder = project.models_dir / FOLDER / hashlib.sha256(text.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "card.json").exists():
        write_text(folder / "card.json", json.dumps({"network": source.name, **card}, indent=1) + "\n")
    return folder


def of_columns(project: "Project", name: str, release: "Release") -> Path:
    """The folder for what is found out about columns of that name; the columns lie elsewhere."""
    return project.models_dir / FOLDER / hashlib.sha256(f"{name} {release.digest}".encode()).hexdigest()[:16]


def of_split(folder: Path, source: Source, release: "Release", split: str, progress: "Progress") -> Features:
    """Features of a split: those that are kept, the rest made now and kept."""
    return those_there(rows_of_split(folder, source, release, split, progress), labels_of(release, split))


def labels_of(release: "Release", split: str) -> npt.NDArray[np.int64]:
    """i64[N]."""
    return np.asarray(TASKS.get("classification").targets(release, split), np.int64)


def those_there(values_ND: Floats, labels_N: npt.NDArray[np.int64]) -> Features:
    """Without the rows of NaN, which are counted. In their place: `values_ND` is not to be used any more."""
    blocks = [slice(start, start + PART) for start in range(0, len(values_ND), PART)]
    is_there_N = np.concatenate([np.zeros(0, np.bool_), *(~np.isnan(values_ND[block]).any(axis=1) for block in blocks)])
    end = 0
    for block in blocks if not is_there_N.all() else ():
        good = values_ND[block][is_there_N[block]]
        values_ND[end : end + len(good)] = good
        end += len(good)
    count = int(is_there_N.sum())
    return Features(values_ND[:count], labels_N[is_there_N], len(labels_N) - count)


def rows_of_split(folder: Path, source: Source, release: "Release", split: str, progress: "Progress") -> Floats:
    """f32[N, D] of a split, a row of NaN for a picture that cannot be decoded. They lie in a file without a name: the
    system holds as many of them in memory as it has room for.
    """
    rows = split_rows(release, split)
    reader = stores.reader_of(release, source.run.card)
    values_ND: Floats = np.zeros((0, 0), np.float32)
    with progress.track(f"features of {split}", rows.num_rows) as meter:
        for start in range(0, rows.num_rows, PART):
            path = folder / f"{split}-{start:07d}.npy"
            count = min(PART, rows.num_rows - start)
            values = _kept(path, count)
            if values is None:
                embed = partial(models.embed_pixels, source.network, source.run)
                found, is_good = of_readable(reader, source.run, rows.slice(start, count).to_pylist(), embed)
                values = np.full((count, found.shape[1]), np.nan, np.float32)
                values[is_good] = found
                written = io.BytesIO()
                np.save(written, values, allow_pickle=False)
                write_bytes(path, written.getvalue())
            values_ND = values_ND if start else scratch(folder, (rows.num_rows, values.shape[1]))
            values_ND[start : start + count] = values
            meter.advance(count)
    return values_ND


def scratch(folder: Path, shape: tuple[int, int]) -> Floats:
    """f32 of this shape in a file of `folder` that nobody sees and that goes with it, also after a kill."""
    if not shape[0] * shape[1]:
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile(dir=folder) as opened:
        size = 4 * shape[0] * shape[1]
        try:
            if hasattr(os, "posix_fallocate"):  # else a full disk would end the process by a signal, later
                os.posix_fallocate(opened.fileno(), 0, size)
        except OSError as error:
            raise UserError(
                f"Features of {shape[0]:,} pictures need {size / 2**30:.2f} GB for a while, which {folder} cannot give:"
                f" {error.strerror}.",
                fix="free some space, then run the same command again: what is made is kept",
            ) from error
        return np.memmap(opened, np.float32, "w+", shape=shape)


def judged_on(release: "Release") -> str:
    """The split that figures are told of: test where the release has one, else val."""
    return "test" if "test" in release.pictures.column("split").unique().to_pylist() else "val"


def _kept(path: Path, count: int) -> Floats | None:
    if not path.is_file():
        return None
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # cut short by a full disk: made again
        return None
    return found if found.ndim == 2 and found.dtype == np.float32 and len(found) == count else None  # noqa: PLR2004


def of_readable(
    reader: Reader, run: Run, rows: Iterable[dict[str, Any]], ask: Callable[[Iterator[Pixels]], Floats]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What `ask` makes of those pictures that can be decoded, prepared for the run; and which of the rows they are."""
    is_there: list[bool] = []
    threads = cpu_count()
    with ThreadPoolExecutor(threads) as pool:
        read = partial(prepared, reader, run)

        def good() -> Iterator[Pixels]:
            for pixels in models.in_order(pool, read, rows, ahead=8 * threads):
                is_there.append(pixels is not None)
                if pixels is not None:
                    yield pixels

        found = ask(good())
    return found, np.array(is_there, np.bool_)


def guesses(network: "nn.Module", run: Run, release: "Release", rows: Sequence[dict[str, Any]]) -> list[str]:
    """The first guess for each row, a concept id; "" for a picture that cannot be decoded."""
    ask = partial(models.predict_pixels, network, run)
    logits_GK, is_there_N = of_readable(stores.reader_of(release, run.card), run, rows, ask)
    best = iter(logits_GK.argmax(axis=1).tolist())
    return [run.classes[next(best)] if is_there else "" for is_there in is_there_N.tolist()]


def prepared(reader: Reader, run: Run, row: dict[str, Any]) -> Pixels | None:
    """As the network sees it; None for a picture that cannot be decoded."""
    try:
        return models.prepare(reader.read(row["shard"], row["offset"], row["size"]), run.preprocessing)
    except PictureError:  # counted by whoever asks
        return None


def _digested(name: str, network: "nn.Module", run: Run) -> Source:
    return Source(name, network, run, adapters.base_sha256(network))  # what features depend on

