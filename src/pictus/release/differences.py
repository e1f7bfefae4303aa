"""What changed between two releases: added, removed, relabelled, moved to another split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

KINDS = ("added", "removed", "relabelled", "moved")


@dataclass(frozen=True, slots=True)
class Change:
    """One picture that differs. `before`, `after`: the class when relabelled, the split when moved,
    `split/class` when added or removed.
    """

    image_id: str
    change: str  # added | removed | relabelled | moved
    before: str
    after: str


def changes(before: pa.Table, after: pa.Table) -> Iterator[Change]:
    """Every difference by image_id; a picture can be both relabelled and moved."""
    old, new = _by_id(before), _by_id(after)
    for image_id in sorted(old.keys() | new.keys()):
        if image_id not in old:
            yield Change(image_id, "added", "", "/".join(new[image_id]))
        elif image_id not in new:
            yield Change(image_id, "removed", "/".join(old[image_id]), "")
        else:
            (old_split, old_class), (new_split, new_class) = old[image_id], new[image_id]
            if old_class != new_class:
                yield Change(image_id, "relabelled", old_class, new_class)
            if old_split != new_split:
                yield Change(image_id, "moved", old_split, new_split)


def summed(before: pa.Table, after: pa.Table, found: list[Change]) -> dict[str, Any]:
    """Counts by kind, and [before, after] for every class and every move that differs."""
    kinds = Counter(change.change for change in found)
    moves = Counter(f"{change.before} -> {change.after}" for change in found if change.change == "moved")
    old, new = (Counter(table.column("concept_id").to_pylist()) for table in (before, after))
    by_class = {one: [old[one], new[one]] for one in sorted(old.keys() | new.keys()) if old[one] != new[one]}
    return {**{kind: kinds[kind] for kind in KINDS}, "moves": dict(sorted(moves.items())), "by_class": by_class}


def expected_version(removed: int, relabelled: int, added: int) -> str:
    """Which part of the version such a change asks for: "major", "minor" or "patch"."""
    return "major" if removed or relabelled else "minor" if added else "patch"


def _by_id(pictures: pa.Table) -> dict[str, tuple[str, str]]:
    columns = (pictures.column(name).to_pylist() for name in ("image_id", "split", "concept_id"))
    return {image_id: (split, concept_id) for image_id, split, concept_id in zip(*columns, strict=True)}
