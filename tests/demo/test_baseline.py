"""The rival that sees only colours."""

from __future__ import annotations

import numpy as np
import pytest

from pictus.demo.baseline import histogram_of, nearest_guesses


def test_a_histogram_is_the_roots_of_the_shares() -> None:
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    pixels[0, 0] = (255, 255, 255)
    found = histogram_of(pixels)
    assert found[511] == pytest.approx(0.25**0.5)
    assert found[0] == pytest.approx(0.75**0.5)
    assert found @ found == pytest.approx(1.0)


def test_the_class_of_the_most_similar_colours_comes_first() -> None:
    train = np.eye(4, dtype=np.float32)
    guesses = nearest_guesses(train, np.array([0, 1, 2, 2]), np.array([[0, 0.1, 0, 1]], dtype=np.float32), 3)
    assert guesses[0].tolist()[:2] == [2, 1]
