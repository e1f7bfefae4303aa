"""What a list of addresses takes in memory before its first picture comes, and what a pool costs one more picture.

    python benchmarks/fetch_memory.py [--addresses 1000000]

Nothing is asked: the tables are written as a fetch of that many addresses leaves them. Each case is a process of
its own, whose peak is taken less that of one with an empty project and a list of one:

- new: a list of so many addresses that were never asked, read, checked and put into the schedule;
- again: the same list after each of its addresses gave a picture;
- known: a list of one in that project;
- one more: `pictus collect add` of one picture to the project of `again`, with the seconds it takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
from PIL import Image

import pictus
from pictus.tables import SCHEMAS, Tables

ONE = """
import json, resource, sys, time
from pathlib import Path
import pictus
from pictus import collect
from pictus.clock import now
from pictus.collect.fetching import planned
from pictus.collect.intake import Intake
from pictus.collect.list_files import read_list
from pictus.collect.lists import wanted_of
from pictus.collect.schedule import Schedule

case, root, given = sys.argv[1:]
project = pictus.open(root)
started = time.perf_counter()
if case == "add":
    collect.add(project, (given,))
else:
    wanted, _ = wanted_of(read_list(Path(given)), lambda name: name, given)
    with Intake(project.tables, project.shards_dir, now()) as intake:
        plan = planned(project.tables, wanted, intake, lambda cause, has_given: False)
        schedule = Schedule(4, 0.2)
        for job in plan.jobs:
            schedule.add(job.url.server, job, job.order)
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": round(seconds, 1), "peak_mb": peak / 1024}))
"""


def address_of(number: int) -> str:
    return f"https://host{number % 10_000}.example.org/photos/2019/{number:09d}.jpg"


def listed(path: Path, count: int) -> Path:
    table = pa.table({"url": [address_of(number) for number in range(count)], "concept": ["n01621127"] * count})
    pyarrow.csv.write_csv(table, path)
    return path


def fill(tables: Tables, count: int) -> None:
    """As a fetch leaves them: one picture, one source and one attempt for each address."""
    ids = [f"{number:064x}" for number in range(count)]
    said = {
        "image_id": ids, "address": [address_of(number) for number in range(count)], "kind": ["url"] * count,
        "concept_id": ["n01621127"] * count, "cause": ["ok"] * count, "shard": ["s"] * count,
        "format": ["jpeg"] * count, "etag": ['"5f3a-58c1d2"'] * count,
    }  # fmt: skip
    for name in ("images", "sources", "fetches"):
        columns = [
            pa.array(said[field.name], field.type) if field.name in said
            else pa.array([""] * count if pa.types.is_string(field.type) else [0] * count, field.type)
            for field in SCHEMAS[name]
        ]  # fmt: skip
        tables.append(name, pa.Table.from_arrays(columns, schema=SCHEMAS[name]))


def measured(case: str, root: Path, given: Path) -> dict[str, float]:
    command = [sys.executable, "-c", ONE, case, str(root), str(given)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def picture(path: Path) -> Path:
    Image.new("RGB", (64, 64), "teal").save(path)
    return path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--addresses", type=int, default=1_000_000)
    count = parser.parse_args().addresses
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        one, many = listed(here / "one.csv", 1), listed(here / "many.csv", count)
        for name in ("empty", "new", "full"):
            pictus.new(here / name)
        base = measured("plan", here / "empty", one)
        found = {"new": measured("plan", here / "new", many)}
        fill(pictus.open(here / "full").tables, count)
        found["again"] = measured("plan", here / "full", many)
        found["known"] = measured("plan", here / "full", one)
        found["one more"] = measured("add", here / "full", picture(here / "one.png"))
    for case, row in found.items():
        held = row["peak_mb"] - base["peak_mb"]
        print(f"{case:9} {row['seconds']:8.1f} s {held:8,.0f} MB {held * 2**20 / count:8,.0f} bytes an address")
    print(json.dumps({"addresses": count, "base_mb": base["peak_mb"], **found}))


if __name__ == "__main__":
    main()
