"""Twenty ImageNet classes at 64 px through the whole journey, by the commands a user types.

    python benchmarks/tiny_imagenet.py                   # about 10 minutes on 2 idle cores
    python benchmarks/tiny_imagenet.py --epochs 4        # a quicker, weaker model
    python benchmarks/tiny_imagenet.py --minutes 10      # as many epochs as fit; 30 for a better model
    python benchmarks/tiny_imagenet.py --recipe airbench --set model=airbench-s2 --set largest=64   # another recipe
    python benchmarks/tiny_imagenet.py --project /tmp/p  # keep the project, to look at it

Taxonomy from WordNet by wnid, 11,000 photos added (500 + 50 per class), checked, de-duplicated, screened,
labelled from their folders, split (the given val is the test split), cut, trained from scratch,
evaluated, exported and served over HTTP, indexed and searched. What can be known beforehand (counts,
equal files) is recomputed here from the bytes and compared. There is no peer: no other tool walks this way.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

import pictus
from pictus import search
from pictus.releases import PictureReader, find_release, split_rows

DATA = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
SET = DATA / "tiny_imagenet_subset"
QUERIES = 200
POSTED = 100

Rows = list[tuple[str, str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=0, help="30 when left out; with --minutes, at most so many")
    parser.add_argument("--minutes", type=float, default=0.0, help="of training, instead of a number of epochs")
    parser.add_argument("--recipe", default="airbench-s2")
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE, a setting of the recipe (repeatable)")
    parser.add_argument("--project", type=Path, default=None, help="a new folder to keep the project in")
    asked = parser.parse_args()
    if not SET.exists():
        sys.exit(f"{SET} not found: set PICTUS_REAL_DATA")
    with tempfile.TemporaryDirectory() as scratch:
        photos, wnids, twins = unpack(Path(scratch))
        root = asked.project or Path(scratch) / "project"
        result = journey(root, photos, wnids, twins, training(asked))
    print(json.dumps(result))


def training(asked: argparse.Namespace) -> list[str]:
    """The words behind `pictus train run`."""
    epochs = asked.epochs or (1000 if asked.minutes else 30)
    settings = [f"minutes={asked.minutes:g}"] if asked.minutes else []
    chosen = [word for one in (*settings, *asked.set) for word in ("--set", one)]
    return ["--recipe", asked.recipe, "--epochs", str(epochs), *chosen]


def unpack(scratch: Path) -> tuple[Path, list[str], int]:
    """The core20 photos as folders -> their folder, the wnids, and how many files repeat another's bytes."""
    with (SET / "manifest.csv").open() as opened:
        core = {row["path"]: row["wnid"] for row in csv.DictReader(opened) if row["core20"] == "1"}
    folder = scratch / "photos"
    seen: set[str] = set()
    with tarfile.open(SET / "tiny_imagenet_subset.tar.xz") as archive:
        for member in archive:
            if member.name in core:
                opened_member = archive.extractfile(member)
                assert opened_member is not None
                data = opened_member.read()
                seen.add(hashlib.sha256(data).hexdigest())
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    return folder, sorted(set(core.values())), len(core) - len(seen)


def journey(root: Path, photos: Path, wnids: list[str], twins: int, training: list[str]) -> dict[str, Any]:
    rows: Rows = []
    start = time.perf_counter()
    run(root.parent, "new", str(root), parse=False)
    (root / "core20.txt").write_text("\n".join(wnids) + "\n")

    def step(*words: str) -> dict[str, Any]:
        began = time.perf_counter()
        found: dict[str, Any] = json.loads(run(root, *words, "--json"))
        rows.append((found["step"], found["headline"].splitlines()[0], time.perf_counter() - began))
        print(f"{rows[-1][0]:<16} {rows[-1][2]:7.1f} s   {rows[-1][1]}", file=sys.stderr, flush=True)
        summary: dict[str, Any] = found["summary"]
        return summary

    step("taxonomy", "import", "--ilsvrc", "core20.txt")
    step("taxonomy", "check")
    added = step("collect", "add", str(photos), "--by-folder")
    step("clean", "check")
    near = step("clean", "dedupe")
    screened = step("clean", "screen")
    claimed = step("annotate", "import", "--from-folders")
    settled = step("annotate", "settle")
    shares = ("--train", "0.95", "--val", "0.05", "--test", "0")
    step("release", "split", "--seed", "7", "--given", "val=test", *shares)
    cut = step("release", "cut", "1.0.0")
    step("release", "verify", "1.0.0")
    trained = time.perf_counter()
    step("train", "run", "--name", "tiny", *training)
    trained = time.perf_counter() - trained
    scores = step("evaluate", "run", "--run", "tiny")
    step("serve", "export", "--run", "tiny")
    served = serve(root, rows)
    step("search", "index", "--run", "tiny")
    found = searched(root, rows)
    named = step("search", "query", "--text", "cat", "--count", "24")
    total = time.perf_counter() - start
    table(rows, total)
    top1, top5 = scores["top1"]["estimate"], scores["top5"]["estimate"]
    checks = {
        "equal_files": twins, "equal_files_found": added["again"], "their_labels_left_open": claimed["torn"],
        "near_duplicates": near["near"], "dropped": screened.get("dropped", None), "accepted": settled["accepted"],
        "split": [cut["train"], cut["val"], cut["test"]], "train_s": round(trained, 1), "journey_s": round(total, 1),
        "top1": scores["top1"], "top5": scores["top5"], "hierarchical_error": scores["hierarchical_error"],
        "mistake_severity": scores["mistake_severity"], **served, **found, "text_hits": named["found"],
    }  # fmt: skip
    return {"name": "tiny_imagenet", "ours": round(top1, 4), "peer": {}, "unit": "top-1 on 20 classes, from scratch",
            "ratio": {}, "n": scores["n"], "checks": {**checks, "training": training, "reached_70_93_in_10_minutes":
            top1 >= 0.70 and top5 >= 0.93 and trained <= 600}}  # fmt: skip


def run(folder: Path, *words: str, parse: bool = True) -> str:
    """One command as a user types it; progress goes on to our stderr."""
    command = [sys.executable, "-m", "pictus.cli", *words]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"pictus {' '.join(words)} ended with {done.returncode}: {done.stdout}")
    return done.stdout if parse else ""


def serve(root: Path, rows: Rows) -> dict[str, Any]:
    """POST pictures of the test split to the served model: is its first guess that of `serve predict`, how fast?"""
    release = find_release(pictus.open(root))
    reader = PictureReader(release)
    pictures = split_rows(release, "test").slice(0, POSTED).to_pylist()
    with tempfile.TemporaryDirectory() as scratch:
        for row in pictures:
            Path(scratch, row["key"]).write_bytes(reader.read(row["shard"], row["offset"], row["size"]))
        offline = {}
        for line in run(root, "serve", "predict", scratch, "--run", "tiny", "--jsonl").splitlines():
            found = json.loads(line)
            offline[Path(found["path"]).name] = found["guesses"][0]
    began = time.perf_counter()
    right = same = 0
    times = []
    with server(root) as address, httpx.Client(base_url=address, timeout=30) as client:
        for row in pictures:
            sent = time.perf_counter()
            answer = client.post("/predict", content=reader.read(row["shard"], row["offset"], row["size"]))
            times.append(time.perf_counter() - sent)
            guess = answer.raise_for_status().json()["guesses"][0]["concept_id"]
            right += guess == row["concept_id"]
            same += guess == offline[row["key"]]
    median_ms = sorted(times)[len(times) // 2] * 1000
    said = f"{len(pictures)} pictures POSTed, {right} right, {same} as serve predict; median {median_ms:.1f} ms"
    rows.append(("serve start", said, time.perf_counter() - began))
    return {"served": len(pictures), "served_right": right, "served_as_offline": same, "served_ms": round(median_ms, 2)}


@contextmanager
def server(root: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pictus.cli", "serve", "start", "--run", "tiny", "--port", str(port)]
    running = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                if httpx.get(f"{address}/ready").is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            sys.exit("the server did not become ready in 60 s")
        yield address
    finally:
        running.terminate()
        running.wait(30)


def searched(root: Path, rows: Rows) -> dict[str, Any]:
    """Pictures of the test split as queries: how many of the ten most similar show the same class?"""
    project = pictus.open(root)
    began = time.perf_counter()
    agree = shown = 0
    for row in split_rows(find_release(project), "test").slice(0, QUERIES).to_pylist():
        for hit in search.query(project, like=row["image_id"], run="tiny", count=10):
            if hit.concept_id:
                shown += 1
                agree += hit.concept_id == row["concept_id"]
    precision = agree / max(shown, 1)
    said = f"{QUERIES} pictures as queries: {precision:.3f} of the 10 most similar are of the same class"
    rows.append(("search query", said, time.perf_counter() - began))
    return {"search_precision_at_10": round(precision, 4)}


def table(rows: Rows, total: float) -> None:
    print(f"{'step':<16} {'seconds':>8}   what it found")
    for name, found, seconds in rows:
        print(f"{name:<16} {seconds:8.1f}   {found}")
    print(f"{'all':<16} {total:8.1f}")


if __name__ == "__main__":
    main()
