"""A network of 8 bits as a graph: whole numbers inside, and the network's own answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from pictus import graphs, networks, quantised_networks
from pictus.models import Preprocessing

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SEEN = Preprocessing(32, 32)


@pytest.fixture(scope="module")
def small() -> Any:
    """small-cnn of 8 bits whose normalisation and ranges have seen noise."""
    torch.manual_seed(0)
    network = networks.make("small-cnn", 4).train()
    pictures = torch.randn(16, 3, 32, 32)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:  # scales that begin at 0 would hide what they scale
                parameter.add_(0.1)
        network(pictures)
    quantised_networks.calibrate(quantised_networks.quantised(network.eval()), [pictures])
    return network


@pytest.fixture(scope="module")
def graph(small: Any) -> bytes:
    return graphs.graph_of(small, SEEN)


def test_every_layer_of_the_graph_computes_with_whole_numbers(graph: bytes) -> None:
    found = onnx.load_model_from_string(graph).graph
    made = {name: node for node in found.node for name in node.output}
    kinds = {one.name: onnx.numpy_helper.to_array(one).dtype for one in found.initializer}
    layers = [node for node in found.node if node.op_type in ("Conv", "Gemm")]
    assert len(layers) == 11
    for node in layers:
        weight, bias = (made[name] for name in node.input[1:])
        assert (weight.op_type, kinds[weight.input[0]]) == ("DequantizeLinear", np.int8)
        assert (bias.op_type, kinds[bias.input[0]]) == ("DequantizeLinear", np.int32)
    rectified = [node for node in found.node if node.op_type == "Relu" and "Dequantize" in made[node.input[0]].op_type]
    assert rectified == [], "what was cut off when it was rounded is not cut off again"
    assert Counter(str(kind) for kind in kinds.values())["int8"] >= len(layers)
    assert len(graph) < 1.2 * 1_948_664, "a byte to each weight"


def test_the_graph_says_what_the_network_says_and_leaves_the_network_as_it_is(small: Any, graph: bytes) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    found = graphs.session_of(graph).run([graphs.OUTPUT], {graphs.INPUT: pictures})[0]
    with torch.inference_mode():
        wanted = graphs.recogniser(small, SEEN, "classification")(torch.from_numpy(pictures)).numpy()
    assert np.abs(found - wanted).mean() < 0.002
    assert np.abs(found - wanted).max() < 0.02
    assert not small[0].is_settled, "the exporter's numbers are its copy's"


def test_whole_weights_are_the_ones_that_are_rounded_to_in_training(small: Any) -> None:
    import copy

    settled = quantised_networks.settled(copy.deepcopy(small))
    for (_, layer), (_, other) in zip(
        quantised_networks.layers(small), quantised_networks.layers(settled), strict=True
    ):
        assert torch.equal(layer.rounded_weights(), other.rounded_weights())
