"""Which source reads a place, one of somebody else's, and every kind through `collect add`."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pictus import Project, collect
from pictus.collect.sources import SOURCES, Found, Source, chosen
from pictus.errors import UserError

MakeJpeg = Callable[..., bytes]
PAGE = Path(__file__).parent.parent.parent / "docs" / "collect.md"
PLUGINS: dict[str, object] = {}


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, object], None]]:
    """plugin("album", source): as if a package with that entry point were installed."""

    def load(point: metadata.EntryPoint) -> object:
        if isinstance(item := PLUGINS[point.name], Exception):
            raise item
        return item

    def points(*, group: str) -> tuple[metadata.EntryPoint, ...]:
        return tuple(metadata.EntryPoint(name, "x:y", group) for name in PLUGINS) if group == "pictus.sources" else ()

    monkeypatch.setattr(metadata.EntryPoint, "load", load)
    monkeypatch.setattr(metadata, "entry_points", points)
    monkeypatch.setattr(SOURCES, "_found", dict(SOURCES._found))
    yield PLUGINS.__setitem__
    PLUGINS.clear()


def sources(project: Project) -> list[tuple[str, str, str]]:
    """(address' last part, kind, concept_id) in the order taken."""
    rows = project.tables.read("sources", ["address", "kind", "concept_id"]).to_pylist()
    return [(row["address"].rpartition("/")[2], row["kind"], row["concept_id"]) for row in rows]


def tarred(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


# -- which source ------------------------------------------------------------------------------


def test_a_place_is_read_as_what_it_is(tmp_path: Path) -> None:
    names = {"a.zip": "archive", "a.tar.gz": "archive", "a.parquet": "parquet", "a.MP4": "video", "a.jpg": "file",
             "plain": "file"}  # fmt: skip
    for name in names:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.zip").mkdir()
    found = chosen([str(tmp_path / name) for name in [*names, "folder.zip"]] + ["s3://bucket/x"])
    assert [one.name for one in found] == [*names.values(), "folder", "bucket"]


def test_a_place_given_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [one.place for one in chosen([".", str(tmp_path), "./"])] == [str(tmp_path)]


def test_a_source_may_be_said_with_how(tmp_path: Path) -> None:
    (one,) = chosen([str(tmp_path)], "video:2s")
    assert (one.name, one.how) == ("video", "2s")
    for forced, message in (
        ("vidoe", "There is no source 'vidoe'"), ("folder:x", "takes nothing behind its name"), ("video", "no file"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            chosen([str(tmp_path / "none") if forced == "video" else str(tmp_path)], forced)


def test_places_of_nobody_are_told_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no file or folder one, .*two, x{300}"):
        chosen(["one", str(tmp_path / "two"), str(tmp_path), "x" * 300])
    with pytest.raises(UserError, match="is an address") as caught:
        chosen(["https://a.example/x.jpg"])
    assert "pictus collect fetch" in caught.value.fix


# -- plugins -----------------------------------------------------------------------------------


def test_the_source_that_the_page_shows_works(
    birds: Project, tmp_path: Path, plugin: Callable[[str, object], None], make_jpeg: MakeJpeg
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (code,) = [block for block in blocks if "ALBUM" in block]
    space: dict[str, Any] = {}
    exec(code, space)
    assert len(code.splitlines()) <= 17
    plugin("album", space["ALBUM"])
    (tmp_path / "1.jpg").write_bytes(make_jpeg())
    place = tmp_path / "summer.album"
    place.write_text(json.dumps([{"file": "1.jpg", "title": "Owl"}]))
    outcome = collect.add(birds, (place,))
    assert outcome.summary["added"] == 1
    assert sources(birds) == [("summer.album#1.jpg", "album", "n01621127")]


def test_a_plugin_may_read_what_is_no_file_and_take_a_how(
    project: Project, plugin: Callable[[str, object], None], make_jpeg: MakeJpeg
) -> None:
    def look_in(place: str, *, how: str, with_bytes: bool) -> Iterator[Found]:
        yield Found(f"{place}/1", "roll", "", make_jpeg())
        yield Found(f"{place}/2", "roll", "", b"", "unreadable", how, remark="the film is old")

    plugin("roll", Source(lambda place: place.startswith("roll:"), look_in, how="any word"))
    outcome = collect.add(project, ("roll:7",), source="roll:slowly")
    assert outcome.summary["causes"] == {"ok": 1, "unreadable": 1}
    assert "1 × the film is old" in outcome.problems
    assert project.tables.read("fetches", ["detail"]).to_pylist() == [{"detail": "slowly"}]
    assert [one.name for one in chosen(["roll:7"])] == ["roll"]


@pytest.mark.parametrize(
    ("item", "message"),
    [(ImportError("no module x"), "'bad' of x:y cannot be imported: ImportError: no module x"),
     (len, "bad is a builtin_function")],
)
def test_a_broken_plugin_is_told_by_its_name_and_harms_no_files(
    project: Project, tmp_path: Path, plugin: Callable[[str, object], None], item: object, message: str
) -> None:
    plugin("bad", item)
    with pytest.raises(UserError, match=f"The source {message}"):
        collect.add(project, ("bad:x",))
    assert [one.name for one in chosen([str(tmp_path)])] == ["folder"]


# -- add ---------------------------------------------------------------------------------------


def test_one_photo_in_a_folder_an_archive_and_a_table_is_one_picture(
    birds: Project, tmp_path: Path, make_jpeg: MakeJpeg
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/owl.jpg").write_bytes(make_jpeg())
    tarred(tmp_path / "a.tar", ("owl.jpg", make_jpeg()))
    pq.write_table(pa.table({"image": [make_jpeg()], "label": ["OWL"]}), tmp_path / "a.parquet")
    outcome = collect.add(birds, (tmp_path / "photos", tmp_path / "a.tar", tmp_path / "a.parquet"))
    assert (outcome.summary["added"], outcome.summary["again"]) == (1, 2)
    assert sources(birds) == [
        ("owl.jpg", "folder", ""), ("owl.jpg", "archive", ""), ("a.parquet#row=0", "parquet", "n01621127"),
    ]  # fmt: skip


def test_a_folder_with_tables_and_videos_takes_the_tables_and_tells_the_videos(
    project: Project, tmp_path: Path, make_jpeg: MakeJpeg
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    pq.write_table(pa.table({"image": [make_jpeg(seed=1)]}), folder / "a.parquet")
    pq.write_table(pa.table({"url": ["x"]}), folder / "meta.parquet")
    (folder / "clip.mp4").write_bytes(b"x")
    (folder / "0.jpg").write_bytes(make_jpeg(seed=0))
    outcome = collect.add(project, (folder,))
    assert (outcome.summary["added"], outcome.summary["failed"]) == (2, 0)
    assert [line for line in outcome.problems if "video" in line] == [
        "1 × a video beside pictures is left out: --source video takes frames of the videos in a folder"
    ]
    (folder / "0.jpg").unlink()
    (folder / "a.parquet").unlink()
    with pytest.raises(UserError, match=r"There is no picture in .*--source video takes"):
        collect.add(project, (folder,))


def test_a_project_inside_the_folder_is_not_added_to_itself(
    project: Project, tmp_path: Path, make_jpeg: MakeJpeg
) -> None:
    (tmp_path / "0.jpg").write_bytes(make_jpeg())
    for _ in range(2):
        outcome = collect.add(project, (tmp_path,))
        assert outcome.problems == ("1 × a Pictus project inside the folder is left out",)
    assert [name for name, *_ in sources(project)] == ["0.jpg"]


def test_frames_of_the_videos_in_a_folder(project: Project, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="the extra `video` is not installed")
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(15):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    (tmp_path / "notes.txt").write_text("x")
    outcome = collect.add(project, (tmp_path,), source="video")
    assert outcome.summary["found"] == 3
    assert sources(project)[1] == ("clip.mp4#t=1.000", "video", "")
    with pytest.raises(UserError, match="cannot be taken every 'often'"):
        collect.add(project, (tmp_path,), source="video:often")


def test_labels_nobody_knows_are_counted_told_and_mended_by_the_same_command(
    birds: Project, tmp_path: Path, make_jpeg: MakeJpeg
) -> None:
    members = [(f"{n}.{kind}", data) for n, label in enumerate((b"owl", b"3", b"3", b"dodo"))
               for kind, data in (("jpg", make_jpeg(seed=n)), ("cls", label))]  # fmt: skip
    path = tarred(tmp_path / "a.tar", *members)
    outcome = collect.add(birds, (path,))
    assert outcome.summary["added"] == 4
    assert outcome.problems[0].startswith(
        "3 pictures taken without a claim: the taxonomy does not know 2 labels, '3' (2), 'dodo' (1): pictus taxonomy"
    )
    assert "classes.txt" in outcome.problems[0]
    (tmp_path / "classes.txt").write_text("a\nb\nc\njay\n")
    again = collect.add(birds, (path,))
    assert (again.summary["changed"], again.summary["known"]) == (2, 2)
    assert [concept for *_, concept in sources(birds)].count("n01580077") == 2
    given = collect.add(birds, (path,), concept="owl")
    assert {concept for *_, concept in sources(birds)} == {"n01621127"}
    assert not [line for line in given.problems if "taxonomy" in line]


def test_synonyms_in_one_label_mean_the_concept_they_share(birds: Project, tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    labels = ["owl, bird of Minerva, no such name", "owl, jay", "crane"]
    table = pa.table({"image": [make_jpeg(seed=n) for n in range(3)], "label": labels})
    pq.write_table(table, tmp_path / "a.parquet")
    outcome = collect.add(birds, (tmp_path / "a.parquet",))
    assert [concept for *_, concept in sources(birds)] == ["n01621127", "", ""]
    assert outcome.problems[0].startswith("2 pictures taken without a claim")


def test_what_an_archive_says_of_a_picture_is_kept_and_its_address_is_a_second_source(
    birds: Project, tmp_path: Path, make_jpeg: MakeJpeg
) -> None:
    says = {"url": "https://me:secret@a.example/1.jpg", "license": "CC0", "author": "Ann", "caption": "c"}
    bad = {"url": "javascript:alert(1)", "label": "owl"}
    path = tarred(
        tmp_path / "a.tar", ("0.jpg", make_jpeg(seed=0)), ("0.json", json.dumps(says).encode()),
        ("1.jpg", make_jpeg(seed=1)), ("1.json", json.dumps(bad).encode()),
        ("2.jpg", make_jpeg(seed=2)), ("2.json", json.dumps(says | {"url": "https://a.example/2.jpg"}).encode()),
    )  # fmt: skip
    first, second = (collect.add(birds, (path,), licence=licence) for licence in ("", "CC-BY-4.0"))
    assert (first.summary["found"], first.summary["added"], first.summary["known"]) == (3, 3, 0)
    assert (second.summary["changed"], second.summary["known"]) == (3, 0)
    rows = birds.tables.read("sources").to_pylist()
    assert sorted(row["address"].rpartition("/")[2] for row in rows) == ["0.jpg", "1.jpg", "2.jpg", "2.jpg"]
    assert "secret" not in str(rows)
    (said,) = [row for row in rows if row["address"] == "https://a.example/2.jpg"]
    assert (said["licence"], said["author"], said["query"], said["kind"]) == ("CC-BY-4.0", "Ann", "c", "archive")


# -- by folder ---------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path, make_jpeg: MakeJpeg) -> Path:
    root = tmp_path / "photos"
    for seed, name in enumerate(("owl/0.jpg", "jay/1.jpg", "loose.jpg", "jay/near/2.jpg")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(make_jpeg(seed=seed))
    (root / "jay/near").rename(root / "jay/owl")
    return root


@pytest.mark.parametrize("is_archive", [False, True])
def test_loose_pictures_beside_class_folders_are_taken_without_a_claim(
    birds: Project, tmp_path: Path, photos: Path, is_archive: bool
) -> None:
    place = photos
    if is_archive:
        files = sorted(photos.rglob("*.jpg"))
        place = tarred(tmp_path / "a.tar", *((str(path.relative_to(photos)), path.read_bytes()) for path in files))
    outcome = collect.add(birds, (place,), by_folder=True)
    assert outcome.problems == ("1 picture beside the class folders taken without a claim",)
    assert sorted(concept for *_, concept in sources(birds)) == ["", "n01580077", "n01621127", "n01621127"]


@pytest.mark.parametrize("is_archive", [False, True])
def test_unknown_folders_are_refused_with_a_command_that_works(
    birds: Project, tmp_path: Path, photos: Path, is_archive: bool
) -> None:
    from pictus import taxonomy

    (photos / "owl").rename(photos / "dodo")
    (photos / "jay").rename(photos / "my wren")
    place = photos
    if is_archive:
        files = sorted(photos.rglob("*.jpg"))
        place = tarred(tmp_path / "a.tar", *((str(path.relative_to(photos)), path.read_bytes()) for path in files))
    with pytest.raises(UserError, match=r"2 folder names; nothing was added\.\n  dodo .*\n  my wren") as caught:
        collect.add(birds, (place,), by_folder=True)
    assert not birds.tables.exists("images")
    assert caught.value.fix == f"pictus taxonomy import --folders {place}"
    taxonomy.import_(birds, folders=place)
    assert collect.add(birds, (place,), by_folder=True).summary["added"] == 4


def test_pictures_loose_in_a_split_are_loose_and_those_of_a_misspelt_class_are_not(
    birds: Project, photos: Path, make_jpeg: MakeJpeg
) -> None:
    for name in ("train/owl/5.jpg", "train/6.jpg", "jays/far/7.jpg", "jays/8.jpg"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(make_jpeg(seed=int(name[-5])))
    with pytest.raises(UserError, match=r"2 folder names; .*\n  far \(1 picture\): .*\n  jays \(1 picture\)"):
        collect.add(birds, (photos,), by_folder=True)
    (photos / "jays/far").rename(photos / "jays/jay")
    (photos / "jays").rename(photos / "bird")
    outcome = collect.add(birds, (photos,), by_folder=True)
    assert outcome.problems == ("2 pictures beside the class folders taken without a claim",)


def test_a_place_whose_own_name_is_unknown_is_named_one_by_one(birds: Project, photos: Path) -> None:
    (photos / "owl").rename(photos / "dodos")
    with pytest.raises(UserError, match="1 folder name") as caught:
        collect.add(birds, (photos / "dodos",), by_folder=True)
    assert caught.value.fix == "pictus taxonomy add dodos --parent CONCEPT"


def test_folders_of_a_tables_paths_name_concepts_too(birds: Project, tmp_path: Path, make_jpeg: MakeJpeg) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    held = [{"bytes": make_jpeg(), "path": "x/owl/0.jpg"}]
    pq.write_table(pa.table({"image": pa.array(held, kind), "label": ["jay"]}), tmp_path / "a.parquet")
    collect.add(birds, (tmp_path / "a.parquet",), by_folder=True)
    assert sources(birds) == [("a.parquet#row=0", "parquet", "n01621127")]
