from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from pictus import stats
from pictus.concepts import Taxonomy
from pictus.evaluate.predictions import SCHEMA, softmax
from pictus.evaluate.results import as_json, heights_of, in_tree_order, measure
from pictus.records import Concept
from pictus.stats import Interval

CLASSES = ("n02", "n03", "n05", "n06")
NAMES = ("dog", "cat", "axe", "saw")


def tree() -> Taxonomy:
    """animal -> dog, cat; tool -> axe, saw: two roots, so the virtual root has height 2."""
    rows = (("n01", ()), ("n02", ("n01",)), ("n03", ("n01",)), ("n04", ()), ("n05", ("n04",)), ("n06", ("n04",)))
    return Taxonomy.of(Concept(one, (one,), parents=parents, is_class=one in CLASSES) for one, parents in rows)


def predictions(*rows: tuple[int, list[int], list[float]]) -> pa.Table:
    """Rows of (true label, guessed labels, probabilities); no guesses = not read."""
    return pa.Table.from_pylist(
        [
            {"image_id": f"{number:064x}", "concept_id": CLASSES[label], "label": label,
             "guesses": [CLASSES[guess] for guess in guesses], "guess_labels": guesses, "probabilities": shares,
             "true_probability": 0.0, "cause": "" if guesses else "truncated"}
            for number, (label, guesses, shares) in enumerate(rows)
        ],
        schema=SCHEMA,
    )  # fmt: skip


FIVE = predictions(
    (0, [0, 1], [0.9, 0.1]),  # dog, right
    (0, [1, 0], [0.6, 0.4]),  # dog taken for cat (height 1), right at the second guess
    (1, [1, 0], [0.7, 0.3]),  # cat, right
    (2, [0, 3], [0.8, 0.2]),  # axe taken for dog (height 2), never right, saw is nearer (height 1)
    (3, [], []),  # saw, not read
)


def test_numbers_by_hand() -> None:
    found = measure(FIVE, CLASSES, NAMES, tree())
    assert (found.n, found.n_failed, found.causes) == (5, 1, {"truncated": 1})
    assert found.top1 == stats.wilson(2, 5)
    assert found.top5 == stats.wilson(3, 5)
    # best of five: 0, 0, 0, 1/2 (saw), 1 (nothing) -> 1.5/5; first guess: 0, 1/2, 0, 1, 1 -> 2.5/5
    assert found.hierarchical_error.estimate == pytest.approx(0.3)
    assert found.hierarchical_error_top1.estimate == pytest.approx(0.5)
    assert found.mistake_severity == 1.5  # heights 1 and 2 of the two mistakes with a guess
    assert found.greatest_height == 2


def test_what_cannot_be_otherwise_is_known_as_such() -> None:
    few = measure(FIVE, CLASSES, NAMES, tree())
    assert (few.has_top5, few.has_hierarchy) == (False, False)
    many = tuple(f"c{number}" for number in range(6))
    flat = Taxonomy.of([Concept("all", ("all",)), *(Concept(one, (one,), parents=("all",)) for one in many)])
    deep = Taxonomy.of([
        Concept("all", ("all",)), Concept("some", ("some",), parents=("all",)),
        *(Concept(one, (one,), parents=("some" if one < "c3" else "all",)) for one in many),
    ])  # fmt: skip
    found = [measure(FIVE, many, many, taxonomy) for taxonomy in (flat, deep)]
    assert [(one.has_top5, one.has_hierarchy) for one in found] == [(True, False), (True, True)]


def test_each_class_by_hand() -> None:
    dog, cat, axe, saw = measure(FIVE, CLASSES, NAMES, tree()).classes
    assert (dog.n, dog.right, dog.recall, dog.precision, dog.f1, dog.top5) == (2, 1, 0.5, 0.5, 0.5, 1.0)
    assert (dog.taken_for, dog.taken_n) == ("cat", 1)
    assert [cat.recall, cat.precision, cat.f1] == [1.0, 0.5, pytest.approx(2 / 3)]
    assert (axe.recall, axe.precision, axe.taken_for) == (0.0, None, "dog")  # nothing was taken for an axe
    assert (saw.n, saw.recall, saw.taken_n) == (1, 0.0, 0)
    assert (dog.recall_low, dog.recall_high) == stats.wilson(1, 2)[1:]


def test_macro_means_leave_out_only_classes_without_pictures_and_guesses() -> None:
    found = measure(FIVE, CLASSES, NAMES, tree())
    assert found.macro_recall == pytest.approx((0.5 + 1 + 0 + 0) / 4)
    assert found.macro_precision == pytest.approx((0.5 + 0.5 + 0 + 0) / 4), "nothing was taken for an axe or a saw"
    # Only dogs occur, and one is taken for a cat: precision 1 and 0; axe and saw do not come into it.
    dogs = measure(predictions((0, [0], [1.0]), (0, [1], [1.0])), CLASSES, NAMES, tree())
    assert (dogs.macro_precision, dogs.macro_recall) == (0.5, 0.5)


def test_knowing_one_class_of_four_is_not_a_macro_precision_of_one() -> None:
    found = measure(predictions((0, [0], [1.0]), *((label, [], []) for label in (1, 2, 3))), CLASSES, NAMES, tree())
    assert found.macro_precision == found.macro_recall == found.macro_f1 == 0.25


def test_calibration_counts_only_pictures_that_were_read() -> None:
    found = measure(FIVE, CLASSES, NAMES, tree())
    assert sum(one.n for one in found.bins) == 4
    # gaps: |1 - .9|, |0 - .6|, |1 - .7|, |0 - .8|, each in a bin of its own
    assert found.ece == pytest.approx((0.1 + 0.6 + 0.3 + 0.8) / 4, abs=1e-6)


def test_worst_confusion_is_the_surest_not_the_largest_share() -> None:
    # dog -> cat 8 of 10 (low bound 49 %) comes before axe -> saw 1 of 1 (low bound 21 %)
    rows = [(0, [1], [1.0])] * 8 + [(0, [0], [1.0])] * 2 + [(2, [3], [1.0])]
    found = measure(predictions(*rows), CLASSES, NAMES, tree()).confusions
    assert [(one.true_name, one.predicted_name, one.n, one.of, one.height) for one in found] == [
        ("dog", "cat", 8, 10, 1.0), ("axe", "saw", 1, 1, 1.0),
    ]  # fmt: skip


def test_a_perfect_model_has_no_mistakes_to_speak_of() -> None:
    found = measure(predictions((0, [0], [1.0]), (1, [1], [1.0])), CLASSES, NAMES, tree())
    assert found.top1.estimate == 1
    assert found.hierarchical_error.estimate == 0
    assert found.confusions == ()
    assert math.isnan(found.mistake_severity)


def test_when_nothing_could_be_read() -> None:
    found = measure(predictions((0, [], []), (1, [], [])), CLASSES, NAMES, tree())
    assert (found.top1.estimate, found.hierarchical_error.estimate) == (0, 1)
    assert math.isnan(found.ece)


def test_everything_becomes_plain_json() -> None:
    text = json.dumps(as_json(measure(FIVE, CLASSES, NAMES, tree())), allow_nan=False)
    again = json.loads(text)
    assert again["top1"]["estimate"] == 0.4
    assert again["classes"][2]["precision"] is None
    # whole: dog 1 1 0 0, cat 0 1 0 0, axe 1 0 0 0, saw 0 0 0 0
    assert again["confusion"] == {
        "true_X": [0, 0, 1, 2], "predicted_X": [0, 1, 1, 0], "count_X": [1, 1, 1, 1], "n_classes": 4
    }  # fmt: skip
    assert as_json(Interval(math.nan, -math.inf, 1.0)) == {"estimate": None, "low": None, "high": 1.0}


def test_a_class_the_taxonomy_lacks_is_as_far_as_can_be() -> None:
    heights_KK, greatest = heights_of(tree(), ("n02", "own:1", "n03"))
    assert greatest == 2
    assert heights_KK.tolist() == [[0, 2, 1], [2, 0, 2], [1, 2, 0]]


def test_kin_stand_side_by_side() -> None:
    # by id: a1 (tool), b1 (animal), c1 (tool); the walk meets animal's child, then tool's
    rows = (("animal", ()), ("tool", ()), ("a1", ("tool",)), ("b1", ("animal",)), ("c1", ("tool",)))
    taxonomy = Taxonomy.of(Concept(one, (one,), parents=parents) for one, parents in rows)
    assert in_tree_order(taxonomy, ("a1", "b1", "c1")) == [1, 0, 2]
    assert in_tree_order(taxonomy, ("a1", "zz", "b1")) == [2, 0, 1]  # the unknown one comes last


def test_softmax_sums_to_one_and_survives_large_scores() -> None:
    shares = softmax(np.array([[1000, 1000, -1000], [0, 0, 0]], np.float32))
    assert shares.sum(axis=1) == pytest.approx([1, 1])
    assert shares[0].tolist() == [0.5, 0.5, 0]
    assert softmax(np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_of_equally_frequent_mistakes_the_first_class_is_named() -> None:
    rows = [(1, [guess], [1.0]) for guess in (3, 2, 0, 2, 3)]
    assert measure(predictions(*rows), CLASSES, NAMES, tree()).classes[1].taken_for == "axe"
