"""Widths and heights of pictures, upright, in memory: a page of 48 needs them within a millisecond."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pictus.project import Project

_SHA256 = "^[0-9a-f]{64}$"
_NONE = (0, 0)


class Sizes:
    """Looked up by image_id. 40 bytes a picture; read again when pictures were added or measured."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._ids_N: NDArray[np.bytes_] = np.zeros(0, "S32")  # sha256, ascending
        self._sizes_N2: NDArray[np.int32] = np.zeros((0, 2), np.int32)
        self._versions: tuple[int, ...] = ()

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
        return int(self._sizes_N2[at, 0]), int(self._sizes_N2[at, 1])

    def _is_old(self) -> bool:
        tables = self._project.tables
        now = tuple(tables.version(name) if tables.exists(name) else 0 for name in ("images", "checks"))
        return now != self._versions

    def read(self) -> None:
        """All sizes there are now: as stored, upright where `clean check` has measured."""
        tables = self._project.tables
        self._versions = tuple(tables.version(name) if tables.exists(name) else 0 for name in ("images", "checks"))
        columns = ["image_id", "width", "height"]
        ids_N, sizes_N2 = _arrays(tables.read("images", columns))
        measured_M, upright_M2 = _arrays(tables.read("checks", columns, "cause = ''"))
        if measured_M.size and ids_N.size:
            at_M = np.minimum(np.searchsorted(ids_N, measured_M), ids_N.size - 1)
            is_there_M = ids_N[at_M] == measured_M
            sizes_N2[at_M[is_there_M]] = upright_M2[is_there_M]
        self._ids_N, self._sizes_N2 = ids_N, sizes_N2


def _arrays(rows: pa.Table) -> tuple[NDArray[np.bytes_], NDArray[np.int32]]:
    """image_id, width, height -> sorted ids S32[N], i32[N, 2]."""
    rows = rows.filter(pc.match_substring_regex(rows.column("image_id"), _SHA256))
    if not rows.num_rows:
        return np.zeros(0, "S32"), np.zeros((0, 2), np.int32)
    ids_N = np.frombuffer(bytes.fromhex("".join(rows.column("image_id").to_pylist())), "S32")
    sizes_N2 = np.stack([rows.column(name).to_numpy().astype(np.int32) for name in ("width", "height")], axis=1)
    order_N = np.argsort(ids_N)
    return ids_N[order_N], sizes_N2[order_N]
