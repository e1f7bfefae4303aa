"""Was one picture made from the other, and how? Pure: two pictures' features and views in, a row with its evidence out.

    turned  mirrored, or turned by more than LEAST_TURN degrees (and perhaps cut as well)
    crop    the one shows a part of the other: cut out of it, or put into a frame
    edit    both show the same: other colours, size or format, or something drawn over it
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np

from pictus.clean import alignment
from pictus.clean.alignment import Comparison, Fit, Map
from pictus.clean.features import CODE_BYTES, POINT_STEP
from pictus.hashes import F64, TURNS, Luma
from pictus.records import Likeness

LEAST_TURN = 2.0
WHOLE = 0.96
"""From this share on both pictures show the same; cut by 1 % at each side leaves it."""

AS_IT_IS, MIRRORED = 0, len(TURNS)
"""Ways in which two pictures may have met: by their codes, by those of the mirror image, or (1 to 7) as TURNS."""


class Side(NamedTuple):
    """One picture of a pair and its view (features.view)."""

    image_id: str
    luma: Luma


def points_of(packed: bytes) -> F64:
    """What `features` packed: `points` -> f64[n, 2], px of the view."""
    return np.frombuffer(packed, dtype="<u2").reshape(-1, 2) / POINT_STEP


def codes_of(packed: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """What `features` packed: `codes` -> u8[n, 32]."""
    return np.frombuffer(packed, dtype=np.uint8).reshape(-1, CODE_BYTES)


def whole_turn(image: Side, other: Side, way: int) -> Likeness | None:
    """The pair when all of `image`, in position TURNS[way], is all of `other`; None unless the pixels say so.

    A picture that lies as well on the other without a turn is none: that is for the hashes to find.
    """
    straight = alignment.compare(image.luma, other.luma, alignment.whole_map(image.luma, other.luma))[1]
    turned = alignment.turned(image.luma, way)
    found, proof = alignment.compare(turned, other.luma, alignment.whole_map(turned, other.luma))
    if not is_proved(proof) or proof.correlation <= straight.correlation:
        return None
    height, width = image.luma.shape
    full = alignment.chained(alignment.turn_map(way, width, height), found)
    return _row(image, other, full, proof, points=0)


def part(image: Side, other: Side, way: int, fit: Fit) -> Likeness | None:
    """The pair under the map that their points gave (of the mirror image where `way` says so), or None."""
    luma = alignment.turned(image.luma, 1) if way == MIRRORED else image.luma
    found, proof = alignment.compare(luma, other.luma, fit.map)
    if not is_proved(proof):
        return None
    if way == MIRRORED:
        found = alignment.chained(alignment.turn_map(1, *image.luma.shape[::-1]), found)
    return _row(image, other, found, proof, points=fit.agreeing)


def is_proved(proof: Comparison) -> bool:
    """Enough windows to compare, enough of them the same to the grain; where they are few, light and dark as well."""
    is_alike = proof.windows >= alignment.FEW_WINDOWS or proof.tones >= alignment.LEAST_TONES
    return proof.windows >= alignment.LEAST_WINDOWS and proof.agreeing >= alignment.LEAST_AGREEING and is_alike


def _row(image: Side, other: Side, found: Map, proof: Comparison, points: int) -> Likeness:
    angle, is_mirrored = _turn(found)
    if is_mirrored or abs(angle) > LEAST_TURN:
        relation = "turned"
    elif min(proof.of_first, proof.of_second) < WHOLE:
        relation = "crop"
    else:
        relation = "edit"
    detail: dict[str, Any] = {
        "turn": f"{angle:.0f}" if abs(angle) > LEAST_TURN else "0", "mirrored": is_mirrored,
        **_place(image, other, found, proof),
        "points": points, "windows": proof.windows, "agreeing": round(proof.agreeing, 3),
        "correlation": round(proof.correlation, 3),
    }  # fmt: skip
    detail["words"] = _words(detail)
    return Likeness(image.image_id, other.image_id, relation, proof.correlation, json.dumps(detail, sort_keys=True))


def _turn(found: Map) -> tuple[float, bool]:
    """Degrees clockwise, -180..180, after a mirroring left to right where there is one."""
    linear = found[:, :2]
    is_mirrored = bool(np.linalg.det(linear) < 0)
    if is_mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    angle = math.degrees(math.atan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1]))
    return (180.0 if round(angle) == -180 else angle), is_mirrored  # noqa: PLR2004


def _place(image: Side, other: Side, found: Map, proof: Comparison) -> dict[str, Any]:
    """Which of the two is the part, and where in the whole it lies: shares of the whole's width and height."""
    is_image = proof.of_first >= proof.of_second
    inner, outer, place = (image, other, found) if is_image else (other, image, alignment.inverse(found))
    (rows, columns), (height, width) = inner.luma.shape, outer.luma.shape
    corners = np.array([[-0.5, -0.5], [columns - 0.5, -0.5], [-0.5, rows - 0.5], [columns - 0.5, rows - 0.5]])
    placed = (corners @ place[:, :2].T + place[:, 2] + 0.5) / (width, height)
    low, high = np.clip(placed.min(axis=0), 0, 1), np.clip(placed.max(axis=0), 0, 1)
    return {
        "part": "image" if is_image else "other",
        "x": round(float(low[0]), 3), "y": round(float(low[1]), 3),
        "width": round(float(high[0] - low[0]), 3), "height": round(float(high[1] - low[1]), 3),
        "shown": round(max(proof.of_first, proof.of_second), 3),
    }  # fmt: skip


def _words(detail: dict[str, Any]) -> str:
    """The same for people, beginning in the middle of a sentence about `image`."""
    turn = int(detail["turn"])
    parts = [
        *(["mirrored"] if detail["mirrored"] else []),
        *([f"turned by {turn} degree{'' if abs(turn) == 1 else 's'}"] if turn else []),
    ]
    if detail["width"] * detail["height"] < WHOLE:
        size = f"{detail['width']:.0%} × {detail['height']:.0%}".replace("%", " %")
        at = f"({detail['x']:.0%}, {detail['y']:.0%})".replace("%", " %")
        is_image = detail["part"] == "image"
        parts.append(f"a part of it: {size} at {at}" if is_image else f"holds it as {size} at {at}")
    points = f"{detail['points']} points agree, " if detail["points"] else ""
    proof = f"{points}{detail['agreeing']:.0%} of {detail['windows']} windows are the same".replace("%", " %")
    return ", ".join(parts or ["the same picture edited"]) + f"; {proof}, correlation {detail['correlation']:.2f}"
