"""The drawn world: exact truth, one picture per seed, variety."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pictus.demo.brush import box, ellipse, stroke
from pictus.demo.render import render
from pictus.demo.sketch import Light, Part, Pose, Sketch, View, extruded, project
from pictus.demo.tree import CLASSES, NAMES
from pictus.demo.world import draw


@pytest.mark.parametrize("concept_id", CLASSES, ids=[NAMES[one] for one in CLASSES])
def test_every_concept_is_drawn_with_a_tight_box_and_visible_keypoints(concept_id: str) -> None:
    drawn = draw(concept_id, (3, 1, 4))
    height, width = drawn.mask.shape
    assert drawn.pixels.shape == (height, width, 3)
    assert 256 <= min(width, height) <= max(width, height) <= 512
    x0, y0, x1, y1 = drawn.box
    rows, columns = np.nonzero(drawn.mask)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x0, y0, x1, y1)
    assert 0.02 < drawn.mask.mean() < 0.9
    assert drawn.keypoints
    assert all(0 <= x < width and 0 <= y < height for x, y in drawn.keypoints.values())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (draw("n04398044", (7, 0, k)).jpeg() for k in (0, 0, 1))
    assert first == again
    assert first != other


def test_the_mask_is_where_the_object_is() -> None:
    # A red disc of radius 40 px in the middle of 200 × 100: its mask covers pi * 40^2 = 5027 px.
    sketch = Sketch((Part(ellipse(0, 0, 1, 1, n=200), (255, 0, 0)),))
    layer = render(sketch, Pose(View(), 40, 100, 50), Light(), (200, 100), np.random.default_rng(0))
    mask = np.asarray(layer.mask, dtype=np.float64) / 255
    assert mask.sum() == pytest.approx(np.pi * 40**2, rel=0.01)
    assert np.asarray(layer.mask)[50, 100] == 255
    assert np.asarray(layer.mask)[5, 100] == 0
    red, green, _ = np.asarray(layer.colours)[50, 100]
    assert red > 100
    assert green == 0


def test_a_stroke_is_as_wide_as_it_says() -> None:
    outline = stroke([(0.0, 0.0), (4.0, 0.0)], 1.0)
    assert outline[:, 1].min() == pytest.approx(-0.5)
    assert outline[:, 1].max() == pytest.approx(0.5)
    assert outline[:, 0].max() == pytest.approx(4.5, abs=0.05)  # a round end of radius 0.5


def test_yaw_shows_one_end_of_a_box_and_never_both() -> None:
    face = Part(box(-1, -1, 1, 1), (200, 100, 50))

    def ends(yaw: float) -> tuple[bool, bool]:
        sides = extruded(face, 1.0, View(yaw=yaw), edge=(1, 2, 3))[:-1]
        xs = {float(side.points[:, 0].mean()) for side in sides}
        return -1.0 in xs, 1.0 in xs

    assert ends(0.5) == (False, True)
    assert ends(-0.5) == (True, False)


def test_flipping_mirrors_a_picture_left_to_right() -> None:
    points = np.array([[0.5, 0.25], [-0.2, -0.7]])
    view = View(0.3, 0.2, 0.4)
    plain, flipped = (project(points, Pose(view, 10, 100, 50, flip)) for flip in (False, True))
    assert np.allclose(plain[:, 0] - 100, 100 - flipped[:, 0])
    assert np.allclose(plain[:, 1], flipped[:, 1])


def test_a_class_is_drawn_in_many_hues() -> None:
    hues = []
    for seed in range(12):
        drawn = draw("n07753592", (11, seed))
        colour = drawn.pixels[drawn.mask].mean(axis=0)
        hues.append(
            int(np.asarray(Image.new("RGB", (1, 1), tuple(int(c) for c in colour)).convert("HSV"))[0, 0, 0]) // 32
        )
    assert len(set(hues)) >= 4


def test_the_jpeg_opens_at_the_size_drawn() -> None:
    drawn = draw("n01443537", (5, 5))
    with Image.open(io.BytesIO(drawn.jpeg())) as image:
        assert image.format == "JPEG"
        assert (image.height, image.width) == drawn.pixels.shape[:2]
