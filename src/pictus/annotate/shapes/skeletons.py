"""Which points are marked on a thing, in which order, and which of them are joined by a line."""

from __future__ import annotations

import re
from typing import NamedTuple

from pictus.errors import UserError, clipped
from pictus.registry import Registry

MOST_POINTS = 200


class Skeleton(NamedTuple):
    """Names of the points in their order, and pairs of places (from 0) that a line joins."""

    name: str
    points: tuple[str, ...]
    lines: tuple[tuple[int, int], ...] = ()


SKELETONS: Registry[Skeleton] = Registry("skeleton", "pictus.skeletons")


def skeleton_of(name: str) -> Skeleton:
    """A registered skeleton, or one made up on the spot: names of points with commas between, "beak,eye,tail"."""
    if "," not in name:
        return SKELETONS.get(name)
    points = tuple(part.strip() for part in name.split(","))
    is_fit = all(re.fullmatch(r"\w[\w .'-]{0,39}", point) for point in points)
    if not is_fit or len(set(points)) < len(points) or len(points) > MOST_POINTS:
        raise UserError(
            f"{clipped(name)} is no skeleton.",
            fix=f"names of up to {MOST_POINTS} points, each once, with commas between: beak,left eye,right eye,tail",
        )
    return Skeleton(name, points)


def _registered(skeleton: Skeleton) -> None:
    SKELETONS.register(skeleton.name)(skeleton)


_registered(Skeleton("point", ("point",)))
_registered(
    Skeleton(
        "face-5", ("left eye", "right eye", "nose", "left corner of the mouth", "right corner of the mouth"),
        ((0, 2), (1, 2), (2, 3), (2, 4), (3, 4)),
    )
)  # fmt: skip
_registered(  # Lin et al. 2014 (COCO): the order and the lines of its person keypoints
    Skeleton(
        "coco-person",
        (
            "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
            "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee",
            "left ankle", "right ankle",
        ),
        (
            (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
            (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
        ),
    )
)  # fmt: skip
_registered(  # Yu et al. 2021 (AP-10K): four-legged animals
    Skeleton(
        "animal-17",
        (
            "left eye", "right eye", "nose", "neck", "root of the tail", "left shoulder", "left elbow",
            "left front paw", "right shoulder", "right elbow", "right front paw", "left hip", "left knee",
            "left back paw", "right hip", "right knee", "right back paw",
        ),
        (
            (0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (3, 5), (5, 6), (6, 7), (3, 8), (8, 9), (9, 10), (4, 11), (11, 12),
            (12, 13), (4, 14), (14, 15), (15, 16),
        ),
    )
)  # fmt: skip
_registered(  # one wrist, then thumb, index, middle, ring and little finger, each from its root to its tip
    Skeleton(
        "hand-21",
        ("wrist", *(f"{finger} {joint}" for finger in ("thumb", "index", "middle", "ring", "little")
                    for joint in range(1, 5))),
        tuple((0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1)
              for finger in range(5) for joint in range(4)),
    )
)  # fmt: skip
