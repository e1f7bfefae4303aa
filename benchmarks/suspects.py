"""Label errors beside cleanlab: what the first suspects are worth, and seconds for 50,000 x 1,000 probabilities.

    python benchmarks/suspects.py

Real: CIFAR-10's 10,000 test pictures with the out-of-sample probabilities that cleanlab's authors published
(accuracy 92.9 %). Two truths: wrong where most of some 50 people of CIFAR-10H chose another class; and the pictures
that the authors had judged by five people each, wrong where fewer than three chose the given label alone or with the
other. Only what cleanlab had flagged was judged, so the second truth favours it. cleanlab 2.9.0 is installed into an
environment of its own under the temporary folder; its default is `prune_by_noise_rate`, ours is what it calls
`confident_learning`. Drawn: labels of which 6 % are wrong, seed 0.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pictus.annotate.queues.confidence import dense, find

REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
PEER = """
import sys, time, numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
data = np.load(sys.argv[1])
for way in sys.argv[3].split(","):
    start = time.perf_counter()
    ranked = find_label_issues(
        data["labels"], data["shares"], filter_by=way, return_indices_ranked_by="normalized_margin", n_jobs=1
    )
    took = time.perf_counter() - start
    np.savez(f"{sys.argv[2]}-{way}.npz", ranked=ranked, took=took)
"""
WAYS = ("prune_by_noise_rate", "confident_learning")
SAME = "confident_learning"
"""What ours is compared with row by row."""
FIRST = (20, 50, 100)


def main() -> None:
    folder = REAL / "cifar10_human"
    if not folder.exists():
        sys.exit(f"{REAL} has no cifar10_human: set PICTUS_REAL_DATA")
    stored = np.load(folder / "cleanlab_cifar10_test_pred_probs.npz")
    labels, shares = stored["labels"].astype(np.int64), stored["pyx"]
    crowd = np.load(folder / "cifar10h_counts.npz")["counts"].argmax(axis=1)
    wrong = crowd != labels
    judged = {
        row["id"]: row["mturk"]["given"] + row["mturk"]["both"] < 3
        for row in json.loads((folder / "cleanlab_cifar10_mturk.json").read_text())
    }
    print(f"CIFAR-10 test: {wrong.sum()} of {len(labels):,} labels wrong by CIFAR-10H; {len(judged)} judged")
    heads = "".join(f"{f'p@{k}':>8}" for k in FIRST)
    print(f"{'':<34}{'flagged':>8}{'found':>7}{heads}{'judged wrong':>16}{'s':>8}")
    start = time.perf_counter()
    ours = find(dense(labels, shares)).row_S
    line("ours", ours, wrong, judged, time.perf_counter() - start)
    for way, (ranked, took) in peer(labels, shares).items():
        line(f"cleanlab {way}", ranked, wrong, judged, took)
        if way == SAME:
            compared(ours, ranked)
    labels, shares, moved = drawn(50_000, 1_000)
    start = time.perf_counter()
    found = find(dense(labels, shares)).row_S
    print(f"\n50,000 x 1,000 drawn, {moved.sum():,} labels moved")
    large("ours", found, moved, time.perf_counter() - start)
    for way, (ranked, took) in peer(labels, shares).items():
        large(f"cleanlab {way}", ranked, moved, took)
        if way == SAME:
            compared(found, ranked)


def compared(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Row by row: which pictures, and in which order."""
    both = len(np.intersect1d(ours, theirs))
    print(f"{'':<34}{both:,} rows flagged by both, {len(ours) - both:,} by us alone,"
          f" {len(theirs) - both:,} by cleanlab")  # fmt: skip
    if len(ours) == len(theirs):
        print(f"{'':<34}{int(np.sum(ours == theirs)):,} of {len(ours):,} at the same place of the order")


def line(name: str, ranked: np.ndarray, wrong: np.ndarray, judged: dict[int, bool], took: float) -> None:
    first = "".join(f"{wrong[ranked[:k]].mean():>8.2f}" for k in FIRST)
    told = [judged[row] for row in ranked.tolist() if row in judged]
    by_people = f"{sum(told)} of {len(told)}"
    print(f"{name:<34}{len(ranked):>8}{wrong[ranked].sum():>7}{first}{by_people:>16}{took:>8.3f}")


def large(name: str, ranked: np.ndarray, moved: np.ndarray, took: float) -> None:
    right = moved[ranked].sum()
    print(f"{name:<34}{len(ranked):>8,} flagged, precision {right / len(ranked):.3f}, recall {right / moved.sum():.3f},"
          f" {took:.2f} s")  # fmt: skip


def drawn(n: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of a model that is right nine times in ten, and labels of which 6 % were moved."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, k, n)
    logits = generator.standard_normal((n, k), dtype=np.float32)
    logits[np.arange(n), truth] += generator.normal(7, 2.5, n).astype(np.float32)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    moved = generator.random(n) < 0.06
    labels = np.where(moved, (truth + generator.integers(1, k, n)) % k, truth)
    return labels, shares, moved


def peer(labels: np.ndarray, shares: np.ndarray) -> dict[str, tuple[np.ndarray, float]]:
    python = environment()
    with tempfile.TemporaryDirectory() as scratch:
        given, out = Path(scratch) / "given.npz", Path(scratch) / "out"
        np.savez(given, labels=labels, shares=shares)
        subprocess.run([str(python), "-W", "ignore", "-c", PEER, str(given), str(out), ",".join(WAYS)], check=True)
        found = {way: np.load(f"{out}-{way}.npz") for way in WAYS}
        return {way: (one["ranked"].astype(np.int64), float(one["took"])) for way, one in found.items()}


def environment() -> Path:
    """One with cleanlab; kept for the next run."""
    root = Path(tempfile.gettempdir()) / "pictus-cleanlab-2.9.0"
    python = root / "bin" / "python"
    if not (root / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(root)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "cleanlab==2.9.0"], check=True)
        (root / "ready").touch()
    return python


if __name__ == "__main__":
    main()
