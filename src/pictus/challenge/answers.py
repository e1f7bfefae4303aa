"""What a submission is held against: the truth, the words for its classes, the names of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus import metrics
from pictus.challenge.sheets import Sheet
from pictus.concepts import Taxonomy
from pictus.errors import UserError, bad_rows, clipped, counted

SHOWN = 20
"""So many words that are no class are listed, and the rest counted."""

_UNNAMED: Mapping[str, int] = {}


@dataclass(frozen=True, eq=False)
class Answers:
    """The truth of N pictures. `labels`: class token -> label. `is_open`: a class that is not there is
    none of the true ones, not a mistake in the file. `rows`: picture name -> row, empty when
    pictures have no names. `shared`: names of several classes, which mean none. `heights_KK` where a
    taxonomy is known. `fix`: how classes are written.
    """

    where: str
    truth: metrics.Truth
    labels: Mapping[str, int]
    is_open: bool
    are_numbers: bool
    rows: Mapping[str, int] = field(default_factory=lambda: _UNNAMED)
    shared: frozenset[str] = frozenset()
    fix: str = ""
    heights_KK: NDArray[np.float32] | None = None
    greatest_height: float = 0.0


class Guesses(NamedTuple):
    """One submission in the order of the truth: i32[N, G], NO_GUESS filled; and what looks odd in it."""

    name: str
    guesses_NG: NDArray[np.int32]
    problems: tuple[str, ...]


def answers_of_release(
    where: str, classes: tuple[str, ...], labels_N: Iterable[int], names: Iterable[tuple[str, ...]], taxonomy: Taxonomy
) -> Answers:
    """The truth of one split. Classes are told by concept id, by label (from 0, in label order) or by a name
    that no other class has; a name's blanks may be underscores, as text files need. An id beats a name, and a
    number is never a name.

    names: for every picture the names it may be called by (image_id, key).
    """
    by_id = {concept_id: label for label, concept_id in enumerate(classes)}
    by_name, shared = _named(classes, taxonomy)
    has_labels = not any(_is_number(word) for word in (*classes, *by_name, *shared))  # else a number may mean a name
    by_name = {name: label for name, label in by_name.items() if not _is_number(name)}
    by_label = {str(label): label for label in range(len(classes))} if has_labels else {}
    words = {**by_label, **by_name, **by_id}
    written = [name for name in by_name if " " not in name]  # so that it can stand in a text file
    fix = f"write class names ({_some(written)}), " if written else "write "
    fix += f"concept ids ({_some(by_id)})"
    if has_labels:
        fix += f" or labels 0..{len(classes) - 1} (their order in the release's concepts.parquet)"
    rows = {name: row for row, aliases in enumerate(names) for name in aliases}
    return Answers(
        where, metrics.truth_of(np.fromiter(labels_N, np.int32)), words, is_open=False, are_numbers=False, rows=rows,
        shared=shared - words.keys(), fix=fix,
        heights_KK=taxonomy.lca_height_matrix(classes), greatest_height=float(taxonomy.greatest_height),
    )  # fmt: skip


def answers_of_sheet(sheet: Sheet) -> Answers:
    """The truth of a file. Its classes are the tokens it has: numbers stay the numbers they are."""
    rows = {} if sheet.pictures is None else _unique(sheet)
    fix = f"{sheet.where} has class numbers: write numbers, as it does"
    if isinstance(sheet.rows, np.ndarray):
        truth = metrics.truth_of(sheet.rows[:, 0])
        return Answers(sheet.where, truth, {}, is_open=True, are_numbers=True, rows=rows, fix=fix)
    tokens = {token for row in sheet.rows for token in row}
    if all(_is_number(token) for token in tokens):
        truth = metrics.truth_of_sets([[int(token) for token in row] for row in sheet.rows])
        return Answers(sheet.where, truth, {}, is_open=True, are_numbers=True, rows=rows, fix=fix)
    labels = {token: label for label, token in enumerate(sorted(tokens))}
    truth = metrics.truth_of_sets([[labels[token] for token in row] for row in sheet.rows])
    fix = f"{sheet.where} has words for classes ({_some(labels)}): write words, as it does"
    return Answers(sheet.where, truth, labels, is_open=True, are_numbers=False, rows=rows, fix=fix)


def guesses_of(sheet: Sheet, answers: Answers) -> Guesses:
    """A submission brought into the order and the classes of the truth; a UserError with all the bad rows."""
    labels_RG, problems = _labels(sheet, answers)
    if sheet.pictures is None:
        if len(sheet) != len(answers.truth):
            raise UserError(
                f"{sheet.where} has {len(sheet):,} rows; {answers.where} has {counted(len(answers.truth), 'picture')}.",
                fix="one row per picture, in the same order; an empty line where there is no guess",
            )
        return Guesses(sheet.name, labels_RG, problems + _without_guess(sheet.name, labels_RG))
    positions = _positions(sheet, answers)
    guesses_NG = np.full((len(answers.truth), labels_RG.shape[1]), metrics.NO_GUESS, np.int32)
    guesses_NG[positions] = labels_RG
    return Guesses(sheet.name, guesses_NG, problems + _without_guess(sheet.name, guesses_NG))


def _without_guess(name: str, guesses_NG: NDArray[np.int32]) -> tuple[str, ...]:
    empty = int((guesses_NG < 0).all(axis=1).sum())
    pictures = counted(len(guesses_NG), "picture")
    return (f"{name}: {empty:,} of {pictures} without a guess: counted as wrong",) if empty else ()


def _labels(sheet: Sheet, answers: Answers) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Classes -> labels i32[R, G], and what looks odd."""
    if isinstance(sheet.rows, np.ndarray):
        labels_RG = sheet.rows.astype(np.int32) if answers.are_numbers else _labels_of_array(sheet, sheet.rows, answers)
        return labels_RG, _off_by_one(sheet.name, labels_RG, answers)
    words = _numbers(sheet.rows) if answers.are_numbers else dict(answers.labels)
    if answers.is_open and not answers.are_numbers:  # classes that are never true get labels of their own
        for token in dict.fromkeys(token for row in sheet.rows for token in row):
            words.setdefault(token, len(words))
    strange: dict[str, list[int]] = {}
    labels_RG = np.full((len(sheet), max((len(row) for row in sheet.rows), default=0) or 1), metrics.NO_GUESS, np.int32)
    for number, row in enumerate(sheet.rows, start=sheet.first_line):
        unknown = [token for token in row if token not in words]
        for token in unknown:
            strange.setdefault(token, []).append(number)
        if not unknown:
            labels_RG[number - sheet.first_line, : len(row)] = [words[token] for token in row]
    if strange:
        raise _unknown_words(sheet, strange, answers)
    return labels_RG, (*_off_by_one(sheet.name, labels_RG, answers), *_never_true(sheet, words, answers))


def _labels_of_array(sheet: Sheet, rows_RG: NDArray[np.int64], answers: Answers) -> NDArray[np.int32]:
    """Class numbers where the truth has words: the words that are numbers."""
    found, place_RG = np.unique(rows_RG, return_inverse=True)
    not_a_class = -2
    of = [answers.labels.get(str(number), metrics.NO_GUESS if number < 0 else not_a_class) for number in found]
    labels_RG = np.array(of, np.int32)[place_RG].reshape(rows_RG.shape)
    strange_R = (labels_RG == not_a_class).any(axis=1)
    bad = [f"row {row}: {rows_RG[row].tolist()} names a class that does not exist" for row in np.flatnonzero(strange_R)]
    if bad:
        raise bad_rows(sheet.where, bad, fix=answers.fix)
    return labels_RG


def _unknown_words(sheet: Sheet, strange: Mapping[str, list[int]], answers: Answers) -> UserError:
    """One error for all the words that are no class, each once: the most frequent first."""
    n_rows = len({number for numbers in strange.values() for number in numbers})
    words = counted(len(strange), "word")
    lines = [f"{sheet.where}: {counted(n_rows, 'bad row')}, {words} that cannot be read as a class."]
    ordered = sorted(strange.items(), key=lambda entry: (-len(entry[1]), entry[1][0]))
    for token, numbers in ordered[:SHOWN]:
        says = "is the name of several classes" if token in answers.shared else "is not a class"
        place = "in" if len(numbers) == 1 else "first in"
        lines.append(f"  {len(numbers):,} × {clipped(token)} {says}, {place} line {numbers[0]}")
    if len(ordered) > SHOWN:
        lines.append(f"  … and {counted(len(ordered) - SHOWN, 'more word', 'more words')}")
    return UserError("\n".join(lines), fix=answers.fix)


def _never_true(sheet: Sheet, words: Mapping[str, int], answers: Answers) -> tuple[str, ...]:
    strange = [] if answers.are_numbers else [token for token in words if token not in answers.labels]
    if not strange:
        return ()
    listed = ", ".join(strange[:5]) + (", …" if len(strange) > 5 else "")  # noqa: PLR2004  a line's worth
    return (f"{sheet.name}: {len(strange)} of its classes never occur in {answers.where}: {listed}",)


def _numbers(rows: list[list[str]]) -> dict[str, int]:
    return {token: int(token) for row in rows for token in row if _is_number(token)}


def _off_by_one(name: str, numbers: NDArray[np.integer], answers: Answers) -> tuple[str, ...]:
    if not answers.are_numbers:
        return ()
    given = numbers[numbers >= 0]
    true = answers.truth.labels_NL[answers.truth.labels_NL >= 0]
    if not given.size or not true.size or len(np.unique(true)) == 1:
        return ()
    shift = {int(given.min()) - int(true.min()), int(given.max()) - int(true.max())}
    if shift not in ({1}, {-1}):
        return ()
    numbered = f"{name}: guesses are numbered {given.min()}..{given.max()}, the truth {true.min()}..{true.max()}"
    return (f"{numbered}: is one of them counted from 0 and the other from 1?",)


def _positions(sheet: Sheet, answers: Answers) -> NDArray[np.int64]:
    if not answers.rows:
        what = f"{sheet.where} names its pictures, {answers.where} does not."
        raise UserError(what, fix="leave the names out and keep the order, or name the pictures in the truth file too")
    assert sheet.pictures is not None
    seen: dict[int, int] = {}
    bad = []
    for number, name in enumerate(sheet.pictures, start=sheet.first_line):
        row = answers.rows.get(name)
        if row is None:
            bad.append(f"line {number}: picture {name!r} is not in {answers.where}")
        elif row in seen:
            bad.append(f"line {number}: picture {name!r} was given in line {seen[row]} already")
        else:
            seen[row] = number
    if bad:
        raise bad_rows(sheet.where, bad, fix="name each picture of the split once, by image_id or key")
    return np.fromiter(seen, np.int64, len(seen))


def _unique(sheet: Sheet) -> dict[str, int]:
    assert sheet.pictures is not None
    rows: dict[str, int] = {}
    bad = []
    for row, name in enumerate(sheet.pictures):
        if name in rows:
            before = rows[name] + sheet.first_line
            bad.append(f"line {row + sheet.first_line}: {name!r} stands in line {before} already")
        rows.setdefault(name, row)
    if bad:
        raise bad_rows(sheet.where, bad, fix="give each picture one line")
    return rows


def _named(classes: tuple[str, ...], taxonomy: Taxonomy) -> tuple[dict[str, int], frozenset[str]]:
    """Names that one class has -> its label, and the names of several."""
    owners: dict[str, set[int]] = {}
    for label, concept_id in enumerate(classes):
        for name in taxonomy.get(concept_id).names if concept_id in taxonomy else ():
            for written in (name, name.replace(" ", "_")):
                owners.setdefault(written, set()).add(label)
    unique = {name: next(iter(labels)) for name, labels in owners.items() if len(labels) == 1}
    return unique, frozenset(owners.keys() - unique.keys())


def _some(words: Iterable[str]) -> str:
    ordered = sorted(words)
    return ", ".join([*ordered[:3], *(["…"] if len(ordered) > 3 else [])])  # noqa: PLR2004  an idea of them


def _is_number(token: str) -> bool:
    return token.isascii() and token.isdigit() and len(token) < 10  # noqa: PLR2004  fits 32 bits
