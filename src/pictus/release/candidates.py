"""Which pictures may be released, and what is known of each: Arrow joins over the stages' tables.

A picture is eligible when its label is accepted, it was not dropped and is not known to be undecodable.
Tables of stages that have not run are empty and exclude nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pictus.engine import cpu_count
from pictus.errors import PictureError
from pictus.pixels import decode_scaled
from pictus.progress import Meter

_BATCH = 256
"""Pictures read ahead of being decoded."""


class Eligible(NamedTuple):
    """Rows image_id, concept_id, posterior, n_votes, group_id, sorted by image_id, each picture once."""

    rows: pa.Table
    dropped: int  # accepted labels whose picture was dropped
    several: int  # accepted labels set aside because their picture has a more probable one
    unsettled: int  # labels that are not accepted
    doubtful: int  # of these, labels that are not rejected either
    undecodable: Counter[str]  # cause -> accepted labels whose picture was measured and cannot be decoded
    unscreened: pa.Array  # image_ids of the rows without a verdict
    unmeasured: pa.Array  # image_ids of the rows that were never decoded


def eligible(labels: pa.Table, verdicts: pa.Table, duplicates: pa.Table, checks: pa.Table) -> Eligible:
    """The pictures with an accepted label, no drop verdict and no cause in `checks`, each with its duplicate group.

    A restored picture that cannot be decoded stays out. A picture outside every group is its own.
    Of several accepted labels the most probable counts (of equals, the first concept_id).
    """
    accepted = labels.filter(pc.equal(labels.column("status"), "accepted"))
    dropped = verdicts.filter(pc.equal(verdicts.column("verdict"), "drop")).select(["image_id"])
    kept = accepted.select(["image_id", "concept_id", "posterior", "n_votes"]).join(
        dropped, "image_id", join_type="left anti"
    )
    broken = checks.filter(pc.not_equal(checks.column("cause"), "")).select(["image_id", "cause"])
    causes = kept.join(broken, "image_id", join_type="inner").select(["image_id", "cause"])
    readable = kept.join(broken, "image_id", join_type="left anti")
    single = first_of_each(readable, "image_id", [("posterior", "descending"), ("concept_id", "ascending")])
    groups = first_of_each(duplicates.select(["image_id", "group_id"]), "image_id", [("group_id", "ascending")])
    rows = single.join(groups, "image_id", join_type="left outer")
    alone = pc.fill_null(rows.column("group_id"), rows.column("image_id"))
    rows = rows.set_column(rows.schema.get_field_index("group_id"), "group_id", alone).sort_by("image_id")
    return Eligible(
        rows,
        accepted.num_rows - kept.num_rows,
        readable.num_rows - single.num_rows,
        labels.num_rows - accepted.num_rows,
        pc.sum(pc.equal(labels.column("status"), "unsettled")).as_py() or 0,
        Counter(first_of_each(causes, "image_id", []).column("cause").to_pylist()),
        _lacking(rows, verdicts),
        _lacking(rows, checks),
    )


def undecodable(image_ids: Sequence[str], read: Callable[[str], bytes], meter: Meter) -> Iterator[tuple[str, str]]:
    """(image_id, cause) of those that cannot be decoded, on all cores. `read` gives b"" for one to be passed over."""

    def one(image_id: str) -> str:
        try:
            image_bytes = read(image_id)
            if image_bytes:
                decode_scaled(image_bytes, 64)
        except PictureError as error:
            return error.cause
        return ""

    waiting = iter(image_ids)
    with ThreadPoolExecutor(cpu_count()) as pool:
        while batch := list(islice(waiting, _BATCH)):
            for image_id, cause in zip(batch, pool.map(one, batch), strict=True):
                meter.advance()
                if cause:
                    yield image_id, cause


def _lacking(rows: pa.Table, others: pa.Table) -> pa.Array:
    """The image_ids that `others` does not have."""
    known = pc.is_in(rows.column("image_id"), value_set=others.column("image_id").combine_chunks())
    return rows.column("image_id").filter(pc.invert(known)).combine_chunks()


def described(rows: pa.Table, images: pa.Table, sources: pa.Table) -> pa.Table:
    """`rows` with where the bytes lie, the header's facts and one provenance, sorted by image_id.

    Of several provenances the first found that states a licence counts. Rows without an image stay
    out: compare the counts.
    """
    wanted = ["image_id", "shard", "offset", "size", "width", "height", "format"]
    rows = rows.join(images.select(wanted), "image_id", join_type="inner")
    names = ["licence", "author", "address"]
    sources = sources.append_column("licensed", pc.cast(pc.not_equal(sources.column("licence"), ""), pa.int8()))
    order = [("licensed", "descending"), ("found_at", "ascending"), ("address", "ascending")]
    best = first_of_each(sources, "image_id", order)
    best = best.select(["image_id", "kind", *names])
    shown = [
        address if kind == "url" else shortened(address)
        for kind, address in zip(best.column("kind").to_pylist(), best.column("address").to_pylist(), strict=True)
    ]
    best = best.drop_columns(["kind", "address"]).append_column("address", pa.array(shown, pa.string()))
    rows = rows.join(best, "image_id", join_type="left outer").sort_by("image_id")
    for name in names:
        rows = rows.set_column(rows.schema.get_field_index(name), name, pc.fill_null(rows.column(name), ""))
    return rows


def first_of_each(table: pa.Table, key: str, order: list[tuple[str, str]]) -> pa.Table:
    """The first row of every key in the given order; the result is sorted by key."""
    table = table.sort_by([(key, "ascending"), *order]).combine_chunks()
    if table.num_rows < 2:  # noqa: PLR2004  nothing to compare
        return table
    keys = table.column(key)
    is_new = pc.not_equal(keys.slice(1), keys.slice(0, table.num_rows - 1))
    return table.filter(pa.chunked_array([pa.array([True]), *is_new.chunks]))


def shortened(address: str) -> str:
    """A local address without the path of the machine it was found on: `folder/file`."""
    parts = [part for part in re.split(r"[/\\]+", address) if part]
    return "/".join(parts[-2:])


def torn_groups(rows: pa.Table) -> list[str]:
    """The group_ids whose pictures lie in more than one split, sorted."""
    found = rows.group_by("group_id").aggregate([("split", "count_distinct")])
    torn = found.filter(pc.greater(found.column("split_count_distinct"), 1))
    return sorted(torn.column("group_id").to_pylist())


def whole_groups(rows: pa.Table) -> int:
    """Groups of at least two pictures."""
    sizes = rows.group_by("group_id").aggregate([("image_id", "count")])
    return int(pc.sum(pc.greater(sizes.column("image_id_count"), 1)).as_py() or 0)
