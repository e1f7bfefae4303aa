"""Exact search of 100,000 × 384 vectors beside faiss's exact index, and what the classical descriptor finds.

    python benchmarks/search.py

Speed: one query at a time for the 10 nearest, vectors drawn from 1,000 directions plus noise (seed 0). Each side
in a process of its own, rounds interleaved: ours from the Lance table (a query reads it whole), ours over blocks
held in memory, faiss IndexFlatIP (in memory). `added MB` is the peak above what the process held once its packages
were imported. The answers must be equal.

Descriptor: every picture asks for its 4 nearest among all others; recall@4 is the share of its 4 classmates found
(50 classes × 5 photographs of original size), precision@4 the share of the 4 that are of its class (178 classes of
about 50 photographs of 64 px; every 3rd asks). Needs PICTUS_REAL_DATA or ../shared/data; left out without it.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import pictus
from pictus.search import descriptor, steps
from pictus.search.nearest import Block, nearest

N, D, QUERIES, COUNT, ROUNDS = 100_000, 384, 50, 10, 3
DATA = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
MAKER = steps.Maker("drawn", None, "drawn")

Floats = npt.NDArray[np.float32]

PEER = """
import json, sys, time
import faiss, numpy as np
folder, queries, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
asked = np.load(folder + "/queries.npy")
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
before = peak()
size = asked.shape[1]
index = faiss.IndexFlatIP(size)
with open(folder + "/vectors.f32", "rb") as opened:
    while len(some := np.fromfile(opened, np.float32, 10_000 * size)):
        index.add(some.reshape(-1, size))
index.search(asked[:1], count)
start = time.perf_counter()
found = [index.search(asked[n : n + 1], count)[1][0].tolist() for n in range(queries)]
seconds = time.perf_counter() - start
print(json.dumps({"qps": queries / seconds, "mb": peak() - before, "found": found}))
"""


def drawn() -> tuple[Floats, Floats]:
    """Vectors f32[N, D] and queries f32[QUERIES, D] of length 1."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((1000, D), dtype=np.float32)
    vectors = centres[generator.integers(0, 1000, N + QUERIES)]
    vectors += generator.standard_normal(vectors.shape, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[:N], vectors[N:]


def name(row: int) -> str:
    return f"{row:064x}"


def prepare(folder: Path) -> None:
    vectors, queries = drawn()
    vectors.tofile(folder / "vectors.f32")
    np.save(folder / "queries.npy", queries)
    project = pictus.new(folder / "project")
    for start in range(0, N, 10_000):
        ids = pa.array([name(row) for row in range(start, start + 10_000)])
        project.tables.append(MAKER.table, steps.embedding_batch(ids, vectors[start : start + 10_000], "drawn"))


def ours(folder: Path, where: str) -> dict[str, Any]:
    """Runs in a process of its own: `where` is table or memory."""
    project = pictus.open(folder / "project")
    queries = np.load(folder / "queries.npy")
    project.tables.read(MAKER.table, limit=1)
    before = _peak_mb()
    held: list[Block] | None = None
    if where == "memory":
        held = [Block(block.ids, block.vectors_BD.copy()) for block in steps.blocks(project, MAKER)]
    nearest(queries[0], held or steps.blocks(project, MAKER), COUNT)
    start = time.perf_counter()
    found = [
        [int(one.image_id, 16) for one in nearest(query, held or steps.blocks(project, MAKER), COUNT)]
        for query in queries
    ]
    seconds = time.perf_counter() - start
    return {"qps": QUERIES / seconds, "mb": _peak_mb() - before, "found": found}


def _peak_mb() -> float:
    """Of this process alone: ru_maxrss begins with what the parent held."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def peer_python(folder: Path) -> Path:
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "faiss-cpu==1.12.0", "numpy"], check=True)
    return python


def speed() -> dict[str, list[dict[str, Any]]]:
    store = Path(tempfile.gettempdir()) / "pictus-benchmark-faiss"
    store.mkdir(exist_ok=True)
    python = peer_python(store)
    found: dict[str, list[dict[str, Any]]] = {"table": [], "memory": [], "faiss": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        commands: dict[str, list[str | Path]] = {
            where: [sys.executable, __file__, where, folder] for where in ("table", "memory")
        }
        commands["faiss"] = [python, "-c", PEER, folder, str(QUERIES), str(COUNT)]
        for _ in range(ROUNDS):
            for side, command in commands.items():
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[side].append(json.loads(done.stdout.splitlines()[-1]))
    return found


def described(pictures: list[bytes]) -> dict[str, Floats]:
    """The whole descriptor, and its colour histogram alone."""
    whole = np.stack([descriptor.describe(image_bytes) for image_bytes in pictures])
    colours = whole[:, -(descriptor.BINS**3) :]
    return {"classical": whole, "colours only": colours / np.linalg.norm(colours, axis=1, keepdims=True)}


def same_class(vectors: Floats, classes: npt.NDArray[np.str_], every: int) -> float:
    """Share of the 4 nearest others that are of the asker's class."""
    asking = np.arange(0, len(classes), every)
    scores = vectors[asking] @ vectors.T
    scores[np.arange(len(asking)), asking] = -np.inf
    nearest_4 = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    return float((classes[nearest_4] == classes[asking][:, None]).mean())


def quality() -> dict[str, float]:
    found: dict[str, float] = {}
    sets = {
        "recall@4 5x50": ("imagenet_photos_5x50", "imagenet_photos_5x50.tar", "file", 1),
        "precision@4 178 classes": ("tiny_imagenet_subset", "tiny_imagenet_subset.tar.xz", "path", 3),
    }
    for said, (folder, archive, column, every) in sets.items():
        path = DATA / folder
        if not path.exists():
            print(f"{said}: left out, {path} is not there")
            continue
        with (path / "manifest.csv").open(encoding="utf-8", newline="") as opened:
            rows = [row for row in csv.DictReader(opened) if row.get("core20", "0") == "0"]
        with tarfile.open(path / archive) as tar:
            files = {Path(entry.name).name: tar.extractfile(entry).read()  # type: ignore[union-attr]
                     for entry in tar if entry.isfile()}  # fmt: skip
        classes = np.array([row["wnid"] for row in rows])
        chance = float(np.mean([((classes == one).sum() - 1) / (len(classes) - 1) for one in classes]))
        for part, vectors in described([files[Path(row[column]).name] for row in rows]).items():
            found[f"{said}, {part}"] = round(same_class(vectors, classes, every), 4)
        found[f"{said}, chance"] = round(chance, 4)
    return found


def main() -> None:
    seen = quality()
    for said, value in seen.items():
        print(f"{said:46}{value:8.4f}")
    found = speed()
    print(f"\n{f'{N:,} × {D}, {COUNT} nearest':34}{'queries/s':>10}{'min':>8}{'max':>8}{'added MB':>10}")
    labels = {"table": "pictus, from the table", "memory": "pictus, blocks in memory", "faiss": "faiss IndexFlatIP"}
    qps, mb = {}, {}
    for side, label in labels.items():
        rates = [one["qps"] for one in found[side]]
        qps[side], mb[side] = statistics.median(rates), statistics.median(one["mb"] for one in found[side])
        print(f"{label:34}{qps[side]:10.1f}{min(rates):8.1f}{max(rates):8.1f}{mb[side]:10.0f}")
    equal = all(one["found"] == found["faiss"][0]["found"] for side in found.values() for one in side)
    result = {
        "name": "search", "ours": round(qps["table"], 1), "peer": {"faiss": round(qps["faiss"], 1)},
        "unit": "queries/s", "ratio": {"faiss": round(qps["table"] / qps["faiss"], 2)}, "n": QUERIES * ROUNDS,
        "checks": {
            "answers_equal": equal, "blocks_in_memory": round(qps["memory"], 1),
            **{f"mb_{side}": round(value) for side, value in mb.items()}, **seen,
        },
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(ours(Path(sys.argv[2]), sys.argv[1])))
    else:
        main()
