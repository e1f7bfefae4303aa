"""Which pictures are settled again, and how their rows take the place of what was there. Pure.

What somebody drew or said since the last settling is settled again. Two things reach further. A box's probability
also depends on how often its verifiers are right and on how many boxes are good at all: where it would differ by more
than MOVED from what is stored, its picture is settled again too. And what several people drew is weighed together:
as soon as one such thing is new, all of its kind are. So the tables are those of a whole settling, but for
probabilities of boxes that are within MOVED.

Legend: B boxes, V answers about them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pictus.annotate.shapes.box_loop import BOX
from pictus.annotate.shapes.settled_boxes import RIGHT, Key, Mark

MOVED = 0.005

_KINDS = {"mask": "masks", "points": "keypoints"}
_BETWEEN = "\n"


def drifted(boxes: pa.Table, skill: Mapping[str, float], share: tuple[float, float]) -> set[Key]:
    """Pictures with a box that is now more or less probable by more than MOVED.

    boxes: rows of the table; skill: of verifiers, RIGHT of others; share: good and bad answers on all boxes.
    """
    asked = boxes.filter(pc.and_(pc.equal(boxes.column("method"), "loop"),
                                 pc.greater(pc.add(boxes.column("n_good"), boxes.column("n_bad")), 0)))  # fmt: skip
    if not asked.num_rows:
        return set()
    verified = asked.column("verified_by").combine_chunks()
    who = verified.flatten().dictionary_encode()
    right = np.array([skill.get(name, RIGHT) for name in who.dictionary.to_pylist()])
    says_V = np.log(right / (1 - right))[who.indices.to_numpy()]
    many_B = pc.list_value_length(verified).to_numpy()
    at_V = np.arange(says_V.size) - np.repeat(np.cumsum(many_B) - many_B, many_B)
    is_good_V = at_V < np.repeat(asked.column("n_good").to_numpy(), many_B)  # those who say good come first
    box_V = np.repeat(np.arange(many_B.size), many_B)
    odds_B = np.log(share[0] / share[1]) + np.bincount(
        box_V, weights=np.where(is_good_V, says_V, -says_V), minlength=many_B.size
    )
    moved_B = np.abs(1 / (1 + np.exp(-odds_B)) - asked.column("posterior").to_numpy()) > MOVED
    return keys_in(asked.filter(pa.array(moved_B)))


def shared(marks: Sequence[Mark], keys: Collection[Key], tables: Mapping[str, pa.Table]) -> set[Key]:
    """Where several people drew a thing, of the kinds that more than one draws on one of these pictures, or drew.

    marks: what stands on the pictures `keys`; tables: as they were. Of two one may be paused, or take theirs back: how
    much the other counts everywhere was reckoned from it too.
    """
    found: set[Key] = set()
    people: dict[tuple[str, Key], set[str]] = {}
    for mark in marks:
        if mark.kind != BOX or not (mark.is_drawn_here or mark.is_proposal):
            people.setdefault((mark.kind, mark.key), set()).add(mark.annotator)
    stirred = {kind for (kind, _), names in people.items() if len(names) > 1}
    for kind in (BOX, *_KINDS):
        rows = tables["boxes" if kind == BOX else _KINDS[kind]]
        together = pc.equal(rows.column("method"), "consensus") if kind == BOX else pc.greater(rows.column("n_drew"), 1)
        were = keys_in(rows.filter(together))
        if kind in stirred or not were.isdisjoint(keys):
            found |= were
    return found


def keys_in(rows: pa.Table) -> set[Key]:
    """Picture and concept of each row."""
    return set(zip(rows.column("image_id").to_pylist(), rows.column("concept_id").to_pylist(), strict=True))


def without(rows: pa.Table, keys: Collection[Key]) -> pa.Table:
    """The rows of other pictures and concepts."""
    listed = pa.array([_BETWEEN.join(key) for key in keys], pa.string())
    own = pc.binary_join_element_wise(rows.column("image_id"), rows.column("concept_id"), _BETWEEN)
    return rows.filter(pc.invert(pc.is_in(own, value_set=listed)))


def joined(kept: pa.Table, new: pa.Table) -> pa.Table:
    """All by picture, concept and mark: the order of a whole settling."""
    order = [name for name in ("image_id", "concept_id", "mark_id") if name in new.column_names]
    return pa.concat_tables([kept, new.cast(kept.schema)]).sort_by([(name, "ascending") for name in order])
