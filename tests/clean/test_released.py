"""A release that holds a picture which ought not to be in one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pictus.clean import hashes, leaks, released, screen
from pictus.project import Project


def test_leaked_pictures_of_a_release_are_told_by_leaks_and_by_screen(
    project: Project, make_release: Any, add_hashes: Any, near_hashes: Any, tmp_path: Path
) -> None:
    folder = project.releases_dir / "1.0.0"
    make_release(folder, [("test", "n02", b"one"), ("train", "n02", b"two"), ("train", "n03", b"three")])
    ids = pq.read_table(folder / "pictures.parquet").column("origin_id").to_pylist()
    pool = add_hashes(project, near_hashes(3))
    for table in ("images", "checks"):
        rows = project.tables.read(table)
        place = rows.column_names.index("image_id")
        project.tables.replace(table, rows.set_column(place, "image_id", [ids]))
    assert pool != ids
    (tmp_path / "set.csv").write_text(f"item,sha256\n1,{ids[1]}\n", encoding="utf-8")
    hashes(project, "add", tmp_path / "set.csv", set_="val")
    words = "1 picture found as leak is in release 1.0.0 (1 in train), which stays as it was cut"
    (told,) = leaks(project).problems
    assert told.startswith(words)
    assert any(problem.startswith(words) for problem in screen(project).problems)
    assert not any("release" in problem for problem in screen(project, line=("leak=off",)).problems)


def test_opt_outs_are_told_apart_and_a_damaged_release_is_not_silent(project: Project, make_release: Any) -> None:
    folder = project.releases_dir / "1.0.0"
    make_release(folder, [("test", "n02", b"one"), ("train", "n02", b"two")])
    first, second = pq.read_table(folder / "pictures.parquet").column("origin_id").to_pylist()
    told = released.told(project, {first: "leak", second: "opt-out", "f" * 64: "leak"})
    assert [words.split(" is ")[0] for words in told] == ["1 picture found as leak", "1 picture found as opt-out"]
    assert released.told(project, {"f" * 64: "leak"}) == released.told(project, {}) == ()
    (folder / "pictures.parquet").write_bytes(b"no table")
    assert released.told(project, {first: "leak"})[0].startswith("release 1.0.0 was not looked at: ")
