"""What stands beside a picture in an archive or a folder becomes its claim."""

from __future__ import annotations

import io
import json
import tarfile
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pictus.archives import MAX_BESIDE_BYTES
from pictus.collect.found import Found, Said
from pictus.collect.members import in_archive, look_in_archive
from pictus.collect.places import look_in_folder
from pictus.collect.sidecars import MAX_SIGNS, plain_text, said_in, spoken

FACTS = {"label": "owl", "license": "CC-BY-4.0", "author": "Ann", "url": "http://a.example/1", "caption": "at\nnight"}
SAID = Said("owl", "at night", "CC-BY-4.0", "Ann", "http://a.example/1")


def tar(*members: tuple[str, bytes | Mapping[str, object]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members:
            held = data if isinstance(data, bytes) else json.dumps(data).encode()
            member = tarfile.TarInfo(name)
            member.size = len(held)
            archive.addfile(member, io.BytesIO(held))
    return buffer.getvalue()


def read(data: bytes, class_names: tuple[str, ...] = ()) -> list[Found]:
    return list(in_archive(io.BytesIO(data), "x.tar", "x", with_bytes=True, class_names=class_names))


@pytest.mark.parametrize("is_first", [True, False])
def test_a_picture_has_what_its_json_says_on_either_side_of_it(is_first: bool) -> None:
    picture, facts = ("a/0.jpg", b"jpg"), ("a/0.json", FACTS)
    found = read(tar(*((facts, picture) if is_first else (picture, facts)), ("a/1.jpg", b"other")))
    assert found == [
        Found("x.tar!/a/0.jpg", "archive", "a", b"jpg", said=SAID), Found("x.tar!/a/1.jpg", "archive", "a", b"other"),
    ]  # fmt: skip


def test_in_a_zip_what_shares_a_key_need_not_stand_together() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in (("b/1.jpg", b"1"), ("a/0.jpg", b"0"), ("b/0.json", b"{}"), ("a/0.json", json.dumps(FACTS))):
            archive.writestr(name, data)
    assert [(one.address, one.said) for one in read(buffer.getvalue())] == [
        ("x.tar!/b/1.jpg", Said()), ("x.tar!/a/0.jpg", SAID),
    ]  # fmt: skip


def test_two_pictures_of_one_key_have_the_same_said_of_them() -> None:
    found = read(tar(("0.left.jpg", b"1"), ("0.json", FACTS), ("0.right.jpg", b"2")))
    assert [(one.address, one.said) for one in found] == [("x.tar!/0.left.jpg", SAID), ("x.tar!/0.right.jpg", SAID)]


def test_the_same_key_in_two_folders_is_two_samples() -> None:
    found = read(tar(("a/0.json", FACTS), ("b/0.jpg", b"2")))
    assert [one.said for one in found] == [Said()]


@pytest.mark.parametrize(
    ("files", "concept", "query"),
    [
        ({"cls": b"owl"}, "owl", ""),
        ({"cls": b" 1\n"}, "owl", ""),
        ({"cls": b"7"}, "7", ""),  # no name for it: the number itself, which is told
        ({"cls": b"0", "json": b'{"class_name": "owl", "label": 0}'}, "owl", ""),
        ({"cls": b"1", "json": b'{"label": 0}'}, "jay", ""),
        ({"json": b'{"label": ["owl"], "text": "x"}', "txt": b"y"}, "owl", "x"),
        ({"txt": b" an owl \n at night "}, "", "an owl at night"),
        ({"json": b"[1, 2]"}, "", ""),
        ({"json": b'{"label": true, "caption": {"en": "x"}}'}, "", ""),
        ({"json": b"{}", "cls": b"\xff"}, "\N{REPLACEMENT CHARACTER}", ""),
    ],
)  # fmt: skip
def test_json_goes_before_cls_and_txt_and_numbers_become_names(
    files: dict[str, bytes], concept: str, query: str
) -> None:
    told = spoken(files, ("jay", "owl"))
    assert (told.said.concept, told.said.query, told.remark) == (concept, query, "")


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b"[" * 200_000, b""])
def test_json_that_is_none_is_told_and_the_picture_taken(data: bytes) -> None:
    (found,) = read(tar(("0.jpg", b"jpg"), ("0.json", data)))
    assert (found.image_bytes, found.said) == (b"jpg", Said())
    assert "is not JSON" in found.remark


def test_texts_can_be_stored_whatever_they_hold() -> None:
    assert plain_text("\ud800 a\0b\n c") == "? ab c"
    assert len(plain_text("x" * 10**6)) == MAX_SIGNS
    assert said_in({"LABEL": 3.5, "Author": None, "url": ""}) == Said(concept="3.5")


def test_an_img2dataset_sample_without_a_picture_is_a_cause() -> None:
    failed = {"url": "http://a.example/2", "status": "failed_to_download", "error_message": "HTTP Error 404"}
    good = FACTS | {"status": "success", "error_message": None}
    found = read(tar(("0.jpg", b"jpg"), ("0.json", good), ("1.json", failed), ("2.json", FACTS)))
    assert [(one.address, one.cause, one.detail) for one in found] == [
        ("x.tar!/0.jpg", "", ""), ("x.tar!/1.json", "not-fetched", "HTTP Error 404"),
    ]  # fmt: skip


def test_a_file_beside_a_picture_that_is_not_small_is_left_out() -> None:
    (found,) = read(tar(("0.jpg", b"jpg"), ("0.json", b'{"label": "owl"' + b" " * MAX_BESIDE_BYTES + b"}")))
    assert (found.said, found.remark) == (Said(), "")


def test_a_thousand_pictures_of_one_key_are_not_held_at_once() -> None:
    data = tar(*((f"0.{number}.jpg", bytes(200_000)) for number in range(100)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in in_archive(io.BytesIO(data), "x", "x", with_bytes=True)) == 100
        assert tracemalloc.get_traced_memory()[1] < 8e6  # all of them take 20 MB
    finally:
        tracemalloc.stop()


def test_numbers_are_names_where_a_file_beside_the_archive_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(("0.cls", b"1"), ("0.jpg", b"jpg")))
    (tmp_path / "classes.txt").write_text("jay\nbarn owl\n\n")
    (found,) = look_in_archive(str(tmp_path / "a.tar"), how="", with_bytes=True)
    assert found.said.concept == "barn owl"


def test_a_folder_may_have_a_json_beside_each_picture(tmp_path: Path) -> None:
    for name, data in (("0.jpg", b"jpg"), ("0.json", json.dumps(FACTS).encode()), ("1.png", b"png"), ("1.json", b"{")):
        (tmp_path / name).write_bytes(data)
    found = list(look_in_folder(str(tmp_path), how="", with_bytes=True))
    assert [(Path(one.address).name, one.said, bool(one.remark)) for one in found] == [
        ("0.jpg", SAID, False), ("1.png", Said(), True),
    ]  # fmt: skip


def test_names_alone_are_cheap_and_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(("0.jpg", b"jpg"), ("0.json", FACTS)))
    assert list(look_in_archive(str(tmp_path / "a.tar"), how="", with_bytes=False)) == [
        Found(f"{tmp_path}/a.tar!/0.jpg", "archive", "a", b"")
    ]
