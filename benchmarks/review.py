"""How long a moved line takes, as a page asks for it: `python benchmarks/review.py --pictures 1000000`.

Made-up measures of that many pictures, screened once; then 30 questions to the route that `clean` pages ask with every
press of a key. The first one reads the tables.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from starlette.testclient import TestClient

import pictus
from pictus import clean
from pictus.tables import SCHEMAS
from pictus.web.server import build_app


def table(name: str, count: int, **known: Sequence[object] | np.ndarray[Any, Any]) -> pa.Table:
    """Rows of a table with the columns known, the others empty or 0."""
    columns = {}
    for field in SCHEMAS[name]:
        empty: object = 0 if pa.types.is_integer(field.type) or pa.types.is_floating(field.type) else ""
        if pa.types.is_fixed_size_binary(field.type):
            empty = bytes(field.type.byte_width)
        elif pa.types.is_boolean(field.type):
            empty = False
        elif pa.types.is_list(field.type):
            empty = []
        columns[field.name] = pa.array(known.get(field.name, [empty] * count), field.type)
    return pa.table(columns, schema=SCHEMAS[name])


def main() -> None:
    """Fill a project, screen it, ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    count = parser.parse_args().pictures
    with tempfile.TemporaryDirectory() as folder:
        project = pictus.new(Path(folder) / "pool")
        ids = [f"{number:064x}" for number in range(count)]
        sides = {"width": [640] * count, "height": [480] * count}
        sharpness = np.random.default_rng(0).lognormal(6, 1, count)
        light = {"brightness": [120.0] * count, "contrast": [50.0] * count, "entropy": [7.0] * count}
        project.tables.append("images", table("images", count, image_id=ids, **sides))
        project.tables.append("checks", table("checks", count, image_id=ids, sharpness=sharpness, **light, **sides))
        clean.screen(project)
        browser = TestClient(build_app(project), base_url="http://127.0.0.1")
        took = []
        for number in range(31):
            started = time.perf_counter()
            answer = browser.get("/wall/clean/blurred/line", params={"line": str(30 + number), "by": "1"})
            took.append(time.perf_counter() - started)
            answer.raise_for_status()
    print(f"{count:,} pictures: first {took[0]:.1f} s, then median {1000 * statistics.median(took[1:]):.1f} ms")


if __name__ == "__main__":
    main()
