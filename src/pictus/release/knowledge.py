"""What is known of a picture beyond its one label: labels.parquet.

A row for each (picture, concept) that people were asked about ("does it show an owl?"), that people named ("what does
it show?"), or that is the picture's own label. What is not listed was not asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pictus.project import Project
from pictus.records import Concept
from pictus.releases import LABELS

STATUSES = ("accepted", "unsettled", "rejected")

BLOCK = 50_000
"""Pictures worked on at once: 100 MB, whatever the release's size."""

SOURCE = "source:"
"""Annotators whose name begins so are no people, but folders and lists of labels."""


def knowledge(rows: pa.Table, presences: pa.Table, votes: pa.Table, suspects: pa.Table) -> pa.Table | None:
    """LABELS of the released pictures, by image_id and concept_id; None where it would say no more than `rows` does.

    rows: image_id (sorted), concept_id, posterior, n_votes. What people named beside the own label, and nobody was
    asked about, is unsettled: it shares what the own label's posterior leaves, by how many named it.
    """
    blocks = range(0, rows.num_rows, BLOCK)
    found = [_block(rows.slice(start, BLOCK), presences, votes, suspects) for start in blocks]
    if not any(says_more for _, says_more in found):
        return None
    return pa.concat_tables(table for table, _ in found)


def _block(rows: pa.Table, presences: pa.Table, votes: pa.Table, suspects: pa.Table) -> tuple[pa.Table, bool]:
    """Of some pictures in a row: LABELS, and whether it says more than they do."""
    ids = rows.column("image_id").combine_chunks()
    own = {
        image_id: (concept_id, posterior, n_votes)
        for image_id, concept_id, posterior, n_votes in _values(rows, "image_id", "concept_id", "posterior", "n_votes")
    }
    asked = presences.filter(pc.is_in(presences.column("image_id"), value_set=ids))
    columns = ("image_id", "concept_id", "posterior", "n_votes", "n_yes", "status")
    found = {(row[0], row[1]): row[2:] for row in _values(asked, *columns)}
    named = _named(votes, ids)
    for image_id, (concept_id, posterior, n_votes) in own.items():
        said = named.get(image_id, Counter())
        others = said.total() - said[concept_id]
        for other, count in said.items():
            share = (1 - posterior) * count / others if other != concept_id else posterior
            found.setdefault((image_id, other), (max(0.0, share), said.total(), count, "unsettled"))
        before = found.get((image_id, concept_id), (posterior, n_votes, n_votes, ""))
        # a picture's own label is shown, whatever the yes/no questions alone would say
        found[image_id, concept_id] = (max(posterior, before[0]), *before[1:3], "accepted")
    doubts = {(row[0], row[1]): row[2] for row in _values(suspects, "image_id", "given_id", "quality")}
    quality = {(image_id, row[0]): doubts.get((image_id, row[0])) for image_id, row in own.items()}
    is_disputed = any(n_yes < n_votes for _, n_votes, n_yes, _ in found.values())
    says_more = len(found) > len(own) or is_disputed or any(one is not None for one in quality.values())
    keys = sorted(found)
    table = pa.table(
        {
            "image_id": [image_id for image_id, _ in keys], "concept_id": [concept_id for _, concept_id in keys],
            **{name: [found[key][place] for key in keys] for place, name in enumerate(columns[2:])},
            "quality": [quality.get(key) for key in keys],
        },
        schema=LABELS,
    )  # fmt: skip
    return table, says_more


def of_project(project: Project, rows: pa.Table) -> pa.Table | None:
    """What a project knows of these pictures."""
    tables = project.tables
    return knowledge(rows, tables.read("presences"), project.journal.votes(), tables.read("suspects"))


def is_probability(value: float | None) -> bool:
    """Whether a posterior can be one; sums of floats may end a little above 1."""
    return value is not None and 0 <= value <= 1 + 1e-6


def known_of(
    labels: pa.Table | None, before: pa.Table, placed: pa.Table, concepts: Sequence[Concept]
) -> pa.Table | None:
    """The rows of the pictures that were written, by the image_id they have now; concepts the release describes only.

    before: the rows as they were to be packed; placed: as they were.
    """
    if labels is None:
        return None
    now = dict(_values(placed, "origin_id", "image_id"))
    new_id = {image_id: now[origin] for image_id, origin in _values(before, "image_id", "origin_id") if origin in now}
    described = pa.array([one.concept_id for one in concepts], pa.string())
    known = pa.array(sorted(new_id), pa.string())
    is_kept = pc.and_(
        pc.is_in(labels.column("image_id"), value_set=known), pc.is_in(labels.column("concept_id"), value_set=described)
    )
    kept = labels.filter(is_kept)
    ids = pa.array([new_id[image_id] for image_id in kept.column("image_id").to_pylist()], pa.string())
    return kept.set_column(0, LABELS.field(0), ids).sort_by([("image_id", "ascending"), ("concept_id", "ascending")])


def counts_of(labels: pa.Table) -> dict[str, Any]:
    """Rows, pictures, rows by status, and pictures accepted for more than one concept. Plain JSON."""
    accepted = labels.filter(pc.equal(labels.column("status"), "accepted")).column("image_id").to_pylist()
    by_status = Counter(labels.column("status").to_pylist())
    return {
        "rows": labels.num_rows,
        "pictures": pc.count_distinct(labels.column("image_id")).as_py(),
        "status": {name: by_status[name] for name in STATUSES if by_status[name]},
        "several": sum(count > 1 for count in Counter(accepted).values()),
    }


def wrong_rows(labels: pa.Table, pictures: pa.Table, concept_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(image_id, what is wrong) of rows that no picture or concept has, or whose numbers cannot be."""
    known, described = set(pictures.column("image_id").to_pylist()), set(concept_ids)
    seen: set[tuple[str, str]] = set()
    for image_id, concept_id, posterior, n_votes, n_yes, status, quality in _values(labels, *LABELS.names):
        wrong = [
            text
            for is_wrong, text in (
                (image_id not in known, "no picture of the release"),
                (concept_id not in described, f"concept {concept_id!r} is not described"),
                (not is_probability(posterior), f"the posterior {posterior} is not from 0 to 1"),
                (not 0 <= n_yes <= n_votes, f"{n_yes} of {n_votes} people"),
                (status not in STATUSES, f"{status!r} is no status"),
                (quality is not None and not is_probability(quality), f"the quality {quality} is not from 0 to 1"),
                ((image_id, concept_id) in seen, f"two rows about {concept_id!r}"),
            )
            if is_wrong
        ]
        seen.add((image_id, concept_id))
        if wrong:
            yield image_id, "; ".join(wrong)


def _named(votes: pa.Table, ids: pa.Array) -> dict[str, Counter[str]]:
    """Picture -> concept -> people who answered it to "what does it show?"."""
    is_named = pc.and_(pc.equal(votes.column("question"), ""), pc.is_in(votes.column("image_id"), value_set=ids))
    is_said = pc.and_(is_named, pc.invert(pc.starts_with(votes.column("annotator"), SOURCE)))
    found: dict[str, Counter[str]] = {}
    for image_id, concept_id in _values(votes.filter(is_said), "image_id", "answer"):
        if concept_id != "unsure":
            found.setdefault(image_id, Counter())[concept_id] += 1
    return found


def _values(rows: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows.column(name).to_pylist() for name in names), strict=True)
