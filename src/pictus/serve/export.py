"""The proof that an exported graph says what its network says.

Legend: N pictures, S side in px, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus import graphs, models
from pictus.extras import need
from pictus.serve.bundle import Parity

if TYPE_CHECKING:
    from torch import nn

TOLERANCE = 1e-4
"""Of a probability. fp32 graphs differ from fp32 networks by about 1e-6; a wrong layout or mean by 1e-2 and more."""

N_DRAWN, LOT = 32, 64


class Rule(NamedTuple):
    """How near a graph must be, of a probability: at most, on average (0: any), and in its first guesses."""

    tolerance: float
    mean: float
    agreement: float
    n_real: int  # pictures of a release that both are asked about, as many as there are
    fix: str


FLOAT = Rule(
    TOLERANCE, 0.0, 0.0, 32,
    "train another network: this one uses something that the ONNX exporter does not translate rightly",
)  # fmt: skip

INT8 = Rule(
    0.05, 0.005, 0.99, 256,
    "export the run it came from: the runtime rounds this one too differently, as on processors without VNNI",
)  # fmt: skip
"""Of whole numbers. Untrained small-cnn, ResNet-18 and ViT differed by 0.0006 to 0.005, on average by 0.0001 to 0.0013,
from what they were in torch: numbers half way between two that were rounded the other way.
"""

Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""u8[N, S, S, 3] -> f32[N, K]."""


def network_probabilities(
    model: "nn.Module", preprocessing: models.Preprocessing, task: str = "classification"
) -> Probabilities:
    """The network itself, asked in the way the graph will be."""
    torch = need("torch", "train")
    recogniser = graphs.recogniser(model, preprocessing, task)

    def ask(pictures_NSS3: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = recogniser(torch.from_numpy(pictures_NSS3)).numpy()
        return found

    return ask


def parity(
    network: Probabilities, graph: Probabilities, real: Sequence[NDArray[np.uint8]], side: int, seed: int = 0,
    *, rule: Rule = FLOAT,
) -> Parity:  # fmt: skip
    """Ask both about drawn pictures (noise, flat, gradients) and real ones, one at a time and together."""
    drawn = drawn_pictures(side, seed)
    pictures_NSS3 = np.stack([*drawn, *real])
    network_NK = _in_lots(network, pictures_NSS3)
    together_NK = np.abs(_in_lots(graph, pictures_NSS3) - network_NK)
    one_by_one_NK = np.concatenate([graph(picture[None]) for picture in pictures_NSS3])
    alone_NK = np.abs(one_by_one_NK - network_NK)
    top_NK = np.sort(network_NK, axis=1)
    is_sure_N = np.zeros(len(top_NK), bool)
    if top_NK.shape[1] > 1:
        is_sure_N = top_NK[:, -1] - top_NK[:, -2] > 2 * rule.tolerance
    is_other_N = one_by_one_NK.argmax(axis=1) != network_NK.argmax(axis=1)
    greatest, mean = (
        float(np.nan_to_num(found, nan=np.inf)) for found in (np.max([together_NK, alone_NK]), np.mean(alone_NK))
    )
    return Parity(
        len(drawn), len(real), greatest, rule.tolerance, int((is_sure_N & is_other_N).sum()), mean,
        int(is_other_N.sum()), rule.mean, rule.agreement,
    )  # fmt: skip


def _in_lots(ask: Probabilities, pictures_NSS3: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of many pictures, LOT at a time: what lies between layers takes memory."""
    lots = range(0, len(pictures_NSS3), LOT)
    return np.concatenate([ask(pictures_NSS3[start : start + LOT]) for start in lots])


def drawn_pictures(side: int, seed: int) -> list[NDArray[np.uint8]]:
    """u8[S, S, 3] of every kind that a channel order, a layout or a range mistake would show on."""
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, 256, (N_DRAWN // 2, side, side, 3), dtype=np.uint8)
    colours = generator.integers(0, 256, (N_DRAWN // 4, 1, 1, 3), dtype=np.uint8)
    slopes = generator.random((N_DRAWN // 4, 1, 1, 3)) * np.linspace(0, 255, side)[None, None, :, None]
    flat = np.ones((1, side, side, 1), np.uint8) * colours
    ramps = (np.ones((1, side, 1, 1)) * slopes).astype(np.uint8)
    return [*noise, *flat, *ramps]
