from __future__ import annotations

import numpy as np
import pytest

from pictus.annotate.truth.consensus import votes_of
from pictus.annotate.truth.gold import gold


def test_a_vote_counts_what_its_annotator_reached_on_known_answers() -> None:
    # Ten known: 0 right on all, (8 + 10) / 20 = 0.9; 1 and 2 on half, (8 + 5) / 20 = 0.65. Odds 9 against 1.857 ^ 2.
    known = [0] * 10
    items = [*np.repeat(range(10), 3), 10, 10, 10]
    answers = [answer for number in range(10) for answer in (0, number % 2, number % 2)] + [1, 0, 0]
    found = gold(votes_of(items, [0, 1, 2] * 11, answers, n_classes=2, known_I=[*known, -1]))
    assert found.label_I[10] == 1
    odds = 9 / (0.65 / 0.35) ** 2
    assert found.posterior_I[10] == pytest.approx(odds / (1 + odds))


def test_without_known_answers_everybody_counts_as_trusted() -> None:
    found = gold(votes_of([0, 0, 0], [0, 1, 2], [1, 1, 0], n_classes=2))
    assert found.posterior_I[0] == pytest.approx(0.8)  # 4 * 4 / 4 = 4 to 1


def test_who_agrees_with_a_common_mistake_gains_nothing() -> None:
    # 30 pictures on which four people make the same mistake; on ten known ones only annotator 0 is right.
    known_I = np.concatenate([np.zeros(10), np.full(30, -1)])
    items, annotators = np.repeat(np.arange(40), 5), np.tile(np.arange(5), 40)
    answers = np.where(annotators == 0, 0, 1)
    found = gold(votes_of(items, annotators, answers, n_classes=2, known_I=known_I))
    # 0.9 against four of (8 + 0) / 20 = 0.4 each, who by now speak for the other side.
    assert found.label_I[10:].tolist() == [0] * 30
