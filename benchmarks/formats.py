"""A large COCO file in and out: seconds, seconds of CPU and memory.

    python benchmarks/formats.py --annotations 10000 --pictures 1200    a first look: 4 s of CPU
    python benchmarks/formats.py                                        1,000,000: 110 s of CPU for the way in alone

Masks of 12 corners with their boxes, 80 classes, as COCO has them. The project is a fresh one on SQLite whose pictures
have sizes but no bytes. In, in again (nothing is new then) and out: each runs in a process of its own; memory is the
most that process held.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pictus
from pictus import annotate
from pictus.records import Concept, Picture, Source
from pictus.tables import table_of

CLASSES, CORNERS, SIDE = 80, 12, 640


def write(path: Path, annotations: int, pictures: int) -> None:
    generator = np.random.default_rng(7)
    with path.open("w", encoding="utf-8") as out:
        out.write('{"images": [')
        for number in range(pictures):
            image = {"id": number, "file_name": f"{number:012}.jpg", "width": SIDE, "height": SIDE}
            out.write(("," if number else "") + json.dumps(image))
        out.write('], "annotations": [')
        angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
        for number in range(annotations):
            x, y = generator.uniform(100, 540, 2)
            radius = generator.uniform(5, 90, CORNERS)
            ring = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1).round(2)
            low, high = ring.min(axis=0), ring.max(axis=0)
            note = {
                "id": number, "image_id": int(generator.integers(pictures)), "category_id": number % CLASSES,
                "segmentation": [ring.ravel().tolist()], "bbox": [*low.tolist(), *(high - low).round(2).tolist()],
                "area": 1.0, "iscrowd": 0,
            }  # fmt: skip
            out.write(("," if number else "") + json.dumps(note))
        names = [{"id": number, "name": f"class {number}"} for number in range(CLASSES)]
        out.write('], "categories": ' + json.dumps(names) + "}")


def shelve(folder: Path, pictures: int) -> None:
    project = pictus.new(folder)
    concepts = [Concept(f"c{number}", (f"class {number}",), is_class=True) for number in range(CLASSES)]
    project.tables.replace("concepts", table_of("concepts", concepts))
    ids = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(pictures)]
    images = [Picture(one, "pictures-00000.tar", 0, 1, SIDE, SIDE, "jpeg", "RGB", "") for one in ids]
    project.tables.append("images", table_of("images", images))
    sources = [
        Source(one, f"/photos/{number:012}.jpg", "folder", "", "", "", "", "") for number, one in enumerate(ids)
    ]
    project.tables.append("sources", table_of("sources", sources))


def timed(what: str, folder: Path, path: Path) -> None:
    """Run in a process of its own: one step, its seconds and its memory."""
    project = pictus.open(folder)
    started, worked = time.perf_counter(), time.process_time()
    if what == "in":
        summary = annotate.import_(project, (path,)).summary
    else:
        summary = annotate.export(project, path, format="coco", what="marks").summary
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    count = summary.get("marks", summary.get("rows"))
    print(f"{what:>12}  {count:>9,} shapes  {seconds:6.1f} s  {cpu:6.1f} s of CPU  {most:6.0f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--pictures", type=int, default=120_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path, folder = Path(scratch, "instances.json"), Path(scratch, "project")
        write(path, asked.annotations, asked.pictures)
        shelve(folder, asked.pictures)
        size = f"{path.stat().st_size / 1e6:,.0f} MB"
        print(f"{size}, {asked.annotations:,} annotations of {asked.pictures:,} pictures", flush=True)
        for what, file in (("in", path), ("in", path), ("out", Path(scratch, "out.json"))):
            command = [sys.executable, __file__, "--one", what, str(folder), str(file)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        timed(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
