"""Where each picture's bytes lie, found without reading the whole table again for every picture of a wall."""

from __future__ import annotations

import re
import threading

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pictus.records import Picture
from pictus.tables import Tables

IMAGE_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
DIGITS = 8
"""Of an image_id, kept to find its row; the row itself says whether it is the one."""


class Places:
    """The row of each picture in the table `images`, 16 bytes a picture.

    Rows of that table are only ever added and keep their order: what was found stays right, and what is
    not found is looked for among the rows added since, so that a server sees pictures collected while it runs.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._keys = np.empty(0, np.uint64)  # sorted
        self._rows = np.empty(0, np.int64)  # the row of each key
        self._lock = threading.Lock()

    def find(self, image_id: str) -> Picture | None:
        """The picture with this whole image_id, None when there is none."""
        if not IMAGE_ID.fullmatch(image_id):
            return None
        with self._lock:
            return self._look(image_id) or (self._look(image_id) if self._read_on() else None)

    def _look(self, image_id: str) -> Picture | None:
        key = np.uint64(int.from_bytes(image_id[:DIGITS].encode()))
        first, last = np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right")
        for row in self._rows[first:last]:
            found = Picture(**self._tables.read("images", offset=int(row), limit=1).to_pylist()[0])
            if found.image_id == image_id:
                return found
        return None

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
