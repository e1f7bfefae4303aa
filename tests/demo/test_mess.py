"""What is planned for the web, and the bytes behind each address."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pictus.demo.mess import DUPLICATES, FAILURES, POOR, Candidate, Kind, Mixture, body_of, plan, png_bomb
from pictus.demo.tree import CLASSES
from pictus.errors import PictureError
from pictus.pixels import decode, sniff

MIX = Mixture(good=20, wrong=3, duplicate=8, poor=7, broken=1, failed=3)


def _one(kind: Kind, variant: str) -> Candidate:
    return next(one for one in plan(CLASSES, MIX, 7) if one.kind == kind and one.variant == variant)


def test_the_whole_web_has_the_promised_size_and_a_quarter_of_it_is_bad() -> None:
    kinds = Counter(one.kind for one in plan(CLASSES, Mixture(), 7))
    assert kinds.total() == 28 * Mixture().total >= 5_000
    assert 0.2 < 1 - kinds[Kind.GOOD] / kinds.total() < 0.3


def test_every_path_occurs_once_and_the_plan_follows_from_the_seed() -> None:
    found = plan(CLASSES, MIX, 7)
    assert len({one.path for one in found}) == len(found)
    assert found == plan(CLASSES, MIX, 7)
    assert found != plan(CLASSES, MIX, 8)


def test_all_ways_to_be_bad_occur() -> None:
    found = plan(CLASSES, MIX, 7)
    assert {one.variant for one in found if one.kind == Kind.DUPLICATE} == set(DUPLICATES)
    assert {one.variant for one in found if one.kind == Kind.POOR} == set(POOR)
    assert {one.variant for one in found if one.kind == Kind.FAILED} == set(FAILURES)


def test_a_wrong_picture_shows_another_concept_and_a_duplicate_points_to_a_good_one() -> None:
    found = plan(CLASSES, MIX, 7)
    by_path = {one.path: one for one in found}
    assert all(one.true_concept not in {one.concept_id, ""} for one in found if one.kind == Kind.WRONG)
    for one in found:
        if one.kind == Kind.DUPLICATE:
            assert by_path[one.original].kind == Kind.GOOD
            assert by_path[one.original].seed == one.seed


def test_a_copy_with_the_same_bytes_has_the_same_bytes() -> None:
    copy = _one(Kind.DUPLICATE, "same-bytes")
    original = next(one for one in plan(CLASSES, MIX, 7) if one.path == copy.original)
    assert body_of(copy)[0] == body_of(original)[0]


@pytest.mark.parametrize("variant", ["resized", "re-encoded", "cropped"])
def test_other_copies_look_like_the_original_with_other_bytes(variant: str) -> None:
    copy = _one(Kind.DUPLICATE, variant)
    original = next(one for one in plan(CLASSES, MIX, 7) if one.path == copy.original)
    first, second = body_of(copy)[0], body_of(original)[0]
    assert first != second
    small = [
        np.asarray(Image.open(io.BytesIO(data)).convert("L").resize((8, 8)), dtype=float) for data in (first, second)
    ]
    assert np.abs(small[0] - small[1]).mean() < 20


def test_a_truncated_picture_has_a_header_and_cannot_be_decoded() -> None:
    data, _ = body_of(_one(Kind.BROKEN, "truncated"))
    assert sniff(data).format == "jpeg"
    with pytest.raises(PictureError):
        decode(data)


def test_a_bomb_is_small_and_announces_too_many_pixels() -> None:
    data = png_bomb(30_000, 30_000)
    assert len(data) < 1_000
    with pytest.raises(PictureError, match="too-many-pixels"):
        sniff(data)


@pytest.mark.parametrize(
    ("variant", "is_right"),
    [
        ("dark", lambda pixels: pixels.mean() < 40),
        ("bright", lambda pixels: pixels.mean() > 225),
        ("low-contrast", lambda pixels: pixels.std() < 12),
        ("blank", lambda pixels: pixels.mean(axis=2).std() < 3),
        ("tiny", lambda pixels: min(pixels.shape[:2]) <= 50),
        ("strip", lambda pixels: pixels.shape[1] > 2.5 * pixels.shape[0]),
    ],
)
def test_a_poor_picture_is_poor_in_the_way_it_says(
    variant: str, is_right: Callable[[npt.NDArray[np.float64]], bool]
) -> None:
    data, known = body_of(_one(Kind.POOR, variant))
    assert known.size == len(data)
    assert is_right(decode(data).astype(float))
