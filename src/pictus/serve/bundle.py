"""A bundle: what a server needs, and nothing else. No torch to open it.

    bundles/<run>/
      model.onnx    u8[N, S, S, 3] RGB -> f32[N, K] probabilities; normalising and softmax are inside
      bundle.json   classes, preprocessing, digests, how closely it follows the network; written last

A graph is refused when it keeps tensors in other files (they could lie anywhere on the disk) or
uses operators of other makers (they would load code). Legend: N pictures, S side in px, K classes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pictus import run_files
from pictus.errors import UserError, clipped
from pictus.extras import need
from pictus.graphs import INPUT, OUTPUT
from pictus.models import Preprocessing, described
from pictus.project import write_bytes, write_text

FORMAT = 1
CARD_NAME, GRAPH_NAME = "bundle.json", "model.onnx"
DOMAINS = frozenset({"", "ai.onnx"})
"""Makers of operators that are part of ONNX itself."""

_CARD_BYTES = 64 << 20
"""Of a card; one of 21,841 classes has 2 MB."""

_NARROW, _WIDEST, _WIDEST_MEAN, _LEAST_AGREEMENT = 1e-4, 0.05, 0.005, 0.99
"""What export.py allows at most, real numbers and whole ones: a card that allows more was not written by it."""

_OF_BEFORE = {"n_other_top1": "n_other_sure"}
"""What a card of before calls a figure of its parity."""


@dataclass(frozen=True)
class Parity:
    """The exported graph beside the network on the same pixels: differences of a probability, and what is allowed.

    A graph of real numbers is held to `tolerance` alone. One of whole numbers rounds where the network rounds, but sums
    in another order: a number half way between two goes to the other now and then. It is held to a wider tolerance, to
    a mean, and to a share of first guesses that must be equal (one of few pictures may differ: two classes may be as
    likely as each other).
    """

    n_drawn: int
    n_real: int
    greatest_difference: float
    tolerance: float
    n_other_sure: int  # first guesses that differ although the network is sure by more than the tolerance
    mean_difference: float = 0.0
    n_other: int = 0  # of all first guesses those that differ, however sure
    mean_tolerance: float = 0.0  # 0: no bound of its own
    least_agreement: float = 0.0  # share of first guesses; 0: as the tolerance has it

    @property
    def holds(self) -> bool:
        may_differ = max(1.0, (1 - self.least_agreement) * (self.n_drawn + self.n_real))
        is_near = self.greatest_difference <= self.tolerance and self.n_other_sure == 0
        is_near_on_average = not self.mean_tolerance or self.mean_difference <= self.mean_tolerance
        return is_near and is_near_on_average and (not self.least_agreement or self.n_other <= may_differ)


@dataclass(frozen=True)
class Bundle:
    """One opened bundle. Position in `classes` = column of the probabilities."""

    root: Path
    run: str
    model: str
    classes: tuple[str, ...]
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    weights_sha256: str
    graph_sha256: str
    parity: Parity
    exported_at: str
    graph: bytes


def write_bundle(bundle: Bundle) -> None:
    """Graph first, card last: without a card there is no bundle."""
    (bundle.root / CARD_NAME).unlink(missing_ok=True)
    write_bytes(bundle.root / GRAPH_NAME, bundle.graph)
    side = bundle.preprocessing.size
    card = {
        "format": FORMAT, "run": bundle.run, "model": bundle.model, "classes": bundle.classes,
        "class_names": bundle.class_names, "preprocessing": asdict(bundle.preprocessing),
        "input": {"name": INPUT, "type": "uint8", "shape": ["N", side, side, 3], "layout": "NHWC, RGB"},
        "output": {"name": OUTPUT, "type": "float32", "shape": ["N", len(bundle.classes)]},
        "weights_sha256": bundle.weights_sha256, "graph_sha256": bundle.graph_sha256,
        "parity": asdict(bundle.parity), "exported_at": bundle.exported_at,
    }  # fmt: skip
    write_text(bundle.root / CARD_NAME, json.dumps(card, indent=1))


def open_bundle(root: Path) -> Bundle:
    """Open and check a bundle: the card, the graph's digest, and that the graph is self-contained."""
    path = root / CARD_NAME
    if not path.is_file():
        raise UserError(f"{root} is not a bundle: it has no {CARD_NAME}.", fix="pictus serve export")
    try:
        card = run_files.read(path, _CARD_BYTES)
        found = int(card["format"])
        graph = (root / GRAPH_NAME).read_bytes()
        bundle = Bundle(
            root, str(card["run"]), str(card["model"]), *described(card), str(card["weights_sha256"]),
            str(card["graph_sha256"]), _parity(card["parity"]), str(card["exported_at"]), graph,
        )
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise _damaged(root, f"{error!r}") from error
    if found > FORMAT:
        raise UserError(f"{path} has format {found}; this Pictus reads up to {FORMAT}.", fix="update Pictus")
    if sha256(graph) != bundle.graph_sha256:
        raise _damaged(root, f"{GRAPH_NAME} is not the file that was exported (its sha256 differs)")
    check_graph(graph, str(root / GRAPH_NAME))
    return bundle


def _parity(stated: dict[str, Any]) -> Parity:
    """As the card states it; a TypeError or ValueError for what no export has found."""
    found = Parity(**{_OF_BEFORE.get(name, name): value for name, value in stated.items()})
    for field in fields(Parity):
        value = getattr(found, field.name)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        is_kind = is_whole if field.type == "int" else is_whole or isinstance(value, float)
        if not is_kind or not 0 <= value < math.inf:
            message = f"parity.{field.name} is {clipped(value)}, not a number from 0"
            raise ValueError(message)
    is_real = found.tolerance <= _NARROW and not found.mean_tolerance and not found.least_agreement
    is_whole = 0 < found.mean_tolerance <= _WIDEST_MEAN and _LEAST_AGREEMENT <= found.least_agreement <= 1
    if not (is_real or is_whole) or found.tolerance > _WIDEST or not found.holds:
        message = "its parity allows more than an export does, or does not hold"
        raise ValueError(message)
    return found


def check_graph(graph: bytes, where: str) -> None:
    """Refuse a graph that reaches outside itself: tensors in other files, operators of other makers."""
    onnx = need("onnx", "serve")
    try:
        model = onnx.load_model_from_string(graph)
    except Exception as error:
        raise UserError(f"{where} is not an ONNX file: {error}.", fix="pictus serve export") from error
    own = {function.domain for function in model.functions}
    outside = sorted({tensor.name for tensor in _tensors(model) if tensor.external_data or tensor.data_location == 1})
    foreign = sorted({node.domain for node in _nodes(model) if node.domain not in DOMAINS | own})
    if outside:
        what = f"{where} keeps {len(outside)} tensors in other files (first {outside[0]!r})"
    elif foreign:
        what = f"{where} uses operators of {', '.join(foreign)}"
    else:
        return
    raise UserError(f"{what}; Pictus does not load those.", fix="pictus serve export    from a run you trust")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _nodes(model: Any) -> Iterator[Any]:  # noqa: ANN401  onnx has no stubs
    """Every node, those of functions and of graphs inside nodes included."""
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            waiting.extend(inner for graph in (attribute.g, *attribute.graphs) for inner in graph.node)


def _tensors(model: Any) -> Iterator[Any]:  # noqa: ANN401  onnx has no stubs
    """Every stored tensor, dense or sparse, wherever a graph may keep one."""
    graphs = [model.graph]
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            yield from _dense(attribute.sparse_tensor, *attribute.sparse_tensors)
            graphs.extend((attribute.g, *attribute.graphs))
    for graph in graphs:
        yield from graph.initializer
        yield from _dense(*graph.sparse_initializer)


def _dense(*sparse: Any) -> Iterator[Any]:  # noqa: ANN401  onnx has no stubs
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _damaged(root: Path, why: str) -> UserError:
    return UserError(f"The bundle {root} is damaged: {why}.", fix=f"rm -r {root} && pictus serve export")
