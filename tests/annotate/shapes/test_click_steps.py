"""From clicks to a mask of the whole picture, whatever its size."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pictus.annotate.shapes import regions, rle
from pictus.annotate.shapes.click_steps import VIEW_PX, Asked, Finder
from pictus.annotate.shapes.turns import BusyError, Turns
from pictus.errors import UserError

MakeJpeg = Callable[..., bytes]


def test_a_large_picture_is_prepared_once_and_its_mask_is_as_large_as_it_is(make_jpeg: MakeJpeg) -> None:
    width, height = VIEW_PX * 2, VIEW_PX
    image_bytes = make_jpeg(width, height, seed=5)
    reads: list[int] = []

    def read() -> bytes:
        reads.append(1)
        return image_bytes

    finder = Finder("regions")
    assert finder.find(Asked("a", [], None), read) == {}
    found = finder.find(Asked("a", [[1500, 700, 1], [100, 100, 0]], None), read)
    assert len(reads) == 1
    mask = rle.decode(rle.from_json(found))
    assert mask.shape == (height, width)
    assert mask[700, 1500]
    assert not mask[100, 100]
    around = rle.decode(rle.from_polygons(found["polygons"], height, width))
    assert (mask ^ around).sum() < 0.05 * mask.sum() + 500
    assert found["tool"] == "regions"


def test_the_same_clicks_give_the_same_mask(make_jpeg: MakeJpeg) -> None:
    asked, image_bytes = Asked("a", [[60, 40, 1]], [20, 10, 90, 60]), make_jpeg(120, 80, seed=2)
    first, second = (Finder("regions").find(asked, lambda: image_bytes) for _ in range(2))
    assert first == second


def test_what_holds_for_numbers_that_are_none(make_jpeg: MakeJpeg) -> None:
    image_bytes = make_jpeg(120, 80)
    for click in ([float("nan"), 1, 1], [1, 1, True], [1e300, 1, 1], "abc", None, [1, 2, 0.5]):
        with pytest.raises(UserError, match="A click is"):
            Finder("regions").find(Asked("a", [click], None), lambda: image_bytes)
    for box in ([0, 0, 0, 5], [9, 9, 3, 3]):
        with pytest.raises(UserError, match="holds nothing"):
            Finder("regions").find(Asked("a", [], box), lambda: image_bytes)


def test_a_picture_that_cannot_be_read_is_said_so() -> None:
    with pytest.raises(UserError, match="cannot be read"):
        Finder("regions").find(Asked("a", [[1, 1, 1]], None), lambda: b"no picture")


def test_an_unknown_segmenter_is_named() -> None:
    with pytest.raises(UserError, match="segmenter 'magic'"):
        Finder("magic").find(Asked("a", [[1, 1, 1]], None), lambda: b"")


def test_masks_are_of_zeros_and_ones(make_jpeg: MakeJpeg) -> None:
    found = Finder("regions").find(Asked("a", [[60, 40, 1]], None), lambda: make_jpeg(120, 80, seed=3))
    assert set(np.unique(rle.decode(rle.from_json(found)))) <= {False, True}


def test_too_many_at_once_are_told_to_try_again_and_the_others_get_their_masks(make_jpeg: MakeJpeg) -> None:
    image_bytes = make_jpeg(120, 80, seed=3)
    begun, may_go_on = threading.Event(), threading.Event()

    def slow() -> bytes:
        begun.set()
        assert may_go_on.wait(10)
        return image_bytes

    finder = Finder("regions", Turns(at_once=1, most=0, wait_s=5))
    asked = Asked("a", [[60, 40, 1]], None)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(finder.find, asked, slow)
        assert begun.wait(10)
        with pytest.raises(BusyError, match="at once"):
            finder.find(Asked("b", [[60, 40, 1]], None), lambda: image_bytes)
        may_go_on.set()
        assert first.result(10)["size"] == [80, 120]
    assert finder.find(asked, lambda: image_bytes)["size"] == [80, 120], "its turn came back"


def test_what_is_done_ahead_gives_way_without_a_word(make_jpeg: MakeJpeg) -> None:
    turns = Turns(at_once=1, most=0, wait_s=0.01)
    finder = Finder("regions", turns)
    with turns.turn(is_ahead=False):
        assert finder.find(Asked("a", [], None), lambda: make_jpeg(120, 80)) == {}
    reads: list[int] = []

    def read() -> bytes:
        reads.append(1)
        return make_jpeg(120, 80)

    finder.find(Asked("a", [], None), read)
    finder.find(Asked("a", [[60, 40, 1]], None), read)
    assert len(reads) == 1


def test_a_mask_of_a_large_picture_is_the_same_whether_all_or_a_part_of_it_is_enlarged() -> None:
    small = np.zeros((60, 80), np.bool_)
    small[20:31, 10:50] = True
    small[25, 70] = small[59, 79] = True
    for height, width in ((60, 80), (301, 397), (600, 800)):
        for mask in (small, np.zeros_like(small), ~small):
            expected = rle.encode(regions.enlarged(mask, height, width))
            found = regions.whole(mask, height, width)
            assert np.array_equal(rle.decode(found), rle.decode(expected))
