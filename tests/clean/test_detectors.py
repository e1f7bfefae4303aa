"""Finding faces: OpenCV's detector on drawn and real pictures, and what plugins may give."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

import pictus
from pictus.clean import detectors
from pictus.pixels import Pixels, decode


def drawn_face(side: int = 200) -> Pixels:
    """Enough of a face for the cascade: a light oval, dark eyes and brows, a nose's shadow, a mouth, darker hair."""
    picture = Image.new("L", (side * 2, side * 2), 120)
    draw = ImageDraw.Draw(picture)

    def oval(x: float, y: float, width: float, height: float, grey: int) -> None:
        left, top, across, down = (side / 2 + side * x, side / 2 + side * y, side * width, side * height)
        draw.ellipse((left - across / 2, top - down / 2, left + across / 2, top + down / 2), fill=grey)

    oval(0.5, 0.5, 1.0, 1.3, 60)
    oval(0.5, 0.58, 0.8, 1.1, 205)
    for x in (0.32, 0.68):
        oval(x, 0.36, 0.22, 0.05, 70)
        oval(x, 0.44, 0.18, 0.09, 90)
        oval(x, 0.44, 0.08, 0.08, 20)
    oval(0.5, 0.6, 0.06, 0.3, 225)
    oval(0.5, 0.72, 0.16, 0.05, 130)
    oval(0.5, 0.86, 0.3, 0.08, 100)
    grey = np.asarray(picture.filter(ImageFilter.GaussianBlur(side / 50)))
    return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))


@pytest.fixture
def plugged() -> Iterator[None]:
    """The detector "corners": a box that begins at the picture's middle and reaches far over its edge."""

    def corners(pixels: Pixels) -> detectors.Boxes:
        height, width = pixels.shape[:2]
        return np.array([[width / 2, height / 2, width, height, 0.5], [-9, -9, 9, 9, 1]], np.float32)

    detectors.DETECTORS.register("corners")(corners)
    yield
    detectors.DETECTORS._found.pop("corners")


def jpeg(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    return out.getvalue()


def test_a_drawn_face_is_found_where_it_is_and_an_empty_picture_has_none() -> None:
    pytest.importorskip("cv2", reason="needs the extra vision")
    face, blank = drawn_face(), np.full((300, 400, 3), 127, np.uint8)
    (found, empty) = detectors.find([("a", jpeg(face)), ("b", jpeg(blank))], "opencv")
    assert (found.cause, found.n_faces, found.detector) == ("", 1, "opencv")
    ((x, y, width, height, _),) = json.loads(found.boxes)
    assert 100 < x + width / 2 < 300
    assert 100 < y + height / 2 < 300
    assert 100 < width == pytest.approx(height, abs=1)
    assert (empty.n_faces, empty.boxes) == (0, "[]")


def test_boxes_of_a_large_picture_are_in_its_own_pixels() -> None:
    pytest.importorskip("cv2", reason="needs the extra vision")
    face = drawn_face(1_000)
    ((x, y, width, _, _),) = detectors.opencv(face)
    assert face.shape[0] == 2_000 > detectors.LONG_SIDE
    assert 600 < x + width / 2 < 1_400
    assert 500 < width < 1_500
    assert y > 300


def test_a_picture_smaller_than_any_face_is_looked_at_without_an_error() -> None:
    pytest.importorskip("cv2", reason="needs the extra vision")
    assert len(detectors.opencv(np.zeros((8, 300, 3), np.uint8))) == 0


@pytest.mark.usefixtures("plugged")
def test_what_cannot_be_decoded_gets_a_cause_and_boxes_are_cut_to_the_picture() -> None:
    good = jpeg(np.zeros((40, 60, 3), np.uint8))
    rows = detectors.find([("a", b"no picture"), ("b", good), ("c", good[: len(good) // 2])], "corners")
    assert [row.cause for row in rows] == ["not-an-image", "", "truncated"]
    assert json.loads(rows[1].boxes) == [[30, 20, 30, 20, 0.5]]  # the other lies outside


@pytest.mark.parametrize("given", [None, "faces", [[1, 2, 3]], [[float("nan")] * 5]])
def test_a_plugin_that_gives_no_boxes_is_told_what_is_wanted(given: object) -> None:
    with pytest.raises(pictus.UserError, match=r"gave .*, not boxes f32\[N, 5\]") as found:
        detectors.checked(given, np.zeros((8, 8, 3), np.uint8), "mine")
    assert "docs/clean.md" in found.value.fix


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), SystemExit(3), GeneratorExit()])
def test_a_plugin_that_fails_on_one_picture_leaves_a_cause_there(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(pixels: Pixels) -> detectors.Boxes:
        if pixels.shape[0] == 8:
            raise error
        return np.zeros((0, 5), np.float32)

    monkeypatch.setitem(detectors.DETECTORS._found, "fails", fails)
    small, large = (jpeg(np.zeros((side, side, 3), np.uint8)) for side in (8, 16))
    assert [row.cause for row in detectors.find([("a", small), ("b", large)], "fails")] == ["detector-failed", ""]


def test_a_detector_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(pictus.UserError, match="no face detector 'open-cv'") as found:
        detectors.probe("open-cv")
    assert "opencv" in found.value.fix


def test_an_opencv_without_its_cascade_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2", reason="needs the extra vision")
    monkeypatch.setattr(detectors, "CASCADE", "none.xml")
    detectors._cascade.cache_clear()
    with pytest.raises(pictus.UserError, match="does not bring its face detector") as found:
        detectors.probe("opencv")
    assert "pictus[vision]" in found.value.fix
    detectors._cascade.cache_clear()


@pytest.mark.real_data
def test_of_photographs_of_hands_hardly_one_has_a_face(real_data: Callable[[str], Path]) -> None:
    pytest.importorskip("cv2", reason="needs the extra vision")
    with tarfile.open(real_data("sign_digits") / "sign_digits.tar") as tar:
        members = [member for member in tar if member.isfile()][::10]
        pictures = [(tar.extractfile(member) or io.BytesIO()).read() for member in members]
    found = [len(detectors.opencv(decode(image_bytes))) for image_bytes in pictures]
    assert len(found) > 90
    assert sum(found) <= 1
