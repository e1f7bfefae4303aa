"""The pictures on both sides of every line that a rule draws: what the line cuts, and what it only just keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus.project import Project
from pictus.web.review import Values, measure_columns, values_of

SHOWN = 3


class Shown(NamedTuple):
    """One picture beside a line and the value that put it there."""

    image_id: str
    value: float
    is_out: bool


def strips(project: Project, lines: Sequence[Mapping[str, Any]], shown: int = SHOWN) -> dict[str, list[Shown]]:
    """Rule -> up to `shown` pictures on each side of its line, the nearest ones, from low values to high."""
    measures = {line["measure"]: measure_columns(line["measure"]) for line in lines}
    columns = sorted({name for names in measures.values() for name in names})
    checks = project.tables.read("checks", ["image_id", *columns], where="cause = ''")
    values = {measure: values_of(checks, measure) for measure, names in measures.items() if names}
    found = {}
    for line in lines:
        measured = values.get(line["measure"])
        if measured is not None and line["origin"] != "off":
            out, kept = beside(measured, float(line["line"]), is_upper=line["is_upper"], shown=shown)
            rows = [(int(row), True) for row in out] + [(int(row), False) for row in kept]
            pictures = [
                Shown(checks.column("image_id")[row].as_py(), float(measured[row]), is_out) for row, is_out in rows
            ]
            found[line["rule"]] = sorted(pictures, key=lambda picture: (picture.value, picture.image_id))
    return found


def beside(
    values: Values, line: float, *, is_upper: bool, shown: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows nearest a line -> (beyond it, within it), at most `shown` each. f64[N]; `is_upper`: beyond is above."""
    is_out = values > line if is_upper else values < line
    return _nearest(values, line, is_out, shown), _nearest(values, line, ~is_out & np.isfinite(values), shown)


def _nearest(values: Values, line: float, chosen: npt.NDArray[np.bool_], shown: int) -> npt.NDArray[np.int64]:
    rows = np.flatnonzero(chosen)
    distance = np.abs(values[rows] - line)
    if len(rows) > shown:
        rows = rows[np.argpartition(distance, shown - 1)[:shown]]
    return rows
