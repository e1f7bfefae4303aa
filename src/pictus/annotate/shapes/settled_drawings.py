"""From masks and points that people drew to one for each thing. Pure.

What several people drew on one picture is the same thing where it overlaps, or lies alike, enough (clusters of
`box_consensus`, nobody twice in one). What a model proposed and nobody drew over stays unsettled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pictus.annotate.shapes import rle
from pictus.annotate.shapes.box_consensus import clusters_of
from pictus.annotate.shapes.mask_consensus import MOST_PEOPLE, Thing, weigh_masks
from pictus.annotate.shapes.points_consensus import Floats, likenesses, weigh_points
from pictus.annotate.shapes.settled_boxes import Key, Mark
from pictus.annotate.shapes.shapes import Shape, mask_of
from pictus.errors import counted
from pictus.records import Keypoints, Mask

SAME = 0.5
"""Likeness from which two people's drawings are of one thing."""

AGREED = 0.7
"""Mean likeness of the drawings with what comes of them, from which it is accepted."""


def mask_records(
    marks: Sequence[Mark], sizes: Mapping[str, tuple[int, int]], ruled_out: frozenset[Key], settled_at: str,
    earlier: Iterable[Mask] = (),
) -> list[Mask]:  # fmt: skip
    """One record per thing. sizes: width and height of each picture that a mask may be written without.

    earlier: records as settled before, of the same project. Where a picture has the very same marks as then, and
    each was a thing of its own, they are not filled and compared again; the rows are the same as without.
    """
    by_picture = _by_picture([mark for mark in marks if mark.kind == "mask"])
    records = []
    for mark, one in _unchanged(by_picture, sizes, earlier):
        status, method, reason = _verdict([mark], 1.0, "staple", ruled_out)
        records.append(replace(one, status=status, method=method, reason=reason, settled_at=settled_at))
        by_picture.pop(mark.key, None)
    runs = {mark.mark_id: _runs(mark, sizes) for group in by_picture.values() for mark in group}
    groups = [
        group for group in by_picture.values()
        for group in _things(group, _overlaps([runs[mark.mark_id] for mark in group]))
    ]  # fmt: skip
    shared = [group[:MOST_PEOPLE] for group in groups if len(group) > 1]
    people = {name: at for at, name in enumerate(dict.fromkeys(mark.annotator for group in shared for mark in group))}
    merged = weigh_masks([
        Thing(tuple(runs[mark.mark_id] for mark in group), tuple(people[mark.annotator] for mark in group))
        for group in shared
    ]).masks  # fmt: skip
    of_group = {id(group[0]): mask for group, mask in zip(shared, merged, strict=True)}
    for group in groups:
        found = of_group.get(id(group[0]), runs[group[0].mark_id])
        agreement = float(np.mean([rle.iou(runs[mark.mark_id], found) for mark in group])) if len(group) > 1 else 1.0
        status, method, reason = _verdict(group, agreement, "staple", ruled_out)
        records.append(
            Mask(
                *group[0].key, group[0].mark_id, found.height, found.width, rle.to_text(found), rle.area(found),
                *rle.box(found), round(agreement, 4), len(group), tuple(mark.annotator for mark in group), status,
                method, reason, settled_at,
            )
        )  # fmt: skip
    return sorted(records, key=lambda one: (one.image_id, one.concept_id, one.mark_id))


def _unchanged(
    by_picture: Mapping[Key, Sequence[Mark]], sizes: Mapping[str, tuple[int, int]], earlier: Iterable[Mask]
) -> list[tuple[Mark, Mask]]:
    """Marks with their records, of pictures whose marks are the same as before and were all drawn by one person."""
    before: dict[Key, dict[int, Mask]] = defaultdict(dict)
    for one in earlier:
        before[one.image_id, one.concept_id][one.mark_id] = one
    found = []
    for key, group in by_picture.items():
        rows = before.get(key, {})
        if rows.keys() != {mark.mark_id for mark in group} or any(row.n_drew > 1 for row in rows.values()):
            continue
        pairs = [(mark, rows[mark.mark_id]) for mark in group]
        # A picture that was measured anew, upright now, is filled anew.
        if all("counts" in mark.shape or (row.width, row.height) == sizes[key[0]] for mark, row in pairs):
            found += pairs
    return found


def point_records(marks: Sequence[Mark], ruled_out: frozenset[Key], settled_at: str) -> list[Keypoints]:
    """One record per thing, skeleton by skeleton."""
    by_skeleton: dict[str, list[Mark]] = defaultdict(list)
    for mark in marks:
        if mark.kind == "points":
            by_skeleton[str(mark.shape["skeleton"])].append(mark)
    records = []
    for skeleton, drawn in by_skeleton.items():
        groups = [
            group for group in _by_picture(drawn).values()
            for group in _things(group, likenesses([_drawing(mark.shape) for mark in group]))
        ]  # fmt: skip
        records += _pointed(skeleton, groups, ruled_out, settled_at)
    return sorted(records, key=lambda one: (one.image_id, one.concept_id, one.mark_id))


def _pointed(
    skeleton: str, groups: Sequence[Sequence[Mark]], ruled_out: frozenset[Key], settled_at: str
) -> list[Keypoints]:
    people = {name: at for at, name in enumerate(dict.fromkeys(mark.annotator for one in groups for mark in one))}
    things = [at for at, group in enumerate(groups) for _ in group]
    who = [people[mark.annotator] for group in groups for mark in group]
    found = weigh_points(things, who, np.stack([_drawing(mark.shape) for group in groups for mark in group]))
    records = []
    for at, group in enumerate(groups):
        points = found.points_TK3[at] if len(group) > 1 else _drawing(group[0].shape)
        spreads = found.sd_TK[at] if len(group) > 1 else np.zeros(len(points))
        like = [likenesses([_drawing(mark.shape), points])[0, 1] for mark in group]
        agreement = float(np.mean(like)) if len(group) > 1 else 1.0
        status, method, reason = _verdict(group, agreement, "mean", ruled_out)
        records.append(
            Keypoints(
                *group[0].key, group[0].mark_id, skeleton, tuple(np.round(points, 2).ravel().tolist()),
                tuple(np.round(spreads, 2).tolist()), round(agreement, 4), len(group),
                tuple(mark.annotator for mark in group), status, method, reason, settled_at,
            )
        )  # fmt: skip
    return records


def _verdict(
    group: Sequence[Mark], agreement: float, merging: str, ruled_out: frozenset[Key]
) -> tuple[str, str, str]:
    """Status, method and reason of one thing."""
    if group[0].key in ruled_out:
        return "rejected", "ruling", "a reviewer ruled that the picture does not show it"
    if group[0].is_proposal:
        return "unsettled", "drawn", "a proposal that nobody drew over"
    if len(group) == 1:
        return "accepted", "drawn", "drawn by one person"
    many = counted(len(group), "person", "people")
    if agreement >= AGREED:
        return "accepted", merging, f"{many} drew it, likeness {agreement:.2f}"
    return "unsettled", merging, f"{many} drew it unlike each other, likeness {agreement:.2f}"


def _by_picture(marks: Sequence[Mark]) -> dict[Key, list[Mark]]:
    groups: dict[Key, list[Mark]] = defaultdict(list)
    for mark in sorted(marks, key=lambda one: (one.key, one.mark_id)):
        groups[mark.key].append(mark)
    return groups


def _things(marks: Sequence[Mark], like_NN: Floats) -> list[list[Mark]]:
    """Drawings of one thing together. What somebody drew anew counts once; proposals give way to people's."""
    kept = [
        at for at, mark in enumerate(marks)
        if not any(
            like_NN[at, other] >= SAME and (
                (later.annotator == mark.annotator and other > at) or (mark.is_proposal and not later.is_proposal)
            )
            for other, later in enumerate(marks)
        )
    ]  # fmt: skip
    who = {name: at for at, name in enumerate(dict.fromkeys(mark.annotator for mark in marks))}
    clusters = clusters_of(like_NN[np.ix_(kept, kept)], [who[marks[at].annotator] for at in kept], SAME)
    return [[marks[kept[at]] for at in sorted(cluster)] for cluster in sorted(clusters, key=min)]


def _overlaps(runs: Sequence[rle.Rle]) -> Floats:
    found_NN = np.eye(len(runs))
    if len(runs) == 1:
        return found_NN
    box_N4 = np.array([rle.box(one) for one in runs])
    for first in range(len(runs)):
        meets_N = np.all((box_N4[first, :2] < box_N4[:, 2:]) & (box_N4[:, :2] < box_N4[first, 2:]), axis=1)
        for second in np.flatnonzero(meets_N[:first]).tolist():
            found_NN[first, second] = found_NN[second, first] = rle.iou(runs[first], runs[second])
    return found_NN


def _runs(mark: Mark, sizes: Mapping[str, tuple[int, int]]) -> rle.Rle:
    shape: Shape = dict(mark.shape)
    if "counts" in shape:
        return rle.from_json(shape)
    width, height = sizes[mark.image_id]
    return mask_of(shape, width, height)


def _drawing(shape: Mapping[str, object]) -> Floats:
    return np.asarray(shape["points"], np.float64).reshape(-1, 3)
