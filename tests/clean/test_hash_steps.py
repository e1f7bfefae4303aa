"""Hash lists out and in; pictures that are in an evaluation set are found without its pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pictus
from pictus.clean import hashes, leaks, screen
from pictus.errors import UserError
from pictus.project import Project
from pictus.tables import SCHEMAS

AddHashes = Callable[..., list[str]]
NearHashes = Callable[..., np.ndarray]


def name(row: int) -> str:
    return f"{row:064x}"


@pytest.fixture
def other(tmp_path: Path) -> Project:
    return pictus.new(tmp_path / "other")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_pool_written_as_a_list_is_found_again_as_a_set(
    project: Project, other: Project, kind: str, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    words, path = near_hashes(9), project.root.parent / f"list.{kind}"
    add_hashes(project, words)
    outcome = hashes(project, "export", path)
    assert outcome.summary["pictures"] == 9
    # The same file; the same pixels in another file; near (3 and 4 differ in some bits); unrelated.
    mine = np.concatenate([words[:1], near_hashes(1, 5), words[4:5] ^ np.uint64(1), near_hashes(2, 7)])
    add_hashes(other, mine[:1])
    add_hashes(other, mine[1:], 100, pixel_sha256=[name(8), *(name(200 + row) for row in range(3))])
    hashes(other, "add", path, set_="birds-test")
    assert other.tables.count("evaluation_hashes") == 9
    found = list(leaks(other))
    assert [(row.image_id, row.relation, row.item) for row in found] == [
        (name(0), "bytes", name(0)), (name(100), "pixels", name(8)), (name(101), "near", name(4)),
    ]  # fmt: skip
    assert found[2].distance == 6
    assert found[2].reason == f"6 of 384 bits differ from {name(4)} of birds-test"
    assert found[0].reason == f"the same file as {name(0)} of birds-test"
    version = other.tables.version("leaks")
    assert leaks(other).summary["leaks"] == 3
    assert other.tables.version("leaks") == version, "nothing new, nothing written"


def test_a_plain_list_of_pdq_hashes_is_enough(
    project: Project, tmp_path: Path, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    words = near_hashes(3)
    add_hashes(project, words)
    near = words[0, 2:].copy()
    near[0] ^= np.uint64(2**31 - 1)  # 31 bits
    far = words[2, 2:].copy()
    far[1] ^= np.uint64(2**32 - 1)  # 32 bits off the third, and so far from it
    lines = [near.tobytes().hex(), far.tobytes().hex().upper() + ",80", near.tobytes().hex() + ",12,poor"]
    (tmp_path / "needles.txt").write_text("\n".join(lines) + "\n")
    outcome = hashes(project, "add", tmp_path / "needles.txt", set_="needles")
    assert outcome.summary["items"] == 3
    (row,) = (row for row in leaks(project) if row.image_id == name(0))
    assert (row.item, row.distance, row.relation) == ("line 1", 31, "near")
    assert row.reason == "31 of 256 bits differ from line 1 of needles"
    assert name(2) not in {row.image_id for row in leaks(project)}


def test_a_set_added_again_replaces_what_it_was(
    project: Project, tmp_path: Path, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    path = tmp_path / "list.csv"
    for count in (3, 2):
        path.write_text("sha256\n" + "".join(f"{name(row)}\n" for row in range(count)))
        summary = hashes(project, "add", path, set_="a").summary
    hashes(project, "add", path, set_="b")
    assert (summary["items"], summary["replaced"]) == (2, 3)
    assert sorted(project.tables.read("evaluation_hashes").column("set").to_pylist()) == ["a", "a", "b", "b"]
    add_hashes(project, near_hashes(2))
    outcome = leaks(project)
    assert outcome.summary["sets"] == {"a": 2, "b": 2}
    first, second = outcome.headline.splitlines()
    assert first == "2 pictures of 2 are in 2 evaluation sets: 2 in a, 2 in b"
    assert "crops, turned and mirrored copies of a set's pictures were not looked for" in second


def test_every_bad_row_is_told(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"item,sha256,pdq,quality\na,xyz,,\nb,{name(1)},,\nc,,,\nd,,{'0' * 63}g,\ne,{name(2)},,900\n")
    with pytest.raises(UserError) as caught:
        hashes(project, "add", path, set_="a")
    assert "4 bad rows" in caught.value.what
    for words in ("line 2: sha256 'xyz' is not 64", "line 4: no hash", "line 5: pdq", "line 6: quality '900'"):
        assert words in caught.value.what
    assert not project.tables.exists("evaluation_hashes")


def test_a_csv_may_have_names_with_any_sign_and_says_when_pdq_is_missing(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f'item,sha256\na\x85b\u2028c,{name(1)}\n"x\ny",{name(2)}\n', encoding="utf-8")
    assert hashes(project, "add", path, set_="a").summary["items"] == 2
    assert project.tables.read("evaluation_hashes").column("item").to_pylist() == ["a\x85b\u2028c", "x\ny"]
    path.write_text(f'item,sha256,phash,dhash\n"a\nb",{name(1)},,\nc,,{"1" * 16},{"2" * 16}\n')
    with pytest.raises(UserError, match="line 4: phash and dhash alone say too little: pdq is missing"):
        hashes(project, "add", path, set_="b")


def test_of_many_equal_pictures_and_items_each_picture_leaks_once(
    project: Project, other: Project, tmp_path: Path, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    words = np.repeat(near_hashes(2)[:1], 400, axis=0)
    add_hashes(project, words, 1000)
    add_hashes(other, words)
    hashes(project, "export", tmp_path / "list.csv")
    hashes(other, "add", tmp_path / "list.csv", set_="a")
    found = list(leaks(other))
    assert len(found) == 400
    assert {(row.item, row.distance, row.relation) for row in found} == {(name(1000), 0, "near")}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"name,label\na,b\n", b"sha256\n", b"PAR1nonsensePAR1"])
def test_a_file_that_is_no_list_is_refused(project: Project, tmp_path: Path, content: bytes) -> None:
    for ending in ("csv", "parquet", "txt"):
        path = tmp_path / f"list.{ending}"
        path.write_bytes(content)
        with pytest.raises(UserError, match="hash list") as caught:
            hashes(project, "add", path, set_="a")
        assert "one PDQ hash of 64 hexadecimal digits a line" in caught.value.fix
    with pytest.raises(UserError, match="hash list"):
        hashes(project, "add", tmp_path / "nothing.csv", set_="a")


def test_a_parquet_with_other_types_is_read_or_told(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"pdq": [bytes(32), b"x"], "quality": [80, 90]}), path)
    with pytest.raises(UserError, match="2 bad rows"):
        hashes(project, "add", path, set_="a")
    pq.write_table(pa.table({"pdq": ["0" * 64], "quality": pa.array([80], pa.int8()), "more": [1.5]}), path)
    assert hashes(project, "add", path, set_="a").summary["items"] == 1


def test_what_lacks_is_said(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no evaluation set") as caught:
        leaks(project)
    assert caught.value.fix == "pictus clean hashes add FILE --set NAME"
    path = tmp_path / "list.csv"
    path.write_text(f"sha256\n{name(1)}\n")
    with pytest.raises(UserError, match="what the set is called"):
        hashes(project, "add", path)
    with pytest.raises(UserError, match="cannot be a name of a set"):
        hashes(project, "add", path, set_="../a")
    with pytest.raises(UserError, match=r"neither in \.parquet nor in \.csv"):
        hashes(project, "export", tmp_path / "list.txt")
    with pytest.raises(UserError, match="measured"):
        hashes(project, "export", path)
    hashes(project, "add", path, set_="a")
    with pytest.raises(UserError, match="measured"):
        leaks(project)


def test_a_blank_picture_leaks_only_by_its_bytes_or_pixels(
    project: Project, tmp_path: Path, add_hashes: AddHashes
) -> None:
    words = np.zeros((2, 6), dtype=np.uint64)
    add_hashes(project, words, pdq_quality=[10, 10])
    path = tmp_path / "list.csv"
    path.write_text(f"sha256,phash,dhash,pdq,quality\n{name(1)},{'0' * 16},{'0' * 16},{'0' * 64},10\n")
    hashes(project, "add", path, set_="a")
    assert [row.image_id for row in leaks(project)] == [name(1)]


@pytest.mark.real_data
def test_metas_needles_are_a_set(project: Project, real_data: Callable[[str], Path], add_hashes: AddHashes) -> None:
    folder = real_data("near_duplicates") / "pdq"
    lines = (folder / "needles.txt").read_text().split()
    assert hashes(project, "add", folder / "needles.txt", set_="needles").summary["items"] == len(lines)
    hay = [bytes.fromhex(line.split(",")[0]) for line in (folder / "haystack.txt").read_text().split()]
    words = np.zeros((len(hay), 6), dtype=np.uint64)
    words[:, 2:] = np.frombuffer(b"".join(hay), dtype=np.uint64).reshape(-1, 4)
    add_hashes(project, words)
    assert leaks(project).summary["leaks"] > 0
    assert SCHEMAS["leaks"].names == project.tables.read("leaks").column_names


def test_a_set_is_seen_and_taken_out_with_what_was_found_in_it(
    project: Project, tmp_path: Path, add_hashes: AddHashes, near_hashes: NearHashes
) -> None:
    ids = add_hashes(project, near_hashes(4))
    for title, item in (("a", ids[0]), ("b", ids[3])):
        (tmp_path / "set.csv").write_text(f"item,sha256\n1,{item}\n", encoding="utf-8")
        hashes(project, "add", tmp_path / "set.csv", set_=title)
    leaks(project)
    found = hashes(project, "list")
    assert found.summary["sets"] == {"a": {"items": 1, "leaks": 1}, "b": {"items": 1, "leaks": 1}}
    assert "a  1 hash, 1 picture found in it" in found.headline
    with pytest.raises(UserError, match="no evaluation set 'c'") as told:
        hashes(project, "remove", set_="c")
    assert "one of a, b" in told.value.fix
    outcome = hashes(project, "remove", set_="a")
    assert (outcome.summary["items"], outcome.summary["leaks"]) == (1, 1)
    assert [row["set"] for row in project.tables.read("leaks").to_pylist()] == ["b"]
    assert not [words for words in screen(project).problems if "leaks" in words], "what is left is as current as it was"
    hashes(project, "remove", set_="b")
    assert (project.tables.count("leaks"), hashes(project, "list").summary["sets"]) == (0, {})
    assert screen(project).summary["rules"] == {}


def test_without_a_file_the_command_is_told(project: Project) -> None:
    for action in ("export", "add"):
        with pytest.raises(UserError, match=f"which file to {action}"):
            hashes(project, action, set_="a")


def test_a_hash_list_that_is_not_there_is_told_in_plain_words(project: pictus.Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no hash list .*nofile\.csv"):
        hashes(project, "add", tmp_path / "nofile.csv", set_="val")
