"""Author and licence of a picture from its own metadata, where no source stated one.

A creator that the file names is its author. A text of rights ("(c) Ann", "all rights reserved") is no licence; only
the address of a known licence is, and only where it is the only one.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

OWN_WORDS = ("image_id", "creator", "rights")
"""What is read of `checks`."""

_ADDRESS = re.compile(
    r"\bcreativecommons\.org/(?:licenses/(by(?:-(?:nc|nd|sa)){0,2})/(\d\.\d)(?:/([a-z]{2}(?=[/?#\s;,.]|$)))?"
    r"|publicdomain/(zero|mark)/\d\.\d)",
    re.IGNORECASE,
)


def licence_in(rights: str) -> str:
    """The SPDX identifier of the one licence that a text of rights gives the address of (PDM: the mark); else ""."""
    found = {_identifier(match) for match in _ADDRESS.finditer(rights)}
    return found.pop() if len(found) == 1 else ""


def with_own_words(rows: pa.Table, checks: pa.Table) -> pa.Table:
    """`rows` with author and licence from the pictures' metadata where those are "". `checks`: columns OWN_WORDS."""
    found = rows.select(["image_id"]).append_column("row", pa.array(range(rows.num_rows), pa.int64()))
    found = found.join(checks, "image_id", join_type="left outer").sort_by("row")
    authors = pc.fill_null(found.column("creator"), "")
    rights = pc.fill_null(found.column("rights"), "").combine_chunks().dictionary_encode()
    known = pa.array([licence_in(text) for text in rights.dictionary.to_pylist()], pa.string())
    for name, own in (("author", authors), ("licence", known.take(rights.indices))):
        stated = rows.column(name)
        chosen = pc.if_else(pc.equal(stated, ""), own, stated)
        rows = rows.set_column(rows.schema.get_field_index(name), name, chosen)
    return rows


def _identifier(match: re.Match[str]) -> str:
    kind, version, port, public = match.groups()
    if public:
        return "CC0-1.0" if public.lower() == "zero" else "PDM"
    return f"CC-{kind.upper()}-{version}" + (f"-{port.upper()}" if port else "")
