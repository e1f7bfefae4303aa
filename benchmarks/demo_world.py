"""Is the drawn world worth learning? Colour must not name its things, a small network must.

Draws N pictures of each of the 28 concepts with all cores, makes a release of them by the public
steps, trains and evaluates `small-cnn`, and gives the same pictures to two rivals that see colour
histograms only (8 × 8 × 8 bins): 15 nearest neighbours and logistic regression.

    python benchmarks/demo_world.py [PICTURES_PER_CONCEPT]
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

import pictus
from pictus import annotate, collect, evaluate, release, stats, taxonomy, train
from pictus.demo.baseline import histograms_of, nearest_guesses
from pictus.demo.tree import CLASSES, CONCEPTS, NAMES
from pictus.demo.world import draw
from pictus.engine import cpu_count
from pictus.records import Concept
from pictus.releases import PictureReader, Release, find_release, split_rows

SEED = 11
CANDIDATES = 5_000
SECONDS = 60


def draw_one(folder: Path, place: tuple[int, int]) -> float:
    """Draw and write one picture -> seconds of processor time."""
    concept, number = place
    started = time.process_time()
    path = folder / NAMES[CLASSES[concept]] / f"{number:04}.jpg"
    path.write_bytes(draw(CLASSES[concept], (SEED, concept, number)).jpeg())
    return time.process_time() - started


def drawn(folder: Path, each: int) -> tuple[float, float]:
    """Seconds to draw them all, the start of the processes included; processor seconds of one picture."""
    for concept_id in CLASSES:
        (folder / NAMES[concept_id]).mkdir(parents=True)
    places = [(concept, number) for number in range(each) for concept in range(len(CLASSES))]
    started = time.monotonic()
    with ProcessPoolExecutor(cpu_count(), multiprocessing.get_context("forkserver")) as pool:
        spent = list(pool.map(partial(draw_one, folder), places, chunksize=16))
    return time.monotonic() - started, float(np.mean(spent))


def concept_row(one: Concept) -> str:
    return f"{one.concept_id},{one.names[0]},{''.join(one.parents[:1])},{'yes' if one.is_class else 'no'}"


def released(project: pictus.Project, folder: Path) -> Release:
    rows = ["id,name,parent,is_class", *map(concept_row, CONCEPTS)]
    listed = project.root / "concepts.csv"
    listed.write_text("\n".join(rows), encoding="utf-8")
    taxonomy.import_(project, file=listed)
    collect.add(project, (folder,), by_folder=True)
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    release.split(project, seed=SEED, train=0.75, val=0.05, test=0.2)
    release.cut(project, "1.0.0")
    return find_release(project, "1.0.0")


def pictures_of(found: Release, split: str) -> tuple[np.ndarray, np.ndarray]:
    rows, reader = split_rows(found, split), PictureReader(found)
    places = zip(*(rows.column(name).to_pylist() for name in ("shard", "offset", "size")), strict=True)
    return histograms_of(reader.read(*place) for place in places), rows.column("label").to_numpy()


def logistic(train_NB: np.ndarray, labels_N: np.ndarray, asked_MB: np.ndarray, classes: int) -> np.ndarray:
    """Multinomial logistic regression by 400 full gradient steps with momentum, weight decay 1e-4."""
    weights, speed = np.zeros((train_NB.shape[1] + 1, classes)), 0.0
    inputs = np.hstack([train_NB, np.ones((len(train_NB), 1))])
    wanted = np.eye(classes)[labels_N]
    for _ in range(400):
        scores = inputs @ weights
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        speed = 0.9 * speed - 4.0 * (inputs.T @ (chances - wanted) / len(inputs) + 1e-4 * weights)
        weights = weights + speed
    return (np.hstack([asked_MB, np.ones((len(asked_MB), 1))]) @ weights).argmax(axis=1)


def main(each: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        seconds, each_s = drawn(root / "drawn", each)
        many = each * len(CLASSES)
        project = pictus.new(root / "world")
        found = released(project, root / "drawn")
        started = time.monotonic()
        train.run(project, release="1.0.0", recipe="small-cnn", name="first")
        trained_s = time.monotonic() - started
        summary = evaluate.run(project, run="first", release="1.0.0").summary
        (train_NB, labels_N), (asked_MB, truth_M) = pictures_of(found, "train"), pictures_of(found, "test")
    nearest_MK = nearest_guesses(train_NB, labels_N.astype(np.int64), asked_MB, len(CLASSES))
    rivals = {
        "colour histogram, 15 nearest": nearest_MK[:, 0],
        "colour histogram, logistic regression": logistic(train_NB, labels_N, asked_MB, len(CLASSES)),
    }
    top1 = {name: stats.wilson(int((guess == truth_M).sum()), len(truth_M)) for name, guess in rivals.items()}
    ours = summary["top1"]
    print(f"{many:,} pictures drawn in {seconds:.1f} s with {cpu_count()} processes: {many / seconds:.0f} a second")
    free_s = CANDIDATES * each_s / 2
    print(f"{each_s * 1000:.1f} ms of processor time each: {CANDIDATES:,} in {free_s:.0f} s on two free cores")
    print(f"small-cnn trained in {trained_s:.0f} s; {len(truth_M):,} test pictures\n")
    print(f"{'':<40} {'top-1':>7}   95 % interval")
    print(f"{'small-cnn':<40} {ours['estimate']:>7.1%}   {ours['low']:.1%} to {ours['high']:.1%}")
    for name, share in top1.items():
        print(f"{name:<40} {share.estimate:>7.1%}   {share.low:.1%} to {share.high:.1%}")
    peers = {name: round(share.estimate, 4) for name, share in top1.items()}
    checks = {
        "colours_under_half": max(peers.values()) < 0.5, "small_cnn_at_least_85": ours["estimate"] >= 0.85,
        "drawn_per_second": round(many / seconds, 1), "cpu_ms_per_picture": round(each_s * 1000, 1),
        "5000_under_60_s_on_2_free_cores": free_s < SECONDS,
        "train_s": round(trained_s, 1),
    }  # fmt: skip
    print(json.dumps({"name": "demo_world", "ours": round(ours["estimate"], 4), "peer": peers, "unit": "top-1",
                      "ratio": {name: round(ours["estimate"] / value, 2) for name, value in peers.items()},
                      "n": len(truth_M), "checks": checks}))  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 150)
