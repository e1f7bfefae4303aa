"""Simulated people of known skill, three of them spammers, and experts: what each says of a picture, and how fast.

Two coins per annotator (Dawid & Skene 1979): how often they say yes to a picture that shows the
concept, and how often no to one that does not. The second depends on how alike the two concepts
are: a lemon is taken for an orange more often than for a bus.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CONTROLS = 3
"""Known yes and as many known no of each concept, which an expert of the project finds before anybody is asked."""

SPAMMERS = ("random", "always-yes", "copier")
EXPERTS = ("dr-finch", "dr-grebe", "dr-heron")

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
    habit: str = "honest"  # honest | expert | random | always-yes | copier
    pace_s: float = 1.2  # seconds a picture


@dataclass(frozen=True)
class Question:
    """Does the picture contain `concept_id`? `truth`: the concept that it really shows, "" for none."""

    concept_id: str
    truth: str
    closeness: float = 0.0  # 0 quite different .. 1 nearly the same, for a wrong picture

    @property
    def is_there(self) -> bool:
        return self.truth == self.concept_id


def hire(many: int, seed: int) -> list[Annotator]:
    """Annotators, the last three of them spammers, who do not take their time."""
    rng = np.random.default_rng((seed, 10))
    names = [_NAMES[k % len(_NAMES)] + str(k // len(_NAMES) or "") for k in range(many)]
    honest = [
        Annotator(
            name, float(rng.beta(46, 2)), float(rng.beta(40, 2)), pace_s=round(float(rng.lognormal(0.1, 0.3)), 2)
        )
        for name in names[: many - len(SPAMMERS)]
    ]
    spammers = [
        Annotator(name, 0.5 if habit == "random" else 1.0, 0.5 if habit == "random" else 0.0, habit, pace_s=0.4)
        for name, habit in zip(names[many - len(SPAMMERS) :], SPAMMERS, strict=True)
    ]
    return [*honest, *spammers]


def experts() -> list[Annotator]:
    """Independent people who look closely: wrong once in a thousand."""
    return [Annotator(name, 0.999, 0.999, "expert", pace_s=3.0) for name in EXPERTS]


def chance(seed: int, *what: object) -> np.random.Generator:
    """Luck that hangs on what it is about alone: in whatever order people work, and after a kill, it is the same."""
    digest = hashlib.sha256("\n".join(map(str, (seed, *what))).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def says_yes(person: Annotator, question: Question, luck: float) -> bool:
    """Whether somebody who looks (or does not) says yes. luck: u in [0, 1)."""
    if question.is_there:
        return luck < person.sensitivity
    right = person.specificity
    if person.habit == "honest":  # the closer the two concepts, the more of the remaining doubt becomes a yes
        right -= (right - 0.5) * 0.35 * question.closeness
    return luck >= right


def copied(answers: Sequence[str], many: int) -> list[str]:
    """What a copier hands in for a page of `many` pictures: another's answers from top to bottom."""
    return [answers[k % len(answers)] if answers else "yes" for k in range(many)]


def controls(
    claimed: Mapping[str, str], truth: Mapping[str, str], concepts: Sequence[str], seed: int
) -> list[tuple[str, str, str]]:
    """(image_id, concept_id, yes | no) of pictures that somebody who knows has looked at beforehand.

    A yes is a picture that was listed as what it shows; a no one that was never listed as the concept.
    """
    rng = np.random.default_rng((seed, 12))
    shown: dict[str, list[str]] = defaultdict(list)
    for image_id in sorted(claimed):
        if truth[image_id] == claimed[image_id]:
            shown[claimed[image_id]].append(image_id)
    found = []
    for concept_id in concepts:
        pool = shown[concept_id]
        found += [(pool[k], concept_id, "yes") for k in sorted(rng.permutation(len(pool))[:CONTROLS])]
        others = [image_id for other in concepts if other != concept_id for image_id in shown[other]]
        found += [(others[k], concept_id, "no") for k in sorted(rng.permutation(len(others))[:CONTROLS])]
    return found


def realised_skill(answers: Iterable[tuple[str, str, str, str]], truth: Mapping[str, str]) -> dict[str, float]:
    """How far beyond guessing each annotator was right: P(yes | it is) + P(no | it is not) - 1 (Youden 1950).

    answers: (annotator, image_id, concept_id, yes | no | unsure).
    """
    right: dict[tuple[str, bool], list[bool]] = defaultdict(list)
    for name, image_id, concept_id, answer in answers:
        is_there = truth[image_id] == concept_id
        right[name, is_there].append((answer == "yes") == is_there)
    names = {name for name, _ in right if right.get((name, True)) and right.get((name, False))}
    return {name: float(np.mean(right[name, True]) + np.mean(right[name, False]) - 1) for name in sorted(names)}
