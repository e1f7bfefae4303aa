"""GPS out, faces blurred: what changes in a release, what does not, and where it is written down."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pictus
from pictus import metadata, release, releases
from pictus.errors import PictureError, UserError
from pictus.pixels import decode
from pictus.records import Concept, Faces, Label, Picture, Source
from pictus.release.differences import changes
from pictus.release.redaction import Redaction, blurred, kind_of, redact
from pictus.release.verification import check_tables
from pictus.shards import ShardWriter
from pictus.tables import table_of

AT = "2026-01-01T00:00:00Z"
BOX = [[20.0, 10.0, 16.0, 16.0, 3.5]]
PROFILE_HEAD = bytes(16) + b"RGB XYZ "


def scene(seed: int, *, gps: bool = False, kind: str = "JPEG", side: int = 64, **options: Any) -> bytes:
    """Noise, so that a blur shows."""
    tags = Image.Exif()
    tags[0x013B] = "Ada Example"
    if gps:
        tags[0x8825] = {1: "N", 2: (48.0, 51.0, 30.0 + seed), 3: "E", 4: (2.0, 17.0, 40.0)}
    noise = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, kind, exif=tags, **options)
    return out.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def ten(project: pictus.Project) -> list[bytes]:
    """Ten labelled and looked at pictures of one class: 0 to 2 have GPS, 2 and 3 a face; all else is their own."""
    data = [scene(number, gps=number < 3) for number in range(10)]
    add(project, data)
    faces = [Faces(sha(one), "", int(at in (2, 3)), json.dumps(BOX if at in (2, 3) else []), "opencv")
             for at, one in enumerate(data)]  # fmt: skip
    project.tables.append("faces", table_of("faces", faces))
    return data


def add(project: pictus.Project, data: list[bytes]) -> None:
    images = []
    with ShardWriter(project.shards_dir) as writer:
        for one in data:
            shard, offset, size = writer.add(sha(one), "jpg", one)
            images.append(Picture(sha(one), shard, offset, size, 64, 64, "jpeg", "RGB", AT))
    tables = project.tables
    tables.append("concepts", table_of("concepts", [Concept("n1", ("owl",), is_class=True)]))
    tables.append("images", table_of("images", images))
    sources = [Source(sha(one), f"/p/owl/{at}.jpg", "folder", "n1", "", "CC0", "", AT) for at, one in enumerate(data)]
    tables.append("sources", table_of("sources", sources))
    tables.append("labels", table_of("labels", [Label(sha(one), "n1", 1, 1, "accepted", "x", AT) for one in data]))
    release.split(project, seed=1)


def rows_of(root: Path) -> dict[str, dict[str, Any]]:
    """origin_id -> row."""
    return {row["origin_id"]: row for row in pq.read_table(root / "pictures.parquet").to_pylist()}


def bytes_of(root: Path, row: dict[str, Any]) -> bytes:
    shard: bytes = (root / row["shard"]).read_bytes()
    return shard[row["offset"] : row["offset"] + row["size"]]


# -- one picture -------------------------------------------------------------------------------------


def test_without_gps_or_faces_a_picture_stays_as_it_was_found() -> None:
    data = scene(1)
    assert redact("a", data, Redaction()) == (data, "")


def test_gps_goes_and_everything_else_stays() -> None:
    data = scene(1, gps=True)
    found = redact("a", data, Redaction())
    assert found.changes == "gps removed"
    assert len(found.image_bytes) == len(data)
    assert "gps" in metadata.read(data).kinds
    assert "gps" not in metadata.read(found.image_bytes).kinds
    assert metadata.read(found.image_bytes).creator == "Ada Example"
    assert (decode(found.image_bytes) == decode(data)).all()
    assert redact("a", data, Redaction(keeps_gps=True)) == (data, "")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_face_is_blurred_and_what_is_far_from_it_stays(kind: str) -> None:
    data = scene(2, gps=True, kind=kind, side=128, icc_profile=PROFILE_HEAD)
    found = redact("a", data, Redaction(boxes={"a": BOX}))
    before, after = decode(data).astype(float), decode(found.image_bytes).astype(float)
    assert found.changes == "gps removed, 1 face blurred"
    inside, outside = np.s_[12:24, 22:34], np.s_[60:, 60:]
    assert after[inside].std() < 0.5 * before[inside].std()
    assert np.abs(after[outside] - before[outside]).mean() < 8
    image = Image.open(io.BytesIO(found.image_bytes))
    assert image.format == kind
    assert image.info["icc_profile"] == PROFILE_HEAD
    assert not image.getexif()
    assert redact("a", data, Redaction(boxes={"a": BOX})) == found


def test_a_box_counts_in_the_upright_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 80, 3), np.uint8)
    tags, out = Image.Exif(), io.BytesIO()
    tags[0x0112] = 6  # turned: 40 wide, 80 high when upright
    Image.fromarray(noise).save(out, "JPEG", exif=tags, quality=95)
    before = decode(out.getvalue()).astype(float)
    after = decode(redact("a", out.getvalue(), Redaction(boxes={"a": [[10, 60, 14, 14]]})).image_bytes).astype(float)
    assert before.shape == after.shape == (80, 40, 3)
    assert after[63:71, 13:21].std() < 0.6 * before[63:71, 13:21].std()
    assert np.abs(after[:40] - before[:40]).mean() < 8


def test_of_a_moving_picture_the_first_frame_remains_and_that_is_told() -> None:
    frames = [Image.fromarray(np.full((32, 32, 3), grey, np.uint8)) for grey in (10, 200)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    found = redact("a", out.getvalue(), Redaction(boxes={"a": [[4, 4, 9, 9], [20, 20, 6, 6]]}))
    assert found.changes == "2 faces blurred, first frame only"
    assert Image.open(io.BytesIO(found.image_bytes)).format == "PNG"
    assert [kind_of(part) for part in found.changes.split(",")] == ["faces blurred", "first frame only"]


def frames_of(kind: str, greys: tuple[int, ...] = (10, 200, 90)) -> bytes:
    frames = [Image.fromarray(np.full((32, 32, 3), grey, np.uint8)) for grey in greys]
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    return out.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "MPO", "PNG", "WEBP"])
def test_of_frames_that_nobody_looked_at_none_is_released_though_the_first_holds_no_face(kind: str) -> None:
    data = frames_of(kind)
    found = redact("a", data, Redaction(blurs=True))
    assert found.changes == "first frame only"
    image = Image.open(io.BytesIO(found.image_bytes))
    assert getattr(image, "n_frames", 1) == 1
    assert np.abs(decode(found.image_bytes).astype(int) - decode(data)).max() <= 1
    assert redact("a", data, Redaction()).changes == ""
    assert redact("a", frames_of(kind, (10,)), Redaction(blurs=True)).changes == ""
    assert redact("a", data, Redaction(boxes={"a": BOX}, blurs=True)).changes == "1 face blurred, first frame only"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "restart_marker_rows": 1}])
def test_a_jpeg_loses_what_lies_behind_it_and_nothing_else(options: dict[str, Any]) -> None:
    data = scene(1, **options)
    for tail in (scene(2), b"\0\0\0\x18ftypmp42" + bytes(99)):
        assert redact("a", data + tail, Redaction(blurs=True)) == (data, "first frame only")
    for padded in (data, data + bytes(9), data[:-2]):
        assert redact("a", padded, Redaction(blurs=True)) == (padded, "")
    with_gps = scene(1, gps=True, **options)
    found = redact("a", with_gps + scene(2), Redaction(blurs=True))
    assert found.changes == "gps removed, first frame only"
    assert "gps" not in metadata.read(found.image_bytes).kinds


def test_a_grey_profile_does_not_go_into_a_picture_of_colours() -> None:
    out = io.BytesIO()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(out, "JPEG", icc_profile=bytes(16) + b"GRAYXYZ ")
    found = redact("a", out.getvalue(), Redaction(boxes={"a": BOX}))
    assert "icc_profile" not in Image.open(io.BytesIO(found.image_bytes)).info


def test_boxes_over_the_edge_and_over_everything_are_blurred_without_an_error() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    assert blurred(pixels, [[-10, -10, 30, 30], [40, 20, 90, 90]]).shape == pixels.shape
    assert blurred(pixels, [[0, 0, 50, 30]]).std() < 0.6 * pixels.std()


def test_a_small_face_beside_a_large_one_is_blurred_as_well() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((1600, 1200), Image.Resampling.BICUBIC).save(out, "JPEG", quality=95)
    boxes = [[100, 300, 500, 500, 1.0], [1200, 600, 40, 40, 1.0], [1000, 100, 24, 24, 1.0]]
    after = decode(redact("a", out.getvalue(), Redaction(boxes={"a": boxes})).image_bytes).astype(float)
    before = decode(out.getvalue()).astype(float)
    for x, y, width, height, _ in boxes:
        face = np.s_[y : y + height, x : x + width]
        alike = np.corrcoef(before[face].ravel(), after[face].ravel())[0, 1]
        assert alike < 0.3, (width, alike)
        assert after[face].std() < 0.3 * before[face].std()
    assert np.abs(after[1000:, 900:] - before[1000:, 900:]).mean() < 8


def test_a_blur_that_changes_no_byte_is_no_change() -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 9, 9)).save(out, "PNG")
    assert redact("a", out.getvalue(), Redaction(boxes={"a": BOX})) == (out.getvalue(), "")


# -- a release ---------------------------------------------------------------------------------------


def test_a_release_has_no_gps_and_each_changed_picture_its_own_id(project: pictus.Project, ten: list[bytes]) -> None:
    outcome = release.cut(project, "1.0.0")
    root = project.releases_dir / "1.0.0"
    rows = rows_of(root)
    assert set(rows) == {sha(one) for one in ten}
    for at, one in enumerate(ten):
        row = rows[sha(one)]
        assert sha(bytes_of(root, row)) == row["image_id"] == row["key"].partition(".")[0]
        assert row["changes"] == ("gps removed" if at < 3 else "")
        assert (row["image_id"] != row["origin_id"]) == (at < 3)
        assert "gps" not in metadata.read(bytes_of(root, row)).kinds
    ids = pq.read_table(root / "pictures.parquet").column("image_id").to_pylist()
    assert ids == sorted(ids)
    assert outcome.summary["changes"] == {"gps removed": 3}
    assert "gps removed in 3" in outcome.headline
    assert any("2 pictures show faces as found" in one for one in outcome.problems)
    assert release.verify(project, "1.0.0").headline.startswith("1.0.0 is whole")


def test_gps_is_kept_when_asked_and_said_so(project: pictus.Project, ten: list[bytes]) -> None:
    release.cut(project, "1.0.0", keep_gps=True)
    root = project.releases_dir / "1.0.0"
    assert {row["image_id"] for row in rows_of(root).values()} == {sha(one) for one in ten}
    sheet = (root / "datasheet.md").read_text()
    assert "Where pictures were taken (GPS) was left in them." in sheet
    assert "which are as they were found." in sheet


def test_faces_are_blurred_when_asked_and_the_papers_tell_how(project: pictus.Project, ten: list[bytes]) -> None:
    outcome = release.cut(project, "1.0.0", blur_faces=True)
    root = project.releases_dir / "1.0.0"
    rows = rows_of(root)
    assert rows[sha(ten[2])]["changes"] == "gps removed, 1 face blurred"
    assert rows[sha(ten[3])]["changes"] == "1 face blurred"
    assert outcome.summary["changes"] == {"faces blurred": 2, "gps removed": 3}
    manifest = json.loads((root / "manifest.json").read_text())
    assert manifest["counts"]["changes"] == {"faces blurred": 2, "gps removed": 3}
    assert manifest["history"]["privacy"]["faces"] == "blurred"
    said = "GPS was taken out of 3 pictures. Faces: 2 found by opencv in 2 pictures; blurred in 2 pictures"
    assert said in (root / "datasheet.md").read_text()
    (protocol,) = json.loads((root / "croissant.json").read_text())["rai:dataPreprocessingProtocol"]
    assert said in protocol
    assert release.verify(project, "1.0.0").headline.startswith("1.0.0 is whole")
    again = release.cut(project, "1.0.1", blur_faces=True)
    assert again.summary["digest"] == outcome.summary["digest"]


def test_faces_that_nobody_looked_for_cannot_be_blurred(project: pictus.Project, ten: list[bytes]) -> None:
    project.tables.delete("faces", "n_faces = 0")
    with pytest.raises(pictus.UserError, match="8 pictures of 10 to be released were not looked at") as found:
        release.cut(project, "1.0.0", blur_faces=True)
    assert found.value.fix.startswith("pictus clean faces")
    assert not (project.releases_dir / "1.0.0").exists()


def test_two_pictures_that_differ_in_gps_only_are_released_once(project: pictus.Project) -> None:
    with_gps = scene(5, gps=True)
    add(project, [with_gps, metadata.without_gps(with_gps), *(scene(number) for number in range(10, 18))])
    outcome = release.cut(project, "1.0.0")
    assert outcome.summary["pictures"] == 9
    assert any("1 picture left out: the same as another once both were changed" in one for one in outcome.problems)
    assert release.verify(project, "1.0.0").summary["pictures"] == 9
    assert set(rows_of(project.releases_dir / "1.0.0")) >= {sha(metadata.without_gps(with_gps))}


def test_the_addresses_of_blurred_pictures_stay_out_and_that_is_told(
    project: pictus.Project, ten: list[bytes]
) -> None:
    outcome = release.cut(project, "1.0.0", blur_faces=True)
    root = project.releases_dir / "1.0.0"
    rows = rows_of(root)
    assert [bool(rows[sha(one)]["address"]) for one in ten] == [at not in (2, 3) for at in range(10)]
    assert "the addresses of 2 pictures with blurred faces left out: the faces are to be seen there" in outcome.problems
    assert "The addresses of blurred pictures are left out" in (root / "datasheet.md").read_text()
    encoders = json.loads((root / "manifest.json").read_text())["history"]["privacy"]["encoders"]
    assert encoders["pillow"] == PIL.__version__


def twins(project: pictus.Project, tables: dict[str, list[str]]) -> tuple[str, str]:
    """A picture with GPS and the same without, in the order of their ids, beside eight others; what tables say."""
    with_gps = scene(5, gps=True)
    pair = [with_gps, metadata.without_gps(with_gps)]
    add(project, [*pair, *(scene(number) for number in range(10, 18))])
    first, second = sorted(map(sha, pair))
    for name, values in tables.items():
        column = {"labels": "concept_id", "splits": "split"}[name]
        rows = project.tables.read(name).to_pylist()
        said = dict(zip((first, second), values, strict=True))
        rows = [row | {column: said.get(row["image_id"], row[column])} for row in rows]
        project.tables.replace(name, pa.Table.from_pylist(rows, schema=project.tables.read(name).schema))
    return first, second


def test_two_that_become_the_same_with_two_labels_are_named_and_nothing_is_cut(project: pictus.Project) -> None:
    project.tables.append("concepts", table_of("concepts", [Concept("n2", ("crow",), is_class=True)]))
    first, second = twins(project, {"labels": ["n1", "n2"]})
    named = rf"(?s)1 bad row.*{first} is labelled n1.*{second} is labelled n2|{second} is labelled n2.*{first}"
    with pytest.raises(pictus.UserError, match=named) as found:
        release.cut(project, "1.0.0")
    assert "give both one label" in found.value.fix
    assert not (project.releases_dir / "1.0.0").exists()


@pytest.mark.parametrize("splits", [["train", "test"], ["test", "train"], ["val", "test"], ["test", "test"]])
def test_of_two_that_become_the_same_the_held_out_one_counts(project: pictus.Project, splits: list[str]) -> None:
    pair = twins(project, {"splits": splits})
    outcome = release.cut(project, "1.0.0")
    rows = rows_of(project.releases_dir / "1.0.0")
    (kept,) = set(rows) & set(pair)
    assert rows[kept]["split"] == "test"
    assert splits[pair.index(kept)] == "test"
    assert outcome.summary["unscreened"] == outcome.summary["pictures"] == 9
    manifest = json.loads((project.releases_dir / "1.0.0" / "manifest.json").read_text())
    assert manifest["history"]["cleaned"]["unscreened"] == 9
    assert release.verify(project, "1.0.0").summary["pictures"] == 9


def test_verify_finds_a_row_that_hides_that_its_picture_was_changed(
    project: pictus.Project, ten: list[bytes]
) -> None:
    release.cut(project, "1.0.0")
    root = project.releases_dir / "1.0.0"
    table = pq.read_table(root / "pictures.parquet")
    path, said = root / "pictures.parquet", pa.array([""] * 10, pa.string())
    path.chmod(0o644)
    pq.write_table(table.set_column(table.schema.names.index("changes"), "changes", said), path)
    found = [one for one in check_tables(root) if one.cause == "changes"]
    assert {one.image_id for one in found} == {row["image_id"] for row in table.to_pylist() if row["changes"]}


def test_diff_calls_a_picture_that_lost_its_gps_the_same_picture(project: pictus.Project, ten: list[bytes]) -> None:
    release.cut(project, "1.0.0", keep_gps=True)
    outcome = release.cut(project, "1.0.1")
    assert not any("by convention" in one for one in outcome.problems)  # a PATCH will do
    found = release.diff(project, "1.0.0", "1.0.1")
    assert found.headline.endswith("0 added, 0 removed, 0 relabelled, 0 moved, 3 redacted")
    assert {(one.change, one.before, one.after) for one in found} == {("redacted", "as found", "gps removed")}


@pytest.mark.parametrize("form", ["imagefolder", "webdataset"])
def test_an_export_comes_back_with_what_was_done(
    project: pictus.Project, ten: list[bytes], tmp_path: Path, form: Any
) -> None:
    cut = release.cut(project, "1.0.0", blur_faces=True)
    release.export(project, "1.0.0", tmp_path / "out", format=form)
    other = pictus.new(tmp_path / "other")
    outcome = release.import_(other, tmp_path / "out")
    assert outcome.summary["digest"] == cut.summary["digest"]
    before, after = (rows_of(one.releases_dir / "1.0.0") for one in (project, other))
    kept = ("image_id", "changes", "group_id", "size", "split")
    assert {key: [row[name] for name in kept] for key, row in before.items()} == {
        key: [row[name] for name in kept] for key, row in after.items()
    }
    assert "1 concept taken over" in outcome.problems[0]
    assert [concept.names for concept in other.tables.records("concepts", Concept)] == [("owl",)]
    assert "GPS was taken out of 3 pictures" in (other.releases_dir / "1.0.0" / "datasheet.md").read_text()


def test_plain_folders_come_in_without_gps_unless_it_is_kept(project: pictus.Project, tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "owl"
    folder.mkdir(parents=True)
    for number in range(10):
        (folder / f"{number}.jpg").write_bytes(scene(number, gps=number < 3))
    outcome = release.import_(project, tmp_path / "photos", "1.0.0")
    rows = rows_of(project.releases_dir / "1.0.0")
    assert sum(row["changes"] == "gps removed" for row in rows.values()) == 3
    assert set(rows) == {sha(path.read_bytes()) for path in folder.iterdir()}
    assert release.verify(project, "1.0.0").summary["digest"] == outcome.summary["digest"]
    assert "is here already" in release.import_(project, tmp_path / "photos", "1.0.0").headline
    release.import_(project, tmp_path / "photos", "2.0.0", keep_gps=True)
    assert not any(row["changes"] for row in rows_of(project.releases_dir / "2.0.0").values())


def test_a_release_of_before_opens_verifies_and_can_be_compared(
    project: pictus.Project, make_release: Callable[..., Path], make_jpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    classes = ("n02", "n03", "n05", "n06")
    pictures = [("train", one, make_jpeg(16, 16, seed=at)) for at, one in enumerate(classes)]
    root = make_release(tmp_path / "old", pictures)
    table = pq.read_table(root / "pictures.parquet").drop_columns(["origin_id", "changes"])
    pq.write_table(table, root / "pictures.parquet")
    manifest = json.loads((root / "manifest.json").read_text())
    facts = (root / "pictures.parquet").read_bytes()
    manifest["files"]["pictures.parquet"] = {"sha256": sha(facts), "size": len(facts)}
    (root / "manifest.json").write_text(json.dumps(manifest))
    opened = releases.open_release(root)
    assert opened.pictures.column("origin_id").to_pylist() == opened.pictures.column("image_id").to_pylist()
    assert set(opened.pictures.column("changes").to_pylist()) == {""}
    assert list(changes(opened.pictures, opened.pictures)) == []
    assert release.import_(project, root).summary["pictures"] == 4
    shutil.copytree(root, project.releases_dir / "1.5.0")
    assert releases.origins(project, "a") == set()
    first = opened.pictures.column("image_id")[0].as_py()
    assert releases.ids_of_origin(project, first) == {"1.0.0": {first: "train"}, "1.5.0": {first: "train"}}


def test_an_export_of_before_comes_in(project: pictus.Project, ten: list[bytes], tmp_path: Path) -> None:
    release.cut(project, "1.0.0", keep_gps=True)
    release.export(project, "1.0.0", tmp_path / "out")
    listed = (tmp_path / "out" / "metadata.csv").read_text().splitlines()
    at = listed[0].split(",").index("origin_id")
    cells = [line.split(",") for line in listed]
    older = [",".join([*row[:at], *row[at + 2 :]]) for row in cells]
    assert "changes" not in older[0]
    (tmp_path / "out" / "metadata.csv").write_text("\n".join(older) + "\n")
    other = pictus.new(tmp_path / "other")
    release.import_(other, tmp_path / "out")
    assert set(rows_of(other.releases_dir / "1.0.0")) == {sha(one) for one in ten}


def test_show_and_search_find_the_picture_that_a_released_one_was(project: pictus.Project, ten: list[bytes]) -> None:
    from pictus import overview, search

    release.cut(project, "1.0.0")
    root = project.releases_dir / "1.0.0"
    row = rows_of(root)[sha(ten[0])]
    assert overview.find_image(project, row["image_id"][:16]) == sha(ten[0])
    assert overview.history(project, sha(ten[0]))["releases"] == [("1.0.0", row["split"])]
    (root.parent / "released.jpg").write_bytes(bytes_of(root, row))
    assert overview.find_image(project, str(root.parent / "released.jpg")) == sha(ten[0])
    search.index(project)
    assert len(list(search.query(project, like=row["image_id"][:16], count=3))) == 3


def test_an_evaluation_speaks_of_the_picture_that_was_found(project: pictus.Project, ten: list[bytes]) -> None:
    from pictus import overview

    release.cut(project, "1.0.0")
    row = rows_of(project.releases_dir / "1.0.0")[sha(ten[0])]
    path = project.models_dir / "first" / "evaluations" / "x" / "predictions.parquet"
    path.parent.mkdir(parents=True)
    said = {"image_id": row["image_id"], "cause": "", "guesses": ["n1"], "probabilities": [0.75]}
    pq.write_table(pa.Table.from_pylist([said]), path)
    assert overview.history(project, sha(ten[0]))["predictions"] == [("first", "owl 0.75")]


# -- small things ------------------------------------------------------------------------------------


def test_an_export_prints_a_path_without_detours(project: pictus.Project, ten: list[bytes], tmp_path: Path) -> None:
    release.cut(project, "1.0.0")
    outcome = release.export(project, "1.0.0", tmp_path / "a" / ".." / "out")
    assert outcome.summary["out"] == str((tmp_path / "out").resolve())


def test_a_manifest_without_its_counts_is_called_damaged(project: pictus.Project, ten: list[bytes]) -> None:
    release.cut(project, "1.0.0")
    path = project.releases_dir / "1.0.0" / "manifest.json"
    path.chmod(0o644)
    path.write_text(json.dumps({**json.loads(path.read_text()), "counts": {}}))
    with pytest.raises(pictus.UserError, match=r"lacks counts\.pictures, counts\.classes"):
        release.list_(project)


def test_a_picture_that_cannot_be_cleared_of_its_place_is_named_and_not_released(
    project: pictus.Project, ten: list[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What gives up must not let GPS through."""
    hostile = ten[2]

    def gives_up(image_bytes: bytes) -> bytes:
        if image_bytes == hostile:
            raise PictureError("too-much-metadata", "over 100,000 tags")
        return image_bytes

    monkeypatch.setattr(metadata, "without_gps", gives_up)
    with pytest.raises(UserError, match=rf"(?s)1 bad row.*{sha(hostile)}: too-much-metadata: over 100,000 tags"):
        release.cut(project, "1.0.0")
    folder = tmp_path / "plain" / "owl"
    folder.mkdir(parents=True)
    for name, one in (("good", ten[5]), ("bad", hostile)):
        (folder / f"{name}.jpg").write_bytes(one)
    outcome = release.import_(project, folder.parent, "1.0.0")
    assert any("bad.jpg: left out: too-much-metadata" in problem for problem in outcome.problems)
