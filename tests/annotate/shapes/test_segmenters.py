"""From clicks to masks: drawn pictures with a known answer, plug-ins, and the cache of what is prepared."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from pictus.annotate.shapes import regions
from pictus.annotate.shapes.regions import Clicks
from pictus.annotate.shapes.segmenters import SEGMENTERS, Prepared, Segmenter, default_segmenter
from pictus.errors import UserError

NOTHING = np.zeros((0, 2))


@pytest.fixture(scope="module", params=["regions", "grabcut"])
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    if request.param == "grabcut":
        pytest.importorskip("cv2", reason="OpenCV is not installed (extra vision)")
    return SEGMENTERS.get(request.param)()


@pytest.fixture(scope="module")
def picture() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A red disc and a blue square on a mottled green ground, 500 × 375; the masks of both."""
    rng = np.random.default_rng(0)
    ground = np.array([90, 140, 70]) + rng.normal(0, 12, (375, 500, 1))
    image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    hand = ImageDraw.Draw(image)
    hand.ellipse((100, 90, 240, 250), fill=(180, 50, 40))
    hand.rectangle((330, 150, 440, 300), fill=(40, 60, 170))
    pixels = np.array(image.filter(ImageFilter.GaussianBlur(1)))
    y, x = np.mgrid[:375, :500] + 0.5
    disc = ((x - 170.5) / 70.5) ** 2 + ((y - 170.5) / 80.5) ** 2 < 1
    square = (x > 330) & (x < 441) & (y > 150) & (y < 301)
    return pixels, disc, square


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_one_click_finds_a_thing_of_its_own_colour(
    segmenter: Segmenter, picture: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    pixels, disc, square = picture
    state = segmenter.prepare(pixels)
    for truth, click in ((disc, [170, 170]), (square, [385, 225])):
        mask = segmenter.segment(state, Clicks(np.array([click], np.float64), NOTHING))
        assert mask.shape == (375, 500)
        assert iou(mask, truth) > 0.9
    again = segmenter.segment(state, Clicks(np.array([[170.0, 170]]), NOTHING))
    assert np.array_equal(again, segmenter.segment(state, Clicks(np.array([[170.0, 170]]), NOTHING)))


def test_a_box_alone_is_enough_and_a_negative_click_takes_away(
    segmenter: Segmenter, picture: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    pixels, disc, square = picture
    state = segmenter.prepare(pixels)
    boxed = segmenter.segment(state, Clicks(NOTHING, NOTHING, (320.0, 140.0, 450.0, 310.0)))
    assert iou(boxed, square) > 0.9
    both = Clicks(np.array([[170.0, 170], [385, 225]]), NOTHING)
    assert iou(segmenter.segment(state, both), disc | square) > 0.85
    one = segmenter.segment(state, Clicks(np.array([[170.0, 170]]), np.array([[385.0, 225]])))
    assert not (one & square).any()


@pytest.mark.parametrize("size", [(3, 3), (1, 40), (700, 20), (16, 16)])
def test_small_narrow_and_plain_pictures_are_borne(segmenter: Segmenter, size: tuple[int, int]) -> None:
    for value in (0, 255):
        state = segmenter.prepare(np.full((*size, 3), value, np.uint8))
        middle = np.array([[size[1] / 2, size[0] / 2]])
        for clicks in (Clicks(middle, NOTHING), Clicks(middle, middle), Clicks(NOTHING, middle, (0, 0, 1.0, 1.0))):
            assert segmenter.segment(state, clicks).shape == size


def test_regions_hang_together_and_fill_the_view(picture: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    from scipy import ndimage

    found = regions.prepared(picture[0], many=300)
    count = int(found.label_HW.max()) + 1
    assert np.array_equal(np.unique(found.label_HW), np.arange(count))
    assert all(ndimage.label(found.label_HW == number)[1] == 1 for number in range(0, count, 17))
    assert 150 < count < 2_000


def test_white_black_and_red_have_the_cielab_of_the_books() -> None:
    found = regions.lab(np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0]]], np.uint8))[0]
    assert found[0] == pytest.approx([100, 0, 0], abs=0.05)
    assert found[1] == pytest.approx([0, 0, 0], abs=0.05)
    assert found[2] == pytest.approx([53.24, 80.09, 67.20], abs=0.1)


def test_without_opencv_the_default_is_regions_and_grabcut_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    from pictus.annotate.shapes import segmenters

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(segmenters, "find_spec", lambda _: None)
    assert default_segmenter() == "regions"
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UserError, match="cv2") as told:
        SEGMENTERS.get("grabcut")()
    assert "pictus[vision]" in told.value.fix
    with pytest.raises(UserError, match="no segmenter 'grabcat'"):
        SEGMENTERS.get("grabcat")


def test_what_is_prepared_is_made_once_and_the_oldest_is_forgotten() -> None:
    kept = Prepared(most=2)
    made: list[str] = []
    gate = threading.Event()

    def make(name: str) -> str:
        made.append(name)
        return name.upper()

    def slow() -> str:
        gate.wait(5)
        return make("slow")

    threads = [threading.Thread(target=kept.get, args=("slow", slow)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert kept.get("quick", lambda: make("quick")) == "QUICK", "one picture does not wait for another"
    gate.set()
    for thread in threads:
        thread.join(5)
    assert sorted(made) == ["quick", "slow"]
    kept.get("quick", lambda: make("again"))
    kept.get("third", lambda: make("third"))
    assert len(kept) == 2
    kept.get("slow", lambda: make("slow"))
    assert made == [*made[:2], "third", "slow"]


def test_what_fails_is_not_kept() -> None:
    kept = Prepared()

    def fail() -> int:
        raise UserError("no")

    with pytest.raises(UserError):
        kept.get("a", fail)
    assert kept.get("a", lambda: 1) == 1


def test_what_is_being_made_is_there_before_the_next_who_asks_may_make_it() -> None:
    kept, seen = Prepared(), list[bool]()

    class Watched(dict[object, threading.Lock]):
        def pop(self, key: object, *default: Any) -> Any:
            seen.append(key in kept._states)
            return super().pop(key, *default)

    kept._making = Watched()
    assert kept.get("a", lambda: 1) == 1
    assert seen == [True]
