from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pictus.annotate import steps  # noqa: F401  the methods register themselves
from pictus.annotate.truth.consensus import METHODS
from pictus.annotate.truth.questions import ballots_of, label_records, labels, which, yes_no
from pictus.records import Label

NAMES = ("image_id", "annotator", "question", "answer")


def table(*rows: tuple[str, str, str, str]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * 4
    return pa.table({name: pa.array(column, pa.string()) for name, column in zip(NAMES, columns, strict=True)})


def settled(*rows: tuple[str, str, str, str], method: str = "majority", threshold: float = 0.7) -> dict[str, Label]:
    ballots = ballots_of(table(*rows), ("owl", "wren", "fish"))
    asked, free = yes_no(ballots), which(ballots)
    weigh = METHODS.get(method)
    found = labels(ballots, (asked, weigh(asked.votes)), (free, weigh(free.votes)), threshold)
    return {label.image_id: label for label in label_records(ballots, found, method, "now")}


def test_votes_are_numbered() -> None:
    ballots = ballots_of(
        table(
            ("b", "ada", "owl", "no"), ("a", "bob", "", "wren"), ("a", "ada", "", "unsure"),
            ("a", "bob", "owl", "unsure"),
        ),
        ("zebra", "owl"),
    )  # fmt: skip
    assert ballots.concepts == ["owl", "wren", "zebra"]
    assert ballots.images == ["b", "a"]
    assert ballots.question_V.tolist() == [0, -1, -1, 0]
    assert ballots.answer_V.tolist() == [0, 1, -1, 2]


def test_yes_and_no_accept_and_reject() -> None:
    found = settled(
        ("a", "1", "owl", "yes"), ("a", "2", "owl", "yes"), ("a", "3", "owl", "yes"),
        ("b", "1", "owl", "no"), ("b", "2", "owl", "no"), ("b", "3", "owl", "no"),
        ("c", "1", "owl", "yes"), ("c", "2", "owl", "no"),
    )  # fmt: skip
    assert {name: (label.status, label.posterior, label.n_votes) for name, label in found.items()} == {
        "a": ("accepted", 1.0, 3), "b": ("rejected", 0.0, 3), "c": ("unsettled", 0.5, 2),
    }  # fmt: skip
    assert found["b"].concept_id == "owl"


def test_unsure_is_an_answer_that_keeps_a_picture_unsettled() -> None:
    found = settled(("a", "1", "owl", "yes"), ("a", "2", "owl", "unsure"), ("a", "3", "owl", "unsure"))
    assert found["a"].status == "unsettled"
    assert found["a"].posterior == pytest.approx(1 / 3)


def test_the_best_accepted_concept_is_the_label() -> None:
    found = settled(
        ("a", "1", "owl", "no"), ("a", "2", "owl", "no"), ("a", "3", "owl", "no"), ("a", "1", "wren", "yes"),
        ("a", "2", "wren", "yes"), ("a", "3", "wren", "yes"), ("a", "4", "wren", "no"), ("a", "5", "fish", "yes"),
    )  # fmt: skip
    # fish 1 of 1, wren 3 of 4, owl 0 of 3
    assert (found["a"].concept_id, found["a"].posterior, found["a"].n_votes) == ("fish", 1.0, 1)


def test_of_equal_concepts_more_votes_then_the_first_id_win() -> None:
    two = settled(("a", "1", "wren", "yes"), ("a", "2", "wren", "yes"), ("a", "1", "fish", "yes"))
    assert two["a"].concept_id == "wren"
    assert settled(("a", "1", "wren", "yes"), ("a", "1", "fish", "yes"))["a"].concept_id == "fish"


def test_which_questions_take_the_most_probable_class() -> None:
    found = settled(("a", "1", "", "owl"), ("a", "2", "", "owl"), ("a", "3", "", "owl"), ("a", "4", "", "wren"))
    assert (found["a"].concept_id, found["a"].status, found["a"].posterior) == ("owl", "accepted", 0.75)


def test_who_is_unsure_which_is_counted_but_says_nothing() -> None:
    found = settled(("a", "1", "", "owl"), ("a", "2", "", "unsure"), ("b", "1", "", "unsure"))
    assert (found["a"].concept_id, found["a"].posterior, found["a"].n_votes) == ("owl", 1.0, 2)
    assert found["b"] == Label("b", "", 0.0, 1, "unsettled", "majority", "now")


def test_an_answer_to_which_is_a_voice_in_the_yes_no_questions_on_the_same_picture() -> None:
    ballots = ballots_of(
        table(
            ("a", "source:folder", "", "owl"), ("a", "1", "owl", "no"), ("a", "1", "wren", "yes"),
            ("b", "source:folder", "", "owl"), ("c", "2", "", "unsure"), ("c", "1", "owl", "yes"),
        ),
        ("owl", "wren"),
    )  # fmt: skip
    asked = yes_no(ballots)
    images = [ballots.images[number] for number in asked.image_U]
    concepts = [ballots.concepts[number] for number in asked.concept_U]
    heard: dict[tuple[str, str], dict[str, int]] = {}
    for item, annotator, answer in zip(
        asked.votes.item_V.tolist(), asked.votes.annotator_V.tolist(), asked.votes.answer_V.tolist(), strict=True
    ):
        heard.setdefault((images[item], concepts[item]), {})[ballots.annotators[annotator]] = answer
    assert heard == {
        ("a", "owl"): {"1": 0, "source:folder": 1},
        ("a", "wren"): {"1": 1, "source:folder": 0},
        ("c", "owl"): {"1": 1, "2": 2},
    }


def test_a_yes_no_answer_goes_before_what_the_same_person_said_to_which() -> None:
    ballots = ballots_of(table(("a", "ada", "", "owl"), ("a", "ada", "owl", "no"), ("a", "bob", "owl", "yes")))
    assert yes_no(ballots).votes.answer_V.tolist() == [0, 1]


def test_a_crowd_that_says_no_overrules_the_folder() -> None:
    people = [("a", str(person), "owl", "no") for person in range(5)]
    found = settled(("a", "source:folder", "", "owl"), *people, method="dawid-skene", threshold=0.9)
    assert (found["a"].concept_id, found["a"].status) == ("owl", "rejected")
    assert found["a"].n_votes == 6


@pytest.mark.parametrize("method", METHODS.names())
@pytest.mark.parametrize("many", [1, 200])
def test_labels_of_one_list_are_accepted_as_they_are(method: str, many: int) -> None:
    rows = [(f"{row:03}", "source:labels.csv", "", ("owl", "wren")[row % 2]) for row in range(many)]
    found = settled(*rows, method=method, threshold=0.9)
    assert {label.status for label in found.values()} == {"accepted"}
    assert all(label.concept_id == ("owl", "wren")[int(name) % 2] for name, label in found.items())


@pytest.mark.parametrize("method", ["one-coin", "dawid-skene", "glad", "mace", "gold"])
def test_one_vote_of_one_person_is_not_enough(method: str) -> None:
    rows = [(f"{row:03}", "ada", "", ("owl", "wren")[row % 2]) for row in range(100)]
    found = settled(*rows, method=method, threshold=0.9)
    assert {label.status for label in found.values()} == {"unsettled"}
    assert found["000"].posterior == pytest.approx(0.8, abs=1e-6)


def test_with_a_single_concept_there_is_still_a_label() -> None:
    ballots = ballots_of(table(("a", "source:folder", "", "owl")), ("owl",))
    asked, free = yes_no(ballots), which(ballots)
    weigh = METHODS.get("dawid-skene")
    found = labels(ballots, (asked, weigh(asked.votes)), (free, weigh(free.votes)), 0.9)
    assert [ballots.concepts[number] for number in found.concept_L] == ["owl"]
    assert found.status_L.tolist() == [0]


def test_every_picture_with_votes_has_exactly_one_label() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for row in range(400):
        question = str(rng.choice(["", "owl", "wren", "fish"]))
        answer = str(rng.choice(["yes", "no", "unsure"] if question else ["owl", "wren", "fish", "unsure"]))
        rows.append((f"{rng.integers(60):02}", f"p{row}", question, answer))
    found = settled(*rows, method="dawid-skene")
    assert set(found) == {row[0] for row in rows}
    for name, label in found.items():
        votes = [row for row in rows if row[0] == name]
        assert 1 <= label.n_votes <= len(votes)
        assert 0 <= label.posterior <= 1 + 1e-9
