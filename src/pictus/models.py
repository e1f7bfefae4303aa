"""A network by name, its preprocessing and labels; a run opened, loaded strictly and asked.

    models/<run>/
      run.json            the card: release, recipe, classes, preprocessing, environment, results
      model.safetensors   the weights that are kept (`last.safetensors`: the latest)
      metrics.jsonl       one line per logged step and per epoch
      checkpoints/  tensorboard/  evaluations/

Opening a run and preparing pictures need no torch. Legend: N pictures, K classes, D features, S side in px.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from pictus import finite, networks, pixels, quantised_networks, several_looks
from pictus.engine import cpu_count
from pictus.errors import UserError, clipped, counted
from pictus.extras import need
from pictus.journey import first_command
from pictus.project import Project
from pictus.registry import unknown

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT = 1
CARD_NAME = "run.json"
WEIGHTS_NAME = "model.safetensors"

_MOST_LANES = 8
"""Batches computed at once; more cores than that work together on each."""

_STATED: dict[str, type] = {
    "model": str, "status": str, "recipe_name": str, "started_at": str, "finished_at": str, "results": dict,
    "release": dict, "recipe": dict, "asked": dict, "pictures": dict, "environment": dict, "chosen": dict,
}  # fmt: skip
"""Fields of a card and what they are, where they are stated."""

_MOST_BYTES = 64 << 20
"""Of a card; one of 21,841 classes has 2 MB."""

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a sign, as JSON can spell it: nothing can print or store it."""

_SEEN = "preprocessing"
_MOST_PX, _MOST_OFFSET = 16_384, 1e6
"""Beyond these a card is a mistake: no network sees such pictures, no normalisation has such numbers."""

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Preprocessing:
    """Picture bytes -> what the network sees; the same in validation, evaluation, export and search.

    The short side becomes `resize` px, the centre square of `size` px is kept (antialiased bilinear),
    then (rgb / 255 - mean) / std.
    """

    size: int
    resize: int
    mean: tuple[float, float, float] = networks.IMAGENET_MEAN
    std: tuple[float, float, float] = networks.IMAGENET_STD


@dataclass(frozen=True)
class Run:
    """One training run on disk. Position in `classes` (concept ids) = label = column of the logits."""

    root: Path
    name: str
    model_name: str
    classes: tuple[str, ...]
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    card: dict[str, Any]

    @property
    def is_finished(self) -> bool:
        """Whether training came to its end; a run that was stopped may have weights all the same."""
        return bool(self.card.get("status") == "finished")

    @property
    def is_classifier(self) -> bool:
        """Whether it was taught classes; one that learned without labels has features, and guesses at random."""
        return self.card.get("is_classifier") is not False


def left_off(run: Run) -> str:
    """How far the training of an unfinished run came, for people; empty for a finished one."""
    if run.is_finished:
        return ""
    found = run.card.get("results") or {}
    done, planned = (found.get(name) for name in ("epochs", "epochs_planned"))
    if not isinstance(done, int) or not isinstance(planned, int):  # still running, or killed: no results yet
        return "training has not finished"
    return f"stopped at epoch {done}" + (f" of {planned}" if planned > done else "")


def unfinished(run: Run) -> tuple[str, ...]:
    """The warning of whatever uses the weights of a run that has not ended, or was not taught classes; else none."""
    where = left_off(run)
    if not where and not run.is_classifier:
        return (f"{run.root.name} learned without labels: its features serve probes and search, its guesses nothing",)
    if not where:
        return ()
    return (f"{run.root.name} is not the finished model, {where}: pictus train resume {run.root.name}",)


def called(run: Run) -> str:
    """The run's name, with how far it came where it has not ended."""
    where = left_off(run)
    return f"{run.root.name} ({where})" if where else run.root.name


def open_run(path: str | Path) -> Run:
    """Read a run's card and check it. The run is called as its folder is, whatever the card says."""
    root = Path(path).expanduser().resolve()
    card_path = root / CARD_NAME
    if not card_path.is_file():
        raise UserError(f"{root} is not a training run: it has no {CARD_NAME}.", fix="pictus train list")
    try:
        if card_path.stat().st_size > _MOST_BYTES:
            message = f"it has more than {_MOST_BYTES >> 20} MiB"
            raise ValueError(message)  # noqa: TRY301  told as everything else that is wrong with it
        card = json.loads(card_path.read_text(encoding="utf-8"))
        if not isinstance(card, dict):
            raise _wrong("it", card, "an object")
        found = _whole(card, "format", 1, math.inf)
        if found > FORMAT:
            raise UserError(f"{card_path} has format {found}; this Pictus reads up to {FORMAT}.", fix="update Pictus")
        return _run_of(root, card)
    except KeyError as error:
        why = f"it has no {error}"
    except (OSError, ValueError, TypeError, RecursionError) as error:
        why = str(error)
    raise UserError(f"{card_path} is not a run card: {why}.", fix="restore it from a copy, or train again")


def _run_of(root: Path, card: dict[str, Any]) -> Run:
    """The run a card describes; a KeyError, TypeError or ValueError that names the field that is wrong."""
    for name, kind in _STATED.items():
        if not isinstance(card.get(name, kind()), kind):
            raise _wrong(name, card[name], "a text" if kind is str else "an object")
    classes, names, preprocessing = described(card)
    if "nudge" in (recipe := card.get("recipe", {})):
        _whole(recipe, "nudge", 0, preprocessing.size - 1, "recipe.")
    return Run(root, root.name, card["model"], classes, names, preprocessing, card)


def described(card: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...], Preprocessing]:
    """Concept ids, names and preprocessing of the card of a run or a bundle; errors as _run_of."""
    classes, names, seen = _texts(card, "classes"), _texts(card, "class_names"), card[_SEEN]
    if not isinstance(seen, dict):
        raise _wrong(_SEEN, seen, "an object")
    if not classes or len(set(classes)) != len(classes):
        raise _wrong("classes", card["classes"], "one or more texts, each once")
    if len(names) != len(classes):
        message = f"class_names has {len(names):,} entries for {counted(len(classes), 'class', 'classes')}"
        raise ValueError(message)
    resize = _whole(seen, "resize", 1, _MOST_PX, f"{_SEEN}.")
    size = _whole(seen, "size", 1, resize, f"{_SEEN}.")
    preprocessing = Preprocessing(size, resize, _channels(seen, "mean"), _channels(seen, "std"))
    if min(preprocessing.std) <= 0:
        raise _wrong(f"{_SEEN}.std", seen["std"], "three numbers above 0")
    return classes, names, preprocessing


def _whole(card: Any, name: str, least: int, most: float, where: str = "") -> int:  # noqa: ANN401  any JSON value
    found = card[name]
    if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
        raise _wrong(where + name, found, f"a whole number from {least}" + (f" to {most}" if most < math.inf else ""))
    return found


def _texts(card: dict[str, Any], name: str) -> tuple[str, ...]:
    found = card[name]
    if not isinstance(found, list) or not all(isinstance(one, str) and not _SURROGATE.search(one) for one in found):
        raise _wrong(name, found, "a list of texts")
    return tuple(found)


def _channels(seen: dict[str, Any], name: str) -> tuple[float, float, float]:
    found = seen[name]
    is_three = isinstance(found, list) and len(found) == 3  # noqa: PLR2004  red, green, blue
    if not is_three or not all(isinstance(one, (int, float)) and abs(one) <= _MOST_OFFSET for one in found):  # no NaN
        raise _wrong(f"{_SEEN}.{name}", found, "three numbers")
    red, green, blue = map(float, found)
    return red, green, blue


def _wrong(field: str, found: object, wanted: str) -> ValueError:
    return ValueError(f"{field} is {clipped(json.dumps(found))}, not {wanted}")


def find_run(project: Project, name_or_path: str = "") -> Run:
    """A run of the project by name, a run folder by path, or the newest finished run."""
    if name_or_path:
        for folder in (project.models_dir / name_or_path, Path(name_or_path).expanduser()):
            if (folder / CARD_NAME).is_file():
                return open_run(folder)
        names = sorted(path.parent.name for path in _cards(project))
        if not names:
            what = f"There is no run {name_or_path!r}: {project.models_dir} holds none."
            raise UserError(what, fix=first_command(project, "run"))
        raise unknown("run", name_or_path, names)
    finished = by_finish(runs(project))
    if not finished:
        what = f"There is no finished training run in {project.models_dir}."
        raise UserError(what, fix=first_command(project, "run"))
    return finished[-1]


def runs(project: Project, *, skip_broken: bool = False) -> list[Run]:
    """Every run of the project, first begun first. A broken card is an error, or the run is passed over."""
    found, broken = opened_runs(project)
    if broken and not skip_broken:
        raise broken[0]
    return found


def opened_runs(project: Project) -> tuple[list[Run], list[UserError]]:
    """Every run of the project, first begun first; and why each of the others cannot be opened."""
    found, broken = [], []
    for path in _cards(project):
        try:
            found.append(open_run(path.parent))
        except UserError as error:
            broken.append(error)
    return sorted(found, key=lambda run: (run.card.get("started_at", ""), run.name)), broken


def by_finish(found: Iterable[Run]) -> list[Run]:
    """The finished ones that were taught classes, the newest last: what stands for "the newest run" everywhere."""

    def finish(run: Run) -> tuple[str, int, str]:  # the clock counts seconds: of one second, the card written last
        return str(run.card.get("finished_at", "")), (run.root / CARD_NAME).stat().st_mtime_ns, run.name

    return sorted((run for run in found if run.is_finished and run.is_classifier), key=finish)


def weights_sha256(run: Run) -> str:
    """The digest of the weights that the run keeps; a UserError when it has none yet."""
    try:
        with (run.root / WEIGHTS_NAME).open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        raise _no_weights(run) from None


def build(
    name: str, n_classes: int, *, size: int = 0, pretrained: bool = False, weights: Path | None = None
) -> "nn.Module":
    """A network of ours, torchvision's or timm's: f32[N, 3, S, S] -> f32[N, K].

    `size` is needed by networks with one fixed input size (ViT). `weights` is a safetensors file; every key
    must fit, except that a classifier for another number of classes is left new.
    """
    model = networks.make(name, n_classes, size=size, pretrained=pretrained)
    if weights is not None:
        tensors = read_weights(weights)
        head, layer = networks.head_of(model)
        if f"{head}.weight" in tensors and len(tensors[f"{head}.weight"]) != len(layer.weight):
            tensors |= {key: value for key, value in model.state_dict().items() if key.startswith(f"{head}.")}
        load_strictly(model, tensors, weights)
    return model


def load_run(run: Run, *, device: str = "") -> "nn.Module":
    """The run's network with the weights it keeps, in eval mode; on the GPU where there is one, or on `device`."""
    torch = need("torch", "train")
    path = run.root / WEIGHTS_NAME
    if not path.is_file():
        raise _no_weights(run)
    model = networks.make(run.model_name, len(run.classes), size=run.preprocessing.size)
    load_strictly(model, read_weights(path), path)
    quantised_networks.check(model, path)
    recipe = run.card.get("recipe", {})
    several_looks.answer_for_all(model, is_mirrored=bool(recipe.get("mirror")), nudge=recipe.get("nudge", 0))
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return model.to(where, memory_format=torch.channels_last).eval()


def read_weights(path: Path) -> dict[str, "torch.Tensor"]:
    """The tensors of a safetensors file. Pickled files (.pt, .pth, .ckpt) are refused: opening one runs its code."""
    need("torch", "train")
    safetensors = need("safetensors.torch", "train")
    if not path.is_file():
        raise UserError(f"There is no weights file {path}.")
    with path.open("rb") as opened:
        magic = opened.read(2)
    if magic in (b"PK", b"\x80\x02", b"\x80\x04", b"\x80\x05"):
        raise UserError(
            f"{path} is a pickled checkpoint; Pictus does not open those, because opening one can run any code.",
            fix='if you trust it, convert it once: python -c "import torch, safetensors.torch as s; '
            f"s.save_file(torch.load('{path}', weights_only=True, map_location='cpu'), 'weights.safetensors')\"",
        )
    try:
        return dict(safetensors.load_file(path))
    except Exception as error:
        raise UserError(
            f"{path} is not a whole safetensors file: {error}.", fix="copy or download it again"
        ) from error


SHOWN = 8
"""Tensors of each kind that are named where a file does not fit."""


def load_strictly(model: "nn.Module", tensors: dict[str, "torch.Tensor"], where: Path) -> None:
    """Fill `model`; an error names missing, unexpected and wrongly shaped tensors, with how many there are of each."""
    wanted = model.state_dict()
    told = {
        "missing": [f"{key} {list(wanted[key].shape)}" for key in wanted if key not in tensors],
        "unexpected": [f"{key} {list(tensors[key].shape)}" for key in sorted(tensors) if key not in wanted],
        "mismatched": [
            f"{key}: {list(tensors[key].shape)} in the file, {list(wanted[key].shape)} in the network"
            for key in wanted
            if key in tensors and tensors[key].shape != wanted[key].shape
        ],
    }
    lines = []
    for kind, keys in told.items():
        lines += [f"  {kind:<11} {key}" for key in keys[:SHOWN]]
        lines += [f"  {kind:<11} … and {len(keys) - SHOWN:,} more"] if len(keys) > SHOWN else []
    if lines:
        counts = ", ".join(f"{len(keys):,} {kind}" for kind, keys in told.items() if keys)
        raise UserError(
            f"{where} does not fit the network of {len(wanted):,} tensors: {counts}.\n" + "\n".join(lines),
            fix="name the network these weights were trained with",
        )
    model.load_state_dict(tensors, strict=True)


def prepare(image_bytes: bytes, preprocessing: Preprocessing) -> Pixels:
    """Decode, upright, scale, centre-crop -> u8[S, S, 3] RGB; raises PictureError. Torchvision's rounding."""
    # Large JPEGs are decoded at n/8 of their size, at least twice what is wanted: mean difference < 1 grey level.
    picture = pixels.decode_scaled(image_bytes, 2 * preprocessing.resize)
    height, width = picture.shape[:2]
    short = min(height, width)
    scaled = pixels.resize(picture, preprocessing.resize * width // short, preprocessing.resize * height // short)
    top, left = (round((length - preprocessing.size) / 2) for length in scaled.shape[:2])
    return np.ascontiguousarray(scaled[top : top + preprocessing.size, left : left + preprocessing.size])


def normalised(batch: "torch.Tensor", preprocessing: Preprocessing) -> "torch.Tensor":
    """u8[N, S, S, 3] -> f32[N, 3, S, S], channels last in memory, on the same device."""
    torch = need("torch", "train")
    mean = torch.tensor(preprocessing.mean, device=batch.device) * 255
    std = torch.tensor(preprocessing.std, device=batch.device) * 255
    return ((batch.float() - mean) / std).permute(0, 3, 1, 2)


def predict_logits(model: "nn.Module", run: Run, images: Iterable[bytes], batch_size: int = 64) -> Floats:
    """Picture bytes -> f32[N, K] logits in order; the first bad picture raises PictureError."""
    return predict_pixels(model, run, _prepared(images, run.preprocessing), batch_size)


def predict_pixels(model: "nn.Module", run: Run, prepared: Iterable[Pixels], batch_size: int = 64) -> Floats:
    """Prepared pictures u8[S, S, 3] -> f32[N, K] logits, for callers who count bad pictures themselves."""
    return _forward(model, run, prepared, batch_size, model)


def embed(model: "nn.Module", run: Run, images: Iterable[bytes], batch_size: int = 64) -> Floats:
    """Picture bytes -> f32[N, D]: what the last layer sees, not normalised."""
    return embed_pixels(model, run, _prepared(images, run.preprocessing), batch_size)


def embed_pixels(model: "nn.Module", run: Run, prepared: Iterable[Pixels], batch_size: int = 64) -> Floats:
    """Prepared pictures u8[S, S, 3] -> f32[N, D]."""
    seen = threading.local()
    _, head = networks.head_of(model)

    def note(_: "nn.Module", inputs: tuple["torch.Tensor", ...]) -> None:
        seen.features = inputs[0]

    def features(batch: "torch.Tensor") -> "torch.Tensor":
        model.forward(batch)  # not called: a hook that asks about the mirror image comes after
        found = seen.features
        return found.mean((2, 3)) if found.ndim == 4 else found  # noqa: PLR2004  a 1 × 1 convolution as the last layer

    handle = head.register_forward_pre_hook(note)
    try:
        return _forward(model, run, prepared, batch_size, features)
    finally:
        handle.remove()


@contextmanager
def lanes(count: int, torch_threads: int = 1) -> Iterator[ThreadPoolExecutor]:
    """Threads that each compute with `torch_threads` of torch's own, however many those of the caller are.

    torch keeps that number for the calling thread and for threads that have not asked yet: each lane asks
    first, and the caller's own number is set again once all lanes have started.
    """
    torch = need("torch", "train")
    own = torch.get_num_threads()
    started = threading.Barrier(count + 1)

    def start() -> None:
        torch.get_num_threads()
        torch.set_num_threads(torch_threads)
        started.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="lane")
    try:
        for _ in range(count):
            pool.submit(start)
        started.wait()
        torch.set_num_threads(own)
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Given], Made], items: Iterable[Given], *, ahead: int
) -> Iterator[Made]:
    """`work` done on every item, `ahead` of the caller, given back in order."""
    waiting: deque[Future[Made]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _forward(
    model: "nn.Module", run: Run, prepared: Iterable[Pixels], batch_size: int,
    function: Callable[["torch.Tensor"], "torch.Tensor"],
) -> Floats:  # fmt: skip
    torch = need("torch", "train")
    device = next(model.parameters()).device
    size = run.preprocessing.size

    def compute(batch: Sequence[Pixels]) -> Floats:
        with torch.inference_mode():
            inputs = normalised(torch.from_numpy(np.stack(batch)).to(device), run.preprocessing)
            result: Floats = function(inputs).float().cpu().numpy()
            return result

    waiting = iter(prepared)
    batches = iter(lambda: list(islice(waiting, batch_size)), [])
    cores = cpu_count() if device.type == "cpu" else 1
    was_training = model.training
    model.eval()
    try:
        with lanes(min(cores, _MOST_LANES), max(1, cores // _MOST_LANES)) as pool:
            results = list(in_order(pool, compute, batches, ahead=min(cores, _MOST_LANES)))
        for found in results:
            finite.check(found, run.name, model)
        return np.concatenate(results) if results else compute([np.zeros((size, size, 3), np.uint8)])[:0]
    finally:
        model.train(was_training)


def _prepared(images: Iterable[bytes], preprocessing: Preprocessing) -> Iterator[Pixels]:
    """Prepare on all cores, in order, a few pictures ahead."""
    threads = cpu_count()
    pool = ThreadPoolExecutor(threads)
    try:
        yield from in_order(pool, partial(prepare, preprocessing=preprocessing), images, ahead=8 * threads)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _no_weights(run: Run) -> UserError:
    return UserError(f"Run {run.name!r} has no weights yet.", fix=f"pictus train resume {run.name}")


def _cards(project: Project) -> list[Path]:
    return sorted(project.models_dir.glob(f"*/{CARD_NAME}"))
