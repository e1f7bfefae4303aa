"""From the project's tables to what is known of every question that could be asked: arrays, sorted, each pair once.

A candidate is a pair (picture, concept): claimed by a source, settled on by votes, asked about before, suspected
instead of a label, or met in production. Pictures that were dropped are none.

Legend: N pictures, C concepts, R candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pictus.annotate.queues.priorities import Bools, Floats, Ints
from pictus.annotate.truth.questions import SOURCE_PREFIX

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class World:
    """The pictures that may be asked about and the concepts, numbered. `images`: string[N], sorted."""

    images: pa.Array
    concepts: Sequence[str]

    def image_numbers(self, ids: pa.ChunkedArray | pa.Array) -> Ints:
        """i64, -1 for a picture that is none of these."""
        return _numbers(ids, self.images)

    def concept_numbers(self, ids: pa.ChunkedArray | pa.Array) -> Ints:
        """i64, -1 for a concept that is none of these."""
        return _numbers(ids, pa.array(list(self.concepts), pa.string()))

    def keys(self, images: pa.ChunkedArray | pa.Array, concepts: pa.ChunkedArray | pa.Array) -> Ints:
        """One number for each pair, -1 where either is not there. Sorted by concept, then by picture."""
        image, concept = self.image_numbers(images), self.concept_numbers(concepts)
        return np.where((image < 0) | (concept < 0), -1, concept * len(self.images) + image)

    def pairs(self, keys: Ints) -> tuple[Ints, Ints]:
        """(concept, picture) of each key."""
        concept, image = np.divmod(keys, max(1, len(self.images)))
        return concept, image


class Said(NamedTuple):
    """Persons' answers about pairs, keys ascending: i64[P] each."""

    keys: Ints
    yes: Ints
    no: Ints


class Settled(NamedTuple):
    """What votes settled on, keys ascending: posterior f64[P], is_accepted and is_rejected bool[P]."""

    keys: Ints
    posterior: Floats
    is_accepted: Bools
    is_rejected: Bools


def votes_of_persons(world: World, votes: pa.Table) -> Said:
    """Yes and no of everybody who is a person, by pair. An answer to "which?" is a yes to that concept."""
    votes = votes.filter(pc.invert(pc.starts_with(votes.column("annotator"), SOURCE_PREFIX)))
    is_which = pc.equal(votes.column("question"), "")
    concept = pc.if_else(is_which, votes.column("answer"), votes.column("question"))
    keys = world.keys(votes.column("image_id"), concept)
    answer = votes.column("answer")
    is_yes = _flags(pc.or_(is_which, pc.equal(answer, "yes")))
    is_no = _flags(pc.and_(pc.invert(is_which), pc.equal(answer, "no")))
    there = (keys >= 0) & (is_yes | is_no)
    found, at = np.unique(keys[there], return_inverse=True)
    yes, no = (np.bincount(at, which[there], minlength=found.size).astype(np.int64) for which in (is_yes, is_no))
    return Said(found, yes, no)


def settled_of(world: World, rows: pa.Table, rulings: Mapping[tuple[str, str], str]) -> Settled:
    """Rows with image_id, concept_id, posterior, status; and the latest ruling of each pair, which goes before them."""
    keys = world.keys(rows.column("image_id"), rows.column("concept_id"))
    status = rows.column("status")
    posterior = np.asarray(rows.column("posterior").to_numpy(), np.float64)
    ruled = [(pair, ruling) for pair, ruling in rulings.items() if ruling in ("is", "is-not")]
    ruled_keys = world.keys(
        pa.array([pair[0] for pair, _ in ruled], pa.string()), pa.array([pair[1] for pair, _ in ruled], pa.string())
    )
    ruled_is = np.array([ruling == "is" for _, ruling in ruled], np.bool_)
    keys = np.concatenate([ruled_keys, keys])  # first, so that `unique` keeps them
    posterior = np.concatenate([ruled_is.astype(np.float64), posterior])
    accepted = np.concatenate([ruled_is, _flags(pc.equal(status, "accepted"))])
    rejected = np.concatenate([~ruled_is, _flags(pc.equal(status, "rejected"))])
    found, first = np.unique(keys, return_index=True)
    keep = found >= 0
    return Settled(found[keep], posterior[first][keep], accepted[first][keep], rejected[first][keep])


def looked_up(keys: Ints, table: Ints, values: NDArray[Scalar], missing: float) -> NDArray[Scalar]:
    """Values of `keys` in the ascending `table`, `missing` where they are not there."""
    if not table.size:
        return np.full(keys.size, missing, values.dtype)
    at = np.minimum(np.searchsorted(table, keys), table.size - 1)
    found: NDArray[Scalar] = np.where(table[at] == keys, values[at], np.asarray(missing, values.dtype))
    return found


def folds_of(world: World, duplicates: pa.Table) -> dict[int, str]:
    """Picture number -> group_id, for groups of which two or more may be asked about."""
    number = world.image_numbers(duplicates.column("image_id"))
    groups = duplicates.column("group_id").to_pylist()
    rows = [(int(one), group) for one, group in zip(number.tolist(), groups, strict=True) if one >= 0]
    many: dict[str, int] = {}
    for _, group in rows:
        many[group] = many.get(group, 0) + 1
    return {one: group for one, group in rows if many[group] > 1}


def _numbers(ids: pa.ChunkedArray | pa.Array, known: pa.Array) -> Ints:
    found = pc.index_in(ids, value_set=known)
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)


def _flags(column: pa.ChunkedArray | pa.Array) -> Bools:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(whole.to_numpy(zero_copy_only=False), np.bool_)
