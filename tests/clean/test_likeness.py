"""What is said of a pair: the relation, where the part lies, and the same in words."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from pictus.clean import alignment
from pictus.clean.features import describe, view
from pictus.clean.likeness import AS_IT_IS, MIRRORED, Side, codes_of, is_proved, part, points_of, whole_turn
from pictus.hashes import TURNS
from pictus.records import Likeness

pytest.importorskip("cv2", reason="the extra 'vision' is not installed")

MakeJpeg = Callable[..., bytes]


@pytest.fixture(scope="module")
def photo(make_jpeg: MakeJpeg) -> Image.Image:
    return Image.open(io.BytesIO(make_jpeg(480, 360, seed=11))).convert("RGB")


def saved(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def between(image: Image.Image, other: Image.Image, way: int = AS_IT_IS) -> Likeness | None:
    sides = [saved(one) for one in (image, other)]
    rows = describe((name, data) for name, data in zip("ab", sides, strict=True))
    first, second = (Side(row.image_id, view(data).luma) for row, data in zip(rows, sides, strict=True))
    if way not in (AS_IT_IS, MIRRORED):
        return whole_turn(first, second, way)
    packed = (rows[0].mirrored_points, rows[0].mirrored_codes) if way else (rows[0].points, rows[0].codes)
    fit = alignment.fit(
        points_of(packed[0]), codes_of(packed[1]), points_of(rows[1].points), codes_of(rows[1].codes)
    )
    return part(first, second, way, fit) if fit else None


def test_a_crop_says_where_it_lies_in_the_whole(photo: Image.Image) -> None:
    crop = photo.crop((48, 72, 408, 342))  # 75 % of both sides at (10 %, 20 %)
    for image, other, inner in ((crop, photo, "image"), (photo, crop, "other")):
        found = between(image, other)
        assert found is not None
        assert (found.image_id, found.other_id, found.relation) == ("a", "b", "crop")
        detail = json.loads(found.detail)
        assert detail["part"] == inner
        for key, true in (("x", 0.1), ("y", 0.2), ("width", 0.75), ("height", 0.75)):
            assert detail[key] == pytest.approx(true, abs=0.015)
        assert found.similarity > 0.9
        verb = "a part of it" if inner == "image" else "holds it"
        assert verb in detail["words"]
        assert "points agree" in detail["words"]


def test_a_frame_is_a_crop_the_other_way_round(photo: Image.Image) -> None:
    found = between(ImageOps.expand(photo, 60, "black"), photo)
    assert found is not None
    assert (found.relation, json.loads(found.detail)["part"]) == ("crop", "other")


@pytest.mark.parametrize("angle", [5, -30, 90, 180])
def test_a_turn_is_told_in_degrees_clockwise(photo: Image.Image, angle: int) -> None:
    found = between(photo.rotate(-angle, Image.Resampling.BICUBIC, expand=True), photo)
    assert found is not None
    assert found.relation == "turned"
    # the picture was turned clockwise; back to the other it turns the other way
    assert abs(int(json.loads(found.detail)["turn"])) == pytest.approx(abs(angle), abs=1)
    assert not json.loads(found.detail)["mirrored"]


def test_a_mirrored_crop_is_found_by_the_codes_of_its_mirror_image(photo: Image.Image) -> None:
    copy = ImageOps.mirror(photo).crop((20, 20, 440, 340))
    assert between(copy, photo) is None
    found = between(copy, photo, MIRRORED)
    assert found is not None
    detail = json.loads(found.detail)
    assert (found.relation, detail["mirrored"], detail["turn"], detail["part"]) == ("turned", True, "0", "image")
    assert detail["words"].startswith("mirrored, a part of it")


def test_colours_and_a_caption_are_an_edit(photo: Image.Image) -> None:
    grey = photo.convert("L").convert("RGB")
    ImageDraw.Draw(grey).rectangle((0, 320, 480, 360), fill="white")
    found = between(grey, photo)
    assert found is not None
    assert found.relation == "edit"
    assert json.loads(found.detail)["words"].startswith("the same picture edited; ")


@pytest.mark.parametrize("side", [32, 480])
@pytest.mark.parametrize("way", range(1, 8))
def test_a_whole_picture_is_proved_in_each_of_its_positions_at_any_size(
    way: int, side: int, make_jpeg: MakeJpeg
) -> None:
    whole = Image.open(io.BytesIO(make_jpeg(side, side, seed=way, quality=95))).convert("RGB")
    pixels = np.asarray(whole)
    turned = np.stack([alignment.turned(pixels[:, :, channel], way) for channel in range(3)], axis=2)
    found = between(whole, Image.fromarray(turned), way)
    assert found is not None
    assert found.relation == "turned"
    degrees = {"180": "180", "90": "90", "270": "-90"}.get(TURNS[way])
    if degrees:
        assert json.loads(found.detail)["turn"] == degrees
        assert not json.loads(found.detail)["mirrored"]
    else:
        assert json.loads(found.detail)["mirrored"]
    wrong = next(other for other in range(1, 8) if other != way)
    assert between(whole, Image.fromarray(turned), wrong) is None


def test_a_copy_without_a_turn_is_left_to_the_hashes(make_jpeg: MakeJpeg) -> None:
    half = np.asarray(Image.open(io.BytesIO(make_jpeg(100, 200))).convert("RGB"))
    symmetric = Image.fromarray(np.concatenate([half, half[:, ::-1]], axis=1))
    assert between(symmetric, symmetric, TURNS.index("mirrored")) is None


def test_other_pictures_are_not_alike(photo: Image.Image, make_jpeg: MakeJpeg) -> None:
    other = Image.open(io.BytesIO(make_jpeg(480, 360, seed=12))).convert("RGB")
    for way in range(9):
        assert between(other, photo, way) is None


def drawing(tones: tuple[int, int], seed: int = 3) -> Image.Image:
    """Five dark rectangles on the left; the right of it in one of two tones, far apart."""
    image = Image.new("RGB", (400, 300), (150, 150, 150))
    draw, chance = ImageDraw.Draw(image), np.random.default_rng(seed)
    draw.rectangle((210, 0, 399, 299), fill=(tones[1],) * 3)
    for x, y, side in chance.integers((10, 10, 25), (130, 220, 60), (5, 3)):
        draw.rectangle((x, y, x + side, y + side), fill=(tones[0],) * 3)
    return image


def test_equal_corners_in_another_light_are_no_proof_where_there_is_little_to_compare() -> None:
    dark, light = drawing((40, 60)), drawing((40, 250))
    views = [Side(name, view(saved(one)).luma) for name, one in (("a", dark), ("b", light))]
    _, proof = alignment.compare(views[0].luma, views[1].luma, np.eye(2, 3))
    assert proof.windows < alignment.FEW_WINDOWS
    assert proof.agreeing >= alignment.LEAST_AGREEING, "the corners themselves lie over each other"
    assert proof.tones < alignment.LEAST_TONES
    assert not is_proved(proof)
    copied, kept = dark.point(lambda value: min(255, round(value * 1.4))), view(saved(dark)).luma
    _, proof = alignment.compare(view(saved(copied)).luma, kept, np.eye(2, 3))
    assert is_proved(proof), "a brighter copy keeps the order of its tones"
