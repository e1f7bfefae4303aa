"""What a release says before it is packed: rows, classes, counts, licences. Pure."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pictus.concepts import Taxonomy
from pictus.errors import bad_rows
from pictus.records import Concept
from pictus.release.candidates import torn_groups, whole_groups
from pictus.release.redaction import KINDS, kind_of
from pictus.releases import CONCEPTS, PICTURES, SPLITS, with_newer

PLACED = ("key", "shard", "offset")
"""The columns that only packing can fill."""

UNPACKED = pa.schema([PICTURES.field(name) for name in PICTURES.names if name not in PLACED])


@dataclass(frozen=True)
class About:
    """What people say of a release."""

    name: str
    version: str
    created: str
    description: str = ""
    creator: str = ""
    url: str = ""


@dataclass(frozen=True, eq=False)
class Contents:
    """All of a release but its bytes. `pictures` has the schema UNPACKED, sorted by image_id."""

    about: About
    pictures: pa.Table
    concepts: tuple[Concept, ...]
    classes: tuple[str, ...]
    history: dict[str, Any] = field(default_factory=dict)  # plain JSON: how it came to be
    unscreened: frozenset[str] = frozenset()  # the pictures that no screen has seen
    labels: pa.Table | None = None  # LABELS, by the image_ids of `pictures`; None: one label to a picture, no more


def contents(about: About, rows: pa.Table, taxonomy: Taxonomy, history: dict[str, Any]) -> Contents:
    """Number the classes that have pictures, take their ancestors along.

    `rows`: the columns of UNPACKED but label, sorted by image_id, each picture once. As that is a
    digest, any run of rows holds all classes mixed. origin_id and changes may be left out.
    """
    rows = with_newer(rows)
    classes = tuple(sorted(rows.column("concept_id").unique().to_pylist()))
    labels = pc.index_in(rows.column("concept_id"), value_set=pa.array(classes, pa.string()))
    pictures = rows.append_column("label", labels).select(UNPACKED.names).cast(UNPACKED)
    image_ids = pictures.column("image_id").to_pylist()
    if image_ids != sorted(set(image_ids)):
        raise ValueError("the rows of a release must be sorted by image_id, each picture once")
    return Contents(about, pictures.combine_chunks(), released_concepts(classes, taxonomy), classes, history)


def released_concepts(classes: Sequence[str], taxonomy: Taxonomy) -> tuple[Concept, ...]:
    """The classes and everything above them, sorted by id. `is_class` says what is a label here."""
    missing = [concept_id for concept_id in classes if concept_id not in taxonomy]
    if missing:
        raise bad_rows(
            "the settled labels",
            [f"class {concept_id!r} is not in the taxonomy" for concept_id in missing],
            fix=f"pictus taxonomy add {missing[0]!r}    or correct the labels",
        )
    chosen = set(classes)
    wanted = chosen.union(*(taxonomy.ancestors(concept_id) for concept_id in classes))
    return tuple(
        replace(taxonomy.get(concept_id), parents=taxonomy.parents(concept_id), is_class=concept_id in chosen)
        for concept_id in sorted(wanted)
    )


def concept_rows(concepts: Iterable[Concept], classes: Sequence[str]) -> pa.Table:
    """Concepts as the table CONCEPTS."""
    label_of = {concept_id: label for label, concept_id in enumerate(classes)}
    rows = [
        {
            "concept_id": one.concept_id, "names": list(one.names), "gloss": one.gloss, "parents": list(one.parents),
            "is_class": one.concept_id in label_of, "source": one.source, "label": label_of.get(one.concept_id, -1),
        }
        for one in concepts
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=CONCEPTS)


def counts(pictures: pa.Table, classes: Sequence[str]) -> dict[str, Any]:
    """Pictures, bytes, sizes and formats; per split and per class and split. Plain JSON."""
    by_class = {**{concept_id: {} for concept_id in classes}, **counts_by_class(pictures)}
    by_split = Counter(pictures.column("split").to_pylist())
    return {
        "pictures": pictures.num_rows,
        "classes": len(classes),
        "bytes": int(pc.sum(pictures.column("size")).as_py() or 0),
        "splits": {name: by_split[name] for name in SPLITS if by_split[name]},
        "by_class": by_class,
        "formats": dict(Counter(pictures.column("format").to_pylist()).most_common()),
        "short_side_px": _quartiles(pc.min_element_wise(pictures.column("width"), pictures.column("height"))),
        "groups": whole_groups(pictures),
        "torn_groups": len(torn_groups(pictures)),
        **({"changes": changed} if (changed := changes_by_kind(pictures)) else {}),  # releases of before have none
    }


def changes_by_kind(pictures: pa.Table) -> dict[str, int]:
    """What was done to pictures for this release -> to how many of them."""
    found: Counter[str] = Counter()
    for text, count in Counter(pictures.column("changes").to_pylist()).items():
        for kind in {kind_of(part) for part in text.split(",")} & set(KINDS):
            found[kind] += count
    return dict(sorted(found.items()))


def counts_by_class(rows: pa.Table) -> dict[str, dict[str, int]]:
    """Class -> split -> pictures, for the classes and splits that have any."""
    by_class: dict[str, dict[str, int]] = {}
    pairs = Counter(zip(rows.column("concept_id").to_pylist(), rows.column("split").to_pylist(), strict=True))
    for (concept_id, split), count in sorted(pairs.items()):
        by_class.setdefault(concept_id, {})[split] = count
    return by_class


def totals(found: Mapping[str, Any]) -> dict[str, Any]:
    """The few of `counts` that every summary shows."""
    return {
        "pictures": found["pictures"],
        "classes": found["classes"],
        **{name: found.get("splits", {}).get(name, 0) for name in SPLITS},
        "size": found.get("bytes", 0),
        "groups": found.get("groups", 0) - found.get("torn_groups", 0),
        "torn_groups": found.get("torn_groups", 0),
    }


def licences(pictures: pa.Table) -> list[dict[str, Any]]:
    """Licence, pictures, authors: most pictures first; "unknown" where none was stated."""
    names = [name or "unknown" for name in pictures.column("licence").to_pylist()]
    authors: dict[str, set[str]] = {name: set() for name in names}
    for name, author in zip(names, pictures.column("author").to_pylist(), strict=True):
        if author:
            authors[name].add(author)
    ordered = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    return [{"licence": name, "pictures": count, "authors": len(authors[name])} for name, count in ordered]


def as_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Rows as CSV text with a header and plain line ends."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _quartiles(values: pa.ChunkedArray) -> list[int]:
    if not len(values):
        return []
    return [int(value) for value in np.percentile(values.to_numpy(), (0, 25, 50, 75, 100))]
