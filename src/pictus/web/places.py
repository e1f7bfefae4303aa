"""Where each picture's bytes lie, found without reading the whole table again for every picture of a wall."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pictus.records import Picture
from pictus.tables import Tables

IMAGE_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
DIGITS = 8
"""Of an image_id, kept to find its row; the row itself says whether it is the one."""
KEPT = 4_096
"""Rows, the latest looked at, that are not read again: the pictures of the pages in hand."""


class Places:
    """The row of each picture in the table `images`, 16 bytes a picture.

    Rows of that table are only ever added and keep their order: what was found stays right, and what is
    not found is looked for among the rows added since, so that a server sees pictures collected while it runs.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._keys = np.empty(0, np.uint64)  # sorted
        self._rows = np.empty(0, np.int64)  # the row of each key
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, image_id: str) -> Picture | None:
        """The picture with this whole image_id, None when there is none."""
        return self.find_all((image_id,)).get(image_id)

    def find_all(self, image_ids: Collection[str]) -> dict[str, Picture]:
        """Those of these pictures that there are: of a page at once, as opening the table takes most of the time."""
        wanted = dict.fromkeys(one for one in image_ids if IMAGE_ID.fullmatch(one))
        with self._lock:
            found = {one: self._kept[one] for one in wanted if one in self._kept}
            if lacking := [one for one in wanted if one not in found]:
                found |= self._look(lacking)
                if (lacking := [one for one in lacking if one not in found]) and self._read_on():
                    found |= self._look(lacking)
            self._keep(found)
            return found

    def _look(self, image_ids: Iterable[str]) -> dict[str, Picture]:
        keys = np.array([int.from_bytes(one[:DIGITS].encode()) for one in image_ids], np.uint64)
        firsts, lasts = np.searchsorted(self._keys, keys, "left"), np.searchsorted(self._keys, keys, "right")
        rows = sorted({int(row) for first, last in zip(firsts, lasts, strict=True) for row in self._rows[first:last]})
        wanted = set(image_ids)
        pictures = [Picture(**row) for row in self._tables.take("images", rows).to_pylist()] if rows else []
        return {one.image_id: one for one in pictures if one.image_id in wanted}

    def _keep(self, found: dict[str, Picture]) -> None:
        for image_id, picture in found.items():
            self._kept[image_id] = picture
            self._kept.move_to_end(image_id)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _read_on(self) -> bool:
        """Take in the rows added since the last time -> whether there were any."""
        added = self._tables.read("images", ["image_id"], offset=len(self._rows)).column("image_id")
        if not len(added):
            return False
        rows = np.arange(len(self._rows), len(self._rows) + len(added))
        keys = np.concatenate([self._keys, _keys(added)])
        order = np.argsort(keys, kind="stable")
        self._keys, self._rows = keys[order], np.concatenate([self._rows, rows])[order]
        return True


def _keys(ids: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """The first digits of each image_id as a number: string[N] -> u64[N]."""
    text = np.array(pc.utf8_slice_codeunits(ids, 0, DIGITS).to_pylist(), f"S{DIGITS}")
    return text.view(f">u{DIGITS}").astype(np.uint64)
