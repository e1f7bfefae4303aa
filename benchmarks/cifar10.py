"""CIFAR-10's 60,000 pictures from the archive to the first training batch, in one run.

    python benchmarks/cifar10.py                     about two minutes on 2 cores
    python benchmarks/cifar10.py --project /tmp/p    keep the project, to look at it
    python benchmarks/cifar10.py --train             train on it instead: under 30 minutes on 2 idle cores
    python benchmarks/cifar10.py --train --epochs 1  a quicker, weaker network
    python benchmarks/cifar10.py --train --seeds 3   mean and spread over three

With --train the official 10,000 test pictures are the test split and 250 of the others validation, which chooses
nothing; then `pictus train run --recipe airbench` and `pictus evaluate run --split test`, as typed. A network is
trained within --minutes (29): of the recipe's epochs as many as fit.

Added, checked, de-duplicated, screened, labelled from their folders, split, cut and opened for training;
wall time of each step and peak memory. Then the near-duplicates found against the pairs that people judged
(ciFAIR, Barz & Denzler 2020): 279 "same shot" and 46 "very similar", all with at least one test picture.
The judges saw the nearest training picture of each test picture only, so that a pair they did not list may
still be right: beside recall stands the share of found pairs whose two pictures carry the same label.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import pictus
from pictus import annotate, clean, collect, neighbours, release, taxonomy
from pictus.clean import duplicates
from pictus.pixels import decode
from pictus.project import Project
from pictus.records import Duplicate, Source
from pictus.registry import Outcome
from pictus.releases import find_release
from pictus.tasks import TASKS
from pictus.train.feed.loader import Pictures, batches, portions_of_epochs

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
WIDEST = duplicates.HASH_BITS // 3
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PLAIN = ("size=32", "probe=false", "log=none")
"""Settings of every run on these pictures that a benchmark trains."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=None, help="a new folder to keep the project in")
    parser.add_argument("--train", action="store_true", help="train and evaluate on the official split")
    parser.add_argument("--recipe", default="airbench")
    parser.add_argument("--epochs", type=int, default=0, help="the recipe's when left out")
    parser.add_argument("--minutes", type=float, default=29.0, help="of one training")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE, a setting of the recipe (repeatable)")
    asked = parser.parse_args()
    pictures = archive()
    with tempfile.TemporaryDirectory() as scratch:
        project = pictus.new(asked.project or Path(scratch) / "cifar10")
        if asked.train:
            print(json.dumps(trained(project, pictures, asked)))
            return
        seconds, counts = journey(project, pictures, Path(scratch))
        found = judged(project)
    total = sum(seconds.values())
    print(json.dumps({"name": "cifar10", "ours": round(total, 1), "peer": {}, "unit": "s", "ratio": {},
                      "n": counts["pictures"], "checks": {"seconds": seconds, **counts, **found}}))  # fmt: skip


def archive() -> Path:
    """All 60,000 pictures; where there is none, it is said and the benchmark ends."""
    path = REAL / "cifar10" / "cifar10_jpeg_60000.tar.xz"
    if not path.exists():
        sys.exit(f"{path} not found: set PICTUS_REAL_DATA")
    return path


def concepts(folder: Path) -> Path:
    """A list of the ten classes, as `taxonomy import` reads it."""
    path = folder / "classes.csv"
    path.write_text("\n".join(["name", *CLASSES]) + "\n")
    return path


def first_pictures(folder: Path, n_train: int, n_test: int) -> list[dict[str, str]]:
    """Unpacks the first pictures of each split into `folder`; their rows of the index."""
    pictures = archive()
    with (REAL / "cifar10" / "index.csv").open() as opened:
        rows = [
            row for row in csv.DictReader(opened)
            if int(row["official_index"]) < (n_train if row["split"] == "train" else n_test)
        ]  # fmt: skip
    wanted = {row["path"] for row in rows}
    with tarfile.open(pictures) as tar:
        tar.extractall(folder, [one for one in tar if one.name.removeprefix("./") in wanted], filter="data")
    return rows


@contextmanager
def labelled(n_train: int, kept: Path | None = None) -> Iterator[Project]:
    """A project with a release of the first pictures of each split, labelled as their folders say, a fifth as many of
    them to test; the one in the folder `kept`, where one was kept there.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = kept or Path(scratch) / "cifar10"
        if (folder / "releases").exists():
            yield pictus.open(folder)
            return
        photos = folder.with_name(f"{folder.name}-photos")
        rows = first_pictures(photos, n_train, n_train // 5)
        project = pictus.new(folder)
        labels = project.root / "labels.csv"
        labels.write_text("\n".join(["image,label", *(f"{row['path']},{row['label_name']}" for row in rows)]) + "\n")
        taxonomy.import_(project, file=concepts(project.root))
        collect.add(project, (photos,))
        annotate.import_(project, (labels,))
        annotate.settle(project)
        release.split(project, seed=7, given=("test=test",), train=0.96, val=0.04, test=0)
        release.cut(project, "1.0.0")
        yield project


def journey(project: Project, pictures: Path, scratch: Path) -> tuple[dict[str, float], dict[str, Any]]:
    names = concepts(scratch)
    seconds: dict[str, float] = {}
    print(f"{'step':20}{'seconds':>9}{'peak MB':>9}  result")

    def run(name: str, step: Callable[[], Outcome[Any]]) -> Outcome[Any]:
        started = time.perf_counter()
        outcome = step()
        seconds[name] = round(time.perf_counter() - started, 2)
        print(f"{name:20}{seconds[name]:9.1f}{peak_mb():9.0f}  {outcome.headline.splitlines()[0]}", flush=True)
        return outcome

    run("taxonomy import", lambda: taxonomy.import_(project, file=names))
    run("collect add", lambda: collect.add(project, (pictures,), by_folder=True))
    run("clean check", lambda: clean.check(project))
    dedupe = run("clean dedupe", lambda: clean.dedupe(project))
    screen = run("clean screen", lambda: clean.screen(project))
    run("annotate import", lambda: annotate.import_(project, from_folders=True))
    run("annotate settle", lambda: annotate.settle(project, method="majority"))
    run("release split", lambda: release.split(project, seed=7))
    run("release cut", lambda: release.cut(project, "1.0.0"))
    run("opened for training", lambda: first_batch(project))
    print(f"{'total':20}{sum(seconds.values()):9.1f}{peak_mb():9.0f}\n")
    counts = {
        "pictures": project.tables.count("images"), "measured": project.tables.count("checks"),
        "duplicates": dedupe.summary["duplicates"], "dropped": screen.summary["rules"], "peak_mb": round(peak_mb()),
    }  # fmt: skip
    return seconds, counts


def trained(project: Project, pictures: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Train from scratch and ask the official test pictures, once for each seed."""
    taxonomy.import_(project, file=concepts(project.root))
    collect.add(project, (pictures,), by_folder=True)
    annotate.import_(project, from_folders=True)
    annotate.settle(project, method="majority")
    release.split(project, seed=7, given=("test=test",), train=0.995, val=0.005, test=0)
    print(release.cut(project, "1.0.0").headline, flush=True)
    settings = [f"minutes={asked.minutes:g}", *([f"epochs={asked.epochs}"] if asked.epochs else []), *asked.set]
    rows = []
    for seed in range(asked.seeds):
        run = f"{asked.recipe}-{seed}"
        words = [word for one in (*settings, f"seed={seed}") for word in ("--set", one)]
        found = told(project, "train", "run", "--recipe", asked.recipe, "--name", run, *words)["summary"]
        scores = told(project, "evaluate", "run", "--run", run, "--split", "test")["summary"]
        rows.append({"top1": scores["top1"], "epochs": found["epochs"], "train_s": round(found["wall_s"])})
        print(f"seed {seed}: {scores['top1']['estimate']:.4f} of {scores['n']:,}, {found['epochs']} epochs,"
              f" {found['wall_s']:,.0f} s", flush=True)  # fmt: skip
        for line in (project.models_dir / run / "metrics.jsonl").read_text().splitlines():
            record = json.loads(line)
            if "val_top1" in record:
                print(f"  epoch {record['epoch']:3}: validation {record['val_top1']:.3f}", flush=True)
    top1 = [row["top1"]["estimate"] for row in rows]
    spread = round(statistics.stdev(top1), 4) if len(top1) > 1 else None
    return {"name": "cifar10", "ours": round(statistics.mean(top1), 4), "peer": {}, "unit": "top-1, from scratch",
            "ratio": {}, "n": len(rows), "checks": {"recipe": asked.recipe, "set": settings, "spread": spread,
            "runs": rows, "reached_92_in_30_minutes":
            min(top1) >= 0.92 and max(row["train_s"] for row in rows) <= 1800}}  # fmt: skip


def told(project: Project, *words: str) -> dict[str, Any]:
    """What a command as a user types it says; its progress goes on to our stderr."""
    command = [sys.executable, "-m", "pictus.cli", *words, "--json"]
    done = subprocess.run(command, cwd=project.root, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def first_batch(project: Project) -> Outcome[Any]:
    """What training does first: open the release by its files alone, decode and order one batch."""
    opened = find_release(project)
    labels = TASKS.get("classification").targets(opened, "train")
    pictures = Pictures(opened, "train", decode, memory_bytes=2**28, targets_N=labels)
    portions = portions_of_epochs(7, len(pictures), 256, 0, 1)
    with batches(pictures, portions, lambda pixels, _: pixels, seed=7, threads=2) as stream:
        batch = next(iter(stream))
    assert batch.views[0].shape == (256, 32, 32, 3)
    return Outcome("train open", {}, f"{len(pictures):,} training pictures of {len(opened.classes)} classes")


def peak_mb() -> float:
    """The largest this process and its largest worker have been."""
    return sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def judged(project: Project) -> dict[str, Any]:
    """Recall of the judged pairs and label agreement of all found pairs, by distance; and what dedupe kept."""
    checks = project.tables.read("checks", ["image_id", "phash", "dhash", "pdq", "pdq_quality"])
    row_of = {image_id: row for row, image_id in enumerate(checks.column("image_id").to_pylist())}
    words = duplicates.stack(
        checks.column("phash").to_numpy(), checks.column("dhash").to_numpy(), checks.column("pdq").to_pylist()
    )
    first, second, is_same_shot = judged_rows(project, row_of)
    labels = np.zeros(len(row_of), dtype=np.int64)
    for source in project.tables.records("sources", Source):
        labels[row_of[source.image_id]] = int.from_bytes(source.concept_id.encode(), "big") % (2**61 - 1)
    found = np.column_stack(neighbours.near_pairs(words, WIDEST, key_radius=duplicates.KEY_RADIUS, keys=2))
    different = np.bitwise_count(words[first] ^ words[second]).astype(int)
    distance = different.sum(axis=1)
    has_key = different[:, :2].min(axis=1) <= duplicates.KEY_RADIUS
    print(f"{'bits of 384':>12}{'pairs found':>13}{'same label':>12}{'judged found':>14}{'recall':>9}{'same shot':>11}")
    table = []
    for radius in (16, 32, 48, 64, 76, 80, 88, 96, 104, 112, 120, 128):
        near_rows = found[found[:, 2] <= radius]
        agree = float((labels[near_rows[:, 0]] == labels[near_rows[:, 1]]).mean()) if len(near_rows) else 1.0
        hit = has_key & (distance <= radius)
        row = {"radius": radius, "pairs": len(near_rows), "same_label": round(agree, 4), "judged": int(hit.sum()),
               "recall": round(float(hit.mean()), 4),
               "recall_same_shot": round(float(hit[is_same_shot].mean()), 4)}  # fmt: skip
        table.append(row)
        mark = "  <- clean dedupe" if radius == duplicates.RADIUS else ""
        print(f"{radius:12}{row['pairs']:13,}{agree:12.4f}{row['judged']:14}{row['recall']:9.3f}"
              f"{row['recall_same_shot']:11.3f}{mark}")  # fmt: skip
    group_of = {row.image_id: row.group_id for row in project.tables.records("duplicates", Duplicate)}
    ids = checks.column("image_id").to_pylist()
    groups = [[group_of.get(ids[row], str(row)) for row in rows.tolist()] for rows in (first, second)]
    together = np.array([one == two for one, two in zip(*groups, strict=True)])
    print(f"\njudged pairs that clean dedupe put into one group: {together.sum()} of {len(together)}"
          f" (same shot: {together[is_same_shot].sum()} of {is_same_shot.sum()})\n")  # fmt: skip
    return {"judged_pairs": len(together), "grouped": int(together.sum()), "by_distance": table}


def judged_rows(
    project: Project, row_of: dict[str, int]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Rows of the two pictures of every judged pair, and whether people called it the same shot."""
    with (REAL / "cifar10" / "index.csv").open() as opened:
        path_of = {(row["split"], int(row["official_index"])): row["path"] for row in csv.DictReader(opened)}
    by_path = {}
    for source in project.tables.records("sources", Source):
        by_path["/".join(source.address.split("/")[-3:])] = row_of[source.image_id]
    first, second, same = [], [], []
    for name, other in (("cifair_duplicates_cifar10.csv", "train"), ("cifair_duplicates_cifar10_test.csv", "test")):
        rows = list(csv.reader((REAL / "cifar10_human" / name).read_text().splitlines()))[1:]
        for one, two, _, judgement in rows:
            first.append(by_path[path_of["test", int(one)]])
            second.append(by_path[path_of[other, int(two)]])
            same.append(judgement == "1")
    return np.array(first), np.array(second), np.array(same)


if __name__ == "__main__":
    main()
