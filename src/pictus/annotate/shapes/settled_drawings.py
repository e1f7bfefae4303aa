"""From masks and points that people drew to one for each thing. Pure.

What several people drew on one picture is the same thing where it overlaps, or lies alike, enough (clusters of
`box_consensus`, nobody twice in one). What a model proposed and nobody drew over stays unsettled. What one person
drew alone tells nothing of anybody's skill, and takes no part in the weighing.

Legend: N drawings, P pairs of them, K points of a skeleton.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pictus.annotate.shapes import outline_fills, rle
from pictus.annotate.shapes.box_consensus import clusters_of
from pictus.annotate.shapes.mask_consensus import MOST_PEOPLE, Thing, weigh_masks
from pictus.annotate.shapes.outline_fills import Ints, Masks
from pictus.annotate.shapes.points_consensus import Floats, likeness_of_pairs, sizes_of, weigh_points
from pictus.annotate.shapes.settled_boxes import Key, Mark
from pictus.annotate.shapes.shape_texts import read_shapes
from pictus.annotate.shapes.shapes import mask_of
from pictus.errors import counted
from pictus.records import Keypoints, Mask

SAME = 0.5
"""Likeness from which two people's drawings are of one thing."""

AGREED = 0.7
"""Mean likeness of the drawings with what comes of them, from which it is accepted."""

_MOST_PAIRS = 1_000_000
"""Compared at once: some 100 bytes each."""


def mask_records(
    marks: Sequence[Mark], sizes: Mapping[str, tuple[int, int]], ruled_out: frozenset[Key], settled_at: str
) -> list[Mask]:
    """One record per thing. sizes: width and height of the pictures; an outline needs its picture's, and is left out
    without.
    """
    drawn, masks = _filled([mark for mark in marks if mark.kind == "mask"], sizes)
    box_N4 = outline_fills.boxes(masks)

    def likeness(first_P: Ints, second_P: Ints) -> Floats:
        like_P = np.zeros(first_P.size)
        meets_P = np.all(
            (box_N4[first_P, :2] < box_N4[second_P, 2:]) & (box_N4[second_P, :2] < box_N4[first_P, 2:]), axis=1
        )
        like_P[meets_P] = outline_fills.overlaps(masks, first_P[meets_P], second_P[meets_P])
        return like_P

    groups = _things_of(drawn, likeness)
    merged = _weighed(drawn, masks, [group for group in groups if len(group) > 1])
    texts, area_N = outline_fills.texts(masks), outline_fills.areas(masks).tolist()
    side_N, sides = np.stack([masks.height_M, masks.width_M], axis=1).tolist(), box_N4.tolist()
    records = []
    for group in groups:
        one, members = group[0], [drawn[at] for at in group]
        (height, width), counts, area, (x1, y1, x2, y2) = side_N[one], texts[one], area_N[one], sides[one]
        agreement = 1.0
        if len(group) > 1:
            mask = merged[one]
            agreement = float(np.mean([rle.iou(outline_fills.one(masks, at), mask) for at in group]))
            height, width, counts, area = mask.height, mask.width, rle.to_text(mask), rle.area(mask)
            x1, y1, x2, y2 = rle.box(mask)
        status, method, reason = _verdict(members, agreement, "staple", ruled_out)
        records.append(
            Mask(
                *members[0].key, members[0].mark_id, height, width, counts, area, x1, y1, x2, y2,
                round(agreement, 4), len(group), tuple(mark.annotator for mark in members), status, method, reason,
                settled_at,
            )
        )  # fmt: skip
    return sorted(records, key=lambda one: (one.image_id, one.concept_id, one.mark_id))


def point_records(marks: Sequence[Mark], ruled_out: frozenset[Key], settled_at: str) -> list[Keypoints]:
    """One record per thing, skeleton by skeleton."""
    drawn = sorted((mark for mark in marks if mark.kind == "points"), key=lambda one: (one.key, one.mark_id))
    read = read_shapes([mark.text for mark in drawn], skeleton=pa.string(), points=pa.list_(pa.list_(pa.float64())))
    by_skeleton: dict[str, list[int]] = defaultdict(list)
    for at, skeleton in enumerate(read.column("skeleton").to_pylist()):
        by_skeleton[skeleton].append(at)
    records = []
    for skeleton, numbers in by_skeleton.items():
        flat = read.column("points").take(pa.array(numbers)).combine_chunks().flatten().flatten()
        drawn_NK3 = flat.to_numpy().reshape(len(numbers), -1, 3)
        records += _pointed(skeleton, [drawn[at] for at in numbers], drawn_NK3, ruled_out, settled_at)
    return sorted(records, key=lambda one: (one.image_id, one.concept_id, one.mark_id))


def _pointed(
    skeleton: str, drawn: Sequence[Mark], drawn_NK3: Floats, ruled_out: frozenset[Key], settled_at: str
) -> list[Keypoints]:
    size_N = sizes_of(drawn_NK3)
    groups = _things_of(drawn, lambda first_P, second_P: likeness_of_pairs(drawn_NK3, size_N, first_P, second_P))
    shared = [group for group in groups if len(group) > 1]
    number = {group[0]: at for at, group in enumerate(shared)}
    if shared:
        flat = np.array([at for group in shared for at in group], np.int64)
        people = {name: at for at, name in enumerate(dict.fromkeys(drawn[at].annotator for at in flat.tolist()))}
        thing = np.repeat(np.arange(len(shared)), [len(group) for group in shared])
        found = weigh_points(thing, [people[drawn[at].annotator] for at in flat.tolist()], drawn_NK3[flat])
        both_NK3 = np.concatenate([drawn_NK3[flat], found.points_TK3[thing]])
        pair_P = np.arange(flat.size)
        like_P = likeness_of_pairs(both_NK3, sizes_of(both_NK3), pair_P, pair_P + flat.size)
        agreement_T = np.bincount(thing, weights=like_P) / np.bincount(thing)
    placed, unsure = np.round(drawn_NK3, 2).reshape(len(drawn), -1).tolist(), (0.0,) * drawn_NK3.shape[1]
    records = []
    for group in groups:
        members, points, spreads, agreement = [drawn[at] for at in group], placed[group[0]], unsure, 1.0
        if len(group) > 1:
            at = number[group[0]]
            points, agreement = np.round(found.points_TK3[at], 2).ravel().tolist(), float(agreement_T[at])
            spreads = tuple(np.round(found.sd_TK[at], 2).tolist())
        status, method, reason = _verdict(members, agreement, "mean", ruled_out)
        records.append(
            Keypoints(
                *members[0].key, members[0].mark_id, skeleton, tuple(points), spreads, round(agreement, 4),
                len(group), tuple(mark.annotator for mark in members), status, method, reason, settled_at,
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


def _things_of(marks: Sequence[Mark], likeness: Callable[[Ints, Ints], Floats]) -> list[list[int]]:
    """Numbers of the drawings of each thing. marks: by picture and concept; likeness: f64[P] in [0, 1] of pairs."""
    if not marks:
        return []
    keys = [mark.key for mark in marks]
    first_G = np.array([0, *(at for at in range(1, len(keys)) if keys[at] != keys[at - 1]), len(keys)], np.int64)
    alike: dict[int, list[tuple[int, int, float]]] = {}
    for first_P, second_P in _pairs(first_G):
        like_P = likeness(first_P, second_P)
        group_P = np.searchsorted(first_G, first_P, "right") - 1
        is_near = np.isin(group_P, np.unique(group_P[like_P >= SAME])) & (like_P > 0)
        columns = (column[is_near].tolist() for column in (group_P, first_P, second_P, like_P))
        for group, first, second, like in zip(*columns, strict=True):
            alike.setdefault(group, []).append((first, second, like))
    bounds, groups = first_G.tolist(), []
    for group, (start, end) in enumerate(pairwise(bounds)):
        if group not in alike:  # nothing is like anything else: each is a thing of its own
            groups += [[at] for at in range(start, end)]
            continue
        like_NN = np.eye(end - start)
        for first, second, like in alike[group]:
            like_NN[first - start, second - start] = like_NN[second - start, first - start] = like
        groups += [[start + at for at in thing] for thing in _things(marks[start:end], like_NN)]
    return groups


def _pairs(first_G: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Every pair within a group, the lower number first, in lots of whole groups."""
    many_G = np.diff(first_G)
    lot_G = np.cumsum(many_G * (many_G - 1) // 2) // _MOST_PAIRS
    for lot in np.unique(lot_G[many_G > 1]).tolist():
        chosen = np.flatnonzero((lot_G == lot) & (many_G > 1))
        at_N = np.concatenate([np.arange(first_G[group], first_G[group + 1]) for group in chosen.tolist()])
        after_N = np.repeat(first_G[chosen + 1], many_G[chosen]) - at_N - 1
        first_P = np.repeat(at_N, after_N)
        yield first_P, first_P + 1 + np.arange(first_P.size) - np.repeat(np.cumsum(after_N) - after_N, after_N)


def _things(marks: Sequence[Mark], like_NN: Floats) -> list[list[int]]:
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
    return [[kept[at] for at in sorted(cluster)] for cluster in sorted(clusters, key=min)]


def _filled(marks: Sequence[Mark], sizes: Mapping[str, tuple[int, int]]) -> tuple[list[Mark], Masks]:
    """Marks by picture and concept with their runs: single outlines all at once, whatever else one by one."""
    read = read_shapes([mark.text for mark in marks], counts=pa.string(), polygons=pa.list_(pa.list_(pa.float64())))
    is_runs, polygons = pc.is_valid(read.column("counts")).to_pylist(), read.column("polygons").combine_chunks()
    many = pc.fill_null(pc.list_value_length(polygons), 0).to_pylist()
    is_known = [is_runs[at] or all(sizes.get(mark.image_id, (0, 0))) for at, mark in enumerate(marks)]
    alone = [at for at in range(len(marks)) if is_known[at] and many[at] == 1 and not is_runs[at]]
    others = [at for at in range(len(marks)) if is_known[at] and (many[at] != 1 or is_runs[at])]
    outline = polygons.take(pa.array(alone, pa.int64())).flatten()
    lots = [
        outline_fills.masks_of([_runs(marks[at], sizes) for at in others]),
        outline_fills.filled(
            outline.flatten().to_numpy().reshape(-1, 2), pc.list_value_length(outline).to_numpy().astype(np.int64) // 2,
            np.array([sizes[marks[at].image_id] for at in alone], np.int64).reshape(-1, 2),
        ),
    ]  # fmt: skip
    numbers = [*others, *alone]
    order = sorted(range(len(numbers)), key=lambda at: (marks[numbers[at]].key, marks[numbers[at]].mark_id))
    masks = outline_fills.taken(outline_fills.together(lots), np.array(order, np.int64))
    return [marks[numbers[at]] for at in order], masks


def _runs(mark: Mark, sizes: Mapping[str, tuple[int, int]]) -> rle.Rle:
    shape = dict(mark.shape)
    return rle.from_json(shape) if "counts" in shape else mask_of(shape, *sizes[mark.image_id])


def _weighed(drawn: Sequence[Mark], masks: Masks, shared: Sequence[Sequence[int]]) -> dict[int, rle.Rle]:
    """The first number of each thing that several people drew -> its mask."""
    few = [group[:MOST_PEOPLE] for group in shared]
    people = {name: at for at, name in enumerate(dict.fromkeys(drawn[at].annotator for group in few for at in group))}
    found = weigh_masks([
        Thing(
            tuple(outline_fills.one(masks, at) for at in group), tuple(people[drawn[at].annotator] for at in group)
        )
        for group in few
    ]).masks  # fmt: skip
    return {group[0]: mask for group, mask in zip(few, found, strict=True)}
