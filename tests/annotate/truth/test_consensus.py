from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pictus.annotate.truth import dawid_skene, glad, gold, mace, majority, one_coin
from pictus.annotate.truth.consensus import (
    METHODS,
    Before,
    Votes,
    candidates_of,
    converged,
    probability_of,
    settled,
    votes_of,
)
from pictus.errors import UserError

METHOD_NAMES = ("dawid-skene", "glad", "gold", "mace", "majority", "one-coin")
LEARNING = ("dawid-skene", "glad", "mace", "one-coin")


@st.composite
def some_votes(draw: st.DrawFn) -> Votes:
    n_classes = draw(st.sampled_from([2, 3, 12]))
    n_items, n_annotators = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    many = draw(st.integers(n_items, 40))
    more = st.lists(st.integers(0, n_items - 1), min_size=many - n_items, max_size=many - n_items)
    items = [*range(n_items), *draw(more)]
    numbers = st.lists(st.integers(0, 10**6), min_size=many, max_size=many)
    annotators = [number % n_annotators for number in draw(numbers)]
    answers = [number % n_classes for number in draw(numbers)]
    trust = [0.6 + 0.05 * number for number in range(n_annotators)]
    return votes_of(items, annotators, answers, n_classes=n_classes, trust_W=trust)


def test_the_methods_are_registered() -> None:
    assert METHODS.names() == list(METHOD_NAMES)
    assert METHODS.get("majority") is majority.majority
    assert METHODS.get("one-coin") is one_coin.one_coin
    assert METHODS.get("dawid-skene") is dawid_skene.dawid_skene
    assert (METHODS.get("glad"), METHODS.get("mace"), METHODS.get("gold")) == (glad.glad, mace.mace, gold.gold)
    with pytest.raises(UserError, match="one_coin") as error:
        METHODS.get("one_coin")
    assert "one-coin" in error.value.fix


@pytest.mark.parametrize("name", METHOD_NAMES)
@settings(deadline=None)  # another program may hold the processor
@given(votes=some_votes(), seed=st.integers(0, 2**32 - 1))
def test_renaming_annotators_changes_nothing(name: str, votes: Votes, seed: int) -> None:
    new_W = np.random.default_rng(seed).permutation(votes.n_annotators)
    trust_W = np.empty_like(votes.trust_W)
    trust_W[new_W] = votes.trust_W
    renamed = votes_of(
        votes.item_V, new_W[votes.annotator_V], votes.answer_V, n_classes=votes.n_classes, trust_W=trust_W
    )
    before, after = METHODS.get(name)(votes), METHODS.get(name)(renamed)
    np.testing.assert_array_equal(after.label_I, before.label_I)
    np.testing.assert_allclose(after.posterior_P, before.posterior_P, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", METHOD_NAMES)
@pytest.mark.parametrize("classes", [2, 3, 12])
def test_renumbering_items_changes_nothing_but_their_order(name: str, classes: int, make_crowd: Any) -> None:
    # Fixed crowds: of a handful of votes drawn at will, one set in a hundred lies on a saddle point between two
    # labels, where rounding (sums in another order) decides.
    for seed in range(10):
        crowd = make_crowd(classes, 40, 6, 3, seed=seed).votes
        stays_V = (np.arange(120) % 3 == 0) | (crowd.item_V % 4 > 0)  # every fourth item keeps one vote only
        columns = (crowd.item_V[stays_V], crowd.annotator_V[stays_V], crowd.answer_V[stays_V])
        new_I = np.random.default_rng(seed).permutation(40)
        before = METHODS.get(name)(votes_of(*columns, n_classes=classes))
        after = METHODS.get(name)(votes_of(new_I[columns[0]], *columns[1:], n_classes=classes))
        # Rounds end where nothing moves by 1e-6; what is left of a slow end is a few times that.
        np.testing.assert_allclose(after.posterior_I[new_I], before.posterior_I, atol=1e-5)


@pytest.mark.parametrize("name", METHOD_NAMES)
@settings(deadline=None)  # another program may hold the processor
@given(votes=some_votes())
def test_posteriors_are_probabilities_and_the_label_has_the_highest(name: str, votes: Votes) -> None:
    found = METHODS.get(name)(votes)
    assert np.all((found.posterior_P >= 0) & (found.posterior_P <= 1 + 1e-12))
    total_I = np.bincount(found.candidates.item_P, weights=found.posterior_P, minlength=votes.n_items)
    if found.candidates.is_complete:
        np.testing.assert_allclose(total_I, 1)
    else:
        assert np.all(total_I <= 1 + 1e-9)
    best_I = np.zeros(votes.n_items)
    np.maximum.at(best_I, found.candidates.item_P, found.posterior_P)
    np.testing.assert_allclose(found.posterior_I, best_I, rtol=2e-6)


@pytest.mark.parametrize("name", METHOD_NAMES)
@pytest.mark.parametrize("classes", [2, 3, 50])
def test_tie_goes_to_first_label(name: str, classes: int) -> None:
    # Two annotators of equal standing name different classes, whoever comes first.
    for first, second in ((0, 1), (1, 0)):
        found = METHODS.get(name)(votes_of([0, 0], [0, 1], [first, second], n_classes=classes))
        assert found.label_I.tolist() == [0]
        assert found.posterior_I[0] <= 0.5 + 1e-6


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_the_same_votes_give_the_same_bits(name: str, make_crowd: Any) -> None:
    votes = make_crowd(20, 300, 12, 3, seed=1).votes
    first, second = METHODS.get(name)(votes), METHODS.get(name)(votes)
    assert first.posterior_P.tobytes() == second.posterior_P.tobytes()
    assert first.label_I.tobytes() == second.label_I.tobytes()


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_no_votes_give_no_labels(name: str) -> None:
    found = METHODS.get(name)(votes_of([], [], [], n_classes=2))
    assert found.label_I.size == found.posterior_P.size == 0


@pytest.mark.parametrize(("classes", "items", "annotators"), [(2, 3000, 24), (3, 2000, 20), (1000, 8000, 85)])
@pytest.mark.parametrize("name", LEARNING)
def test_weighing_does_not_lose_to_majority(
    name: str, classes: int, items: int, annotators: int, make_crowd: Any
) -> None:
    for seed in range(3):
        votes, truth_I, _ = make_crowd(classes, items, annotators, 5, seed=seed, low=0.55, spammers=annotators // 8)
        plain = np.mean(majority.majority(votes).label_I == truth_I)
        weighed = np.mean(METHODS.get(name)(votes).label_I == truth_I)
        assert weighed > plain, f"{name} {weighed:.4f}, majority {plain:.4f}"


@pytest.mark.parametrize("classes", [2, 24, 1000])
@pytest.mark.parametrize("name", LEARNING)
def test_a_posterior_of_nine_tenths_is_right_nine_times_in_ten(name: str, classes: int, make_crowd: Any) -> None:
    votes, truth_I, _ = make_crowd(classes, 4000, 40, 4, seed=5, low=0.6, spammers=3)
    found = METHODS.get(name)(votes)
    sure = found.posterior_I >= 0.9
    assert sure.mean() > 0.5
    assert np.mean(found.label_I[sure] == truth_I[sure]) >= 0.9


def test_memory_grows_with_votes_not_with_classes_squared(make_crowd: Any) -> None:
    import tracemalloc

    votes = make_crowd(1000, 4000, 85, 5, seed=0).votes
    tracemalloc.start()
    METHODS.get("dawid-skene")(votes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 20,000 votes x about 2 named classes x some 20 arrays of 8 bytes; dense tables: 85 x 1000 x 1000 x 8 = 680 MB.
    assert peak < 30e6


def test_few_classes_are_all_candidates_and_many_only_where_named() -> None:
    few = candidates_of(votes_of([0, 1], [0, 0], [2, 0], n_classes=3))
    assert few.is_complete
    assert few.class_P.tolist() == [0, 1, 2, 0, 1, 2]
    assert few.of_vote_V.tolist() == [2, 3]
    many = candidates_of(votes_of([0, 0, 1, 1], [0, 1, 0, 1], [90, 7, 5, 5], n_classes=100))
    assert not many.is_complete
    assert many.item_P.tolist() == [0, 0, 1]
    assert many.class_P.tolist() == [7, 90, 5]
    assert many.first_I.tolist() == [0, 2]
    assert many.of_vote_V.tolist() == [1, 0, 2, 2]


def test_the_probability_of_one_label_is_read_from_the_sparse_posterior() -> None:
    found = majority.majority(votes_of([0, 0, 0, 1], [0, 1, 2, 0], [7, 7, 9, 9], n_classes=100))
    assert probability_of(found, 9).tolist() == pytest.approx([1 / 3, 1])
    assert probability_of(found, 50).tolist() == [0, 0]


def test_votes_are_sorted_by_item_and_keep_their_order() -> None:
    votes = votes_of([1, 0, 1, 0], [5, 4, 3, 2], [0, 1, 1, 0], n_classes=2)
    assert votes.item_V.tolist() == [0, 0, 1, 1]
    assert votes.annotator_V.tolist() == [4, 2, 5, 3]
    assert votes.n_annotators == 6


@pytest.mark.parametrize(
    ("columns", "classes", "part"),
    [
        (([0, 1], [0], [0, 1]), 2, "one length"),
        (([0], [0], [0]), 1, "2 classes"),
        (([0], [0], [2]), 2, "below 2"),
        (([0], [-1], [0]), 2, "from 0"),
        (([0, 2], [0, 0], [0, 0]), 2, "gaps"),
    ],
)
def test_wrong_votes_are_refused(columns: tuple[list[int], list[int], list[int]], classes: int, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        votes_of(*columns, n_classes=classes)


def test_trust_must_be_a_probability_for_each_annotator() -> None:
    for trust in ([0.5], [0.5, 1.0]):
        with pytest.raises(ValueError, match="trust_W"):
            votes_of([0, 0], [0, 1], [0, 0], n_classes=2, trust_W=trust)


def test_rounds_are_mixed_towards_the_same_end() -> None:
    """x -> 0.9 x + 0.05 has its end at 0.5; plain rounds need ln(1e-6 / 0.05) / ln 0.9 = 103, mixed ones a few."""
    calls = []

    def step(posterior_P: NDArray[np.float64]) -> NDArray[np.float64]:
        calls.append(1)
        return 0.9 * posterior_P + 0.05

    assert converged(step, np.array([0.0, 1.0, 0.3]), change=1e-6) == pytest.approx([0.5] * 3, abs=1e-5)
    assert len(calls) < 10


def test_what_never_settles_ends_with_a_result_of_the_last_round() -> None:
    found = converged(lambda posterior_P: 1 - posterior_P.round(), np.array([0.0, 1.0]), change=1e-6, rounds=7)
    assert sorted(found.tolist()) == [0.0, 1.0]


def test_rounding_does_not_decide_a_tie() -> None:
    candidates = candidates_of(votes_of([0], [0], [0], n_classes=2))
    assert settled(candidates, np.array([0.5 - 1e-12, 0.5 + 1e-12])).label_I.tolist() == [0]
    assert settled(candidates, np.array([0.499, 0.501])).label_I.tolist() == [1]


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize("classes", [2, 3, 50])
@pytest.mark.parametrize("n_each", [60, 100, 1000])
def test_a_crowd_that_confirms_one_half_of_a_list_does_not_doubt_the_other(
    name: str, classes: int, n_each: int
) -> None:
    """A list says owl (0) and wren (1), n of each; a person then agrees with every owl and looks at no wren."""
    owls = range(n_each)
    items = [*range(2 * n_each), *owls]
    annotators, answers = [0] * (2 * n_each) + [1] * n_each, [0] * n_each + [1] * n_each + [0] * n_each
    before = METHODS.get(name)(votes_of(items[: 2 * n_each], annotators[: 2 * n_each], answers[: 2 * n_each],
                                        n_classes=classes, trust_W=[0.95]))  # fmt: skip
    after = METHODS.get(name)(votes_of(items, annotators, answers, n_classes=classes, trust_W=[0.95, 0.8]))
    assert after.label_I.tolist() == [0] * n_each + [1] * n_each
    assert np.all(after.posterior_I >= before.posterior_I - 1e-5)  # agreement with a list never lowers it
    assert np.all(after.posterior_I[:n_each] > 0.98)


@pytest.mark.parametrize("name", LEARNING)
def test_a_rare_class_that_is_confirmed_is_not_doubted_either(name: str) -> None:
    # As above, and the person agrees with one wren too.
    answers = [0] * 60 + [1] * 60 + [0] * 60 + [1]
    votes = votes_of([*range(120), *range(61)], [0] * 120 + [1] * 61, answers, n_classes=3, trust_W=[0.95, 0.8])
    found = METHODS.get(name)(votes)
    assert found.label_I[60] == 1
    assert found.posterior_I[60] > 0.95


@pytest.mark.parametrize("name", LEARNING)
def test_a_crowd_that_contradicts_a_list_lowers_what_its_other_labels_count(name: str) -> None:
    # 40 of the list's 60 owls are wrens to three people who agree with each other.
    items = [*range(120), *np.repeat(range(60), 3)]
    annotators = [0] * 120 + [1, 2, 3] * 60
    answers = [0] * 60 + [1] * 60 + [0, 0, 0] * 20 + [1, 1, 1] * 40
    found = METHODS.get(name)(votes_of(items, annotators, answers, n_classes=3, trust_W=[0.95, 0.8, 0.8, 0.8]))
    assert np.all(found.posterior_I[60:] < 0.9)  # the usual threshold


@pytest.mark.parametrize("name", METHOD_NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_with_a_thousand_classes_and_five_votes_each_no_method_loses_to_majority(
    name: str, seed: int, make_crowd: Any
) -> None:
    votes, truth_I, _ = make_crowd(1000, 6000, 85, 5, seed=seed, spammers=8)
    known_I = np.where(np.arange(6000) % 20, -1, truth_I)  # one picture in twenty is known, for `gold`
    told = votes_of(votes.item_V, votes.annotator_V, votes.answer_V, n_classes=1000, known_I=known_I)
    asked_I = known_I < 0
    plain = np.mean(majority.majority(told).label_I[asked_I] == truth_I[asked_I])
    assert np.mean(METHODS.get(name)(told).label_I[asked_I] == truth_I[asked_I]) >= plain


@pytest.mark.parametrize("name", METHOD_NAMES)
@pytest.mark.parametrize("classes", [2, 3, 50])
def test_a_known_answer_stands_whatever_is_voted(name: str, classes: int) -> None:
    # Item 0 is known to be 1, which nobody says; item 1 is not known.
    votes = votes_of([0, 0, 0, 1, 1], [0, 1, 2, 0, 1], [0, 0, 0, 0, 0], n_classes=classes, known_I=[1, -1])
    found = METHODS.get(name)(votes)
    assert found.label_I.tolist() == [1, 0]
    assert found.posterior_I[0] == 1


@pytest.mark.parametrize("name", [name for name in METHOD_NAMES if name != "majority"])
def test_known_answers_teach_who_is_good(name: str) -> None:
    # Two who are always wrong where it is known outvote nobody; what is asked has one vote against their two.
    known = [0, 1] * 20
    items = [*np.repeat(range(40), 3), 40, 40, 40]
    annotators = [0, 1, 2] * 41
    answers = [answer for truth in known for answer in (truth, 1 - truth, 1 - truth)] + [1, 0, 0]
    told = votes_of(items, annotators, answers, n_classes=2, known_I=[*known, -1])
    assert METHODS.get(name)(told).label_I[40] == 1


def test_a_known_answer_must_be_a_class() -> None:
    for known in ([2], [0, 0], [-2]):
        with pytest.raises(ValueError, match="known_I"):
            votes_of([0, 0], [0, 1], [0, 0], n_classes=2, known_I=known)


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize("classes", [2, 3, 100])
def test_a_run_that_starts_from_an_earlier_one_ends_where_one_from_nothing_does(
    name: str, classes: int, make_crowd: Any
) -> None:
    votes, _, _ = make_crowd(classes, 4000, 40, 5, seed=classes, spammers=4)
    columns = (votes.item_V, votes.annotator_V, votes.answer_V)
    stays_V = (np.arange(votes.item_V.size) % 5 > 0) | (votes.item_V > 100)  # the first items get a fifth vote later
    earlier = votes_of(*(column[stays_V] for column in columns), n_classes=classes)
    known = METHODS.get(name)(earlier)
    key_B = known.candidates.item_P * classes + known.candidates.class_P
    started = replace(votes, before=Before(key_B, known.posterior_P))
    warm, cold = METHODS.get(name)(started), METHODS.get(name)(votes)
    assert np.mean(warm.label_I == cold.label_I) > 0.999
    np.testing.assert_allclose(warm.posterior_P, cold.posterior_P, atol=0.02)
