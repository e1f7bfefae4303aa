from __future__ import annotations

import numpy as np
import pytest

from pictus.annotate.truth.consensus import votes_of
from pictus.annotate.truth.mace import mace
from pictus.annotate.truth.majority import majority


@pytest.mark.parametrize("classes", [2, 3, 50])
def test_one_vote_is_worth_the_trust_in_its_annotator(classes: int) -> None:
    # (t + (1 - t) / K) of (t + (1 - t) K / K) with t = (trust - 1 / K) / (1 - 1 / K): the trust.
    found = mace(votes_of(range(30), [0] * 30, [0, 1] * 15, n_classes=classes, trust_W=[0.9]))
    assert found.posterior_I == pytest.approx(np.full(30, 0.9), abs=1e-6)


def test_the_yes_of_somebody_who_always_says_yes_says_nothing() -> None:
    # Two always say yes, three look and err once in ten. Of the last pictures only one looks, and says no.
    rng = np.random.default_rng(1)
    truth_I = rng.integers(0, 2, 300)
    items, people, answers = [], [], []
    for item, truth in enumerate(truth_I.tolist()):
        for person in (0, 1) if item >= 250 else (0, 1, 2, 3, 4):
            items.append(item)
            people.append(person)
            answers.append(1)
        if item >= 250:
            items.append(item)
            people.append(2 + item % 3)
            answers.append(truth if rng.random() < 0.9 else 1 - truth)
        else:
            answers[-3:] = [truth if rng.random() < 0.9 else 1 - truth for _ in range(3)]
    votes = votes_of(items, people, answers, n_classes=2)
    last = slice(250, 300)
    assert np.mean(mace(votes).label_I[last] == truth_I[last]) > 0.8
    assert np.mean(majority(votes).label_I[last] == truth_I[last]) < 0.6


def test_who_looks_is_believed_more_than_who_guesses_evenly() -> None:
    rng = np.random.default_rng(2)
    truth_I = rng.integers(0, 5, 400)
    item_V, annotator_V = np.repeat(np.arange(400), 5), np.tile(np.arange(5), 400)
    guess_V = rng.integers(0, 5, 2000)
    answer_V = np.where(annotator_V < 2, np.where(rng.random(2000) < 0.9, truth_I[item_V], guess_V), guess_V)
    found = mace(votes_of(item_V, annotator_V, answer_V, n_classes=5))
    assert np.mean(found.label_I == truth_I) > 0.9
