"""Asks a bundle about pictures: ONNX Runtime, one session for all threads, each call on its own thread.

ONNX Runtime sizes its pools from the host, not from what the process may use, and lets them
spin; so each call runs on the thread that makes it, and callers bring as many threads as there
are CPUs. Legend: N pictures, S side in px, K classes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus import graphs, models
from pictus.graphs import INPUT, OUTPUT
from pictus.serve.bundle import Bundle


class Guess(NamedTuple):
    """One class and how probable it is."""

    concept_id: str
    name: str
    probability: float


class Recogniser:
    """A bundle ready to be asked, from any number of threads at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._session: Any = graphs.session_of(bundle.graph)

    def probabilities(self, pictures_NSS3: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Prepared pictures -> f32[N, K], rows sum to 1."""
        found: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: pictures_NSS3})[0]
        return found

    def prepare(self, image_bytes: bytes) -> NDArray[np.uint8]:
        """Exactly what training's validation and evaluation do; raises PictureError."""
        return models.prepare(image_bytes, self.bundle.preprocessing)

    def best(self, probabilities_K: NDArray[np.float32], top: int) -> list[Guess]:
        """The `top` most probable classes, best first; ties go to the lower label."""
        order = np.argsort(-probabilities_K, kind="stable")[:top]
        return [
            Guess(self.bundle.classes[label], self.bundle.class_names[label], round(float(probabilities_K[label]), 6))
            for label in order.tolist()
        ]

    def classify(self, image_bytes: bytes, top: int = 5) -> list[Guess]:
        """Picture bytes -> guesses, best first; the header is checked before any pixel. Raises PictureError."""
        return self.best(self.probabilities(self.prepare(image_bytes)[None])[0], top)
