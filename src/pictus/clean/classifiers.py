"""What a classifier says of pictures that may not be fit to show: an adapter. Pictus ships no such classifier.

A classifier is a function from a batch of pixels (each u8[H, W, 3], RGB, upright) to one (label, score) for each
picture; what the labels mean is the classifier's own. It comes in by the entry-point group `pictus.safety`, or as an
ONNX file (`onnx:FILE`) whose labels stand in the file's metadata (`labels`, a JSON list), in FILE.labels.txt (one on
a line) or in the bundle.json of a model that `pictus serve export` wrote. A graph that keeps tensors in other files
or uses operators of other makers is refused: the first could read any file, the second load code.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pictus.errors import PictureError, UserError, clipped
from pictus.extras import need
from pictus.pixels import Pixels, decode_scaled, resize
from pictus.records import Safety
from pictus.registry import Registry

Said = tuple[str, float]
Classifier = Callable[[Sequence[Pixels]], Sequence[Said]]

CLASSIFIERS: Registry[Classifier] = Registry("safety classifier", "pictus.safety")

ONNX = "onnx:"
SHORT_SIDE = 384
"""Pictures are decoded down to no less than this: classifiers look at 224 to 384 px."""
BATCH = 16
MAX_GRAPH_BYTES = 2**31 - 1  # what a protocol buffer can hold
FAILED = "classifier-failed"
NONE = "Pictus brings no safety classifier, and none is plugged in."
_DOMAINS = {"", "ai.onnx"}
_ADVICE = "pictus clean safety --classifier onnx:FILE, or a plugin: docs/clean.md shows one"


def classifier(name: str) -> Classifier:
    """The classifier of a name, or of `onnx:FILE`."""
    if name.startswith(ONNX):
        return _of_file(Path(name.removeprefix(ONNX)).expanduser().resolve())
    if not CLASSIFIERS.names():
        raise UserError(NONE, fix=_ADVICE)
    return CLASSIFIERS.get(name)


def called(name: str) -> str:
    """What stands in the rows: the plugin's name; of a file its name and the first digits of its sha256."""
    if not name.startswith(ONNX):
        return name
    path = Path(name.removeprefix(ONNX)).expanduser().resolve()
    return f"{ONNX}{path.name}@{hashlib.sha256(_graph(path)).hexdigest()[:12]}"


def ask(pictures: Iterable[tuple[str, bytes]], name: str, said_by: str) -> list[Safety]:
    """(image_id, bytes) -> one row each, in order. What cannot be decoded gets a cause, never an exception."""
    function = classifier(name)
    rows: list[Safety] = []
    waiting: list[tuple[int, Pixels]] = []

    def answer() -> None:
        answers = _answers(function, [pixels for _, pixels in waiting], name)
        for (place, _), (cause, label, score) in zip(waiting, answers, strict=True):
            rows[place] = Safety(rows[place].image_id, cause, label, score, said_by)
        waiting.clear()

    for image_id, image_bytes in pictures:
        try:
            waiting.append((len(rows), decode_scaled(image_bytes, SHORT_SIDE)))
            rows.append(Safety(image_id, "", "", 0.0, said_by))
        except PictureError as error:
            rows.append(Safety(image_id, error.cause, "", 0.0, said_by))
        if len(waiting) == BATCH:
            answer()
    if waiting:
        answer()
    return rows


def probe(name: str) -> None:
    """Ask about one grey picture, so that what is not installed or gives no answers is told before the work begins."""
    checked(classifier(name)([np.full((64, 64, 3), 127, np.uint8)]), 1, name)


def checked(found: Any, count: int, name: str) -> list[Said]:  # noqa: ANN401  a plugin's answer
    """A classifier's answers, one (label, finite score) for each picture; a UserError for anything else."""
    try:
        said = [(str(label), float(score)) for label, score in found]
        is_right = len(said) == count and all(math.isfinite(score) for _, score in said)
    except (TypeError, ValueError):  # no pairs of a text and a number: told below
        is_right = False
    if not is_right:
        raise UserError(
            f"The safety classifier {name!r} gave {clipped(type(found).__name__)}, not a (label, score) for each of "
            f"{count} pictures.",
            fix="return one text and one finite number for every picture of the batch: see docs/clean.md",
        )
    return said


def _answers(function: Classifier, pictures: list[Pixels], name: str) -> list[tuple[str, str, float]]:
    """(cause, label, score) of each. Of a batch that the plugin fails on each picture is shown alone."""
    try:
        return [("", label, score) for label, score in checked(function(pictures), len(pictures), name)]
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException:  # noqa: BLE001  sys.exit too
        # a plugin's own failure on a picture is that picture's cause, and it is shown to it again next time
        if len(pictures) == 1:
            return [(FAILED, "", 0.0)]
        return [answer for one in pictures for answer in _answers(function, [one], name)]


@functools.cache
def _of_file(path: Path) -> Classifier:
    """A classifier from an ONNX file: u8[N, S, S, 3], or f32[N, 3, S, S] in 0..1, to f32[N, K] scores."""
    graph = _graph(path)
    inside = _checked_graph(graph, path)
    runtime = need("onnxruntime", "serve")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the engine has a process per core already
    try:
        session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(f"{path} cannot be run: {str(error)[:200]}.", fix="export it again") from error
    (given, *more), labels = session.get_inputs(), _labels(path, inside)
    shape, kind = given.shape, given.type
    is_bytes = kind == "tensor(uint8)" and len(shape) == 4 and shape[3] == 3  # noqa: PLR2004  NHWC
    is_float = kind == "tensor(float)" and len(shape) == 4 and shape[1] == 3  # noqa: PLR2004  NCHW
    side = shape[1] if is_bytes else shape[3] if is_float else 0
    one_by_one = shape[:1] == [1]
    is_batch = one_by_one or not isinstance(shape[0], int)
    if more or not is_batch or not isinstance(side, int) or not 1 <= side <= 2048:  # noqa: PLR2004  more than any
        raise UserError(
            f"{path} takes {kind} {shape}, not pictures.",
            fix="one input, u8[N, S, S, 3] or f32[N, 3, S, S] in 0..1, where N is 1 or open",
        )

    def ask_graph(pictures: Sequence[Pixels]) -> list[Said]:
        batch: npt.NDArray[Any] = np.stack([resize(one, side, side) for one in pictures])
        if is_float:
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)
        runs = np.split(batch, len(batch)) if one_by_one else [batch]
        scores_NK = np.concatenate([np.asarray(session.run(None, {given.name: run})[0]) for run in runs])
        if scores_NK.shape != (len(pictures), len(labels)):
            raise UserError(
                f"{path} gives {list(scores_NK.shape)} scores, but has {len(labels)} labels for {len(pictures)} "
                "pictures.", fix=f"one label a line in {path.name}.labels.txt"
            )  # fmt: skip
        best = scores_NK.argmax(axis=1)
        return [(labels[column], float(scores_NK[row, column])) for row, column in enumerate(best)]

    return ask_graph


def _graph(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"There is no file {path}.", fix=_ADVICE)
    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise UserError(f"{path} is larger than an ONNX file can be.", fix=_ADVICE)
    return path.read_bytes()


def _checked_graph(graph: bytes, path: Path) -> Any:  # noqa: ANN401  an ONNX model
    onnx = need("onnx", "serve")
    try:
        model = onnx.load_model_from_string(graph)
    except Exception as error:
        raise UserError(f"{path} is not an ONNX file.", fix=_ADVICE) from error
    own = {function.domain for function in model.functions}
    graphs = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    tensors = []
    while graphs or nodes:
        if graphs:
            one = graphs.pop()
            tensors += [*one.initializer, *(part for entry in one.sparse_initializer
                                            for part in (entry.values, entry.indices))]  # fmt: skip
            nodes += one.node
            continue
        node = nodes.pop()
        if node.domain not in _DOMAINS | own:
            raise UserError(f"{path} uses operators of {node.domain}: they would load code.", fix=_ADVICE)
        for attribute in node.attribute:
            tensors += [*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])]
            graphs += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
    if any(tensor.external_data or tensor.data_location == 1 for tensor in tensors):
        raise UserError(f"{path} keeps tensors in other files, which could be any file.", fix="save it as one file")
    return model


def _labels(path: Path, model: Any) -> tuple[str, ...]:  # noqa: ANN401
    stated = {entry.key: entry.value for entry in model.metadata_props}
    beside, card = path.with_name(path.name + ".labels.txt"), path.with_name("bundle.json")
    try:
        if "labels" in stated:
            found = json.loads(stated["labels"])
        elif beside.is_file():
            found = [line.strip() for line in beside.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            found = json.loads(card.read_text(encoding="utf-8"))["class_names"] if card.is_file() else []
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"The labels of {path} cannot be read: {error}."
        raise UserError(what, fix=f"one label a line in {beside}") from error
    if not isinstance(found, list) or not found or not all(isinstance(label, str) for label in found):
        raise UserError(f"{path} does not say what its scores are called.", fix=f"one label a line in {beside}")
    return tuple(found)
