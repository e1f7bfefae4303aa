"""The simulated crowd answers as well as its annotators' skills say."""

from __future__ import annotations

import numpy as np

from pictus.demo.crowd import (
    CONTROLS,
    Annotator,
    Question,
    chance,
    controls,
    copied,
    experts,
    hire,
    realised_skill,
    says_yes,
)

PEOPLE = hire(24, 7)


def share(person: Annotator, question: Question, many: int = 2_000) -> float:
    """How often they say yes."""
    return float(np.mean([says_yes(person, question, chance(5, k).random()) for k in range(many)]))


def test_three_of_24_are_spammers_and_the_others_skilled() -> None:
    assert len({person.name for person in PEOPLE}) == len(PEOPLE) == 24
    assert sorted(person.habit for person in PEOPLE if person.habit != "honest") == ["always-yes", "copier", "random"]
    assert all(person.sensitivity > 0.75 and person.specificity > 0.75 for person in PEOPLE if person.habit == "honest")
    assert not {person.name for person in PEOPLE} & {person.name for person in experts()}


def test_nobody_is_faster_than_a_look_at_a_picture_takes() -> None:
    assert all(person.pace_s > 0.15 for person in (*PEOPLE, *experts()))  # the desk pauses people below


def test_answers_are_right_as_often_as_the_skill_says() -> None:
    # 2,000 answers: a share of .9 has a standard error of .0067, one of .8 of .009; four of them are allowed.
    person = Annotator("ada", 0.9, 0.8)
    assert abs(share(person, Question("a", "a")) - 0.9) < 4 * 0.0067
    assert abs(share(person, Question("a", "b")) - 0.2) < 4 * 0.009


def test_close_concepts_are_confused_more_often() -> None:
    person = Annotator("ada", 0.95, 0.95)
    assert share(person, Question("a", "b", 0.0)) < share(person, Question("a", "b", 1.0)) - 0.05


def test_luck_hangs_on_what_it_is_about_and_not_on_the_order() -> None:
    assert chance(7, "ada", "picture").random() == chance(7, "ada", "picture").random()
    assert len({chance(7, "ada", k).random() for k in range(100)}) == 100


def test_a_copier_hands_in_another_page_from_top_to_bottom() -> None:
    assert copied(["yes", "no", "no"], 5) == ["yes", "no", "no", "yes", "no"]
    assert copied([], 2) == ["yes", "yes"]


def test_controls_are_as_many_yes_as_no_of_each_concept_and_true() -> None:
    claimed = {f"{k:064x}": "abc"[k % 3] for k in range(60)}
    truth = {image_id: "z" if k % 10 == 0 else claimed[image_id] for k, image_id in enumerate(claimed)}
    found = controls(claimed, truth, ["a", "b", "c"], 3)
    assert len(found) == len(set(found)) == 3 * 2 * CONTROLS
    for image_id, concept_id, answer in found:
        assert (truth[image_id] == concept_id) == (answer == "yes")
        assert answer == "yes" or claimed[image_id] != concept_id


def test_realised_skill_is_accuracy_beyond_guessing() -> None:
    # Right on 3 of 4 yes questions and on 0 of 1 no question: .75 + 0 - 1.
    answers = [("ada", str(k), "a", "yes" if k != 3 else "no") for k in range(4)]
    answers.append(("ada", "9", "a", "yes"))
    truth = {"0": "a", "1": "a", "2": "a", "3": "a", "9": "b"}
    assert realised_skill(answers, truth) == {"ada": -0.25}
