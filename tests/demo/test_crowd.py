"""The simulated crowd answers as well as its annotators' skills say."""

from __future__ import annotations

import numpy as np

from pictus.demo.crowd import (
    MOST_VOTES,
    Annotator,
    Answer,
    Question,
    ask,
    by_question,
    controls,
    export,
    hire,
    imported,
    realised_skill,
)

PEOPLE = hire(24, 7)
QUESTIONS = [Question(f"{k:064x}", "n07749582", "n07749582" if k % 10 else "n07747607", 0.8) for k in range(600)]


def test_three_of_24_are_spammers_and_the_others_skilled() -> None:
    assert len({person.name for person in PEOPLE}) == len(PEOPLE) == 24
    assert sorted(person.habit for person in PEOPLE if person.habit != "honest") == ["always-yes", "copier", "random"]
    assert all(person.sensitivity > 0.75 and person.specificity > 0.75 for person in PEOPLE if person.habit == "honest")


def test_nobody_is_asked_the_same_question_twice_and_work_is_shared() -> None:
    answers = ask(QUESTIONS, PEOPLE, {}, 3, 1)
    assert len(answers) == 3 * len(QUESTIONS)
    assert len({(one.worker, one.image, one.question) for one in answers}) == len(answers)
    loads = np.unique([one.worker for one in answers], return_counts=True)[1]
    assert loads.max() - loads.min() <= 8


def test_no_question_is_put_to_more_people_than_the_limit() -> None:
    asked = by_question(ask(QUESTIONS[:5], PEOPLE, {}, 9, 1))
    more = ask(QUESTIONS[:5], PEOPLE, asked, 9, 2)
    assert len(more) == 5 * (MOST_VOTES - 9)


def test_answers_are_right_as_often_as_the_skill_says() -> None:
    # 2,000 yes questions: a share of .9 has a standard error of .0067; four of them are allowed.
    person = Annotator("ada", 0.9, 0.8)
    alone = [Question(f"{k:064x}", "a", "a") for k in range(2_000)]
    share = np.mean([one.answer == "yes" for one in ask(alone, [person], {}, 1, 5)])
    assert abs(share - 0.9) < 4 * 0.0067


def test_close_concepts_are_confused_more_often() -> None:
    person = Annotator("ada", 0.95, 0.95)

    def share(closeness: float) -> float:
        wrong = [Question(f"{k:064x}", "a", "b", closeness) for k in range(1_000)]
        return float(np.mean([one.answer == "yes" for one in ask(wrong, [person], {}, 1, 5)]))

    assert share(0.0) < share(1.0) - 0.05


def test_a_copier_is_no_better_than_guessing() -> None:
    # Two perfect people and a copier on half yes, half no questions: the copier's yes says nothing of the truth.
    # About 330 answers of each kind: the difference of the two shares has a standard error of .04; four are allowed.
    people = [Annotator("ada", 1, 1), Annotator("bela", 1, 1), Annotator("yara", 1, 0, "copier")]
    questions = [Question(f"{k:064x}", "a", "a" if k % 2 else "b") for k in range(2_000)]
    truth = {one.image: one.truth for one in questions}
    skill = realised_skill(ask(questions, people, {}, 1, 5), truth)
    assert abs(skill["yara"]) < 4 * 0.04
    assert skill["ada"] == 1.0


def test_controls_ask_for_a_concept_the_picture_does_not_show() -> None:
    concepts = ["n07749582", "n07747607", "n04146614", "n01944390"]
    found = controls(QUESTIONS, concepts, 3)
    assert 0 < len(found) < len(QUESTIONS) / 4
    assert all(one.is_control and one.truth != one.concept_id for one in found)


def test_exported_answers_are_read_back() -> None:
    answers = ask(QUESTIONS[:40], PEOPLE, {}, 2, 1)
    assert imported(export(answers)) == answers
    assert export(answers).splitlines()[0] == "worker,image,question,answer"


def test_realised_skill_is_accuracy_beyond_guessing() -> None:
    # Right on 3 of 4 yes questions and on 0 of 1 no question: .75 + 0 - 1.
    answers = [Answer("ada", str(k), "a", "yes" if k != 3 else "no") for k in range(4)]
    answers.append(Answer("ada", "9", "a", "yes"))
    truth = {"0": "a", "1": "a", "2": "a", "3": "a", "9": "b"}
    assert realised_skill(answers, truth) == {"ada": -0.25}
