"""Each picture is described by itself: the same row alone and in a batch, a cause for what cannot be decoded."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictus.clean.alignment import turned
from pictus.clean.features import CODES, LEAST_SIDE, MIRRORED_CODES, POINT_STEP, SIDE, describe, view
from pictus.clean.likeness import codes_of, points_of
from pictus.hashes import TURNS, decimate, pdq256, pdq_turns
from pictus.pixels import decode

pytest.importorskip("cv2", reason="the extra 'vision' is not installed")

MakeJpeg = Callable[..., bytes]


def grey_of(image_bytes: bytes) -> np.ndarray:
    return np.asarray(Image.fromarray(decode(image_bytes)).convert("L"))


def test_a_picture_is_described_the_same_alone_and_in_any_batch(make_jpeg: MakeJpeg) -> None:
    pictures = [(str(seed), make_jpeg(200 + 40 * seed, 300, seed=seed)) for seed in range(4)]
    together = describe(pictures)
    assert [describe([picture])[0] for picture in pictures] == together
    assert describe(reversed(pictures)) == together[::-1]


def test_points_lie_in_the_view_and_each_has_a_code(make_jpeg: MakeJpeg) -> None:
    (row,) = describe([("a", make_jpeg(640, 400))])
    assert (row.width, row.height) == (SIDE, 160)
    points = points_of(row.points)
    assert len(points) == len(codes_of(row.codes)) <= CODES
    assert len(points) > CODES // 2
    assert (points >= 0).all()
    assert (points < (row.width, row.height)).all()
    assert len(points_of(row.mirrored_points)) == len(codes_of(row.mirrored_codes)) <= MIRRORED_CODES
    assert len(row.turns) == 8 * 32
    assert POINT_STEP * SIDE <= 2**16


def test_a_thumbnail_has_the_codes_of_its_original(make_jpeg: MakeJpeg) -> None:
    original = make_jpeg(640, 480, seed=3)
    buffer = io.BytesIO()
    Image.open(io.BytesIO(original)).resize((160, 120)).save(buffer, "JPEG", quality=90)
    one, other = describe([("a", original), ("b", buffer.getvalue())])
    bits = np.bitwise_count(codes_of(one.codes)[:, None] ^ codes_of(other.codes)[None]).sum(axis=2)
    assert (bits.min(axis=1) <= 48).mean() > 0.5


def test_small_flat_and_thin_pictures_have_turns_but_no_codes(make_jpeg: MakeJpeg) -> None:
    flat = io.BytesIO()
    Image.new("RGB", (300, 200), (90, 120, 60)).save(flat, "PNG")
    pictures = [make_jpeg(LEAST_SIDE - 1, 40), flat.getvalue(), make_jpeg(600, 40)]
    for row in describe((str(at), picture) for at, picture in enumerate(pictures)):
        assert (row.cause, row.points, row.codes, row.mirrored_codes) == ("", b"", b"", b"")
        assert len(row.turns) == 8 * 32
    assert view(pictures[0]).luma.shape == (40, LEAST_SIDE - 1), "what is small stays as it is"


def test_what_cannot_be_decoded_is_a_row_with_a_cause(make_jpeg: MakeJpeg) -> None:
    good = make_jpeg()
    rows = describe([("a", b"<html>"), ("b", good), ("c", good[: len(good) // 2]), ("d", b"")])
    assert [row.cause for row in rows] == ["not-an-image", "", "truncated", "empty"]
    assert rows[0].turns == rows[0].codes == b""


@pytest.mark.parametrize("place", range(8))
def test_the_hash_of_a_turn_is_nearly_the_hash_of_the_turned_picture(place: int, make_jpeg: MakeJpeg) -> None:
    grey = grey_of(make_jpeg(320, 240, seed=5))
    found = pdq_turns(decimate(grey)[None])
    own = pdq256(decimate(turned(grey, place))[None])
    assert np.bitwise_count(found.bits[0, place] ^ own.bits[0]).sum() <= 24, "others differ in 128"
    assert found.quality[0] == pytest.approx(own.quality[0], abs=3)
    if place == 0:
        assert (found.bits[0, 0] == own.bits[0]).all()


@pytest.mark.real_data
def test_the_eight_positions_are_metas_published_ones(real_data: Callable[[str], Path]) -> None:
    """Meta shrinks this picture first: its own hash lies 8 bits off, and so does each of the turns."""
    folder = real_data("near_duplicates") / "pdq"
    turns = pdq_turns(decimate(grey_of((folder / "dih/bridge-1-original.jpg").read_bytes()))[None]).bits[0]
    rows = csv.DictReader((folder / "expected_pdq_hashes.csv").read_text().splitlines())
    published = {row["file"].rpartition("/")[2]: bytes.fromhex(row["pdq_hex"]) for row in rows if "dih/" in row["file"]}
    names = {
        "as it is": "bridge-1-original.jpg", "270": "bridge-2-rotate-90.jpg", "180": "bridge-3-rotate-180.jpg",
        "90": "bridge-4-rotate-270.jpg", "upside down mirrored": "bridge-5-flipx.jpg",
        "mirrored": "bridge-6-flipy.jpg", "transposed": "bridge-7-flip-plus-1.jpg",
        "across": "bridge-8-flip-minus-1.jpg",
    }  # fmt: skip
    assert len(published) == len(names) == len(TURNS)
    for place, name in enumerate(TURNS):
        theirs = np.frombuffer(published[names[name]], np.uint8)
        assert np.bitwise_count(turns[place] ^ theirs).sum() <= 10, name
