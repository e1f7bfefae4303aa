"""Shapes read as columns are what `json` reads of each."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from pictus.annotate.shapes.shape_texts import read_shapes

POLYGONS = pa.list_(pa.list_(pa.float64()))


@pytest.mark.parametrize(
    "shapes",
    [
        [{"polygons": [[1, 2, 3.5]]}, {"counts": "5`", "size": [2, 3]}, {"polygons": [[0], []], "words": {"a": "b"}}],
        [{"counts": [1, 2]}, {"polygons": [[1]]}],  # a list where others have a text
        [{"tool": "brush"}],
        [{"polygons": [[float(number) for number in range(300_000)]]}],  # longer than a block of Arrow's
        [],
    ],
)
def test_each_field_is_there_or_null(shapes: list[dict[str, object]]) -> None:
    read = read_shapes([json.dumps(shape) for shape in shapes], counts=pa.string(), polygons=POLYGONS)
    assert read.num_rows == len(shapes)
    assert read.column("polygons").to_pylist() == [shape.get("polygons") for shape in shapes]
    assert [one is not None for one in read.column("counts").to_pylist()] == ["counts" in shape for shape in shapes]


def test_a_shape_written_over_several_lines_is_one() -> None:
    shapes = [{"box": [1, 2, 3, 4]}, {"box": [5.5, 6, 7, 8]}]
    read = read_shapes([json.dumps(shape, indent=1) for shape in shapes], box=pa.list_(pa.float64()))
    assert read.column("box").to_pylist() == [[1, 2, 3, 4], [5.5, 6, 7, 8]]
