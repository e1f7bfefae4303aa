"""Rows of a file made into votes: picture, concept and answer found, every bad row reported."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pictus.annotate.exchange.references import Resolved
from pictus.annotate.exchange.vote_files import Answers
from pictus.concepts import Taxonomy
from pictus.errors import UserError, clipped

VOTE_COLUMNS = ("image_id", "annotator", "question", "answer", "source", "voted_at")

_SAID = {
    "yes": ("yes", "y", "true", "t", "1", "1.0", "right", "correct"),
    "no": ("no", "n", "false", "f", "0", "0.0", "wrong", "incorrect"),
    "unsure": ("unsure", "maybe", "?", "not sure", "don't know", "dont know", "unknown", "can't tell", "cannot tell"),
}
_MEANING = {word: answer for answer, words in _SAID.items() for word in words}

_SUGGESTED = 20
"""For so many unknown names the nearest known ones are looked up; more would not be shown."""


_LONGEST_NAME = 200
"""A longer text is no misspelt name: nothing near it is looked up."""


class Entries(NamedTuple):
    """One file's votes, and what is wrong with its other rows."""

    votes: pa.Table  # image_id, annotator, question, answer
    row: pa.Array  # of each vote the number of its row
    bad_rows: dict[int, str]  # number of the row -> what is wrong with it
    unknown_pictures: dict[int, str]


def _as_named(name: str) -> tuple[str, str]:
    return name, ""


def entries_of(
    answers: Answers, taxonomy: Taxonomy, pictures: Resolved, default_annotator: str,
    called: Callable[[str], tuple[str, str]] = _as_named,
) -> Entries:  # fmt: skip
    """Every row of `answers` as a vote or as a reason why not.

    called: the file's name of an annotator -> (the name that is kept, "") or ("", why there is none).
    """
    is_asked = np.asarray(pc.not_equal(answers.question, "").to_numpy(zero_copy_only=False))
    problems: dict[int, list[str]] = {}
    unknown: dict[int, list[str]] = {}

    def concept(problem: str) -> Callable[[str], tuple[str, str]]:
        left = iter(range(_SUGGESTED))

        def find(text: str) -> tuple[str, str]:
            return concept_meant(taxonomy, text, problem, has_time=next(left, None) is not None)

        return find

    every = np.ones(is_asked.size, dtype=np.bool_)
    question = _mapped(answers.question, is_asked, concept("the question"), problems)
    asked_answer = _mapped(answers.answer, is_asked, yes_no_meant, problems)
    named_answer = _mapped(answers.answer, ~is_asked, concept("class"), problems)
    annotator = answers.annotator
    if "annotator" in answers.columns:

        def named(text: str) -> tuple[str, str]:
            return called(text) if text else ("", "nobody is named as its annotator")

        annotator = _mapped(annotator, every, named, problems)
    else:
        annotator = pa.repeat(pa.scalar(default_annotator, pa.string()), is_asked.size)
    image = _mapped(answers.image, every, lambda text: _picture(pictures, text), unknown)
    votes = pa.table({
        "image_id": image, "annotator": annotator, "question": pc.coalesce(question, pa.scalar("")),
        "answer": pc.coalesce(asked_answer, named_answer),
    })  # fmt: skip
    good = np.ones(is_asked.size, dtype=np.bool_)
    good[[*problems, *unknown]] = False
    bad_rows = {**answers.torn, **_told(answers, problems)}
    is_good = pa.array(good)
    return Entries(votes.filter(is_good), answers.row.filter(is_good), bad_rows, _told(answers, unknown))


def without_known(votes: pa.Table, current: pa.Table) -> pa.Table:
    """Votes that say something new: not yet cast, or cast with another answer."""
    if not current.num_rows or not votes.num_rows:
        return votes
    known = pc.is_in(_key(votes), value_set=_key(current))
    return votes.filter(pc.invert(known))


def claims(sources: pa.Table, taxonomy: Taxonomy) -> tuple[pa.Table, int]:
    """What each kind of source claims of each picture, as votes of "source:<kind>" -> (votes, left out).

    A picture claimed under two concepts is a vote for neither: the source is unsure. Claims of
    concepts that are not in the taxonomy are left out and counted. Columns image_id, kind, concept_id.
    """
    claimed = sources.filter(pc.not_equal(sources.column("concept_id"), ""))
    known = pc.is_in(claimed.column("concept_id"), value_set=pa.array(list(taxonomy.concepts), pa.string()))
    claimed, left_out = claimed.filter(known), claimed.num_rows - (pc.sum(known).as_py() or 0)
    grouped = claimed.group_by(["image_id", "kind"], use_threads=False).aggregate(
        [("concept_id", "min"), ("concept_id", "max")]
    )
    first, last = grouped.column("concept_id_min"), grouped.column("concept_id_max")
    votes = pa.table({
        "image_id": grouped.column("image_id"),
        "annotator": pc.binary_join_element_wise("source", grouped.column("kind"), ":"),
        "question": pa.repeat(pa.scalar("", pa.string()), grouped.num_rows),
        "answer": pc.if_else(pc.equal(first, last), first, "unsure"),
    })  # fmt: skip
    return votes, int(left_out)


def _key(votes: pa.Table) -> pa.Array:
    columns = [votes.column(name).combine_chunks() for name in ("image_id", "annotator", "question", "answer")]
    return pc.binary_join_element_wise(*columns, "\x1f")


def _mapped(
    column: pa.Array, rows: NDArray[np.bool_], meaning: Callable[[str], tuple[str, str]],
    problems: dict[int, list[str]],
) -> pa.Array:  # fmt: skip
    """Each distinct value looked up once, on the chosen rows only; null elsewhere and where there is a problem."""
    code = column.dictionary_encode()
    index = np.asarray(code.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    used = np.unique(index[rows]).tolist()
    texts = code.dictionary.to_pylist()
    values: list[str | None] = [None] * len(texts)
    wrong: dict[int, str] = {}
    for number in used:
        value, problem = meaning(texts[number])
        if problem:
            wrong[number] = problem
        else:
            values[number] = value
    if wrong:
        is_wrong = np.zeros(len(texts), dtype=np.bool_)
        is_wrong[list(wrong)] = True
        for position in np.flatnonzero(is_wrong[index] & rows).tolist():
            text = wrong[int(index[position])]
            problems[position] = [*problems.get(position, ()), text]
    chosen = pa.array(np.where(rows, index, -1), mask=~rows)
    return pa.array(values, pa.string()).take(chosen)


def _told(answers: Answers, problems: Mapping[int, list[str]]) -> dict[int, str]:
    return {answers.row[position].as_py(): "; ".join(told) for position, told in problems.items()}


def concept_meant(taxonomy: Taxonomy, text: str, what: str, *, has_time: bool) -> tuple[str, str]:
    """(concept_id, "") or ("", what is wrong with `text`); with time, what was perhaps meant."""
    if not text:
        return "", "there is no answer"
    if what == "class" and _MEANING.get(text.casefold()) == "unsure":
        return "unsure", ""
    found = taxonomy.find(text)
    if len(found) == 1:
        return found[0], ""
    if found:
        return "", f"{what} {clipped(text)} means {len(found)} concepts: {', '.join(found[:5])}"
    problem = f"{what} {clipped(text)} is not in the taxonomy"
    if has_time and len(text) <= _LONGEST_NAME:
        try:
            taxonomy.resolve(text)
        except UserError as error:
            near = re.match(r"did you mean [^?]*\?", error.fix)
            problem += f" ({near[0]})" if near else ""
    return "", problem


def yes_no_meant(text: str) -> tuple[str, str]:
    """("yes" | "no" | "unsure", "") or ("", what is wrong with `text`)."""
    answer = _MEANING.get(text.casefold())
    return (answer, "") if answer else ("", f"answer {clipped(text)} is none of yes, no, unsure")


def _picture(pictures: Resolved, text: str) -> tuple[str, str]:
    if not text:
        return "", "no picture is named"
    return pictures.image_ids.get(text, ""), pictures.problems.get(text, "")
