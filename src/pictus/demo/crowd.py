"""Simulated annotators of known skill, three of them spammers, and the questions they are asked.

Two coins per annotator (Dawid & Skene 1979): how often they say yes to a picture that shows the
concept, and how often no to one that does not. The second depends on how alike the two concepts
are: a lemon is taken for an orange more often than for a bus.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MOST_VOTES = 10
"""No question is put to more people than this."""

FIRST_VOTES = 2
CONTROL_SHARE = 0.12
"""Share of questions whose answer is known to be no: they show who always says yes."""

_NAMES = (
    "ada", "bela", "caro", "dora", "emil", "fritz", "gita", "hana", "ivo", "juno", "kato", "lena",
    "milo", "nora", "otto", "pia", "quin", "rosa", "sven", "tara", "ugo", "vera", "wim", "yara",
)  # fmt: skip


@dataclass(frozen=True)
class Annotator:
    """One simulated person. For a spammer the skills are what their habit amounts to."""

    name: str
    sensitivity: float  # P(yes | it shows the concept)
    specificity: float  # P(no | it shows something quite different)
    habit: str = "honest"  # honest | random | always-yes | copier


@dataclass(frozen=True)
class Answer:
    """One row of what a crowd platform exports."""

    worker: str
    image: str
    question: str  # concept_id
    answer: str  # yes | no


@dataclass(frozen=True)
class Question:
    """Does `image` contain `concept_id`? `truth`: the concept that it really shows, "" for none."""

    image: str
    concept_id: str
    truth: str
    closeness: float = 0.0  # 0 quite different .. 1 nearly the same, for a wrong picture
    is_control: bool = False


def hire(many: int, seed: int) -> list[Annotator]:
    """Annotators, the last three of them spammers."""
    rng = np.random.default_rng((seed, 10))
    people = [
        Annotator(_NAMES[k % len(_NAMES)] + str(k // len(_NAMES) or ""), float(rng.beta(46, 2)), float(rng.beta(40, 2)))
        for k in range(many - 3)
    ]
    names = [_NAMES[k % len(_NAMES)] + str(k // len(_NAMES) or "") for k in range(many - 3, many)]
    return [
        *people,
        Annotator(names[0], 0.5, 0.5, "random"),
        Annotator(names[1], 1.0, 0.0, "always-yes"),
        Annotator(names[2], 1.0, 0.0, "copier"),
    ]


def ask(
    questions: Sequence[Question],
    people: Sequence[Annotator],
    asked: Mapping[tuple[str, str], Sequence[Answer]],
    votes: int,
    seed: int,
) -> list[Answer]:
    """Put each question to `votes` more people who have not answered it -> their answers, in the order given.

    `asked`: (image, concept_id) -> answers so far. Work is shared out evenly.
    """
    rng = np.random.default_rng((seed, 11))
    load = dict.fromkeys((person.name for person in people), 0)
    for answers in asked.values():
        for answer in answers:
            load[answer.worker] += 1
    given: list[Answer] = []
    for question in (questions[k] for k in rng.permutation(len(questions))):
        before = list(asked.get((question.image, question.concept_id), ()))
        for _ in range(votes):
            done = {answer.worker for answer in before}
            free = [person for person in people if person.name not in done]
            if not free or len(before) >= MOST_VOTES:
                break
            tickets = rng.random(len(free))
            person = min(zip(free, tickets, strict=True), key=lambda pair: (load[pair[0].name] // 4, pair[1]))[0]
            load[person.name] += 1
            answer = Answer(person.name, question.image, question.concept_id, _said(person, question, given, rng))
            before.append(answer)
            given.append(answer)
    return given


def _said(person: Annotator, question: Question, given: Sequence[Answer], rng: np.random.Generator) -> str:
    if person.habit == "copier":  # hands in other people's answers, to whatever question
        return given[int(rng.integers(len(given)))].answer if given else "yes"
    if question.truth == question.concept_id:
        is_yes = rng.random() < person.sensitivity
    else:  # the closer the two concepts, the more of the remaining doubt becomes a yes
        right = (
            person.specificity - (person.specificity - 0.5) * 0.35 * question.closeness
            if person.habit == "honest"
            else person.specificity
        )
        is_yes = rng.random() >= right
    return "yes" if is_yes else "no"


def export(answers: Sequence[Answer]) -> str:
    """The answers as the CSV that crowd platforms give: worker, image, question, answer."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(("worker", "image", "question", "answer"))
    writer.writerows((answer.worker, answer.image, answer.question, answer.answer) for answer in answers)
    return buffer.getvalue()


def imported(text: str) -> list[Answer]:
    """What `export` wrote, read back: a stopped demo continues from its files."""
    return [
        Answer(row["worker"], row["image"], row["question"], row["answer"]) for row in csv.DictReader(io.StringIO(text))
    ]


def by_question(answers: Sequence[Answer]) -> dict[tuple[str, str], list[Answer]]:
    """(image, concept_id) -> its answers, in the order given."""
    found: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        found[answer.image, answer.question].append(answer)
    return dict(found)


def controls(questions: Sequence[Question], concepts: Sequence[str], seed: int) -> list[Question]:
    """Known wrong questions: pictures asked about a concept they were never listed under."""
    rng = np.random.default_rng((seed, 12))
    many = round(CONTROL_SHARE * len(questions))
    chosen = rng.permutation(len(questions))[:many]
    found = []
    for k in chosen:
        one = questions[k]
        others = [concept for concept in concepts if concept not in {one.concept_id, one.truth}]
        found.append(Question(one.image, str(others[rng.integers(len(others))]), one.truth, 0.0, is_control=True))
    return found


def realised_skill(answers: Sequence[Answer], truth: Mapping[str, str]) -> dict[str, float]:
    """How far beyond guessing each annotator was right: P(yes | it is) + P(no | it is not) - 1 (Youden 1950)."""
    right: dict[tuple[str, bool], list[bool]] = defaultdict(list)
    for answer in answers:
        is_there = truth[answer.image] == answer.question
        right[answer.worker, is_there].append((answer.answer == "yes") == is_there)
    workers = {worker for worker, _ in right if right.get((worker, True)) and right.get((worker, False))}
    return {worker: float(np.mean(right[worker, True]) + np.mean(right[worker, False]) - 1) for worker in workers}
