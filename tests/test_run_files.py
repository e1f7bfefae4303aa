from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from pictus import run_files
from pictus.run_files import UnreadableError


def test_what_is_well_formed_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": [1, -2.5, null, true, "\\u00fc", "\\ud83e\\udd89"]}')
    assert run_files.read(tmp_path / "x.json") == {"a": [1, -2.5, None, True, "ü", "\N{OWL}"]}


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1" + "0" * 16, "-1e300", "Infinity", "-Infinity", "NaN", "1e999"])
def test_a_number_that_is_out_of_reach_is_none(number: str) -> None:
    assert math.isnan(run_files.parsed(f"[{number}]")[0])


@pytest.mark.parametrize(
    ("text", "why"),
    [(b"[" * 200_000, "nested too deep"), (b'{"x": "\xff"}', "utf-8"), (b'{"x": "\\uD800"}', "surrogates"),
     (b"{", "Expecting"), (b"[]", "not an object"), (b"9" * 5000, "not an object"), (b" " * 2000, "more than 0 MiB")],
    ids=["deep", "no UTF-8", "half a sign", "half a file", "a list", "many digits", "large"],
)  # fmt: skip
def test_why_a_file_cannot_be_read_is_one_line(tmp_path: Path, text: bytes, why: str) -> None:
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(UnreadableError, match=why) as told:
        run_files.read(tmp_path / "x.json", max(1000, len(text) if why != "more than 0 MiB" else 0))
    assert "\n" not in str(told.value)


def test_neither_a_pipe_nor_a_device_nor_a_folder_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "zero", "folder"):
        with pytest.raises(UnreadableError, match="not a file"):
            run_files.read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        run_files.read(tmp_path / "none")
