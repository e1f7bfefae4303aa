"""Widths and heights of pictures, upright, in memory: a page of 48 needs them within a millisecond."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pictus import pixels, shards
from pictus.errors import PictureError, UserError
from pictus.project import Project

_SHA256 = "^[0-9a-f]{64}$"
_NONE = (0, 0)
_MEASURED = -1


class Sizes:
    """Looked up by image_id. 44 bytes a picture; read again when pictures were added or measured.

    Of a picture that `clean check` has not measured the table knows the size as stored, which a camera held upright
    turns about: its header is looked at when it is first asked for, some 0.3 ms.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._ids_N: NDArray[np.bytes_] = np.zeros(0, "S32")  # sha256, ascending
        self._sizes_N2: NDArray[np.int32] = np.zeros((0, 2), np.int32)
        self._place_N: NDArray[np.int32] = np.zeros(0, np.int32)  # of its row in `_places`, or _MEASURED
        self._places = _places(None)
        self._stamps: tuple[int, ...] = ()

    def of(self, image_id: str) -> tuple[int, int]:
        """Width and height in px, (0, 0) for a picture that is not in the project."""
        with self._lock:
            found = self._find(image_id)
            if found == _NONE and self._is_old():
                self.read()
                found = self._find(image_id)
            return found

    def _find(self, image_id: str) -> tuple[int, int]:
        try:
            key = np.frombuffer(bytes.fromhex(image_id), "S32")
        except ValueError:
            return _NONE  # no sha256, so no picture
        if key.size != 1 or not self._ids_N.size:
            return _NONE
        at = int(np.searchsorted(self._ids_N, key)[0])
        if at == self._ids_N.size or self._ids_N[at] != key[0]:
            return _NONE
        if self._place_N[at] != _MEASURED:
            self._sizes_N2[at] = self._sniffed(int(self._place_N[at])) or self._sizes_N2[at]
            self._place_N[at] = _MEASURED
        return int(self._sizes_N2[at, 0]), int(self._sizes_N2[at, 1])

    def _sniffed(self, place: int) -> tuple[int, int] | None:
        """The upright size as the picture's own header has it; None where it cannot be read."""
        row = self._places.slice(place, 1).to_pylist()[0]
        try:
            return pixels.sniff(shards.read(self._project.shards_dir, **row)).upright
        except (PictureError, UserError, OSError):  # the wall says of each picture why it cannot be shown
            return None  # the size as stored stands

    def _now(self) -> tuple[int, ...]:
        return tuple(self._project.tables.stamp(name) for name in ("images", "checks"))

    def _is_old(self) -> bool:
        return self._now() != self._stamps

    def read(self) -> None:
        """All sizes there are now: as stored, upright where `clean check` has measured."""
        tables = self._project.tables
        self._stamps = self._now()
        columns = ["image_id", "width", "height"]
        rows = _sound(tables.read("images", [*columns, *_PLACE]))
        ids_N, sizes_N2, order_N = _arrays(rows)
        measured_M, upright_M2, _ = _arrays(_sound(tables.read("checks", columns, "cause = ''")))
        place_N = np.arange(ids_N.size, dtype=np.int32)
        if measured_M.size and ids_N.size:
            at_M = np.minimum(np.searchsorted(ids_N, measured_M), ids_N.size - 1)
            is_there_M = ids_N[at_M] == measured_M
            sizes_N2[at_M[is_there_M]] = upright_M2[is_there_M]
            place_N[at_M[is_there_M]] = _MEASURED
        is_open_N = place_N != _MEASURED
        self._places = _places(rows.take(pa.array(order_N[is_open_N])))
        place_N[is_open_N] = np.arange(self._places.num_rows)
        self._ids_N, self._sizes_N2, self._place_N = ids_N, sizes_N2, place_N


_PLACE = ("shard", "offset", "size")


def _places(rows: pa.Table | None) -> pa.Table:
    """Where pictures lie; names of shards, of which there are few, are kept once."""
    name = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([("shard", name), ("offset", pa.int64()), ("size", pa.int64())])
    return schema.empty_table() if rows is None else rows.select(_PLACE).cast(schema)


def _sound(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.match_substring_regex(rows.column("image_id"), _SHA256))


def _arrays(rows: pa.Table) -> tuple[NDArray[np.bytes_], NDArray[np.int32], NDArray[np.int64]]:
    """image_id, width, height -> sorted ids S32[N], i32[N, 2], the row of each i64[N]."""
    if not rows.num_rows:
        return np.zeros(0, "S32"), np.zeros((0, 2), np.int32), np.zeros(0, np.int64)
    ids_N = np.frombuffer(bytes.fromhex("".join(rows.column("image_id").to_pylist())), "S32")
    sizes_N2 = np.stack([rows.column(name).to_numpy().astype(np.int32) for name in ("width", "height")], axis=1)
    order_N = np.argsort(ids_N)
    return ids_N[order_N], sizes_N2[order_N], order_N
