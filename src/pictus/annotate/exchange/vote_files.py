"""Files of labels or votes, as they come from spreadsheets and crowd platforms, read into text columns.

A row is one answer about one picture. CSV, TSV (comma, semicolon or tab) and Parquet; the columns
may have any of the names in COLUMNS, in any order and case.
"""

from __future__ import annotations

import csv
import io
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pictus.annotate.exchange.formats.documents import HEAD_BYTES, likely_ending
from pictus.annotate.exchange.formats.formulas import GUARDED
from pictus.errors import UserError, clipped, counted

COLUMNS: dict[str, tuple[str, ...]] = {
    "image": (
        "image_id", "image", "image_path", "image_name", "image_url", "picture", "picture_id", "photo", "path", "file",
        "filename", "file_name", "url", "address", "item", "item_id", "task", "task_id", "question_id", "sample", "key",
    ),
    "annotator": (
        "worker", "worker_id", "annotator", "annotator_id", "user", "user_id", "username", "rater", "rater_id",
        "labeler", "labeller", "performer", "expert",
    ),
    "answer": ("answer", "label", "class", "class_name", "vote", "response", "category", "wnid", "synset", "concept",
               "concept_id", "judgement", "judgment"),
    "question": ("question", "concept", "concept_id", "asked"),
}  # fmt: skip
"""What each column may be called, best first. "question": the concept asked about with yes, no or unsure."""

_ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".parquet", ".pq")


class Answers(NamedTuple):
    """What a file says, as text. `row` is the number a person finds the row by: its line, or its Parquet row."""

    where: str
    unit: str  # line | row
    row: pa.Array
    image: pa.Array
    annotator: pa.Array  # "" in every row when the file names nobody
    question: pa.Array  # "" for "which?"
    answer: pa.Array
    columns: dict[str, str]  # what was found to be what
    torn: dict[int, str]  # number of a row whose cells do not fit the header -> what is wrong with it

    def place(self, number: int) -> str:
        """Where a row stands, for messages: "labels.csv line 7"."""
        return f"{self.where} {self.unit} {number:,}"


def read_answers(path: Path, *, question: str = "") -> Answers:
    """Read one file. `question`: the concept its yes/no answers are about, where no column says so."""
    if not path.exists():
        raise UserError(f"There is no file {path}.", fix="check the path")
    if path.is_dir():
        raise UserError(f"{path} is a folder.", fix="pictus annotate import --from-folders, or name the files in it")
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        with path.open("rb") as file:
            ending = likely_ending(file.read(HEAD_BYTES))
    if ending not in _ENDINGS:
        raise UserError(
            f"{path.name}: neither its ending nor its content says what it is.",
            fix=f"--format NAME, or rename it: {', '.join(_ENDINGS)}",
        )
    is_parquet = ending in (".parquet", ".pq")
    torn: dict[int, str] = {}
    table = _read_parquet(path) if is_parquet else _read_text(path, torn)
    chosen = _roles(path, table.column_names, question)
    if not table.num_rows and not torn:
        raise UserError(f"{path.name} has a header but no rows.", fix="export it again")
    empty = pa.repeat(pa.scalar("", pa.string()), table.num_rows)
    found = {role: _text(table.column(name)) for role, name in chosen.items()}
    if not is_parquet:
        found = {role: pc.replace_substring_regex(column, GUARDED, r"\1") for role, column in found.items()}
    if question:
        found["question"] = pa.repeat(pa.scalar(question, pa.string()), table.num_rows)
    row = pa.array(range(1, table.num_rows + 1)) if is_parquet else table.column(_LINE).combine_chunks()
    return Answers(
        path.name, "row" if is_parquet else "line", row, found["image"], found.get("annotator", empty),
        found.get("question", empty), found["answer"], chosen, torn,
    )  # fmt: skip


_LINE = "\x00line"


def _read_text(path: Path, torn: dict[int, str]) -> pa.Table:
    """The rows that fit the header, with their lines; the others go to `torn`."""
    from pyarrow import csv as reader  # noqa: PLC0415  only for text files

    with path.open("rb") as file:
        beginning = file.read(65_536)
    if not beginning.strip():
        raise UserError(f"{path.name} is empty.", fix="export it again, with a header such as image,label")
    header, delimiter = _header(path, beginning)
    before = len(beginning) - len(beginning.lstrip(b"\r\n"))
    before = beginning[:before].count(b"\n") or before

    torn_rows: dict[int, tuple[str, str]] = {}  # number of a row -> what is wrong with it, its text

    def note(row: "reader.InvalidRow") -> str:
        found = f"{counted(row.actual_columns, 'column')} where the header has {row.expected_columns}"
        told = f"{found}: {clipped(row.text or '')} (quote values that contain the separator)"
        torn_rows[int(row.number)] = told, str(row.text or "").strip()
        return "skip"

    try:
        table = reader.read_csv(
            path,
            # One thread: only then does a bad row know its line. 0.4 s for a million rows.
            read_options=reader.ReadOptions(use_threads=False, skip_rows=before),
            parse_options=reader.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note, ignore_empty_lines=False
            ),
            convert_options=reader.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        why = "it is not UTF-8 text" if "UTF8" in str(error) else str(error).splitlines()[0][:200]
        raise UserError(f"{path.name} cannot be read as CSV: {why}.", fix="save it as CSV in UTF-8") from error
    lines_R, told = _lines(table, torn_rows, before + 2)
    torn.update(told)
    table = table.append_column(_LINE, pa.array(lines_R))
    is_blank = [pc.equal(column, "") for column in table.columns[:-1]]
    return table.filter(pc.invert(reduce(pc.and_, is_blank)))


def _lines(
    table: pa.Table, torn_rows: dict[int, tuple[str, str]], first: int
) -> tuple[NDArray[np.int64], dict[int, str]]:
    """The line each whole row begins at, i64[R], and what is wrong with the torn ones by theirs.

    A cell of several lines, as spreadsheets write them, moves all rows below it.
    """
    number_A = np.arange(first, first + table.num_rows + len(torn_rows))
    is_torn_A = np.isin(number_A, list(torn_rows))
    breaks_A = np.zeros(number_A.size, np.int64)
    for column in table.columns:
        breaks_A[~is_torn_A] += pc.fill_null(pc.count_substring(column, "\n"), 0).to_numpy()
    for number, (_, text) in torn_rows.items():
        breaks_A[number - first] = text.count("\n")
    line_A = number_A + np.cumsum(breaks_A) - breaks_A
    return line_A[~is_torn_A], {int(line_A[number - first]): told for number, (told, _) in torn_rows.items()}


def _header(path: Path, beginning: bytes) -> tuple[list[str], str]:
    """The column names and what separates them."""
    try:
        line = beginning.decode("utf-8-sig", errors="strict" if len(beginning) < 65_536 else "ignore")  # noqa: PLR2004
    except UnicodeDecodeError as error:
        why = f"it is not UTF-8 text (byte {error.start:,})"
        raise UserError(f"{path.name} cannot be read as CSV: {why}.", fix="save it as CSV in UTF-8") from error
    if "\x00" in line:
        raise UserError(f"{path.name} is not a text file.", fix="export it as CSV in UTF-8")
    first = line.lstrip("\r\n").splitlines()[0]
    is_tabbed = path.suffix.lower() in (".tsv", ".tab") or "\t" in first
    delimiter = "\t" if is_tabbed else ";" if first.count(";") > first.count(",") else ","
    names = next(csv.reader(io.StringIO(line.lstrip("\r\n")), delimiter=delimiter))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        names_twice = ", ".join(map(clipped, twice[:20]))
        raise UserError(f"{path.name}: the header names {names_twice} more than once.", fix="rename one of them")
    return names, delimiter


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq  # noqa: PLC0415  only for Parquet files

    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path.name} cannot be read as Parquet: {str(error).splitlines()[0]}.", fix="write it again"
        ) from error


def _roles(path: Path, names: list[str], question: str) -> dict[str, str]:
    """Role -> the column that plays it; a UserError that says what is missing and what was found."""
    plain = {_plain(name): name for name in reversed(names) if name != _LINE}
    chosen: dict[str, str] = {}
    for role, known in COLUMNS.items():
        taken = set(chosen.values())
        free = (plain[name] for name in known if name in plain and plain[name] not in taken)
        if (found := next(free, None)) is not None:
            chosen[role] = found
    if question and "question" in chosen:
        asked = clipped(chosen["question"])
        raise UserError(f"{path.name} has a column {asked} that says what was asked.", fix="leave out --question")
    missing = [role for role in ("image", "answer") if role not in chosen]
    if missing:
        wanted = " and ".join({"image": "'image'", "answer": "'label' (or 'answer')"}[role] for role in missing)
        found = ", ".join(clipped(name) for name in [name for name in names if name != _LINE][:20]) or "nothing"
        raise UserError(
            f"{path.name}: the header has no column {wanted}; found {found}.",
            fix="name the columns image,label for labels, or worker,image,answer for votes"
            " (and question, where answers are yes or no)",
        )
    return chosen


def _plain(name: str) -> str:
    return "_".join(name.strip().lstrip("\ufeff").casefold().replace("-", " ").replace("_", " ").split())


def _text(column: pa.ChunkedArray) -> pa.Array:
    """Any column as stripped text, nulls as ""."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    text = pc.fill_null(pc.utf8_trim_whitespace(column.cast(pa.string())), "")
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
