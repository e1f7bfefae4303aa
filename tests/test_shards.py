from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import tarfile
import threading
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pictus import shards
from pictus.errors import UserError
from pictus.shards import Placed, ShardReader, ShardWriter, committed_ends, members, verify


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(folder: Path, pictures: Sequence[bytes], **options: int) -> list[Placed]:
    with ShardWriter(folder, **options) as writer:  # type: ignore[arg-type]
        return [writer.add(sha256(picture), "jpg", picture) for picture in pictures]


def rows(pictures: Sequence[bytes], placed: Sequence[Placed]) -> pa.Table:
    return pa.table(
        {
            "image_id": [sha256(picture) for picture in pictures],
            "shard": [place.shard for place in placed],
            "offset": pa.array([place.offset for place in placed], pa.int64()),
            "size": pa.array([place.size for place in placed], pa.int64()),
        }
    )


def noise(count: int, size: int = 700) -> list[bytes]:
    return [random.Random(seed).randbytes(size + seed) for seed in range(count)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pictures=st.lists(st.binary(max_size=2000), max_size=12), max_bytes=st.integers(512, 4000))
def test_what_is_added_is_read_back_by_offset_and_by_tarfile(
    pictures: list[bytes], max_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    placed = write(folder, pictures, max_bytes=max_bytes)
    reader = ShardReader(folder)
    assert [reader.read(*place) for place in placed] == pictures
    unpacked = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                opened = archive.extractfile(member)
                assert opened is not None
                unpacked.append((member.name, opened.read(), member.mode, member.mtime))
    assert unpacked == [(f"{sha256(picture)}.jpg", picture, 0o644, 0) for picture in pictures]


def test_a_header_is_what_tarfile_writes() -> None:
    name, size = f"{'a' * 64}.jpg", 123_456
    member = tarfile.TarInfo(name)
    member.size = size
    assert shards.header(name, size) == member.tobuf(tarfile.USTAR_FORMAT)


def test_the_same_pictures_give_the_same_file(tmp_path: Path) -> None:
    write(tmp_path / "a", noise(5))
    write(tmp_path / "b", noise(5))
    assert (tmp_path / "a/pictures-00000.tar").read_bytes() == (tmp_path / "b/pictures-00000.tar").read_bytes()


def test_a_shard_is_closed_when_it_is_full_and_numbers_go_on(tmp_path: Path) -> None:
    # 700 bytes take 512 (header) + 1024 (padded) = 1536; the second picture starts below 2000 and ends above
    placed = write(tmp_path, noise(5, 700), max_bytes=2000)
    assert [place.shard for place in placed] == [f"pictures-0000{n}.tar" for n in (0, 0, 1, 1, 2)]


def test_every_flush_leaves_a_whole_archive_that_the_next_picture_continues(tmp_path: Path) -> None:
    pictures = noise(4)
    writer = ShardWriter(tmp_path)
    for count, picture in enumerate(pictures, start=1):
        writer.add(sha256(picture), "jpg", picture)
        writer.flush()
        assert (tmp_path / "pictures-00000.tar").read_bytes().endswith(bytes(1024))
        assert len(list(members(tmp_path / "pictures-00000.tar"))) == count
    writer.close()


def test_a_new_writer_cuts_off_what_was_never_committed(tmp_path: Path) -> None:
    pictures = noise(9)
    placed = write(tmp_path, pictures, max_bytes=3000)
    assert len(list(tmp_path.iterdir())) == 5
    ends = committed_ends(rows(pictures[:3], placed[:3]))
    with ShardWriter(tmp_path, max_bytes=3000, ends=ends) as writer:
        again = [writer.add(sha256(picture), "jpg", picture) for picture in pictures[3:]]
    assert again == placed[3:]
    assert not list(verify(tmp_path, rows(pictures, placed)))
    assert sum(len(list(members(path))) for path in tmp_path.iterdir()) == 9


def test_nothing_committed_means_everything_left_is_cut_off(tmp_path: Path) -> None:
    write(tmp_path, noise(3), max_bytes=1000)
    with ShardWriter(tmp_path, ends={}) as writer:
        assert writer.add(sha256(b"x"), "jpg", b"x") == Placed("pictures-00000.tar", 512, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures-00000.tar"]


def test_more_than_a_killed_run_leaves_is_not_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_LOST_BYTES", 4_000)
    write(tmp_path, noise(5))
    before = (tmp_path / "pictures-00000.tar").read_bytes()
    with pytest.raises(UserError, match="no table knows"):
        ShardWriter(tmp_path, ends={})
    assert (tmp_path / "pictures-00000.tar").read_bytes() == before


def test_a_shard_shorter_than_its_rows_stops_the_writer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has 0 bytes, but pictures up to byte 5,000") as caught:
        ShardWriter(tmp_path, ends={"pictures-00000.tar": 5_000})
    assert "restore" in caught.value.fix


def test_a_writer_without_ends_refuses_a_folder_with_shards(tmp_path: Path) -> None:
    write(tmp_path, noise(1))
    with pytest.raises(UserError, match="holds shards already"):
        ShardWriter(tmp_path)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "other-00000.tar", "pictures-old.tar"):
        (tmp_path / name).write_bytes(b"mine")
    with ShardWriter(tmp_path, ends={}) as writer:
        writer.add(sha256(b"x"), "jpg", b"x")
    assert {path.name for path in tmp_path.iterdir() if path.read_bytes() == b"mine"} == {
        "notes.txt", "other-00000.tar", "pictures-old.tar",
    }  # fmt: skip


def test_a_full_disk_is_told_and_the_flushed_pictures_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = ShardWriter(tmp_path)
    first, second = noise(2)
    placed = writer.add(sha256(first), "jpg", first)
    writer.flush()
    writer.add(sha256(second), "jpg", second)

    def full(fd: int, parts: list[bytes], offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", full)
        with pytest.raises(UserError, match="disk is full") as caught:
            writer.flush()
    assert "run the same command again" in caught.value.fix
    assert not list(verify(tmp_path, rows([first], [placed])))
    assert [member.size for member in members(tmp_path / "pictures-00000.tar")] == [len(first)]
    with ShardWriter(tmp_path, ends=committed_ends(rows([first], [placed]))) as again:
        place = again.add(sha256(second), "jpg", second)
    assert shards.read(tmp_path, *place) == second


def test_verify_names_each_damage(tmp_path: Path) -> None:
    pictures = noise(6)
    placed = write(tmp_path, pictures, max_bytes=3000)
    assert [place.shard[-5] for place in placed] == list("001122")
    table = rows(pictures, placed)
    assert not list(verify(tmp_path, table))
    path = tmp_path / placed[0].shard
    data = bytearray(path.read_bytes())
    data[placed[0].offset + 3] ^= 1
    path.write_bytes(data)
    (tmp_path / placed[2].shard).unlink()
    os.truncate(tmp_path / placed[5].shard, placed[5].offset + 10)
    found = {damage.image_id: damage.cause for damage in verify(tmp_path, table)}
    assert found == {
        sha256(pictures[0]): "changed", sha256(pictures[2]): "missing-shard", sha256(pictures[3]): "missing-shard",
        sha256(pictures[5]): "short",
    }  # fmt: skip


def test_many_threads_read_through_more_shards_than_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_OPEN_SHARDS", 2)
    pictures = noise(60, 900)
    placed = write(tmp_path, pictures, max_bytes=1500)
    reader = ShardReader(tmp_path)
    wrong: list[int] = []

    def read_all(seed: int) -> None:
        order = random.Random(seed).sample(range(60), 60)
        wrong.extend(index for index in order if reader.read(*placed[index]) != pictures[index])

    threads = [threading.Thread(target=read_all, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_reader_notices_a_shard_put_in_the_place_of_another(tmp_path: Path) -> None:
    write(tmp_path / "a", [b"old"])
    reader = ShardReader(tmp_path / "a")
    place = Placed("pictures-00000.tar", 512, 3)
    assert reader.read(*place) == b"old"
    write(tmp_path / "b", [b"new"])
    (tmp_path / "b/pictures-00000.tar").replace(tmp_path / "a/pictures-00000.tar")
    assert reader.read(*place) == b"new"


@pytest.mark.parametrize("shard", ["../secret.tar", "/etc/passwd", "", "a/../../b.tar"])
def test_a_shard_name_that_leads_elsewhere_is_refused(tmp_path: Path, shard: str) -> None:
    with pytest.raises(UserError, match="is not the name of a shard"):
        shards.read(tmp_path, shard, 0, 1)


def test_reading_past_the_end_or_from_nowhere_says_which_file(tmp_path: Path) -> None:
    write(tmp_path, [b"x"])
    with pytest.raises(UserError, match=r"pictures-00000\.tar ends before byte 9,999"):
        shards.read(tmp_path, "pictures-00000.tar", 0, 9_999)
    with pytest.raises(UserError, match=r"pictures-00007\.tar is missing"):
        shards.read(tmp_path, "pictures-00007.tar", 0, 1)


def test_members_are_listed_from_any_tar(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo("folder/one.png")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"1234"))
    (found,) = members(tmp_path / "x.tar")
    assert (found.name, found.size) == ("folder/one.png", 4)
    assert shards.read(tmp_path, "x.tar", found.offset, found.size) == b"1234"


def test_extensions_are_those_people_use() -> None:
    assert [shards.extension_of(name) for name in ("jpeg", "png", "tiff", "webp")] == ["jpg", "png", "tif", "webp"]
