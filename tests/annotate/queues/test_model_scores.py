"""What models say of candidates: how unlike the accepted pictures they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pictus.annotate.queues import model_scores, priorities


def test_accepted_pictures_are_covered_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven are accepted and four may be looked at: four at 0, then three at 10. Of two new ones, at 10 and at 5, the
    second is unlike them all.
    """
    places = np.array([0, 0, 0, 0, 10, 10, 10, 10, 5], np.float16)[:, None]
    nothing: Any = None
    for many in (4, 7, 256):
        monkeypatch.setattr(priorities, "COVERED", many)
        monkeypatch.setattr(model_scores, "_vectors", lambda *_: (places, np.ones(9, np.bool_)))
        novel = model_scores.novelty(
            nothing, nothing, np.zeros(9, np.int64), np.arange(9), np.array([True] * 7 + [False] * 2)
        )
        assert novel.tolist() == [0] * 8 + [1]
