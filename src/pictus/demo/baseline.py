"""A rival that sees colours only: the nearest training pictures by colour histogram vote on the class.

It shows that the drawn world cannot be told apart by its colours: `benchmarks/demo_world.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pictus.pixels import decode_scaled
from pictus.releases import PictureReader, Release, split_rows

LEVELS = 8
"""Per channel: 8 × 8 × 8 = 512 bins."""

NEIGHBOURS = 15
_SIDE = 96

Histograms = npt.NDArray[np.float32]


def histogram_of(pixels: npt.NDArray[np.uint8]) -> Histograms:
    """u8[H, W, 3] -> f32[512]: square roots of the shares, so that a dot product is the Bhattacharyya coefficient."""
    bins = pixels.reshape(-1, 3) // (256 // LEVELS)
    index = (bins[:, 0].astype(np.int64) * LEVELS + bins[:, 1]) * LEVELS + bins[:, 2]
    counts = np.bincount(index, minlength=LEVELS**3)
    return np.asarray(np.sqrt(counts / counts.sum()), dtype=np.float32)


def histograms_of(images: Iterable[bytes]) -> Histograms:
    """Encoded pictures -> f32[N, 512]."""
    return np.stack([histogram_of(decode_scaled(image, _SIDE)) for image in images])


def nearest_guesses(
    train: Histograms, labels: npt.NDArray[np.int64], asked: Histograms, n_classes: int
) -> npt.NDArray[np.int64]:
    """Classes by the similarity-weighted votes of the nearest, best first: i64[N, K]."""
    likeness = asked @ train.T
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBOURS]
    votes = np.zeros((len(asked), n_classes))
    for row, near in enumerate(nearest):
        np.add.at(votes[row], labels[near], likeness[row, near] ** 8)
    return np.argsort(-votes, axis=1, kind="stable")


def histogram_guesses(release: Release) -> list[tuple[str, Sequence[str]]]:
    """(image_id, five concept ids) for every test picture of a release."""
    reader = PictureReader(release)

    def of(split: str) -> tuple[list[str], npt.NDArray[np.int64], Histograms]:
        rows = split_rows(release, split)
        places = zip(*(rows.column(name).to_pylist() for name in ("shard", "offset", "size")), strict=True)
        labels = rows.column("label").to_numpy().astype(np.int64)
        return rows.column("image_id").to_pylist(), labels, histograms_of(reader.read(*place) for place in places)

    _, labels, train = of("train")
    image_ids, _, asked = of("test")
    guesses = nearest_guesses(train, labels, asked, len(release.classes))
    return [
        (image_id, [release.classes[label] for label in row[:5]])
        for image_id, row in zip(image_ids, guesses.tolist(), strict=True)
    ]
