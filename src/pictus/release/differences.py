"""What changed between two releases: added, removed, relabelled, moved to another split, redacted otherwise.

Pictures are compared by what they were found as (origin_id): one whose GPS was taken out in the later release only
is the same picture, redacted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from pictus.releases import with_newer

KINDS = ("added", "removed", "relabelled", "moved", "redacted")
AS_FOUND = "as found"


@dataclass(frozen=True, slots=True)
class Change:
    """One picture that differs, by its image_id in the later release, in the earlier one when removed.

    `before`, `after`: the class when relabelled, the split when moved, `split/class` when added or removed, what was
    done to the picture when redacted.
    """

    image_id: str
    change: str  # added | removed | relabelled | moved | redacted
    before: str
    after: str


def changes(before: pa.Table, after: pa.Table) -> Iterator[Change]:
    """Every difference, by origin_id; a picture can be relabelled, moved and redacted at once."""
    old, new = _by_origin(before), _by_origin(after)
    for origin_id in sorted(old.keys() | new.keys()):
        if origin_id not in old:
            yield Change(new[origin_id].image_id, "added", "", new[origin_id].place)
        elif origin_id not in new:
            yield Change(old[origin_id].image_id, "removed", old[origin_id].place, "")
        else:
            was, now = old[origin_id], new[origin_id]
            if was.concept_id != now.concept_id:
                yield Change(now.image_id, "relabelled", was.concept_id, now.concept_id)
            if was.split != now.split:
                yield Change(now.image_id, "moved", was.split, now.split)
            if was.image_id != now.image_id:
                yield Change(now.image_id, "redacted", was.changes or AS_FOUND, now.changes or AS_FOUND)


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


class _Row(NamedTuple):
    image_id: str
    split: str
    concept_id: str
    changes: str

    @property
    def place(self) -> str:
        return f"{self.split}/{self.concept_id}"


def _by_origin(pictures: pa.Table) -> dict[str, _Row]:
    pictures = with_newer(pictures)
    columns = (pictures.column(name).to_pylist() for name in ("origin_id", *_Row._fields))
    return {origin_id: _Row(*row) for origin_id, *row in zip(*columns, strict=True)}
