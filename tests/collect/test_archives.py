from __future__ import annotations

import io
import random
import tarfile
import zipfile
from collections.abc import Callable, Sequence

import pytest

from pictus.collect import archives
from pictus.collect.archives import Entry, entries

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
