"""`annotate plan` at a million pictures: seconds, memory, and what planning again costs.

    python benchmarks/planning.py [--pictures 1000000] [--concepts 1000] [--database postgresql://…]

Every picture claims one concept and has a hash of its look; nobody has answered anything. The database is a file in
the temporary folder, or the one that is named, which must be empty. Memory is the process's highest, with the tables
that this program makes.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import pictus
from pictus.annotate.queues.plan_steps import plan
from pictus.records import Concept
from pictus.tables import SCHEMAS, table_of


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--pictures", type=int, default=1_000_000)
    arguments.add_argument("--concepts", type=int, default=1_000)
    arguments.add_argument("--database", default="")
    told = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = pictus.new(Path(folder) / "p", database_url=told.database)
        fill(project, told.pictures, told.concepts)
        print(f"{told.pictures:,} pictures of {told.concepts:,} concepts, {project.journal.engine.dialect.name}")
        for what in ("plan", "plan again, nothing new"):
            start, used = time.perf_counter(), time.process_time()
            outcome = plan(project)
            most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(
                f"{what:<26}{time.perf_counter() - start:>8.1f} s{time.process_time() - used:>8.1f} CPU-s"
                f"{most_mb:>8,} MB   {outcome.summary['added']:,} new, {outcome.summary['changed']:,} changed"
            )
        project.journal.engine.dispose()


def fill(project: pictus.Project, pictures: int, concepts: int) -> None:
    generator = np.random.default_rng(0)
    found = [Concept("thing", ("thing",))]
    found += [Concept(f"c{at:05d}", (f"concept {at}",), parents=("thing",), is_class=True) for at in range(concepts)]
    project.tables.replace("concepts", table_of("concepts", found))
    ids = [hashlib.sha256(str(at).encode()).hexdigest() for at in range(pictures)]
    claims = [f"c{at:05d}" for at in generator.integers(0, concepts, pictures)]
    hashes = generator.integers(0, 2**63, pictures).astype(np.uint64)
    put(project, "images", pictures, image_id=ids, width=np.ones(pictures, np.int32))
    put(project, "sources", pictures, image_id=ids, address=ids, kind=["folder"] * pictures, concept_id=claims)
    put(project, "checks", pictures, image_id=ids, phash=hashes)


def put(project: pictus.Project, name: str, rows: int, **known: Any) -> None:  # noqa: ANN401  what Arrow takes
    """A table with these columns, the others empty."""
    columns = {}
    for field in SCHEMAS[name]:
        if field.name in known:
            columns[field.name] = pa.array(known[field.name], field.type)
        elif pa.types.is_fixed_size_binary(field.type):
            columns[field.name] = pa.array([bytes(field.type.byte_width)] * rows, field.type)
        elif pa.types.is_list(field.type):
            columns[field.name] = pa.array([[]] * rows, field.type)
        else:
            empty = "" if pa.types.is_string(field.type) else pa.scalar(0).cast(field.type).as_py()
            columns[field.name] = pa.repeat(pa.scalar(empty, field.type), rows)
    project.tables.append(name, pa.table(columns, schema=SCHEMAS[name]))


if __name__ == "__main__":
    main()
