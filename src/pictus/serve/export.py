"""From a trained network to an ONNX graph with its preprocessing inside, and the proof that both agree.

Legend: N pictures, S side in px, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pictus import models
from pictus.extras import need
from pictus.serve.bundle import INPUT, OUTPUT, Parity
from pictus.tasks import TASKS

if TYPE_CHECKING:
    from torch import nn

TOLERANCE = 1e-4
"""Of a probability. fp32 graphs differ from fp32 networks by about 1e-6; a wrong layout or mean by 1e-2 and more."""

N_DRAWN = 32

Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""u8[N, S, S, 3] -> f32[N, K]."""


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
            _recogniser(model, preprocessing, task), (example,), input_names=[INPUT], output_names=[OUTPUT],
            dynamic_shapes={"pictures": {0: torch.export.Dim("N", min=1, max=4096)}}, dynamo=True, verbose=False,
            external_data=False,
        )  # fmt: skip
    graph: bytes = program.model_proto.SerializeToString()
    return graph


def network_probabilities(
    model: "nn.Module", preprocessing: models.Preprocessing, task: str = "classification"
) -> Probabilities:
    """The network itself, asked in the way the graph will be."""
    torch = need("torch", "train")
    recogniser = _recogniser(model, preprocessing, task)

    def ask(pictures_NSS3: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = recogniser(torch.from_numpy(pictures_NSS3)).numpy()
        return found

    return ask


def parity(
    network: Probabilities, graph: Probabilities, real: Sequence[NDArray[np.uint8]], side: int, seed: int = 0
) -> Parity:
    """Ask both about drawn pictures (noise, flat, gradients) and real ones, one at a time and together."""
    drawn = drawn_pictures(side, seed)
    pictures_NSS3 = np.stack([*drawn, *real])
    network_NK = network(pictures_NSS3)
    differences = [np.abs(graph(pictures_NSS3) - network_NK).max()]
    one_by_one_NK = np.concatenate([graph(picture[None]) for picture in pictures_NSS3])
    differences.append(np.abs(one_by_one_NK - network_NK).max())
    top_NK = np.sort(network_NK, axis=1)
    is_sure_N = top_NK[:, -1] - top_NK[:, -2] > 2 * TOLERANCE if top_NK.shape[1] > 1 else np.zeros(len(top_NK), bool)
    n_other = int((is_sure_N & (one_by_one_NK.argmax(axis=1) != network_NK.argmax(axis=1))).sum())
    greatest = float(np.max(differences))
    return Parity(len(drawn), len(real), greatest if np.isfinite(greatest) else float("inf"), TOLERANCE, n_other)


def drawn_pictures(side: int, seed: int) -> list[NDArray[np.uint8]]:
    """u8[S, S, 3] of every kind that a channel order, a layout or a range mistake would show on."""
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, 256, (N_DRAWN // 2, side, side, 3), dtype=np.uint8)
    colours = generator.integers(0, 256, (N_DRAWN // 4, 1, 1, 3), dtype=np.uint8)
    slopes = generator.random((N_DRAWN // 4, 1, 1, 3)) * np.linspace(0, 255, side)[None, None, :, None]
    flat = np.ones((1, side, side, 1), np.uint8) * colours
    ramps = (np.ones((1, side, 1, 1)) * slopes).astype(np.uint8)
    return [*noise, *flat, *ramps]


def _recogniser(model: "nn.Module", preprocessing: models.Preprocessing, task: str) -> Any:  # noqa: ANN401  no stubs
    torch = need("torch", "train")
    probabilities = TASKS.get(task).probabilities

    class Recogniser(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pictures: Any) -> Any:  # noqa: ANN401
            return probabilities(self.model(models.normalised(pictures, preprocessing)).float())

    return Recogniser().eval()
