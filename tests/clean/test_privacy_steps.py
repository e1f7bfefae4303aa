"""`clean faces`, `clean safety` and `clean privacy`: what is recorded, what is skipped, what is told."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image

import pictus
from pictus import clean
from pictus.clean import classifiers, detectors
from pictus.pixels import Pixels
from pictus.records import Concept, Faces, Source
from pictus.tables import table_of

Fill = Callable[..., list[str]]
AT = "2026-01-01T00:00:00Z"
GPS_TAG, ARTIST_TAG = 0x8825, 0x013B


def reddish(pixels: Pixels) -> detectors.Boxes:
    """A face where the picture is red; for tests."""
    if pixels[:, :, 0].mean() < 150 or pixels[:, :, 1].mean() > 100:
        return np.zeros((0, 5), np.float32)
    return np.array([[2, 2, 6, 6, 1.5]], np.float32)


def by_side(pictures: Sequence[Pixels]) -> list[tuple[str, float]]:
    return [("wide" if one.shape[1] > one.shape[0] else "fine", 0.25) for one in pictures]


@pytest.fixture(autouse=True)
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(detectors.DETECTORS._found, "reddish", reddish)
    monkeypatch.setitem(detectors.DETECTORS._found, "nobody", lambda _: np.zeros((0, 5), np.float32))
    monkeypatch.setitem(classifiers.CLASSIFIERS._found, "by-side", by_side)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (16, 16), **exif: str) -> bytes:
    tags = Image.Exif()
    if "gps" in exif:
        tags[GPS_TAG] = {1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)}
    if "artist" in exif:
        tags[ARTIST_TAG] = exif["artist"]
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG", **({"exif": tags} if exif else {}))
    return out.getvalue()


@pytest.fixture
def four(project: pictus.Project, fill: Fill) -> list[str]:
    """Red with GPS and an artist (an owl), green (an owl), blue and wide (a wren), one that is no picture."""
    ids = fill([
        picture((200, 20, 20), gps="yes", artist="Ada Example"), picture((20, 200, 20)),
        picture((20, 20, 200), (32, 16)), b"no picture",
    ])  # fmt: skip
    concepts = [Concept("n1", ("owl",), is_class=True), Concept("n2", ("wren",), is_class=True)]
    project.tables.append("concepts", table_of("concepts", concepts))
    claims = zip(ids, ("n1", "n1", "n2", "n2"), strict=True)
    sources = [Source(image_id, "a.jpg", "folder", concept_id, "", "", "", AT) for image_id, concept_id in claims]
    project.tables.append("sources", table_of("sources", sources))
    return ids


def test_faces_are_recorded_and_what_was_looked_at_is_skipped(
    project: pictus.Project, four: list[str], fill: Fill
) -> None:
    outcome = clean.faces(project, detector="reddish", workers=1)
    assert "1 picture of 4 with 1 face, found by reddish (4 new)" in outcome.headline
    (found,) = outcome
    assert (found.image_id, found.n_faces, json.loads(found.boxes)) == (four[0], 1, [[2, 2, 6, 6, 1.5]])
    assert any("1 picture could not be looked at: 1 not-an-image" in one for one in outcome.problems)
    assert outcome.next == ("pictus clean privacy", "pictus release cut VERSION --blur-faces")
    fill([picture((210, 20, 20))])
    again = clean.faces(project, detector="reddish", workers=1)
    assert (again.summary["looked"], again.summary["with_faces"], again.summary["pictures"]) == (1, 2, 5)
    assert clean.faces(project, detector="reddish", workers=1).summary["looked"] == 0


def test_another_detector_looks_at_everything_anew(project: pictus.Project, four: list[str]) -> None:
    clean.faces(project, detector="reddish", workers=1)
    outcome = clean.faces(project, detector="nobody", workers=1)
    assert (outcome.summary["looked"], outcome.summary["faces"], outcome.summary["replaced"]) == (4, 0, 4)
    assert {row.detector for row in project.tables.records("faces", Faces)} == {"nobody"}
    assert any("looked at again, by another detector" in one for one in outcome.problems)


def test_a_search_for_faces_that_was_killed_goes_on_where_it_stopped(project: pictus.Project, four: list[str]) -> None:
    kept = [Faces(image_id, "", 0, "[]", "reddish") for image_id in four[:2]]
    project.tables.append("faces", table_of("faces", kept))
    outcome = clean.faces(project, detector="reddish", workers=1)
    assert outcome.summary["looked"] == 2
    assert sorted(project.tables.ids("faces")) == sorted(four)


def test_what_a_detector_failed_on_is_looked_at_again(
    project: pictus.Project, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(pixels: Pixels) -> detectors.Boxes:
        if pixels.shape == (16, 32, 3):
            raise RuntimeError("no memory")
        return reddish(pixels)

    with monkeypatch.context() as patch:
        patch.setitem(detectors.DETECTORS._found, "reddish", fails)
        assert clean.faces(project, detector="reddish", workers=1).summary["causes"]["detector-failed"] == 1
        assert clean.privacy(project).summary["unseen"] == 1
    outcome = clean.faces(project, detector="reddish", workers=1)
    assert (outcome.summary["looked"], outcome.summary["causes"]) == (1, {"not-an-image": 1})


def test_without_pictures_each_says_what_to_type(project: pictus.Project) -> None:
    for step in (clean.faces, clean.privacy):
        with pytest.raises(pictus.UserError, match="no pictures") as found:
            step(project)
        assert found.value.fix.startswith("pictus ")


def test_the_report_counts_metadata_faces_and_what_was_not_looked_at(project: pictus.Project, four: list[str]) -> None:
    bare = clean.privacy(project)
    assert (bare.summary["unmeasured"], bare.summary["unseen"]) == (4, 4)
    assert bare.next == ("pictus clean check", "pictus clean faces")
    clean.check(project, workers=1)
    clean.faces(project, detector="reddish", workers=1)
    outcome = clean.privacy(project)
    assert outcome.headline.startswith("4 pictures: 1 EXIF, 1 GPS, 0 IPTC, 0 XMP, 0 C2PA; 1 with a creator's name")
    assert "faces in 1 of 4 looked at" in outcome.headline
    owl, wren = outcome
    assert (owl.name, owl.pictures, owl.gps, owl.creator, owl.faces, owl.unseen) == ("owl", 2, 1, 1, 1, 0)
    assert (wren.name, wren.pictures, wren.gps, wren.faces, wren.unseen) == ("wren", 2, 0, 0, 0)
    assert outcome.next == ("pictus release cut VERSION --blur-faces",)


def test_pictures_that_prohibit_mining_are_told(project: pictus.Project, four: list[str]) -> None:
    clean.check(project, workers=1)
    rows = project.tables.read("checks")
    at = rows.schema.get_field_index("data_mining")
    words = ["prohibited-aimltraining" if one == four[1] else "" for one in rows.column("image_id").to_pylist()]
    import pyarrow as pa

    project.tables.replace("checks", rows.set_column(at, rows.schema.field(at), pa.array(words)))
    outcome = clean.privacy(project)
    assert outcome.summary["prohibited"] == 1
    assert any("1 picture says that data mining is prohibited" in one for one in outcome.problems)


def test_a_classifier_is_asked_once_about_each_picture_and_drops_none(
    project: pictus.Project, four: list[str], fill: Fill
) -> None:
    outcome = clean.safety(project, classifier="by-side", workers=1)
    assert outcome.summary["labels"] == {"fine": 2, "wide": 1}
    assert "4 pictures shown to by-side (4 new): 2 fine, 1 wide" in outcome.headline
    assert {row.image_id: row.label for row in outcome}[four[2]] == "wide"
    fill([picture((1, 2, 3), (8, 8))])
    assert clean.safety(project, classifier="by-side", workers=1).summary["asked"] == 1
    assert not project.tables.exists("verdicts")


def test_without_a_classifier_it_says_how_to_plug_one_in(
    project: pictus.Project, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(pictus.UserError, match="Say which classifier") as found:
        clean.safety(project)
    assert "one of: by-side" in found.value.fix
    monkeypatch.delitem(classifiers.CLASSIFIERS._found, "by-side")
    with pytest.raises(pictus.UserError, match="brings no safety classifier") as found:
        clean.safety(project)
    assert "docs/clean.md" in found.value.fix
