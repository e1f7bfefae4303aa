"""add, fetch and status as a user meets them, good input and bad."""

from __future__ import annotations

import io
import math
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pictus import Project, collect
from pictus.collect import intake
from pictus.collect.fetcher import Limits
from pictus.errors import UserError
from pictus.shards import members, verify

MakeJpeg = Callable[..., bytes]
WriteList = Callable[..., Path]


def bomb_png(side: int = 30_000) -> bytes:
    """A PNG of side × side grey pixels: 0.9 GB when decoded, 0.9 MB as a file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(bytes(side + 1)) for _ in range(side // 10)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def sources(project: Project) -> list[dict[str, Any]]:
    return project.tables.read("sources").to_pylist()  # type: ignore[no-any-return]


def causes_of(project: Project) -> dict[str, str]:
    """File name -> cause of its latest attempt."""
    rows = project.tables.read("fetches", ["address", "cause"]).to_pylist()
    return {row["address"].rpartition("/")[2]: row["cause"] for row in rows}


def check_shards(project: Project) -> None:
    """Every row's bytes are there, and the shards hold nothing else."""
    images = project.tables.read("images")
    assert list(verify(project.shards_dir, images)) == []
    stored = [member.name.partition(".")[0] for path in project.shards_dir.glob("*.tar") for member in members(path)]
    assert sorted(stored) == sorted(images.column("image_id").to_pylist())


# -- add ---------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path, make_jpeg: MakeJpeg) -> Path:
    """owl/ with 3 pictures, jay/ with 2, of which one is a copy of an owl."""
    root = tmp_path / "photos"
    for folder, seeds in (("owl", (0, 1, 2)), ("jay", (2, 3))):
        (root / folder).mkdir(parents=True)
        for seed in seeds:
            (root / folder / f"{seed}.jpg").write_bytes(make_jpeg(seed=seed))
    (root / "notes.txt").write_text("not a picture, and it does not say so")
    return root


def test_folders_name_concepts_and_equal_bytes_keep_both_places(birds: Project, photos: Path) -> None:
    outcome = collect.add(birds, (photos,), by_folder=True, licence="CC0-1.0", author="Ann")
    assert outcome.summary["found"] == 5
    assert (outcome.summary["added"], outcome.summary["again"], outcome.summary["failed"]) == (4, 1, 0)
    pictures = list(outcome)
    assert [(picture.width, picture.height, picture.format) for picture in pictures] == [(96, 64, "jpeg")] * 4
    found = sources(birds)
    assert [row["address"].removeprefix(str(photos)) for row in found] == [
        "/jay/2.jpg", "/jay/3.jpg", "/owl/0.jpg", "/owl/1.jpg", "/owl/2.jpg",
    ]  # fmt: skip
    assert [row["concept_id"] for row in found] == ["n01580077"] * 2 + ["n01621127"] * 3
    assert {(row["licence"], row["author"], row["kind"]) for row in found} == {("CC0-1.0", "Ann", "folder")}
    assert found[0]["image_id"] == found[4]["image_id"]
    assert birds.tables.count("fetches") == 0
    check_shards(birds)


def test_adding_again_adds_nothing(birds: Project, photos: Path) -> None:
    collect.add(birds, (photos,), by_folder=True)
    shard = (birds.shards_dir / "pictures-00000.tar").read_bytes()
    versions = [birds.tables.version(name) for name in ("images", "sources")]
    outcome = collect.add(birds, (photos,), by_folder=True)
    assert (outcome.summary["added"], outcome.summary["known"], list(outcome)) == (0, 5, [])
    assert [birds.tables.version(name) for name in ("images", "sources")] == versions
    assert (birds.shards_dir / "pictures-00000.tar").read_bytes() == shard


def test_claims_given_later_replace_those_of_the_same_place(birds: Project, photos: Path) -> None:
    collect.add(birds, (photos / "owl",))
    assert {row["concept_id"] for row in sources(birds)} == {""}
    outcome = collect.add(birds, (photos / "owl",), concept="OWL")
    assert (outcome.summary["added"], outcome.summary["changed"]) == (0, 3)
    assert [row["concept_id"] for row in sources(birds)] == ["n01621127"] * 3


def test_rows_do_not_depend_on_the_order_of_the_disk(birds: Project, photos: Path, tmp_path: Path) -> None:
    import pictus

    collect.add(birds, (photos,))
    other = pictus.new(tmp_path / "other")
    for path in sorted(photos.rglob("*.jpg"), reverse=True):
        path.rename(path.with_suffix(".moved"))
    for path in sorted(photos.rglob("*.moved"), reverse=True):
        path.rename(path.with_suffix(".jpg"))
    collect.add(other, (photos,))
    columns = ["image_id", "shard", "offset"]
    assert birds.tables.read("images", columns).equals(other.tables.read("images", columns))


def test_archives_are_read_without_unpacking(birds: Project, tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    with tarfile.open(tmp_path / "jay.tar.xz", "w:xz") as archive:
        for name, seed in (("owl/0.jpg", 0), ("1.jpg", 1)):
            data = make_jpeg(seed=seed)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as packed:
        packed.writestr("x/owl/0.jpg", make_jpeg(seed=0))
    before = sorted(tmp_path.rglob("*.jpg"))
    outcome = collect.add(birds, (tmp_path / "jay.tar.xz", tmp_path / "more.zip"), by_folder=True)
    assert (outcome.summary["added"], outcome.summary["again"]) == (2, 1)
    assert [(row["address"].removeprefix(f"{tmp_path}/"), row["concept_id"]) for row in sources(birds)] == [
        ("jay.tar.xz!/owl/0.jpg", "n01621127"),
        ("jay.tar.xz!/1.jpg", "n01580077"),
        ("more.zip!/x/owl/0.jpg", "n01621127"),
    ]
    assert sorted(tmp_path.rglob("*.jpg")) == before
    check_shards(birds)


def test_archives_inside_a_folder_are_read_too(birds: Project, tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    """ILSVRC's training set is a folder of archives named by wnid."""
    (tmp_path / "train").mkdir()
    with zipfile.ZipFile(tmp_path / "train/n01621127.zip", "w") as packed:
        packed.writestr("n01621127_1.JPEG", make_jpeg())
    collect.add(birds, (tmp_path / "train",), by_folder=True)
    assert [row["concept_id"] for row in sources(birds)] == ["n01621127"]


def test_odd_files_are_recorded_and_the_run_goes_on(project: Project, tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    picture = make_jpeg()
    (folder / "page.jpg").write_bytes(b"<html>not a picture</html>")
    (folder / "empty.png").write_bytes(b"")
    (folder / "bomb.png").write_bytes(bomb_png())
    (folder / ".hidden.jpg").write_bytes(picture)
    (folder / ".config").write_bytes(b"hidden, and no picture")
    (folder / "good.jpg").write_bytes(picture)
    (folder / "without-ending").write_bytes(make_jpeg(seed=1))
    (folder / "README").write_text("without ending, and no picture")
    (folder / "inner.tar").write_bytes(b"no archive")
    os.mkfifo(folder / "pipe.jpg")
    for mode in ("CMYK", "L", "I;16"):
        Image.new(mode, (40, 30)).save(folder / f"{mode.replace(';', '')}.tif")
    Image.new("RGB", (40, 30)).save(
        folder / "moving.gif", save_all=True, append_images=[Image.new("RGB", (40, 30), "red")]
    )
    outcome = collect.add(project, (folder,))
    assert causes_of(project) == {
        "page.jpg": "not-an-image", "empty.png": "empty", "bomb.png": "too-many-pixels", ".hidden.jpg": "hidden",
        "inner.tar": "broken-archive",
    }  # fmt: skip
    assert outcome.summary["added"] == 6
    assert outcome.summary["failed"] == 5
    assert "1 × too-many-pixels: more pixels than can be decoded safely: scale it down first" in outcome.problems
    check_shards(project)


def test_a_file_over_the_cap_is_not_taken(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pictus.collect.places.MAX_BYTES", 1_000)
    monkeypatch.setattr(intake, "MAX_BYTES", 1_000)
    (tmp_path / "big.jpg").write_bytes(bytes(5_000))
    collect.add(project, (tmp_path / "big.jpg",))
    assert causes_of(project) == {"big.jpg": "too-big"}


def test_links_out_of_the_folder_are_not_followed(project: Project, tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "a.jpg").write_bytes(make_jpeg(seed=0))
    (outside / "secret.jpg").write_bytes(make_jpeg(seed=1))
    (inside / "same.jpg").symlink_to(inside / "a.jpg")
    (inside / "leak.jpg").symlink_to(outside / "secret.jpg")
    (inside / "folder").symlink_to(outside)
    (inside / "circle").symlink_to(inside)
    outcome = collect.add(project, (inside,))
    assert [row["address"].rpartition("/")[2] for row in sources(project)] == ["a.jpg", "same.jpg"]
    assert causes_of(project) == {"leak.jpg": "symlink", "folder": "symlink"}
    assert outcome.summary["added"] == 1


def test_a_failure_is_recorded_once_and_its_end_too(project: Project, tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    path = tmp_path / "late.jpg"
    path.write_bytes(b"not yet")
    collect.add(project, (path,))
    collect.add(project, (path,))
    assert project.tables.count("fetches") == 1
    assert collect.status(project).summary["causes"] == {"not-an-image": 1}
    path.write_bytes(make_jpeg())
    collect.add(project, (path,))
    assert project.tables.read("fetches", ["cause"]).column("cause").to_pylist() == ["not-an-image", "ok"]
    assert collect.status(project).summary["causes"] == {}


def test_one_picture_is_enough(project: Project, tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    (tmp_path / "one.jpg").write_bytes(make_jpeg())
    outcome = collect.add(project, (tmp_path / "one.jpg",))
    assert outcome.headline == "1 picture added (0.0 MB)."
    assert outcome.next == ("pictus clean check",)


def test_a_place_without_pictures_is_told(project: Project, tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("x")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as packed:
        packed.writestr("notes.txt", "x")
    for place in (empty, tmp_path / "none.zip"):
        with pytest.raises(UserError, match=f"There is no picture in {place}"):
            collect.add(project, (place,))
    (tmp_path / "one.jpg").write_bytes(make_jpeg())
    outcome = collect.add(project, (empty, tmp_path / "one.jpg"))
    assert outcome.problems == (f"there is no picture in {empty}",)


def test_all_paths_that_do_not_exist_are_told_at_once(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no file or folder .*/one, .*/two") as caught:
        collect.add(project, (tmp_path / "one", tmp_path / "two", tmp_path))
    assert caught.value.fix


def test_all_unknown_folders_are_told_before_anything_is_added(birds: Project, photos: Path) -> None:
    (photos / "owl").rename(photos / "owls")
    (photos / "jay").rename(photos / "crane")
    with pytest.raises(UserError) as caught:
        collect.add(birds, (photos,), by_folder=True)
    assert caught.value.what.startswith("The taxonomy does not know 2 folder names; nothing was added.")
    assert "owls (3 pictures): There is no concept 'owls'. Did you mean owl?" in caught.value.what
    assert "crane (2 pictures): 'crane' means 2 concepts" in caught.value.what
    assert caught.value.fix == (
        f"rename crane to the id that is meant    then    pictus taxonomy import --folders {photos}"
    )
    assert not birds.tables.exists("images")


def test_an_unknown_concept_is_told(birds: Project, photos: Path) -> None:
    with pytest.raises(UserError, match="There is no concept 'awl'"):
        collect.add(birds, (photos,), concept="awl")
    with pytest.raises(UserError, match="both name the concept"):
        collect.add(birds, (photos,), concept="owl", by_folder=True)


def test_a_second_process_is_told_who_works(birds: Project, photos: Path, write_list: WriteList) -> None:
    with birds.lock("collect"):
        with pytest.raises(UserError, match=rf"[Pp]rocess {os.getpid()} since .* is working on 'collect'"):
            collect.add(birds, (photos,))
        with pytest.raises(UserError, match="is working on 'collect'"):
            collect.fetch(birds, write_list("url", "http://a.example/"))
    assert collect.add(birds, (photos,)).summary["added"] == 4


def test_shards_without_their_table_are_not_thrown_away(project: Project, photos: Path) -> None:
    collect.add(project, (photos,))
    project.tables.drop("images")
    with pytest.raises(UserError, match="the table of pictures is gone") as caught:
        collect.add(project, (photos,))
    assert "restore" in caught.value.fix
    assert len(list(members(project.shards_dir / "pictures-00000.tar"))) == 4


def test_many_pictures_are_committed_in_batches(
    project: Project, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "BATCH_PICTURES", 2)
    collect.add(project, (photos,))
    assert project.tables.version("images") >= 3
    assert project.tables.count("sources") == 5
    check_shards(project)


# -- fetch -------------------------------------------------------------------------------------


@pytest.fixture
def served(web: Any, make_jpeg: MakeJpeg) -> Any:
    """The loopback web with /0.jpg … /3.jpg, the last a copy of the first."""
    for number, seed in enumerate((0, 1, 2, 0)):
        web.put(f"/{number}.jpg", make_jpeg(seed=seed), ETag=f'"{seed}"')
    return web


def fetch(project: Project, path: Path, **options: Any) -> Any:
    return collect.fetch(project, path, allow_host=("127.0.0.1",), rate=0, **options)


def test_a_list_is_fetched_with_its_claims(birds: Project, served: Any, write_list: WriteList) -> None:
    rows = [f"{served.url(f'/{number}.jpg')},owl,CC0,Ann,minerva" for number in range(4)]
    outcome = fetch(birds, write_list("url,concept,licence,author,query", *rows))
    assert (outcome.summary["added"], outcome.summary["again"], outcome.summary["failed"]) == (3, 1, 0)
    found = sources(birds)
    assert sorted(row["address"] for row in found) == [served.url(f"/{number}.jpg") for number in range(4)]
    claims = {(row["kind"], row["concept_id"], row["licence"], row["author"], row["query"]) for row in found}
    assert claims == {("url", "n01621127", "CC0", "Ann", "minerva")}
    attempts = list(outcome)
    assert {(attempt.cause, attempt.status, attempt.tries) for attempt in attempts} == {("ok", 200, 1)}
    assert {attempt.size for attempt in attempts} == {row["size"] for row in birds.tables.read("images").to_pylist()}
    check_shards(birds)


def test_what_is_proposed_is_what_was_typed(project: Project, served: Any, write_list: WriteList) -> None:
    served.put("/busy.jpg", b"", status=503, Retry_After="9999")
    path = write_list("url", served.url("/busy.jpg"), name="my list.csv")
    said = {"contact": "me@example.org", "resize": 256}
    assert fetch(project, path, **said).next[0] == (
        f"pictus collect fetch '{path}' --contact me@example.org --rate 0 --allow-host 127.0.0.1 --resize 256"
    )


def test_parquet_and_tsv_lists_are_read(birds: Project, served: Any, tmp_path: Path, write_list: WriteList) -> None:
    pq.write_table(pa.table({"url": [served.url("/0.jpg")], "concept": ["jay"]}), tmp_path / "list.parquet")
    fetch(birds, tmp_path / "list.parquet")
    fetch(birds, write_list("url\tconcept", f"{served.url('/1.jpg')}\towl", name="list.tsv"))
    assert [row["concept_id"] for row in sources(birds)] == ["n01580077", "n01621127"]


def test_a_second_run_asks_only_for_what_may_have_changed(
    project: Project, served: Any, write_list: WriteList, make_jpeg: MakeJpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pictus.collect.steps.limits_of", lambda _: Limits(interval_s=0.0, back_off_s=0.01))
    served.put("/gone.jpg", b"", status=404)
    served.put("/busy.jpg", b"", status=500)
    served.put("/page.jpg", b"<html>")
    names = ("/0.jpg", "/gone.jpg", "/busy.jpg", "/page.jpg")
    path = write_list("url", *map(served.url, names))
    first = fetch(project, path)
    assert first.summary["causes"] == {"http-404": 1, "http-500": 1, "not-an-image": 1, "ok": 1}
    assert "1 × http-404: the picture is gone: correct the address or leave it out" in first.problems
    assert first.next[0].startswith(f"pictus collect fetch {path}")
    served.requests.clear()
    served.put("/busy.jpg", make_jpeg(seed=5))
    second = fetch(project, path)
    assert served.asked() == ["/busy.jpg"]
    assert (second.summary["skipped"], second.summary["added"]) == (3, 1)
    served.requests.clear()
    served.put("/gone.jpg", make_jpeg(seed=6))
    third = fetch(project, path, retry=True)
    assert sorted(served.asked()) == ["/gone.jpg", "/page.jpg"]
    assert third.summary["added"] == 1
    assert collect.status(project).summary["causes"] == {"not-an-image": 1}


def test_a_refresh_asks_conditionally_and_keeps_what_it_had(
    project: Project, served: Any, write_list: WriteList, make_jpeg: MakeJpeg
) -> None:
    def page(handler: Any) -> None:
        is_same = handler.headers["If-None-Match"] == '"0"'
        handler.answer(304 if is_same else 200, b"" if is_same else make_jpeg(seed=0), ETag='"0"')

    served.pages["/0.jpg"] = page
    path = write_list("url", served.url("/0.jpg"), served.url("/1.jpg"))
    fetch(project, path)
    served.put("/1.jpg", make_jpeg(seed=9))
    outcome = fetch(project, path, refresh=True)
    assert outcome.summary["causes"] == {"ok": 1, "unchanged": 1}
    assert (outcome.summary["added"], project.tables.count("images"), project.tables.count("sources")) == (1, 3, 3)
    latest = {attempt.address: attempt for attempt in outcome}
    assert latest[served.url("/0.jpg")].image_id
    assert latest[served.url("/0.jpg")].etag == '"0"'
    assert fetch(project, path).summary["skipped"] == 2


def test_what_was_no_picture_is_not_asked_for_conditionally(
    project: Project, web: Any, write_list: WriteList
) -> None:
    web.put("/page.jpg", b"<html>", ETag='"1"')
    path = write_list("url", web.url("/page.jpg"))
    for _ in range(2):
        assert fetch(project, path, retry=True).summary["causes"] == {"not-an-image": 1}
    assert "if-none-match" not in web.requests[-1].headers


def test_a_claim_added_to_the_list_later_needs_no_new_request(
    birds: Project, served: Any, write_list: WriteList
) -> None:
    fetch(birds, write_list("url", served.url("/0.jpg")))
    served.requests.clear()
    outcome = fetch(birds, write_list("url,concept", f"{served.url('/0.jpg')},jay"))
    assert (served.asked(robots=True), outcome.summary["changed"]) == ([], 1)
    assert [row["concept_id"] for row in sources(birds)] == ["n01580077"]


def test_addresses_nobody_may_ask_for_are_recorded_without_a_packet(
    project: Project, web: Any, write_list: WriteList
) -> None:
    rows = ["ftp://a.example/x", "http://me:secret@a.example/x", "nonsense", web.url("/x.jpg")]
    outcome = collect.fetch(project, write_list("url", *rows), rate=0)
    assert outcome.summary["causes"] == {"bad-url": 3, "private-address": 1}
    assert web.requests == []
    recorded = project.tables.read("fetches", ["address", "detail"]).to_pylist()
    assert "secret" not in str(recorded)
    assert "1 × private-address" in str(outcome.problems)
    assert "--allow-host" in str(outcome.problems)


def test_a_host_named_later_is_asked_then(project: Project, served: Any, write_list: WriteList) -> None:
    path = write_list("url", served.url("/0.jpg"))
    refused = collect.fetch(project, path, rate=0)
    assert (refused.summary["causes"], refused.next) == ({"private-address": 1}, ())
    assert collect.fetch(project, path, rate=0).summary["skipped"] == 1
    assert fetch(project, path).summary["added"] == 1


def test_a_bomb_on_the_web_is_recorded(project: Project, web: Any, write_list: WriteList) -> None:
    web.put("/bomb.png", bomb_png(), Content_Type="image/jpeg")
    fetch(project, write_list("url", web.url("/bomb.png")))
    assert causes_of(project) == {"bomb.png": "too-many-pixels"}


def test_repeated_addresses_are_fetched_once(project: Project, served: Any, write_list: WriteList) -> None:
    outcome = fetch(project, write_list("url", *[served.url("/0.jpg")] * 3))
    assert served.asked() == ["/0.jpg"]
    assert "2 rows repeat an address: its first row counts" in outcome.problems


def test_bad_lists_are_told(birds: Project, tmp_path: Path, write_list: WriteList) -> None:
    with pytest.raises(UserError, match="There is no file"):
        collect.fetch(birds, tmp_path / "none.csv")
    with pytest.raises(UserError, match=r"no column 'url'.*'link'"):
        collect.fetch(birds, write_list("link,concept", "x,owl"))
    with pytest.raises(UserError, match="2 bad rows") as caught:
        collect.fetch(birds, write_list("url,concept", "http://a.example/,awl", "http://b.example/,dodo"))
    assert "line 2" in caught.value.what
    assert "line 3" in caught.value.what
    (tmp_path / "latin.csv").write_bytes(b"url\nhttp://a.example/\xe9\n")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        collect.fetch(birds, tmp_path / "latin.csv")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(UserError, match="is not a Parquet file"):
        collect.fetch(birds, tmp_path / "broken.parquet")
    assert not birds.tables.exists("images")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": -1.0}, "--rate -1 is no number of requests"),
        ({"rate": math.nan}, "--rate nan is no number of requests"),
        ({"rate": math.inf}, "--rate inf is no number of requests"),
        ({"contact": "me\r\nX: y"}, "cannot be sent in a header"),
        ({"allow_host": ("http://x",)}, "is not a host name"),
    ],
)
def test_bad_options_are_told(project: Project, write_list: WriteList, options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        collect.fetch(project, write_list("url", "http://a.example/"), **options)


def test_an_empty_list_is_no_error(project: Project, write_list: WriteList) -> None:
    assert collect.fetch(project, write_list("url")).summary["listed"] == 0


# -- status ------------------------------------------------------------------------------------


def test_status_counts_pictures_per_concept_and_kind(
    birds: Project, photos: Path, served: Any, write_list: WriteList
) -> None:
    assert collect.status(birds).next[0].startswith("pictus collect add PICTURES --by-folder")
    (photos / "owl/broken.jpg").write_bytes(b"x")
    collect.add(birds, (photos,), by_folder=True)
    fetch(birds, write_list("url", served.url("/0.jpg"), served.url("/missing.jpg")))
    outcome = collect.status(birds)
    assert outcome.summary["pictures"] == 4
    assert outcome.summary["concepts"] == {"n01580077": 2, "n01621127": 3}  # the copy counts for both
    assert outcome.summary["names"] == {"n01580077": "jay", "n01621127": "owl"}
    assert outcome.summary["kinds"] == {"folder": 4, "url": 1}
    assert outcome.summary["formats"] == {"jpeg": 4}
    assert outcome.summary["causes"] == {"http-404": 1, "not-an-image": 1}
    assert [attempt.cause for attempt in outcome] == ["not-an-image", "http-404"]


def test_events_tell_what_was_collected(birds: Project, photos: Path) -> None:
    collect.add(birds, (photos,))
    (event,) = birds.journal.events()
    assert (event.stage, event.event, event.data["added"]) == ("collect", "pictures_added", 4)


def test_status_draws_the_counts_before_the_failures(
    birds: Project, photos: Path, served: Any, write_list: WriteList
) -> None:
    collect.add(birds, (photos,), by_folder=True)
    fetch(birds, write_list("url", served.url("/0.jpg"), *(served.url(f"/missing{number}") for number in range(7))))
    outcome = collect.status(birds)
    first, *lines = outcome.headline.split("\n")
    assert first.endswith("7 failures.")
    assert lines[: lines.index("the last failures, of 7; --jsonl gives all")] == [
        "", "pictures of each concept", "  3  owl  n01621127", "  2  jay  n01580077", "  1  without a concept",
        "", "pictures of each kind of source", "  4  folder", "  1  url", "",
    ]  # fmt: skip
    assert len(lines) == 10 + 1 + 5
    assert lines[-1].startswith(f"  http-404  {served.url('/missing6')}")
    assert outcome.problems == ("7 × http-404: the picture is gone: correct the address or leave it out",)


def test_a_refresh_says_what_is_unchanged_also_without_an_etag(
    project: Project, served: Any, write_list: WriteList
) -> None:
    path = write_list("url", served.url("/0.jpg"), served.url("/1.jpg"))
    fetch(project, path)
    assert fetch(project, path, refresh=True).headline == "0 pictures added (0.0 MB), 2 unchanged."


def test_an_empty_path_is_not_the_present_folder(birds: Project, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    with pytest.raises(UserError, match="An empty path was given"):
        collect.add(birds, ("",))
    assert birds.tables.count("images") == 0


def test_a_list_and_an_address_say_which_command_is_meant(project: Project, tmp_path: Path) -> None:
    listed = tmp_path / "urls.csv"
    listed.write_text("url\nhttp://127.0.0.1:9/a.jpg\n", encoding="utf-8")
    with pytest.raises(UserError, match="is a list, not a picture") as told:
        collect.add(project, (listed,))
    assert told.value.fix.startswith(f"pictus collect fetch {listed}")
    with pytest.raises(UserError, match="is an address") as told:
        collect.add(project, ("https://example.org/owls.html",))
    assert "pictus collect find https://example.org/owls.html" in told.value.fix
    with pytest.raises(UserError, match=r"'https://example.org/owls.html' is an address, not a list") as told:
        collect.fetch(project, Path("https://example.org/owls.html"))
    assert told.value.fix.startswith("pictus collect find https://example.org/owls.html ")


def test_without_any_network_that_is_what_is_asked(
    project: Project, write_list: WriteList, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object, **__: object) -> Any:
        raise OSError(-3, "no names here")

    monkeypatch.setattr("socket.getaddrinfo", nowhere)
    outcome = collect.fetch(project, write_list("url", "http://one.example/1.jpg", "http://two.example/2.jpg"), rate=0)
    assert outcome.is_vain
    assert any("is there a network?" in problem for problem in outcome.problems)


@pytest.mark.parametrize("contact", ["notanaddress", "me at home", "@"])
def test_a_contact_that_nobody_can_write_to_is_told(project: Project, write_list: WriteList, contact: str) -> None:
    with pytest.raises(UserError, match="is no mail and no web address"):
        fetch(project, write_list("url"), contact=contact)
    for good in ("me@example.org", "https://example.org/crawler", "Ann <ann@example.org>", "example.org"):
        fetch(project, write_list("url"), contact=good)


def test_lists_of_nothing_say_so(project: Project, tmp_path: Path, write_list: WriteList) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty\.csv is empty"):
        fetch(project, tmp_path / "empty.csv")
    path = write_list("url")
    assert fetch(project, path).problems == (f"{path} lists no address",)


def test_a_column_that_is_not_there_is_named_with_those_that_are(project: Project, tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b"x"], "label": [1]}), tmp_path / "a.parquet")
    for how, what in (("imge", "there is no column 'imge'"), ("label", "the column 'label' holds no pictures")):
        outcome = collect.add(project, (tmp_path / "a.parquet",), source=f"parquet:{how}")
        assert outcome.is_vain
        assert any(f"{what}; its columns: image, label" in problem for problem in outcome.problems), outcome.problems
