from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pictus import archives
from pictus.archives import Entry, entries
from pictus.collect.places import look_in_folder

Members = Sequence[tuple[str, bytes]]


def tar(members: Members, compression: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zipped(members: Members, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def read(data: bytes, *, with_bytes: bool = True) -> list[Entry]:
    return list(entries(io.BytesIO(data), with_bytes=with_bytes))


KINDS: dict[str, Callable[[Members], bytes]] = {
    "tar": tar,
    "tar.gz": lambda members: tar(members, "gz"),
    "tar.xz": lambda members: tar(members, "xz"),
    "tar.bz2": lambda members: tar(members, "bz2"),
    "zip": zipped,
}


@pytest.mark.parametrize("kind", KINDS)
def test_members_come_in_order_with_their_bytes(kind: str) -> None:
    jay = random.Random(1).randbytes(1_500_000)
    members = [("b/owl.jpg", b"owl"), ("notes.txt", b"no picture"), ("./a/Jay.PNG", jay), ("x.webp", b"")]
    found = read(KINDS[kind](members))
    assert found == [Entry("b/owl.jpg", b"owl"), Entry("a/Jay.PNG", jay), Entry("x.webp", b"")]
    assert [entry.name for entry in read(KINDS[kind](members), with_bytes=False)] == [entry.name for entry in found]


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_and_nested_members_are_told_and_hidden_folders_are_not_entered(kind: str) -> None:
    members = [
        (".owl.jpg", b"x"), (".git/owl.jpg", b"x"), ("__MACOSX/._owl.jpg", b"x"), ("inner.tar.gz", b"x"),
        ("../../etc/owl.jpg", b"x"), ("/abs/owl.jpg", b"x"),
    ]  # fmt: skip
    found = [(entry.name, entry.cause) for entry in read(KINDS[kind](members))]
    assert found == [
        (".owl.jpg", "hidden"), ("inner.tar.gz", "nested-archive"), ("../../etc/owl.jpg", ""), ("abs/owl.jpg", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_member_over_the_cap_is_not_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    found = read(KINDS[kind]([("big.jpg", bytes(1001)), ("fits.jpg", bytes(1000))]))
    assert [(entry.name, entry.cause, len(entry.image_bytes)) for entry in found] == [
        ("big.jpg", "too-big", 0), ("fits.jpg", "", 1000),
    ]  # fmt: skip


def test_a_zip_member_that_unpacks_200_fold_is_a_bomb() -> None:
    found = read(zipped([("bomb.bmp", bytes(10_000_000)), ("small.bmp", bytes(1_000_000))]))
    assert [(entry.cause, len(entry.image_bytes)) for entry in found] == [("bomb", 0), ("", 1_000_000)]
    assert found[0].detail.startswith("10,000,000 bytes, packed 9,")


@pytest.mark.parametrize("compression", ["gz", "xz", "bz2"])
def test_a_stream_that_unpacks_200_fold_is_left_at_the_cap(compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 1_000_000)
    data = tar([("owl.jpg", b"owl"), ("zeros.bin", bytes(30_000_000)), ("jay.jpg", b"jay")], compression)
    found = read(data)
    assert [(entry.name, entry.cause) for entry in found] == [("owl.jpg", ""), ("", "bomb")]


def test_too_many_members_end_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    found = read(tar([(f"{number}.jpg", b"x") for number in range(5)]))
    assert [entry.cause for entry in found] == ["", "", "", "bomb"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_cut_short_gives_what_is_before_the_cut_and_says_so(kind: str) -> None:
    noise = random.Random(1)
    members = [(f"{number}.jpg", noise.randbytes(40_000)) for number in range(5)]
    data = KINDS[kind](members)
    found = read(data[: len(data) // 2])
    assert found[-1].cause == "broken-archive"
    assert found[-1].name == ""
    assert [(entry.name, entry.image_bytes) for entry in found[:-1]] == members[: len(found) - 1]
    if kind == "tar":
        assert len(found) == 3


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end() -> None:
    data = bytearray(tar([("a.jpg", b"a" * 600), ("b.jpg", b"b" * 600), ("c.jpg", b"c" * 600)]))
    data[512 + 1024 + 10] ^= 0xFF  # the name in the second header: its checksum no longer fits
    found = read(bytes(data))
    assert [(entry.name, entry.cause) for entry in found] == [("a.jpg", ""), ("", "broken-archive")]


@pytest.mark.parametrize("data", [b"", b"not an archive at all", b"PK\x03\x04 but no zip", b"\x1f\x8b\x08", bytes(100)])
def test_what_is_no_archive_says_so(data: bytes) -> None:
    (found,) = read(data)
    assert (found.name, found.cause) == ("", "broken-archive")


def test_a_damaged_and_an_encrypted_zip_member_do_not_stop_the_others() -> None:
    data = bytearray(zipped([("a.jpg", b"a" * 100), ("b.jpg", b"b" * 100), ("c.jpg", b"c" * 100)], zipfile.ZIP_STORED))
    data[data.index(b"aaaa") + 7] = 0  # CRC of a
    central = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)  # b's entry in the directory
    data[central + 8] |= 1  # flag bit 0: encrypted
    found = read(bytes(data))
    assert [(entry.name, entry.cause) for entry in found] == [
        ("a.jpg", "broken-member"), ("b.jpg", "encrypted"), ("c.jpg", ""),
    ]  # fmt: skip


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def pax(record: bytes) -> bytes:
    """A pax header with this text in it."""
    return header(b"x", len(record)) + record.ljust(-(-len(record) // 512) * 512, b"\0")


OWL = tar([("owl.jpg", b"owl")])[:1024]
END = bytes(1024)
FILE = header(b"0", 0, "a.jpg")


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        pytest.param(pax(b"311 size=" + b"9" * 300 + b"\n") + FILE + END, "broken-archive", id="size"),
        pytest.param(header(b"0", 2**41, "a.jpg") + END, "broken-archive", id="base-256 size"),
        pytest.param(header(b"x", -512) + END, "broken-archive", id="negative size"),
        pytest.param(pax(b"20 path=aaaaaaaaaaa\n") * 3000 + FILE + END, "broken-archive", id="3,000 in a row"),
        pytest.param(header(b"x", 2**31) + END, "bomb", id="huge pax header"),
        pytest.param(header(b"L", 2**31) + END, "bomb", id="huge name"),
        pytest.param(pax(b"1" * 900_000) + FILE + END, "broken-archive", id="digits"),
    ],
)  # fmt: skip
def test_a_tar_header_made_to_do_harm_ends_its_archive_at_once(data: bytes, cause: str) -> None:
    file = io.BytesIO(OWL + data)
    started = time.monotonic()
    found = list(entries(file, with_bytes=True))
    assert [(entry.name, entry.cause) for entry in found] == [("owl.jpg", ""), ("", cause)]
    assert time.monotonic() - started < 5


def test_headers_are_read_to_a_megabyte_and_no_further() -> None:
    file = io.BytesIO(gzip.compress(OWL + header(b"x", 64 * 2**20) + bytes(64 * 2**20) + END))
    tracemalloc.start()
    try:
        found = list(entries(file, with_bytes=True))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(entry.name, entry.cause) for entry in found] == [("owl.jpg", ""), ("", "bomb")]
    assert peak < 8 * 2**20


def test_long_names_and_attributes_are_read() -> None:
    buffer, name = io.BytesIO(), f"{'folder/' * 500}owl.jpg"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            member = tarfile.TarInfo(name)
            member.size, member.pax_headers = 3, {"SCHILY.xattr.user.note": "n" * 60_000}
            archive.addfile(member, io.BytesIO(b"owl"))
        assert read(buffer.getvalue()) == [Entry(name, b"owl")]
        buffer = io.BytesIO()


def test_a_tar_member_with_holes_is_not_filled_with_zeros() -> None:
    records = b"25 GNU.sparse.size=30000\n" + b"22 GNU.sparse.map=0,1\n"
    data = pax(records) + header(b"0", 1, "holes.bmp") + b"x".ljust(512, b"\0")
    assert [(entry.name, entry.cause, entry.image_bytes) for entry in read(data + OWL + END)] == [
        ("holes.bmp", "broken-member", b""), ("owl.jpg", "", b"owl"),
    ]  # fmt: skip


@pytest.mark.parametrize("compression", ["", "gz"])
def test_a_tar_cut_where_a_member_begins_has_no_end_mark(compression: str) -> None:
    whole = tar([("a.jpg", b"a"), ("b.jpg", b"b"), ("c.jpg", b"c")])
    cut = whole[:2048] if not compression else gzip.compress(whole[:2048])
    found = read(cut)
    assert [(entry.name, entry.cause) for entry in found] == [("a.jpg", ""), ("b.jpg", ""), ("", "no-end-mark")]
    assert found[-1].detail == "it stops after 2,048 bytes, where a member could begin"
    assert [entry.cause for entry in read(whole[: 3 * 1024 + 512])] == [""] * 3  # one block of zeros is a mark, too


def overlapping(members: int, size: int) -> bytes:
    """A zip whose directory names one member many times."""
    data = zipped([("owl.bmp", random.Random(1).randbytes(size))], zipfile.ZIP_STORED)
    directory, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    listed = data[directory:end] * members
    counts = struct.pack("<HHHHIIH", 0, 0, members, members, len(listed), directory, 0)
    return data[:directory] + listed + b"PK\x05\x06" + counts


def test_a_zip_whose_members_share_their_bytes_unpacks_them_once() -> None:
    found = read(overlapping(1000, 10_000))
    assert [entry.cause for entry in found] == ["", *["bomb"] * 999]
    assert sum(len(entry.image_bytes) for entry in found) == 10_000


def test_a_zip_unpacks_in_all_to_200_times_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 5_000_000)
    found = read(zipped([(f"{number}.bmp", bytes(1_000_000)) for number in range(20)]))
    assert [entry.cause for entry in found] == [*[""] * 5, "bomb"]


def test_links_and_folders_are_no_pictures() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("strange.jpg")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert read(buffer.getvalue()) == []
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(link, "/etc/passwd")
    assert read(buffer.getvalue()) == []


def test_a_name_that_is_no_unicode_can_be_stored() -> None:
    (found,) = read(tar([("caf\udce9.jpg", b"x")]))  # byte E9, as surrogateescape writes it
    assert found.name == "caf\\xe9.jpg"


def test_an_archive_is_known_by_its_endings() -> None:
    assert [archives.stem(name) for name in ("n01440764.tar", "a.b.TAR.GZ", "x.tgz", "plain")] == [
        "n01440764", "a.b", "x", "plain",
    ]  # fmt: skip
    assert archives.is_archive("photos.ZIP")
    assert not archives.is_archive("tar")


def test_a_hostile_archive_does_not_hide_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(OWL + pax(b"20 path=aaaaaaaaaaa\n") * 3000 + FILE + END)
    (tmp_path / "b.jpg").write_bytes(b"jay")
    found = [(Path(one.address).name, one.cause) for one in look_in_folder(str(tmp_path), how="", with_bytes=True)]
    assert found == [("owl.jpg", ""), ("a.tar", "broken-archive"), ("b.jpg", "")]
