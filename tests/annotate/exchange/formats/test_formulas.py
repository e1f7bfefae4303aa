"""No text becomes a formula in a spreadsheet, and each comes back as it was, whichever table it went through."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pictus
from pictus import annotate
from pictus.annotate.exchange.formats.formulas import guarded, unguarded
from pictus.records import Vote

Shelve = Callable[..., dict[str, str]]
Read = Callable[[pictus.Project], Any]

NAMES = ("=1+1", "'=1+1", "''-2", "+41 79", "@sum", "-5", "'tis", "ada", "\N{FULLWIDTH EQUALS SIGN}1")


@given(st.text(alphabet="'=+-@\t\r\na\N{FULLWIDTH PLUS SIGN}", max_size=6))
def test_every_text_is_inert_and_comes_back(text: str) -> None:
    written = guarded(text)
    assert unguarded(written) == text
    assert written[:1] not in tuple("=+-@\t\r\n\N{FULLWIDTH PLUS SIGN}") or not written


@given(st.text(max_size=8), st.text(max_size=8))
def test_no_two_texts_are_written_alike(one: str, other: str) -> None:
    assert (guarded(one) == guarded(other)) == (one == other)


@pytest.mark.parametrize("chosen", ["csv", "mturk", "toloka"])
def test_names_like_formulas_come_back_from_every_table(
    chosen: str, tmp_path: Path, shelve: Shelve, said: Read
) -> None:
    old, new = pictus.new(tmp_path / "old"), pictus.new(tmp_path / "new")
    pictures = {"-1.jpg": (200, 100), "'=2.jpg": (200, 100)}
    ids = shelve(old, pictures)
    shelve(new, pictures)
    votes = [Vote(ids[name], who, "cowl", "yes", "x", "") for name in pictures for who in NAMES]
    old.journal.add_votes(votes)
    out = tmp_path / ("out.tsv" if chosen == "toloka" else "out.csv")
    annotate.export(old, out, format=chosen, what="votes")
    with out.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file, delimiter="\t" if chosen == "toloka" else ",") for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}"))]
    annotate.import_(new, (out,), keep_names=True)
    assert said(new) == said(old)
