"""From a network to an ONNX graph with its preprocessing inside; of a network of 8 bits, one that computes with them.

Legend: N pictures, S side in px, K classes.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pictus import models, quantised_networks
from pictus.extras import need
from pictus.tasks import TASKS

if TYPE_CHECKING:
    from torch import nn

INPUT, OUTPUT = "pictures", "probabilities"


def graph_of(model: "nn.Module", preprocessing: models.Preprocessing, task: str = "classification") -> bytes:
    """The ONNX file of network, normalising and what the task makes of logits, for any number of pictures."""
    torch = need("torch", "train")
    need("onnx", "serve")
    need("onnxscript", "serve")
    side = preprocessing.size
    example = torch.zeros((2, side, side, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own about its internals
        program = torch.onnx.export(
            recogniser(quantised_networks.settled(copy.deepcopy(model)), preprocessing, task), (example,),
            input_names=[INPUT], output_names=[OUTPUT], external_data=False, dynamo=True, verbose=False,
            dynamic_shapes={"pictures": {0: torch.export.Dim("N", min=1, max=4096)}},
            custom_translation_table=_translations(),
        )  # fmt: skip
    found = program.model_proto
    if quantised_networks.layers(model):
        _complete(found.graph)
    graph: bytes = found.SerializeToString()
    return graph


def session_of(graph: bytes) -> Any:  # noqa: ANN401  onnxruntime has no stubs
    """ONNX Runtime's, each call on the thread that makes it: its own pools are sized by the host, and spin."""
    runtime = need("onnxruntime", "serve")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors
    return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def recogniser(model: "nn.Module", preprocessing: models.Preprocessing, task: str) -> Any:  # noqa: ANN401  no stubs
    """The module that the graph is of: u8[N, S, S, 3] -> f32[N, K]."""
    torch = need("torch", "train")
    probabilities = TASKS.get(task).probabilities

    class Recogniser(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pictures: Any) -> Any:  # noqa: ANN401
            return probabilities(self.model(models.normalised(pictures, preprocessing)).float())

    return Recogniser().eval()


def _translations() -> dict[Any, Any]:
    """How the operators of a network of 8 bits are said in ONNX."""
    op = need("onnxscript", "serve").opset18
    rounded, stored = quantised_networks.operators()

    def as_rounded(x, scale: float, zero: int):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  read by onnxscript
        step = op.Constant(value_float=scale)
        origin = op.Cast(op.Constant(value_int=zero), to=2)  # u8
        return op.DequantizeLinear(op.QuantizeLinear(x, step, origin), step, origin)

    def as_stored(whole, scale, zero):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return op.DequantizeLinear(whole, scale, zero, axis=0)

    return {rounded: as_rounded, stored: as_stored}


def _complete(graph: Any) -> None:  # noqa: ANN401  onnx has no stubs
    """What runtimes want of a layer before they compute it with whole numbers: its bias as whole numbers of 32 bits
    (Jacob et al. 2018, section 2.4), and no ReLU behind numbers that were cut off at 0 when they were rounded.
    """
    numbers = need("onnx", "serve").numpy_helper.to_array
    made = {name: node for node in graph.node for name in node.output}
    stored = {one.name: numbers(one) for one in graph.initializer}
    for at, node in reversed(list(enumerate(graph.node))):
        if node.op_type in ("Conv", "Gemm") and len(node.input) > 2 and node.input[2] in stored:  # noqa: PLR2004
            scale_O = _scale_of_sums(made, stored, node)
            if scale_O is not None:
                _with_whole_bias(graph, at, stored[node.input[2]], scale_O)
    for node in [one for one in graph.node if one.op_type == "Relu"]:
        source = made.get(node.input[0])
        if source is not None and source.op_type == _REAL and not stored[source.input[2]].any():
            for other in graph.node:
                other.input[:] = [node.input[0] if name == node.output[0] else name for name in other.input]
            graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for one in [one for one in graph.initializer if one.name not in used]:
        graph.initializer.remove(one)


_REAL = "DequantizeLinear"


def _scale_of_sums(made: dict[str, Any], stored: dict[str, NDArray[Any]], node: Any) -> NDArray[Any] | None:  # noqa: ANN401
    """f64[O] of the sums that a layer of whole numbers makes; None of a layer of real ones."""
    heard, weight = made.get(node.input[0]), made.get(node.input[1])
    while heard is not None and heard.op_type in ("MaxPool", "Relu", "Reshape", "Flatten"):  # they change no number
        heard = made.get(heard.input[0])
    if heard is None or weight is None or {heard.op_type, weight.op_type} != {_REAL}:
        return None
    return np.asarray(stored[heard.input[1]].astype(np.float64) * stored[weight.input[1]])


def _with_whole_bias(graph: Any, at: int, bias_O: NDArray[Any], scale_O: NDArray[Any]) -> None:  # noqa: ANN401
    onnx = need("onnx", "serve")
    node, whole_O = graph.node[at], np.rint(bias_O / scale_O)
    if np.abs(whole_O).max() >= 2**31:  # no room in 32 bits: computed with real numbers
        return
    name = f"{node.output[0]}_bias"
    values = {f"{name}_whole": whole_O.astype(np.int32), f"{name}_scale": scale_O.astype(np.float32)}
    graph.initializer.extend(onnx.numpy_helper.from_array(one, part) for part, one in values.items())
    graph.node.insert(at, onnx.helper.make_node(_REAL, list(values), [name], name=name, axis=0))
    node.input[2] = name
